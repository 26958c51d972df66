"""Every table of statistics once more, from the definitions in docs/methods.md.

A second, plain reading of the same words, with no code in common with the pipeline. It reads the published SQLite file (the
requests, the quarantined rows, the local areas, the 17 mapped reasons and as_of), computes every table of statistics and says where
the published one differs. What is only counted is in `recompute.sql`; what is estimated is here, request by request.
Days are numbered as `date.toordinal` does it.
"""

from __future__ import annotations

import math
import re
import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal
from scipy.stats import chi2, false_discovery_control, nbinom, poisson
from scipy.stats import t as student

Row = dict[str, object]

VANCOUVER = ZoneInfo("America/Vancouver")
UNDERSTATED_UNTIL = date(2023, 8, 17).toordinal()
LEAST_N = 30
LEAST_EXPECTED = 5
TOLERANCE = 1e-9
Z_95 = 1.959963984540054
T_11 = 2.200985160091639
QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}
LEAST_OF = {"median": 30, "p75": 40, "p90": 100}
UNUSED = ("n_static", "n_after_as_of", "n_negative", "n_closed_without_date")
CURVE_DAYS = [*range(15), 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365, 450, 540, 730, 1095, 1460]
WAITED_DAYS = [-1, 0, 1, 3, 7, 14, 30, 60, 90, 180, 365]
GROUP = ("level", "scope", "local_area", "issue_type", "department")
SQL = Path(__file__).with_suffix(".sql").read_text()


def iso(day: int) -> str:
    return date.fromordinal(day).isoformat()


FUNCTIONS = {
    "iso": iso,
    "day": lambda text: text and date.fromisoformat(text).toordinal(),
    "local_hour": lambda instant: datetime.fromisoformat(instant).astimezone(VANCOUVER).hour,
    "local_day": lambda instant: instant and datetime.fromisoformat(instant).astimezone(VANCOUVER).toordinal(),
}


class Request(SimpleNamespace):
    """One service request, and what the definitions say of it as of as_of: a row of `fact`."""


class Group(NamedTuple):
    """The requests of one level, scope and name."""

    level: str
    scope: str
    local_area: str | None
    issue_type: str | None
    department: str | None
    id: str
    requests: list[Request]

    @property
    def key(self) -> Row:
        return dict(zip(GROUP, self[:5], strict=True))


class Cohort(NamedTuple):
    """The requests of a group that were opened in a period, those that time to close can use, and their curve."""

    group: Group
    period: str
    start: int
    end: int
    requests: list[Request]
    used: list[Request]
    curve: Curve | None
    blocks: list[list[Request]]

    @property
    def key(self) -> Row:
        return self.group.key | {"period": self.period}

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.group.level, self.group.scope, self.period


