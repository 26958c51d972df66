"""What a department, or a group of them, has to do: what came in of each of its types in a period or a month, what is open, what is
overdue, what grew, and whether it is closed faster than a year before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import reported, words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.numbers import against_the_speed_before
from vanc311_pipeline.dashboard.requests import OVERDUE, RequestFilters, origin_notes
from vanc311_pipeline.dashboard.tables import MOST, Cell, Row, issue_cell, stands_out, told
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.months import months_before
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import group_name, group_of, plain
from vanc311_pipeline.reading.release import Question, Release
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline.settings import LICENCE

TYPE = Group("issue")
YEAR = 12


def types(release: Release, labels: Sequence[str], period: str) -> list[Row]:
    """Each type whose newest request is one of theirs, those reported most first."""
    own = _own(release, labels, schema.time_to_close, "volume", period=period)
    return told(release, View(period=period), TYPE, "all", own, [service_requests.c.department.in_(labels)])


def _own(release: Release, labels: Sequence[str], table: sa.Table, most: str, **values: str) -> list[Row]:
    """The rows of their types, those with most first."""
    newest = dict(release.remembered("departments of types", _newest))
    rows = records_of_group(release, table, TYPE, scope="all", **values)
    own = [row for row in rows if newest.get(row["issue_type"]) in labels]
    return sorted(own, key=lambda row: (-row[most], row["issue_type"]))


def months(release: Release) -> list[str]:
    """The whole months that late entries no longer move, the newest first."""
    month = schema.monthly_series.c
    city = month.level == "citywide", month.scope == "all", month.provisional == "no"
    return release.scalars(sa.select(month.month).where(*city).order_by(month.month.desc()))


def of_month(release: Release, labels: Sequence[str], month: str) -> list[Row]:
    """What came in and what went of each type in a month, with what came in a year before, and how much was closed in time."""
    series = schema.monthly_series
    before = {
        row["issue_type"]: row["opened"]
        for row in _own(release, labels, series, "opened", month=months_before(month, YEAR))
    }
    horizon = {row["issue_type"]: row["horizon_days"] for row in _own(release, labels, schema.speed_on_year, "n")}
    rows = _own(release, labels, series, "opened", month=month)
    return [
        row
        | {"name": issue_cell(View(), row["issue_type"]), "before": before.get(row["issue_type"])}
        | _in_time(row, horizon[row["issue_type"]])
        for row in rows
        if row["opened"] or row["closed_in"] or row["open_at_end"]
    ]


def _in_time(row: Row, days: int) -> Row:
    """How much of what came in was closed within the days that suit the type's speed, or why that is not said."""
    share, low, high, state, n = (row[f"{name}_{days}{end}"] for name, end in _SHARE)
    why = words.WITHHELD.get(state)
    text = why or f"{words.percent(share)} ({words.percent(low)} to {words.percent(high)})"
    return {"days": days, "share": share, "matured": n, "in_time": Cell(text, quiet=bool(why))}


_SHARE = ("share", ""), ("share", "_low"), ("share", "_high"), ("share", "_state"), ("n", "")


def summary_of_month(release: Release, labels: Sequence[str], month: str, rows: Sequence[Row]) -> str:
    """What the departments' own requests of a month come to, and which of their types grew most; of chance nothing is said."""
    own, before = (_of_departments(release, labels, each) for each in (month, months_before(month, YEAR)))
    opened, closed, left = (sum(row[name] or 0 for row in own or ()) for name in ("opened", "closed_in", "open_at_end"))
    ago = "" if before is None else f" ({words.whole(sum(row['opened'] or 0 for row in before))} a year before)"
    grown = sorted(
        (row for row in rows if row["opened"] > (row["before"] or inf)), key=lambda row: row["before"] - row["opened"]
    )
    most = [
        f"{row['name'].text} ({words.whole(row['before'])} to {words.whole(row['opened'])})" for row in grown[:MOST]
    ]
    growers = f" Grown most against a year before, by chance or not: {'; '.join(most)}." if most else ""
    return (
        f"In {words.month(month)}, {words.requests(opened)} {words.be(opened, 'was', 'were')} opened{ago} and "
        f"{words.whole(closed)} closed; {words.whole(left)} were open at its end.{growers}"
    )


def _of_departments(release: Release, labels: Sequence[str], month: str) -> list[Row] | None:
    """The rows of the departments themselves; None where the record does not hold the month."""
    rows = records_of_group(release, schema.monthly_series, Group("department"), scope="all", month=month)
    return [row for row in rows if row["department"] in labels] if rows else None


def grown_beyond_chance(release: Release, labels: Sequence[str]) -> str:
    """Of which types more were reported than a year before, by more than chance, so many types looked at."""
    rows = [row for row in _own(release, labels, schema.year_on_year, "requests", measure="opened") if stands_out(row)]
    more = [row for row in rows if row["verdict"] == "more"]
    told_of = [
        f"{plain('issue', row['issue_type'])} ({words.whole(row['requests_year_before'])} to {words.whole(row['requests'])})"
        for row in more
    ]
    weeks = "in the last four settled weeks than in the same a year before, beyond chance (q ≤ 0.05 over all types)"
    return f"More {weeks}: {'; '.join(told_of)}." if more else f"None of its types was reported more {weeks}."


