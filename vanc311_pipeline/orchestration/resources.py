"""Resources: the settings, the places where data is kept, and who hears of each month.

None of them has a configuration of Dagster's: the UI shows that, and an address may hold a secret.
"""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline.orchestration.operations.run_lock import at_work
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.places import Places

SettingsParam = dg.ResourceParam[Settings]
PlacesParam = dg.ResourceParam[Places]
ProgressParam = dg.ResourceParam[Progress]


def places_resource(settings: Settings) -> dg.ResourceDefinition:
    """The places, for a run once it is its turn to work on the warehouse. A tick of a schedule or a sensor doesn't wait."""

    @dg.resource(description="Landed files, warehouse, published file and object store.")
    def places(context: dg.InitResourceContext) -> Iterator[Places]:
        kept, run, instance = Places.of(settings), context.run, context.instance
        if run is None or instance is None:
            yield kept
            return

        def waiting(words: str) -> None:
            instance.report_engine_event(words, run)

        with at_work(kept.warehouse, instance, run.job_name, run.run_id, waiting):
            yield kept

    return places
