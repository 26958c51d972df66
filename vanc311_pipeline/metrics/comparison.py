"""Comparison of areas: observed against expected at the city's rates for the same types of request (indirect standardisation).

What belongs here: the tables `area_comparison` and `area_issue_mix`. Sources: Breslow and Day 1987; Garwood 1936; Spiegelhalter
2005; Haberman 1973. Why no area is compared with another, and none ranked: docs/methods.md.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import Facts, Ints, Mask, Texts
from vanc311_pipeline.metrics.groups import YEAR_DAYS, tally
from vanc311_pipeline.metrics.intervals import Z_998, false_discovery, poisson, share, two_sided
from vanc311_pipeline.metrics.survival import Z_95, Floats
from vanc311_pipeline.metrics.withheld import only, timing_state
from vanc311_pipeline.registry import EXPECTED_AT_LEAST, MINIMUM_N, State

LATE_AFTER_DAYS = 30
WINSORISED_SHARE = 0.1
DIFFERENT_Q = 0.05
MORE, FEWER, SAME = "more", "fewer", "not distinguishable"


@dataclass(frozen=True)
class ComparedRequests:
    """The requests that are compared, by area, and by the pool whose rate each is held against."""

    facts: Facts
    rows: Ints
    area: Ints
    pool: Ints
    rare: Mask
    """Its issue type is too rare for a rate of its own."""

    @property
    def areas(self) -> int:
        return len(self.facts.areas)

    @property
    def pools(self) -> int:
        return int(self.pool.max()) + 1 if len(self.pool) else 0

    @cached_property
    def n(self) -> Ints:
        """Requests of each area (row) in each pool."""
        return self.count(np.ones(len(self.rows), dtype=bool))

    def count(self, where: Mask) -> Ints:
        return tally(self.area[where], self.pool[where], self.areas, self.pools)

    def by_day(self, where: Mask, length: int) -> Ints:
        """Requests of each area and pool by the day on which following them ended."""
        cell, days = self.area[where] * self.pools + self.pool[where], self.facts.days[self.rows[where]]
        return tally(cell, days, self.areas * self.pools, length).reshape(self.areas, self.pools, length)


def compared_requests(facts: Facts) -> ComparedRequests:
    """The located requests of the last 365 days of opening that are old enough to have been late."""
    last = facts.as_of - LATE_AFTER_DAYS
    inside = facts.located & facts.used & (facts.opened <= last) & (facts.opened > last - YEAR_DAYS)
    rows = np.flatnonzero(inside)
    issue, department = facts.issue[rows].astype(np.int64), facts.department[rows].astype(np.int64)
    rare = (np.bincount(issue, minlength=1) < MINIMUM_N)[issue] if len(rows) else np.zeros(0, dtype=bool)
    together = np.bincount(department[rare], minlength=len(facts.departments) or 1)[department] >= MINIMUM_N
    own, rest = len(facts.issues) + department, len(facts.issues) + len(facts.departments)
    _, pool = np.unique(np.where(~rare, issue, np.where(together, own, rest)), return_inverse=True)
    return ComparedRequests(facts, rows, facts.area[rows].astype(np.int64), pool.astype(np.int64), rare)


def area_comparison(facts: Facts) -> pd.DataFrame:
    """The table `area_comparison`: both measures, a row for each area."""
    if not len(facts):
        return pd.DataFrame()
    compared = compared_requests(facts)
    return pd.concat([_late(compared), _closings(compared)], ignore_index=True)


def _late(compared: ComparedRequests) -> pd.DataFrame:
    """Requests not closed within 30 days."""
    facts = compared.facts
    closed_in_time = facts.event[compared.rows] & (facts.days[compared.rows] <= LATE_AFTER_DAYS)
    late = compared.count(~closed_in_time)
    rate = share(late.sum(axis=0), compared.n.sum(axis=0))
    others_n, others_late = compared.n.sum(axis=0) - compared.n, late.sum(axis=0) - late
    overall = share(others_late.sum(axis=1), others_n.sum(axis=1))
    rate_of_others = np.where(others_n > 0, share(others_late, others_n), overall[:, None])
    city_share = float(share(late.sum(), compared.n.sum()))
    frame = _compared(
        compared,
        "open_after_30_days",
        observed=late.sum(axis=1),
        expected=compared.n @ rate,
        variance=compared.n @ (rate * (1 - rate)),
        expected_of_others=_sum_where(compared.n, rate_of_others),
    )
    return frame.assign(city_share=city_share, adjusted_share=frame["ratio"] * city_share)


def _closings(compared: ComparedRequests) -> pd.DataFrame:
    """Closings against each pool's Nelson–Aalen hazard, over all follow-up."""
    facts = compared.facts
    event = facts.event[compared.rows]
    length = int(facts.days[compared.rows].max()) + 1 if len(compared.rows) else 1
    closed, ended = compared.by_day(event, length), compared.by_day(np.ones(len(event), dtype=bool), length)
    at_risk = np.cumsum(ended[:, :, ::-1], axis=2)[:, :, ::-1]
    expected = (ended * _hazard(closed.sum(axis=0), at_risk.sum(axis=0))).sum(axis=(1, 2))
    frame = _compared(
        compared,
        "closings",
        observed=closed.sum(axis=(1, 2)),
        expected=expected,
        variance=expected,
        expected_of_others=np.array([_by_others(closed, at_risk, ended, area) for area in range(compared.areas)]),
    )
    return frame.assign(city_share=np.nan, adjusted_share=np.nan)


