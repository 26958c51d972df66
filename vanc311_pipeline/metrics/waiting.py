"""Waiting: what a request that has waited for some days can expect, read off the curve of its kind.

What belongs here: the tables `waiting_times` and `open_request_standing`. What does not: the curves (`time_to_close`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import Codes, Facts
from vanc311_pipeline.metrics.groups import ALL, EACH_ISSUE, LAST_12_MONTHS, periods
from vanc311_pipeline.metrics.survival import TOLERANCE, Floats, Ints
from vanc311_pipeline.metrics.time_to_close import QUANTILES, Cohort, Followed
from vanc311_pipeline.metrics.withheld import enough_state, only
from vanc311_pipeline.registry import MINIMUM_N

WAITED_DAYS = (0, 1, 3, 7, 14, 30, 60, 90, 180, 365)


def has_waiting_times(cohort: Cohort) -> bool:
    name = cohort.period.name
    return (cohort.grouping.kind == EACH_ISSUE and name in (ALL, LAST_12_MONTHS)) or (
        cohort.grouping.level == "hyper_local" and name == LAST_12_MONTHS
    )


def waiting_times(some: Followed) -> pd.DataFrame:
    """The table `waiting_times`, of some groups."""
    frames = [_after(some, waited) for waited in WAITED_DAYS if waited + 1 < some.length]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _after(some: Followed, waited: int) -> pd.DataFrame:
    followed = some.curves.at_risk[:, waited + 1]
    groups = np.flatnonzero(followed > 0)
    enough = followed[groups] >= MINIMUM_N
    columns: dict[str, np.ndarray] = {}
    for name, closed_share in QUANTILES.items():
        further = _further(some.curves.open_share[groups], np.full(len(groups), waited), closed_share)
        state = enough_state(enough, further)
        columns |= {f"further_{name}": only(state, further), f"further_{name}_state": state}
    return some.cohort.grouping.table(
        some.groups[groups],
        period=some.cohort.period.name,
        waited_days=waited,
        followed=followed[groups],
        open_share=some.curves.open_share[groups, waited],
        **columns,
    )


def _further(curve: Floats, waited: Ints, closed_share: float) -> Floats:
    """Of each curve (row): the first day on which the share still open has fallen far enough, minus the days waited."""
    target = (1 - closed_share) * curve[np.arange(len(curve)), waited] + TOLERANCE
    reached = curve <= target[:, None]
    return np.where(reached.any(axis=1), reached.argmax(axis=1) - waited, np.nan)


def open_request_standing(facts: Facts, followed: Sequence[Followed]) -> pd.DataFrame:
    """The table `open_request_standing`, but for the ids: `row` is the request's place among the facts.

    Args:
        followed: the curves of the issue types, of the last 12 months and of all years.
    """
    rows = np.flatnonzero(facts.is_open & facts.used)
    recent, ever = (_against(facts, rows, followed, period) for period in (LAST_12_MONTHS, ALL))
    use_recent = (recent["followed"] >= MINIMUM_N).to_numpy()
    chosen = pd.DataFrame({name: np.where(use_recent, recent[name], ever[name]) for name in recent})
    state = enough_state((chosen["followed"] >= MINIMUM_N).to_numpy(), chosen["further_median"].to_numpy())
    return chosen.assign(
        row=rows,
        days_open=facts.as_of - facts.opened[rows],
        period=np.where(use_recent, LAST_12_MONTHS, ALL),
        further_median=only(state, chosen["further_median"]),
        state=state,
    )


def _against(facts: Facts, rows: Ints, followed: Sequence[Followed], period: str) -> pd.DataFrame:
    """Each open request against the curve of its issue type in one period."""
    waited = facts.as_of - facts.opened[rows]
    n, beyond = _of_its_type(facts, rows, waited, period)
    sooner, further = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for some in followed:
        if some.cohort.period.name != period:
            continue
        code = some.cohort.grouping.code[rows]
        for place, group in enumerate(some.groups):
            waiting = np.flatnonzero((code == group) & (waited < some.length))
            curve, day = some.curves.open_share[place], waited[waiting]
            was_followed = some.curves.at_risk[place][day] > 0
            sooner[waiting] = np.where(was_followed, 1 - curve[day], np.nan)
            further[waiting] = _first_day_below(curve, 0.5 * curve[day] + TOLERANCE) - day
    return pd.DataFrame({"n": n, "followed": beyond, "closed_sooner_share": sooner, "further_median": further})


def _of_its_type(facts: Facts, rows: Ints, waited: Codes, name: str) -> tuple[Ints, Ints]:
    """Of each open request: the usable requests of its issue type in a period, and those followed beyond the days it waited."""
    inside = np.zeros(len(facts), dtype=bool)
    for period in periods(facts):
        if period.name == name:
            inside = facts.used & period.holds(facts)
    size = int(facts.days[facts.used].max(initial=0)) + 1
    ended = np.sort(facts.issue[inside].astype(np.int64) * size + facts.days[inside])
    first = facts.issue[rows].astype(np.int64) * size
    last = np.searchsorted(ended, first + size)
    return last - np.searchsorted(ended, first), last - np.searchsorted(ended, first + waited, side="right")


def _first_day_below(curve: Floats, targets: Floats) -> Floats:
    """The first day on which a falling curve is at most each target; NaN if it never is."""
    day = np.searchsorted(-curve, -targets, side="left")
    return np.where(day < len(curve), day, np.nan)
