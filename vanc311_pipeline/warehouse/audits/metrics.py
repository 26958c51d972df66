"""Audits of the headline metrics: the conservation laws, and every number computed again another way."""

from collections import Counter, defaultdict
from operator import add

import sqlalchemy as sa

from vanc311_pipeline.metrics.groups import SCOPES
from vanc311_pipeline.metrics.headline import DAY_SECONDS, METRICS, WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.audits.laws import HEADLINE, WIDE_ROWS, add_up
from vanc311_pipeline.warehouse.audits.questions import Finding, audit, broken, dated, sizes
from vanc311_pipeline.warehouse.rows import Row, fetch, months_of

_GROUP = ("level", "scope", "local_area", "issue_type")

# Law 4: every request is in exactly one class of each kind.
CLASSES = (
    "volume = open_requests + closed + status_unknown",
    "closed = n_ttr + n_negative + n_closed_without_date",
    "volume = n_ttu + n_never_updated + n_update_negative + n_update_missing",
)


@audit("metric_aggregates", "levels_add_up")
def conservation(connection: sa.Connection) -> Finding:
    """The conservation laws hold exactly: areas and issues add up to the city."""
    laws = {f"4: {classes}": f"{WIDE_ROWS} WHERE NOT ({classes})" for classes in CLASSES}
    tables = [table for table, _ in WIDE.values()]
    return Finding([*add_up(connection, HEADLINE), *broken(connection, laws)], counts=sizes(connection, *tables))


@audit("metric_aggregates", "recomputed_metrics_agree")
def recomputed(connection: sa.Connection) -> Finding:
    """The metrics, computed again another way from the requests, are the same."""
    expected = _recounted(connection)
    query = f"SELECT {', '.join((*_GROUP, *COUNTS))}, avg_ttr, avg_ttu FROM {WIDE_ROWS}"
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
    groups = {("citywide", scope, None, None): nothing for scope in SCOPES["citywide"]}
    for month in months_of(connection, None):
        for area, issue, *counts in dated(connection, month, select):
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
    names = (*_GROUP, *COUNTS, "avg_ttr", "avg_ttu", "as_of")
    wide = [
        dict(zip(names, row, strict=True)) for row in fetch(connection, f"SELECT {', '.join(names)} FROM {WIDE_ROWS}")
    ]
    # All requests without an area are one more group: its averages are made from the sums, for averages don't add up.
    sums = {name: sum(row[name] for row in wide if row["level"] == "unlocated") for name in COUNTS}
    total = dict(zip(names, ("unlocated", "unlocated", None, None, *sums.values(), *_averages(sums)), strict=False))
    wide.append(total | {"as_of": max(row["as_of"] for row in wide)})
    expected = {
        (*(row[name] for name in _GROUP), metric, row[metric], row[n], row["as_of"])
        for row in wide
        for metric, n in METRICS.items()
    }
    stored = list(fetch(connection, f"SELECT {', '.join(_GROUP)}, metric, value, n, as_of FROM metric_aggregates"))
    lacking = Counter(
        ("the total of the unlocated" if (level, issue) == ("unlocated", None) else level, metric)
        for level, _, _, issue, metric, *_ in expected - set(stored)
    )
    problems = [f"{place}: {values:,} values of {metric} differ" for (place, metric), values in sorted(lacking.items())]
    if extra := len(stored) - len(expected):
        problems.append(f"{extra:+,} rows more than the wide tables give")
    return Finding(problems, counts={"rows": len(stored)})


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
