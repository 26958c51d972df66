"""Every table of statistics once more, from the definitions in docs/methods.md.

A second, plain reading of the same words: row by row, with no code in common with the pipeline. It reads the published
SQLite file (the requests, the quarantined rows, the local areas, the 17 mapped reasons and as_of), computes every table
of statistics and says where the published one differs.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from scipy.stats import chi2, nbinom, poisson
from scipy.stats import t as student

Row = dict[str, object]

VANCOUVER = ZoneInfo("America/Vancouver")
REFRESHED_FROM = date(2022, 8, 17)
UNDERSTATED_UNTIL = date(2023, 8, 17)
LEAST_N = 30
LEAST_EXPECTED = 5
TOLERANCE = 1e-9
EXAMPLES = 3
Z_95 = 1.959963984540054
T_11 = 2.200985160091639
QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}
LEAST_OF = {"median": 30, "p75": 40, "p90": 100}
UNUSED = ("n_static", "n_after_as_of", "n_negative", "n_closed_without_date")
CURVE_DAYS = [*range(15), 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365, 450, 540, 730, 1095, 1460]
WAITED_DAYS = [-1, 0, 1, 3, 7, 14, 30, 60, 90, 180, 365]
AGE_BANDS = {"0-7": (0, 7), "8-30": (8, 30), "31-90": (31, 90), "91-365": (91, 365)}
AGE_BANDS |= {"over 365": (366, math.inf), "opened after as_of": (-math.inf, -1)}
UNMAPPED = ("Unmapped", 7)
WITH_WEEKDAYS = {("citywide", "all", "last_12_months"), ("issue", "all", "last_12_months")}
GROUP = ("level", "scope", "local_area", "issue_type", "department")


def local_date(instant: str) -> date:
    return datetime.fromisoformat(instant).astimezone(VANCOUVER).date()


class Request:
    """One service request, and what the definitions say of it as of as_of."""

    def __init__(self, row: Row, as_of: date, released_on: date) -> None:
        self.id, self.department, self.issue_type = row["request_id"], row["department"], row["issue_type"]
        self.local_area, self.occurrence = row["local_area"], row["occurrence"]
        self.has_point = row["latitude"] is not None and row["longitude"] is not None
        opened_at = datetime.fromisoformat(row["opened_at"])
        modified_at = None if row["modified_at"] is None else datetime.fromisoformat(row["modified_at"])
        self.seconds_to_update = None if modified_at is None else int((modified_at - opened_at).total_seconds())
        self.opened = opened_at.astimezone(VANCOUVER).date()
        self.month = f"{self.opened:%Y-%m}"
        self.is_open, self.is_closed = row["status"] == "Open", row["status"] == "Close"
        if modified_at and modified_at.astimezone(VANCOUVER).date() > released_on and self.seconds_to_update > 0:
            self.seconds_to_update = None
        self.closed_on = date.fromisoformat(row["closed_on"]) if self.is_closed and row["closed_on"] else None
        if self.closed_on is not None and self.closed_on > released_on and self.closed_on >= self.opened:
            self.closed_on = None
        self.reason = "N/A" if row["closure_reason"] is None else row["closure_reason"]
        self.is_static = self.opened < REFRESHED_FROM
        self.is_negative = self.closed_on is not None and self.closed_on < self.opened
        self.lacks_date = self.is_closed and self.closed_on is None
        self.in_pile = self.is_open or self.closed_on is not None
        self.leaves_pile = self.closed_on and max(self.closed_on, self.opened)
        why = zip(UNUSED, (self.is_static, self.opened > as_of, self.is_negative, self.lacks_date), strict=True)
        self.unused = next((name for name, applies in why if applies), None)
        self.closed = self.unused is None and self.closed_on is not None and self.closed_on <= as_of
        self.followed = ((self.closed_on if self.closed else as_of) - self.opened).days
        own = ("request_id", "modified_at", "days_to_update", "occurrence")
        self.all_else = tuple(value for name, value in row.items() if name not in own)


class Group(NamedTuple):
    """The requests of one level, scope and name."""

    level: str
    scope: str
    local_area: str | None
    issue_type: str | None
    department: str | None
    requests: list[Request]

    @property
    def key(self) -> Row:
        return dict(zip(GROUP, self[:5], strict=True))


class Cohort(NamedTuple):
    """The requests of a group that were opened in a period, those that time to close can use, and their curve."""

    group: Group
    period: str
    requests: list[Request]
    used: list[Request]
    curve: Curve | None
    blocks: list[list[Request]]

    @property
    def key(self) -> Row:
        return self.group.key | {"period": self.period}


class Record:
    """What one published file holds, before any statistic."""

    def __init__(self, path: str | Path) -> None:
        released_at, rows = table(path, "release")[0]["data_processed"], table(path, "service_requests")
        released_on = local_date(released_at)
        instants = [row[name] for row in rows for name in ("opened_at", "modified_at")]
        newest = max(local_date(instant) for instant in instants if instant is not None and instant <= released_at)
        self.as_of = min(released_on - timedelta(1), newest)
        self.requests = [Request(row, self.as_of, released_on) for row in rows]
        self.changes = table(path, "request_changes")
        self.areas = [row["local_area"] for row in table(path, "local_areas")]
        self.quarantined = Counter(
            (row["partition_month"], json.loads(row["raw_row"]).get("department") or "unknown")
            for row in table(path, "quarantined_requests")
        )
        mapping = [row for row in table(path, "outcome_mapping") if row["outcome"] != "Unmapped"]
        self.mapping = {row["closure_reason"]: (row["outcome"], row["outcome_order"]) for row in mapping}
        self.mapping_version = mapping[0]["mapping_version"]
        self.located = [r for r in self.requests if r.local_area is not None]
        self.unlocated = [r for r in self.requests if r.local_area is None]
        self.first, self.last = min(r.opened for r in self.requests), max(r.opened for r in self.requests)

    @cached_property
    def periods(self) -> list[tuple[str, date, date]]:
        """Name, first and last day of opening, clipped to the record."""
        spans = [("all", self.first, self.last), ("last_12_months", self.days_ago(364), self.as_of)]
        spans += [(str(y), date(y, 1, 1), date(y, 12, 31)) for y in sorted({r.opened.year for r in self.requests})]
        clipped = [(name, max(start, self.first), min(end, self.last)) for name, start, end in spans]
        return [(name, start, end) for name, start, end in clipped if start <= end]

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of time to close."""
        groups = [Group("unlocated", "unlocated", None, None, None, self.unlocated)]
        for scope, requests in (("all", self.requests), ("located", self.located)):
            groups.append(Group("citywide", scope, None, None, None, requests))
            for issue, members in by(requests, lambda r: r.issue_type).items():
                groups.append(Group("issue", scope, None, issue, None, members))
            for department, members in by(requests, lambda r: r.department).items():
                groups.append(Group("department", scope, None, None, department, members))
        for (area, issue), members in by(self.located, lambda r: (r.local_area, r.issue_type)).items():
            groups.append(Group("hyper_local", "located", area, issue, None, members))
        in_area = by(self.located, lambda r: r.local_area)
        areas = [Group("neighbourhood", "located", area, None, None, in_area.get(area, [])) for area in self.areas]
        return [group for group in groups if group.requests] + areas

    @cached_property
    def large_groups(self) -> list[Group]:
        return [group for group in self.groups if group.level != "hyper_local"]

    @cached_property
    def cohorts(self) -> list[Cohort]:
        """Every group in every period."""
        cohorts = []
        for group in self.groups:
            for period, start, end in self.periods:
                requests = within(group.requests, start, end)
                used = usable(requests)
                curve = curve_of(used) if len(used) >= LEAST_N else None
                if curve and (group.level != "hyper_local" or period == "last_12_months"):
                    curve = curve_of(used, effect=design_effect(blocks_of(used, start, end), curve))
                cohorts.append(Cohort(group, period, requests, used, curve, blocks_of(requests, start, end)))
        return cohorts

    @cached_property
    def outcomes(self) -> list[tuple[str, int]]:
        """The six outcomes, and Unmapped if a closed request has a reason that is in no group."""
        all_outcomes = set(self.mapping.values()) | {self.outcome(r) for r in self.requests if r.is_closed}
        return sorted(all_outcomes, key=lambda outcome: outcome[1])

    def outcome(self, request: Request) -> tuple[str, int]:
        return self.mapping.get(request.reason, UNMAPPED)

    def days_ago(self, days: int) -> date:
        return self.as_of - timedelta(days)