def _hazard(closed: Ints, at_risk: Ints) -> Floats:
    """The cumulative hazard by day; a day on which nobody is at risk adds nothing."""
    return np.cumsum(np.nan_to_num(share(closed, at_risk)), axis=-1)


def _by_others(closed: Ints, at_risk: Ints, ended: Ints, area: int) -> float:
    """The closings expected of an area by the hazards of the other areas' requests."""
    closed, at_risk = closed.sum(axis=0) - closed[area], at_risk.sum(axis=0) - at_risk[area]
    hazard = _hazard(closed, at_risk)
    alone = at_risk[:, 0] == 0
    hazard[alone] = _hazard(closed.sum(axis=0), at_risk.sum(axis=0))
    return float((ended[area] * hazard).sum())


def _sum_where(n: Ints, rate: Floats) -> Floats:
    """Σ n · rate, where a rate that is not known counts only if it is needed."""
    return np.where(n > 0, n * rate, 0.0).sum(axis=1)


def _compared(
    compared: ComparedRequests,
    measure: str,
    observed: Ints,
    expected: Floats,
    variance: Floats,
    expected_of_others: Floats,
) -> pd.DataFrame:
    """Ratio, interval, funnel limits and finding of each area."""
    n = compared.n.sum(axis=1)
    state = _state(compared, n, expected)
    shown = state == State.OK
    low, high = poisson(observed)
    z = np.where(shown & (variance > 0), (observed - expected) / np.sqrt(np.where(variance > 0, variance, 1)), np.nan)
    tested = ~np.isnan(z)
    dispersion = over_dispersion(z[tested]) if tested.any() else np.nan
    q = np.full(len(n), np.nan)
    q[tested] = false_discovery(two_sided(z[tested] / np.sqrt(dispersion)))
    spread = np.sqrt(dispersion * variance) / np.where(expected > 0, expected, np.nan)
    different = (np.abs(z) / np.sqrt(dispersion) > Z_998) | (q <= DIFFERENT_Q)
    return pd.DataFrame(
        {
            "measure": measure,
            "local_area": compared.facts.areas,
            "n": n,
            "observed": observed,
            "expected": np.where(n > 0, expected, np.nan),
            "ratio": only(state, share(observed, expected)),
            "ratio_low": only(state, share(low, expected)),
            "ratio_high": only(state, share(high, expected)),
            "state": state,
            "z": z,
            "dispersion": np.where(tested, dispersion, np.nan),
            "funnel_95_low": np.where(tested, np.maximum(0, 1 - Z_95 * spread), np.nan),
            "funnel_95_high": np.where(tested, 1 + Z_95 * spread, np.nan),
            "funnel_998_low": np.where(tested, np.maximum(0, 1 - Z_998 * spread), np.nan),
            "funnel_998_high": np.where(tested, 1 + Z_998 * spread, np.nan),
            "q_value": q,
            "finding": finding(shown, different, observed > expected),
            "pooled_share": share(np.bincount(compared.area[compared.rare], minlength=compared.areas), n),
            "ratio_without_own": only(state, share(observed, expected_of_others)),
        }
    )


