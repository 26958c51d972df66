"""The numbers at the head of a page, each with its n, its definition and what it may be compared with; and the one sentence."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.groups import time_to_close
from vanc311_pipeline.dashboard.figures import origin
from vanc311_pipeline.dashboard.view import (
    EVER,
    LAST_12_MONTHS,
    LEFT_OUT,
    View,
    records_of,
    span_of,
    summary_of,
    times_of,
)
from vanc311_pipeline.metric_definitions import CHANGE_SHARE, METRICS, MINIMUM_N, State
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.reading.pages import count
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import requests
from vanc311_pipeline.schema import flow, speed_on_year
from vanc311_pipeline.settings import STATIC_BEFORE

HALF = 0.5
BEYOND_COMPARISON = 3
"""Where three times as many would be ordinary, too, that is no finding to be told."""
WITHOUT = {name: name for name in LEFT_OUT.values()} | {"both": "internal types and batch days"}
_NOT_COMPARED = {State.TOO_SHORT: "the record is too short to say what is usual", State.TOO_FEW: "too few to compare"}


@dataclass(frozen=True)
class Card:
    """A number, large, and what it takes to quote it."""

    label: str
    value: str
    note: str
    metric: str
    """The definition's name."""


def quotation(release: Release, view: View, card: Card) -> str:
    """A number as it can be quoted alone: of whom, what it is compared with, what it means, and whence it comes."""
    return (
        f"{view.group_name}, {card.label}: {card.value}; {card.note}. Meant: {METRICS[card.metric].meaning}. Closed does not mean fixed. "
        f"Source: City of Vancouver, 3-1-1, as of {words.day(release.about['as_of'])}. {origin(release)}"
    )


def cards(release: Release, view: View) -> list[Card]:
    """Open now; reported in the last four weeks that late entries no longer move, or in the period that was chosen; the usual time to
    close; and, of a problem, the time of nine in ten, else how many have waited for over a year now.
    """
    times = times_of(release, view)
    city = summary_of(release, view.but(area=None)) if view.area else None
    last = _usual_time("nine in ten", "p90", times, city) if view.issue else _over_a_year(release, view)
    return [
        _open(release, view),
        _on_year(release, view) if view.period == LAST_12_MONTHS else _reported(release, view),
        _usual_time("half", "median", times, city),
        last,
    ]


def volume(release: Release, view: View) -> str:
    """How many requests were opened in the period of a view."""
    return words.requests(summary_of(release, view)["volume"])


def _open(release: Release, view: View) -> Card:
    """With what it was a year before, where that is known."""
    ever, flows = summary_of(release, view.but(period=EVER)), records_of(release, view, flow)
    note = f"of {words.requests(ever['volume'])} in the record"
    if view.level != "hyper_local" and flows and flows[0]["backlog_year_before"] is not None:
        note = f"{note}; {since_a_year_before(flows[0])}"
    return Card("open now", words.whole(open_now(release, view)), note, "open_requests")


def _over_a_year(release: Release, view: View) -> Card:
    """How many of the open ones have been open for over a year."""
    rows = records_of(release, view, schema.backlog_by_age)
    total, oldest = (
        sum(row["open_requests"] for row in some)
        for some in (rows, (row for row in rows if row["age_band"] == "over 365"))
    )
    note = f"{words.percent(oldest / total)} of the {words.whole(total)} that are open" if total else "none is open"
    return Card("open now, for over a year", words.whole(oldest), note, "share_of_open")


def _usual_time(share: str, name: str, times: dict[str, Any], city: dict[str, Any] | None) -> Card:
    def value(of: dict[str, Any]) -> str:
        return words.days_or_why(of[f"{name}_days"], of[f"{name}_state"])

    low, high, opened = times[f"{name}_low"], times[f"{name}_high"], words.period(times["period"])
    without = f", without {WITHOUT[times['left_out']]}" if "left_out" in times else ""
    note = f"n = {words.whole(times['n'])}{without}, still open {words.whole(times['still_open'])}"
    if times[f"{name}_state"] == State.OK and low != high:  # days are whole: no interval is not certainty
        note += f"; 95 % interval {words.interval(low, high)}"
    if city:
        note += f"; city-wide: {value(city)}, n = {words.whole(city['n'])}"
    return Card(f"{share} of those opened {opened} are closed within", value(times), note, f"{name}_days")


def _reported(release: Release, view: View) -> Card:
    """How many in the period that was chosen."""
    number = words.whole(summary_of(release, view)["volume"])
    return Card(f"reported {words.period(view.period)}", number, span_of(release, view), "volume")


