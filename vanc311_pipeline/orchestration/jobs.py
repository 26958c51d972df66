"""The jobs: `sync`, from the portal to the published file; `verify`, which only looks; `verify_deep`, which reads everything again.

`verify_deep` is a job of its own and no asset check, because a check would run with every materialization and read everything twice.
Each month's finding is an observation of `service_requests`, so it stands on the month's page. `prune` is in `operations.pruning`.
"""

import dagster as dg
from pydantic import Field

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.orchestration.assets.ingestion import service_requests
from vanc311_pipeline.orchestration.failures import in_our_words
from vanc311_pipeline.orchestration.resources import ProgressParam, WarehouseParam
from vanc311_pipeline.orchestration.tags import SYNC
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import UNDATED
from vanc311_pipeline.warehouse.loading import Comparison

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
LISTED = 10  # differing requests shown for each month; all are counted

sync = dg.define_asset_job(
    SYNC,
    selection=dg.AssetSelection.all(),
    description="From the portal to the published file: land, clean, store, aggregate, check, publish.",
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check over everything that is stored; asks the portal what it has now.",
)


class Months(dg.Config):
    """UTC months to compare, such as 2025-10; all that are stored if none is named."""

    months: list[str] = Field(default_factory=list)


@dg.op(description="Exports months again and compares them with the stored requests, row by row.")
def compare_with_portal(
    context: dg.OpExecutionContext, config: Months, warehouse: WarehouseParam, progress: ProgressParam
) -> None:
    differing = []
    with in_our_words(), Portal(warehouse.settings) as client:
        for comparison in pipeline.compare(client, warehouse, config.months):
            progress.landed(comparison.month, comparison.rows_served)
            context.log_event(_observed(comparison))
            if not comparison.equal:
                differing.append(str(comparison))
        if differing:
            raise IntegrityFailed(
                "What is stored is not what the portal serves now:\n  " + "\n  ".join(differing) + "\n"
                "If the portal has published since the last sync, run `vanc311 sync` and compare again; else have the months read "
                "again with `vanc311 sync --months FROM..TO`. Nothing was changed by the comparison."
            )


@dg.job(description="Reads months from the portal again and compares every row.")
def verify_deep() -> None:
    compare_with_portal()


def _observed(comparison: Comparison) -> dg.AssetObservation:
    changes = comparison.changes[:LISTED]
    examples = [f"{each.kind} {each.opened_at} {each.issue_type}: {each.before} → {each.after}" for each in changes]
    return dg.AssetObservation(
        service_requests.key,
        partition=None if comparison.month == UNDATED else comparison.month,
        description=str(comparison),
        metadata={
            "rows served": comparison.rows_served,
            "differences": len(comparison.changes) + comparison.quarantine_differs,
            "examples": "\n".join(examples) or "none",
        },
    )