def better_or_worse(release: Release, labels: Sequence[str]) -> str:
    """Whether requests are closed faster than a year before: of one department in its numbers, of several by how many."""
    rows = records_of_group(release, schema.speed_on_year, Group("department"), scope="all")
    own = [row for row in rows if row["department"] in labels]
    if len(labels) == 1:
        return against_the_speed_before(own[0])
    branches = {
        verdict: [plain("department", row["department"]) for row in own if row["verdict"] == verdict]
        for verdict in ("faster", "slower", "about the same")
    }
    parts = [f"closed {how} in {words.listed(branches[how])}" for how in ("faster", "slower") if branches[how]]
    judged = sum(map(len, branches.values()))
    return (
        f"Against the 52 weeks before, beyond chance, requests are {' and '.join(parts) or 'closed faster or slower in no branch'}; "
        f"about as fast in {words.whole(len(branches['about the same']))}; of the other {words.whole(len(own) - judged)} it can’t be told."
    )


def channels(release: Release, labels: Sequence[str], name: str) -> Figure | None:
    """In which ways the departments' own requests were reported; None if there were none."""
    rows = records_of_group(release, schema.channels, Group("department"), scope="all")
    own = pd.DataFrame([row for row in rows if row["department"] in labels])
    if own.empty:
        return None
    volume = own.drop_duplicates("department")["volume"].sum()
    together = own.groupby("channel", as_index=False).agg({"requests": "sum", "as_of": "first"})
    return reported.channels(together.assign(volume=volume), name, partial(plain, "channel"))


OF_PERIOD = {
    "problem": "issue_type", "requests": "volume", "open": "open", "overdue": "overdue", "half closed within (days)": "median_days",
    "nine in ten within (days)": "p90_days", "timed (n)": "n",
}  # fmt: skip
OF_MONTH = {
    "problem": "issue_type", "opened": "opened", "opened a year before": "before", "closed": "closed_in", "open at its end": "open_at_end",
    "closed in time": "share", "in time (days)": "days", "old enough (n)": "matured", "half closed within (days)": "median_days",
}  # fmt: skip
"""The columns of a workbook, and what stands below them: numbers as the tables have them."""


@dataclass(frozen=True)
class Report:
    """A department, or a group of them, in a period or in a whole month: a line of each type, and what they come to."""

    called: str
    """In its address."""
    labels: list[str]
    view: View
    month: str | None
    rows: list[Row]
    sentence: str

    @property
    def is_group(self) -> bool:
        return self.called == group_of(self.labels[0])

    @property
    def name(self) -> str:
        return group_name(self.called) if self.is_group else plain("department", self.labels[0])

    @property
    def group(self) -> str | None:
        """The group that it is a branch of, as its address calls it."""
        return None if self.is_group else group_of(self.labels[0])

    @property
    def requests(self) -> RequestFilters:
        """Its own requests, whatever their type."""
        return RequestFilters(department=self.called if self.is_group else self.labels[0])

    @property
    def lines(self) -> list[Row]:
        """The rows of a period as a page shows them: what is open and what is overdue of a type leads to its list."""
        waiting = self.requests.but(status="open", order="overdue")
        lists = {"open": waiting, "overdue": waiting.but(overdue="yes")}
        return [
            row
            | {
                name: Cell(words.whole(row[name]), some.but(issue=row["issue_type"]).url)
                for name, some in lists.items()
                if row[name] and not isinstance(row[name], Cell)
            }
            for row in self.rows
        ]

    @property
    def query(self) -> str:
        return f"?month={self.month}" if self.month else self.view.query

    @property
    def columns(self) -> Mapping[str, str]:
        return OF_MONTH if self.month else OF_PERIOD

    @property
    def cells(self) -> list[list[Any]]:
        """What a workbook holds: the values, and nothing where none is judged."""
        return [
            [None if isinstance(row[name], Cell) else row[name] for name in self.columns.values()] for row in self.rows
        ]

    def notes(self, release: Release) -> list[tuple[str, Any]]:
        """What the workbook says of itself."""
        when = words.month(self.month) if self.month else f"opened {words.period(self.view.period)}"
        return [
            ("What", f"{self.name}: 3-1-1 service requests of its types, {when}"),
            ("In short", self.sentence),
            ("Types", "a type is listed where its newest request is, with all its requests"),
            ("Overdue", f"{OVERDUE}; no target of the city; empty where not judged"),
            ("Times", "days until so many were closed, counting those still open; empty where too few"),
            *origin_notes(release),
            ("Licence", LICENCE),
            ("Closed", "does not mean fixed"),
        ]


def report(release: Release, called: str, labels: list[str], view: View, month: str | None) -> Report:
    if month:
        rows = of_month(release, labels, month)
        return Report(called, labels, view, month, rows, summary_of_month(release, labels, month, rows))
    rows = types(release, labels, view.period)
    return Report(called, labels, view, None, rows, summary(rows, view.period))


def _newest() -> Question:
    """The department of each type's newest request: found by index, without a look at all requests."""
    request, issue = service_requests.c, schema.metrics_by_issue.c.issue_type
    last = (
        sa.select(request.department)
        .where(request.issue_type == issue)
        .order_by(request.opened_on.desc())
        .limit(1)
        .correlate(schema.metrics_by_issue)
        .scalar_subquery()
    )
    return sa.select(issue, last)


def summary(rows: Sequence[Row], period: str) -> str:
    """What the types come to, in one sentence."""
    volume, waiting = (sum(row[name] for row in rows) for name in ("volume", "open"))
    overdue = sum(row["overdue"] for row in rows if isinstance(row["overdue"], int))
    late = f"{words.whole(overdue)} of them {words.be(overdue)}" if overdue else "none of them is"
    return (
        f"{words.requests(volume)} {words.be(volume, 'was', 'were')} opened {words.period(period)}. "
        f"{words.requests(waiting)} {words.be(waiting)} open, and {late} overdue."
    )