def _on_year(release: Release, view: View) -> Card:
    row = year_on_year(release, view, "opened")
    label = f"reported, {words.days_between(row['days_from'], row['days_to'])}"
    return Card(label, words.whole(row["requests"]), against_a_year_before(row), "opened")


def year_on_year(release: Release, view: View, measure: str) -> dict[str, Any]:
    """The row of `year_on_year` of a view. A group without requests has none in the file; it is made of the city's days here."""
    table = schema.year_on_year
    rows = [row for row in records_of(release, view, table) if row["measure"] == measure]
    if rows:
        return rows[0]
    city = table.c.level == "citywide", table.c.scope == "all", table.c.measure == measure
    [days] = release.records(sa.select(table).where(*city))
    known = days["requests_year_before"] is not None
    return days | {"requests": 0, "requests_year_before": 0 if known else None, "state": State.NO_REQUESTS}


def against_a_year_before(row: dict[str, Any], when: str = " in the same four weeks a year before") -> str:
    """More or fewer than a year before, in words and not by colour, and what is ordinary; or why nothing is said of it."""
    before = row["requests_year_before"]
    if before is None:
        return "the record does not cover the same four weeks a year before"
    year_before = f"{words.whole(before)}{when}"
    if row["state"] == State.NO_REQUESTS:
        return f"none{when}, either"
    if row["state"] != State.OK:
        return f"{year_before}; {_NOT_COMPARED[row['state']]}"
    most = 1 + row["noise_band"]
    if row["verdict"] == "about as many" and most > BEYOND_COMPARISON:
        return f"{year_before}; such numbers differ too much from year to year in this record to compare them"
    ordinary = (
        f"ordinary: {words.against(min(1 / most, 1 - CHANGE_SHARE))} to {words.against(max(most, 1 + CHANGE_SHARE))}"
    )
    if row["verdict"] == "about as many":
        return f"about as many as the {year_before} ({ordinary})"
    arrow = "▲" if row["verdict"] == "more" else "▼"
    share = "" if row["change_on_year"] is None else f"{words.percent(abs(row['change_on_year']))} "
    return f"{arrow} {share}{row['verdict']} than the {year_before}, which is {row['verdict']} than usual ({ordinary})"


def open_now(release: Release, view: View) -> int:
    """How many of a view's requests are open, opened at any time."""
    located = "yes" if view.has_scopes and view.scope == "located" else None
    asked = {"area": view.area, "issue": view.issue, "located": located, "status": "Open"}
    return count(release, requests(release, asked))


def lead(release: Release, view: View) -> str:
    """What stands out, and as of when: how many are open, and what became of them in 13 weeks; where that can't be told, or it is
    asked how long it takes, the time to close.
    """
    as_of = words.day(release.about["as_of"])
    rows = [] if view.speed or view.level == "hyper_local" else records_of(release, view, flow)
    if not rows:
        return f"As of {as_of}. {time_to_close(summary_of(release, view))}"
    [row] = rows
    waiting = open_now(release, view)
    return f"As of {as_of}, {words.requests(waiting)} {words.be(waiting)} open. {in_13_weeks(row)}{_largest_part(release, view, row)}"


REFRESHED = f"opened since {words.day(STATIC_BEFORE.isoformat())}"
"""Of whom the table `flow` is: whether an older one is still open the city no longer says."""


def since_a_year_before(row: dict[str, Any]) -> str:
    before = row["backlog_year_before"]
    number, more = row["backlog_end"], row["backlog_end"] - before
    share = f" ({words.percent(abs(more) / before)})" if before >= MINIMUM_N else ""
    change = f"{words.whole(abs(more))} {'more' if more > 0 else 'fewer'}{share}"
    than = f"{change} than the {words.whole(before)} of" if more else "as many as"
    were = f"{words.be(number, 'was', 'were')} open on {words.day(row['weeks_to'])}"
    return f"{words.whole(number)} of those {REFRESHED} {were}, {than} 52 weeks before"


def in_13_weeks(row: dict[str, Any], whose: str = "those") -> str:
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
        return (
            f"{weeks} the number of {whose} {REFRESHED} {moved}; the record is too short to say whether that is usual."
        )
    low, high = row["net_low"], row["net_high"]
    years = "in the same weeks a year before" if row["years"] == 1 else "in the same weeks of earlier years"
    between = words.change(low) if low == high else f"{words.change(low)} to {words.change(high)}"
    return f"{weeks} the number of {whose} {REFRESHED} {moved}; {years} it moved by {between}, {_judgement(row)}."


