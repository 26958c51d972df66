"""The numbers at the head of a page, each with its n, its definition and what it may be compared with; and the one sentence."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from dateutil.relativedelta import relativedelta

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.lines import time_to_close
from vanc311_pipeline.dashboard.view import EVER, View, records_of, summary_of
from vanc311_pipeline.reading.pages import count
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import Filters, requests
from vanc311_pipeline.registry import State
from vanc311_pipeline.schema import flow, service_requests

PROVISIONAL_DAYS = 7
CARD_DAYS = 30

Days = tuple[date, date]
"""The first and the last of some days."""


@dataclass(frozen=True)
class Card:
    """A number, large, and what it takes to quote it."""

    label: str
    value: str
    note: str
    metric: str
    """The definition's name."""


def cards(release: Release, view: View) -> list[Card]:
    """Open now, opened and closed in the last 30 days that late entries no longer move, and the usual time to close."""
    last = date.fromisoformat(release.about["as_of"]) - timedelta(days=PROVISIONAL_DAYS)
    days = last - timedelta(days=CARD_DAYS - 1), last
    summary, ever = summary_of(release, view), summary_of(release, view.but(period=EVER))
    city = summary_of(release, view.but(area=None)) if view.level == "hyper_local" else None
    waiting = _count(release, view, status="Open")
    return [
        Card(
            "open now",
            words.whole(waiting),
            f"of {words.whole(ever['volume'])} requests in the record",
            "open_requests",
        ),
        _compared("opened", "opened", release, view, days),
        _compared("closed", "closed_in", release, view, days),
        _usual_time("half are closed within", "median", summary, city),
        _usual_time("nine in ten are closed within", "p90", summary, city),
    ]


def _usual_time(label: str, name: str, summary: dict[str, Any], city: dict[str, Any] | None) -> Card:
    def value(of: dict[str, Any]) -> str:
        return words.days_or_why(of[f"{name}_days"], of[f"{name}_state"])

    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    note = f"opened {words.period(summary['period'])}, n = {words.whole(summary['n'])}, still open {words.whole(summary['still_open'])}"
    if summary[f"{name}_state"] == State.OK:
        note += f"; 95 % interval {words.whole(low)} to {'not reached' if high is None else words.whole(high)}"
    if city:
        note += f"; city-wide: {value(city)}, n = {words.whole(city['n'])}"
    return Card(label, value(summary), note, f"{name}_days")


def _compared(label: str, metric: str, release: Release, view: View, days: Days) -> Card:
    first, last = days
    before = first - relativedelta(years=1), last - relativedelta(years=1)
    [begin] = release.scalars(sa.select(sa.func.min(schema.periods.c.opened_from)))
    covered = begin is not None and begin <= before[0].isoformat()
    now = _moved(release, view, metric, days)
    year = f" {first.year}" if first.year != last.year else ""
    return Card(
        f"{label}, {first.day} {first:%B}{year} to {last.day} {last:%B %Y}",
        words.whole(now),
        change(now, _moved(release, view, metric, before) if covered else None),
        metric,
    )


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
    """How many were opened, or closed, in these days: one that was closed before it was opened, when it was opened."""
    if metric == "opened":
        return _count(release, view, opened_from=days[0], opened_to=days[1])
    first, last = (day.isoformat() for day in days)
    if not view.issue:
        daily = records_of(release, view, schema.backlog_daily)
        return sum(row["closed_in"] for row in daily if first <= row["day"] <= last)
    columns = service_requests.c
    closed_on = sa.func.max(columns.closed_on, columns.opened_on)  # null if one of them is
    return _count(release, view, closed_on.between(first, last), status="Close")


def _count(release: Release, view: View, *conditions: sa.ColumnElement[bool], **filters: Any) -> int:
    """How many of a view's requests, opened at any time, pass the filters and meet the conditions."""
    located = True if view.has_scopes and view.scope == "located" else None
    listing = requests(release, Filters(area=view.area, issue=view.issue, located=located, **filters))
    return count(release, replace(listing, question=listing.question.where(*conditions)))


def lead(release: Release, view: View) -> str:
    """One sentence: what stands out, and as of when."""
    as_of = words.day(release.about["as_of"])
    rows = records_of(release, view, flow) if view.level != "hyper_local" else []
    if not rows:
        return f"As of {as_of}. {time_to_close(summary_of(release, view))}"
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
    rows = release.records(question.order_by(order, flow.c.issue_type).limit(2))
    issues = [f"{row['issue_type']} ({words.change(row['net'])})" for row in rows]
    return f" Most of it: {words.listed(issues)}." if issues else ""
