"""The portal's datasets as external assets, the landed months and the local areas.

What belongs here: names, descriptions, dependencies, what each step calls and what it reports. What does not: how it is
done; that is in `portal`, `requests` and `warehouse`.

A run of `sync` that names no months goes by a plan (`orchestration.tags`), its own if it was given none, and reports each month
that it really loaded. Every other run (a backfill, a hand-made materialization) does what it was asked for, always.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.dagster_private import DATA_VERSION_TAG, EXTERNALLY_MANAGED_ASSETS_TAG
from vanc311_pipeline.orchestration.failures import failure_or_retry
from vanc311_pipeline.orchestration.metadata import OWNERS
from vanc311_pipeline.orchestration.partitions import EVERY, ONE_RUN
from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource
from vanc311_pipeline.orchestration.tags import is_planned, plan_for, release_name
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_path
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import ARCHIVE, AREAS, LIVE, UNDATED


class Consent(dg.Config):
    """What the user agrees to follow."""

    accept_shrink: list[str] = Field(default_factory=list)
    """UTC months such as 2025-10 that are followed this time whatever moved in them, or `all`."""


def portal_spec(dataset: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        portal_key(dataset),
        description=description,
        group_name="portal",
        kinds={"opendatasoft"},
        owners=OWNERS,
        metadata={"dagster/uri": f"https://opendata.vancouver.ca/explore/dataset/{dataset}/"},
    )


def portal_key(dataset: str) -> dg.AssetKey:
    return dg.AssetKey(["portal", dataset.replace("-", "_")])


PORTAL_DATASETS = [
    portal_spec(
        LIVE, "The city's live 3-1-1 dataset, from 2022 on. Republished in full once a day, at about 14:07 UTC."
    ),
    portal_spec(ARCHIVE, "The city's frozen 3-1-1 dataset of 2009 to 2021."),
    portal_spec(AREAS, "The city's 22 local areas."),
]


@dg.asset(
    partitions_def=EVERY,
    backfill_policy=ONE_RUN,
    deps=[portal_key(LIVE), portal_key(ARCHIVE)],
    group_name="ingestion",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=metadata.raw_metadata(portal_key(LIVE)),
)
def raw_service_requests(
    context: dg.AssetExecutionContext,
    config: Consent,
    portal: PortalResource,
    store: StoreResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[None]]:
    """Each UTC month exactly as the portal served it, every column that came, as text, in one Parquet file.

    A month counts only if its rows equal the portal's own count before and after, while the release stood still;
    else the file that was there stays.
    """
    try:
        with portal.open() as client:
            plan = None
            if is_planned(context.run):
                plan = plan_for(context.run, context.instance, client, store, config.accept_shrink)
            run = Run(context.run.run_id, plan, context.partition_keys, config.accept_shrink)
            landing = pipeline.land(client, store.places, run, progress, context.log)
    except PipelineError as error:
        raise failure_or_retry(error, context.op_execution_context, portal) from error
    for month in sorted(landing.months) if plan else context.partition_keys:
        report_month(context, month, _raw_metadata(store.places.raw_dir, month, landing.actions))
    result = dg.MaterializeResult[None](
        data_version=dg.DataVersion(context.run.run_id),  # else it would be that of the code, whatever was fetched
        metadata={
            "windows fetched": sum(action == "fetched" for action in landing.actions.values()),
            "release": ", ".join(release_name(release) for release in landing.releases.values()) or "held",
            "dagster/uri": str(store.places.raw_dir),
        },
    )
    yield from reported(context, result, landing.months)


def _raw_metadata(raw_dir: Path, month: str, actions: Mapping[Window, str]) -> dict[str, Any]:
    """What a month's landed files say of themselves, for the partition's page."""
    metadata: dict[str, Any] = {"dagster/partition_row_count": 0}
    for dataset in (ARCHIVE, LIVE):
        window = Window(dataset, month)
        about = describe_landed(landed_path(raw_dir, window))
        if about:
            metadata["dagster/partition_row_count"] += about.rows
            metadata |= {
                f"{dataset}: action": actions.get(window, "unchanged"),
                f"{dataset}: query": about.query,
                f"{dataset}: portal count before and after": f"{about.total_count_before:,}, {about.total_count_after:,}",
                f"{dataset}: data_processed": about.data_processed,
                f"{dataset}: fetched": about.fetched_at,
                f"{dataset}: fingerprint": about.fingerprint,
            }
    return metadata


@dg.asset(
    deps=[portal_key(AREAS)],
    group_name="ingestion",
    kinds={"python", "sqlite"},
    owners=OWNERS,
    metadata=metadata.table_metadata(schema.local_areas, (portal_key(AREAS), ("name", "geo_point_2d", "geom"))),
)
def local_areas(
    context: dg.AssetExecutionContext, portal: PortalResource, store: StoreResource
) -> dg.MaterializeResult[None]:
    """The city's 22 local areas with their outlines. Unchanged since 2023: a planned run asks only if there are none."""
    try:
        with portal.open() as client:
            areas = pipeline.load_areas(client, store.places, anew=not is_planned(context.run))
    except PipelineError as error:
        raise failure_or_retry(error, context.op_execution_context, portal) from error
    return dg.MaterializeResult(
        data_version=dg.DataVersion(context.run.run_id),
        metadata={"dagster/row_count": areas, "preview": metadata.preview(store.places.warehouse, schema.local_areas)},
    )


def report_month(context: dg.AssetExecutionContext, month: str, metadata: dict[str, Any]) -> None:
    """Say what was done to a month: with Dagster's own report of it, or, where a plan took in more than its partition, beside it."""
    if month == UNDATED:
        return
    if month in context.partition_keys:
        context.add_asset_metadata(metadata, partition_key=month)
        return
    # No code version: without the inputs' versions, which only Dagster's own report has, the month would be stale for ever.
    tags = {DATA_VERSION_TAG: context.run.run_id}
    context.log_event(dg.AssetMaterialization(context.asset_key, partition=month, metadata=metadata, tags=tags))


def reported(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult[None], loaded: Collection[str]
) -> Iterator[dg.MaterializeResult[None]]:
    """A step's result. Dagster is to report nothing of a planned run's partition while it takes it, unless that month was loaded."""
    silent = is_planned(context.run) and not set(loaded) & set(context.partition_keys)
    dict.update(context.run.tags, {EXTERNALLY_MANAGED_ASSETS_TAG: str(silent).lower()})
    yield result
    dict.update(context.run.tags, {EXTERNALLY_MANAGED_ASSETS_TAG: "false"})