class Record:
    """What one published file holds, before any estimate."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        for name, function in FUNCTIONS.items():
            connection.create_function(name, 1, function, deterministic=True)
        connection.create_function("regexp", 2, lambda pattern, text: text and bool(re.search(pattern, text)))
        connection.executescript(SQL)
        self.connection = connection
        self.as_of = self.rows("clock")[0]["as_of"]
        self.requests = [Request(**row) for row in self.rows("fact")]
        self.first = min(r.opened for r in self.requests)
        self.areas = [row["local_area"] for row in self.rows("local_areas")]
        self.spans = [tuple(row.values()) for row in self.rows("span")]
        self.months = [tuple(row.values()) for row in self.rows("months")]
        members = by(self.rows("member"), lambda row: row["group_id"])
        self.groups = [
            Group(*row.values(), [self.requests[member["number"] - 1] for member in members.get(row["group_id"], [])])
            for row in self.rows("grouped")
        ]
        self.batch_days = [row for group in self.groups for row in batch_days_of(group)]
        connection.executemany("INSERT INTO batch VALUES (:group_id, day(:day))", self.batch_days)

    def rows(self, name: str) -> list[Row]:
        """All rows of one table of the file, or of `recompute.sql`."""
        return [dict(row) for row in self.connection.execute(f"SELECT * FROM {name}")]

    @cached_property
    def large_groups(self) -> list[Group]:
        return [group for group in self.groups if group.level != "hyper_local"]

    @cached_property
    def cohorts(self) -> list[Cohort]:
        """Every group in every period."""
        return [cohort_of(group, *span) for group in self.groups for span in self.spans]

    @cached_property
    def outcomes(self) -> list[tuple[str, int]]:
        """The six outcomes, and Unmapped if a closed request has a reason that is in no group."""
        outcomes = {(row["outcome"], row["outcome_order"]) for row in self.rows("temp.outcome_mapping")}
        return sorted(outcomes, key=lambda outcome: outcome[1])


def by(rows: Iterable, key: Callable[..., Hashable]) -> dict:
    """The rows or requests under each key, in order of first appearance."""
    members = defaultdict(list)
    for row in rows:
        members[key(row)].append(row)
    return dict(members)


def cohort_of(group: Group, period: str, start: int, end: int, left_out: frozenset[int] = frozenset()) -> Cohort:
    requests = [r for r in within(group.requests, start, end) if r.number not in left_out]
    used = usable(requests)
    blocked = group.level != "hyper_local" or period.startswith("last_")
    curve = enlarged_curve(lifetimes(used), start, end if blocked else start) if len(used) >= LEAST_N else None
    return Cohort(group, period, start, end, requests, used, curve, blocks_of(requests, start, end))


def within(requests: Iterable[Request], start: int, end: int) -> list[Request]:
    return [r for r in requests if start <= r.opened <= end]


def usable(requests: Iterable[Request]) -> list[Request]:
    return [r for r in requests if r.unused is None]


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def yes(condition: bool) -> str:
    return "yes" if condition else "no"


# --- Time to close ---------------------------------------------------------------------------------------------------


class Curve:
    """The Kaplan–Meier curve of some requests, day by day, with its log-log limits.

    Args:
        followed: of each request the first and the last day of its age on which it was followed, and whether it was closed then.
        first: the day that the curve begins with.
        effect: by how much Greenwood's variance is to be enlarged on each day.
    """

    def __init__(
        self, followed: Sequence[tuple[int, int, bool]], first: int = 0, effect: Sequence[float] | None = None
    ) -> None:
        self.first, self.n = first, sum(start == first for start, _, _ in followed)
        self.last = max(end for _, end, _ in followed)
        self.closings = Counter(end for _, end, closed in followed if closed)
        self.effect = effect or [1.0] * (self.last + 1)
        self.at_risk, self.share, self.low, self.high, self.greenwood = ([math.nan] * self.first for _ in range(5))
        starts, ends = Counter(start for start, _, _ in followed), Counter(end for _, end, _ in followed)
        at_risk, still_open, greenwood, behind_zero = 0, 1.0, 0.0, math.inf
        for day in range(self.first, self.last + 1):
            at_risk += starts[day]
            closed = self.closings[day]
            if closed == at_risk and still_open and closed:
                behind_zero = at_risk / still_open / self.effect[day]
            still_open *= 1 - closed / (at_risk or 1)
            if closed < at_risk:
                greenwood += closed / (at_risk * (at_risk - closed))
            if still_open == 1:
                low, high = 0.025 ** (self.effect[day] / at_risk) if at_risk else 1.0, 1.0
            elif still_open == 0:
                low, high = 0.0, 1 - 0.025 ** (1 / behind_zero)
            else:
                low, high = log_log(still_open, still_open**2 * greenwood * self.effect[day])
            self.greenwood.append(greenwood)
            self.at_risk.append(at_risk)
            self.share.append(still_open)
            self.low.append(low)
            self.high.append(high)
            at_risk -= ends[day]

    def quantiles(self, name: str) -> tuple[tuple[int | None, ...], str]:
        """The day of the quantile, and those of the lower and the upper limit; and the state."""
        days = tuple(first_day(values, 1 - QUANTILES[name]) for values in (self.share, self.low, self.high))
        if self.n < LEAST_OF[name] or (days[0] is not None and min(self.at_risk[self.first : days[0] + 1]) < 10):
            return (None, None, None), "too_few"
        return days, "not_reached" if days[0] is None else "ok"

    def mean_within(self, days: int) -> tuple[float | None, ...]:
        """The restricted mean with its limits."""
        if self.last < days:
            return None, None, None
        mean, variance = math.fsum(self.share[:days]), 0.0
        for day in range(days):
            n, d = self.at_risk[day], self.closings[day]
            enlarged = self.effect[day] * math.fsum(self.share[day:days]) ** 2
            variance += enlarged * d / (n * (n - d)) if d < n else 0.0
        if variance == 0:
            return mean, math.fsum(self.low[:days]), math.fsum(self.high[:days])
        width = Z_95 * math.sqrt(variance)
        return mean, max(0.0, mean - width), min(float(days), mean + width)


def curve_of(requests: Iterable[Request], waited: int = -1, effect: Sequence[float] | None = None) -> Curve:
    """The curve of usable requests; of those only that were open at the end of a day, from the next day on."""
    followed = [(waited + 1, r.followed, r.closed) for r in requests if r.followed > waited]
    return Curve(followed, waited + 1, effect)


def blocks_of(requests: Iterable[Request], start: int, end: int) -> list[list[Request]]:
    """The requests by stretches of opening of equal length: 26, or as many as there are whole weeks."""
    days = end - start + 1
    blocks: list[list[Request]] = [[] for _ in range(min(26, max(1, days // 7)))]
    for request in requests:
        blocks[(request.opened - start) * len(blocks) // days].append(request)
    return blocks


@cache
def enlarged(blocks: int) -> float:
    return (student.ppf(0.975, blocks - 1) / Z_95) ** 2


Lifetime = tuple[int, int, int, bool]
"""When a request was opened, the first and the last day of its age on which it was followed, and whether it was closed then."""


def lifetimes(requests: Iterable[Request]) -> list[Lifetime]:
    return [(r.opened, 0, r.followed, r.closed) for r in requests]


def enlarged_curve(followed: Sequence[Lifetime], start: int, end: int) -> Curve:
    """A curve with the design effect of the blocks of these days."""
    ages = [lifetime[1:] for lifetime in followed]
    return Curve(ages, effect=design_effect(followed, Curve(ages), start, end))


def design_effect(followed: Sequence[Lifetime], curve: Curve, start: int, end: int) -> list[float]:
    """How many times Greenwood's variance is on each day, given the jackknife's, which leaves out a block of openings each, plus that
    which leaves out a block of waiting, less Greenwood's.
    """
    days = end - start + 1
    blocks = min(26, max(1, days // 7))
    if blocks == 1:
        return [1.0] * (curve.last + 1)
    opened, first, last, event = np.array(followed).T
    row = np.repeat(np.arange(len(opened)), last - first + 1)
    age = np.arange(len(row)) - np.repeat(np.cumsum(last - first + 1) - last - 1, last - first + 1)
    closing = (age == last[row]) & (event[row] == 1)
    shape = blocks, curve.last + 1
    cells = [(day - start) * blocks // days % blocks * shape[1] + age for day in (opened[row], opened[row] + age)]
    at_risk, closed = (
        np.stack([np.bincount(cell[some], minlength=blocks * shape[1]).reshape(shape) for cell in cells])
        for some in (slice(None), closing)
    )
    left_out = at_risk.sum(axis=1, keepdims=True) - at_risk
    curves = np.cumprod(1 - (closed.sum(axis=1, keepdims=True) - closed) / np.maximum(left_out, 1), axis=2)
    spread, effects = (blocks - 1) * curves.var(axis=1).sum(axis=0), [1.0]
    for day in range(curve.last + 1):
        still_open, effect = curve.share[day], effects[-1]
        if TOLERANCE < still_open < 1 - TOLERANCE:
            alone = still_open**2 * curve.greenwood[day]
            effect = max(1.0, enlarged(blocks) * (spread[day] - alone) / alone)
        effects.append(effect)
    return effects[1:]


def share_effect(counts: Sequence[tuple[int, int]]) -> float:
    """The same of a share, from how many of how many requests it is of in each block."""
    part, whole = (sum(numbers) for numbers in zip(*counts, strict=True))
    if len(counts) < 2 or part in (0, whole):
        return 1.0
    p, blocks = part / whole, len(counts)
    between = blocks / (blocks - 1) * math.fsum((some - p * n) ** 2 for some, n in counts)
    return max(1.0, enlarged(blocks) * between / (whole * p * (1 - p)))


def log_log(p: float, variance: float) -> tuple[float, float]:
    """The limits of a share with this variance."""
    width = Z_95 * math.sqrt(variance) / abs(p * math.log(p))
    return p ** math.exp(width), p ** math.exp(-width)


def first_day(values: Sequence[float], level: float) -> int | None:
    """The first day on which the value is down to the level."""
    return next((day for day, value in enumerate(values) if value <= level + TOLERANCE), None)


def timing_state(volume: int, n: int) -> str:
    """Why there is no value, or ok."""
    if volume == 0:
        return "no_requests"
    if n == 0:
        return "no_usable_timing"
    return "too_few" if n < LEAST_N else "ok"


def quantile_cells(name: str, curve: Curve | None, state: str) -> Row:
    """A quantile with its limits and state, under the names that the tables use."""
    (day, low, high), state = curve.quantiles(name) if curve else ((None, None, None), state)
    return {f"{name}_days": day, f"{name}_low": low, f"{name}_high": high, f"{name}_state": state}


def times_of(cohort: Cohort, names: Iterable[str]) -> Row:
    """The counts of a cohort, and some quantiles of its curve."""
    volume, n, closed = len(cohort.requests), len(cohort.used), sum(r.closed for r in cohort.used)
    row = cohort.key | {"volume": volume, "n": n, "closed": closed, "still_open": n - closed}
    for name in names:
        row |= quantile_cells(name, cohort.curve, timing_state(volume, n))
    return row


def time_to_close(record: Record) -> Iterator[Row]:
    for cohort in record.cohorts:
        curve, unused = cohort.curve, Counter(r.unused for r in cohort.requests)
        days = sorted(r.followed for r in cohort.used if r.closed)
        row = times_of(cohort, QUANTILES) | {reason: unused[reason] for reason in UNUSED}
        row["followed_days"] = max((r.followed for r in cohort.used), default=None)
        half = first_day(curve.share, 0.5) if curve else None
        row["design_effect"] = curve.effect[curve.last if half is None else half] if curve else None
        for tau in (30, 90):
            names = (f"mean_within_{tau}", f"mean_within_{tau}_low", f"mean_within_{tau}_high")
            row |= zip(names, curve.mean_within(tau) if curve else (None, None, None), strict=True)
        row["mean_closed_only"] = share(sum(days), len(days)) if curve else None
        row["median_closed_only"] = days[(len(days) + 1) // 2 - 1] if curve and days else None
        yield row


def time_to_close_without(record: Record) -> Iterator[Row]:
    """The last 12 months, without internal types, without what was closed on a batch day, and without both."""
    internal = re.compile("internal|audit|tracking|transfer case", re.IGNORECASE)
    inside = frozenset(r.number for r in record.requests if internal.search(r.issue_type))
    batch = frozenset(row["number"] for row in record.rows("in_batch"))
    for span in (span for span in record.spans if span[0] == "last_12_months"):
        for group in record.large_groups:
            for left_out, numbers in (("internal types", inside), ("batch days", batch), ("both", inside | batch)):
                yield times_of(cohort_of(group, *span, numbers), ("median", "p90")) | {"left_out": left_out}


def time_to_close_curves(record: Record) -> Iterator[Row]:
    for cohort in record.cohorts:
        curve = cohort.curve
        if curve is None or (cohort.group.level == "hyper_local" and cohort.period != "last_12_months"):
            continue
        for day in (day for day in CURVE_DAYS if day <= curve.last):
            closed_by = sum(closed for closed_on, closed in curve.closings.items() if closed_on <= day)
            row = {"day": day, "at_risk": curve.at_risk[day], "closed_by": closed_by, "open_share": curve.share[day]}
            yield cohort.key | row | {"open_share_low": curve.low[day], "open_share_high": curve.high[day]}


def time_to_close_by_weekday(record: Record) -> Iterator[Row]:
    shown = {("citywide", "all", "last_12_months"), ("issue", "all", "last_12_months")}
    for cohort in (cohort for cohort in record.cohorts if cohort.kind in shown):
        of_day = [[r for r in cohort.used if r.opened % 7 == weekday % 7] for weekday in range(1, 8)]
        curves = [
            enlarged_curve(lifetimes(used), cohort.start, cohort.end) if len(used) >= LEAST_N else None
            for used in of_day
        ]
        ok = [days for days, state in (curve.quantiles("median") for curve in curves if curve) if state == "ok"]
        lows, highs = [low for _, low, _ in ok if low is not None], [high for _, _, high in ok if high is not None]
        differ = bool(lows and highs) and max(lows) > min(highs)
        for weekday, used, curve in zip(range(1, 8), of_day, curves, strict=True):
            row = cohort.key | {"weekday": weekday, "n": len(used), "weekdays_differ": yes(differ)}
            yield row | quantile_cells("median", curve, "too_few" if used else "no_requests")


def current_speed(record: Record) -> Iterator[Row]:
    """The curve of the ages that fell into the last 13 settled weeks."""
    start, end = record.as_of - 97, record.as_of - 7
    for group in record.groups:
        seen = [r for r in usable(group.requests) if r.opened <= end and r.opened + r.followed >= start]
        followed = [
            (r.opened, max(start - r.opened, 0), min(r.followed, end - r.opened), r.closed and r.closed_on <= end)
            for r in seen
        ]
        n, closed = sum(r.opened >= start for r in seen), sum(closed for *_, closed in followed)
        row = group.key | {"weeks_from": iso(start), "weeks_to": iso(end)}
        row |= {"followed": len(seen), "n": n, "closed": closed}
        curve = enlarged_curve(followed, start, end) if n >= LEAST_N else None
        for name in QUANTILES:
            row |= quantile_cells(name, curve, "too_few" if seen else "no_requests")
        yield row


# --- How long should mine take? --------------------------------------------------------------------------------------


def waiting_times(record: Record) -> Iterator[Row]:
    shown = {("issue", "all", "all"), ("issue", "all", "last_12_months"), ("hyper_local", "located", "last_12_months")}
    for cohort in record.cohorts:
        curve = cohort.curve
        if curve is None or cohort.kind not in shown:
            continue
        for waited in (day for day in WAITED_DAYS if day < curve.last):
            followed, after = sum(r.followed > waited for r in cohort.used), curve_of(cohort.used, waited, curve.effect)
            row = cohort.key | {"waited_days": waited, "followed": followed}
            row["open_share"] = curve.share[waited] if waited >= 0 else 1.0
            for name in QUANTILES:
                (day, low, high), row[f"further_{name}_state"] = further(after, name)
                row |= {f"further_{name}": day, f"further_{name}_low": low, f"further_{name}_high": high}
            yield row


def further(after: Curve, name: str) -> tuple[tuple[int | None, ...], str]:
    """Further days until this share of those that the curve is of, who waited before it, were closed; limits; and the state."""
    days, state = after.quantiles(name) if after.n >= LEAST_N else ((None, None, None), "too_few")
    waited = max(after.first - 1, 0)
    return tuple(None if day is None else day - waited for day in days), state


def open_request_standing(record: Record) -> Iterator[Row]:
    """Each open request against its issue type."""
    of_type = {
        (cohort.group.issue_type, cohort.period): cohort.used
        for cohort in record.cohorts
        if (cohort.group.level, cohort.group.scope) == ("issue", "all")
    }
    curves = {key: curve_of(used) for key, used in of_type.items() if used}
    later: dict[tuple[str, str, int], Curve] = {}
    for request in (r for r in record.requests if r.is_open and not r.unused):
        waited = record.as_of - request.opened
        for period in ("last_12_months", "all"):
            followed = sum(r.followed > waited for r in of_type.get((request.issue_type, period), ()))
            if followed >= LEAST_N:
                break
        curve = curves[request.issue_type, period]
        row = {"request_id": request.request_id, "days_open": waited, "period": period}
        row |= {"n": curve.n, "followed": followed}
        row["closed_sooner_share"] = 1 - curve.share[waited] if curve.n >= LEAST_N else None
        row["further_median"], row["state"] = None, "too_few"
        if followed >= LEAST_N:
            key = (request.issue_type, period, waited)
            later[key] = later.get(key) or curve_of(of_type[key[:2]], waited)
            (row["further_median"], _, _), row["state"] = further(later[key], "median")
        yield row


# --- Month by month --------------------------------------------------------------------------------------------------


def wilson(part: float, whole: float) -> tuple[float, float, float]:
    """The share with its 95 % limits."""
    p, z2 = part / whole, Z_95**2
    middle = p + z2 / (2 * whole)
    width = Z_95 * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole**2))
    return p, (middle - width) / (1 + z2 / whole), (middle + width) / (1 + z2 / whole)


def effect_within(group: Group, days: int, record: Record, end: int) -> float:
    """The design effect of a group's shares closed within so many days, in the last 52 weeks, of requests that are old enough."""
    start = max(end - 363, record.first)
    if end < start:
        return 1.0
    old_enough = [r for r in usable(group.requests) if r.opened <= record.as_of - days]
    blocks = blocks_of(within(old_enough, start, end), start, end)
    return share_effect([(sum(r.closed and r.followed <= days for r in block), len(block)) for block in blocks])


