"""Backlog: what is open now by age, what was open at the end of each day, and whether the pile grows."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import CHANGE_SHARE, MINIMUM_N
from vanc311_pipeline.metrics.estimates import first_that_holds, robust_deviation, share
from vanc311_pipeline.metrics.facts import WEEK_DAYS, Floats, Ints, Mask, Texts, day_number, day_texts
from vanc311_pipeline.metrics.groups import YEAR_DAYS, Grouping

AGE_BANDS = ("0-7", "8-30", "31-90", "91-365", "over 365", "opened after as_of")
_LAST_DAYS = np.array([7, 30, 90, 365])
UNDERSTATED_BEFORE = "2023-08-17"
"""One year after the first request that the portal still refreshes; 0.4 % of closed requests took longer than 500 days."""

WEEKS, YEAR_WEEKS = 13, 52
EARLIER_YEARS = 3
SCALE_WEEKS = 26
"""So many differences from a year before are needed to say how large they usually are."""
Z_LIMIT = 2.6
CHANGE_AT_LEAST = 10
BACKTEST_WEEKS = 104
WITHOUT_SPREAD = 1e9


def backlog_by_age(grouping: Grouping) -> pd.DataFrame:
    """The table `backlog_by_age`, of one grouping."""
    facts, size = grouping.facts, len(AGE_BANDS)
    age = facts.as_of - facts.opened
    band = np.where(age < 0, size - 1, np.searchsorted(_LAST_DAYS, age))
    in_band = grouping.count_by(facts.is_open, band, size)
    return grouping.cross_table(
        size,
        age_band=np.array(AGE_BANDS, dtype=object),
        band_order=np.arange(size) + 1,
        open_requests=in_band,
        located=grouping.count_by(facts.is_open & facts.located, band, size),
        n_static=grouping.count_by(facts.is_open & facts.static, band, size),
        share_of_open=share(in_band, in_band.sum(axis=1, keepdims=True)),
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
    return grouping.cross_table(
        len(days),
        day=day_texts(days),
        opened=came,
        closed_in=went,
        backlog=np.cumsum(came - went, axis=1),
        understated=np.where(days < day_number(UNDERSTATED_BEFORE), "yes", "no").astype(object),
        provisional=np.where(days > facts.settled, "yes", "no").astype(object),
    )


def last_sunday(day: int) -> int:
    """The last day of the last ISO week that ended by a day. Day 3 (1970-01-04) was a Sunday."""
    return day - (day - 3) % WEEK_DAYS


def flow(grouping: Grouping) -> pd.DataFrame:
    """The table `flow`, of one grouping."""
    facts = grouping.facts
    if not len(facts):
        return pd.DataFrame()
    last = last_sunday(facts.settled)
    begin = max(day_number(UNDERSTATED_BEFORE), int(facts.opened.min()) + YEAR_DAYS)
    sundays = np.arange(last, min(begin, last - YEAR_WEEKS * WEEK_DAYS + 1) - 1, -WEEK_DAYS)[::-1]
    first = min(int(facts.opened.min()), int(sundays[0]))
    came, went = (np.cumsum(days, axis=1)[:, sundays - first] for days in _flows(grouping.where(~facts.static), first))
    known = sundays >= begin
    opened, closed = (until[:, -1] - until[:, -1 - WEEKS] for until in (came, went))
    pile = came - went
    return grouping.table(
        np.arange(len(grouping)),
        weeks_from=day_texts([last - WEEKS * WEEK_DAYS + 1])[0],
        weeks_to=day_texts([last])[0],
        opened=opened,
        closed_in=closed,
        net=opened - closed,
        backlog_start=pile[:, -1 - WEEKS],
        backlog_end=pile[:, -1],
        backlog_year_before=pile[:, -1 - YEAR_WEEKS] if known[-1 - YEAR_WEEKS :].all() else None,
        **_against_the_season(pile[:, known], (came + went)[:, known], opened + closed >= MINIMUM_N),
    )


def _against_the_season(pile: Ints, moved: Ints, enough: Mask) -> dict[str, object]:
    """What the last 13 weeks did to each group's pile, against the same weeks of earlier years; and how often that rule gives
    a label. Of the end of each week: the pile, and all that was ever opened and closed.
    """
    level = np.log(pile + 1)
    change = level[:, WEEKS:] - level[:, :-WEEKS]
    now = change.shape[1] - 1
    looks = range(max(now + 1 - BACKTEST_WEEKS, YEAR_WEEKS + SCALE_WEEKS - 1), now + 1)
    if not looks:
        too_short = np.where(enough, "too_short", "too_few").astype(object)
        return {"flow": too_short, "years": 0, "weeks_in_backtest": 0} | dict.fromkeys(_OF_A_LOOK)
    usual, z = _usual(change, now)
    nets = (pile[:, WEEKS:] - pile[:, :-WEEKS])[:, now - YEAR_WEEKS :: -YEAR_WEEKS][:, :EARLIER_YEARS]
    labels = np.array([_label(pile[:, WEEKS + look], change[:, look], *_usual(change, look)) for look in looks])
    busy = np.array([moved[:, WEEKS + look] - moved[:, look] for look in looks]) >= MINIMUM_N
    return {
        "flow": np.where(enough, labels[-1], "too_few").astype(object),
        "years": nets.shape[1],
        "net_low": nets.min(axis=1),
        "net_high": nets.max(axis=1),
        "usual_change": np.expm1(usual),
        "change_beyond_usual": np.expm1(change[:, now] - usual),
        "distance_from_usual": np.where(enough, z, np.nan),
        "labels_in_backtest": (busy & (labels != "stable")).mean(axis=0),
        "weeks_in_backtest": len(looks),
    }


_OF_A_LOOK = ("net_low", "net_high", "usual_change", "change_beyond_usual", "distance_from_usual", "labels_in_backtest")


def _usual(change: Floats, look: int) -> tuple[Floats, Floats]:
    """The mean change in the same weeks of up to three earlier years, and how far this one is from it, in robust standard deviations
    of such a difference, as they were known in the week of the look.
    """
    earlier = change[:, look - YEAR_WEEKS :: -YEAR_WEEKS][:, :EARLIER_YEARS]
    usual = earlier.mean(axis=1)
    from_year_before = change[:, YEAR_WEEKS : look + 1] - change[:, : look + 1 - YEAR_WEEKS]
    scale = robust_deviation(from_year_before) / np.sqrt(2) * np.sqrt(1 + 1 / earlier.shape[1])
    beyond = change[:, look] - usual
    return usual, np.divide(beyond, scale, out=np.sign(beyond) * WITHOUT_SPREAD, where=scale > 0)


def _label(pile: Ints, change: Floats, usual: Floats, z: Floats) -> Texts:
    """Growing or shrinking only if surely, by a share and by a number of requests beyond what is usual at the season."""
    beyond = change - usual
    share, requests = np.expm1(beyond), (pile + 1) * -np.expm1(-beyond)
    growing = (z >= Z_LIMIT) & (share >= CHANGE_SHARE) & (requests >= CHANGE_AT_LEAST)
    shrinking = (z <= -Z_LIMIT) & (share <= -CHANGE_SHARE) & (requests <= -CHANGE_AT_LEAST)
    return first_that_holds((growing, "growing"), (shrinking, "shrinking"), otherwise="stable")
