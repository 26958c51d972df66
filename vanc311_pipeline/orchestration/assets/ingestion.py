"""The way in: the portal's datasets as external assets, the landed months, the local areas, and the requests.

A run of `sync` that names no months goes by a plan (`orchestration.tags`), its own if it was given none, and reports each month
that it really loaded. Every other run (a backfill, a hand-made materialization) does what it was asked for, always.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.dagster_private import DATA_VERSION_TAG, EXTERNALLY_MANAGED_ASSETS_TAG
from vanc311_pipeline.orchestration.failures import in_our_words, portal_of
from vanc311_pipeline.orchestration.partitions import EVERY, ONE_RUN
from vanc311_pipeline.orchestration.resources import ProgressParam, WarehouseParam
from vanc311_pipeline.orchestration.tags import is_planned, plan_for, plan_of, release_name
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_path
from vanc311_pipeline.settings import ARCHIVE, AREAS, LIVE, UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import MonthLoad


class Consent(dg.Config):
    """What the user agrees to follow."""

    accept_shrink: list[str] = Field(default_factory=list)
    """UTC months such as 2025-10 that are followed this time whatever moved in them, or `all`."""


def portal_key(dataset: str) -> dg.AssetKey:
    return dg.AssetKey(["portal", dataset.replace("-", "_")])


PORTAL_DATASETS = [
    dg.AssetSpec(
        portal_key(dataset),
        description=description,
        group_name="portal",
        kinds={"opendatasoft"},
        metadata={"dagster/uri": f"https://opendata.vancouver.ca/explore/dataset/{dataset}/"},
    )
    for dataset, description in {
        LIVE: "The city's live 3-1-1 dataset, from 2022 on. Republished in full once a day, at about 14:07 UTC.",
        ARCHIVE: "The city's frozen 3-1-1 dataset of 2009 to 2021.",
        AREAS: "The city's 22 local areas.",
    }.items()
]


@dg.asset(
    partitions_def=EVERY,
    backfill_policy=ONE_RUN,
    deps=[portal_key(LIVE), portal_key(ARCHIVE)],
    group_name="ingestion",
    kinds={"python", "parquet"},
    metadata=metadata.raw_metadata(portal_key(LIVE)),
)
def raw_service_requests(
    context: dg.AssetExecutionContext, config: Consent, warehouse: WarehouseParam, progress: ProgressParam
) -> Iterator[dg.MaterializeResult[None]]:
    """Each UTC month exactly as the portal served it, every column that came, as text, in one Parquet file.

    A month counts only if its rows equal the portal's own count before and after, while the release stood still;
    else the file that was there stays.
    """
    with portal_of(context.op_execution_context, warehouse.settings) as client:
        plan = plan_for(context.run, context.instance, client, warehouse, config.accept_shrink)
        run = Run(context.run.run_id, plan, context.partition_keys, config.accept_shrink)
        releases, actions = pipeline.land(client, warehouse, run, progress, context.log)
    months = {window.month for window in actions}
    for month in sorted(months) if plan else context.partition_keys:
        _report_month(context, month, _raw_metadata(warehouse.settings.raw_dir, month, actions))
    result = dg.MaterializeResult[None](
        data_version=dg.DataVersion(context.run.run_id),  # else it would be that of the code, whatever was fetched
        metadata={
            "windows fetched": sum(action == "fetched" for action in actions.values()),
            "release": ", ".join(map(release_name, releases)) or "held",
            "dagster/uri": str(warehouse.settings.raw_dir),
        },
    )
    yield from _reported(context, result, months)


def _raw_metadata(raw_dir: Path, month: str, actions: Mapping[Window, str]) -> dict[str, Any]:
    """What a month's landed files say of themselves, for the partition's page."""
    metadata: dict[str, Any] = {"dagster/partition_row_count": 0}
    fields = ("query", "total_count_before", "total_count_after", "data_processed", "fetched_at", "fingerprint")
    for dataset in (ARCHIVE, LIVE):
        window = Window(dataset, month)
        if about := describe_landed(landed_path(raw_dir, window)):
            metadata["dagster/partition_row_count"] += about.rows
            metadata[f"{dataset}: action"] = actions.get(window, "unchanged")
            metadata |= {f"{dataset}: {name}": getattr(about, name) for name in fields}
    return metadata


@dg.asset(
    deps=[portal_key(AREAS)],
    group_name="ingestion",
    kinds={"python", "sqlite"},
    metadata=metadata.table_metadata(schema.local_areas, (portal_key(AREAS), ("name", "geo_point_2d", "geom"))),
)
def local_areas(context: dg.AssetExecutionContext, warehouse: WarehouseParam) -> dg.MaterializeResult[None]:
    """The city's 22 local areas with their outlines. Unchanged since 2023: a planned run asks only if there are none."""
    with portal_of(context.op_execution_context, warehouse.settings) as client:
        areas = pipeline.load_areas(client, warehouse, anew=not is_planned(context.run))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(context.run.run_id),
        metadata={"dagster/row_count": areas, "preview": metadata.preview(warehouse, schema.local_areas)},
    )