def share_within(used: Sequence[Request], days: int, state: str, month_end: int, record: Record, effect: float) -> Row:
    """Closed within so many days, once all requests of the month are that old."""
    old_enough = [r for r in used if r.opened <= record.as_of - days]
    n, quick = len(old_enough), sum(r.closed and r.followed <= days for r in old_enough)
    if used:
        state = "immature" if month_end > record.as_of - days else "too_few" if n < LEAST_N else "ok"
    middle, low, high = wilson(quick / effect, n / effect) if state == "ok" else (None, None, None)
    row = {f"n_{days}": n, f"within_{days}": quick, f"share_{days}": middle}
    return row | {f"share_{days}_low": low, f"share_{days}_high": high, f"share_{days}_state": state}


def monthly_series(record: Record) -> Iterator[Row]:
    """Every month of the record for each group."""
    curves = {cohort.group.id: cohort.curve for cohort in record.cohorts if cohort.period == "last_12_months"}
    for group in record.groups:
        opened = by(group.requests, lambda r: r.month)
        closed_in = Counter(iso(r.leaves_pile)[:7] for r in group.requests if r.leaves_pile)
        effects = {days: effect_within(group, days, record, record.as_of - days) for days in (7, 30, 90)}
        usual = curves[group.id].quantiles("median")[0][0] if curves.get(group.id) else None
        of_median = 1.0 if usual is None else effect_within(group, usual, record, record.as_of)
        for month, start, end in record.months:
            members = opened.get(month, [])
            used = usable(members)
            state = timing_state(len(members), len(used))
            row = {"month": month, "opened": len(members), "closed_in": closed_in[month], "open_at_end": None}
            if start <= record.as_of:
                row["open_at_end"] = pile_at(group.requests, min(end, record.as_of))
            row |= {"n": len(used), "closed": sum(r.closed for r in used), "provisional": yes(end >= record.as_of - 6)}
            alike = [of_median] * (1 + max((r.followed for r in used), default=0))
            row |= quantile_cells("median", curve_of(used, effect=alike) if state == "ok" else None, state)
            for days, effect in effects.items():
                row |= share_within(used, days, state, end, record, effect)
            yield group.key | row


