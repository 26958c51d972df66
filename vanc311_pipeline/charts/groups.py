"""The figures of one group: lines through time, the curve of time to close, and bars of ages and of outcomes."""

import calendar
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, for_reading, newest
from vanc311_pipeline.metric_definitions import METRICS, MINIMUM_N, STATES, State

HORIZON_RULE = "Of 7, 30 and 90 days, those within which nearest to half of the kind were closed in the year before, in the whole city."
PROVISIONAL = "Dashed, with hollow points: the last days may still change."
YEAR_DAYS = 365
YEAR_WEEKS = 52
_MONTHLY: dict[str, Any] = {
    "month": "month",
    "opened": "opened",
    "closed": "closed_in",
    "open at the end": "open_at_end",
}
_CURVE_DAYS = (0, 1, 3, 7, 14, 30, 60, 90, 180, YEAR_DAYS)
_LABELS, _TICKS = 8, 5
_STEPS = (1, 2, 3, 6, 12, 24)


def opened_and_closed(rows: pd.DataFrame, group: str) -> Figure:
    """Two lines: requests opened, and requests closed, in each month."""
    rows = rows.sort_values("month", ignore_index=True)
    complete = rows[rows["provisional"] == "no"]
    drawn = rows[["month", "opened", "closed_in", "provisional"]].rename(columns={"closed_in": "closed"})
    n, finding = int(rows["opened"].sum()), "No whole month is settled yet."
    if len(complete):
        last = complete.iloc[-1]
        opened, closed = words.requests(last["opened"]), words.whole(last["closed_in"])
        finding = f"In {words.month(last['month'])}, {opened} were opened and {closed} closed."
    return Figure(
        "opened-and-closed",
        finding,
        f"{group}, n = {words.requests(n)} opened. Opened and closed in a month are different requests.",
        rows["as_of"].iloc[0],
        "opened",
        n,
        "requests opened in the months that are drawn",
        rows[["month", "opened", "closed_in", "open_at_end", "provisional"]],
        newest(rows, _MONTHLY | {"provisional": "provisional"}),
        drawn.assign(last=drawn.index == drawn.index[-1]),
        {"step": _step(len(rows)), "ticks": _ticks(drawn[["opened", "closed"]].max(axis=None))},
        METRICS["closed_in"].definition,
        notes=(PROVISIONAL,) if len(complete) < len(rows) else (),
    )


def _closed_within(rows: pd.DataFrame, days: int) -> str:
    """Of one of the newest three months that had the time, or of the last 12 together where those are too small."""
    share, n, within = f"share_{days}", f"n_{days}", f"within_{days}"
    if len(rows):
        newest = (pd.Timestamp(rows["as_of"].iloc[0]) - pd.Timedelta(days=days - 1)).to_period("M") - 1
        known = rows[(rows[f"{share}_state"] == State.OK) & (rows["month"] >= str(newest - 2))]
        if len(known):
            last = known.iloc[-1]
            return (
                f"{words.percent(last[share])} of the requests opened in {words.month(last['month'])} were closed within "
                f"{words.days(days)} (n = {words.whole(last[n])})."
            )
        year = rows[rows["month"].between(str(newest - 11), str(newest))].sum(numeric_only=True)
        if year[n] >= MINIMUM_N:
            return (
                f"Of the {words.whole(year[n])} requests opened in the 12 months to {words.month(str(newest))}, "
                f"{words.percent(year[within] / year[n])} were closed within {words.days(days)}. The newest months are too small alone."
            )
    return f"Neither the last three months nor the last 12 together have {MINIMUM_N} requests that are {words.days(days)} old."


