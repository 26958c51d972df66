"""Faster or slower than a year before: the share closed within a horizon, and the median, of what was opened in the last 52 settled
weeks and in the 52 before.

Source of the limits of a difference, from those of its parts: Newcombe 1998; Zou and Donner 2008.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtr

from vanc311_pipeline.metric_definitions import MINIMUM_N, State
from vanc311_pipeline.metrics.estimates import Z_95, false_discovery, first_that_holds, timing_state, with_limits
from vanc311_pipeline.metrics.facts import Codes, Facts, Floats, Ints, day_texts
from vanc311_pipeline.metrics.groups import Grouping, Period
from vanc311_pipeline.metrics.time_to_close import follow, quantile, quantile_columns

HORIZONS = np.array([7, 30, 90], dtype=np.int64)
WEEKS_52 = 364
SAME_WITHIN = 0.05
"""Shares that surely differ by no more than so much are about the same."""
DIFFERENT_Q = 0.05
SHARE, MEDIAN = ("share_within", "share_within_low", "share_within_high"), ("days", "low", "high", "state")


def years(facts: Facts) -> tuple[Period, Period]:
    """The last 52 settled weeks, and the 52 before."""
    last = facts.settled
    before = last - WEEKS_52
    return Period("now", before + 1, last), Period("year_before", before - WEEKS_52 + 1, before)


def horizons(grouping: Grouping) -> Ints:
    """Of each group the one of 7, 30 and 90 days within which nearest to half of its kind were closed in the year before: of its issue
    type or its department in the whole city, else of all requests.
    """
    facts = grouping.facts
    kinds = {"issue": facts.issue, "hyper_local": facts.issue, "department": facts.department}
    kind: Codes = kinds.get(grouping.level, np.zeros(len(facts), dtype=np.int32))
    size, past = int(kind.max(initial=0)) + 1, facts.used & years(facts)[1].holds(facts)
    n = np.bincount(kind[past], minlength=size)
    within = [np.bincount(kind[past & facts.event & (facts.days <= days)], minlength=size) for days in HORIZONS]
    of_group = np.zeros(len(grouping), dtype=np.int64)
    of_group[grouping.code] = kind[grouping.rows]
    return HORIZONS[np.abs(2 * np.array(within) - n).argmin(axis=0)[of_group]]


def speed_on_year(grouping: Grouping) -> pd.DataFrame:
    """The table `speed_on_year`, of one grouping."""
    facts, size = grouping.facts, len(grouping)
    if not len(facts):
        return pd.DataFrame()
    now, year_before = periods = years(facts)
    horizon = horizons(grouping)
    cohorts = [grouping.within(period) for period in periods]
    n, n_before = (cohort.count(facts.used) for cohort in cohorts)
    used = cohorts[0].where(facts.used)
    old_enough = np.bincount(used.code[facts.opened[used.rows] + horizon[used.code] <= facts.as_of], minlength=size)
    too_short = np.full(size, int(facts.opened.min()) > year_before.first)
    state = first_that_holds(
        (too_short, State.TOO_SHORT),
        (cohorts[0].volume + cohorts[1].volume == 0, State.NO_REQUESTS),
        (np.minimum(old_enough, n_before) < MINIMUM_N, State.TOO_FEW),
        otherwise=State.OK,
    )
    recent, before = (_read_off(cohort, horizon) for cohort in cohorts)
    medians = {f"median_{end}": recent[end] for end in MEDIAN}
    before["state"] = np.where(too_short, State.TOO_SHORT, before["state"])
    medians |= {f"median_year_before_{end}": before[end].where(~too_short | (end == "state")) for end in MEDIAN}
    shares, shares_before = ([year[name].to_numpy(dtype=np.float64) for name in SHARE] for year in (recent, before))
    return grouping.table(
        np.arange(size),
        **dict(zip(("opened_from", "opened_to"), day_texts([now.first, now.last]), strict=True)),
        **dict(
            zip(("year_before_from", "year_before_to"), day_texts([year_before.first, year_before.last]), strict=True)
        ),
        horizon_days=horizon,
        n=n,
        n_year_before=n_before,
        **with_limits("share_within", state, *shares),
        **with_limits("share_within_year_before", state, *shares_before),
        **{name: column.to_numpy() for name, column in medians.items()},
        **_judged(state == State.OK, shares, shares_before),
        state=state,
    )


def _read_off(cohort: Grouping, horizon: Ints) -> pd.DataFrame:
    """The share closed within each group's horizon, and its median, with their limits."""
    parts = []
    for some in follow(cohort):
        row, day = np.arange(len(some.groups)), np.minimum(horizon[some.groups], some.length - 1)
        curves = some.curves.open_share, some.curves.high, some.curves.low
        columns = dict(zip(SHARE, (1 - curve[row, day] for curve in curves), strict=True))
        median = dict(zip(MEDIAN, quantile_columns("", *quantile(some.curves, "median")).values(), strict=True))
        parts.append(pd.DataFrame(columns | median, index=some.groups))
    read, n = pd.concat(parts).reindex(np.arange(len(cohort))), cohort.count(cohort.facts.used)
    return read.assign(state=np.where(n < MINIMUM_N, timing_state(cohort.volume, n), read["state"]))


def _judged(known: np.ndarray, now: list[Floats], before: list[Floats]) -> dict[str, object]:
    """The difference of two shares with its limits, and what is said of it, over the groups of which it is known."""
    (share, low, high), (earlier, earlier_low, earlier_high) = now, before
    change = share - earlier
    down = np.sqrt((share - low) ** 2 + (earlier_high - earlier) ** 2)
    up = np.sqrt((high - share) ** 2 + (earlier - earlier_low) ** 2)
    z = Z_95 * np.abs(change[known]) / np.where(change > 0, down, up)[known]
    q = np.full(len(change), np.nan)
    q[known] = false_discovery(2 * ndtr(-z))
    state = np.where(known, State.OK, State.TOO_FEW)
    different = q <= DIFFERENT_Q
    return {
        **with_limits("share_change", state, change, change - down, change + up),
        "q_value": q,
        "verdict": first_that_holds(
            (~known, None),
            ((change - down >= -SAME_WITHIN) & (change + up <= SAME_WITHIN), "about the same"),
            (different & (change > 0), "faster"),
            (different, "slower"),
            otherwise="unclear",
        ),
    }
