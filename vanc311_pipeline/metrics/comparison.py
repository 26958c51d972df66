"""Comparison of areas: observed against expected at the city's rates for the same types of request (indirect standardisation).

Sources: Breslow and Day 1987; Garwood 1936; Efron and Stein 1981; DerSimonian and Laird 1986. Why none is ranked: docs/methods.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vanc311_pipeline.metric_definitions import EXPECTED_AT_LEAST, MINIMUM_N, State
from vanc311_pipeline.metrics.estimates import (
    false_discovery,
    first_that_holds,
    jackknife_variance,
    only,
    poisson,
    poisson_p,
    share,
    t_95,
    t_p,
    timing_state,
    with_limits,
)
from vanc311_pipeline.metrics.facts import Codes, Facts, Floats, Ints, Mask, Texts, day_texts
from vanc311_pipeline.metrics.groups import YEAR_DAYS, tally

LATE_AFTER_DAYS = 30
MONTHS = 12
T_95 = t_95(MONTHS - 1)
"""Of the t distribution with 11 degrees of freedom, one for each month but one."""
LEAST_SE = 0.8
DIFFERENT_Q = 0.05
CLEARLY_FEWER, CLEARLY_MORE = 0.91, 1.10
SAME_FROM, SAME_TO = 0.87, 1.15
SUPPORTED_N = 10
SUPPORTED_WEIGHT = 0.8
LISTED_FEWER, LISTED_MORE = 0.67, 1.5
MORE, FEWER, NO_CLEAR_DIFFERENCE = "more", "fewer", "no clear difference"


@dataclass(frozen=True)
class ComparedRequests:
    """The requests that are compared: the area of each, the pool whose rate it is held against, and what became of it."""

    facts: Facts
    rows: Ints
    area: Ints
    pool: Ints
    rare: Mask
    """Its issue type is too rare for a rate of its own."""
    month: Ints
    """In which twelfth of the window it was opened, from 0."""
    days: Codes
    closed: Mask
    late: Mask

    @property
    def pools(self) -> int:
        return int(self.pool.max(initial=-1)) + 1

    def by_area(self, values: npt.NDArray[np.float64 | np.bool_]) -> Floats:
        """The sum over the requests of each area."""
        return np.asarray(np.bincount(self.area, values, len(self.facts.areas)), dtype=np.float64)


def window(facts: Facts) -> tuple[int, int]:
    """The first and the last day of opening of what is compared: 365 days, the last of them old enough to have been late."""
    last = facts.as_of - LATE_AFTER_DAYS
    return last - YEAR_DAYS + 1, last


def _inside(facts: Facts) -> Mask:
    first, last = window(facts)
    return facts.located & (facts.opened >= first) & (facts.opened <= last)


def compared_requests(facts: Facts) -> ComparedRequests:
    """The located requests of the window that have usable dates."""
    rows = np.flatnonzero(_inside(facts) & facts.used)
    # In an order of what they are: a sum of fractions depends on its order, and the order of stored rows is the store's own.
    rows = rows[
        np.lexsort([column[rows] for column in (facts.opened, facts.days, facts.department, facts.issue, facts.area)])
    ]
    issue, department = facts.issue[rows].astype(np.int64), facts.department[rows].astype(np.int64)
    rare = (np.bincount(issue, minlength=1) < MINIMUM_N)[issue] if len(rows) else np.zeros(0, dtype=bool)
    together = np.bincount(department[rare], minlength=len(facts.departments) or 1)[department] >= MINIMUM_N
    own, rest = len(facts.issues) + department, len(facts.issues) + len(facts.departments)
    _, pool = np.unique(np.where(~rare, issue, np.where(together, own, rest)), return_inverse=True)
    area, days, closed = facts.area[rows].astype(np.int64), facts.days[rows], facts.event[rows]
    month = (facts.opened[rows] - window(facts)[0]).astype(np.int64) * MONTHS // YEAR_DAYS
    late = ~(closed & (days <= LATE_AFTER_DAYS))
    return ComparedRequests(facts, rows, area, pool.astype(np.int64), rare, month, days, closed, late)


def area_comparison(facts: Facts) -> pd.DataFrame:
    """The table `area_comparison`: both measures, a row for each area."""
    if not len(facts):
        return pd.DataFrame()
    compared = compared_requests(facts)
    late = _compared(compared, "open_after_30_days", compared.late, _rates).assign(**_shares(compared))
    city, *ratios = late[["city_share", "ratio", "ratio_low", "ratio_high"]].to_numpy(dtype=float).T
    adjusted = ("adjusted_share", "adjusted_share_low", "adjusted_share_high")
    late = late.assign(**{name: city * ratio for name, ratio in zip(adjusted, ratios, strict=True)})
    return pd.concat([late, _compared(compared, "closings", compared.closed, _hazards)], ignore_index=True)


Expectation = Callable[[ComparedRequests, Mask], tuple[Floats, Floats]]
"""What each request adds to what is expected, and to its variance, if it goes as some of the requests went."""


def _rates(compared: ComparedRequests, some: Mask) -> tuple[Floats, Floats]:
    """By the share of its pool that was late; in a pool that has none of them, by that of them all."""
    n, late = (np.bincount(compared.pool[which], minlength=compared.pools) for which in (some, some & compared.late))
    rate = np.where(n > 0, share(late, n), share(late.sum(), n.sum()))[compared.pool]
    return rate, rate * (1 - rate)


def _hazards(compared: ComparedRequests, some: Mask) -> tuple[Floats, Floats]:
    """By its pool's Nelson–Aalen hazard over its own follow-up; a day on which nobody is at risk adds nothing."""
    length = int(compared.days.max(initial=0)) + 1
    closed, ended = (
        tally(compared.pool[which], compared.days[which], compared.pools, length)
        for which in (some & compared.closed, some)
    )
    at_risk = np.cumsum(ended[:, ::-1], axis=1)[:, ::-1]
    hazard = np.where(at_risk[:, :1] > 0, share(closed, at_risk), share(closed.sum(axis=0), at_risk.sum(axis=0)))
    hazard = np.nan_to_num(hazard)
    expected, variance = (
        np.cumsum(steps, axis=1)[compared.pool, compared.days] for steps in (hazard, hazard * (1 - hazard))
    )
    return expected, variance


