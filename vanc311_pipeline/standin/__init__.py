"""A local stand-in for opendata.vancouver.ca, as strict as the real portal and able to fail like it; it imports nothing of the pipeline."""

from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import Fault
from vanc311_pipeline.standin.server import StandIn

__all__ = ["EDITS", "Fault", "StandIn"]