def closed_within(rows: pd.DataFrame, group: str, days: int) -> Figure:
    """The share of each month's requests closed within 7, 30 or 90 days, with its interval; only of months that had the time."""
    rows = rows.sort_values("month", ignore_index=True)
    share, n, within = f"share_{days}", f"n_{days}", f"within_{days}"
    limits = [f"{share}_low", f"{share}_high"]
    known = rows[rows[f"{share}_state"] == State.OK]
    total = int(known[n].sum())
    drawn = rows[rows["month"].between(known["month"].min(), known["month"].max())]
    # With five points to spare on each side, so that a wobble does not look like a crash.
    domain = [max(0.0, known[limits[0]].min() - 0.05), min(1.0, known[limits[1]].max() + 0.05)]
    waiting, few = ((rows[f"{share}_state"] == withheld).sum() for withheld in (State.IMMATURE, State.TOO_FEW))
    notes = [f"Not shown: {words.months(waiting)} whose youngest requests are not yet {words.days(days)} old"] * bool(
        waiting
    )
    notes += [f"{words.months(few)} with fewer than {MINIMUM_N} requests"] * bool(few)
    title = f"closed within {words.days(days)}"
    return Figure(
        "closed-within",
        _closed_within(rows, days),
        f"{group}, by month of opening, n = {words.whole(total)}, with 95 % intervals. {HORIZON_RULE}",
        rows["as_of"].iloc[0],
        share,
        total,
        "requests opened in the months that are drawn",
        rows[["month", n, within, share, *limits, f"{share}_state"]],
        newest(rows, {"month": "month", "n": n, title: within} | _shares(rows, share)),
        drawn[["month"]].assign(
            n=drawn[n], share=drawn[share], low=drawn[limits[0]], high=drawn[limits[1]], title=title
        ),
        {"title": title, "step": _step(len(drawn)), "domain": domain if len(known) else [0, 1]},
        empty=known.empty,
        notes=(f"{'; '.join(notes)}.",) if notes else (),
    )


def _shares(rows: pd.DataFrame, share: str, state: str | None = None) -> dict[str, Any]:
    """A share and its interval in words, or why there is none."""
    why = rows[state or f"{share}_state"].map(lambda state: words.WITHHELD.get(state, ""))
    interval = rows[f"{share}_low"].map(words.percent) + " to " + rows[f"{share}_high"].map(words.percent)
    return {
        "share": rows[share].map(words.percent).where(why == "", why),
        "95 % interval": interval.where(why == "", ""),
    }


def _step(months: int) -> int:
    """Of how many months one has a label: left to itself Vega labels days, some months twice."""
    return next((step for step in _STEPS if months <= _LABELS * step), _STEPS[-1])


def _ticks(most: Any) -> int:
    """How many ticks an axis of requests has: left to itself Vega divides a single request."""
    return int(min(_TICKS, max(1, most))) if most == most else _TICKS


def backlog(rows: pd.DataFrame, group: str) -> Figure:
    """Requests open at the end of each Sunday, from the day on which the record is long enough, and of each day since the last settled
    one, of which, and of whose weeks, the table `flow` tells, too.
    """
    rows = rows.sort_values("day", ignore_index=True)
    known = rows[rows["understated"] == "no"]
    sundays = known[(known["provisional"] == "no") & (pd.to_datetime(known["day"]).dt.day_of_week == calendar.SUNDAY)]
    drawn = known[known.index.isin(sundays.index) | (known.index > max(sundays.index, default=-1))]
    months, n = _by_month(known), int(sundays["backlog"].iloc[-1]) if len(sundays) else 0
    label = sundays["backlog"].iloc[::-YEAR_WEEKS].iloc[:2].map(words.whole)
    notes = ["Every Sunday is drawn. Made anew from today's record: what the city reopens looks open all along."]
    if len(known) < len(rows):
        notes.append("Days before 2023-08-17 are left out: requests from before the record are missing in them.")
    return Figure(
        "backlog",
        _growth(known, sundays),
        f"{group}, n = {words.whole(n)} on the last settled Sunday.",
        rows["as_of"].iloc[0],
        "backlog",
        n,
        "requests open at the end of the last settled Sunday",
        known[["day", "opened", "closed_in", "backlog", "provisional"]],
        newest(months, _MONTHLY),
        drawn[["day", "backlog", "provisional"]].assign(label=label),
        {"step": _step(len(months)), "ticks": _ticks(drawn["backlog"].max())},
        empty=known.empty,
        notes=tuple(notes),
    )


def _by_month(days: pd.DataFrame) -> pd.DataFrame:
    """What was opened and closed on the days of each month, and what was open at the end of the last of them."""
    sums = {"opened": ("opened", "sum"), "closed_in": ("closed_in", "sum"), "open_at_end": ("backlog", "last")}
    return days.groupby(days["day"].str[:7].rename("month")).agg(**sums).reset_index()


