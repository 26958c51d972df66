"""The assets of the statistics: one step that makes all their tables from one reading of the requests.

What belongs here: names, descriptions, dependencies, what the step reports. What does not: formulas (`metrics`) and SQL
(`warehouse.statistics`). It is one step on purpose: tables made from one reading, written in one transaction, agree.
"""

from collections.abc import Iterator

import dagster as dg

from vanc311_pipeline import schema
from vanc311_pipeline.orchestration import columns
from vanc311_pipeline.orchestration.assets import FRESH, OWNERS, local_areas, service_requests
from vanc311_pipeline.orchestration.partitions import EVERY_MONTH
from vanc311_pipeline.orchestration.pictures import pictures
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.registry import FAMILIES, HEADLINE, Family
from vanc311_pipeline.warehouse.statistics import replace_statistics

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
        metadata=columns.table_metadata(table, columns.statistic_lineage(table, service_requests.key)),
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
    with warehouse.read() as connection:
        for name in STATISTICS:
            preview = columns.preview(warehouse, schema.metadata.tables[name])
            yield dg.MaterializeResult(
                asset_key=name,
                metadata={**pictures(connection, name), "dagster/row_count": rows[name], "preview": preview},
            )
