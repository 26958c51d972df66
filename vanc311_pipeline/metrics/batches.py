"""Batch days: days on which many were closed at once, of the city, a department or an issue type, against the same weekday."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import betainc, gammainc

from vanc311_pipeline.metrics.facts import WEEK_DAYS, Codes, Facts, Floats, Ints, Mask, day_number, day_texts
from vanc311_pipeline.metrics.groups import EACH_DEPARTMENT, EACH_ISSUE, WHOLE_CITY, Grouping

BATCH_KINDS = (WHOLE_CITY, EACH_ISSUE, EACH_DEPARTMENT)
WEEKS_AROUND, WEEKS_NEEDED = 26, 10
LARGEST_LEFT_OUT = 2
"""Of the weeks around a day, so that two batch days don't hide each other."""
USUAL_AT_LEAST = 0.1
BEYOND_AT_LEAST, TAIL_BELOW = 10, 1e-6
ORDINARY = (0.05, 0.99)
"""The dispersion is of the days between these quantiles: without holidays and batch days."""
ORDINARY_VARIANCE = 0.7534893
"""The mean square of a standard normal distribution between them."""

NUMBERS = ("closings", "usual_closings", "tail_probability", "share_of_closings")
Line = tuple[int, int, int, float, float, float]
"""A group, a day, and these numbers of it."""


def batch_days(grouping: Grouping) -> pd.DataFrame:
    """The table `batch_days`, of one grouping."""
    facts = grouping.facts
    closed = grouping.where(facts.has_duration)
    order = np.argsort(closed.code, kind="stable")
    ends = np.cumsum(closed.volume)[:-1]
    lines = [
        line
        for group, days in enumerate(np.split(facts.closed[closed.rows[order]], ends))
        for line in _of_group(group, days)
    ]
    found = pd.DataFrame(lines, columns=["group", "day", *NUMBERS])
    numbers = {name: found[name].to_numpy() for name in NUMBERS}
    return grouping.table(found["group"].to_numpy(np.int64), day=day_texts(found["day"]), **numbers)


def _of_group(group: int, closed: Codes) -> Iterator[Line]:
    """The batch days of a group, from the day on which each of its requests was closed."""
    if len(closed) < BEYOND_AT_LEAST:
        return
    first = int(closed.min())
    counts = np.bincount(closed - first)
    usual, weeks = _usual(counts)
    tail = _tail(counts, usual, _dispersion(counts, usual))
    batch = (weeks >= WEEKS_NEEDED) & (counts - usual >= BEYOND_AT_LEAST) & (tail < TAIL_BELOW)
    for day in np.flatnonzero(batch).tolist():
        closings = int(counts[day])
        yield group, first + day, closings, float(usual[day]), float(tail[day]), closings / len(closed)


def _usual(counts: Ints) -> tuple[Floats, Ints]:
    """The mean of each day's weekday over the 26 weeks before and after, without the two largest; and of how many weeks."""
    weeks = -(-len(counts) // WEEK_DAYS)
    by_weekday = np.pad(counts, (0, weeks * WEEK_DAYS - len(counts)), constant_values=-1).reshape(weeks, WEEK_DAYS).T
    around = np.pad(by_weekday, ((0, 0), (WEEKS_AROUND, WEEKS_AROUND)), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * WEEKS_AROUND + 1, axis=1)
    others = np.sort(np.delete(windows, WEEKS_AROUND, axis=2), axis=2)[..., :-LARGEST_LEFT_OUT]
    n = (others >= 0).sum(axis=2)
    mean = np.maximum(others, 0).sum(axis=2) / np.maximum(n, 1)
    in_order = [each.T.ravel()[: len(counts)] for each in (np.maximum(mean, USUAL_AT_LEAST), n)]
    return in_order[0], in_order[1]


def _dispersion(counts: Ints, usual: Floats) -> float:
    """α of a negative binomial distribution with these means: its variance is mean + α mean²."""
    times = counts / usual
    low, high = np.quantile(times, ORDINARY)
    ordinary = (times >= low) & (times <= high)
    beyond = ((counts - usual)[ordinary] ** 2).sum() / ORDINARY_VARIANCE - usual[ordinary].sum()
    return max(0.0, float(beyond / (usual[ordinary] ** 2).sum()))


def _tail(counts: Ints, usual: Floats, dispersion: float) -> Floats:
    """The probability of so many closings or more."""
    least, odds = np.maximum(counts, 1), dispersion * usual
    tail = betainc(least, 1 / dispersion, odds / (1 + odds)) if dispersion else gammainc(least, usual)
    return np.where(counts > 0, tail, 1.0)


def batch_closed(facts: Facts, days: pd.DataFrame) -> Mask:
    """Requests that were closed on a batch day of the city, of their type or of their department."""
    batch = np.zeros(len(facts), dtype=bool)
    for level, column, names, code in (
        ("citywide", "local_area", (None,), np.zeros(len(facts), dtype=np.int64)),
        ("issue", "issue_type", facts.issues, facts.issue),
        ("department", "department", facts.departments, facts.department),
    ):
        some = days[days["level"] == level] if len(days) else days
        for name, of_name in some.groupby(column, dropna=False) if len(some) else ():
            place = names.index(None if pd.isna(name) else name)
            batch |= (code == place) & np.isin(facts.closed, [day_number(day) for day in of_name["day"]])
    return batch & facts.has_duration
