"""The code location of a rehearsed day: as shipped, but a heartbeat and a slot are one minute.

What belongs here: the clock. Everything else is `vanc311_pipeline.definitions`.
"""

from copy import copy

import dagster as dg

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.orchestration import schedules
from vanc311_pipeline.orchestration.schedules import every_50_minutes
from vanc311_pipeline.settings import Settings

SLOT_SECONDS = 60

schedules.SLOT_SECONDS = SLOT_SECONDS  # type: ignore[attr-defined]


@dg.definitions
def defs() -> dg.Definitions:
    """The shipped definitions with the fast clock."""
    shipped = build_definitions(Settings.from_environment())
    fast = copy(every_50_minutes)
    fast._cron_schedule = "* * * * *"
    others = [schedule for schedule in shipped.schedules or [] if schedule is not every_50_minutes]
    return dg.Definitions(
        assets=shipped.assets,
        asset_checks=shipped.asset_checks,
        jobs=shipped.jobs,
        schedules=[*others, fast],
        sensors=shipped.sensors,
        resources=shipped.resources,
        executor=shipped.executor,
    )
