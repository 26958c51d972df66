"""Audits of the metric tables: the conservation laws, and every number computed again another way."""

from collections import Counter
from collections.abc import Iterator
from math import isclose
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.laws import broken_laws
from vanc311_pipeline.metrics.levels import LEVELS, METRICS, UNLOCATED, Level
from vanc311_pipeline.schema import COUNTS, metric_cells
from vanc311_pipeline.warehouse.audits.questions import (
    DAY_SECONDS,
    ROUNDING,
    Finding,
    Months,
    count,
    equal_or_null,
    months_of,
    release_of,
)
from vanc311_pipeline.warehouse.rows import fetch


def conservation(connection: sa.Connection) -> Finding:
    """The levels add up to each other, exactly (docs/methods.md, laws 1 to 4)."""
    tables = {level.name: pd.read_sql(sa.select(level.table), connection) for level in LEVELS}
    return Finding(broken_laws(tables), counts={level: len(frame) for level, frame in tables.items()})


def recomputed(connection: sa.Connection, months: Months) -> Finding:
    """The metrics, computed again another way, are the same.

    The cells of the months are counted anew in SQL from the raw dates of the requests; the wide tables are summed anew
    in pandas from all cells.
    """
    problems = []
    wanted = months_of(connection, months)
    for month in wanted:
        problems += _different_cells(month, _cells_from_requests(connection, month), _stored_cells(connection, month))
    if months is None:
        volume = count(
            connection,
            "SELECT (SELECT count(*) FROM service_requests) - (SELECT coalesce(sum(volume), 0) FROM metric_cells)",
        )
        problems += [f"the cells count {-volume:+,} requests other than the table holds"] if volume else []
    cells = pd.read_sql(sa.select(metric_cells), connection)
    for level in LEVELS:
        stored = pd.read_sql(sa.select(level.table), connection)
        for scope in level.scopes:
            mine = stored[stored["scope"] == scope] if "scope" in stored else stored
            problems += _different_level(f"{level.name} ({scope})", list(level.keys), _in_scope(cells, scope), mine)
    return Finding(problems, counts={"months": len(wanted), "cells": len(cells)})


def long_equals_wide(connection: sa.Connection) -> Finding:
    """`metric_aggregates` says what the wide tables say, number by number, and nothing else."""
    rows = list(fetch(connection, sa.select(schema.metric_aggregates)))
    stored = {row[:-3]: row[-3:] for row in rows}
    wanted = {key: numbers for level in LEVELS for key, numbers in _lines(connection, level)}
    wanted |= _total_of_the_unlocated(connection)
    differing = Counter(
        (_TOTAL if key in _TOTALS else key[0], key[-1])
        for key, numbers in wanted.items()
        if not _same(numbers, stored.get(key))
    )
    problems = [f"{place}: {values:,} values of {metric} differ" for (place, metric), values in differing.items()]
    extra = len(rows) - len(wanted)
    return Finding(
        problems + ([f"{extra:+,} rows more than the wide tables give"] if extra else []), counts={"rows": len(rows)}
    )


_Line = tuple[tuple[str | None, ...], tuple[Any, ...]]
"""Level, scope, area, issue type and metric; value, n and as_of."""
_TOTAL = "the total of the unlocated"
_TOTALS = {(UNLOCATED.name, *UNLOCATED.scopes, None, None, metric): n for metric, n in METRICS.items()}


def _lines(connection: sa.Connection, level: Level) -> Iterator[_Line]:
    """What the long table must say of a level."""
    for row in connection.execute(sa.select(level.table)).mappings():
        scope = row.get("scope", level.scopes[0])
        area, issue = (row[key] if key in level.keys else None for key in ("local_area", "issue_type"))
        for metric, n in METRICS.items():
            yield (level.name, scope, area, issue, metric), (row[metric], row[n], row["as_of"])


def _total_of_the_unlocated(connection: sa.Connection) -> dict[tuple[str | None, ...], tuple[Any, ...]]:
    """All requests without an area as one group; its averages from the sums, for averages don't add up."""
    rows = connection.execute(sa.select(*(UNLOCATED.table.c[name] for name in COUNTS))).all()
    sums = {name: sum(row[place] for row in rows) for place, name in enumerate(COUNTS)}
    as_of = connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of)))
    values = sums | {
        "avg_ttr": sums["sum_days_to_close"] / sums["n_ttr"] if sums["n_ttr"] else None,
        "avg_ttu": sums["sum_seconds_to_update"] / sums["n_ttu"] / DAY_SECONDS if sums["n_ttu"] else None,
    }
    return {key: (values[str(key[-1])], values[n], as_of) for key, n in _TOTALS.items()}


def _same(wanted: tuple[Any, ...], stored: tuple[Any, ...] | None) -> bool:
    """The same n and day, and the same value, to within a rounding of floating point."""
    if stored is None or wanted[1:] != stored[1:]:
        return False
    left, right = wanted[0], stored[0]
    return left is right is None or (
        None not in (left, right) and isclose(left, right, rel_tol=ROUNDING["rtol"], abs_tol=ROUNDING["atol"])
    )


