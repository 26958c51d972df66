"""The four headline metrics: a wide table for each level, and the long table of all of them.

Counts and sums are whole numbers, which add up exactly over any grouping; they are divided last.
"""

import numpy as np
import pandas as pd

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.facts import NONE, Facts, Status, Unchanged
from vanc311_pipeline.metrics.groups import SCOPES
from vanc311_pipeline.schema import COUNTS

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
    cells = _cells(facts)
    rows = {
        level: pd.concat([_summed(cells, level, scope, keys) for scope in SCOPES[level]], ignore_index=True)
        for level, (_, keys) in WIDE.items()
    }
    long = [
        frame[GROUP].assign(metric=metric, value=frame[metric].astype("float64"), n=frame[n])
        for frame in (*rows.values(), _summed(cells, "unlocated", "unlocated", ()))
        for metric, n in METRICS.items()
    ]
    columns = {table: schema.metadata.tables[table].columns.keys() for table, _ in WIDE.values()}
    wide = {table: rows[level].filter(columns[table]) for level, (table, _) in WIDE.items()}
    return wide | {"metric_aggregates": pd.concat(long, ignore_index=True)}


def _cells(facts: Facts) -> pd.DataFrame:
    """The counts of each local area (or None) and issue type that has a request."""
    areas, issues = np.array([None, *facts.areas], dtype=object), np.array(facts.issues, dtype=object)
    cell = (facts.area + 1).astype(np.int64) * len(issues) + facts.issue
    size = len(areas) * len(issues)
    conditions = {
        "volume": np.ones(len(facts), dtype=bool),
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
    counts = {name: np.bincount(cell[inside], minlength=size) for name, inside in conditions.items()}
    for name, values in (
        ("sum_days_to_close", np.where(facts.has_duration, facts.closed - facts.opened, 0)),
        ("sum_seconds_to_update", np.maximum(facts.changed, 0)),
    ):
        counts[name] = np.bincount(cell, values, size).astype(np.int64)  # whole numbers below 2**53 are exact
    present = np.flatnonzero(counts["volume"])
    area, issue = np.divmod(present, len(issues))
    names = {"local_area": areas[area], "issue_type": issues[issue]}
    return pd.DataFrame({**names, **{name: counts[name][present] for name in COUNTS}})


def _summed(cells: pd.DataFrame, level: str, scope: str, keys: tuple[str, ...]) -> pd.DataFrame:
    """The counts and averages of each group of a level and scope."""
    located = cells["local_area"].notna()
    inside = cells if scope == "all" else cells[located if scope == "located" else ~located]
    sums = inside.groupby(list(keys))[COUNTS].sum().reset_index() if keys else inside[COUNTS].sum().to_frame().T
    return pd.DataFrame({"level": level, "scope": scope, "local_area": None, "issue_type": None}, sums.index).assign(
        **sums,
        avg_ttr=_mean(sums["sum_days_to_close"], sums["n_ttr"]),
        avg_ttu=_mean(sums["sum_seconds_to_update"], sums["n_ttu"]) / DAY_SECONDS,
    )


def _mean(total: pd.Series, n: pd.Series) -> pd.Series:
    return total / n.where(n > 0)