def _compared(compared: ComparedRequests, measure: str, counted: Mask, expectation: Expectation) -> pd.DataFrame:
    """Ratio, interval and verdict of each area by one measure."""
    facts, everybody = compared.facts, np.ones(len(compared.rows), dtype=bool)
    each, variance = expectation(compared, everybody)
    n, observed, expected = (compared.by_area(values) for values in (everybody, counted, each))
    without = [compared.month != month for month in range(MONTHS)]
    log_ratio, se = jackknife(
        np.array([observed, *(compared.by_area(counted & others) for others in without)]),
        np.array(
            [expected, *(compared.by_area(np.where(others, expectation(compared, others)[0], 0)) for others in without)]
        ),
    )
    state = _state(facts, n, expected >= EXPECTED_AT_LEAST)
    shown = state == State.OK
    q = np.full(len(n), np.nan)
    q[shown] = false_discovery(t_p(log_ratio[shown] / se[shown], MONTHS - 1))
    tau = between_areas(log_ratio[shown], se[shown])
    low = np.where(observed > 0, np.exp(log_ratio - T_95 * se), 0.0)
    high = np.exp(log_ratio + T_95 * se)
    ratio = share(observed, expected)
    cells = tally(compared.area, compared.pool, len(facts.areas), compared.pools)
    own_share = share(cells, cells.sum(axis=0))[compared.area, compared.pool]
    spread = np.sqrt(compared.by_area(variance * (1 - own_share)))
    by_others = [compared.by_area(expectation(compared, compared.area != a)[0])[a] for a in range(len(n))]
    return pd.DataFrame(
        {
            "measure": measure,
            "local_area": facts.areas,
            "opened_from": day_texts(window(facts)[0]),
            "opened_to": day_texts(window(facts)[1]),
            "n": n.astype(np.int64),
            "observed": observed.astype(np.int64),
            "expected": np.where(n > 0, expected, np.nan),
            **with_limits("ratio", state, ratio, low, high),
            "state": state,
            "se_log_ratio": only(state, se),
            "q_value": q,
            "verdict": _verdict(shown, q, ratio, low, high),
            "tau": np.where(shown, tau, np.nan),
            "shrunken_ratio": only(state, np.exp(log_ratio * share(tau**2, tau**2 + se**2))),
            "among_areas": first_that_holds(
                (~shown | np.isnan(tau), None),
                (np.abs(log_ratio) <= 2 * np.sqrt(tau**2 + se**2), "within"),
                otherwise="outside",
            ),
            "z": only(state, share(observed - expected, spread)),
            "pooled_share": share(compared.by_area(compared.rare), n),
            "ratio_without_own": only(state, share(observed, by_others)),
        }
    )


