"""Audits of the headline metrics: the conservation laws, and every number computed again another way."""

from collections import defaultdict
from operator import add

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.groups import SCOPES
from vanc311_pipeline.metrics.headline import DAY_SECONDS, METRICS, WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.audits.laws import HEADLINE, WIDE_ROWS, add_up
from vanc311_pipeline.warehouse.audits.questions import Finding, broken, count, release_of, sizes
from vanc311_pipeline.warehouse.audits.register import audit
from vanc311_pipeline.warehouse.rows import Row, fetch, months_of

_MEASURES = ", ".join((*COUNTS, "avg_ttr", "avg_ttu"))

# Law 4: every request is in exactly one class of each kind.
CLASSES = (
    "volume = open_requests + closed + status_unknown",
    "closed = n_ttr + n_negative + n_closed_without_date",
    "volume = n_ttu + n_never_updated + n_update_negative + n_update_missing",
)


@audit("metric_aggregates", "levels_add_up")
def conservation(connection: sa.Connection) -> Finding:
    """The conservation laws hold exactly: areas and issues add up to the city.

    Laws 1 to 4 of docs/methods.md.
    """
    laws = {f"4: {classes}": f"{WIDE_ROWS} WHERE NOT ({classes})" for classes in CLASSES}
    tables = [schema.metadata.tables[table] for table, _ in WIDE.values()]
    return Finding([*add_up(connection, HEADLINE), *broken(connection, laws)], counts=sizes(connection, *tables))


@audit("metric_aggregates", "recomputed_metrics_agree")
def recomputed(connection: sa.Connection) -> Finding:
    """The metrics, computed again another way from the requests, are the same."""
    expected = _recounted(connection)
    query = f"SELECT level, scope, local_area, issue_type, {_MEASURES} FROM {WIDE_ROWS}"
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
    query = f"{_DATED} SELECT local_area, issue_type, {sums} FROM dated GROUP BY local_area, issue_type"
    nothing = (0,) * len(COUNTS)
    groups = {("citywide", scope, None, None): nothing for scope in SCOPES["citywide"]}
    for month in months_of(connection, None):
        for area, issue, *counts in fetch(connection, query, **release_of(connection, month)):
            for group in _groups_of(area, issue):
                groups[group] = tuple(map(add, groups.get(group, nothing), counts))
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


@audit("metric_aggregates", "long_table_equals_wide_tables")
def long_equals_wide(connection: sa.Connection) -> Finding:
    """metric_aggregates says what the wide tables say."""
    expected = " UNION ALL ".join(
        f"SELECT level, scope, local_area, issue_type, '{metric}' AS metric, {metric} AS value, {n} AS n, as_of FROM wide"
        for metric, n in METRICS.items()
    )
    stored = ", ".join(schema.metric_aggregates.columns.keys())
    lacking = f"""
        WITH wide AS ({_WITH_TOTAL}), expected AS ({expected})
        SELECT CASE WHEN level = 'unlocated' AND issue_type IS NULL THEN 'the total of the unlocated' ELSE level END,
               metric, count(*)
        FROM (SELECT * FROM expected EXCEPT SELECT {stored} FROM metric_aggregates) AS lacking GROUP BY 1, 2 ORDER BY 1, 2
    """
    rows = count(connection, "SELECT count(*) FROM metric_aggregates")
    extra = rows - len(METRICS) * count(connection, f"SELECT count(*) FROM ({_WITH_TOTAL}) AS wide")
    problems = [
        f"{place}: {values:,} values of {metric} differ" for place, metric, values in fetch(connection, lacking)
    ]
    return Finding(
        problems + ([f"{extra:+,} rows more than the wide tables give"] if extra else []), counts={"rows": rows}
    )


# The wide tables' rows, and all requests without an area as one more group: its averages are made from the sums,
# for averages don't add up.
_WITH_TOTAL = f"""
    SELECT level, scope, local_area, issue_type, volume, open_requests, avg_ttr, n_ttr, avg_ttu, n_ttu, as_of
    FROM {WIDE_ROWS}
    UNION ALL
    SELECT 'unlocated', 'unlocated', NULL, NULL, coalesce(sum(volume), 0), coalesce(sum(open_requests), 0),
           CAST(sum(sum_days_to_close) AS DOUBLE PRECISION) / nullif(sum(n_ttr), 0), coalesce(sum(n_ttr), 0),
           CAST(sum(sum_seconds_to_update) AS DOUBLE PRECISION) / nullif(sum(n_ttu), 0) / {DAY_SECONDS},
           coalesce(sum(n_ttu), 0), (SELECT max(as_of) FROM metrics_citywide)
    FROM metrics_unlocated
"""


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
