"""Backlog: what is open now by age, what was open at the end of each day, and whether the pile grows."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.estimates import first_that_holds, share
from vanc311_pipeline.metrics.facts import Floats, Ints, Mask, Texts, day_number, day_texts
from vanc311_pipeline.metrics.groups import Grouping
from vanc311_pipeline.metrics.monthly import PROVISIONAL_DAYS
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


def backlog_by_age(grouping: Grouping) -> pd.DataFrame:
    """The table `backlog_by_age`, of one grouping."""
    facts, size = grouping.facts, len(AGE_BANDS)
    age = facts.as_of - facts.opened
    band = np.where(age < 0, size - 1, np.searchsorted(_LAST_DAYS, age))
    in_band = grouping.count_by(facts.is_open, band, size)
    columns = {
        "open_requests": in_band,
        "located": grouping.count_by(facts.is_open & facts.located, band, size),
        "n_static": grouping.count_by(facts.is_open & facts.static, band, size),
        "share_of_open": share(in_band, in_band.sum(axis=1, keepdims=True)),
    }
    group, place = np.indices(in_band.shape).reshape(2, -1)
    return grouping.table(
        group,
        age_band=np.array(AGE_BANDS, dtype=object)[place],
        band_order=place + 1,
        **{name: values[group, place] for name, values in columns.items()},
    )


def _flows(grouping: Grouping, first: int) -> tuple[Ints, Ints]:
    """What came and what went of each group on each day from the first to as_of."""
    facts = grouping.facts
    size = facts.as_of - first + 1
    came, went = facts.stock & (facts.opened <= facts.as_of), facts.closed_with_date & (facts.left_pile <= facts.as_of)
    return grouping.count_by(came, facts.opened - first, size), grouping.count_by(went, facts.left_pile - first, size)


def backlog_daily(grouping: Grouping) -> pd.DataFrame:
    """The table `backlog_daily`, of one grouping."""
    facts = grouping.facts
    first = int(facts.opened.min(initial=facts.as_of + 1))
    came, went = _flows(grouping, first)
    days = np.arange(first, facts.as_of + 1)
    group, place = np.indices(came.shape).reshape(2, -1)
    return grouping.table(
        group,
        day=day_texts(days)[place],
        opened=came[group, place],
        closed_in=went[group, place],
        backlog=np.cumsum(came - went, axis=1)[group, place],
        understated=np.where(days < day_number(UNDERSTATED_BEFORE), "yes", "no").astype(object)[place],
        provisional=np.where(days > facts.as_of - PROVISIONAL_DAYS, "yes", "no").astype(object)[place],
    )


def last_sunday(as_of: int) -> int:
    """The last day of the last complete ISO week. Day 3 (1970-01-04) was a Sunday."""
    return as_of - (as_of - 3) % WEEK_DAYS


def flow(grouping: Grouping) -> pd.DataFrame:
    """The table `flow`, of one grouping."""
    facts = grouping.facts
    if not len(facts):
        return pd.DataFrame()
    last = last_sunday(facts.as_of)
    before = last - WEEKS * WEEK_DAYS
    first = min(int(facts.opened.min()), before - YEAR_OF_WEEKS_DAYS)
    came, went = _flows(grouping.where(~facts.static), first)
    weeks = slice(before + 1 - first, last + 1 - first)
    year_before = slice(weeks.start - YEAR_OF_WEEKS_DAYS, weeks.stop - YEAR_OF_WEEKS_DAYS)
    daily = came - went
    opened, closed, net = (days[:, weeks].sum(axis=1) for days in (came, went, daily))
    start, t = (
        daily[:, : weeks.start].sum(axis=1),
        _t_statistic(daily[:, weeks].reshape(-1, WEEKS, WEEK_DAYS).sum(axis=2)),
    )
    enough = opened + closed >= MINIMUM_N
    return grouping.table(
        np.arange(len(grouping)),
        weeks_from=day_texts([before + 1])[0],
        weeks_to=day_texts([last])[0],
        opened=opened,
        closed_in=closed,
        net=net,
        backlog_start=start,
        backlog_end=start + net,
        t_statistic=np.where(enough, t, np.nan),
        flow=_label(net, start, t, enough),
        net_year_before=daily[:, year_before].sum(axis=1),
    )


def _t_statistic(weekly: Ints) -> Floats:
    mean, spread = weekly.mean(axis=1), weekly.std(axis=1, ddof=1)
    without = np.sign(mean) * WITHOUT_SPREAD
    return np.asarray(np.divide(mean, spread / np.sqrt(WEEKS), out=without, where=spread > 0))


def _label(net: Ints, start: Ints, t: Floats, enough: Mask) -> Texts:
    least = np.maximum(GROWTH_AT_LEAST, GROWTH_SHARE * start)
    growing, shrinking = (net >= least) & (t >= T_LIMIT), (net <= -least) & (t <= -T_LIMIT)
    return first_that_holds((~enough, "too_few"), (growing, "growing"), (shrinking, "shrinking"), otherwise="stable")