def _judgement(row: dict[str, Any]) -> str:
    """The label in words, and how often the rule gives one."""
    if row["flow"] == "stable":
        return "so this is about as usual"
    rose = "more" if row["flow"] == "growing" else "less"
    often = f"{words.percent(row['labels_in_backtest'])} of the last {row['weeks_in_backtest']} weeks"
    return f"so this is {rose} than the season explains: the backlog is {row['flow']} (as this rule said in {often})"


def _largest_part(release: Release, view: View, row: dict[str, Any]) -> str:
    """The issue type that moved the city's pile most in the direction in which it went."""
    if view.level != "citywide" or not row["net"]:
        return ""
    order = flow.c.net.desc() if row["net"] > 0 else flow.c.net
    question = sa.select(flow.c.issue_type, flow.c.net).where(flow.c.level == "issue", flow.c.scope == view.counted)
    part = release.row(question.order_by(order, flow.c.issue_type))
    if part is None or part["net"] * row["net"] <= 0:
        return ""
    most = "Most of it" if part["net"] / row["net"] >= HALF else "The largest part"
    return f" {most}: {plain('issue', part['issue_type'])} ({words.change(part['net'])} of {words.change(row['net'])})."


FASTER = {
    "clearly more": "clearly faster than",
    "somewhat more": "somewhat faster than",
    "about the same": "about as fast as",
    "somewhat fewer": "somewhat slower than",
    "clearly fewer": "clearly slower than",
}
"""What a verdict on closings says, which are more where requests are closed faster."""


def given_its_kinds(release: Release, view: View) -> str | None:
    """The fair comparison of an area with the city in one sentence; None of anything but an area."""
    if view.level != "neighbourhood":
        return None
    areas = schema.area_comparison.c
    row = release.row(
        sa.select(schema.area_comparison).where(areas.local_area == view.area, areas.measure == "closings")
    )
    if row is None or row["state"] != State.OK:
        return (
            f"Too few requests (n = {words.whole(row['n'] if row else 0)}) to compare {view.area} fairly with the city."
        )
    numbers = f"(n = {words.whole(row['n'])}; closings against what the city’s rates give: {words.difference(row)}, 95 % interval)"
    if row["verdict"] not in FASTER:
        return f"Given its kinds of request, whether {view.area}’s are closed as fast as the city’s can’t be told {numbers}."
    return f"Given its kinds of request, {view.area}’s are closed {FASTER[row['verdict']]} the city’s {numbers}."


def better_or_worse(release: Release, view: View) -> str:
    """Whether requests of a view are closed faster than a year before, in a sentence with both years and their n."""
    rows = records_of(release, view, speed_on_year)
    return (
        against_the_speed_before(rows[0]) if rows else "No such request is in the record: there is no speed to compare."
    )


def against_the_speed_before(row: dict[str, Any]) -> str:
    """What a row of `speed_on_year` says, or why it says nothing."""
    weeks = f"in the 52 weeks to {words.day(row['opened_to'])}"
    if row["state"] == State.TOO_SHORT:
        return f"The record does not reach back the 104 weeks to {words.day(row['opened_to'])}: there is no year before to compare with."
    if row["state"] == State.NO_REQUESTS:
        return f"None was opened {weeks}, nor in the 52 weeks before: there is no speed to compare."
    if row["state"] == State.TOO_FEW:
        return (
            f"Too few to compare: {words.whole(row['n'])} opened {weeks}, {words.whole(row['n_year_before'])} a year before. "
            f"It takes {MINIMUM_N} of each that are {row['horizon_days']} days old."
        )
    low, high = (f"{100 * row[f'share_change_{end}']:+.1f}".replace("-", "−") for end in ("low", "high"))
    return (
        f"Of {words.requests(row['n'])} opened {weeks}, {_share_within(row, 'share_within')} were closed within "
        f"{words.days(row['horizon_days'])}, counting those still open; a year before {_share_within(row, 'share_within_year_before')} "
        f"of {words.whole(row['n_year_before'])}: {_ON_YEAR[row['verdict']]} ({low} to {high} points, 95 % interval)."
    )


_ON_YEAR = {
    "faster": "they are closed faster, by more than chance explains",
    "slower": "they are closed more slowly, by more than chance explains",
    "about the same": "about the same",
    "unclear": "whether they are closed faster or more slowly can’t be told",
}


def _share_within(row: dict[str, Any], name: str) -> str:
    share, low, high = (words.percent(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{share} ({low} to {high})"
