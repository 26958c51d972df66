"""The portal's datasets as external assets, the landed months and the local areas.

What belongs here: names, descriptions, dependencies, what each step calls and what it reports. What does not: how it is
done; that is in `portal`, `requests` and `warehouse`.

A run of `sync` that was told no months goes by a plan (`orchestration.planning`), its own if it was given none, and reports each month
that it really loaded. Every other run (a backfill, a hand-made materialization) does what it was told to, always.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from vanc311_pipeline import schema
from vanc311_pipeline.disk import on_disk
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.months import datasets_that_may_hold
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.dagster_private import DATA_VERSION_TAG, EXTERNALLY_MANAGED_ASSETS_TAG
from vanc311_pipeline.orchestration.failures import failure_or_retry
from vanc311_pipeline.orchestration.metadata import OWNERS
from vanc311_pipeline.orchestration.partitions import EVERY, ONE_RUN
from vanc311_pipeline.orchestration.planning import ask_anew, plan_for
from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource
from vanc311_pipeline.orchestration.tags import is_planned, release_name
from vanc311_pipeline.plan import shrinkage
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.portal.landing import describe_landed, land, landed_path
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.requests.profile import shrank
from vanc311_pipeline.settings import ARCHIVE, AREAS, FIRST_LIVE_MONTH, LIVE, UNDATED
from vanc311_pipeline.warehouse import holds, ledger
from vanc311_pipeline.warehouse.areas import area_names, replace_areas
from vanc311_pipeline.warehouse.engine import Warehouse


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
    actions: dict[Window, str] = {}
    try:
        with on_disk(store.places.raw_dir), portal.open() as client:
            warehouse = store.open()
            plan = None
            if is_planned(context.run):
                plan = plan_for(context.run, context.instance, client, store, config.accept_shrink)
            releases = _begin(
                plan.releases if plan else _releases(context, client, warehouse), warehouse, config, context.run.run_id
            )
            windows = list(plan.stale) if plan else _windows(context.partition_keys)
            wanted = [window for window in windows if window.dataset in releases]
            with warehouse.read() as connection:
                answers = ledger.portal_answers(connection, releases.values()) if plan else {}
                others = missing_parts(store.places.raw_dir, wanted, ledger.months(connection))
            unasked = sorted({window.dataset for window in others} - releases.keys())
            releases |= _begin([client.release(name) for name in unasked], warehouse, config, context.run.run_id)
            for window in [*wanted, *(window for window in others if window.dataset in releases)]:
                digest = plan.stale.get(window) if plan else None
                actions[window], rows = _land(
                    client, releases[window.dataset], window, store.places.raw_dir, digest, answers.get(window)
                )
                context.log.info(f"{window.dataset} {window.month}: {rows:,} rows {actions[window]}")
                progress.landed(window.month, rows)
        for month in sorted({window.month for window in actions}) if plan else context.partition_keys:
            report_month(context, month, _raw_metadata(store.places.raw_dir, month, actions))
    except PipelineError as error:
        raise failure_or_retry(error, context.op_execution_context, portal) from error
    result = dg.MaterializeResult[None](
        data_version=dg.DataVersion(context.run.run_id),  # else it would be that of the code, whatever was fetched
        metadata={
            "windows fetched": sum(action == "fetched" for action in actions.values()),
            "release": ", ".join(release_name(release) for release in releases.values()) or "held",
            "dagster/uri": str(store.places.raw_dir),
        },
    )
    yield from reported(context, result, {window.month for window in actions})


def _begin(served: Sequence[Release], warehouse: Warehouse, consent: Consent, run_id: str) -> dict[str, Release]:
    """Note the releases that the run is about. A dataset that lost too much is held and left out, and so not loaded."""
    releases = {}
    for release in served:
        dataset = release.dataset
        with warehouse.write() as connection:
            records, answers = ledger.months(connection), ledger.portal_answers(connection, [release])
            losses = shrinkage(release, records, answers, consent.accept_shrink)
            if losses:
                holds.hold(connection, losses, judged=[dataset])
            ledger.note_release(connection, release, dataset, "held" if losses else "loading", run_id)
        if not losses:
            releases[dataset] = release
    return releases


def _releases(context: dg.AssetExecutionContext, client: Portal, warehouse: Warehouse) -> list[Release]:
    """The releases that the portal has now of the datasets that a run needs which was told its months."""
    releases = [client.release(dataset) for dataset in _datasets(context, warehouse)]
    for release in releases:
        for note in release.drift():
            context.log.warning(f"{release.dataset}: {note}. The landed files keep it; nothing else uses it.")
        with warehouse.read() as connection:
            rows = ledger.rows_landed(connection, release.dataset)
        if shrank(release.records_count, rows):
            ask_anew(client, warehouse)  # so that the hold can say where
    return releases


def _datasets(context: dg.AssetExecutionContext, warehouse: Warehouse) -> list[str]:
    wanted = {dataset for month in context.partition_keys for dataset in datasets_that_may_hold(month)}
    if ARCHIVE in wanted and all(month >= FIRST_LIVE_MONTH for month in context.partition_keys):
        # The seam's later month: the archive takes part only where it was loaded before.
        with warehouse.read() as connection:
            if not any(window.dataset == ARCHIVE for window in ledger.months(connection)):
                wanted.discard(ARCHIVE)
    return sorted(wanted)


def _windows(months: Sequence[str]) -> list[Window]:
    """All that months can have rows in, and what no month can hold."""
    windows = [Window(dataset, month) for month in (*months, UNDATED) for dataset in (ARCHIVE, LIVE)]
    return [each for each in windows if each.month == UNDATED or each.dataset in datasets_that_may_hold(each.month)]


def missing_parts(
    raw_dir: Path, wanted: Sequence[Window], records: Mapping[Window, ledger.MonthRecord]
) -> list[Window]:
    """What else must be fetched, for a month is replaced by all of its parts: the other dataset's rows of the wanted months,
    if the landed file that they were stored from isn't here.
    """
    months = {window.month for window in wanted}
    others = {window: record for window, record in records.items() if window.month in months and window not in wanted}
    landed = {window: describe_landed(landed_path(raw_dir, window)) for window in others}
    return [
        window
        for window, record in others.items()
        if record.rows_landed and getattr(landed[window], "body_sha256", None) != record.landed_sha256
    ]


def _land(
    client: Portal, release: Release, window: Window, raw_dir: Path, digest: str | None, answer: Fingerprint | None
) -> tuple[str, int]:
    """Fetch a window, unless an earlier run broke off after fetching it from this release; what was done, and the rows.

    Args:
        digest: the beginning of the fingerprint that the window was planned for, if a landed file that has it will do.
    """
    if digest:
        present = describe_landed(landed_path(raw_dir, window))
        same_release = present is not None and present.data_processed == release.data_processed
        if present and same_release and present.fingerprint.startswith(digest):
            return "landed before", present.rows
    return "fetched", land(client, release, window, raw_dir, answer).rows


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
    metadata=metadata.table_metadata(schema.local_areas, metadata.area_lineage(portal_key(AREAS))),
)
def local_areas(
    context: dg.AssetExecutionContext, portal: PortalResource, store: StoreResource
) -> dg.MaterializeResult[None]:
    """The city's 22 local areas with their outlines. Unchanged since 2023: a planned run asks only if there are none."""
    warehouse = store.open()
    with warehouse.read() as connection:
        present = len(area_names(connection))
    if not is_planned(context.run) or not present:
        try:
            with portal.open() as client:
                present = replace_areas(warehouse, client.areas())
        except PipelineError as error:
            raise failure_or_retry(error, context.op_execution_context, portal) from error
    return dg.MaterializeResult(
        data_version=dg.DataVersion(context.run.run_id),
        metadata={"dagster/row_count": present, "preview": metadata.preview(warehouse, schema.local_areas)},
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
