"""The metric tables' writes: each is replaced in one transaction, so no reader sees one half new.

The formulas are in `metrics.levels`; only the transactions belong here.
"""

import sqlalchemy as sa

from vanc311_pipeline.metrics.levels import Level, fill, fill_aggregates
from vanc311_pipeline.schema import metric_aggregates
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse


def replace_level(warehouse: Warehouse, level: Level) -> int:
    """Sum one level anew from the cells; the number of its rows."""
    with warehouse.write() as connection:
        return _replace(connection, level.table, fill(level, ledger.as_of(connection)))


def replace_aggregates(warehouse: Warehouse) -> int:
    """Write the long table anew from the wide ones; the number of its rows."""
    with warehouse.write() as connection:
        return _replace(connection, metric_aggregates, fill_aggregates())


def _replace(connection: sa.Connection, table: sa.Table, statements: list[sa.Insert]) -> int:
    connection.execute(sa.delete(table))
    for statement in statements:
        connection.execute(statement)
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