def table(path: str | Path, name: str) -> list[Row]:
    """All rows of one table of the file."""
    with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]


def by(requests: Iterable[Request], key: Callable[[Request], Hashable]) -> dict:
    """The requests under each key, in order of first appearance."""
    members = defaultdict(list)
    for request in requests:
        members[key(request)].append(request)
    return dict(members)


def within(requests: Iterable[Request], start: date, end: date) -> list[Request]:
    return [r for r in requests if start <= r.opened <= end]


def usable(requests: Iterable[Request]) -> list[Request]:
    return [r for r in requests if r.unused is None]


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def yes(condition: bool) -> str:
    return "yes" if condition else "no"


# --- The four headline metrics ---------------------------------------------------------------------------------------


def headline(requests: Sequence[Request]) -> Row:
    """Counts, sums and the two means of these requests."""
    to_close = [(r.closed_on - r.opened).days for r in requests if r.closed_on and not r.is_negative]
    changed = [r.seconds_to_update for r in requests if r.seconds_to_update is not None]
    to_update = [seconds for seconds in changed if seconds > 0]
    return {
        "volume": len(requests),
        "open_requests": sum(r.is_open for r in requests),
        "avg_ttr": share(sum(to_close), len(to_close)),
        "n_ttr": len(to_close),
        "avg_ttu": share(sum(to_update), len(to_update) * 86_400),
        "n_ttu": len(to_update),
        "sum_days_to_close": sum(to_close),
        "sum_seconds_to_update": sum(to_update),
        "closed": sum(r.is_closed for r in requests),
        "status_unknown": sum(not r.is_open and not r.is_closed for r in requests),
        "n_negative": sum(r.is_negative for r in requests),
        "n_closed_without_date": sum(r.lacks_date for r in requests),
        "n_never_updated": sum(seconds == 0 for seconds in changed),
        "n_update_negative": sum(seconds < 0 for seconds in changed),
        "n_update_missing": len(requests) - len(changed),
        "n_static_open": sum(r.is_open and r.is_static for r in requests),
    }


def headline_of(level: str, *names: str) -> Callable[[Record], list[Row]]:
    """The headline metrics of the groups of one level that have a request."""

    def compute(record: Record) -> list[Row]:
        groups = [group for group in record.groups if group.level == level and group.requests]
        return [{name: group.key[name] for name in names} | headline(group.requests) for group in groups]

    return compute


def metrics_unlocated(record: Record) -> list[Row]:
    of_issue = by(record.unlocated, lambda r: r.issue_type)
    return [{"issue_type": issue} | headline(members) for issue, members in of_issue.items()]


def metric_aggregates(record: Record) -> list[Row]:
    """The four metrics of the groups above, and of all requests without an area, one line each."""
    behind = {"volume": "volume", "open_requests": "volume", "avg_ttr": "n_ttr", "avg_ttu": "n_ttu"}
    groups = [group for group in record.groups if group.level != "department" and group.requests]
    for issue, members in by(record.unlocated, lambda r: r.issue_type).items():
        groups.append(Group("unlocated", "unlocated", None, issue, None, members))
    rows = []
    for group in groups:
        key, row = {name: group.key[name] for name in GROUP[:4]}, headline(group.requests)
        rows += [key | {"metric": metric, "value": row[metric], "n": row[n]} for metric, n in behind.items()]
    return rows


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
                low, high = log_log(still_open, greenwood * self.effect[day])
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


