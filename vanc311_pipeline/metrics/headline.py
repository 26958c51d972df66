"""The four headline metrics: a wide table for each level, and the long table of all of them.

Counts and sums are whole numbers, which add up exactly over any grouping; they are divided last.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.estimates import share
from vanc311_pipeline.metrics.facts import NONE, Facts, Status, Unchanged
from vanc311_pipeline.metrics.groups import EACH_ISSUE, KINDS, Grouping, grouping_of

DAY_SECONDS = 86_400
GROUP = ["level", "scope", "local_area", "issue_type"]

WIDE: dict[str, tuple[str, tuple[str, ...]]] = {
    "citywide": ("metrics_citywide", ()),
    "neighbourhood": ("metrics_by_neighbourhood", ("local_area",)),
    "issue": ("metrics_by_issue", ("issue_type",)),
    "hyper_local": ("metrics_hyper_local", ("local_area", "issue_type")),
    "unlocated": ("metrics_unlocated", ("issue_type",)),
}
"""The wide table of each level, and the columns that name its groups; that of the unlocated is by issue type."""

METRICS = {"avg_ttr": "n_ttr", "avg_ttu": "n_ttu", "volume": "volume", "open_requests": "volume"}
"""The four metrics, and the column that counts the requests behind each."""


def headline_metrics(facts: Facts) -> dict[str, pd.DataFrame]:
    """The wide tables and `metric_aggregates` by name. Groups without a request have no row; the city always has."""
    groupings = [grouping_of(facts, kind) for kind in KINDS if kind[0] in WIDE]
    unlocated = replace(grouping_of(facts, EACH_ISSUE).where(~facts.located), level="unlocated", scope="unlocated")
    counted = pd.concat([_counted(grouping) for grouping in (*groupings, unlocated)], ignore_index=True)
    counted = counted[(counted["volume"] > 0) | counted[["local_area", "issue_type"]].isna().all(axis=1)]
    wide = {
        table: counted.loc[counted["level"] == level]
        .dropna(subset=list(keys))
        .filter(schema.metadata.tables[table].columns.keys())
        for level, (table, keys) in WIDE.items()
    }
    long = [
        counted[GROUP].assign(metric=metric, value=counted[metric].astype("float64"), n=counted[n])
        for metric, n in METRICS.items()
    ]
    return wide | {"metric_aggregates": pd.concat(long, ignore_index=True)}


def _counted(grouping: Grouping) -> pd.DataFrame:
    """The counts, sums and averages of each group."""
    facts = grouping.facts
    conditions = {
        "open_requests": facts.is_open,
        "n_ttr": facts.has_duration,
        "n_ttu": facts.changed > 0,
        "closed": facts.is_closed,
        "status_unknown": facts.status == Status.OTHER,
        "n_negative": facts.negative,
        "n_closed_without_date": facts.is_closed & (facts.closed == NONE),
        "n_never_updated": facts.changed == Unchanged.NEVER,
        "n_update_negative": facts.changed == Unchanged.BEFORE_OPENING,
        "n_update_missing": facts.changed == Unchanged.UNKNOWN,
        "n_static_open": facts.is_open & facts.static,
    }
    counts = {"volume": grouping.volume} | {name: grouping.count(condition) for name, condition in conditions.items()}
    for name, values in (
        ("sum_days_to_close", np.where(facts.has_duration, facts.closed - facts.opened, 0)),
        ("sum_seconds_to_update", np.maximum(facts.changed, 0)),
    ):
        sums = np.bincount(grouping.code, values[grouping.rows], len(grouping))
        counts[name] = sums.astype(np.int64)  # whole numbers below 2**53 are exact
    return grouping.table(
        np.arange(len(grouping)),
        **counts,
        avg_ttr=share(counts["sum_days_to_close"], counts["n_ttr"]),
        avg_ttu=share(counts["sum_seconds_to_update"], counts["n_ttu"]) / DAY_SECONDS,
    )
