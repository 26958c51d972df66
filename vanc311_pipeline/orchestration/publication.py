"""The last asset, the published file, and the list of all assets."""

from collections.abc import Mapping

import dagster as dg

from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration.assets import (
    FRESH,
    LEVEL_ASSETS,
    OWNERS,
    PORTAL_DATASETS,
    WRITER_POOL,
    local_areas,
    metric_aggregates,
    raw_service_requests,
    service_requests,
)
from vanc311_pipeline.orchestration.failures import failure
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.orchestration.statistics import STATISTICS, statistics
from vanc311_pipeline.orchestration.tags import RELEASES_TAG, planned_months, read_releases
from vanc311_pipeline.plan import EMPTY
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import publish


@dg.asset(
    deps=[metric_aggregates, *STATISTICS],
    group_name="publication",
    kinds={"sqlite"},
    owners=OWNERS,
    pool=WRITER_POOL,
    freshness_policy=FRESH,
)
def published_database(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[Progress]
) -> dg.MaterializeResult[None]:
    """One immutable SQLite file with all tables, views, a dictionary and a release table: what everybody reads.

    Made beside its predecessor, checked, and renamed into place; only after every blocking check has passed.
    """
    progress.working("publishing")
    warehouse = store.open()
    try:
        about = publish(
            warehouse, store.published_path, context.run.run_id, settled_datasets(warehouse, context.run.tags)
        )
    except PipelineError as error:
        raise failure(error) from error
    return dg.MaterializeResult(
        metadata={"dagster/uri": str(store.published_path), "dagster/row_count": about["rows_stored"], **about}
    )


def settled_datasets(warehouse: Warehouse, tags: Mapping[str, str]) -> list[str]:
    """The datasets whose present release is wholly taken over: the run was planned, and every stale window is in step."""
    planned = planned_months(tags)
    if planned is None:
        return []
    with warehouse.read() as connection:
        records = ledger.months(connection)
    behind = {
        window.dataset
        for window, digest in planned.items()
        if not EMPTY.digest.startswith(digest)
        and not (window in records and records[window].fingerprint.startswith(digest))
    }
    return [release.dataset for release in read_releases(tags[RELEASES_TAG]) if release.dataset not in behind]


ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    *PORTAL_DATASETS,
    raw_service_requests,
    local_areas,
    service_requests,
    *LEVEL_ASSETS.values(),
    metric_aggregates,
    statistics,
    published_database,
]