def _growth(known: pd.DataFrame, sundays: pd.DataFrame) -> str:
    if known.empty:
        return "The record is too short for a backlog."
    if sundays.empty:
        return f"No week of the backlog is settled yet: the last seven days up to {words.day(known.iloc[-1]['day'])} may still change."
    last = sundays.iloc[-1]
    open_then = int(last["backlog"])
    now = (
        f"{words.requests(open_then)} {words.be(open_then, 'was', 'were')} open at the end of {words.day(last['day'])}"
    )
    if len(sundays) <= YEAR_WEEKS:
        return f"{now}."
    more = open_then - sundays.iloc[-1 - YEAR_WEEKS]["backlog"]
    if not more:
        return f"{now}, as 52 weeks before."
    return f"{now}, {words.whole(abs(more))} {'more' if more > 0 else 'fewer'} than 52 weeks before."


def curve(rows: pd.DataFrame, summary: Mapping[str, Any], group: str, beside: Sequence[str] = ()) -> Figure:
    """The share still open after each day, as steps with its 95 % interval; thin where fewer than 10 are followed. The summary is
    the row of `time_to_close` of the same group and period; what stands beside it are sentences of the same group.
    """
    rows = rows[rows["day"] <= YEAR_DAYS].sort_values("day", ignore_index=True)
    left_out = {
        "opened before 2022-08-17": summary["n_static"],
        "opened after the last whole day": summary["n_after_as_of"],
        "closed before the opening": summary["n_negative"],
        "closed without a date": summary["n_closed_without_date"],
    }
    reasons = ", ".join(f"{words.whole(number)} {why}" for why, number in left_out.items() if number)
    still_open = summary["still_open"]
    shown = ["day", "at_risk", "closed_by", "open_share", "open_share_low", "open_share_high"]
    return Figure(
        "time-to-close",
        time_to_close(summary),
        f"{group}, opened {words.period(summary['period'])}; n = {words.whole(summary['n'])}, of which "
        f"{words.whole(still_open)} {words.be(still_open)} still open. 95 % interval.",
        summary["as_of"],
        "open_share",
        int(summary["n"]),
        "requests followed from their opening",
        rows[shown],
        _at_days(rows),
        rows[shown],
        caveat="Closed does not mean fixed.",
        notes=(*beside, *([f"Left out: {reasons}."] if reasons else [])),
    )


def _at_days(rows: pd.DataFrame) -> pd.DataFrame:
    """The curve after a day, a week, a month: it falls only on the days that it has rows of."""
    days = pd.DataFrame({"after": [day for day in _CURVE_DAYS if day <= rows["day"].max()]})
    at = pd.merge_asof(days, rows, left_on="after", right_on="day").assign(state=State.OK)
    open_after: dict[str, Any] = {"days after opening": "after", **_shares(at, "open_share", "state")}
    return for_reading(at, open_after | {"closed by then": "closed_by", "followed so long": "at_risk"})


def _within(days: int) -> str:
    return f"within {words.days(days)}" if days else "on the day they are opened"


def current_speed(row: Mapping[str, Any]) -> str | None:
    """What the last 13 settled weeks say, from a row of `current_speed`; None if they say nothing."""
    if row["median_state"] != State.OK:
        return None
    nine = f", nine in ten {_within(row['p90_days'])}" if row["p90_state"] == State.OK else ""
    return (
        f"At the speed of {words.day(row['weeks_from'])} to {words.day(row['weeks_to'])}, half are closed {_within(row['median_days'])}"
        f"{nine}, whenever they were opened (n = {words.whole(row['followed'])})."
    )


def recorded_as(row: Mapping[str, Any]) -> str:
    """How many were closed in one way within some days, from a row of `outcome_incidence`."""
    low, high = words.percent(row["closed_share_low"]), words.percent(row["closed_share_high"])
    return (
        f"{row['outcome']} within {words.days(row['day'])}: {words.percent(row['closed_share'])} "
        f"(95 % interval {low} to {high}, n = {words.whole(row['n'])}); the others are open or were closed in another way."
    )


