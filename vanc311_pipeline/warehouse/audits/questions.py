"""What an audit is: how it is declared, what it may look at, how it answers, and the queries that several share. They only read.

An audit is declared once, by the decorator above its function: which asset it guards, by what name, and whether a problem blocks.
The first paragraph of its docstring is what people read about it, in Dagster's UI, in the published file and on the dashboard.
Months are UTC months of the opening instant; None means all of them.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.schema import month_ledger, service_requests
from vanc311_pipeline.timezone import begin_of, local_day
from vanc311_pipeline.warehouse.areas import areas_of_points
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.rows import Row, fetch, months_of

Months = Collection[str] | None

EXAMPLES = 5
LISTED = 20  # problems in a finding's one line; all are counted
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


_DATED = """
    WITH dated AS MATERIALIZED (
        SELECT local_area, issue_type, status, opened_on, days_to_close, days_to_update,
               CAST(round((julianday(modified_at) - julianday(opened_at)) * 86400) AS BIGINT) AS seconds,
               CAST(julianday(closed_on) - julianday(opened_on) AS INTEGER) AS days,
               coalesce(closed_on > :day, false) AS not_closed_yet, coalesce(modified_at >= :end, false) AS not_changed_yet
        FROM service_requests WHERE partition_month = :month
    )
"""


def dated(connection: sa.Connection, month: str, select: str) -> Iterator[Row]:
    """A question about a month's requests, their days and seconds, and whether these end after the day of their release."""
    newest = connection.scalar(
        sa.select(sa.func.max(month_ledger.c.data_processed)).where(month_ledger.c.partition_month == month)
    )
    day = local_day(newest) if newest else date(1970, 1, 1)
    # Materialized, or both differences would be worked out again for each count. A Julian day holds 40 µs.
    return fetch(connection, f"{_DATED} {select}", month=month, day=str(day), end=begin_of(day + timedelta(days=1)))


def count(connection: sa.Connection, query: str) -> int:
    return int(connection.execute(sa.text(query)).scalar_one())


def request_rows(connection: sa.Connection, columns: list[str], month: str, where: str = "true") -> list[Row]:
    query = f"SELECT {', '.join(columns)} FROM service_requests WHERE partition_month = :month AND {where}"
    return list(fetch(connection, query, month=month))


def among(table: sa.Table, months: Months) -> sa.ColumnElement[bool]:
    """That a row is of the months."""
    return sa.true() if months is None else table.c.partition_month.in_(sorted(months))


def noted(connection: sa.Connection, months: Months, tests: Mapping[str, str], **values: str) -> Finding:
    """Whatever meets a condition is odd in the city's own data."""
    counts, examples = _meeting(connection, months, tests, values)
    return Finding(
        notes=[f"{n:,} requests: {what}" for what, n in counts.items() if n], counts=counts, offending=examples
    )


def forbidden(connection: sa.Connection, months: Months, tests: Mapping[str, str]) -> Finding:
    """Whatever meets a condition is wrong."""
    counts, examples = _meeting(connection, months, tests, {})
    return Finding([f"{n:,} rows: {what}" for what, n in counts.items() if n], offending=examples)


