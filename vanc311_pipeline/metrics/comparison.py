"""Comparison of areas: observed against expected at the city's rates for the same types of request (indirect standardisation).

What belongs here: the tables `area_comparison` and `area_issue_mix`. Sources: Breslow and Day 1987; Garwood 1936; Spiegelhalter
2005; Haberman 1973. Why no area is compared with another, and none ranked: docs/methods.md.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.estimates import (
    Z_998,
    false_discovery,
    first_that_holds,
    only,
    poisson,
    share,
    timing_state,
    two_sided,
    with_limits,
)
from vanc311_pipeline.metrics.facts import Facts, Floats, Ints, Mask, Texts
from vanc311_pipeline.metrics.groups import YEAR_DAYS, tally
from vanc311_pipeline.metrics.survival import Z_95
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
    def shape(self) -> tuple[int, int]:
        """Areas by pools."""
        return len(self.facts.areas), int(self.pool.max(initial=-1)) + 1

    @cached_property
    def n(self) -> Ints:
        """Requests of each area in each pool."""
        return self.count(np.ones(len(self.rows), dtype=bool))

    def count(self, condition: Mask) -> Ints:
        return tally(self.area[condition], self.pool[condition], *self.shape)

    def by_day(self, condition: Mask) -> Ints:
        """Requests of each area and pool by the day on which following them ended."""
        areas, pools = self.shape
        days = self.facts.days[self.rows]
        cell, length = self.area * pools + self.pool, int(days.max(initial=0)) + 1
        return tally(cell[condition], days[condition], areas * pools, length).reshape(areas, pools, length)


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
    facts, n = compared.facts, compared.n
    late = compared.count(~(facts.event[compared.rows] & (facts.days[compared.rows] <= LATE_AFTER_DAYS)))
    rate = share(late.sum(axis=0), n.sum(axis=0))
    others_n, others_late = n.sum(axis=0) - n, late.sum(axis=0) - late
    overall = share(others_late.sum(axis=1), others_n.sum(axis=1))
    rate_of_others = np.where(others_n > 0, share(others_late, others_n), overall[:, None])
    return _compared(
        compared,
        "open_after_30_days",
        observed=late.sum(axis=1),
        expected=n @ rate,
        variance=n @ (rate * (1 - rate)),
        expected_of_others=np.where(n > 0, n * rate_of_others, 0.0).sum(
            axis=1
        ),  # a rate may be unknown where none is needed
        city_share=float(share(late.sum(), n.sum())),
    )


def _closings(compared: ComparedRequests) -> pd.DataFrame:
    """Closings against each pool's Nelson–Aalen hazard, over all follow-up."""
    event = compared.facts.event[compared.rows]
    closed, ended = compared.by_day(event), compared.by_day(np.ones(len(event), dtype=bool))
    at_risk = np.cumsum(ended[:, :, ::-1], axis=2)[:, :, ::-1]
    expected = (ended * _hazard(closed.sum(axis=0), at_risk.sum(axis=0))).sum(axis=(1, 2))
    others, others_at_risk = closed.sum(axis=0) - closed, at_risk.sum(axis=0) - at_risk
    overall = _hazard(others.sum(axis=1, keepdims=True), others_at_risk.sum(axis=1, keepdims=True))
    hazard_of_others = np.where(others_at_risk[:, :, :1] > 0, _hazard(others, others_at_risk), overall)
    return _compared(
        compared,
        "closings",
        observed=closed.sum(axis=(1, 2)),
        expected=expected,
        variance=expected,
        expected_of_others=(ended * hazard_of_others).sum(axis=(1, 2)),
        city_share=np.nan,
    )


def _hazard(closed: Ints, at_risk: Ints) -> Floats:
    """The cumulative hazard by day; a day on which nobody is at risk adds nothing."""
    return np.cumsum(np.nan_to_num(share(closed, at_risk)), axis=-1)


