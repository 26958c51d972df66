"""Waiting: what a request that has waited for some days can expect, read off the curve of its kind."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import MINIMUM_N
from vanc311_pipeline.metrics.estimates import enough_state, only
from vanc311_pipeline.metrics.facts import Facts, Ints
from vanc311_pipeline.metrics.groups import ALL, LAST_12_MONTHS, tally
from vanc311_pipeline.metrics.survival import STILL_OPEN, after, days_until, first_day
from vanc311_pipeline.metrics.time_to_close import QUANTILES, Followed

JUST_OPENED = -1
WAITED_DAYS = (JUST_OPENED, 0, 1, 3, 7, 14, 30, 60, 90, 180, 365)


def waiting_times(some: Followed) -> pd.DataFrame:
    """The table `waiting_times`, of some groups."""
    frames = [_after(some, waited) for waited in WAITED_DAYS if waited + 1 < some.length]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _after(some: Followed, waited: int) -> pd.DataFrame:
    followed = some.curves.at_risk[:, waited + 1]
    groups = np.flatnonzero(followed > 0)
    followed, still_open = followed[groups], after(some.curves, waited)
    columns: dict[str, np.ndarray] = {}
    for name, closed_share in QUANTILES.items():
        days, enough = days_until(still_open, closed_share)
        enough = (followed >= MINIMUM_N) & enough[groups]
        further, low, high = np.where(enough, days[:, groups] + (waited != JUST_OPENED), np.nan)
        columns |= {f"further_{name}": further, f"further_{name}_low": low, f"further_{name}_high": high}
        columns[f"further_{name}_state"] = enough_state(enough, further)
    return some.cohort.table(
        some.groups[groups],
        waited_days=waited,
        followed=followed,
        open_share=1.0 if waited == JUST_OPENED else some.curves.open_share[groups, waited],
        **columns,
    )


def open_request_standing(facts: Facts, followed: Sequence[Followed]) -> pd.DataFrame:
    """The table `open_request_standing`, but for the ids (`row` is the request's place among the facts), from the curves of the issue
    types, of the last 12 months and of all years.
    """
    rows = np.flatnonzero(facts.is_open & facts.used)
    recent, ever = (
        _against(facts, rows, [some for some in followed if some.period == period]) for period in (LAST_12_MONTHS, ALL)
    )
    use_recent = (recent["followed"] >= MINIMUM_N).to_numpy()
    chosen = pd.DataFrame({name: np.where(use_recent, recent[name], ever[name]) for name in recent})
    state = enough_state(chosen["enough"].to_numpy(), chosen["further_median"].to_numpy())
    return chosen.drop(columns="enough").assign(
        row=rows,
        days_open=facts.as_of - facts.opened[rows],
        period=np.where(use_recent, LAST_12_MONTHS, ALL),
        further_median=only(state, chosen["further_median"]),
        state=state,
    )


def _against(facts: Facts, rows: Ints, followed: Sequence[Followed]) -> pd.DataFrame:
    """Each open request against the requests of its issue type in one period, and against their curve if they have one."""
    waited, issue = facts.as_of - facts.opened[rows], facts.issue[rows]
    used = followed[0].cohort.where(facts.used).rows if followed else np.array([], dtype=np.int64)
    ended = tally(
        facts.issue[used], facts.days[used], len(facts.issues), int(facts.days[facts.used].max(initial=0)) + 2
    )
    at_risk = np.cumsum(ended[:, ::-1], axis=1)[:, ::-1]
    sooner, further = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    issues = np.unique(facts.issue)
    for some in followed:
        for curve, group in zip(some.curves.open_share, some.groups, strict=True):
            waiting = np.flatnonzero((issue == issues[group]) & (waited < some.length))
            day = waited[waiting]
            sooner[waiting] = np.where(at_risk[issues[group], day] > 0, 1 - curve[day], np.nan)
            further[waiting] = first_day(curve[None, :], 0.5 * curve[day, None]) - day
    beyond, on_the_day = (at_risk[issue, waited + np.nan_to_num(days).astype(np.int64)] for days in (1, further))
    return pd.DataFrame(
        {
            "n": at_risk[issue, 0],
            "followed": beyond,
            "enough": (beyond >= MINIMUM_N) & (np.isnan(further) | (on_the_day >= STILL_OPEN)),
            "closed_sooner_share": sooner,
            "further_median": further,
        }
    )
