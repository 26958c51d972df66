"""The numbers at the head of a page, each with its n, its definition and what it may be compared with; and the one sentence."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from dateutil.relativedelta import relativedelta

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.timing import finding
from vanc311_pipeline.dashboard.figures import records, records_of, summary_of
from vanc311_pipeline.dashboard.view import EVER, View
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.registry import METRICS, State
from vanc311_pipeline.schema import flow, service_requests

PROVISIONAL_DAYS = 7
CARD_DAYS = 30

WITHHELD = {
    State.NO_REQUESTS: "no requests",
    State.NO_USABLE_TIMING: "no usable dates",
    State.TOO_FEW: "fewer than 30",
    State.NOT_REACHED: "not yet reached",
    State.IMMATURE: "too young",
}
"""Why there is no number, in the place of the number."""


@dataclass(frozen=True)
class Card:
    """A number, large, and what it takes to quote it."""

    label: str
    value: str
    note: str
    metric: str
    """The definition's name."""

    @property
    def meaning(self) -> str:
        return METRICS[self.metric].meaning


@dataclass(frozen=True)
class Days:
    """Days of the record, both ends included."""

    first: date
    last: date

    @property
    def year_before(self) -> "Days":
        year = relativedelta(years=1)
        return Days(self.first - year, self.last - year)

    def __str__(self) -> str:
        year = f" {self.first.year}" if self.first.year != self.last.year else ""
        return f"{self.first.day} {self.first:%B}{year} to {self.last.day} {self.last:%B %Y}"


def complete_days(release: Release) -> Days:
    """The last 30 days that late entries no longer move."""
    last = date.fromisoformat(release.about["as_of"]) - timedelta(days=PROVISIONAL_DAYS)
    return Days(last - timedelta(days=CARD_DAYS - 1), last)


def value_or_why(value: float | None, state: str) -> str:
    """A number of days, or why there is none."""
    return words.days(value) if state == State.OK else WITHHELD[State(state)]


def cards(release: Release, view: View) -> list[Card]:
    """Open now, opened, closed, and the usual time to close."""
    days = complete_days(release)
    summary, ever = summary_of(release, view), summary_of(release, view.but(period=EVER))
    city = summary_of(release, view.but(area=None)) if view.level == "hyper_local" else None
    waiting = int(_count(release, view, service_requests.c.status == sa.literal_column("'Open'")))
    return [
        Card(
            "open now",
            words.whole(waiting),
            f"of {words.whole(ever['volume'])} requests in the record",
            "open_requests",
        ),
        _compared("opened", "opened", release, view, days),
        _compared("closed", "closed_in", release, view, days),
        *(_usual_time(name, summary, city) for name in ("median", "p90")),
    ]


def _usual_time(name: str, summary: dict[str, Any], city: dict[str, Any] | None) -> Card:
    label = {"median": "half are closed within", "p90": "nine in ten are closed within"}[name]
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    note = f"opened {words.period(summary['period'])}, n = {words.whole(summary['n'])}, still open {words.whole(summary['still_open'])}"
    if summary[f"{name}_state"] == State.OK:
        note += f"; 95 % interval {words.whole(low)} to {'not reached' if high is None else words.whole(high)}"
    if city:
        note += f"; city-wide: {_value(name, city)}, n = {words.whole(city['n'])}"
    return Card(label, _value(name, summary), note, f"{name}_days")


def _value(name: str, summary: dict[str, Any]) -> str:
    return value_or_why(summary[f"{name}_days"], summary[f"{name}_state"])


def _compared(label: str, metric: str, release: Release, view: View, days: Days) -> Card:
    now = _moved(release, view, metric, days)
    covered = days.year_before.first.isoformat() >= _first_day(release)
    before = _moved(release, view, metric, days.year_before) if covered else None
    return Card(f"{label}, {days}", words.whole(now), change(now, before), metric)


def change(now: int, before: int | None) -> str:
    """More or fewer than a year before, in words and not by colour."""
    if before is None:
        return "the record does not cover the same days a year before"
    year_before = f"{words.whole(before)} in the same days a year before"
    if now == before:
        return f"as many as {year_before}"
    direction = "▲ more" if now > before else "▼ fewer"
    share = f" by {words.percent(abs(now - before) / before)}" if before >= 30 else ""
    return f"{direction}{share} than the {year_before}"


def _moved(release: Release, view: View, metric: str, days: Days) -> int:
    table = service_requests.c
    first, last = days.first.isoformat(), days.last.isoformat()
    if metric == "opened":
        return _count(release, view, table.opened_on.between(first, last))
    if view.level in ("citywide", "neighbourhood"):
        daily = records_of(release, view, schema.backlog_daily)
        return sum(row["closed_in"] for row in daily if first <= row["day"] <= last)
    closed_on = sa.func.max(table.closed_on, table.opened_on)
    return _count(release, view, table.status == "Close", table.closed_on.is_not(None), closed_on.between(first, last))


def _count(release: Release, view: View, *where: sa.ColumnElement[bool]) -> int:
    question = sa.select(sa.func.count()).select_from(service_requests).where(*where)
    for column, name in ((service_requests.c.local_area, view.area), (service_requests.c.issue_type, view.issue)):
        if name is not None:
            question = question.where(column == name)
    if view.has_scopes and view.scope == "located":
        question = question.where(service_requests.c.local_area.is_not(None))
    return int(release.scalars(question)[0])


def _first_day(release: Release) -> str:
    periods = schema.periods.c
    return str(release.scalars(sa.select(sa.func.min(periods.opened_from)))[0] or "9999-12-31")


def lead(release: Release, view: View) -> str:
    """One sentence: what stands out, and as of when."""
    as_of = words.day(release.about["as_of"])
    rows = records_of(release, view, flow) if view.level != "hyper_local" else []
    if not rows:
        return f"As of {as_of}. {finding(summary_of(release, view))}"
    [row] = rows
    moved = (
        f"in the 13 weeks to {words.day(row['weeks_to'])}, {words.whole(row['opened'])} requests were opened and "
        f"{words.whole(row['closed_in'])} closed"
    )
    if row["flow"] == State.TOO_FEW:
        return f"As of {as_of}: {moved}, too few for a trend."
    net, before = words.change(row["net"]), words.change(row["net_year_before"])
    return (
        f"As of {as_of}, {PILE[row['flow']]}: {moved} (net {net}; in the same weeks a year before {before})."
        f"{_most(release, view, row['flow'])}"
    )


PILE = {
    "growing": "the backlog is growing",
    "shrinking": "the backlog is shrinking",
    "stable": "the backlog shows no trend beyond chance",
}


def _most(release: Release, view: View, label: str) -> str:
    """Which issue types move the city's pile most."""
    if view.level != "citywide" or label == "stable":
        return ""
    order = flow.c.net.desc() if label == "growing" else flow.c.net
    question = sa.select(flow).where(flow.c.level == "issue", flow.c.scope == view.counted, flow.c.flow == label)
    rows = records(release, question.order_by(order, flow.c.issue_type).limit(2))
    issues = [f"{row['issue_type']} ({words.change(row['net'])})" for row in rows]
    return f" Most of it: {words.listed(issues)}." if issues else ""