def by_weekday(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The weekdays of opening with the smallest and the largest median, if they differ; from `time_to_close_by_weekday`."""
    usable = sorted((row["median_days"], row["weekday"]) for row in rows if row["median_state"] == State.OK)
    if not usable or rows[0]["weekdays_differ"] != "yes":
        return None
    (quick, on_quick), (slow, on_slow) = usable[0], usable[-1]
    return (
        f"Of those opened on a {calendar.day_name[on_quick - 1]}, half are closed {_within(quick)}; on a "
        f"{calendar.day_name[on_slow - 1]}, {_within(slow)}."
    )


def time_to_close(summary: Mapping[str, Any]) -> str:
    """The median and p90 in one sentence, or why there is none."""
    state = summary["median_state"]
    if state == State.TOO_FEW:
        return f"Too few requests (n = {words.whole(summary['n'])}): no statistic is given."
    if state == State.NOT_REACHED:
        return f"More than half are still open; they were followed for up to {words.days(summary['followed_days'])}."
    if state != State.OK:
        return STATES[State(state)]
    half = f"Half are closed {_within(summary['median_days'])}"
    if summary["p90_state"] == State.TOO_FEW:
        return f"{half}, counting those still open; n = {words.whole(summary['n'])} are too few to say when nine in ten are."
    if summary["p90_state"] != State.OK:
        return f"{half}; by our estimate more than a tenth are still open after {words.days(summary['followed_days'])}, the longest followed."
    return f"{half}, nine in ten {_within(summary['p90_days'])}, counting those still open."


def by_age(rows: pd.DataFrame, group: str) -> Figure:
    rows = rows.sort_values("band_order", ignore_index=True)
    shown = rows[(rows["band_order"] < len(rows)) | (rows["open_requests"] > 0)]
    most = shown["open_requests"].max()
    total, static = int(rows["open_requests"].sum()), int(rows["n_static"].sum())
    oldest = rows.loc[rows["age_band"] == "over 365", "open_requests"].sum()
    finding = "No request is open."
    if total:
        share = words.percent(oldest / total)
        finding = (
            f"Of {words.requests(total)} that {words.be(total)} open, {words.whole(oldest)} ({share}) "
            f"{words.be(oldest, 'has', 'have')} been open for over a year."
        )
    note = f"{words.whole(static)} of them were opened before 2022-08-17: whether they are still open is not known."
    return Figure(
        "backlog-by-age",
        finding,
        f"{group}. n = {words.requests(total)} with status Open.",
        rows["as_of"].iloc[0],
        "open_requests",
        total,
        "requests with status Open",
        rows[["age_band", "open_requests", "located", "n_static", "share_of_open"]],
        for_reading(
            rows,
            {
                "days open": "age_band",
                "open": "open_requests",
                "share": rows["share_of_open"].map(words.percent),
                "of these, with a local area": "located",
                "opened before 2022-08-17": "n_static",
            },
        ),
        shown[["age_band", "open_requests", "share_of_open"]],
        {
            "most": max(1, int(most)),
            "ticks": _ticks(most),
            "bands": list(shown["age_band"]),
        },
        height=190,
        notes=(note,) if static else (),
    )


def outcomes(rows: pd.DataFrame, group: str) -> Figure:
    """The share of each outcome group among the closed requests of a group and period, with its interval."""
    rows = rows.sort_values("outcome_order", ignore_index=True)
    known = rows[rows["state"] == State.OK]
    closed, still_open = int(rows["closed"].max()), int(rows["open_requests"].max())
    finding = f"Fewer than {MINIMUM_N} closed requests (n = {words.whole(closed)}): no share is given."
    if len(known):
        most = known.sort_values("outcome_share").iloc[-1]
        finding = f"{words.percent(most['outcome_share'])} of the closed requests were closed as “{most['outcome']}”."
    return Figure(
        "outcomes",
        finding,
        f"{group}, opened {words.period(str(rows['period'].iloc[0]))}; n = {words.requests(closed)} closed, "
        f"{words.whole(still_open)} still open. 95 % intervals.",
        rows["as_of"].iloc[0],
        "outcome_share",
        closed,
        "closed requests",
        rows[["outcome", "closed_as", "closed", "outcome_share", "outcome_share_low", "outcome_share_high", "state"]],
        for_reading(rows, {"closed as": "outcome", "requests": "closed_as"} | _shares(rows, "outcome_share", "state")),
        known[["outcome", "closed_as", "outcome_share", "outcome_share_low", "outcome_share_high"]],
        {"most": known["outcome_share_high"].max(), "outcomes": list(rows["outcome"])},
        "Closed does not mean fixed; the groups are our reading of the city's reasons.",
        height=230,
        empty=known.empty,
    )
