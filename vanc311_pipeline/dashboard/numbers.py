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
from vanc311_pipeline.reading.requests import requests
from vanc311_pipeline.registry import State
from vanc311_pipeline.schema import flow, service_requests

PROVISIONAL_DAYS = 7
CARD_DAYS = 30
HALF = 0.5

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
    if summary[f"{name}_state"] == State.OK and low != high:  # days are whole: no interval is not certainty
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
    located = "yes" if view.has_scopes and view.scope == "located" else None
    listing = requests(release, {"area": view.area, "issue": view.issue, "located": located, **filters})
    return count(release, replace(listing, question=listing.question.where(*conditions)))


def lead(release: Release, view: View) -> str:
    """What stands out, and as of when: how many are open, and what became of them in 13 and in 52 weeks."""
    as_of = words.day(release.about["as_of"])
    rows = records_of(release, view, flow) if view.level != "hyper_local" else []
    if not rows:
        return f"As of {as_of}. {time_to_close(summary_of(release, view))}"
    [row] = rows
    waiting = _count(release, view, status="Open")
    return (
        f"As of {as_of}, {words.requests(waiting)} {words.be(waiting)} open. {since_a_year_before(row)}{in_13_weeks(row)}"
        f"{_largest_part(release, view, row)}"
    )


def since_a_year_before(row: dict[str, Any]) -> str:
    if row["backlog_year_before"] is None:
        return ""
    more = row["backlog_end"] - row["backlog_year_before"]
    than = f"{words.whole(abs(more))} {'more' if more > 0 else 'fewer'} than" if more else "as many as"
    return f"On {words.day(row['weeks_to'])} there were {than} 52 weeks before. "


def in_13_weeks(row: dict[str, Any]) -> str:
    weeks, net, start = f"In the 13 weeks to {words.day(row['weeks_to'])}", row["net"], row["backlog_start"]
    if row["flow"] == State.TOO_FEW:
        opened = row["opened"]
        return (
            f"{weeks}, {words.requests(opened)} {words.be(opened, 'was', 'were')} opened and {words.whole(row['closed_in'])} "
            "closed, too few for a trend."
        )
    share = f" ({words.percent(abs(net) / start)})" if net and start else ""
    moved = f"{'rose' if net > 0 else 'fell'} by {words.whole(abs(net))}{share}" if net else "did not change"
    if row["flow"] == State.TOO_SHORT:
        return f"{weeks} their number {moved}; the record is too short to say whether that is usual."
    low, high = row["net_low"], row["net_high"]
    years = "in the same weeks a year before" if row["years"] == 1 else "in the same weeks of earlier years"
    between = words.change(low) if low == high else f"{words.change(low)} to {words.change(high)}"
    return f"{weeks} their number {moved}; {years} it moved by {between}, {_judgement(row)}."


def _judgement(row: dict[str, Any]) -> str:
    """The label in words, and how often the rule gives one."""
    if row["flow"] == "stable":
        inside = row["net_low"] <= row["net"] <= row["net_high"]
        return "so this is ordinary" if inside else "and years commonly differ by as much"
    rose = "more" if row["flow"] == "growing" else "less"
    often = f"{words.percent(row['labels_in_backtest'])} of the last {row['weeks_in_backtest']} weeks"
    return f"so this is {rose} than the season explains: the backlog is {row['flow']} (as this rule said in {often})"


def _largest_part(release: Release, view: View, row: dict[str, Any]) -> str:
    """The issue type that moved the city's pile most in the direction in which it went."""
    if view.level != "citywide" or not row["net"]:
        return ""
    order = flow.c.net.desc() if row["net"] > 0 else flow.c.net
    question = sa.select(flow.c.issue_type, flow.c.net).where(flow.c.level == "issue", flow.c.scope == view.counted)
    part = release.row(question.order_by(order, flow.c.issue_type).limit(1))
    if part is None or part["net"] * row["net"] <= 0:
        return ""
    most = "Most of it" if part["net"] / row["net"] >= HALF else "The largest part"
    return f" {most}: {part['issue_type']} ({words.change(part['net'])} of {words.change(row['net'])})."
