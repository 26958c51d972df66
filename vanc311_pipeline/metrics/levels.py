"""Levels: the registry of the five metric tables and of the long table, and how each is summed from the cells.

What belongs here: which rows a level covers, its key, its scopes, and the four metrics with their formulas, as SQL
expressions. What does not: transactions (`warehouse`), and the laws that hold between levels (`metrics.laws`).
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.schema import COUNTS, metric_aggregates, metric_cells

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Level:
    """One way to group requests."""

    name: str
    """What `metric_aggregates.level` says."""
    table: sa.Table
    keys: tuple[str, ...]
    scopes: tuple[str, ...]
    """Which requests it covers: all, located (with a local area) or unlocated."""


CITYWIDE = Level("citywide", schema.metrics_citywide, (), ("all", "located"))
NEIGHBOURHOOD = Level("neighbourhood", schema.metrics_by_neighbourhood, ("local_area",), ("located",))
ISSUE = Level("issue", schema.metrics_by_issue, ("issue_type",), ("all", "located"))
HYPER_LOCAL = Level("hyper_local", schema.metrics_hyper_local, ("local_area", "issue_type"), ("located",))
UNLOCATED = Level("unlocated", schema.metrics_unlocated, ("issue_type",), ("unlocated",))

LEVELS = (CITYWIDE, NEIGHBOURHOOD, ISSUE, HYPER_LOCAL, UNLOCATED)

# The four metrics: the wide tables' column, and the column that counts the requests behind it.
METRICS = {"avg_ttr": "n_ttr", "avg_ttu": "n_ttu", "volume": "volume", "open_requests": "volume"}

_IN_SCOPE = {
    "all": sa.true(),
    "located": metric_cells.c.local_area.is_not(None),
    "unlocated": metric_cells.c.local_area.is_(None),
}


def fill(level: Level, as_of: str) -> list[sa.Insert]:
    """The statements that fill a level's empty table from the cells, one for each scope."""
    return [_fill_scope(level, scope, as_of) for scope in level.scopes]


def _fill_scope(level: Level, scope: str, as_of: str) -> sa.Insert:
    sums = {name: sa.func.coalesce(sa.func.sum(metric_cells.c[name]), 0) for name in COUNTS}
    values: dict[str, sa.ColumnElement[Any]] = {
        **{key: metric_cells.c[key] for key in level.keys},
        **sums,
        "avg_ttr": _mean(sums["sum_days_to_close"], sums["n_ttr"]),
        "avg_ttu": _mean(sums["sum_seconds_to_update"], sums["n_ttu"]) / DAY_SECONDS,
        "scope": sa.literal(scope),
        "as_of": sa.literal(as_of),
    }
    names = [column.name for column in level.table.columns]
    query = sa.select(*(values[name].label(name) for name in names)).where(_IN_SCOPE[scope])
    if level.keys:
        keys = [metric_cells.c[key] for key in level.keys]
        query = query.group_by(*keys).order_by(*keys)
    return level.table.insert().from_select(names, query)


def _mean(total: sa.ColumnElement[int], n: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """total / n as a real number; null if n is 0."""
    return sa.cast(total, schema.REAL) / sa.func.nullif(n, 0)


def fill_aggregates() -> list[sa.Insert]:
    """The statements that fill `metric_aggregates` from the wide tables, the total of the unlocated included."""
    return [
        _long(level.table, level.name, level.keys, level.scopes[0], metric) for level in LEVELS for metric in METRICS
    ] + [_long(_unlocated_total(), UNLOCATED.name, (), "unlocated", metric) for metric in METRICS]


def _long(source: sa.FromClause, level: str, keys: tuple[str, ...], scope: str, metric: str) -> sa.Insert:
    query = sa.select(
        sa.literal(level),
        source.c.scope if "scope" in source.c else sa.literal(scope),
        source.c.local_area if "local_area" in keys else sa.null(),
        source.c.issue_type if "issue_type" in keys else sa.null(),
        sa.literal(metric),
        source.c[metric],
        source.c[METRICS[metric]],
        source.c.as_of,
    ).order_by(*(source.c[key] for key in ("scope", *keys) if key in source.c))
    return metric_aggregates.insert().from_select([column.name for column in metric_aggregates.columns], query)


def _unlocated_total() -> sa.FromClause:
    """All requests without an area, as one row; averages from the sums, for averages don't add up."""
    columns = schema.metrics_unlocated.c
    n_ttr, n_ttu = sa.func.sum(columns.n_ttr), sa.func.sum(columns.n_ttu)
    city = schema.metrics_citywide
    as_of = sa.select(city.c.as_of).where(city.c.scope == "all").scalar_subquery()
    return sa.select(
        sa.func.coalesce(sa.func.sum(columns.volume), 0).label("volume"),
        sa.func.coalesce(sa.func.sum(columns.open_requests), 0).label("open_requests"),
        _mean(sa.func.sum(columns.sum_days_to_close), n_ttr).label("avg_ttr"),
        sa.func.coalesce(n_ttr, 0).label("n_ttr"),
        (_mean(sa.func.sum(columns.sum_seconds_to_update), n_ttu) / DAY_SECONDS).label("avg_ttu"),
        sa.func.coalesce(n_ttu, 0).label("n_ttu"),
        as_of.label("as_of"),
    ).subquery()