def _meeting(
    connection: sa.Connection, months: Months, tests: Mapping[str, str], values: Mapping[str, str]
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """How many requests of the months meet each condition, in one pass over them, and some of them in words."""
    within = among(service_requests, months)
    sums = [sa.func.count().filter(sa.text(test)) for test in tests.values()]
    row = connection.execute(sa.select(*sums).select_from(service_requests).where(within), values).one()
    counts = {what: int(rows) for what, rows in zip(tests, row, strict=True)}
    some = sa.select(*(service_requests.c[name] for name in _SHOWN)).where(within).limit(EXAMPLES)
    examples = [
        (what, in_words(request._asdict()))
        for what, rows in counts.items()
        if rows
        for request in connection.execute(some.where(sa.text(tests[what])), values)
    ]
    return counts, examples


def in_words(row: Mapping[Any, Any]) -> str:
    return ", ".join(f"{name} {'is null' if pd.isna(value) else value}" for name, value in row.items())


def sizes(connection: sa.Connection, *tables: str) -> dict[str, int]:
    return {table: count(connection, f"SELECT count(*) FROM {table}") for table in tables}


def newest_release(connection: sa.Connection) -> dict[str, str]:
    """The instant of the newest release that rows came with, and the day that it was in Vancouver."""
    release = connection.scalar(sa.select(sa.func.max(month_ledger.c.data_processed))) or "9999-01-01T00:00:00Z"
    return {"release": release, "day": str(local_day(release))}


def broken(connection: sa.Connection, laws: Mapping[str, str]) -> list[str]:
    """What is said of the rows of each law's query, which must have none: of each by itself if the words name its columns."""
    problems = []
    for words, query in laws.items():
        rows = connection.execute(sa.text(query)).mappings().all()
        if "{" in words:
            problems += [words.format_map(row) for row in rows]
        elif rows:
            example = in_words(dict(list(rows[0].items())[:_KEYS_SHOWN]))
            problems.append(f"{words}: fails in {len(rows):,} rows, such as {example}")
    return problems


@dataclass(frozen=True)
class Points:
    """Where the requests' coordinates lie."""

    counts: Counter[str] = field(default_factory=Counter)
    """Of the `points`, those `outside` all areas; of those whose request has a `stated` area, those that lie `elsewhere`."""
    outside: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """Some of them, in words."""


def locate(connection: sa.Connection, months: Months) -> Points:
    """Find the area that each point lies in."""
    points = Points()
    columns = ["request_id", "issue_type", "latitude", "longitude", "local_area"]
    for month in months_of(connection, months):
        rows = request_rows(connection, columns, month, "latitude IS NOT NULL AND longitude IS NOT NULL")
        frame = pd.DataFrame(rows, columns=columns)
        inside = areas_of_points(connection, frame["longitude"].to_numpy(), frame["latitude"].to_numpy())
        outside, stated = pd.isna(inside), frame["local_area"].notna().to_numpy()
        elsewhere = stated & (inside != frame["local_area"].to_numpy(dtype=object))
        points.counts["points"] += len(frame)
        for name, which in (("outside", outside), ("stated", stated), ("elsewhere", elsewhere)):
            points.counts[name] += int(which.sum())
        lying = frame.assign(**{"the point lies in": inside})
        for some, which in ((points.outside, outside), (points.elsewhere, elsewhere)):
            some += map(in_words, lying[which].head(EXAMPLES - len(some)).to_dict("records"))
    return points


@dataclass(frozen=True)
class AuditContext:
    """What an audit may look at. Its function takes what it needs of it, as parameters of these names."""

    warehouse: Warehouse
    connection: sa.Connection
    months: Months = None
    """UTC months; None means all."""
    planned: bool = False
    """The run went by a plan, to load all that differs; else a month that was left alone may be behind, which is only said."""

    @cached_property
    def points(self) -> Points:
        """Where the coordinates lie: two audits ask."""
        return locate(self.connection, self.months)


@dataclass(frozen=True)
class Audit:
    """A question about what is stored, and what follows from its answer."""

    asset: str
    name: str
    blocking: bool
    """A problem stops the run; an audit that doesn't block only has notes."""
    asks_portal: bool
    """It needs the portal's present answer: a planned run has it, any other run asks first."""
    question: Callable[..., Finding]

    @property
    def description(self) -> str:
        """What is claimed: the first paragraph of the docstring, in one line."""
        return " ".join((inspect.getdoc(self.question) or "").split("\n\n")[0].split())

    @property
    def shares(self) -> str | None:
        """What it finds in its context that another audit has left there."""
        return "points" if "points" in self._parameters else None

    @property
    def _parameters(self) -> Collection[str]:
        return inspect.signature(self.question).parameters

    def __call__(self, context: AuditContext) -> Finding:
        return self.question(**{name: getattr(context, name) for name in self._parameters})


def audit(
    asset: str, name: str, *, blocking: bool = True, asks_portal: bool = False
) -> Callable[[Callable[..., Finding]], Audit]:
    """Declare a function as the audit of that name, of that asset."""
    return lambda question: Audit(asset, name, blocking, asks_portal, question)
