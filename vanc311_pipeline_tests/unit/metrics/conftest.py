"""What the tests of the metrics share: a month in a real warehouse, summed by the real statements."""

import pandas as pd
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.levels import LEVELS
from vanc311_pipeline.warehouse.aggregates import replace_aggregates, replace_level
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import load_month


@pytest.fixture(scope="session")
def summed(landed, areas, tmp_path_factory):
    """The wide tables by level, and the long one as `long`, of the rows of August 2025 (UTC)."""
    root, number = tmp_path_factory.mktemp("warehouses"), iter(range(1_000_000))

    def run(*rows) -> dict[str, pd.DataFrame]:
        warehouse = Warehouse(f"sqlite:///{root / f'{next(number)}.sqlite'}", "portal")
        warehouse.create()
        load_month(warehouse, "2025-08", [landed("2025-08", *rows)], areas, "a run", accept_shrink=False)
        for level in LEVELS:
            replace_level(warehouse, level)
        replace_aggregates(warehouse)
        with warehouse.read() as connection:
            tables = {level.name: pd.read_sql(sa.select(level.table), connection) for level in LEVELS}
            tables["long"] = pd.read_sql(sa.select(schema.metric_aggregates), connection)
        return tables

    return run
