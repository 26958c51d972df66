"""All statistics at once: from one reading of the requests, so that every table speaks of the same rows.

What belongs here: which table is made of which groups and periods. What does not: how a statistic is computed (the modules beside
this one), reading and writing (`warehouse.statistics`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from vanc311_pipeline.metrics.backlog import backlog_by_age, backlog_daily, flow
from vanc311_pipeline.metrics.comparison import area_comparison, area_issue_mix
from vanc311_pipeline.metrics.facts import Facts
from vanc311_pipeline.metrics.groups import (
    EACH_ISSUE,
    KINDS,
    Grouping,
    Kind,
    Period,
    chosen,
    groupings,
    period_table,
    periods,
)
from vanc311_pipeline.metrics.headline import headline_metrics
from vanc311_pipeline.metrics.monthly import monthly_series
from vanc311_pipeline.metrics.outcomes import (
    closure_reasons,
    has_incidence,
    outcome_codes,
    outcome_incidence,
    outcome_mapping,
    outcomes,
)
from vanc311_pipeline.metrics.quality import Cell, quality_ledger
from vanc311_pipeline.metrics.time_to_close import Cohort, Followed, curve_points, follow, has_curve, time_to_close
from vanc311_pipeline.metrics.waiting import has_waiting_times, open_request_standing, waiting_times

NOT_HYPER_LOCAL = tuple(kind for kind in KINDS if kind[0] != "hyper_local")
DAILY = KINDS[:4]


def statistics(facts: Facts, repeats: Mapping[Cell, int], quarantined: Mapping[Cell, int]) -> dict[str, pd.DataFrame]:
    """Every table of the registry by name, without `as_of`; a table without a row may lack its columns."""
    all_groupings, spans = groupings(facts), periods(facts)
    return {
        **headline_metrics(facts),
        "periods": period_table(facts),
        **_by_period(facts, all_groupings, spans),
        "monthly_series": _each(monthly_series, facts, all_groupings, KINDS),
        "backlog_by_age": _each(backlog_by_age, facts, all_groupings, NOT_HYPER_LOCAL),
        "backlog_daily": _each(backlog_daily, facts, all_groupings, DAILY),
        "flow": _each(flow, facts, all_groupings, NOT_HYPER_LOCAL),
        "outcome_mapping": outcome_mapping(facts),
        "closure_reasons": closure_reasons(facts, spans),
        "area_comparison": area_comparison(facts),
        "area_issue_mix": area_issue_mix(facts),
        "quality_ledger": quality_ledger(facts, repeats, quarantined),
    }


def _by_period(facts: Facts, all_groupings: Sequence[Grouping], spans: Sequence[Period]) -> dict[str, pd.DataFrame]:
    """The tables that are given for periods of opening. A cohort and its curves are dropped when its rows are made."""
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    of_issues: list[Followed] = []
    codes = outcome_codes(facts)
    for cohort in (Cohort(facts, grouping, period) for grouping in all_groupings for period in spans):
        followed = list(follow(cohort))
        parts["time_to_close"].append(time_to_close(cohort, followed))
        if has_curve(cohort):
            parts["time_to_close_curves"] += map(curve_points, followed)
        if has_waiting_times(cohort):
            parts["waiting_times"] += map(waiting_times, followed)
        if cohort.grouping.kind in NOT_HYPER_LOCAL:
            parts["outcomes"].append(outcomes(cohort, codes))
        if has_incidence(cohort):
            parts["outcome_incidence"] += [outcome_incidence(some, codes) for some in followed]
        if has_waiting_times(cohort) and cohort.grouping.kind == EACH_ISSUE:
            of_issues += followed
    names = ("time_to_close", "time_to_close_curves", "waiting_times", "outcomes", "outcome_incidence")
    standing = {"open_request_standing": open_request_standing(facts, of_issues)}
    return {name: _joined(parts[name]) for name in names} | standing


def _each(
    table: Callable[[Facts, Grouping], pd.DataFrame],
    facts: Facts,
    all_groupings: list[Grouping],
    kinds: tuple[Kind, ...],
) -> pd.DataFrame:
    return _joined(table(facts, grouping) for grouping in chosen(all_groupings, kinds))


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
