"""The code location of a rehearsed day: `vanc311_pipeline.definitions` as shipped, but a heartbeat and a slot are one minute."""

import dagster as dg

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.orchestration import schedules
from vanc311_pipeline.settings import Settings

schedules.SLOT_SECONDS = 60  # type: ignore[attr-defined]
schedules.every_50_minutes._cron_schedule = "* * * * *"


@dg.definitions
def defs() -> dg.Definitions:
    """The shipped definitions with the fast clock."""
    return build_definitions(Settings.from_environment())
