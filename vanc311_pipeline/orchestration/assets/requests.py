"""The requests: each landed month cleaned and stored, or held."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline import schema
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
from vanc311_pipeline.orchestration.planning import plan_of
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_path, read_landed
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import ARCHIVE, LIVE, UNDATED
from vanc311_pipeline.warehouse import changelog, holds, ledger
from vanc311_pipeline.warehouse.areas import area_names
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.holds import WHOLE
from vanc311_pipeline.warehouse.loading import MonthLoad, load_month
from vanc311_pipeline.warehouse.restraint import Parts, Verdict, judge


@dg.asset(
    partitions_def=EVERY,
    backfill_policy=ONE_RUN,
    deps=[raw_service_requests, local_areas],
    group_name="requests",
    kinds={"python", "pandas", "sqlite"},
    owners=OWNERS,
    metadata=metadata.table_metadata(
        schema.service_requests, metadata.request_lineage(dg.AssetKey("raw_service_requests"))
    ),
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
    plan = plan_of(context.run, warehouse)
    run_id, months = context.run.run_id, plan.months if plan else [*context.partition_keys, UNDATED]
    loads = []
    try:
        landed = {month: parts for month in months if (parts := _parts(store.places.raw_dir, month))}
        with warehouse.read() as connection:
            areas = area_names(connection)
            records = ledger.months(connection)
            verdict = judge(connection, landed, areas, config.accept_shrink, planned=plan is not None)
        for month in months:
            if month in landed and not verdict.held:
                served = [(about, read_landed(path)) for about, path in landed[month]]
                load = load_month(warehouse, month, served, areas, run_id, verdict.accepted_of(month))
            else:
                held = any(line.month == month for line in verdict.held)
                load = _left_alone(month, records, "held" if held else "unchanged")
            progress.stored(month, load.rows_landed if load.action == "loaded" else 0)
            loads.append(load)
            if load.action == "loaded" or month in context.partition_keys:
                report_month(context, month, _request_metadata(load))
    except PipelineError as error:
        raise failure(error) from error
    _conclude(warehouse, verdict, {release.dataset for release in plan.releases} if plan else set(), run_id)
    # With the newest month only: what a run of many months returns is copied into the event of each.
    newest = {"preview": metadata.preview(warehouse, schema.service_requests)}
    context.add_asset_metadata(newest, partition_key=context.partition_keys[-1])
    loaded = {load.month for load in loads if load.action == "loaded"}
    yield from reported(context, dg.MaterializeResult[None](metadata=_summary(warehouse, loads)), loaded)


def _parts(raw_dir: Path, month: str) -> Parts:
    """A month's landed files."""
    paths = [landed_path(raw_dir, Window(dataset, month)) for dataset in (ARCHIVE, LIVE)]
    return [(about, path) for path in paths if (about := describe_landed(path))]


def _left_alone(
    month: str, records: Mapping[Window, ledger.MonthRecord], action: Literal["unchanged", "held"]
) -> MonthLoad:
    mine = [record for window, record in records.items() if window.month == month]
    return MonthLoad(
        month,
        action,
        sum(record.rows_landed for record in mine),
        sum(record.rows_stored for record in mine),
        sum(record.rows_quarantined for record in mine),
    )


def _conclude(warehouse: Warehouse, verdict: Verdict, planned: Collection[str], run_id: str) -> None:
    """Write down what is held now, what is no longer, and what was followed as a whole by consent.

    Args:
        planned: the datasets of which the run loads all that differs.
    """
    with warehouse.write() as connection:
        known = {dataset: ledger.last_release(connection, dataset) for dataset in (LIVE, ARCHIVE)}
        judged = {dataset for dataset, release in known.items() if release and release.state == "loading"}
        holds.hold(connection, verdict.held, judged & set(planned))
        for dataset in {line.dataset for line in verdict.held}:
            if release := known[dataset]:
                ledger.note_release(connection, release, dataset, "held", run_id)
        if whole := verdict.accepted_of(WHOLE):
            changelog.log_consent(connection, whole, run_id)


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
