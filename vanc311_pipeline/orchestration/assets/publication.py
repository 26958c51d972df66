"""The way out: the published file, its shipment, and which assets there are."""

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.orchestration.asset_checks import last_results
from vanc311_pipeline.orchestration.assets.ingestion import (
    PORTAL_DATASETS,
    local_areas,
    raw_service_requests,
    service_requests,
)
from vanc311_pipeline.orchestration.assets.statistics import STATISTICS, statistics
from vanc311_pipeline.orchestration.failures import in_our_words
from vanc311_pipeline.orchestration.metadata import FRESH
from vanc311_pipeline.orchestration.resources import ProgressParam, WarehouseParam
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import ObjectStore


@dg.asset(deps=[*STATISTICS], group_name="publication", kinds={"sqlite"}, freshness_policy=FRESH)
def published_database(
    context: dg.AssetExecutionContext, warehouse: WarehouseParam, progress: ProgressParam
) -> dg.MaterializeResult[None]:
    """One immutable SQLite file with all tables, views, a dictionary and a release table: what everybody reads.

    Made beside its predecessor, checked, and renamed into place; only after every blocking check has passed.
    """
    run = Run(context.run.run_id, plan_of(context.run, warehouse))
    with in_our_words():
        about = pipeline.publish(warehouse, run, last_results(context.instance), progress)
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": str(warehouse.settings.published_path),
            "dagster/row_count": about["rows_stored"],
            **about,
        }
    )


@dg.asset(deps=[published_database], group_name="publication", kinds={"objectstore"})
def shipped_database(context: dg.AssetExecutionContext, warehouse: WarehouseParam) -> dg.MaterializeResult[None]:
    """The published file in an object store, from which replicas serve it.

    Put there under its own digest, read back, and only then named as the one that counts. What does not get there is tried
    again with the next slot, even if the portal has nothing new.
    """
    with in_our_words():
        shipped = pipeline.ship(warehouse, Run(context.run.run_id))
    if shipped is None:
        return dg.MaterializeResult(metadata={"shipped": "nothing: nothing was published yet"})
    shipment, about = shipped
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": f"{ObjectStore.of(warehouse.settings).address}/{shipment.name}",
            "sha256": shipment.sha256,
            "bytes": shipment.size,
            "as of": str(about["as_of"]),
            "earlier releases kept": len(shipment.before),
        }
    )


def assets(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All assets; the shipment is one only where something ships."""
    always = [raw_service_requests, local_areas, service_requests, statistics, published_database]
    return [*PORTAL_DATASETS, *always, *([shipped_database] if settings.ship_url else [])]
