"""The headline metrics and the statistics.

They are one step on purpose: tables made from one reading, written in one transaction, agree. What does not belong
here: formulas (`metrics`) and SQL (`warehouse.statistics`).
"""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline import pipeline, schema
from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.assets.ingestion import local_areas
from vanc311_pipeline.orchestration.assets.requests import service_requests
from vanc311_pipeline.orchestration.metadata import FRESH, OWNERS
from vanc311_pipeline.orchestration.partitions import EVERY_MONTH
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.registry import FAMILIES, HEADLINE, Family

STATISTICS = {name: family for family in FAMILIES for name in family.tables}
"""Every table of numbers, and the family of definitions that it belongs to."""


def statistic_spec(name: str, family: Family) -> dg.AssetSpec:
    """The asset of one table: what it holds, in the registry's words."""
    table = schema.metadata.tables[name]
    deps = [dg.AssetDep(service_requests, partition_mapping=EVERY_MONTH), dg.AssetDep(local_areas)]
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
        owners=OWNERS,
        metadata=metadata.table_metadata(table, *origins),
        freshness_policy=FRESH,
    )


@dg.multi_asset(
    name="statistics",
    specs=[statistic_spec(name, family) for name, family in STATISTICS.items()],
)
def statistics(store: StoreResource, progress: dg.ResourceParam[Progress]) -> Iterator[dg.MaterializeResult[None]]:
    """Every statistic of docs/methods.md, computed anew from all requests."""
    rows = pipeline.compute(store.places, progress)
    for name in STATISTICS:
        preview = metadata.preview(store.places.warehouse, schema.metadata.tables[name])
        yield dg.MaterializeResult(asset_key=name, metadata={"dagster/row_count": rows[name], "preview": preview})