@dg.asset(
    partitions_def=EVERY,
    backfill_policy=ONE_RUN,
    deps=[raw_service_requests, local_areas],
    group_name="requests",
    kinds={"python", "pandas", "sqlite"},
    metadata=metadata.table_metadata(schema.service_requests, (raw_service_requests.key, schema.PORTAL_FIELDS)),
)
def service_requests(
    context: dg.AssetExecutionContext, config: Consent, warehouse: WarehouseParam, progress: ProgressParam
) -> Iterator[dg.MaterializeResult[None]]:
    """Every request, cleaned, typed and with an id of its own; each month in one transaction.

    Rows that can't be keyed go to `quarantined_requests` with the reason: landed = stored + quarantined. Any other field
    that can't be used is null, and counted.
    If what can be used of a month, or of all months together, changed beyond its limits, nothing of the run is stored: the
    old rows stay, and a blocking check says so.
    """
    run = Run(context.run.run_id, plan_of(context.run, warehouse), context.partition_keys, config.accept_shrink)
    loads = []
    with in_our_words():
        for load in pipeline.load(warehouse, run, progress):
            loads.append(load)
            if load.action == "loaded" or load.month in context.partition_keys:
                about = {"dagster/partition_row_count": load.rows_stored, **asdict(load)}
                _report_month(context, load.month, about)
    # With the newest month only: what a run of many months returns is copied into the event of each.
    newest = {"preview": metadata.preview(warehouse, schema.service_requests)}
    context.add_asset_metadata(newest, partition_key=context.partition_keys[-1])
    result = dg.MaterializeResult[None](metadata=_summary(warehouse, loads))
    yield from _reported(context, result, {load.month for load in loads if load.action == "loaded"})


def _summary(warehouse: Warehouse, loads: list[MonthLoad]) -> dict[str, Any]:
    with warehouse.read() as connection:
        records = ledger.months(connection).values()
    return {
        "dagster/row_count": sum(record.rows_stored for record in records),
        **{f"months {action}": sum(load.action == action for load in loads) for action in ("loaded", "held")},
        **{f"rows {name}": sum(getattr(load, name) for load in loads) for name in ("added", "changed", "removed")},
        "rows quarantined": sum(record.rows_quarantined for record in records),
    }


def _report_month(context: dg.AssetExecutionContext, month: str, metadata: dict[str, Any]) -> None:
    """Say what was done to a month: with Dagster's own report of it, or, where a plan took in more than its partition, beside it."""
    if month == UNDATED:
        return
    if month in context.partition_keys:
        context.add_asset_metadata(metadata, partition_key=month)
        return
    # No code version: without the inputs' versions, which only Dagster's own report has, the month would be stale for ever.
    tags = {DATA_VERSION_TAG: context.run.run_id}
    context.log_event(dg.AssetMaterialization(context.asset_key, partition=month, metadata=metadata, tags=tags))


def _reported(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult[None], loaded: Collection[str]
) -> Iterator[dg.MaterializeResult[None]]:
    """A step's result. Dagster is to report nothing of a planned run's partition while it takes it, unless that month was loaded."""
    silent = is_planned(context.run) and not set(loaded) & set(context.partition_keys)
    dict.update(context.run.tags, {EXTERNALLY_MANAGED_ASSETS_TAG: str(silent).lower()})
    yield result
    dict.update(context.run.tags, {EXTERNALLY_MANAGED_ASSETS_TAG: "false"})
