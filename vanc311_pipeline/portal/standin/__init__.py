"""A local stand-in for opendata.vancouver.ca, as strict as the real portal and able to fail like it.

Belongs here: the names that tests and the command line use. `StandIn` serves three datasets over HTTP, `Fault` is
something that goes wrong, `Options` settles what is not known about the portal, `EDITS` changes the rows.
Does not belong here: anything of the pipeline; the stand-in imports nothing of it.
"""

from vanc311_pipeline.portal.standin.edits import EDITS
from vanc311_pipeline.portal.standin.faults import Fault
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.server import StandIn

__all__ = ["EDITS", "Fault", "Options", "StandIn"]