# --- More or fewer than a year before --------------------------------------------------------------------------------


def year_on_year(record: Record) -> Iterator[Row]:
    """What is said of each group, and its q among those of its level, scope and measure."""
    for rows in by(years_of(record), lambda row: (row["level"], row["scope"], row["measure"])).values():
        shown = [row for row in rows if row["state"] == "ok"]
        degrees = (rows[0]["blocks"] - 1) / 2
        for row, q in zip(shown, q_values([2 * student.sf(abs(row["z"]), degrees) for row in shown]), strict=True):
            row["q_value"] = q
        yield from ({"q_value": None} | {name: value for name, value in row.items() if name != "z"} for row in rows)


def years_of(record: Record) -> Iterator[Row]:
    """The last four settled weeks of each group against the same weekdays a year before."""
    begin = record.as_of - 34
    names = ("days_from", "days_to", "year_before_from", "year_before_to")
    days = dict(zip(names, map(iso, (begin, begin + 27, begin - 364, begin - 337)), strict=True))
    begins = [begin, *range(begin - 28, record.first - 1, -28)]
    for group in record.groups:
        for measure, moved in (
            ("opened", sorted(r.opened for r in group.requests)),
            ("closed_in", sorted(r.leaves_pile for r in group.requests if r.leaves_pile)),
        ):
            counts = [bisect_left(moved, begin + 28) - bisect_left(moved, begin) for begin in begins]
            yield group.key | days | {"measure": measure} | on_year(counts)


def on_year(counts: Sequence[int]) -> Row:
    """What is said of counts in spans of four weeks, the newest first."""
    now, before = counts[0], counts[13] if len(counts) > 13 else None
    pairs = list(zip(counts, counts[13:], strict=False))
    row: Row = {"requests": now, "requests_year_before": before, "blocks": len(pairs)}
    row |= dict.fromkeys(("change_on_year", "noise_band", "verdict"))
    if len(pairs) < 13:
        return row | {"state": "too_short"}
    if now + before < LEAST_N:
        return row | {"state": "too_few" if now + before else "no_requests"}
    changes = [math.log((c + 0.5) / (earlier + 0.5)) for c, earlier in pairs]
    spread = 1.4826 * distance_from_median(changes) * (1 + 4 / len(changes))
    spread = max(spread, math.sqrt(1 / (now + 0.5) + 1 / (before + 0.5)))
    band, row["z"] = math.exp(2 * spread) - 1, changes[0] / spread
    times, least = (now + 0.5) / (before + 0.5), 0.05 * before
    verdict = "more" if times >= 1 + band and now - before >= least else "about as many"
    verdict = "fewer" if 1 / times >= 1 + band and before - now >= least else verdict
    change = now / before - 1 if before else None
    return row | {"change_on_year": change, "noise_band": band, "verdict": verdict, "state": "ok"}


# --- Faster or slower than a year before -----------------------------------------------------------------------------


def speed_on_year(record: Record) -> Iterator[Row]:
    """The curves of the last 52 settled weeks and of the 52 before, by each group's horizon."""
    end = record.as_of - 7
    spans = ((end - 363, end), (end - 727, end - 364))
    past = within(usable(record.requests), *spans[1])
    keys = {"issue": "issue_type", "hyper_local": "issue_type", "department": "department"}
    past_of = {name: by(past, lambda r, name=name: getattr(r, name)) for name in set(keys.values())}
    days = dict(
        zip(("opened_from", "opened_to", "year_before_from", "year_before_to"), map(iso, sum(spans, ())), strict=True)
    )
    rows = []
    for group in record.groups:
        name = keys.get(group.level)
        horizon = horizon_of(past_of[name].get(getattr(group, name), []) if name else past)
        (requests, used, curve), (earlier, used_earlier, curve_earlier) = (year_of(group, *span) for span in spans)
        row = group.key | days | {"horizon_days": horizon, "n": len(used), "n_year_before": len(used_earlier)}
        row |= dict.fromkeys(("q_value", "verdict"))
        row |= dict.fromkeys(f"{share}{end}" for share in SHARES for end in ("", "_low", "_high"))
        row |= quantile_cells("median", curve, timing_state(len(requests), len(used)))
        median_earlier = quantile_cells("median", curve_earlier, timing_state(len(earlier), len(used_earlier)))
        row |= {name.replace("median", "median_year_before"): value for name, value in median_earlier.items()}
        old_enough = sum(r.opened <= record.as_of - horizon for r in used)
        if record.first > spans[1][0]:
            row |= dict.fromkeys(f"median_year_before_{end}" for end in ("days", "low", "high"))
            row |= {"state": "too_short", "median_year_before_state": "too_short"}
        elif min(old_enough, len(used_earlier)) < LEAST_N:
            row["state"] = "too_few" if requests or earlier else "no_requests"
        else:
            row |= {"state": "ok"} | changed(share_by(curve, horizon), share_by(curve_earlier, horizon))
        rows.append(row)
    for level in by((row for row in rows if row["state"] == "ok"), lambda row: (row["level"], row["scope"])).values():
        for row, q in zip(level, q_values([math.erfc(row.pop("z") / math.sqrt(2)) for row in level]), strict=True):
            row |= {"q_value": q, "verdict": "unclear"}
            if q <= 0.05:
                row["verdict"] = "faster" if row["share_change"] > 0 else "slower"
            if row["share_change_low"] >= -0.05 and row["share_change_high"] <= 0.05:
                row["verdict"] = "about the same"
    yield from rows


SHARES = ("share_within", "share_within_year_before", "share_change")


def horizon_of(requests: Sequence[Request]) -> int:
    return min((7, 30, 90), key=lambda h: abs(2 * sum(r.closed and r.followed <= h for r in requests) - len(requests)))


def year_of(group: Group, start: int, end: int) -> tuple[list[Request], list[Request], Curve | None]:
    requests = within(group.requests, start, end)
    used = usable(requests)
    return requests, used, enlarged_curve(lifetimes(used), start, end) if len(used) >= LEAST_N else None


def share_by(curve: Curve, day: int) -> tuple[float, float, float]:
    """The share closed by a day, with its limits."""
    day = min(day, curve.last)
    return 1 - curve.share[day], 1 - curve.high[day], 1 - curve.low[day]


