"""The requests: each landed month cleaned and stored, or held."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.assets.ingestion import (
    Consent,
    local_areas,
    raw_service_requests,
    report_month,
    reported,
)
from vanc311_pipeline.orchestration.failures import failure
from vanc311_pipeline.orchestration.metadata import OWNERS
from vanc311_pipeline.orchestration.partitions import EVERY, ONE_RUN
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import MonthLoad


@dg.asset(
    partitions_def=EVERY,
    backfill_policy=ONE_RUN,
    deps=[raw_service_requests, local_areas],
    group_name="requests",
    kinds={"python", "pandas", "sqlite"},
    owners=OWNERS,
    metadata=metadata.table_metadata(schema.service_requests, (raw_service_requests.key, schema.PORTAL_FIELDS)),
)
def service_requests(
    context: dg.AssetExecutionContext, config: Consent, store: StoreResource, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult[None]]:
    """Every request, cleaned, typed and with an id of its own; each month in one transaction.

    Rows that can't be keyed go to `quarantined_requests` with the reason: landed = stored + quarantined. Any other field
    that can't be used is null, and counted.
    If what can be used of a month, or of all months together, changed beyond its limits, nothing of the run is stored: the
    old rows stay, and a blocking check says so.
    """
    warehouse = store.open()
    run = Run(context.run.run_id, plan_of(context.run, warehouse), context.partition_keys, config.accept_shrink)
    loads = []
    try:
        for load in pipeline.load(store.places, run, progress):
            loads.append(load)
            if load.action == "loaded" or load.month in context.partition_keys:
                report_month(context, load.month, _request_metadata(load))
    except PipelineError as error:
        raise failure(error) from error
    # With the newest month only: what a run of many months returns is copied into the event of each.
    newest = {"preview": metadata.preview(warehouse, schema.service_requests)}
    context.add_asset_metadata(newest, partition_key=context.partition_keys[-1])
    loaded = {load.month for load in loads if load.action == "loaded"}
    yield from reported(context, dg.MaterializeResult[None](metadata=_summary(warehouse, loads)), loaded)


def _request_metadata(load: MonthLoad) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": load.rows_stored,
        "action": load.action,
        "landed": load.rows_landed,
        "stored": load.rows_stored,
        "quarantined": load.rows_quarantined,
        "added": load.added,
        "changed": load.changed,
        "removed": load.removed,
    }


def _summary(warehouse: Warehouse, loads: list[MonthLoad]) -> dict[str, Any]:
    return {
        "dagster/row_count": row_count(warehouse, schema.service_requests),
        "months loaded": sum(load.action == "loaded" for load in loads),
        "months held": sum(load.action == "held" for load in loads),
        "rows added": sum(load.added for load in loads),
        "rows changed": sum(load.changed for load in loads),
        "rows removed": sum(load.removed for load in loads),
        "rows quarantined": row_count(warehouse, schema.quarantined_requests),
    }


def row_count(warehouse: Warehouse, table: sa.Table) -> int:
    with warehouse.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
