"""The headline metrics and the statistics: one step on purpose, for tables made from one reading, in one transaction, agree."""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.assets.ingestion import local_areas, service_requests
from vanc311_pipeline.orchestration.metadata import FRESH
from vanc311_pipeline.orchestration.resources import ProgressParam, WarehouseParam
from vanc311_pipeline.registry import FAMILIES, HEADLINE, Family

STATISTICS = {name: family for family in FAMILIES for name in family.tables}
"""Every table of numbers, and the family of definitions that it belongs to."""


def statistic_spec(name: str, family: Family) -> dg.AssetSpec:
    """The asset of one table: what it holds, in the registry's words."""
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
    """Every statistic of docs/methods.md, computed anew from all requests."""
    rows = pipeline.compute(warehouse, progress)
    for name in STATISTICS:
        preview = metadata.preview(warehouse, schema.metadata.tables[name])
        yield dg.MaterializeResult(asset_key=name, metadata={"dagster/row_count": rows[name], "preview": preview})
