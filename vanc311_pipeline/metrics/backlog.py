"""Backlog: what is open now by age, what was open at the end of each day, and whether the pile grows."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import Facts, Ints, Mask, Texts, day_number, day_texts
from vanc311_pipeline.metrics.groups import Grouping
from vanc311_pipeline.metrics.intervals import share
from vanc311_pipeline.metrics.monthly import PROVISIONAL_DAYS
from vanc311_pipeline.metrics.survival import Floats
from vanc311_pipeline.registry import MINIMUM_N

AGE_BANDS = ("0-7", "8-30", "31-90", "91-365", "over 365", "opened after as_of")
_LAST_DAYS = np.array([7, 30, 90, 365])
UNDERSTATED_BEFORE = "2023-08-17"
"""One year after the first request that the portal still refreshes; 0.4 % of closed requests took longer than 500 days."""

WEEKS = 13
WEEK_DAYS = 7
YEAR_OF_WEEKS_DAYS = 364
T_LIMIT = 2.179
GROWTH_AT_LEAST, GROWTH_SHARE = 10, 0.05
WITHOUT_SPREAD = 1e9


def backlog_by_age(facts: Facts, grouping: Grouping) -> pd.DataFrame:
    """The table `backlog_by_age`, of one grouping."""
    size = len(AGE_BANDS)
    age = facts.as_of - facts.opened
    band = np.where(age < 0, size - 1, np.searchsorted(_LAST_DAYS, age))
    in_band = grouping.count_by(facts.is_open, band, size)
    located = grouping.count_by(facts.is_open & facts.located, band, size)
    static = grouping.count_by(facts.is_open & facts.static, band, size)
    group, place = np.nonzero(np.ones(in_band.shape, dtype=bool))
    return grouping.table(
        group,
        age_band=np.array(AGE_BANDS, dtype=object)[place],
        band_order=place + 1,
        open_requests=in_band[group, place],
        located=located[group, place],
        n_static=static[group, place],
        share_of_open=share(in_band, in_band.sum(axis=1, keepdims=True))[group, place],
    )


def _flows(facts: Facts, grouping: Grouping, where: Mask) -> tuple[int, Ints, Ints]:
    """The first day of the record, and of each group what came and what went on each day from it to as_of."""
    first = int(facts.opened.min())
    size = facts.as_of - first + 1
    came = where & facts.stock & (facts.opened <= facts.as_of)
    went = where & facts.closed_with_date & (facts.left_pile <= facts.as_of)
    return (
        first,
        grouping.count_by(came, facts.opened - first, size),
        grouping.count_by(went, facts.left_pile - first, size),
    )


def backlog_daily(facts: Facts, grouping: Grouping) -> pd.DataFrame:
    """The table `backlog_daily`, of one grouping."""
    if not len(facts) or facts.as_of < int(facts.opened.min()):
        return pd.DataFrame()
    first, came, went = _flows(facts, grouping, np.ones(len(facts), dtype=bool))
    days = np.arange(first, facts.as_of + 1)
    group, place = np.nonzero(np.ones(came.shape, dtype=bool))
    understated = np.where(days < day_number(UNDERSTATED_BEFORE), "yes", "no").astype(object)
    provisional = np.where(days > facts.as_of - PROVISIONAL_DAYS, "yes", "no").astype(object)
    return grouping.table(
        group,
        day=day_texts(days)[place],
        opened=came[group, place],
        closed_in=went[group, place],
        backlog=np.cumsum(came - went, axis=1)[group, place],
        understated=understated[place],
        provisional=provisional[place],
    )


def last_sunday(as_of: int) -> int:
    """The last day of the last complete ISO week. Day 3 (1970-01-04) was a Sunday."""
    return as_of - (as_of - 3) % WEEK_DAYS


def flow(facts: Facts, grouping: Grouping) -> pd.DataFrame:
    """The table `flow`, of one grouping."""
    if not len(facts):
        return pd.DataFrame()
    where = ~facts.static
    last = last_sunday(facts.as_of)
    opened, closed, weekly = _weeks(facts, grouping, where, last)
    start = _level(facts, grouping, where, last - WEEKS * WEEK_DAYS)
    net, t = opened - closed, _t_statistic(weekly)
    enough = opened + closed >= MINIMUM_N
    before = _weeks(facts, grouping, where, last - YEAR_OF_WEEKS_DAYS)
    groups = np.arange(len(grouping))
    return grouping.table(
        groups,
        weeks_from=day_texts([last - WEEKS * WEEK_DAYS + 1])[0],
        weeks_to=day_texts([last])[0],
        opened=opened,
        closed_in=closed,
        net=net,
        backlog_start=start,
        backlog_end=_level(facts, grouping, where, last),
        t_statistic=np.where(enough, t, np.nan),
        flow=_label(net, start, t, enough),
        net_year_before=before[0] - before[1],
    )


def _weeks(facts: Facts, grouping: Grouping, where: Mask, last: int) -> tuple[Ints, Ints, Ints]:
    """Opened and closed in the 13 weeks that end on a day, and the net of each week."""
    first = last - WEEKS * WEEK_DAYS + 1
    came = where & facts.stock & (facts.opened >= first) & (facts.opened <= last)
    went = where & facts.closed_with_date & (facts.left_pile >= first) & (facts.left_pile <= last)
    inflow = grouping.count_by(came, (facts.opened - first) // WEEK_DAYS, WEEKS)
    outflow = grouping.count_by(went, (facts.left_pile - first) // WEEK_DAYS, WEEKS)
    return inflow.sum(axis=1), outflow.sum(axis=1), inflow - outflow


def _level(facts: Facts, grouping: Grouping, where: Mask, day: int) -> Ints:
    came = where & facts.stock & (facts.opened <= day)
    return grouping.count(came) - grouping.count(where & facts.closed_with_date & (facts.left_pile <= day))


def _t_statistic(weekly: Ints) -> Floats:
    mean, spread = weekly.mean(axis=1), weekly.std(axis=1, ddof=1)
    error = spread / np.sqrt(WEEKS)
    without = np.sign(mean) * WITHOUT_SPREAD
    return np.asarray(np.divide(mean, error, out=without, where=spread > 0))


def _label(net: Ints, start: Ints, t: Floats, enough: Mask) -> Texts:
    least = np.maximum(GROWTH_AT_LEAST, GROWTH_SHARE * start)
    names = [np.array(name, dtype=object) for name in ("too_few", "growing", "shrinking", "stable")]
    tests = [~enough, (net >= least) & (t >= T_LIMIT), (net <= -least) & (t <= -T_LIMIT)]
    return np.select(tests, names[:3], names[3])
