"""Outcomes: the closure reasons in groups, by the mapping in `outcomes.toml`, their shares, and how soon requests end in each."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.estimates import share, share_effect, share_state, wilson, with_limits
from vanc311_pipeline.metrics.facts import NO_REASON, NONE, Codes, Facts
from vanc311_pipeline.metrics.groups import Grouping, Period
from vanc311_pipeline.metrics.survival import cumulative_incidence
from vanc311_pipeline.metrics.time_to_close import Followed

_MAPPING = tomllib.loads(files("vanc311_pipeline.metrics").joinpath("outcomes.toml").read_text())
MAPPING_VERSION: str = _MAPPING["version"]
GROUPS: dict[str, list[str]] = _MAPPING["groups"]
UNMAPPED = "Unmapped"
OUTCOMES = (*GROUPS, UNMAPPED)
OUTCOME_OF = {reason: outcome for outcome, reasons in GROUPS.items() for reason in reasons}
INCIDENCE_DAYS = (0, 1, 3, 7, 14, 30, 60, 90, 180, 365)


def outcome_codes(facts: Facts) -> Codes:
    """The outcome group of each request's reason, as a place in `OUTCOMES`; of open requests, too."""
    named = [OUTCOMES.index(OUTCOME_OF.get(reason, UNMAPPED)) for reason in (*facts.reasons, NO_REASON)]
    return np.array(named, dtype=np.int32)[facts.reason]  # -1, no reason, is the last


def outcome_mapping(facts: Facts) -> pd.DataFrame:
    """The table `outcome_mapping`: the known reasons, and those that the record has beside them."""
    seen = {facts.reasons[code] for code in np.unique(facts.reason[facts.is_closed]) if code != NONE}
    if np.any(facts.is_closed & (facts.reason == NONE)):
        seen.add(NO_REASON)
    reasons = [*OUTCOME_OF, *sorted(seen - OUTCOME_OF.keys())]
    groups = [OUTCOME_OF.get(reason, UNMAPPED) for reason in reasons]
    return pd.DataFrame(
        {
            "closure_reason": reasons,
            "outcome": groups,
            "outcome_order": [OUTCOMES.index(group) + 1 for group in groups],
            "mapping_version": MAPPING_VERSION,
            "seen": ["yes" if reason in seen else "no" for reason in reasons],
        }
    )


def _shown(facts: Facts, codes: Codes) -> int:
    """How many of `OUTCOMES` have rows: the last one only if a closed request is unmapped."""
    return len(OUTCOMES) if np.any(codes[facts.is_closed] == len(GROUPS)) else len(GROUPS)


def outcomes(cohort: Grouping, codes: Codes) -> pd.DataFrame:
    """The table `outcomes`, of one cohort: all requests opened in the period, static ones included."""
    facts, period = cohort.facts, cohort.period
    assert period is not None
    shown, blocks = _shown(facts, codes), period.blocks
    cell = codes * blocks + period.block(facts.opened)
    by_block = cohort.count_by(facts.is_closed, cell, shown * blocks).reshape(len(cohort), shown, blocks)
    part, effect = by_block.sum(axis=2), share_effect(by_block, by_block.sum(axis=1, keepdims=True))
    whole = part.sum(axis=1, keepdims=True)
    state = share_state(cohort.volume[:, None], whole)
    return cohort.cross_table(
        shown,
        outcome=np.array(OUTCOMES[:shown], dtype=object),
        outcome_order=np.arange(shown) + 1,
        closed_as=part,
        closed=whole,
        open_requests=cohort.count(facts.is_open)[:, None],
        **with_limits("outcome_share", state, share(part, whole), *wilson(part / effect, whole / effect)),
        state=state,
    )


def closure_reasons(facts: Facts, spans: Sequence[Period]) -> pd.DataFrame:
    """The table `closure_reasons`."""
    reasons, departments = (np.array(names, dtype=object) for names in ((*facts.reasons, NO_REASON), facts.departments))
    codes = {"department": facts.department, "closure_reason": facts.reason % len(reasons)}
    requests = pd.DataFrame({**codes, "closed": facts.is_closed, "open_requests": facts.is_open})
    sums = {period.name: requests[period.holds(facts)].groupby([*codes]).sum() for period in spans}
    if not sums:
        return pd.DataFrame()
    table = pd.concat(sums, names=["period"]).reset_index()
    table = table[table["closed"] + table["open_requests"] > 0]
    names = reasons[table["closure_reason"]]
    outcome = [OUTCOME_OF.get(reason, UNMAPPED) for reason in names]
    return table.assign(department=departments[table["department"]], closure_reason=names, outcome=outcome)


def outcome_incidence(some: Followed, codes: Codes) -> pd.DataFrame:
    """The table `outcome_incidence`, of some groups: never a curve of its own for an outcome, for open requests have none."""
    days = np.array([day for day in INCIDENCE_DAYS if day < some.length])
    estimates = cumulative_incidence(some.curves, some.closed_by(codes, _shown(some.cohort.facts, codes)))
    share, low, high = (each[:, :, days] for each in estimates)
    followed = np.broadcast_to(some.curves.at_risk[:, days] > 0, share.shape)
    group, place, day = np.nonzero(followed.swapaxes(0, 1))
    return some.cohort.table(
        some.groups[group],
        outcome=np.array(OUTCOMES, dtype=object)[place],
        outcome_order=place + 1,
        day=days[day],
        n=some.curves.at_risk[group, 0],
        closed_share=share[place, group, day],
        closed_share_low=low[place, group, day],
        closed_share_high=high[place, group, day],
    )
