"""The jobs: `sync`, from the portal to the published file; `verify`, which only looks; `verify_deep`, which reads everything again.

`verify_deep` is a job of its own and no asset check, because a check would run with every materialization and read everything twice.
Each month's finding is an observation of `service_requests`, so it stands on the month's page. `prune` is in `operations.pruning`.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from pydantic import Field

from vanc311_pipeline.errors import IntegrityFailed, PipelineError, SettingsError
from vanc311_pipeline.orchestration.assets.requests import service_requests
from vanc311_pipeline.orchestration.failures import failure
from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource
from vanc311_pipeline.orchestration.tags import SYNC
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.landing import land, landed_path, read_landed
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.areas import area_names
from vanc311_pipeline.warehouse.comparison import Comparison, compare_month
from vanc311_pipeline.warehouse.engine import Warehouse

sync = dg.define_asset_job(
    SYNC,
    selection=dg.AssetSelection.all(),
    description="From the portal to the published file: land, clean, store, aggregate, check, publish.",
    executor_def=dg.in_process_executor,
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check over everything that is stored; asks the portal what it has now.",
    executor_def=dg.in_process_executor,
)


LISTED = 10  # differing requests shown for each month; all are counted


class Months(dg.Config):
    """Which months to compare."""

    months: list[str] = Field(default_factory=list)
    """UTC months such as 2025-10; all that are stored if none is named."""


@dg.op(description="Exports months again and compares them with the stored requests, row by row.")
def compare_with_portal(
    context: dg.OpExecutionContext,
    config: Months,
    portal: PortalResource,
    store: StoreResource,
    progress: dg.ResourceParam[Progress],
) -> None:
    warehouse = store.open()
    differing = []
    try:
        with portal.open() as client, tempfile.TemporaryDirectory(prefix="vanc311-") as scratch:
            for found in _comparisons(client, warehouse, config.months, Path(scratch)):
                progress.landed(found.month, found.rows_served)
                context.log_event(_observation(found))
                if not found.equal:
                    differing.append(str(found))
    except PipelineError as error:
        raise failure(error) from error
    if differing:
        raise failure(
            IntegrityFailed(
                "What is stored is not what the portal serves now:\n  " + "\n  ".join(differing) + "\n"
                "If the portal has published since the last sync, run `vanc311 sync` and compare again; else have the months read "
                "again with `vanc311 sync --months FROM..TO`. Nothing was changed by the comparison."
            )
        )


@dg.job(executor_def=dg.in_process_executor, description="Reads months from the portal again and compares every row.")
def verify_deep() -> None:
    compare_with_portal()


def _comparisons(client: Portal, warehouse: Warehouse, wanted: list[str], scratch: Path) -> Iterator[Comparison]:
    with warehouse.read() as connection:
        windows = sorted(ledger.months(connection), key=lambda window: (window.month, window.dataset))
        areas = area_names(connection)
    if strangers := sorted(set(wanted) - {window.month for window in windows}):
        raise SettingsError(
            f"{', '.join(strangers)} can't be compared: never loaded. Load it with `vanc311 sync --months {strangers[0]}`."
        )
    releases = {dataset: client.release(dataset) for dataset in {window.dataset for window in windows}}
    for month in wanted or list(dict.fromkeys(window.month for window in windows)):
        landed = [
            land(client, releases[window.dataset], window, scratch) for window in windows if window.month == month
        ]
        paths = [landed_path(scratch, window) for window in windows if window.month == month]
        yield compare_month(warehouse, month, list(zip(landed, map(read_landed, paths), strict=True)), areas)
        for path in paths:
            path.unlink()


def _observation(found: Comparison) -> dg.AssetObservation:
    examples = [
        f"{change.kind} {change.opened_at} {change.issue_type}: {change.before} → {change.after}"
        for change in found.changes[:LISTED]
    ]
    return dg.AssetObservation(
        service_requests.key,
        partition=None if found.month == UNDATED else found.month,
        description=str(found),
        metadata={
            "rows served": found.rows_served,
            "differences": len(found.changes) + found.quarantine_differs,
            "examples": "\n".join(examples) or "none",
        },
    )
