"""Rows in bulk, as the driver's own tuples: a million of SQLAlchemy's cost as much as all the statistics. The transaction is the callers'."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, count
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.schema import service_requests

ROWS_AT_ONCE = 1_000
"""As many as the processor keeps near: with 5,000 the same rows cost a third more."""

Row = tuple[Any, ...]

_numbers = count()


def batches(connection: sa.Connection, query: str | sa.Select[Any], **values: Any) -> Iterator[list[Row]]:
    """A query's answer, some thousands of rows at a time; `:name` stands for a value, which is a list where it follows IN."""
    cursor = _cursor(connection, query, values)
    try:
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows
    finally:
        # After an interrupt the connection may go first: SQLite's cursors go with it, and can't be closed any more.
        if not connection.closed or connection.dialect.name == "postgresql":
            cursor.close()


def _cursor(connection: sa.Connection, query: str | sa.Select[Any], values: dict[str, Any]) -> Any:
    """The driver's own cursor; in PostgreSQL one of the server's, or the whole answer would come at once."""
    lists: list[sa.BindParameter[Any]] = [
        sa.bindparam(name, expanding=True) for name, value in values.items() if isinstance(value, list)
    ]
    statement: sa.Executable = sa.text(query).bindparams(*lists) if isinstance(query, str) else query
    if connection.dialect.name != "postgresql":
        return connection.execute(statement, values).cursor
    compiled = statement.compile(dialect=connection.dialect).construct_expanded_state(values)  # type: ignore[attr-defined]
    raw: Any = connection.connection.driver_connection
    cursor = raw.cursor(name=f"rows_{next(_numbers)}")
    cursor.execute(compiled.statement, compiled.parameters)
    return cursor


def fetch(connection: sa.Connection, query: str | sa.Select[Any], **values: Any) -> Iterator[Row]:
    """A query's answer, row by row."""
    return chain.from_iterable(batches(connection, query, **values))


def in_order(table: sa.Table) -> sa.Select[Any]:
    """The rows of a table as they came."""
    return sa.select(table).order_by(sa.literal_column("rowid"))


def are_same(connection: sa.Connection, other: str, table: sa.Table, where: str, **values: Any) -> bool:
    """Whether the rows of a table that meet a condition have the same number and values in a file and in another, attached one, as SQLite
    sees it, without handing any over. If not, they may yet be the same rows under other numbers, which copying may give them.
    """
    mine, theirs = (", ".join(f"{side}.{column.name}" for column in table.columns) for side in ("here", "there"))
    query = f"""
        SELECT count(*), (SELECT count(*) FROM {other}.{table.name} WHERE {where}), (SELECT count(*) FROM main.{table.name} WHERE {where})
        FROM (SELECT rowid AS its_number, * FROM {other}.{table.name} WHERE {where}) AS there
        CROSS JOIN main.{table.name} AS here ON here.rowid = there.its_number
        WHERE ({mine}) IS ({theirs})
    """
    used = {name: value for name, value in values.items() if f":{name}" in where}
    alike, in_other, in_main = connection.execute(sa.text(query), used).one()
    return bool(alike == in_other == in_main)


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Add rows that have a value for each column."""
    names = ", ".join(table.columns.keys())
    if connection.dialect.name == "postgresql":
        raw: Any = connection.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    elif rows:
        places = ", ".join("?" * len(table.columns))
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({places})", list(rows))


def update(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Put rows in the place of those with the same key; the order of the table stays."""
    if rows:
        names = [f"new_{column.name}" for column in table.columns]
        new: dict[sa.Column[Any], Any] = dict(zip(table.columns, map(sa.bindparam, names), strict=True))
        same = sa.and_(*(key == new.pop(key) for key in table.primary_key))
        connection.execute(
            sa.update(table).where(same).values(new), [dict(zip(names, row, strict=True)) for row in rows]
        )


def months_of(connection: sa.Connection, months: Collection[str] | None) -> list[str]:
    """The UTC months that are meant, in order; None means all that requests are stored of."""
    if months is not None:
        return sorted(months)
    month = service_requests.c.partition_month
    return list(connection.scalars(sa.select(month).distinct().order_by(month)))


def rows_by_month(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    query = sa.select(table.c.partition_month, sa.func.count()).group_by(table.c.partition_month)
    return dict(connection.execute(query).all())
