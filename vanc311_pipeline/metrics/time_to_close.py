"""Time to close: the curves of every group and period, and what is read off them.

What belongs here: which requests a curve is made of, and the tables `time_to_close` and `time_to_close_curves`. What does not: the
estimator (`survival`), and what a waiting request can expect (`waiting`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import NONE, Codes, Facts, Ints, Mask, Unused
from vanc311_pipeline.metrics.groups import LAST_12_MONTHS, Grouping, Period, tally
from vanc311_pipeline.metrics.intervals import share
from vanc311_pipeline.metrics.survival import (
    Curves,
    Days,
    Floats,
    days_until,
    kaplan_meier,
    mean_days_within,
    median_of_closed,
)
from vanc311_pipeline.metrics.withheld import only, timing_state
from vanc311_pipeline.registry import MINIMUM_N

QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}
RESTRICTED = (30, 90)
CURVE_DAYS = np.array(
    [*range(15), 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365, 450, 540, 730, 1095, 1460], dtype=np.int64
)
CELLS_AT_ONCE = 200_000
"""Groups by days that are worked out together: more is no faster and takes memory."""

_UNUSED = {
    "n_static": Unused.STATIC,
    "n_after_as_of": Unused.AFTER_AS_OF,
    "n_negative": Unused.NEGATIVE,
    "n_closed_without_date": Unused.WITHOUT_DATE,
}


@dataclass(frozen=True)
class Cohort:
    """The requests of one period, by group."""

    facts: Facts
    grouping: Grouping
    period: Period

    @cached_property
    def rows(self) -> Ints:
        """The requests, as places among the facts."""
        return np.flatnonzero(self.period.holds(self.facts) & (self.grouping.code != NONE))

    @cached_property
    def code(self) -> Codes:
        """The group of each of these requests."""
        return self.grouping.code[self.rows]

    def count(self, where: Mask) -> Ints:
        """How many requests of each group meet a condition."""
        return np.bincount(self.code[where[self.rows]], minlength=len(self.grouping))

    def count_by(self, where: Mask, column: Codes, size: int) -> Ints:
        """How many requests of each group (row) have each value of a column, from 0 to size - 1."""
        inside = where[self.rows]
        return tally(self.code[inside], column[self.rows[inside]], len(self.grouping), size)

    @cached_property
    def by_use(self) -> Ints:
        """Requests of each group by whether, or why not, they are in its curve."""
        return self.count_by(np.ones(len(self.facts), dtype=bool), self.facts.unused, len(Unused))

    @property
    def volume(self) -> Ints:
        return self.by_use.sum(axis=1)

    @property
    def n(self) -> Ints:
        """The requests behind each curve."""
        return self.by_use[:, Unused.USED]


@dataclass(frozen=True)
class Followed:
    """Some groups of a cohort that have enough requests, and their curves."""

    cohort: Cohort
    groups: Ints
    """Their places in the grouping."""
    rows: Ints
    """Their requests."""
    code: Codes
    """Of each of these requests, the place of its group among `groups`."""
    curves: Curves

    @property
    def length(self) -> int:
        return self.curves.open_share.shape[1]

    def closed_where(self, where: Mask) -> Ints:
        """Of each group, the closings on each day of the requests that meet a condition."""
        facts = self.cohort.facts
        closed = where[self.rows] & facts.event[self.rows]
        return tally(self.code[closed], facts.days[self.rows[closed]], len(self.groups), self.length)


def follow(cohort: Cohort) -> Iterator[Followed]:
    """The curves of all groups of a cohort that have at least 30 requests, some groups at a time."""
    facts = cohort.facts
    enough = np.flatnonzero(cohort.n >= MINIMUM_N)
    if not len(enough):
        return
    place = np.full(len(cohort.grouping), NONE, dtype=np.int32)
    place[enough] = np.arange(len(enough))
    with_curve = facts.used[cohort.rows] & (place[cohort.code] != NONE)
    rows, code = cohort.rows[with_curve], place[cohort.code[with_curve]]
    days, event = facts.days[rows], facts.event[rows]
    for first, inside, curves in curves_by_parts(code, days, event, len(enough)):
        groups = enough[first : first + len(curves.at_risk)]
        yield Followed(cohort, groups, rows[inside], code[inside] - np.int32(first), curves)


def curves_by_parts(code: Codes | Ints, days: Codes, event: Mask, groups: int) -> Iterator[tuple[int, Mask, Curves]]:
    """The curves of groups, as many at a time as memory allows: the first group, which requests are its and the next ones', curves.

    Args:
        code: of each request, its group.
        days: how long it was followed.
        event: whether it was closed then.
    """
    length = int(days.max()) + 1
    at_once = max(1, CELLS_AT_ONCE // length)
    for first in range(0, groups, at_once):
        size = min(at_once, groups - first)
        inside = (code >= first) & (code < first + size)
        closed, censored = (
            tally(code[rows] - first, days[rows], size, length) for rows in (inside & event, inside & ~event)
        )
        yield first, inside, kaplan_meier(closed, censored)


def time_to_close(cohort: Cohort, followed: Sequence[Followed]) -> pd.DataFrame:
    """The table `time_to_close`, of one cohort."""
    facts, grouping = cohort.facts, cohort.grouping
    used = cohort.rows[facts.used[cohort.rows]]
    closed = cohort.count(facts.used & facts.event)
    ended = used[facts.event[used]]
    total = np.bincount(grouping.code[ended], weights=facts.days[ended], minlength=len(grouping))
    enough = timing_state(cohort.volume, cohort.n)
    columns: dict[str, np.ndarray] = {}
    for name, closed_share in QUANTILES.items():
        columns |= quantile_columns(name, cohort.volume, cohort.n, _quantile(followed, len(grouping), closed_share))
    for tau in RESTRICTED:
        means = _by_group(followed, len(grouping), partial(mean_days_within, days=tau))
        columns[f"mean_within_{tau}"] = only(enough, means)
    return grouping.table(
        np.arange(len(grouping)),
        period=cohort.period.name,
        volume=cohort.volume,
        n=cohort.n,
        closed=closed,
        still_open=cohort.n - closed,
        **{name: cohort.by_use[:, why] for name, why in _UNUSED.items()},
        followed_days=_longest(grouping, used, facts),
        **columns,
        mean_closed_only=only(enough, share(total, closed)),
        median_closed_only=_by_group(followed, len(grouping), median_of_closed),
    )


def quantile_columns(name: str, volume: Ints, n: Ints, days: Days) -> dict[str, np.ndarray]:
    """The four columns of a quantile."""
    return {
        f"{name}_days": days.value,
        f"{name}_low": days.low,
        f"{name}_high": days.high,
        f"{name}_state": timing_state(volume, n, days.value),
    }


def _longest(grouping: Grouping, used: Ints, facts: Facts) -> Floats:
    longest = pd.Series(facts.days[used]).groupby(grouping.code[used]).max()
    return longest.reindex(np.arange(len(grouping))).to_numpy(dtype=np.float64)


def _quantile(followed: Sequence[Followed], groups: int, closed_share: float) -> Days:
    """A quantile of every group; NaN where there is no curve."""
    parts = [np.full(groups, np.nan) for _ in range(3)]
    for some in followed:
        days = days_until(some.curves, closed_share)
        for part, values in zip(parts, (days.value, days.low, days.high), strict=True):
            part[some.groups] = values
    return Days(*parts)


def _by_group(followed: Sequence[Followed], groups: int, read: Callable[[Curves], Floats]) -> Floats:
    """What is read off the curve of every group; NaN where there is none."""
    values = np.full(groups, np.nan)
    for some in followed:
        values[some.groups] = read(some.curves)
    return values


def curve_points(some: Followed) -> pd.DataFrame:
    """The table `time_to_close_curves`, of some groups."""
    days = CURVE_DAYS[some.length > CURVE_DAYS]
    at_risk = some.curves.at_risk[:, days]
    group, day = np.nonzero(at_risk > 0)
    by_then = np.cumsum(some.curves.closed, axis=1)
    return some.cohort.grouping.table(
        some.groups[group],
        period=some.cohort.period.name,
        day=days[day],
        at_risk=at_risk[group, day],
        closed_by=by_then[group, days[day]],
        open_share=some.curves.open_share[group, days[day]],
        open_share_low=some.curves.low[group, days[day]],
        open_share_high=some.curves.high[group, days[day]],
    )


def has_curve(cohort: Cohort) -> bool:
    """Whether its curves are kept day by day: those of small groups for the last 12 months only."""
    return cohort.grouping.level != "hyper_local" or cohort.period.name == LAST_12_MONTHS