def _state(compared: ComparedRequests, n: Ints, expected: Floats) -> Texts:
    """The state of a ratio: too_few also where too little is expected."""
    facts = compared.facts
    last = facts.as_of - LATE_AFTER_DAYS
    inside = facts.located & (facts.opened <= last) & (facts.opened > last - YEAR_DAYS)
    state = timing_state(np.bincount(facts.area[inside], minlength=compared.areas), n)
    state[(state == State.OK) & (expected < EXPECTED_AT_LEAST)] = str(State.TOO_FEW)
    return state


def over_dispersion(z: Floats) -> float:
    """φ: the mean of z², the outermost tenth on each side brought in to its neighbour; at least 1."""
    cut = int(WINSORISED_SHARE * len(z))
    ordered = np.sort(z)
    inner = np.clip(z, ordered[cut], ordered[len(z) - 1 - cut])
    return max(1.0, float(np.mean(inner**2)))


def finding(shown: Mask, different: Mask, more: Mask) -> Texts:
    names = [np.array(name, dtype=object) for name in (None, SAME, MORE, FEWER)]
    return np.select([~shown, ~different, more], names[:3], names[3])


def area_issue_mix(facts: Facts) -> pd.DataFrame:
    """The table `area_issue_mix`: all areas by all types that occur among the located requests of the last 365 days."""
    inside = facts.located & (facts.opened <= facts.as_of) & (facts.opened > facts.as_of - YEAR_DAYS)
    if not inside.any():
        return pd.DataFrame()
    types, issue = np.unique(facts.issue[inside], return_inverse=True)
    size = len(facts.areas), len(types)
    observed = tally(facts.area[inside], issue, *size)
    n_area, n_issue, total = observed.sum(axis=1), observed.sum(axis=0), observed.sum()
    expected = np.outer(n_area, n_issue) / total
    shown = (n_area[:, None] >= MINIMUM_N) & (expected >= EXPECTED_AT_LEAST)
    variance = expected * np.outer(1 - n_area / total, 1 - n_issue / total)
    z = np.where(variance > 0, (observed - expected) / np.sqrt(np.where(variance > 0, variance, 1)), 0.0)
    q = np.full(size, np.nan)
    q[shown] = false_discovery(two_sided(z[shown]))
    state = np.where(shown, str(State.OK), str(State.TOO_FEW)).astype(object)
    low, high = poisson(observed)
    area, place = np.indices(size)
    return pd.DataFrame(
        {
            "local_area": np.array(facts.areas, dtype=object)[area.ravel()],
            "issue_type": np.array(facts.issues, dtype=object)[types][place.ravel()],
            "observed": observed.ravel(),
            "n": n_area[area.ravel()],
            "expected": expected.ravel(),
            "ratio": only(state, share(observed, expected)).ravel(),
            "ratio_low": only(state, share(low, expected)).ravel(),
            "ratio_high": only(state, share(high, expected)).ravel(),
            "q_value": q.ravel(),
            "finding": finding(shown, q <= DIFFERENT_Q, observed > expected).ravel(),
            "state": state.ravel(),
        }
    )