def _compared(
    compared: ComparedRequests,
    measure: str,
    observed: Ints,
    expected: Floats,
    variance: Floats,
    expected_of_others: Floats,
    city_share: float,
) -> pd.DataFrame:
    """Ratio, interval, funnel limits and finding of each area."""
    n = compared.n.sum(axis=1)
    state = _state(compared, n, expected)
    shown = state == State.OK
    z = np.where(shown, _z(observed, expected, variance, otherwise=np.nan), np.nan)
    tested = ~np.isnan(z)
    dispersion = over_dispersion(z[tested]) if tested.any() else np.nan
    widened = z / np.sqrt(dispersion)
    q = np.full(len(n), np.nan)
    q[tested] = false_discovery(two_sided(widened[tested]))
    spread = np.where(tested, np.sqrt(dispersion * variance) / np.where(expected > 0, expected, np.nan), np.nan)
    ratio = _ratio(state, observed, expected)
    return pd.DataFrame(
        {
            "measure": measure,
            "local_area": compared.facts.areas,
            "n": n,
            "observed": observed,
            "expected": np.where(n > 0, expected, np.nan),
            **ratio,
            "state": state,
            "city_share": city_share,
            "adjusted_share": ratio["ratio"] * city_share,
            "z": z,
            "dispersion": np.where(tested, dispersion, np.nan),
            "funnel_95_low": np.maximum(0, 1 - Z_95 * spread),
            "funnel_95_high": 1 + Z_95 * spread,
            "funnel_998_low": np.maximum(0, 1 - Z_998 * spread),
            "funnel_998_high": 1 + Z_998 * spread,
            "q_value": q,
            "finding": _finding(shown, (np.abs(widened) > Z_998) | (q <= DIFFERENT_Q), observed > expected),
            "pooled_share": share(np.bincount(compared.area[compared.rare], minlength=len(n)), n),
            "ratio_without_own": only(state, share(observed, expected_of_others)),
        }
    )


def _state(compared: ComparedRequests, n: Ints, expected: Floats) -> Texts:
    """The state of a ratio: too_few also where too little is expected."""
    facts = compared.facts
    last = facts.as_of - LATE_AFTER_DAYS
    inside = facts.located & (facts.opened <= last) & (facts.opened > last - YEAR_DAYS)
    state = timing_state(np.bincount(facts.area[inside], minlength=len(n)), n)
    state[(state == State.OK) & (expected < EXPECTED_AT_LEAST)] = str(State.TOO_FEW)
    return state


def over_dispersion(z: Floats) -> float:
    """φ: the mean of z², the outermost tenth on each side brought in to its neighbour; at least 1."""
    cut = int(WINSORISED_SHARE * len(z))
    ordered = np.sort(z)
    inner = np.clip(z, ordered[cut], ordered[len(z) - 1 - cut])
    return max(1.0, float(np.mean(inner**2)))


def _z(observed: Ints, expected: Floats, variance: Floats, otherwise: float) -> Floats:
    """How many standard deviations lie between the two; `otherwise` where nothing varies."""
    spread = np.sqrt(np.maximum(variance, 0))
    return np.divide(observed - expected, spread, out=np.full(expected.shape, otherwise), where=spread > 0)


def _ratio(state: Texts, observed: Ints, expected: Floats) -> dict[str, Floats]:
    """The columns of observed / expected and its limits."""
    return with_limits("ratio", state, *(share(count, expected) for count in (observed, *poisson(observed))))


def _finding(shown: Mask, different: Mask, more: Mask) -> Texts:
    return first_that_holds((~shown, None), (~different, SAME), (more, MORE), otherwise=FEWER)


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
    variance = expected * np.outer(1 - n_area / total, 1 - n_issue / total)
    q = np.full(observed.shape, np.nan)
    q[shown] = false_discovery(two_sided(_z(observed, expected, variance, otherwise=0.0)[shown]))
    state = np.where(shown, str(State.OK), str(State.TOO_FEW)).astype(object)
    area, place = np.indices(observed.shape)
    columns = {
        "local_area": np.array(facts.areas, dtype=object)[area],
        "issue_type": np.array(facts.issues, dtype=object)[types[place]],
        "observed": observed,
        "n": n_area[area],
        "expected": expected,
        **_ratio(state, observed, expected),
        "q_value": q,
        "finding": _finding(shown, q <= DIFFERENT_Q, observed > expected),
        "state": state,
    }
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})