def changed(now: tuple[float, float, float], before: tuple[float, float, float]) -> Row:
    """Two shares, and their difference with its limits."""
    (p, low, high), (p_before, low_before, high_before) = now, before
    change, down, up = (
        p - p_before,
        math.hypot(p - low, high_before - p_before),
        math.hypot(high - p, p_before - low_before),
    )
    cells = {
        "share_within": now,
        "share_within_year_before": before,
        "share_change": (change, change - down, change + up),
    }
    row = {
        f"{name}{end}": value
        for name, cell in cells.items()
        for end, value in zip(("", "_low", "_high"), cell, strict=True)
    }
    return row | {"z": Z_95 * abs(change) / (down if change > 0 else up)}


# --- When, how, and how many a head ----------------------------------------------------------------------------------

CENSUS = Path(__file__).parents[2] / "vanc311_pipeline" / "metrics" / "census_local_areas.csv"


def area_rates(record: Record) -> Iterator[Row]:
    """The requests of the last 12 months on a thousand heads of 2016, with limits as wide as their fortnights differ."""
    census = pd.read_csv(CENSUS).query("year == 2016").set_index("local_area")
    for cohort in record.cohorts:
        if cohort.period != "last_12_months" or cohort.group.level not in ("neighbourhood", "hyper_local"):
            continue
        heads, count = census.loc[cohort.group.local_area], len(cohort.requests)
        row = cohort.key | {"requests": count, "census_year": 2016, "state": "ok" if count >= LEAST_N else "too_few"}
        row |= {"residents": int(heads["population"]), "dwellings": int(heads["occupied_private_dwellings"])}
        row["state"] = row["state"] if count else "no_requests"
        e = spread_of(cohort) if count >= LEAST_N else None
        for of in ("residents", "dwellings"):
            limits = (
                (count, e * chi2.ppf(0.025, 2 * count / e) / 2, e * chi2.ppf(0.975, 2 * count / e + 2) / 2) if e else ()
            )
            names = (f"per_1000_{of}{end}" for end in ("", "_low", "_high"))
            row |= zip(names, (1000 * each / row[of] for each in limits) if e else (None,) * 3, strict=True)
        yield row | {"dispersion": e}