def blocks_of(requests: Iterable[Request], start: date, end: date) -> list[list[Request]]:
    """The requests by stretches of opening of equal length: 26, or as many as there are whole weeks."""
    days = (end - start).days + 1
    blocks: list[list[Request]] = [[] for _ in range(min(26, max(1, days // 7)))]
    for request in requests:
        blocks[(request.opened - start).days * len(blocks) // days].append(request)
    return blocks


def enlarged(blocks: int) -> float:
    return (student.ppf(0.975, blocks - 1) / Z_95) ** 2


def design_effect(blocks: Sequence[Sequence[Request]], curve: Curve) -> list[float]:
    """How many times Greenwood's variance the jackknife's is on each day, that leaves out one block each."""
    closed, ended = np.zeros((2, len(blocks), curve.last + 1))
    for place, block in enumerate(blocks):
        for request in block:
            ended[place, request.followed] += 1
            closed[place, request.followed] += request.closed
    at_risk = np.cumsum((ended.sum(axis=0) - ended)[:, ::-1], axis=1)[:, ::-1]
    curves = np.cumprod(1 - (closed.sum(axis=0) - closed) / np.maximum(at_risk, 1), axis=1)
    spread, effects = (len(blocks) - 1) * curves.var(axis=0), [1.0]
    for day in range(curve.last + 1):
        still_open, effect = curve.share[day], effects[-1]
        if len(blocks) > 1 and TOLERANCE < still_open < 1 - TOLERANCE:
            effect = max(1.0, enlarged(len(blocks)) * spread[day] / (still_open**2 * curve.greenwood[day]))
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


def log_log(still_open: float, greenwood: float) -> tuple[float, float]:
    width = Z_95 * math.sqrt(greenwood) / abs(math.log(still_open))
    return still_open ** math.exp(width), still_open ** math.exp(-width)


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


def periods(record: Record) -> list[Row]:
    bounds = [(name, start.isoformat(), end.isoformat()) for name, start, end in record.periods]
    return [{"period": name, "opened_from": start, "opened_to": end} for name, start, end in bounds]


def time_to_close(record: Record) -> list[Row]:
    rows = []
    for cohort in record.cohorts:
        used, curve, unused = cohort.used, cohort.curve, Counter(r.unused for r in cohort.requests)
        days = sorted(r.followed for r in used if r.closed)
        row = cohort.key | {"volume": len(cohort.requests)} | {reason: unused[reason] for reason in UNUSED}
        row |= {"n": len(used), "closed": len(days), "still_open": len(used) - len(days)}
        row["followed_days"] = max((r.followed for r in used), default=None)
        for name in QUANTILES:
            row |= quantile_cells(name, curve, timing_state(len(cohort.requests), len(used)))
        half = first_day(curve.share, 0.5) if curve else None
        row["design_effect"] = curve.effect[curve.last if half is None else half] if curve else None
        for tau in (30, 90):
            names = (f"mean_within_{tau}", f"mean_within_{tau}_low", f"mean_within_{tau}_high")
            row |= zip(names, curve.mean_within(tau) if curve else (None, None, None), strict=True)
        row["mean_closed_only"] = share(sum(days), len(days)) if curve else None
        row["median_closed_only"] = days[(len(days) + 1) // 2 - 1] if curve and days else None
        rows.append(row)
    return rows


def time_to_close_without(record: Record) -> list[Row]:
    """The last 12 months, without internal types, without what was closed on a batch day, and without both."""
    batches, rows = batch_groups(record), []
    internal = {r.id for r in record.requests if re.search("internal|audit|tracking|transfer case", r.issue_type, re.I)}
    batch = {r.id for r in record.requests if in_batch(r, batches)}
    spans = [(start, end) for name, start, end in record.periods if name == "last_12_months"]
    for (start, end), group in ((span, group) for span in spans for group in record.large_groups):
        for left_out, ids in (("internal types", internal), ("batch days", batch), ("both", internal | batch)):
            requests = [r for r in within(group.requests, start, end) if r.id not in ids]
            used, curve = usable(requests), None
            if len(used) >= LEAST_N:
                curve = curve_of(used, effect=design_effect(blocks_of(used, start, end), curve_of(used)))
            closed = sum(r.closed for r in used)
            row = group.key | {
                "period": "last_12_months",
                "left_out": left_out,
                "volume": len(requests),
                "n": len(used),
            }
            row |= {"closed": closed, "still_open": len(used) - closed}
            for name in ("median", "p90"):
                row |= quantile_cells(name, curve, timing_state(len(requests), len(used)))
            rows.append(row)
    return rows


def time_to_close_curves(record: Record) -> list[Row]:
    rows = []
    for cohort in record.cohorts:
        curve = cohort.curve
        if curve is None or (cohort.group.level == "hyper_local" and cohort.period != "last_12_months"):
            continue
        for day in (day for day in CURVE_DAYS if day <= curve.last):
            closed_by = sum(closed for closed_on, closed in curve.closings.items() if closed_on <= day)
            row = {"day": day, "at_risk": curve.at_risk[day], "closed_by": closed_by, "open_share": curve.share[day]}
            rows.append(cohort.key | row | {"open_share_low": curve.low[day], "open_share_high": curve.high[day]})
    return rows


def time_to_close_by_weekday(record: Record) -> list[Row]:
    rows = []
    for cohort in record.cohorts:
        if (cohort.group.level, cohort.group.scope, cohort.period) not in WITH_WEEKDAYS:
            continue
        of_day = [[r for r in cohort.used if r.opened.isoweekday() == weekday] for weekday in range(1, 8)]
        curves = [curve_of(used) if len(used) >= LEAST_N else None for used in of_day]
        medians = [curve.quantiles("median") for curve in curves if curve]
        ok = [days for days, state in medians if state == "ok"]
        lows, highs = [low for _, low, _ in ok if low is not None], [high for _, _, high in ok if high is not None]
        differ = bool(lows and highs) and max(lows) > min(highs)
        for weekday, used, curve in zip(range(1, 8), of_day, curves, strict=True):
            row = cohort.key | {"weekday": weekday, "n": len(used), "weekdays_differ": yes(differ)}
            rows.append(row | quantile_cells("median", curve, "too_few" if used else "no_requests"))
    return rows


def current_speed(record: Record) -> list[Row]:
    """The curve of the ages that fell into the last 13 settled weeks."""
    rows, start, end = [], record.days_ago(97), record.days_ago(7)
    for group in record.groups:
        seen = [r for r in usable(group.requests) if r.opened <= end and r.opened + timedelta(r.followed) >= start]
        followed = [
            (
                max((start - r.opened).days, 0),
                min(r.followed, (end - r.opened).days),
                r.closed and r.closed_on <= end,
            )
            for r in seen
        ]
        n = sum(r.opened >= start for r in seen)
        row = group.key | {
            "weeks_from": start.isoformat(),
            "weeks_to": end.isoformat(),
            "followed": len(seen),
            "n": n,
        }
        row["closed"] = sum(closed for _, _, closed in followed)
        curve = Curve(followed) if n >= LEAST_N else None
        for name in QUANTILES:
            row |= quantile_cells(name, curve, "too_few" if seen else "no_requests")
        rows.append(row)
    return rows


# --- How long should mine take? --------------------------------------------------------------------------------------


def waiting_times(record: Record) -> list[Row]:
    shown = {("issue", "all", "all"), ("issue", "all", "last_12_months"), ("hyper_local", "located", "last_12_months")}
    rows = []
    for cohort in record.cohorts:
        curve = cohort.curve
        if curve is None or (cohort.group.level, cohort.group.scope, cohort.period) not in shown:
            continue
        for waited in (day for day in WAITED_DAYS if day < curve.last):
            followed, after = sum(r.followed > waited for r in cohort.used), curve_of(cohort.used, waited, curve.effect)
            row = cohort.key | {"waited_days": waited, "followed": followed}
            row["open_share"] = curve.share[waited] if waited >= 0 else 1.0
            for name in QUANTILES:
                (day, low, high), row[f"further_{name}_state"] = further(after, name)
                row |= {f"further_{name}": day, f"further_{name}_low": low, f"further_{name}_high": high}
            rows.append(row)
    return rows


def further(after: Curve, name: str) -> tuple[tuple[int | None, ...], str]:
    """Further days until this share of those that the curve is of, who waited before it, were closed; limits; and the state."""
    days, state = after.quantiles(name) if after.n >= LEAST_N else ((None, None, None), "too_few")
    waited = max(after.first - 1, 0)
    return tuple(None if day is None else day - waited for day in days), state


def open_request_standing(record: Record) -> list[Row]:
    """Each open request against its issue type."""
    of_type = {
        (cohort.group.issue_type, cohort.period): cohort.used
        for cohort in record.cohorts
        if (cohort.group.level, cohort.group.scope) == ("issue", "all")
    }
    curves = {key: curve_of(used) for key, used in of_type.items() if used}
    later: dict[tuple[str, str, int], Curve] = {}
    rows = []
    for request in (r for r in record.requests if r.is_open and not r.unused):
        waited = (record.as_of - request.opened).days
        for period in ("last_12_months", "all"):
            followed = sum(r.followed > waited for r in of_type.get((request.issue_type, period), ()))
            if followed >= LEAST_N:
                break
        curve = curves[request.issue_type, period]
        row = {"request_id": request.id, "days_open": waited, "period": period, "n": curve.n, "followed": followed}
        row["closed_sooner_share"] = 1 - curve.share[waited] if curve.n >= LEAST_N else None
        row["further_median"], row["state"] = None, "too_few"
        if followed >= LEAST_N:
            key = (request.issue_type, period, waited)
            later[key] = later.get(key) or curve_of(of_type[key[:2]], waited)
            (row["further_median"], _, _), row["state"] = further(later[key], "median")
        rows.append(row)
    return rows


# --- Month by month --------------------------------------------------------------------------------------------------


def months_of(record: Record) -> Iterator[tuple[str, date, date]]:
    """Name, first and last day of every month of the record, and of any later month with a closing."""
    closings = {f"{r.leaves_pile:%Y-%m}" for r in record.requests if r.leaves_pile}
    last = f"{max(record.last, record.as_of):%Y-%m}"
    start = record.first.replace(day=1)
    while (name := f"{start:%Y-%m}") <= max(closings | {last}):
        following = (start + timedelta(31)).replace(day=1)
        if name <= last or name in closings:
            yield name, start, following - timedelta(1)
        start = following


def wilson(part: float, whole: float) -> tuple[float, float, float]:
    """The share with its 95 % limits."""
    p, z2 = part / whole, Z_95**2
    middle = p + z2 / (2 * whole)
    width = Z_95 * math.sqrt(p * (1 - p) / whole + z2 / (4 * whole**2))
    return p, (middle - width) / (1 + z2 / whole), (middle + width) / (1 + z2 / whole)


def effect_within(group: Group, days: int, record: Record) -> float:
    """The design effect of a group's shares closed within so many days, in the last 52 weeks that are old enough."""
    end = record.days_ago(days)
    start = max(end - timedelta(363), record.first)
    if end < start:
        return 1.0
    blocks = blocks_of(within(usable(group.requests), start, end), start, end)
    return share_effect([(sum(r.closed and r.followed <= days for r in block), len(block)) for block in blocks])


def share_within(used: Sequence[Request], days: int, state: str, month_end: date, record: Record, effect: float) -> Row:
    """Closed within so many days, once all requests of the month are that old."""
    old_enough = [r for r in used if r.opened <= record.days_ago(days)]
    quick = sum(r.closed and r.followed <= days for r in old_enough)
    if used and month_end > record.days_ago(days):
        state = "immature"
    elif used:
        state = "too_few" if len(old_enough) < LEAST_N else "ok"
    n = len(old_enough)
    middle, low, high = wilson(quick / effect, n / effect) if state == "ok" else (None, None, None)
    row = {f"n_{days}": len(old_enough), f"within_{days}": quick, f"share_{days}": middle}
    return row | {f"share_{days}_low": low, f"share_{days}_high": high, f"share_{days}_state": state}


def month_cells(requests: Sequence[Request], month_end: date, record: Record, effects: dict[int, float]) -> Row:
    """How fast the requests opened in one month were closed."""
    used = usable(requests)
    state = timing_state(len(requests), len(used))
    row = {"n": len(used), "closed": sum(r.closed for r in used)}
    median = quantile_cells("median", curve_of(used) if state == "ok" else None, state)
    row |= median | {"provisional": yes(month_end >= record.days_ago(6))}
    for days in (7, 30, 90):
        row |= share_within(used, days, state, month_end, record, effects[days])
    return row


def monthly_series(record: Record) -> list[Row]:
    """Every month of the record for each group."""
    months, rows = list(months_of(record)), []
    for group in record.groups:
        opened = by(group.requests, lambda r: r.month)
        closed_in = Counter(f"{r.leaves_pile:%Y-%m}" for r in group.requests if r.leaves_pile)
        effects = {days: effect_within(group, days, record) for days in (7, 30, 90)}
        for name, start, end in months:
            members, pile = opened.get(name, []), None
            if start <= record.as_of:
                pile = pile_at(group.requests, min(end, record.as_of))
            row = {"month": name, "opened": len(members), "closed_in": closed_in[name], "open_at_end": pile}
            rows.append(group.key | row | month_cells(members, end, record, effects))
    return rows


# --- More or fewer than a year before --------------------------------------------------------------------------------


def year_on_year(record: Record) -> list[Row]:
    """The last four settled weeks of each group against the same weekdays a year before."""
    last, four_weeks, year = record.days_ago(7), timedelta(28), timedelta(364)
    begins = [last + timedelta(1) - four_weeks]
    while begins[-1] - four_weeks >= record.first:
        begins.append(begins[-1] - four_weeks)
    spans = [begins[0] + timedelta(27), begins[0] - year, begins[0] + timedelta(27) - year]
    days = {"days_from": begins[0].isoformat()}
    days |= zip(("days_to", "year_before_from", "year_before_to"), (day.isoformat() for day in spans), strict=True)
    rows = []
    for group in record.groups:
        for measure, moved in (
            ("opened", [r.opened for r in group.requests]),
            ("closed_in", [r.leaves_pile for r in group.requests if r.leaves_pile]),
        ):
            moved.sort()
            counts = [bisect_left(moved, begin + four_weeks) - bisect_left(moved, begin) for begin in begins]
            rows.append(group.key | days | {"measure": measure} | on_year(counts))
    return rows


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
    spread = 1.4826 * median_distance(changes) * (1 + 4 / len(changes))
    band = math.exp(2 * max(spread, math.sqrt(1 / (now + 0.5) + 1 / (before + 0.5)))) - 1
    times, least = (now + 0.5) / (before + 0.5), 0.05 * before
    verdict = "more" if times >= 1 + band and now - before >= least else "about as many"
    verdict = "fewer" if 1 / times >= 1 + band and before - now >= least else verdict
    change = now / before - 1 if before else None
    return row | {"change_on_year": change, "noise_band": band, "verdict": verdict, "state": "ok"}


# --- Backlog and flow ------------------------------------------------------------------------------------------------


def pile_at(requests: Iterable[Request], day: date) -> int:
    """What was open at the end of the day."""
    return sum(r.in_pile and r.opened <= day and (r.leaves_pile is None or r.leaves_pile > day) for r in requests)


def backlog_by_age(record: Record) -> list[Row]:
    rows = []
    for group in record.large_groups:
        waiting = [r for r in group.requests if r.is_open]
        for order, (band, (least, most)) in enumerate(AGE_BANDS.items(), 1):
            members = [r for r in waiting if least <= (record.as_of - r.opened).days <= most]
            row = {"age_band": band, "band_order": order, "open_requests": len(members)}
            row |= {"located": sum(r.local_area is not None for r in members)}
            row |= {"n_static": sum(r.is_static for r in members), "share_of_open": share(len(members), len(waiting))}
            rows.append(group.key | row)
    return rows


def backlog_daily(record: Record) -> list[Row]:
    rows = []
    for group in (g for g in record.groups if g.level in ("citywide", "unlocated", "neighbourhood")):
        opened = Counter(r.opened for r in group.requests if r.in_pile)
        closed = Counter(r.leaves_pile for r in group.requests if r.leaves_pile)
        day, backlog = record.first, 0
        while day <= record.as_of:
            backlog += opened[day] - closed[day]
            row = {"day": day.isoformat(), "opened": opened[day], "closed_in": closed[day], "backlog": backlog}
            row |= {"understated": yes(day < UNDERSTATED_UNTIL), "provisional": yes(day >= record.days_ago(6))}
            rows.append(group.key | row)
            day += timedelta(1)
    return rows


def median_distance(numbers: Sequence[float]) -> float:
    return median(abs(number - median(numbers)) for number in numbers)


def beyond_the_usual(changes: Sequence[float]) -> tuple[float, float, int]:
    """Of the last of some weekly changes: what was usual, how far it is from that, and the years that say so."""
    earlier = [changes[-1 - 52 * years] for years in (1, 2, 3) if 52 * years < len(changes)]
    usual = sum(earlier) / len(earlier)
    years_apart = [changes[week] - changes[week - 52] for week in range(52, len(changes))]
    scale = 1.4826 * median_distance(years_apart) / math.sqrt(2) * math.sqrt(1 + 1 / len(earlier))
    beyond = changes[-1] - usual
    z = beyond / scale if scale else math.copysign(1e9, beyond) if beyond else 0.0
    return usual, z, len(earlier)


def flow_label(pile: int, change: float, usual: float, z: float) -> str:
    requests = (pile + 1) - (pile + 1) / math.exp(change - usual)
    share_beyond = math.exp(change - usual) - 1
    if z >= 2.6 and share_beyond >= 0.05 and requests >= 10:
        return "growing"
    return "shrinking" if z <= -2.6 and share_beyond <= -0.05 and requests <= -10 else "stable"


def flow(record: Record) -> list[Row]:
    sunday = record.days_ago(7 + (record.as_of - timedelta(7)).isoweekday() % 7)
    begin, rows = max(UNDERSTATED_UNTIL, record.first + timedelta(365)), []
    sundays = [sunday - timedelta(7 * week) for week in range(400) if sunday - timedelta(7 * week) >= begin][::-1]
    for group in record.large_groups:
        requests = [r for r in group.requests if r.in_pile and not r.is_static]
        came, went = sorted(r.opened for r in requests), sorted(r.leaves_pile for r in requests if r.leaves_pile)

        def until(day: date, came: list[date] = came, went: list[date] = went) -> tuple[int, int]:
            return bisect_right(came, day), bisect_right(went, day)

        (opened, closed), (opened_before, closed_before) = until(sunday), until(sunday - timedelta(91))
        row: Row = {"weeks_from": (sunday - timedelta(90)).isoformat(), "weeks_to": sunday.isoformat()}
        row |= {"opened": opened - opened_before, "closed_in": closed - closed_before}
        row |= {"net": row["opened"] - row["closed_in"], "backlog_start": pile_at(requests, sunday - timedelta(91))}
        row |= {"backlog_end": pile_at(requests, sunday), "backlog_year_before": None}
        if sunday - timedelta(364) >= begin:
            row["backlog_year_before"] = pile_at(requests, sunday - timedelta(364))
        rows.append(group.key | row | season_of([until(day) for day in sundays], row["opened"] + row["closed_in"]))
    return rows


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
    row |= {
        "change_beyond_usual": math.exp(changes[-1] - usual) - 1,
        "distance_from_usual": z if handled >= LEAST_N else None,
    }
    row |= {"flow": labels[-1], "weeks_in_backtest": len(looks)}
    row["labels_in_backtest"] = sum(label in ("growing", "shrinking") for label in labels) / len(looks)
    return row


# --- Outcomes --------------------------------------------------------------------------------------------------------


def outcome_mapping(record: Record) -> list[Row]:
    """The mapped reasons, and those of closed requests that are in no group."""
    seen = {r.reason for r in record.requests if r.is_closed}
    rows = []
    for reason in record.mapping.keys() | seen:
        outcome, order = record.mapping.get(reason, UNMAPPED)
        row = {"closure_reason": reason, "outcome": outcome, "outcome_order": order, "seen": yes(reason in seen)}
        rows.append(row | {"mapping_version": record.mapping_version})
    return rows


def outcomes(record: Record) -> list[Row]:
    rows = []
    for cohort in (c for c in record.cohorts if c.group.level != "hyper_local"):
        closed_as = Counter(record.outcome(r) for r in cohort.requests if r.is_closed)
        closed, still_open = closed_as.total(), sum(r.is_open for r in cohort.requests)
        state = ("too_few" if closed < LEAST_N else "ok") if cohort.requests else "no_requests"
        for outcome in record.outcomes:
            count = closed_as[outcome]
            of_blocks = [[record.outcome(r) == outcome for r in block if r.is_closed] for block in cohort.blocks]
            effect = share_effect([(sum(block), len(block)) for block in of_blocks])
            middle, low, high = wilson(count / effect, closed / effect) if state == "ok" else (None, None, None)
            row = {"outcome": outcome[0], "outcome_order": outcome[1], "closed_as": count, "closed": closed}
            row |= {"open_requests": still_open, "outcome_share": middle, "state": state}
            rows.append(cohort.key | row | {"outcome_share_low": low, "outcome_share_high": high})
    return rows


def closure_reasons(record: Record) -> list[Row]:
    rows = []
    for period, start, end in record.periods:
        for department, members in by(within(record.requests, start, end), lambda r: r.department).items():
            closed = Counter(r.reason for r in members if r.is_closed)
            still_open = Counter(r.reason for r in members if r.is_open)
            for reason in closed.keys() | still_open.keys():
                row = {"period": period, "department": department, "closure_reason": reason}
                row |= {"outcome": record.mapping.get(reason, UNMAPPED)[0]}
                rows.append(row | {"closed": closed[reason], "open_requests": still_open[reason]})
    return rows


def outcome_incidence(record: Record) -> list[Row]:
    shown = {("citywide", "all"), ("citywide", "located"), ("neighbourhood", "located")}
    shown |= {("issue", "all"), ("department", "all")}
    rows = []
    for cohort in (c for c in record.cohorts if c.period in ("all", "last_12_months")):
        curve = cohort.curve
        if curve is None or (cohort.group.level, cohort.group.scope) not in shown:
            continue
        open_before = [1.0, *curve.share]
        for outcome in record.outcomes:
            days = Counter(r.followed for r in cohort.used if r.closed and record.outcome(r) == outcome)
            steps = (open_before[day] * days[day] / curve.at_risk[day] for day in range(curve.last + 1))
            closed_share = list(accumulate(steps))
            key = cohort.key | {"outcome": outcome[0], "outcome_order": outcome[1], "n": curve.n}
            for day in (day for day in WAITED_DAYS if 0 <= day <= curve.last):
                row = {"day": day, "closed_share": closed_share[day]}
                row["closed_share_low"], row["closed_share_high"] = incidence_limits(curve, closed_share, days, day)
                rows.append(key | row)
    return rows


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
    width = Z_95 * math.sqrt(max(variance, 0.0) * curve.effect[until]) / abs(total * math.log(total))
    return total ** math.exp(width), total ** math.exp(-width)


# --- Fair comparison of areas ----------------------------------------------------------------------------------------


def q_values(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's q of each p."""
    values, least = [0.0] * len(p_values), 1.0
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank in range(len(ranked), 0, -1):
        place = ranked[rank - 1]
        values[place] = least = min(least, p_values[place] * len(ranked) / rank)
    return values


def jackknifed(replicates: Sequence[float]) -> float:
    """The standard error that all but one month each give."""
    mean = math.fsum(replicates) / len(replicates)
    return math.sqrt((len(replicates) - 1) / len(replicates) * math.fsum((x - mean) ** 2 for x in replicates))


def verdict(row: Row) -> str:
    if row["q_value"] <= 0.05:
        clearly = row["ratio_low"] > 1.1 or row["ratio_high"] < 0.91
        return f"{'clearly' if clearly else 'somewhat'} {'more' if row['ratio'] > 1 else 'fewer'}"
    return "about the same" if row["ratio_low"] >= 0.87 and row["ratio_high"] <= 1.15 else "unclear"


def pools_of(requests: Sequence[Request]) -> dict[Request, tuple[str, ...]]:
    """The pool of each request: its type; if that is rare, its department; if that is too, the pool of the rest."""
    of_type = Counter(r.issue_type for r in requests)
    rare = Counter(r.department for r in requests if of_type[r.issue_type] < LEAST_N)
    pools = {}
    for r in requests:
        in_department = ("department", r.department) if rare[r.department] >= LEAST_N else ("rest",)
        pools[r] = ("type", r.issue_type) if of_type[r.issue_type] >= LEAST_N else in_department
    return pools


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


class Compared(NamedTuple):
    """What is compared: requests by area, the pool of each, and the twelfth of the window that each was opened in."""

    areas: list[str]
    used: list[Request]
    pools: dict[Request, tuple[str, ...]]
    month: dict[Request, int]


def steps_by(some: Sequence[Request], compared: Compared, expectation: Callable) -> Callable[[Request], list[float]]:
    """The steps of the pools of some requests; a pool without any takes those of them all."""
    by_pool = {pool: expectation(members) for pool, members in by(some, compared.pools.get).items()}
    anywhere = expectation(some) if some else lambda request: []
    return lambda request: by_pool.get(compared.pools[request], anywhere)(request)


def sums(requests: Iterable[Request], counts: Callable, steps: Callable, areas: Sequence[str]) -> dict[str, tuple]:
    """Observed and expected of each area."""
    observed, expected = Counter(), Counter()
    for r in requests:
        observed[r.local_area] += counts(r)
        expected[r.local_area] += math.fsum(steps(r))
    return {area: (observed[area], expected[area]) for area in areas}


def area_cells(area: str, measure: str, volume: int, compared: Compared, months: Sequence[dict[str, tuple]]) -> Row:
    """One area by one measure. `months`: observed and expected of the whole, then without each month."""
    _, expectation = MEASURES[measure]
    own, others = ([r for r in compared.used if (r.local_area == area) == inside] for inside in (True, False))
    observed, expected = months[0][area]
    state = timing_state(volume, len(own))
    row = {"measure": measure, "local_area": area, "n": len(own), "observed": observed}
    row |= {
        "expected": expected if own else None,
        "pooled_share": share(sum(compared.pools[r][0] != "type" for r in own), len(own)),
    }
    row |= dict.fromkeys(SUPPRESSED) | {"state": "too_few" if state == "ok" and expected < LEAST_EXPECTED else state}
    if row["state"] == "ok":
        more = 0.5 if any(each[area][0] == 0 for each in months) else 0
        log_ratio, *without = (
            math.log((o + more) / (e + more)) if e + more else math.nan for o, e in (m[area] for m in months)
        )
        se = max(jackknifed(without), 0.8 / math.sqrt(expected))
        low = math.exp(log_ratio - T_11 * se) if observed else 0.0
        row |= {"ratio": observed / expected, "ratio_low": low, "ratio_high": math.exp(log_ratio + T_11 * se)}
        row |= {"se_log_ratio": se, "log_ratio": log_ratio}
        city, size = steps_by(compared.used, compared, expectation), Counter(map(compared.pools.get, compared.used))
        its = Counter(map(compared.pools.get, own))
        share_of_pool = {pool: its[pool] / size[pool] for pool in its}
        variance = math.fsum((1 - share_of_pool[compared.pools[r]]) * sum(h * (1 - h) for h in city(r)) for r in own)
        row["z"] = (observed - expected) / math.sqrt(variance) if variance > 0 else None
        elsewhere = steps_by(others, compared, expectation)
        row["ratio_without_own"] = share(observed, math.fsum(h for r in own for h in elsewhere(r)))
    return row


def between(shown: Sequence[Row]) -> float | None:
    """DerSimonian and Laird's τ."""
    if len(shown) < 2:
        return None
    weights, logs = [row["se_log_ratio"] ** -2 for row in shown], [row["log_ratio"] for row in shown]
    whole = sum(weights)
    mean = sum(w * x for w, x in zip(weights, logs, strict=True)) / whole
    q = sum(w * (x - mean) ** 2 for w, x in zip(weights, logs, strict=True))
    return math.sqrt(max(0.0, (q - len(shown) + 1) / (whole - sum(w * w for w in weights) / whole)))


def standardised(area: str, volume: int, compared: Compared) -> Row:
    """The share open after 30 days at the city's mix."""
    size, late = Counter(map(compared.pools.get, compared.used)), Counter()
    late.update(compared.pools[r] for r in compared.used if open_after_30(r))
    own = by((r for r in compared.used if r.local_area == area), compared.pools.get)
    weight = {pool: size[pool] / len(compared.used) for pool, members in own.items() if len(members) >= 10}

    def mixed(month: int | None = None) -> float:
        left = {pool: [r for r in own[pool] if compared.month[r] != month] for pool in weight}
        whole = sum(weight[pool] for pool, members in left.items() if members)
        rates = ((pool, sum(map(open_after_30, members)) / len(members)) for pool, members in left.items() if members)
        return sum(weight[pool] * rate for pool, rate in rates) / whole if whole else math.nan

    supported, n = sum(weight.values()), sum(map(len, own.values()))
    state = timing_state(volume, n)
    names = ("standardised_share", "standardised_share_low", "standardised_share_high")
    row = {"supported_weight": supported, **dict.fromkeys(names)}
    row["standardised_share_state"] = "too_few" if state == "ok" and supported < 0.8 else state
    if row["standardised_share_state"] == "ok":
        rate = {pool: late[pool] / size[pool] for pool in weight}
        least = sum(w**2 * rate[p] * (1 - rate[p]) / len(own[p]) for p, w in weight.items()) / supported**2
        value, margin = mixed(), T_11 * max(jackknifed([mixed(month) for month in range(12)]), math.sqrt(least))
        row |= dict(zip(names, (value, max(0.0, value - margin), min(1.0, value + margin)), strict=True))
    return row


def area_comparison(record: Record) -> list[Row]:
    first, last = record.days_ago(394), record.days_ago(30)
    window = within(record.located, first, last)
    volume, used = Counter(r.local_area for r in window), usable(window)
    compared = Compared(record.areas, used, pools_of(used), {r: 12 * (r.opened - first).days // 365 for r in used})
    about, rows = {"opened_from": first.isoformat(), "opened_to": last.isoformat()}, []
    for measure, (counts, expectation) in MEASURES.items():
        samples = [used, *([r for r in used if compared.month[r] != month] for month in range(12))]
        months = [sums(some, counts, steps_by(some, compared, expectation), record.areas) for some in samples]
        areas = [area_cells(area, measure, volume[area], compared, months) for area in record.areas]
        shown = [row for row in areas if row["state"] == "ok"]
        tau = between(shown)
        q = q_values([2 * float(student.sf(abs(row["log_ratio"]) / row["se_log_ratio"], 11)) for row in shown])
        late = measure == "open_after_30_days"
        city_share = share(sum(map(open_after_30, used)), len(used)) if late else None
        for row, row["q_value"] in zip(shown, q, strict=True):
            log_ratio, se = row.pop("log_ratio"), row["se_log_ratio"]
            row["verdict"] = verdict(row)
            if tau is not None:
                row |= {"tau": tau, "shrunken_ratio": math.exp(log_ratio * tau**2 / (tau**2 + se**2))}
                row["among_areas"] = "within" if abs(log_ratio) <= 2 * math.hypot(tau, se) else "outside"
            if late:
                row |= {f"adjusted_share{end}": city_share * row[f"ratio{end}"] for end in ("", "_low", "_high")}
        shares = dict.fromkeys(standardised(record.areas[0], 0, compared))
        for row in areas:
            own = standardised(row["local_area"], volume[row["local_area"]], compared) if late else shares
            rows.append(row | about | {"city_share": city_share} | own)
    return rows


def area_issue_mix(record: Record) -> list[Row]:
    """All areas by all types that were reported with an area in the last 365 days."""
    window = within(record.located, record.days_ago(364), record.as_of)
    of_area, of_type = Counter(r.local_area for r in window), Counter(r.issue_type for r in window)
    cells, total = Counter((r.local_area, r.issue_type) for r in window), len(window)
    rows, shown, p_values = [], [], []
    for area, issue in ((area, issue) for area in record.areas for issue in of_type):
        observed, n, of_issue = cells[area, issue], of_area[area], of_type[issue]
        expected = n * of_issue / total
        row = {"local_area": area, "issue_type": issue, "observed": observed, "n": n, "expected": expected}
        row |= dict.fromkeys(("ratio", "ratio_low", "ratio_high", "q_value", "finding")) | {"state": "too_few"}
        if n >= LEAST_N and expected >= LEAST_EXPECTED:
            low = chi2.ppf(0.025, 2 * observed) / 2 / expected if observed else 0.0
            high = chi2.ppf(0.975, 2 * observed + 2) / 2 / expected
            row |= {"ratio": observed / expected, "ratio_low": float(low), "ratio_high": float(high), "state": "ok"}
            tails = poisson.cdf(observed, expected), poisson.sf(observed - 1, expected)
            p_values.append(min(1.0, 2 * float(min(tails))))
            shown.append(row)
        rows.append(row)
    for row, row["q_value"] in zip(shown, q_values(p_values), strict=True):
        listed = row["q_value"] <= 0.05 and (row["ratio"] >= 1.5 or row["ratio"] <= 0.67)
        row["finding"] = ("more" if row["ratio"] > 1 else "fewer") if listed else "no clear difference"
    return rows


# --- Quality of the record -------------------------------------------------------------------------------------------


def batch_days(record: Record) -> list[Row]:
    """The days on which unusually many of the city, a department or an issue type were closed."""
    kinds, rows = {("citywide", "all"), ("department", "all"), ("issue", "all")}, []
    for group in (g for g in record.groups if (g.level, g.scope) in kinds):
        on_day = Counter(r.closed_on for r in group.requests if r.closed_on and not r.is_negative)
        if on_day.total() >= 10:
            first, days = min(on_day), (max(on_day) - min(on_day)).days + 1
            counts = [on_day[first + timedelta(day)] for day in range(days)]
            rows += [group.key | {"day": (first + timedelta(day)).isoformat()} | row for day, row in batches_of(counts)]
    return rows


def batches_of(counts: Sequence[int]) -> list[tuple[int, Row]]:
    """Of closings day by day: the places that are batch days, and what is said of them."""
    around = [[place + 7 * week for week in range(-26, 27) if week] for place in range(len(counts))]
    others = [sorted(counts[place] for place in places if 0 <= place < len(counts))[:-2] for places in around]
    usual = [max(0.1, sum(some) / len(some)) if some else 0.1 for some in others]
    times = sorted(count / mean for count, mean in zip(counts, usual, strict=True))
    low, high = (between_places(times, share_below * (len(times) - 1)) for share_below in (0.05, 0.99))
    pairs = [(count, mean) for count, mean in zip(counts, usual, strict=True) if low <= count / mean <= high]
    square = math.fsum(mean**2 for _, mean in pairs)
    variance = math.fsum((count - mean) ** 2 for count, mean in pairs) / 0.7534893
    alpha = max(0.0, (variance - math.fsum(mean for _, mean in pairs)) / square)
    found = []
    for place, (count, mean) in enumerate(zip(counts, usual, strict=True)):
        if len(others[place]) >= 10 and count - mean >= 10:
            tail = nbinom.sf(count - 1, 1 / alpha, 1 / (1 + alpha * mean)) if alpha else poisson.sf(count - 1, mean)
            if tail < 1e-6:
                row = {"closings": count, "usual_closings": mean, "tail_probability": float(tail)}
                found.append((place, row | {"share_of_closings": count / sum(counts)}))
    return found


def between_places(numbers: Sequence[float], place: float) -> float:
    """A number of a sorted sequence, by linear interpolation."""
    below = math.floor(place)
    above = min(below + 1, len(numbers) - 1)
    return numbers[below] + (numbers[above] - numbers[below]) * (place - below)


def batch_groups(record: Record) -> set[tuple[object, ...]]:
    """Issue type, department and day of each batch day."""
    return {(row["issue_type"], row["department"], row["day"]) for row in batch_days(record)}


def in_batch(request: Request, batches: set[tuple[object, ...]]) -> bool:
    """Whether it was closed on a batch day of one of its groups."""
    days = ((issue, department, str(request.closed_on)) for issue, department in groups_of(request))
    return request.closed_on is not None and not request.is_negative and not batches.isdisjoint(days)


def groups_of(request: Request) -> list[tuple[str | None, str | None]]:
    """Issue type and department of the groups that may have a batch day: its type, its department and the city."""
    return [(request.issue_type, None), (None, request.department), (None, None)]


def quality_ledger(record: Record) -> list[Row]:
    batches, rows = batch_groups(record), []
    cells = by(record.requests, lambda r: (r.month, r.department))
    for month, department in cells.keys() | record.quarantined.keys():
        requests = cells.get((month, department), [])
        row = {"open_month": month, "department": department, "volume": len(requests)}
        row["n_missing_area"] = sum(r.local_area is None for r in requests)
        row["n_missing_point"] = sum(not r.has_point for r in requests)
        row["n_quarantined"] = record.quarantined[month, department]
        row["n_negative"] = sum(r.is_negative for r in requests)
        row["n_closed_without_date"] = sum(r.lacks_date for r in requests)
        row["n_twins"] = sum(r.occurrence > 0 for r in requests)
        row["n_repeats"] = len(requests) - len({r.all_else for r in requests})
        row["n_batch_closed"] = sum(in_batch(r, batches) for r in requests)
        row["n_obsolete_label"] = sum(re.match(r"ZZ?\b", r.issue_type) is not None for r in requests)
        row["n_unmapped_reason"] = sum(r.is_closed and r.reason not in record.mapping for r in requests)
        rows.append(row)
    return rows


def corrections(record: Record) -> list[Row]:
    """What the city changed in the record, by month of the release and department."""
    of_substance, found = {"status", "closed_on", "closure_reason", "local_area"}, defaultdict(Counter)
    for change in record.changes:
        kind = f"n_{change['kind']}"
        if kind == "n_edited":
            kind = "n_corrected" if of_substance & json.loads(change["after"]).keys() else "n_clerical"
        if kind not in ("n_opened", "n_closed"):
            found[change["data_processed"][:7], change["department"]][kind] += 1
    names = ("n_vanished", "n_relabelled", "n_reopened", "n_corrected", "n_clerical")
    return [
        {"release_month": month, "department": department} | {name: counts[name] for name in names}
        for (month, department), counts in found.items()
    ]


# --- Comparison with what is published -------------------------------------------------------------------------------


TABLES: dict[str, tuple[Callable[[Record], list[Row]], tuple[str, ...]]] = {
    "metrics_citywide": (headline_of("citywide", "scope"), ("scope",)),
    "metrics_by_neighbourhood": (headline_of("neighbourhood", "local_area"), ("local_area",)),
    "metrics_by_issue": (headline_of("issue", "issue_type", "scope"), ("issue_type", "scope")),
    "metrics_hyper_local": (headline_of("hyper_local", "local_area", "issue_type"), ("local_area", "issue_type")),
    "metrics_unlocated": (metrics_unlocated, ("issue_type",)),
    "metric_aggregates": (metric_aggregates, (*GROUP[:4], "metric")),
    "periods": (periods, ("period",)),
    "time_to_close": (time_to_close, (*GROUP, "period")),
    "time_to_close_without": (time_to_close_without, (*GROUP, "period", "left_out")),
    "time_to_close_curves": (time_to_close_curves, (*GROUP, "period", "day")),
    "time_to_close_by_weekday": (time_to_close_by_weekday, (*GROUP, "period", "weekday")),
    "current_speed": (current_speed, GROUP),
    "waiting_times": (waiting_times, (*GROUP, "period", "waited_days")),
    "open_request_standing": (open_request_standing, ("request_id",)),
    "monthly_series": (monthly_series, (*GROUP, "month")),
    "year_on_year": (year_on_year, (*GROUP, "measure")),
    "backlog_by_age": (backlog_by_age, (*GROUP, "age_band")),
    "backlog_daily": (backlog_daily, (*GROUP, "day")),
    "flow": (flow, GROUP),
    "outcome_mapping": (outcome_mapping, ("closure_reason",)),
    "outcomes": (outcomes, (*GROUP, "period", "outcome")),
    "closure_reasons": (closure_reasons, ("period", "department", "closure_reason")),
    "outcome_incidence": (outcome_incidence, (*GROUP, "period", "outcome", "day")),
    "area_comparison": (area_comparison, ("measure", "local_area")),
    "area_issue_mix": (area_issue_mix, ("local_area", "issue_type")),
    "batch_days": (batch_days, (*GROUP, "day")),
    "corrections": (corrections, ("release_month", "department")),
    "quality_ledger": (quality_ledger, ("open_month", "department")),
}
"""How each table is computed, and its key."""


def recompute(path: str | Path) -> dict[str, list[Row]]:
    """Every table of statistics, computed from the requests in the file."""
    record = Record(path)
    as_of = {"as_of": record.as_of.isoformat()}
    computed = {name: compute(record) for name, (compute, _) in TABLES.items()}
    return {
        name: rows if name == "outcome_mapping" else [row | as_of for row in rows] for name, rows in computed.items()
    }


def same(value: object, published: object) -> bool:
    """Equal; of floats, to 1e-9 absolute or relative."""
    if isinstance(value, (int, float)) and isinstance(published, float):
        return math.isclose(value, published, rel_tol=1e-9, abs_tol=1e-9)
    return value == published


def compare(computed: Sequence[Row], published: Sequence[Row], key: Sequence[str]) -> list[str]:
    """What differs between the two: rows and cells, with a few examples of each."""
    left, right = ({tuple(row[name] for name in key): row for row in rows} for rows in (computed, published))
    lines = ["rows share a key"] if len(computed) != len(left) or len(published) != len(right) else []
    for word, names in (("missing", left.keys() - right.keys()), ("extra", right.keys() - left.keys())):
        if names:
            lines.append(f"{len(names)} rows {word}, such as {sorted(names, key=str)[:EXAMPLES]}")
    cells = defaultdict(list)
    for name in sorted(left.keys() & right.keys(), key=str):
        for column in left[name].keys() | right[name].keys():
            pair = [row.get(column, "no such column") for row in (left[name], right[name])]
            if not same(*pair):
                cells[column].append(f"  {name}: recomputed {pair[0]!r}, published {pair[1]!r}")
    for column, differing in sorted(cells.items()):
        lines += [f"{column} differs in {len(differing)} rows:", *differing[:EXAMPLES]]
    return lines


def differences(path: str | Path, computed: dict[str, list[Row]] | None = None) -> dict[str, list[str]]:
    """For each table, the rows that are missing in the published one, those that are extra, and cells that differ.

    Args:
        computed: what `recompute` gave of the same requests.
    """
    computed = computed or recompute(path)
    return {name: compare(computed[name], table(path, name), key) for name, (_, key) in TABLES.items()}
