"""All statistics at once, so that every table speaks of the same rows: which is made of which groups and periods."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from vanc311_pipeline.beside import beside
from vanc311_pipeline.metrics import (
    backlog,
    batches,
    comparison,
    current_speed,
    groups,
    monthly,
    outcomes,
    quality,
    reporting,
    speed_on_year,
    time_to_close,
    waiting,
    year_on_year,
)
from vanc311_pipeline.metrics.facts import Codes, Facts, Mask
from vanc311_pipeline.metrics.groups import (
    ALL,
    EACH_AREA,
    EACH_ISSUE,
    EACH_PAIR,
    KINDS,
    LAST_12_MONTHS,
    WHOLE_CITY,
    Grouping,
    Kind,
)
from vanc311_pipeline.metrics.headline import headline_metrics
from vanc311_pipeline.schema import LEVELS

NOT_HYPER_LOCAL = tuple(kind for kind in KINDS if kind != EACH_PAIR)
DAILY = KINDS[:4]
WHOLE_RECORD = (
    (current_speed.current_speed, KINDS),
    (year_on_year.year_on_year, KINDS),
    (speed_on_year.speed_on_year, KINDS),
    (backlog.backlog_by_age, NOT_HYPER_LOCAL),
    (backlog.backlog_daily, DAILY),
    (backlog.flow, NOT_HYPER_LOCAL),
)
GROUPED = (
    "time_to_close", "time_to_close_curves", "time_to_close_by_weekday", "current_speed", "waiting_times", "outcomes",
    "outcome_incidence", "monthly_series", "year_on_year", "speed_on_year", "backlog_by_age", "backlog_daily", "flow",
    "time_to_close_without", "reporting_times", "channels", "area_rates", "open_request_standing",
)  # fmt: skip
HOURLY_KINDS = KINDS[:6]
BESIDE = tuple(kind for kind in KINDS if "issue_type" in LEVELS[kind[0]])
"""They take about as long as all others."""
MANY = 100_000
INCIDENCE_KINDS = (*KINDS[:2], EACH_AREA, EACH_ISSUE, groups.EACH_DEPARTMENT)


def statistics(
    facts: Facts,
    reports: reporting.Reports,
    repeats: Mapping[quality.Cell, int],
    quarantined: Mapping[quality.Cell, int],
) -> dict[str, pd.DataFrame]:
    """Every table of statistics by name but the corrections, without `as_of`; a table without a row may lack its columns."""
    spans = groups.periods(facts)
    days = _joined(batches.batch_days(groups.grouping_of(facts, kind)) for kind in batches.BATCH_KINDS)
    batch = batches.batch_closed(facts, days)
    with beside(len(facts) >= MANY, _grouped, BESIDE, facts, spans, batch, reports) as parts_beside:
        tables = {
            **headline_metrics(facts),
            "periods": groups.period_table(facts),
            "batch_days": days,
            "outcome_mapping": outcomes.outcome_mapping(facts),
            "closure_reasons": outcomes.closure_reasons(facts, spans),
            "area_comparison": comparison.area_comparison(facts),
            "area_issue_mix": comparison.area_issue_mix(facts),
            "quality_ledger": quality.quality_ledger(facts, batch, repeats, quarantined),
        }
        parts = _grouped([kind for kind in KINDS if kind not in BESIDE], facts, spans, batch, reports) | parts_beside()
    return tables | {
        name: _joined(chain.from_iterable(parts[kind].get(name, ()) for kind in KINDS)) for name in GROUPED
    }


Parts = dict[str, list[pd.DataFrame]]
"""What each table is made of, in the order of its rows."""


def _grouped(
    kinds: Sequence[Kind], facts: Facts, spans: Sequence[groups.Period], batch: Mask, reports: reporting.Reports
) -> dict[Kind, Parts]:
    codes = outcomes.outcome_codes(facts)
    return {kind: _of_kind(groups.grouping_of(facts, kind), spans, batch, codes, reports) for kind in kinds}


def _of_kind(
    grouping: Grouping, spans: Sequence[groups.Period], batch: Mask, codes: Codes, reports: reporting.Reports
) -> Parts:
    """The tables that have levels, of one of them, and the standing of open requests; the curves of a cohort are dropped when its rows
    are made.
    """
    parts: Parts = defaultdict(list)
    of_issues: list[time_to_close.Followed] = []
    for table, kinds in WHOLE_RECORD:
        if grouping.kind in kinds:
            parts[table.__name__].append(table(grouping))
    usual = np.full(len(grouping), np.nan)
    for span in spans:
        cohort = grouping.within(span)
        recent, whole = span.name == LAST_12_MONTHS, span.name in (ALL, LAST_12_MONTHS)
        followed: Iterable[time_to_close.Followed] = time_to_close.follow(cohort)
        # Else they are many, and looked at once: each part goes before the next one comes.
        if cohort.kind in NOT_HYPER_LOCAL or recent:
            followed = list(followed)
        parts["time_to_close"].append(time_to_close.time_to_close(cohort, followed))
        if recent:
            usual = parts["time_to_close"][-1]["median_days"].to_numpy(dtype=np.float64)
        if cohort.kind in NOT_HYPER_LOCAL and recent:
            parts["time_to_close_without"].append(time_to_close.time_to_close_without(cohort, batch))
            parts["channels"].append(reporting.channels(cohort, reports))
        if cohort.kind in HOURLY_KINDS and recent:
            parts["reporting_times"].append(reporting.reporting_times(cohort, reports))
        if cohort.kind in (EACH_AREA, EACH_PAIR) and recent:
            parts["area_rates"].append(reporting.area_rates(cohort))
        if cohort.kind in NOT_HYPER_LOCAL:
            parts["outcomes"].append(outcomes.outcomes(cohort, codes))
        if cohort.kind in NOT_HYPER_LOCAL or recent:
            parts["time_to_close_curves"] += map(time_to_close.time_to_close_curves, followed)
        if (cohort.kind == EACH_ISSUE and whole) or (cohort.kind == EACH_PAIR and recent):
            parts["waiting_times"] += map(waiting.waiting_times, followed)
        if cohort.kind in (WHOLE_CITY, EACH_ISSUE) and recent:
            parts["time_to_close_by_weekday"].append(time_to_close.by_weekday(cohort))
        if cohort.kind in INCIDENCE_KINDS and whole:
            parts["outcome_incidence"] += [outcomes.outcome_incidence(some, codes) for some in followed]
        if cohort.kind == EACH_ISSUE and whole:
            of_issues += followed
    parts["monthly_series"].append(monthly.monthly_series(grouping, usual))
    if grouping.kind == EACH_ISSUE:
        parts["open_request_standing"].append(waiting.open_request_standing(grouping.facts, of_issues))
    return parts


def _joined(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()