def jackknife(observed: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """ln(O / E) of each area (column) and its standard error, from the whole (first row) and from all but one month each.

    Where O is 0, in the whole or in all but one month, the logarithm is of (O + ½) / (E + ½). The standard error is at least
    0.8 / √E: twelve months may be alike by chance.
    """
    more = np.where((observed == 0).any(axis=0), 0.5, 0.0)
    log_ratio, *without = np.log(share(observed + more, expected + more))
    se = np.sqrt(jackknife_variance(np.array(without)))
    return log_ratio, np.fmax(se, share(LEAST_SE, np.sqrt(expected[0])))


def between_areas(log_ratio: Floats, se: Floats) -> float:
    """τ: the standard deviation of the areas' own ln(ratio), without what chance adds; NaN of fewer than two areas."""
    if len(se) < 2:
        return np.nan
    weight = se**-2.0
    q = np.sum(weight * (log_ratio - np.average(log_ratio, weights=weight)) ** 2)
    return float(np.sqrt(max(0.0, (q - len(se) + 1) / (weight.sum() - (weight**2).sum() / weight.sum()))))


def _state(facts: Facts, n: Floats | Ints, supported: Mask) -> Texts:
    """The state of a statistic of each area: too_few also where too little supports it."""
    state = timing_state(np.bincount(facts.area[_inside(facts)], minlength=len(n)), n.astype(np.int64))
    state[(state == State.OK) & ~supported] = str(State.TOO_FEW)
    return state


def _verdict(shown: Mask, q: Floats, ratio: Floats, low: Floats, high: Floats) -> Texts:
    """Whether an area differs from the city: beyond a margin of indifference, at all, not so that it matters, or not known."""
    different = q <= DIFFERENT_Q
    return first_that_holds(
        (~shown, None),
        (different & (low > CLEARLY_MORE), "clearly more"),
        (different & (high < CLEARLY_FEWER), "clearly fewer"),
        (different & (ratio > 1), "somewhat more"),
        (different, "somewhat fewer"),
        ((low >= SAME_FROM) & (high <= SAME_TO), "about the same"),
        otherwise="unclear",
    )


def _shares(compared: ComparedRequests) -> dict[str, Any]:
    """The city's share of late requests, and each area's if it had the city's mix of types (direct standardisation).

    Over the pools of which the area has enough requests; with all but one month each for its standard error, which is at least
    0.8 times that of requests that go their own ways at the city's rates.
    """
    areas, pools = len(compared.facts.areas), compared.pools
    cell = compared.area * pools + compared.pool
    by_month, late_by_month = (
        tally(cell[some], compared.month[some], areas * pools, MONTHS).reshape(areas, pools, MONTHS)
        for some in (np.ones(len(cell), dtype=bool), compared.late)
    )
    n, late = by_month.sum(axis=2), late_by_month.sum(axis=2)
    supported = n >= SUPPORTED_N
    city, rate = share(n.sum(axis=0), n.sum()), share(late.sum(axis=0), n.sum(axis=0))
    weight = np.where(supported, city, 0.0)
    supported_weight = weight.sum(axis=1)

    def standardised(late: Ints, n: Ints) -> Floats:
        used = np.where(n > 0, weight, 0.0)
        return share((used * np.nan_to_num(share(late, n))).sum(axis=1), used.sum(axis=1))

    value = standardised(late, n)
    without = np.array([standardised(late - late_by_month[:, :, m], n - by_month[:, :, m]) for m in range(MONTHS)])
    independent = np.sum(np.where(supported, share(weight**2 * rate * (1 - rate), n), 0.0), axis=1)
    least = LEAST_SE * np.sqrt(share(independent, supported_weight**2))
    se = np.maximum(np.sqrt(jackknife_variance(without)), least)
    state = _state(compared.facts, n.sum(axis=1), supported_weight >= SUPPORTED_WEIGHT)
    low, high = np.maximum(value - T_95 * se, 0), np.minimum(value + T_95 * se, 1)
    return {
        "city_share": float(share(late.sum(), n.sum())),
        "supported_weight": supported_weight,
        **with_limits("standardised_share", state, value, low, high),
        "standardised_share_state": state,
    }


def area_issue_mix(facts: Facts) -> pd.DataFrame:
    """The table `area_issue_mix`: all areas by all types that occur among the located requests of the last 365 days."""
    inside = facts.located & (facts.opened <= facts.as_of) & (facts.opened > facts.as_of - YEAR_DAYS)
    if not inside.any():
        return pd.DataFrame()
    types, issue = np.unique(facts.issue[inside], return_inverse=True)
    observed = tally(facts.area[inside], issue, len(facts.areas), len(types))
    n_area, n_issue, total = observed.sum(axis=1), observed.sum(axis=0), observed.sum()
    expected = np.outer(n_area, n_issue) / total
    shown = (n_area[:, None] >= MINIMUM_N) & (expected >= EXPECTED_AT_LEAST)
    q = np.full(observed.shape, np.nan)
    q[shown] = false_discovery(poisson_p(observed[shown], expected[shown]))
    state = np.where(shown, str(State.OK), str(State.TOO_FEW)).astype(object)
    ratio, low, high = (share(count, expected) for count in (observed, *poisson(observed)))
    different = q <= DIFFERENT_Q
    area, place = np.indices(observed.shape)
    columns = {
        "local_area": np.array(facts.areas, dtype=object)[area],
        "issue_type": np.array(facts.issues, dtype=object)[types[place]],
        "observed": observed,
        "n": n_area[area],
        "expected": expected,
        **with_limits("ratio", state, ratio, low, high),
        "q_value": q,
        "finding": first_that_holds(
            (~shown, None),
            (different & (ratio >= LISTED_MORE), MORE),
            (different & (ratio <= LISTED_FEWER), FEWER),
            otherwise=NO_CLEAR_DIFFERENCE,
        ),
        "state": state,
    }
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})
