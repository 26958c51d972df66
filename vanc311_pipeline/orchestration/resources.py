"""Resources: settings, warehouse, and who hears of each month; without a configuration, which the UI would show with a secret in it."""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline.orchestration.operations.run_lock import at_work
from vanc311_pipeline.pipeline import Progress
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse

SettingsParam = dg.ResourceParam[Settings]
WarehouseParam = dg.ResourceParam[Warehouse]
ProgressParam = dg.ResourceParam[Progress]


def warehouse_resource(settings: Settings) -> dg.ResourceDefinition:
    """The warehouse, for a run once it is its turn to work there. A tick of a schedule or a sensor doesn't wait."""

    @dg.resource(description="Where the data is kept.")
    def warehouse(context: dg.InitResourceContext) -> Iterator[Warehouse]:
        kept, run, instance = Warehouse(settings), context.run, context.instance
        if run is None or instance is None:
            yield kept
            return

        def waiting(words: str) -> None:
            instance.report_engine_event(words, run)

        with at_work(kept, instance, run.job_name, run.run_id, waiting):
            yield kept

    return warehouse
