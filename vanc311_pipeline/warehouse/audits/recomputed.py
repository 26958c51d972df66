"""Audits that compute numbers again another way: the headline metrics month by month, and the curves day by day."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from operator import add

import numpy as np
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metric_definitions import MINIMUM_N
from vanc311_pipeline.metrics.groups import SCOPES
from vanc311_pipeline.metrics.headline import DAY_SECONDS, GROUP
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.settings import STATIC_BEFORE
from vanc311_pipeline.warehouse.audits.laws import WIDE_ROWS
from vanc311_pipeline.warehouse.audits.questions import Finding, audit, dated
from vanc311_pipeline.warehouse.rows import Row, fetch, months_of

TOLERANCE = 1e-9


@audit("metric_aggregates", "recomputed_metrics_agree")
def recomputed(connection: sa.Connection) -> Finding:
    """The metrics, computed again another way from the requests, are the same."""
    expected = _recounted(connection)
    query = f"SELECT {', '.join((*GROUP, *COUNTS))}, avg_ttr, avg_ttu FROM {WIDE_ROWS}"
    stored = {row[:4]: row[4:] for row in fetch(connection, query)}
    other = {group[:2] for group in expected.keys() ^ stored.keys()}
    wrong: dict[Row, list[Row]] = defaultdict(list)
    for group in expected.keys() & stored.keys():
        if expected[group] != stored[group]:
            wrong[group[:2]].append(group[2:])
    problems = [f"{level} ({scope}): its groups are not those of the requests" for level, scope in sorted(other)]
    problems += [
        f"{level} ({scope}): {len(groups):,} groups have other numbers than their requests, such as {groups[0]!r}"
        for (level, scope), groups in wrong.items()
    ]
    return Finding(problems, counts={"groups": len(expected)})


def _recounted(connection: sa.Connection) -> dict[Row, Row]:
    """The measures of each level, scope, local area and issue type. The city is there even without a request."""
    sums = ", ".join(_FROM_ROWS[name] for name in COUNTS)
    select = f"SELECT local_area, issue_type, {sums} FROM dated GROUP BY local_area, issue_type"
    nothing = (0,) * len(COUNTS)
    pairs = defaultdict[Row, Row](lambda: nothing)
    for month in months_of(connection, None):
        for area, issue, *counts in dated(connection, month, select):
            pairs[area, issue] = tuple(map(add, pairs[area, issue], counts))
    groups = {("citywide", scope, None, None): nothing for scope in SCOPES["citywide"]}
    for pair, of_pair in pairs.items():
        for group in _groups_of(*pair):
            groups[group] = tuple(map(add, groups.get(group, nothing), of_pair))
    return {group: (*counts, *_averages(dict(zip(COUNTS, counts, strict=True)))) for group, counts in groups.items()}


def _groups_of(area: str | None, issue: str) -> list[Row]:
    everywhere = [("citywide", "all", None, None), ("issue", "all", None, issue)]
    if area is None:
        return [*everywhere, ("unlocated", "unlocated", None, issue)]
    return [
        *everywhere,
        ("citywide", "located", None, None),
        ("issue", "located", None, issue),
        ("neighbourhood", "located", area, None),
        ("hyper_local", "located", area, issue),
    ]


def _averages(counts: dict[str, int]) -> tuple[float | None, float | None]:
    n_ttr, n_ttu = counts["n_ttr"], counts["n_ttu"]
    return (
        counts["sum_days_to_close"] / n_ttr if n_ttr else None,
        counts["sum_seconds_to_update"] / n_ttu / DAY_SECONDS if n_ttu else None,
    )


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


@audit("time_to_close_curves", "curves_recomputed_agree")
def curves_recomputed(connection: sa.Connection) -> Finding:
    """The curves of the city and its areas, computed again day by day from the requests, are the same."""
    as_of = connection.scalar(sa.select(sa.func.max(schema.metrics_citywide.c.as_of))) or ""
    first = max(date.fromisoformat(as_of) - timedelta(days=364), STATIC_BEFORE)
    ends, curves = defaultdict[Row, Ends](Counter), defaultdict[Row, dict[int, Row]](dict)
    for area, days, event, requests in fetch(connection, _BY_DAY, as_of=as_of, first=str(first)):
        located = [] if area is None else [("citywide", "located", None), ("neighbourhood", "located", area)]
        for group in (("citywide", "all", None), *located):
            ends[group][days, event] += requests
    for level, scope, area, day, *values in fetch(connection, _CURVES):
        curves[level, scope, area][day] = tuple(values)
    problems = [
        f"{level} {area or scope}: the curve differs on {days}"
        for level, scope, area in sorted(ends.keys() | curves.keys(), key=repr)
        if (days := _differing(ends[level, scope, area], curves[level, scope, area]))
    ]
    return Finding(problems, counts={"curves": len(curves)})


Ends = Counter[tuple[int, int]]
"""How many requests were followed for so many days, and were closed then (1) or are still open (0)."""
_BY_DAY = """
    SELECT local_area,
           CAST(julianday(CASE WHEN status = 'Close' AND closed_on <= :as_of THEN closed_on ELSE :as_of END)
                - julianday(opened_on) AS INTEGER) AS days,
           CASE WHEN status = 'Close' AND closed_on <= :as_of THEN 1 ELSE 0 END AS event, count(*) AS requests
    FROM service_requests
    WHERE opened_on BETWEEN :first AND :as_of
          AND NOT coalesce(status = 'Close' AND days_to_close IS NULL, false)
    GROUP BY 1, 2, 3
"""
_CURVES = """
    SELECT level, scope, local_area, day, at_risk, closed_by, open_share FROM time_to_close_curves
    WHERE period = 'last_12_months' AND level IN ('citywide', 'neighbourhood')
"""


def _differing(ends: Ends, curve: Mapping[int, Row]) -> list[int] | str:
    """On which days a curve is not the textbook's product, one day after the other."""
    at_risk, closed, open_share = ends.total(), 0, 1.0
    if bool(curve) != (at_risk >= MINIMUM_N):
        return f"every day: it is {'of too few requests' if curve else 'missing'}"
    expected: dict[int, Row] = {}
    for day in range(max(days for days, _ in ends) + 1 if curve else 0):
        open_share *= 1 - ends[day, 1] / at_risk
        closed += ends[day, 1]
        expected[day] = (at_risk, closed, open_share)
        at_risk -= ends[day, 0] + ends[day, 1]
    return [day for day in curve if day not in expected or not np.allclose(curve[day], expected[day], 0, TOLERANCE)]