def spread_of(cohort: Cohort) -> float:
    """How many times as large as a Poisson count's the variance is that the blocks show."""
    days, blocks, count = cohort.end - cohort.start + 1, len(cohort.blocks), len(cohort.requests)
    if blocks == 1:
        return 1.0
    length = Counter(day * blocks // days for day in range(days))
    squares = math.fsum((len(block) - count * length[k] / days) ** 2 for k, block in enumerate(cohort.blocks))
    return max(1.0, enlarged(blocks) * blocks / (blocks - 1) * squares / count)


# --- Backlog and flow ------------------------------------------------------------------------------------------------


def distance_from_median(values: Sequence[float]) -> float:
    """The median of the distances; SciPy's costs a hundred times as much."""
    middle = median(values)
    return median(abs(value - middle) for value in values)


def pile_at(requests: Iterable[Request], day: int) -> int:
    """What was open at the end of the day."""
    return sum(r.in_pile and r.opened <= day and (r.leaves_pile is None or r.leaves_pile > day) for r in requests)


def beyond_the_usual(changes: Sequence[float]) -> tuple[float, float, int]:
    """Of the last of some weekly changes: what was usual, how far it is from that, and the years that say so."""
    earlier = [changes[-1 - 52 * years] for years in (1, 2, 3) if 52 * years < len(changes)]
    usual = sum(earlier) / len(earlier)
    years_apart = [changes[week] - changes[week - 52] for week in range(52, len(changes))]
    scale = 1.4826 * distance_from_median(years_apart) / math.sqrt(2) * math.sqrt(1 + 1 / len(earlier))
    beyond = changes[-1] - usual
    z = beyond / scale if scale else math.copysign(1e9, beyond) if beyond else 0.0
    return usual, z, len(earlier)


def flow_label(pile: int, change: float, usual: float, z: float) -> str:
    requests = (pile + 1) - (pile + 1) / math.exp(change - usual)
    share_beyond = math.exp(change - usual) - 1
    if z >= 2.6 and share_beyond >= 0.05 and requests >= 10:
        return "growing"
    return "shrinking" if z <= -2.6 and share_beyond <= -0.05 and requests <= -10 else "stable"


def flow(record: Record) -> Iterator[Row]:
    sunday = (record.as_of - 7) // 7 * 7
    begin = max(UNDERSTATED_UNTIL, record.first + 365)
    sundays = range(sunday, begin - 1, -7)[::-1]
    for group in record.large_groups:
        requests = [r for r in group.requests if r.in_pile and not r.is_static]
        came, went = sorted(r.opened for r in requests), sorted(r.leaves_pile for r in requests if r.leaves_pile)
        until = {
            day: (bisect_right(came, day), bisect_right(went, day))
            for day in (*sundays, sunday, sunday - 91, sunday - 364)
        }
        opened, closed = (now - before for now, before in zip(until[sunday], until[sunday - 91], strict=True))
        start, end, year_before = (until[day][0] - until[day][1] for day in (sunday - 91, sunday, sunday - 364))
        row = {"weeks_from": iso(sunday - 90), "weeks_to": iso(sunday), "opened": opened, "closed_in": closed}
        row |= {"net": opened - closed, "backlog_start": start, "backlog_end": end}
        row["backlog_year_before"] = year_before if sunday - 364 >= begin else None
        yield group.key | row | season_of([until[day] for day in sundays], opened + closed)


def season_of(until: Sequence[tuple[int, int]], handled: int) -> Row:
    """The label and what it rests on, of what had come and gone by each Sunday that the record knows."""
    row: Row = dict.fromkeys(
        ("net_low", "net_high", "usual_change", "change_beyond_usual", "distance_from_usual", "labels_in_backtest")
    )
    row |= {"years": 0, "weeks_in_backtest": 0, "flow": "too_short" if handled >= LEAST_N else "too_few"}
    piles = [came - went for came, went in until]
    changes = [math.log((piles[week] + 1) / (piles[week - 13] + 1)) for week in range(13, len(piles))]
    looks = [look for look in range(len(changes)) if look >= 52 + 25][-104:]
    if not looks:
        return row
    labels = []
    for look in looks:
        usual, z, years = beyond_the_usual(changes[: look + 1])
        busy = sum(until[look + 13]) - sum(until[look]) >= LEAST_N
        labels.append(flow_label(piles[look + 13], changes[look], usual, z) if busy else "too_few")
    nets = [piles[-1 - 52 * year] - piles[-14 - 52 * year] for year in range(1, years + 1)]
    row |= {"years": years, "net_low": min(nets), "net_high": max(nets), "usual_change": math.exp(usual) - 1}
    row |= {"change_beyond_usual": math.exp(changes[-1] - usual) - 1, "flow": labels[-1]}
    row |= {"distance_from_usual": z if handled >= LEAST_N else None, "weeks_in_backtest": len(looks)}
    row["labels_in_backtest"] = sum(label in ("growing", "shrinking") for label in labels) / len(looks)
    return row


# --- Outcomes --------------------------------------------------------------------------------------------------------


def outcomes(record: Record) -> Iterator[Row]:
    for cohort in (c for c in record.cohorts if c.group.level != "hyper_local"):
        closed_as = Counter(r.outcome for r in cohort.requests if r.is_closed)
        closed, still_open = closed_as.total(), sum(r.is_open for r in cohort.requests)
        state = ("too_few" if closed < LEAST_N else "ok") if cohort.requests else "no_requests"
        for outcome, order in record.outcomes:
            count = closed_as[outcome]
            of_blocks = [[r.outcome == outcome for r in block if r.is_closed] for block in cohort.blocks]
            effect = share_effect([(sum(block), len(block)) for block in of_blocks])
            middle, low, high = wilson(count / effect, closed / effect) if state == "ok" else (None, None, None)
            row = {"outcome": outcome, "outcome_order": order, "closed_as": count, "closed": closed}
            row |= {"open_requests": still_open, "outcome_share": middle, "state": state}
            yield cohort.key | row | {"outcome_share_low": low, "outcome_share_high": high}


def outcome_incidence(record: Record) -> Iterator[Row]:
    shown = {
        ("citywide", "all"),
        ("citywide", "located"),
        ("neighbourhood", "located"),
        ("issue", "all"),
        ("department", "all"),
    }
    for cohort in (c for c in record.cohorts if c.kind[:2] in shown and c.period in ("all", "last_12_months")):
        if (curve := cohort.curve) is None:
            continue
        open_before = [1.0, *curve.share]
        for outcome, order in record.outcomes:
            days = Counter(r.followed for r in cohort.used if r.closed and r.outcome == outcome)
            steps = (open_before[day] * days[day] / curve.at_risk[day] for day in range(curve.last + 1))
            closed_share = list(accumulate(steps))
            for day in (day for day in WAITED_DAYS if 0 <= day <= curve.last):
                low, high = incidence_limits(curve, closed_share, days, day)
                row = {"outcome": outcome, "outcome_order": order, "n": curve.n, "day": day}
                row["closed_share"] = closed_share[day]
                yield cohort.key | row | {"closed_share_low": low, "closed_share_high": high}


def incidence_limits(curve: Curve, incidence: Sequence[float], days: Counter, until: int) -> tuple[float, float]:
    """The log-log limits of the share closed in one way, with Aalen and Johansen's variance."""
    total, variance, before = incidence[until], 0.0, [1.0, *curve.share]
    if total <= TOLERANCE:
        return 0.0, 1 - 0.025 ** (curve.effect[until] / curve.at_risk[until])
    if total >= 1 - TOLERANCE:
        return 1 - curve.high[until], 1.0
    for day in (day for day in curve.closings if day <= until):
        n, closed, own, later = curve.at_risk[day], curve.closings[day], days[day], total - incidence[day]
        variance += later**2 * closed / (n * (n - closed)) if closed < n else 0.0
        variance += before[day] ** 2 * own * (n - own) / n**3 - 2 * later * before[day] * own / n**2
    return log_log(total, max(variance, 0.0) * curve.effect[until])


# --- Fair comparison of areas ----------------------------------------------------------------------------------------


def jackknifed(replicates: Sequence[float]) -> float:
    """The standard error that all but one month each give."""
    return math.sqrt((len(replicates) - 1) * np.var(replicates))


def verdict(row: Row) -> str:
    if row["q_value"] <= 0.05:
        clearly = row["ratio_low"] > 1.1 or row["ratio_high"] < 0.91
        return f"{'clearly' if clearly else 'somewhat'} {'more' if row['ratio'] > 1 else 'fewer'}"
    return "about the same" if row["ratio_low"] >= 0.87 and row["ratio_high"] <= 1.15 else "unclear"


def pooled(requests: Sequence[Request], first: int) -> Iterator[Request]:
    """Each with its pool (its type; if that is rare, its department; if that is too, the rest) and its twelfth of the window."""
    of_type = Counter(r.issue_type for r in requests)
    rare = Counter(r.department for r in requests if of_type[r.issue_type] < LEAST_N)
    for r in requests:
        pool = ("department", r.department) if rare[r.department] >= LEAST_N else ("rest",)
        if of_type[r.issue_type] >= LEAST_N:
            pool = ("type", r.issue_type)
        yield Request(**vars(r), pool=pool, twelfth=12 * (r.opened - first) // 365)


def pool_of(request: Request) -> tuple[str, ...]:
    return request.pool


def open_after_30(request: Request) -> bool:
    return not (request.closed and request.followed <= 30)


def rate_of(requests: Sequence[Request]) -> Callable[[Request], list[float]]:
    """What a request of this pool adds to the expected number that are open after 30 days, in one step."""
    rate = sum(map(open_after_30, requests)) / len(requests)
    return lambda request: [rate]


def hazard_of(requests: Sequence[Request]) -> Callable[[Request], list[float]]:
    """What a request of this pool adds to the expected closings, day by day, up to the day it was followed to."""
    ends, closings = Counter(r.followed for r in requests), Counter(r.followed for r in requests if r.closed)
    at_risk, hazard = len(requests), []
    for day in range(max(ends) + 1):
        hazard.append(closings[day] / at_risk)
        at_risk -= ends[day]
    return lambda request: hazard[: request.followed + 1]


MEASURES = {"open_after_30_days": (open_after_30, rate_of), "closings": (lambda r: r.closed, hazard_of)}
SUPPRESSED = (
    "ratio", "ratio_low", "ratio_high", "adjusted_share", "adjusted_share_low", "adjusted_share_high", "se_log_ratio", "q_value",
    "verdict", "tau", "shrunken_ratio", "among_areas", "z", "ratio_without_own",
)  # fmt: skip
STANDARDISED = (
    "supported_weight", "standardised_share", "standardised_share_low", "standardised_share_high", "standardised_share_state",
)  # fmt: skip


def steps_by(some: Sequence[Request], expectation: Callable) -> Callable[[Request], list[float]]:
    """The steps of the pools of some requests; a pool without any takes those of them all."""
    by_pool = {pool: expectation(members) for pool, members in by(some, pool_of).items()}
    anywhere = expectation(some) if some else lambda request: []
    return lambda request: by_pool.get(request.pool, anywhere)(request)


def sums(requests: Sequence[Request], counts: Callable, expectation: Callable) -> tuple[Counter, Counter]:
    """Observed and expected of each area."""
    observed, expected, steps = Counter(), Counter(), steps_by(requests, expectation)
    for r in requests:
        observed[r.local_area] += counts(r)
        expected[r.local_area] += math.fsum(steps(r))
    return observed, expected


def area_cells(area: str, measure: str, volume: int, used: Sequence[Request], months: Sequence[tuple]) -> Row:
    """One area by one measure. `months`: observed and expected of the whole, then without each month."""
    _, expectation = MEASURES[measure]
    own, others = ([r for r in used if (r.local_area == area) == inside] for inside in (True, False))
    counts = [(observed[area], expected[area]) for observed, expected in months]
    observed, expected = counts[0]
    state = timing_state(volume, len(own))
    row = {"measure": measure, "local_area": area, "n": len(own), "observed": observed}
    pooled = sum(r.pool[0] != "type" for r in own)
    row |= {"expected": expected if own else None, "pooled_share": share(pooled, len(own))}
    row |= dict.fromkeys(SUPPRESSED) | {"state": "too_few" if state == "ok" and expected < LEAST_EXPECTED else state}
    if row["state"] == "ok":
        more = 0.5 if any(o == 0 for o, _ in counts) else 0
        log_ratio, *without = (math.log((o + more) / (e + more)) if e + more else math.nan for o, e in counts)
        se = max(jackknifed(without), 0.8 / math.sqrt(expected))
        low = math.exp(log_ratio - T_11 * se) if observed else 0.0
        row |= {"ratio": observed / expected, "ratio_low": low, "ratio_high": math.exp(log_ratio + T_11 * se)}
        row |= {"se_log_ratio": se, "log_ratio": log_ratio}
        city, size, its = steps_by(used, expectation), Counter(map(pool_of, used)), Counter(map(pool_of, own))
        variance = math.fsum((1 - its[r.pool] / size[r.pool]) * sum(h * (1 - h) for h in city(r)) for r in own)
        row["z"] = (observed - expected) / math.sqrt(variance) if variance > 0 else None
        elsewhere = steps_by(others, expectation)
        row["ratio_without_own"] = share(observed, math.fsum(h for r in own for h in elsewhere(r)))
    return row


def between(shown: Sequence[Row]) -> float | None:
    """DerSimonian and Laird's τ."""
    if len(shown) < 2:
        return None
    weights, logs = np.array([(row["se_log_ratio"] ** -2, row["log_ratio"]) for row in shown]).T
    q = weights @ (logs - weights @ logs / weights.sum()) ** 2
    return math.sqrt(max(0.0, (q - len(shown) + 1) / (weights.sum() - weights @ weights / weights.sum())))


def standardised(area: str, volume: int, used: Sequence[Request]) -> Row:
    """The share open after 30 days at the city's mix."""
    size, late = Counter(map(pool_of, used)), Counter(r.pool for r in used if open_after_30(r))
    own = by((r for r in used if r.local_area == area), pool_of)
    weight = {pool: size[pool] / len(used) for pool, members in own.items() if len(members) >= 10}

    def mixed(month: int | None = None) -> float:
        left = {pool: [r for r in own[pool] if r.twelfth != month] for pool in weight}
        whole = sum(weight[pool] for pool, members in left.items() if members)
        rates = ((pool, sum(map(open_after_30, members)) / len(members)) for pool, members in left.items() if members)
        return sum(weight[pool] * rate for pool, rate in rates) / whole if whole else math.nan

    supported, state = sum(weight.values()), timing_state(volume, sum(map(len, own.values())))
    state = "too_few" if state == "ok" and supported < 0.8 else state
    cells = [None] * 3
    if state == "ok":
        rate = {pool: late[pool] / size[pool] for pool in weight}
        least = sum(w**2 * rate[p] * (1 - rate[p]) / len(own[p]) for p, w in weight.items()) / supported**2
        value, margin = mixed(), T_11 * max(jackknifed([mixed(month) for month in range(12)]), 0.8 * math.sqrt(least))
        cells = [value, max(0.0, value - margin), min(1.0, value + margin)]
    return dict(zip(STANDARDISED, (supported, *cells, state), strict=True))


def area_comparison(record: Record) -> Iterator[Row]:
    first, last = record.as_of - 394, record.as_of - 30
    window = [r for r in within(record.requests, first, last) if r.local_area is not None]
    volume, used = Counter(r.local_area for r in window), list(pooled(usable(window), first))
    for measure, (counts, expectation) in MEASURES.items():
        samples = [used, *([r for r in used if r.twelfth != month] for month in range(12))]
        months = [sums(some, counts, expectation) for some in samples]
        areas = [area_cells(area, measure, volume[area], used, months) for area in record.areas]
        shown = [row for row in areas if row["state"] == "ok"]
        tau, late = between(shown), measure == "open_after_30_days"
        city_share = share(sum(map(open_after_30, used)), len(used)) if late else None
        p_values = [2 * student.sf(abs(row["log_ratio"]) / row["se_log_ratio"], 11) for row in shown]
        for row, row["q_value"] in zip(shown, q_values(p_values), strict=True):
            log_ratio, se = row.pop("log_ratio"), row["se_log_ratio"]
            row["verdict"] = verdict(row)
            if tau is not None:
                row |= {"tau": tau, "shrunken_ratio": math.exp(log_ratio * tau**2 / (tau**2 + se**2))}
                row["among_areas"] = "within" if abs(log_ratio) <= 2 * math.hypot(tau, se) else "outside"
            if late:
                row |= {f"adjusted_share{end}": city_share * row[f"ratio{end}"] for end in ("", "_low", "_high")}
        for row in areas:
            area = row["local_area"]
            own = standardised(area, volume[area], used) if late else dict.fromkeys(STANDARDISED)
            yield row | {"opened_from": iso(first), "opened_to": iso(last), "city_share": city_share} | own


def q_values(p_values: Sequence[float]) -> Sequence[float]:
    return false_discovery_control(p_values).tolist() if len(p_values) else []


def area_issue_mix(record: Record) -> Iterator[Row]:
    """All areas by all types that were reported with an area in the last 365 days."""
    window = [r for r in within(record.requests, record.as_of - 364, record.as_of) if r.local_area is not None]
    of_area, of_type = Counter(r.local_area for r in window), Counter(r.issue_type for r in window)
    cells, rows = Counter((r.local_area, r.issue_type) for r in window), []
    for area, issue in ((area, issue) for area in record.areas for issue in of_type):
        observed, n, expected = cells[area, issue], of_area[area], of_area[area] * of_type[issue] / len(window)
        row = {"local_area": area, "issue_type": issue, "observed": observed, "n": n, "expected": expected}
        row |= dict.fromkeys(("ratio", "ratio_low", "ratio_high", "q_value", "finding")) | {"state": "too_few"}
        if n >= LEAST_N and expected >= LEAST_EXPECTED:
            low = chi2.ppf(0.025, 2 * observed) / 2 / expected if observed else 0.0
            high = chi2.ppf(0.975, 2 * observed + 2) / 2 / expected
            row |= {"ratio": observed / expected, "ratio_low": float(low), "ratio_high": float(high), "state": "ok"}
        rows.append(row)
    shown = [row for row in rows if row["state"] == "ok"]
    pairs = [(row["observed"], row["expected"]) for row in shown]
    tails = [min(poisson.cdf(observed, mean), poisson.sf(observed - 1, mean)) for observed, mean in pairs]
    for row, row["q_value"] in zip(shown, q_values([min(1.0, 2 * tail) for tail in tails]), strict=True):
        listed = row["q_value"] <= 0.05 and (row["ratio"] >= 1.5 or row["ratio"] <= 0.67)
        row["finding"] = ("more" if row["ratio"] > 1 else "fewer") if listed else "no clear difference"
    yield from rows


# --- Quality of the record -------------------------------------------------------------------------------------------


def batch_days_of(group: Group) -> Iterator[Row]:
    """The days on which unusually many of the city, a department or an issue type were closed."""
    on_day = Counter(r.closed_on for r in group.requests if r.days_to_close is not None)
    if (group.level, group.scope) in {
        ("citywide", "all"),
        ("department", "all"),
        ("issue", "all"),
    } and on_day.total() >= 10:
        first = min(on_day)
        for place, row in batches_of([on_day[day] for day in range(first, max(on_day) + 1)]):
            yield group.key | {"group_id": group.id, "day": iso(first + place)} | row


def batch_days(record: Record) -> list[Row]:
    return record.batch_days


def batches_of(counts: Sequence[int]) -> Iterator[tuple[int, Row]]:
    """Of closings day by day: the places that are batch days, and what is said of them."""
    before = [counts[place % 7 : place : 7][-26:] for place in range(len(counts))]
    others = [sorted([*some, *counts[place + 7 :: 7][:26]])[:-2] for place, some in enumerate(before)]
    usual = [max(0.1, sum(some) / len(some)) if some else 0.1 for some in others]
    low, high = np.quantile([count / mean for count, mean in zip(counts, usual, strict=True)], (0.05, 0.99))
    pairs = [(count, mean) for count, mean in zip(counts, usual, strict=True) if low <= count / mean <= high]
    square = math.fsum(mean**2 for _, mean in pairs)
    variance = math.fsum((count - mean) ** 2 for count, mean in pairs) / 0.7534893
    alpha = max(0.0, (variance - math.fsum(mean for _, mean in pairs)) / square)
    for place, (count, mean) in enumerate(zip(counts, usual, strict=True)):
        if len(others[place]) >= 10 and count - mean >= 10:
            tail = nbinom.sf(count - 1, 1 / alpha, 1 / (1 + alpha * mean)) if alpha else poisson.sf(count - 1, mean)
            if tail < 1e-6:
                row = {"closings": count, "usual_closings": mean, "tail_probability": float(tail)}
                yield place, row | {"share_of_closings": count / sum(counts)}


# --- How far figures still move --------------------------------------------------------------------------------------


MOVED_BY = ("by_opened_late", "by_closed_late", "by_vanished", "by_reopened", "by_relabelled", "by_edited")
LAGS = (*range(15), 21, 30, 45, 60)


def revisions(record: Record) -> list[Row]:
    since = iso(record.as_of - 730)
    return revisions_of((row for row in record.rows("figure_vintages") if row["reference"] >= since), record.as_of)


def settling(record: Record) -> list[Row]:
    return settling_of(revisions(record))


def revisions_of(lines: Iterable[Row], as_of: int) -> list[Row]:
    """Line by line: of each reference the values that stood so many days after its end, and after 90 days."""
    of_group = defaultdict(list)
    for key, vintages in by(lines, lambda row: tuple(row[name] for name in ("figure", *GROUP, "reference"))).items():
        figure, reference = key[0], key[-1]
        if len(reference) == 7:
            year, month = map(int, reference.split("-"))
            end = date(year + month // 12, month % 12 + 1, 1).toordinal() - 1 + int(figure.split("_")[1])
        else:
            end = date.fromisoformat(reference).toordinal() + 6
        vintages = [row for row in vintages if row["as_of"] <= iso(end + 90)]
        final = vintages[-1]["value"] if vintages else None
        if end + 90 <= as_of and final and len({row["basis"] for row in vintages}) == 1:
            of_group[key[:-1]].append((reference, end, vintages, final))
    rows = []
    for lag in LAGS:
        for key, references in of_group.items():
            seen = []
            for _, end, vintages, final in sorted(references, key=lambda each: each[0]):
                if known := [row["value"] for row in vintages if row["as_of"] <= iso(end + lag)]:
                    later = [row for row in vintages if row["as_of"] > iso(end + lag)]
                    parts = [math.fsum(row[name] or 0 for row in later) / final for name in MOVED_BY]
                    seen.append(((final - known[-1]) / final, *parts))
            if seen:
                rows.append(dict(zip(("figure", *GROUP), key, strict=True)) | {"lag_days": lag} | revised(key[0], seen))
    return rows


def revised(figure: str, seen: list[tuple[float, ...]]) -> Row:
    values, n = [revision for revision, *_ in seen], len(seen)
    row: Row = {"n": n, "state": "ok" if n >= 13 else "too_few"}
    names = ("mean_revision", "mean_revision_low", "mean_revision_high", "mean_absolute", "p95_absolute", "share_up")
    if n < 13:
        return row | dict.fromkeys((*names, *MOVED_BY))
    mean, lags = math.fsum(values) / n, int(4 * (n / 100) ** (2 / 9))
    variance = 0.0
    for lag in range(lags + 1):
        products = math.fsum((values[i] - mean) * (values[i - lag] - mean) for i in range(lag, n))
        variance += products / n * (2 * (1 - lag / (lags + 1)) if lag else 1)
    width = student.ppf(0.975, n - 1) * math.sqrt(variance / n)
    sizes = sorted(map(abs, values))
    estimates = (mean, mean - width, mean + width, math.fsum(sizes) / n, sizes[math.ceil(0.95 * n) - 1])
    row |= zip(names, (*estimates, sum(value > 0 for value in values) / n), strict=True)
    parts = zip(*(parts for _, *parts in seen), strict=True)
    counting = not figure.startswith("median")
    return row | {name: math.fsum(part) / n if counting else None for name, part in zip(MOVED_BY, parts, strict=True)}


def settling_of(rows: Sequence[Row]) -> list[Row]:
    answer = []
    for figure in ("opened", "closed_in", "pile"):
        city = {row["lag_days"]: row for row in rows if row["figure"] == figure and row["level"] == "citywide"}
        references = min((row["n"] for row in city.values()), default=0) if len(city) == len(LAGS) else 0
        days, rule = 7, "by rule"
        if references >= 13:
            rule, days = "measured", 60
            for lag in reversed(LAGS):
                areas = [r for r in rows if (r["figure"], r["level"], r["lag_days"]) == (figure, "neighbourhood", lag)]
                if city[lag]["p95_absolute"] > 0.005 or median(r["p95_absolute"] for r in areas) > 0.02:
                    break
                days = lag
        answer.append({"figure": figure, "settles_after_days": days, "rule": rule, "n": references})
    return answer


# --- Comparison with what is published -------------------------------------------------------------------------------


ESTIMATED = {
    function.__name__: function
    for function in (
        time_to_close, time_to_close_without, time_to_close_curves, time_to_close_by_weekday, current_speed, waiting_times,
        open_request_standing, monthly_series, year_on_year, flow, outcomes, outcome_incidence, area_comparison, area_issue_mix,
        revisions, settling, batch_days, speed_on_year, area_rates,
    )
}  # fmt: skip
"""The tables that are more than counted."""

COUNTED = (
    "metrics_citywide", "metrics_by_neighbourhood", "metrics_by_issue", "metrics_hyper_local", "metrics_unlocated",
    "metric_aggregates", "periods", "backlog_by_age", "backlog_daily", "outcome_mapping", "closure_reasons", "corrections",
    "quality_ledger", "reporting_times", "channels",
)  # fmt: skip
"""Those that are a view in `recompute.sql`."""


@contextmanager
def opened(path: str | Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def recompute(path: str | Path) -> dict[str, list[Row]]:
    """Every table of statistics, computed from the requests in the file."""
    with opened(path) as connection:
        record = Record(connection)
        as_of = {"as_of": iso(record.as_of)}
        counted = {name: record.rows(f"temp.{name}") for name in COUNTED}
        tables = counted | {name: list(compute(record)) for name, compute in ESTIMATED.items()}
        return {
            name: [row if name == "outcome_mapping" else row | as_of for row in rows] for name, rows in tables.items()
        }


def differences(path: str | Path, computed: dict[str, list[Row]] | None = None) -> dict[str, str]:
    """The tables that are not published as they are computed, each with what differs.

    Args:
        computed: what `recompute` gave of the same requests.
    """
    with opened(path) as connection:
        pairs = {
            name: difference(rows, pd.read_sql(f"SELECT * FROM {name}", connection))
            for name, rows in (computed or recompute(path)).items()
        }
    return {name: words for name, words in pairs.items() if words}


def difference(rows: Sequence[Row], published: pd.DataFrame) -> str | None:
    """What differs between a table as it is computed and as it is published: of floats, more than 1e-9 absolute or relative."""
    again = pd.DataFrame(rows) if rows else published[:0]
    again = again.drop(columns={*GROUP, "group_id"} & set(again) - set(published))
    exact = [column for column in again if not {again[column].dtype.kind, published[column].dtype.kind} & {"f"}]
    try:
        assert_frame_equal(
            *(frame.sort_values(exact, ignore_index=True) for frame in (again, published)),
            check_like=True, check_dtype=False, rtol=TOLERANCE, atol=TOLERANCE,
        )  # fmt: skip
    except AssertionError as unlike:
        return str(unlike)
    return None
