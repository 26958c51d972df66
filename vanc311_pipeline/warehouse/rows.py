"""Rows in bulk, as the driver's own tuples: a million of SQLAlchemy's cost as much as all the statistics.

What belongs here: how many rows leave a table, or enter it, at once, in SQLite and in PostgreSQL. What does not: which rows.
Callers pass the connection; the transaction is theirs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from vanc311_pipeline.schema import service_requests

ROWS_AT_ONCE = 5_000

Row = tuple[Any, ...]

_numbers = count()


def batches(connection: sa.Connection, query: str | sa.Select[Any], **values: Any) -> Iterator[list[Row]]:
    """A query's answer, some thousands of rows at a time.

    Args:
        values: what `:name` stands for in the query; a list where it follows IN.
    """
    statement = _bound(query, values) if isinstance(query, str) else query
    cursor = _cursor(connection, statement, values)
    try:
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield rows
    finally:
        # After an interrupt the connection may go first: SQLite's cursors go with it, and can't be closed any more.
        if not connection.closed or connection.dialect.name == "postgresql":
            cursor.close()


def _cursor(connection: sa.Connection, statement: sa.Executable, values: dict[str, Any]) -> Any:
    """The driver's own cursor; in PostgreSQL one of the server's, or the whole answer would come at once."""
    if connection.dialect.name != "postgresql":
        return connection.execute(statement, values).cursor
    said = statement.compile(dialect=connection.dialect).construct_expanded_state(values)  # type: ignore[attr-defined]
    raw: Any = connection.connection.driver_connection
    cursor = raw.cursor(name=f"rows_{next(_numbers)}")
    cursor.execute(said.statement, said.parameters)
    return cursor


def fetch(connection: sa.Connection, query: str | sa.Select[Any], **values: Any) -> Iterator[Row]:
    """A query's answer, row by row."""
    return chain.from_iterable(batches(connection, query, **values))


def in_order(table: sa.Table) -> sa.Select[Any]:
    """The rows of a table as they came."""
    return sa.select(table).order_by(sa.literal_column("rowid"))


def _bound(query: str, values: dict[str, Any]) -> sa.TextClause:
    several: list[sa.BindParameter[Any]] = [
        sa.bindparam(name, expanding=True) for name, value in values.items() if isinstance(value, list)
    ]
    return sa.text(query).bindparams(*several)


def of(table: sa.Table, lines: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Named values as rows of a table; a name for each of its columns."""
    return [tuple(line[column.name] for column in table.columns) for line in lines]


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Add rows that have a value for each column."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, table.name, table, rows)
    else:
        connection.exec_driver_sql(str(sa.insert(table).compile(dialect=sqlite.dialect())), list(rows))


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Add rows, or put them in place of those with the same primary key."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _merge(connection, table, rows)
    else:
        statement = sqlite.insert(table)
        replacing = statement.on_conflict_do_update(
            index_elements=_keys(table), set_=_others(table, statement.excluded)
        )
        connection.exec_driver_sql(str(replacing.compile(dialect=sqlite.dialect())), list(rows))


def _merge(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """By way of a table of this transaction's: COPY knows no conflicts."""
    names, incoming = ", ".join(table.columns.keys()), f"incoming_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {incoming} ON COMMIT DROP AS SELECT {names} FROM {table.name} WITH NO DATA"
    )
    _copy(connection, incoming, table, rows)
    source = sa.table(incoming, *(sa.column(column.name) for column in table.columns))
    statement = postgresql.insert(table).from_select(table.columns.keys(), sa.select(source))
    connection.execute(
        statement.on_conflict_do_update(index_elements=_keys(table), set_=_others(table, statement.excluded))
    )
    connection.exec_driver_sql(f"DROP TABLE {incoming}")


def _copy(connection: sa.Connection, name: str, table: sa.Table, rows: Iterable[Row]) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {name} ({', '.join(table.columns.keys())}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _keys(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _others(table: sa.Table, excluded: Any) -> dict[str, Any]:
    return {column.name: excluded[column.name] for column in table.columns if not column.primary_key}


def months_of(connection: sa.Connection, months: Collection[str] | None) -> list[str]:
    """The UTC months that are meant, in order; None means all that requests are stored of."""
    if months is not None:
        return sorted(months)
    return list(
        connection.scalars(
            sa.select(service_requests.c.partition_month).distinct().order_by(service_requests.c.partition_month)
        )
    )


def rows_by_month(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    """How many rows a table has of each UTC month."""
    query = sa.select(table.c.partition_month, sa.func.count()).group_by(table.c.partition_month)
    return dict(connection.execute(query).all())
