"""The front door: everything that Dagster sees, assembled by one function. Nothing is read or opened at import."""

import dagster as dg

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.orchestration.asset_checks import asset_checks
from vanc311_pipeline.orchestration.assets.publication import assets
from vanc311_pipeline.orchestration.jobs import sync, verify, verify_deep
from vanc311_pipeline.orchestration.metadata import presented
from vanc311_pipeline.orchestration.operations.alerts import alerts_sensors
from vanc311_pipeline.orchestration.operations.logs import set_up_location_logs
from vanc311_pipeline.orchestration.operations.prometheus import measures
from vanc311_pipeline.orchestration.operations.pruning import prune, prune_every_day
from vanc311_pipeline.orchestration.partitions import EVERY, LIVE_ONLY, has_archive
from vanc311_pipeline.orchestration.resources import warehouse_resource
from vanc311_pipeline.orchestration.schedules import every_50_minutes
from vanc311_pipeline.pipeline import Progress
from vanc311_pipeline.settings import Settings


def build_definitions(
    settings: Settings, progress: Progress | None = None, archive: bool | None = None
) -> dg.Definitions:
    """Fresh definitions, for the code location, the command line and the tests. The months before 2022 are partitions, too, if the
    archive is asked for or was landed here.
    """
    months = EVERY if archive or (archive is None and has_archive(settings)) else LIVE_ONLY
    return dg.Definitions(
        assets=presented(assets(settings), settings, months),
        asset_checks=asset_checks(settings),
        jobs=[sync, verify, verify_deep, prune],
        schedules=[every_50_minutes, prune_every_day],
        sensors=[*alerts_sensors(settings), measures],
        resources={"settings": settings, "warehouse": warehouse_resource(settings), "progress": progress or Progress()},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location: `Settings` from the environment, read when Dagster loads it."""
    settings = Settings.from_environment()
    if settings.lacks_sample:
        raise SettingsError(
            "VANC311_SOURCE is 'sample', but VANC311_PORTAL_URL is the city's portal, which doesn't have the sample. Set it to where "
            "`vanc311 standin` serves it, or start everything with `vanc311 up`, or unset VANC311_SOURCE."
        )
    set_up_location_logs(settings.log_format)
    return build_definitions(settings)
