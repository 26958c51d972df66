"""How an audit asks and answers: its finding, and the queries that several audits share. They only read.

Months are UTC months of the opening instant; None means all of them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.metrics.groups import KEYS
from vanc311_pipeline.requests.cleaning import local_day
from vanc311_pipeline.schema import month_ledger, service_requests
from vanc311_pipeline.timezone import VANCOUVER
from vanc311_pipeline.warehouse.rows import Row, fetch

Months = Collection[str] | None

EXAMPLES = 5
LISTED = 20  # problems in a finding's one line; all are counted
GROUP_KEYS = (*KEYS, "period")
GROUP = " || '|' || ".join(f"coalesce({key}, '')" for key in GROUP_KEYS)
"""A group and period as one text, by which two tables are joined: half of these are null."""
_SHOWN = (
    "request_id", "department", "issue_type", "status", "opened_at", "closed_on", "modified_at", "local_area", "latitude", "longitude",
)  # fmt: skip
_KEYS_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """An audit's answer."""

    problems: list[str] = field(default_factory=list)
    """What must not be: our data is wrong or not proven."""
    notes: list[str] = field(default_factory=list)
    """What is odd in the city's own data: kept, counted, said."""
    counts: Mapping[str, int | float | str] = field(default_factory=dict)
    """What was looked at, in numbers."""
    table: Sequence[Mapping[str, int | str]] = ()
    """What was compared, line by line, if that fits on a page."""
    offending: Sequence[tuple[str, str]] = ()
    """Some of the rows that are wrong or odd: what is, and the row in words."""

    @property
    def result(self) -> str:
        """A problem fails, a note only warns."""
        return "failed" if self.problems else "warned" if self.notes else "passed"

    @property
    def sentence(self) -> str | None:
        """What was found, in one line; None if nothing was."""
        lines = [*self.problems, *self.notes]
        more = f" … and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
        return "; ".join(lines[:LISTED]) + more or None


def release_of(connection: sa.Connection, month: str) -> dict[str, str]:
    """A month, the day of the release that its rows came with, and the instant at which that day ended: for queries."""
    newest = connection.scalar(
        sa.select(sa.func.max(month_ledger.c.data_processed)).where(month_ledger.c.partition_month == month)
    )
    day = local_day(newest) if newest else date(1970, 1, 1)
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(VANCOUVER)).astimezone(UTC)
    return {"month": month, "day": str(day), "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def count(connection: sa.Connection, query: str) -> int:
    return int(connection.execute(sa.text(query)).scalar_one())


def request_rows(connection: sa.Connection, columns: list[str], month: str, where: str = "true") -> list[Row]:
    """Some columns of a month's requests."""
    query = f"SELECT {', '.join(columns)} FROM service_requests WHERE partition_month = :month AND {where}"
    return list(fetch(connection, query, month=month))


def requests_of(connection: sa.Connection, columns: list[str], month: str, where: str = "true") -> pd.DataFrame:
    kinds = {name: "float64" if isinstance(service_requests.c[name].type, sa.REAL) else None for name in columns}
    rows = zip(*request_rows(connection, columns, month, where), strict=True)
    by_column = dict(zip(columns, rows, strict=False))
    return pd.DataFrame({name: pd.Series(by_column.get(name, ()), dtype=kind) for name, kind in kinds.items()})


def count_each(
    connection: sa.Connection, tests: dict[str, str], months: Months, **values: str
) -> list[tuple[str, int]]:
    """How many requests of the months meet each condition, in one pass over them."""
    sums = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests.values())
    query = sa.text(f"SELECT {sums} FROM service_requests")
    if months is not None:
        query = sa.text(f"{query.text} WHERE partition_month IN :months")
        query = query.bindparams(sa.bindparam("months", sorted(months), expanding=True, type_=sa.TEXT))
    row = connection.execute(query, values).one()
    return [(what, int(rows)) for what, rows in zip(tests, row, strict=True)]


def noted(connection: sa.Connection, months: Months, tests: dict[str, str], **values: str) -> Finding:
    """Whatever meets a condition is odd in the city's own data."""
    counted = count_each(connection, tests, months, **values)
    met = {what: tests[what] for what, rows in counted if rows}
    notes = [f"{rows:,} requests: {what}" for what, rows in counted if rows]
    return Finding(notes=notes, counts=dict(counted), offending=examples(connection, met, months, **values))


def forbidden(connection: sa.Connection, months: Months, tests: dict[str, str]) -> Finding:
    """Whatever meets a condition is wrong."""
    counted = count_each(connection, tests, months)
    met = {what: tests[what] for what, rows in counted if rows}
    problems = [f"{rows:,} rows: {what}" for what, rows in counted if rows]
    return Finding(problems, offending=examples(connection, met, months))


def examples(connection: sa.Connection, tests: dict[str, str], months: Months, **values: str) -> list[tuple[str, str]]:
    """Some of the requests that meet each condition, in words."""
    within = "" if months is None else " AND partition_month IN :months"
    rows: list[tuple[str, str]] = []
    for what, test in tests.items():
        query = sa.text(f"SELECT {', '.join(_SHOWN)} FROM service_requests WHERE ({test}){within} LIMIT {EXAMPLES}")
        if months is not None:
            query = query.bindparams(sa.bindparam("months", sorted(months), expanding=True, type_=sa.TEXT))
        asked = {name: value for name, value in values.items() if f":{name}" in test}
        rows += [(what, in_words(row._asdict())) for row in connection.execute(query, asked)]
    return rows


def in_words(row: Mapping[Any, Any]) -> str:
    """A row as a line of text."""
    return ", ".join(f"{name} {'is null' if pd.isna(value) else value}" for name, value in row.items())


def sizes(connection: sa.Connection, *tables: sa.Table) -> dict[str, int]:
    """The rows of each table."""
    return {table.name: count(connection, f"SELECT count(*) FROM {table.name}") for table in tables}


def none_where(connection: sa.Connection, law: str, where: str) -> list[str]:
    """A problem if a table has rows that break a law; `where` is what follows FROM."""
    counted = count(connection, f"SELECT count(*) FROM {where}")
    if not counted:
        return []
    first = connection.execute(sa.text(f"SELECT * FROM {where} LIMIT 1")).one()._asdict()
    return [f"{law}: fails in {counted:,} rows, such as {in_words(dict(list(first.items())[:_KEYS_SHOWN]))}"]
