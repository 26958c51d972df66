"""Audits of the headline metrics: every number computed again another way, and the laws of addition (docs/methods.md, 1 to 3), by which
groups add up to others in whole numbers, here and in the statistics.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add

import sqlalchemy as sa

from vanc311_pipeline.metrics.groups import EACH_AREA, EACH_DEPARTMENT, EACH_ISSUE, KINDS, SCOPES, WHOLE_CITY, Kind
from vanc311_pipeline.metrics.headline import DAY_SECONDS, METRICS, WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.audits.questions import Finding, audit, broken, dated, sizes
from vanc311_pipeline.warehouse.rows import Row, fetch, months_of

LOCATED, UNLOCATED, HYPER_LOCAL = ("citywide", "located"), ("unlocated", "unlocated"), ("hyper_local", "located")
LOCATED_ISSUES, LOCATED_DEPARTMENTS = ("issue", "located"), ("department", "located")


@dataclass(frozen=True)
class Law:
    """The counts of a level and scope are the sums of others."""

    words: str
    whole: Kind
    parts: tuple[Kind, ...]
    key: str = ""
    """A key of both sides, for each value of which it holds."""


LAWS = (
    Law("1: city.all = Σ neighbourhoods + unlocated", WHOLE_CITY, (EACH_AREA, UNLOCATED)),
    Law("1: city.located = Σ neighbourhoods", LOCATED, (EACH_AREA,)),
    Law("2: city.all = Σ issues.all", WHOLE_CITY, (EACH_ISSUE,)),
    Law("2: city.located = Σ issues.located", LOCATED, (LOCATED_ISSUES,)),
    Law("2: city.all = Σ departments.all", WHOLE_CITY, (EACH_DEPARTMENT,)),
    Law("2: city.located = Σ departments.located", LOCATED, (LOCATED_DEPARTMENTS,)),
    Law("3: neighbourhood = Σ of its issues", EACH_AREA, (HYPER_LOCAL,), "local_area"),
    Law("3: issue.located = Σ of its areas", LOCATED_ISSUES, (HYPER_LOCAL,), "issue_type"),
)
UNLOCATED_BY_ISSUE = Law(
    "3: issue.all = issue.located + unlocated", EACH_ISSUE, (LOCATED_ISSUES, UNLOCATED), "issue_type"
)
"""Holds where the unlocated are given by issue type."""


def _wide_rows() -> str:
    """The rows of all wide tables as one query: level, scope, local_area, issue_type, the counts and the averages."""
    selects = []
    for level, (table, keys) in WIDE.items():
        scopes = SCOPES[level]
        scope = "scope" if len(scopes) > 1 else f"'{scopes[0]}' AS scope"
        names = [key if key in keys else f"NULL AS {key}" for key in ("local_area", "issue_type")]
        columns = [f"'{level}' AS level", scope, *names, *COUNTS, "avg_ttr", "avg_ttu", "as_of"]
        selects.append(f"SELECT {', '.join(columns)} FROM {table}")
    return f"({' UNION ALL '.join(selects)}) AS wide"


WIDE_ROWS = _wide_rows()


@dataclass(frozen=True)
class Additive:
    """A table whose counts add up over its groups, for each value of its other keys."""

    name: str
    counts: tuple[str, ...]
    keys: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = KINDS
    """The levels and scopes that it has."""
    rows: str = ""
    """What follows FROM, if it is no table."""
    headline: Mapping[str, str] = field(default_factory=dict)
    """A count that its groups have in common with the headline metrics, and what it is there."""
    once: str = "true"
    """The rows in which a request is counted once."""

    @property
    def laws(self) -> list[Law]:
        """Those about levels that it has."""
        laws = [law for law in LAWS if {law.whole, *law.parts} <= set(self.kinds)]
        return [*laws, UNLOCATED_BY_ISSUE] if self is HEADLINE else laws


HEADLINE = Additive(
    "headline metrics",
    tuple(COUNTS),
    kinds=tuple((level, scope) for level in WIDE for scope in SCOPES[level]),
    rows=WIDE_ROWS,
)


def add_up(connection: sa.Connection, *tables: Additive) -> list[str]:
    """Groups add up to what they are parts of, for each value of the other keys, and to the headline metrics."""
    problems = []
    for table in tables:
        rows, counts = table.rows or table.name, {name: name for name in table.counts}
        for law in table.laws:
            keys = {key: key for key in (law.key, *table.keys, "as_of") if key}
            what = f"{table.name}: {law.words}: fails"
            problems += _differing(connection, what, keys, counts, _of(rows, law.whole), _of(rows, *law.parts))
        # Statistics give the unlocated as one group.
        issue_type = "CASE WHEN level = 'unlocated' THEN NULL ELSE issue_type END"
        keys = {"local_area": "local_area", "issue_type": issue_type}
        for level, scope in table.kinds if table.headline else ():
            if level in WIDE:
                what = f"{table.name}: {level} ({scope}) differs from {WIDE[level][0]}"
                sides = f"{_of(table.name, (level, scope))} AND {table.once}", _of(WIDE_ROWS, (level, scope))
                problems += _differing(connection, what, keys, table.headline, *sides)
    return problems


def _of(rows: str, *kinds: Kind) -> str:
    tests = [f"level = '{level}' AND scope = '{scope}'" for level, scope in kinds]
    return f"{rows} WHERE ({' OR '.join(tests)})"


def _differing(
    connection: sa.Connection, what: str, keys: Mapping[str, str], counts: Mapping[str, str], left: str, right: str
) -> list[str]:
    """A problem if the sums of the counts (left: right) differ for a value of the keys; what is missing on one side counts 0."""
    named = [f"{column} AS {key}" for key, column in keys.items()]
    negative = [f"-({column})" for column in counts.values()]
    sums = [f"coalesce(sum({name}), 0)" for name in counts]
    query = f"""
        SELECT {", ".join([*keys, *sums])} FROM (
            SELECT {", ".join([*named, *counts])} FROM {left} UNION ALL SELECT {", ".join([*named, *negative])} FROM {right}
        ) AS both_sides GROUP BY {", ".join(keys)} HAVING {" OR ".join(f"{each} <> 0" for each in sums)}
    """
    differing = sorted(fetch(connection, query), key=repr)
    if not differing:
        return []
    key, differences = differing[0][: len(keys)], zip(counts, differing[0][len(keys) :], strict=True)
    by = ", ".join(f"{name} {difference:+,}" for name, difference in differences if difference)
    return [f"{what} for {len(differing):,}, such as {key!r}: {by}"]


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
