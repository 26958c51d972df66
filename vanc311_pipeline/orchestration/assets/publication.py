"""The way out: the statistics, the published file, its shipment, and which assets there are."""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.metric_definitions import HEADLINE, Family
from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.asset_checks import last_results
from vanc311_pipeline.orchestration.assets import ingestion
from vanc311_pipeline.orchestration.assets.ingestion import local_areas, service_requests
from vanc311_pipeline.orchestration.failures import in_our_words
from vanc311_pipeline.orchestration.metadata import FRESH, STATISTICS
from vanc311_pipeline.orchestration.resources import ProgressParam, WarehouseParam
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import AFTER_PUBLICATION, Run
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse.audits import AUDITS


def statistic_spec(name: str, family: Family) -> dg.AssetSpec:
    """The asset of one table: what it holds, in the words of its definition."""
    table = schema.metadata.tables[name]
    deps = [dg.AssetDep(service_requests, partition_mapping=dg.AllPartitionMapping()), dg.AssetDep(local_areas)]
    origins = [(service_requests.key, schema.service_requests.columns.keys())]
    if table is schema.metric_aggregates:
        origins = [(dg.AssetKey(wide), schema.metadata.tables[wide].columns.keys()) for wide, _ in WIDE.values()]
        deps = [dg.AssetDep(key) for key, _ in origins]
    return dg.AssetSpec(
        name,
        description=f"{table.comment}\n\n{family.plain}\n\n**Limits.** {family.limits}",
        deps=deps,
        group_name="metrics" if family is HEADLINE else "statistics",
        kinds={"python", "sqlite"},
        metadata=metadata.table_metadata(table, *origins),
        freshness_policy=FRESH,
    )


@dg.multi_asset(name="statistics", specs=[statistic_spec(name, family) for name, family in STATISTICS.items()])
def statistics(warehouse: WarehouseParam, progress: ProgressParam) -> Iterator[dg.MaterializeResult[None]]:
    """Every statistic of docs/methods.md, computed anew from all requests. One step on purpose: tables from one reading agree."""
    with in_our_words():
        rows = pipeline.compute(warehouse, progress)
    for name in STATISTICS:
        preview = metadata.preview(warehouse, schema.metadata.tables[name])
        yield dg.MaterializeResult(asset_key=name, metadata={"dagster/row_count": rows[name], "preview": preview})


@dg.asset(
    deps=[*STATISTICS],
    group_name="statistics",
    kinds={"python", "sqlite"},
    metadata=metadata.table_metadata(
        schema.briefs, (dg.AssetKey("monthly_series"), schema.monthly_series.columns.keys())
    ),
)
def briefs(context: dg.AssetExecutionContext, warehouse: WarehouseParam) -> dg.MaterializeResult[None]:
    """What is said of a month on one sheet, of the city, each area and each department. Made once, when the month has settled; kept for good."""
    made = pipeline.make_briefs(warehouse, Run(context.run.run_id))
    preview = metadata.preview(warehouse, schema.briefs)
    return dg.MaterializeResult(metadata={"briefs made": made, "preview": preview})


@dg.asset(deps=[*STATISTICS, briefs], group_name="publication", kinds={"sqlite"}, freshness_policy=FRESH)
def published_database(
    context: dg.AssetExecutionContext, warehouse: WarehouseParam, progress: ProgressParam
) -> dg.MaterializeResult[None]:
    """One immutable SQLite file with all tables, views, a dictionary and a release table: what everybody reads.

    Made beside its predecessor, checked, and renamed into place; only after every blocking check has passed.
    """
    run = Run(context.run.run_id, plan_of(context.run, warehouse))
    before = [
        audit for audit in AUDITS if audit.asset not in AFTER_PUBLICATION
    ]  # those of the file itself come after it
    with in_our_words():
        about = pipeline.publish(warehouse, run, last_results(context.instance, before), progress)
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
    always = [ingestion.raw_service_requests, local_areas, service_requests, statistics, briefs, published_database]
    return [*ingestion.PORTAL_DATASETS, *always, *([shipped_database] if settings.ship_url else [])]