# Materialized, or both differences would be worked out again for each count. A Julian day holds 40 µs.
_DATED = """
    WITH dated AS MATERIALIZED (
        SELECT local_area, issue_type, status, closed_on, opened_on, modified_at,
               CAST(round((julianday(modified_at) - julianday(opened_at)) * 86400) AS INTEGER) AS seconds,
               CAST(julianday(closed_on) - julianday(opened_on) AS INTEGER) AS days,
               coalesce(closed_on > :day, false) AS not_closed_yet, coalesce(modified_at >= :end, false) AS not_changed_yet
        FROM service_requests WHERE partition_month = :month
    )
"""


_FROM_ROWS = {
    "volume": "count(*)",
    "open_requests": "count(*) FILTER (WHERE status = 'Open')",
    "n_ttr": "count(*) FILTER (WHERE status = 'Close' AND days >= 0 AND NOT not_closed_yet)",
    "n_ttu": "count(*) FILTER (WHERE seconds > 0 AND NOT not_changed_yet)",
    "closed": "count(*) FILTER (WHERE status = 'Close')",
    "status_unknown": "count(*) FILTER (WHERE status IS NULL OR status NOT IN ('Open', 'Close'))",
    "sum_days_to_close": "sum(CASE WHEN status = 'Close' AND days > 0 AND NOT not_closed_yet THEN days ELSE 0 END)",
    "sum_seconds_to_update": "sum(CASE WHEN seconds > 0 AND NOT not_changed_yet THEN seconds ELSE 0 END)",
    "n_negative": "count(*) FILTER (WHERE status = 'Close' AND days < 0)",
    "n_closed_without_date": "count(*) FILTER (WHERE status = 'Close' AND (days IS NULL OR (days >= 0 AND not_closed_yet)))",
    "n_never_updated": "count(*) FILTER (WHERE seconds = 0)",
    "n_update_negative": "count(*) FILTER (WHERE seconds < 0)",
    "n_update_missing": "count(*) FILTER (WHERE seconds IS NULL OR (seconds > 0 AND not_changed_yet))",
    "n_static_open": "count(*) FILTER (WHERE status = 'Open' AND opened_on < '2022-08-17')",
}


def _cells_from_requests(connection: sa.Connection, month: str) -> pd.DataFrame:
    sums = ", ".join(f"{_FROM_ROWS[name]} AS {name}" for name in COUNTS)
    query = sa.text(f"{_DATED} SELECT local_area, issue_type, {sums} FROM dated GROUP BY local_area, issue_type")
    return pd.read_sql(query, connection, params=release_of(connection, month))


def _stored_cells(connection: sa.Connection, month: str) -> pd.DataFrame:
    names = ["local_area", "issue_type", *COUNTS]
    return pd.read_sql(
        sa.select(*(metric_cells.c[name] for name in names)).where(metric_cells.c.partition_month == month), connection
    )


def _different_cells(month: str, ours: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    keys = ["local_area", "issue_type"]
    left, right = (frame.fillna({"local_area": ""}).set_index(keys)[COUNTS].astype("int64") for frame in (ours, stored))
    if not right.index.is_unique:
        return [f"{month}: a cell stands twice"]
    left, right = left.align(right, fill_value=0)
    wrong = left.index[(left != right).any(axis=1)]
    return [f"{month}: {len(wrong):,} cells differ from the requests, such as {wrong[0]!r}"] if len(wrong) else []


def _in_scope(cells: pd.DataFrame, scope: str) -> pd.DataFrame:
    located = cells["local_area"].notna()
    return cells if scope == "all" else cells[located if scope == "located" else ~located]


def _different_level(name: str, keys: list[str], cells: pd.DataFrame, stored: pd.DataFrame) -> list[str]:
    sums: Any = cells.groupby(keys)[COUNTS].sum() if keys else cells[COUNTS].sum().to_frame().T
    mine = stored.set_index(keys) if keys else stored.reset_index(drop=True)
    if not sums.index.sort_values().equals(mine.index.sort_values()):
        return [f"{name}: its groups are not those of the requests"]
    mine = mine.loc[sums.index]
    wrong = (mine[COUNTS] != sums).any(axis=1)
    wrong |= ~equal_or_null(mine["avg_ttr"], sums["sum_days_to_close"] / sums["n_ttr"].where(sums["n_ttr"] > 0))
    wrong |= ~equal_or_null(
        mine["avg_ttu"], sums["sum_seconds_to_update"] / sums["n_ttu"].where(sums["n_ttu"] > 0) / DAY_SECONDS
    )
    return (
        [f"{name}: {wrong.sum():,} groups have other numbers than their requests, such as {wrong.index[wrong][0]!r}"]
        if wrong.any()
        else []
    )
