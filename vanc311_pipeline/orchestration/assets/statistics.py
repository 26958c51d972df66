"""The headline metrics and the statistics.

The statistics are one step on purpose: tables made from one reading, written in one transaction, agree. What does not belong
here: formulas (`metrics`) and SQL (`warehouse.statistics`).
"""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.levels import CITYWIDE, HYPER_LOCAL, ISSUE, LEVELS, NEIGHBOURHOOD, UNLOCATED, Level
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.assets.ingestion import local_areas
from vanc311_pipeline.orchestration.assets.requests import service_requests
from vanc311_pipeline.orchestration.metadata import FRESH, OWNERS
from vanc311_pipeline.orchestration.partitions import EVERY_MONTH
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.registry import FAMILIES, HEADLINE, Family
from vanc311_pipeline.warehouse.aggregates import replace_aggregates, replace_level
from vanc311_pipeline.warehouse.statistics import replace_statistics


def metric_asset(level: Level, description: str) -> dg.AssetsDefinition:
    """The asset of one wide metrics table."""

    @dg.asset(
        name=level.table.name,
        description=f"{description}\n\n{level.table.comment}",
        deps=[dg.AssetDep(service_requests, partition_mapping=EVERY_MONTH)],
        group_name="metrics",
        kinds={"sql", "sqlite"},
        owners=OWNERS,
        metadata=metadata.table_metadata(level.table, metadata.metric_lineage(level.table, service_requests.key)),
        freshness_policy=FRESH,
    )
    def metrics(store: StoreResource, progress: dg.ResourceParam[Progress]) -> dg.MaterializeResult[None]:
        progress.working(level.table.name)
        warehouse = store.open()
        rows = replace_level(warehouse, level)
        return dg.MaterializeResult(
            metadata={"dagster/row_count": rows, "preview": metadata.preview(warehouse, level.table)}
        )

    return metrics


LEVEL_ASSETS = {
    level.name: metric_asset(level, description)
    for level, description in (
        (CITYWIDE, "The four metrics for the whole city, in both scopes."),
        (NEIGHBOURHOOD, "The four metrics of each of the 22 local areas."),
        (ISSUE, "The four metrics of each issue type, in both scopes."),
        (HYPER_LOCAL, "The four metrics of each issue type in each local area."),
        (UNLOCATED, "The four metrics of the requests that have no local area, by issue type."),
    )
}


@dg.asset(
    deps=list(LEVEL_ASSETS.values()),
    group_name="metrics",
    kinds={"sql", "sqlite"},
    owners=OWNERS,
    freshness_policy=FRESH,
    metadata=metadata.table_metadata(
        schema.metric_aggregates,
        metadata.aggregate_lineage({LEVEL_ASSETS[level.name].key: level.table for level in LEVELS}),
    ),
)
def metric_aggregates(store: StoreResource) -> dg.MaterializeResult[None]:
    """All metrics in one long table: level, scope, group, metric, value, and n, the requests behind the value."""
    warehouse = store.open()
    rows = replace_aggregates(warehouse)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "preview": metadata.preview(warehouse, schema.metric_aggregates)}
    )


STATISTICS = {name: family for family in FAMILIES if family is not HEADLINE for name in family.tables}
"""Every table of statistics, and the family of definitions that it belongs to."""


def statistic_spec(name: str, family: Family) -> dg.AssetSpec:
    """The asset of one table: what it holds, in the registry's words."""
    table = schema.metadata.tables[name]
    return dg.AssetSpec(
        name,
        description=f"{table.comment}\n\n{family.plain}\n\n**Limits.** {family.limits}",
        deps=[dg.AssetDep(service_requests, partition_mapping=EVERY_MONTH), local_areas],
        group_name="statistics",
        kinds={"python", "sqlite"},
        owners=OWNERS,
        metadata=metadata.table_metadata(table, metadata.statistic_lineage(table, service_requests.key)),
        freshness_policy=FRESH,
    )


@dg.multi_asset(
    name="statistics",
    specs=[statistic_spec(name, family) for name, family in STATISTICS.items()],
)
def statistics(store: StoreResource, progress: dg.ResourceParam[Progress]) -> Iterator[dg.MaterializeResult[None]]:
    """Every statistic of docs/methods.md, computed anew from all requests."""
    progress.working("statistics")
    warehouse = store.open()
    rows = replace_statistics(warehouse)
    for name in STATISTICS:
        preview = metadata.preview(warehouse, schema.metadata.tables[name])
        yield dg.MaterializeResult(asset_key=name, metadata={"dagster/row_count": rows[name], "preview": preview})
