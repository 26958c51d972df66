"""The laws of addition (docs/methods.md, 1 to 3): which groups add up to which, and how a table is held to that.

Everything is compared in whole numbers. What does not belong here: which tables there are (the audits beside this one).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import add

import sqlalchemy as sa

from vanc311_pipeline.metrics.groups import EACH_AREA, EACH_DEPARTMENT, EACH_ISSUE, KINDS, SCOPES, WHOLE_CITY, Kind
from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.rows import fetch

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

Sums = Mapping[tuple[str | None, ...], tuple[int, ...]]
"""Counts for each value of some keys."""


def add_up(connection: sa.Connection, table: Additive) -> list[str]:
    """Groups add up to what they are parts of, for each value of the other keys."""
    sums = {
        key: _sums(connection, table.rows or table.name, [*([key] if key else []), *table.keys], table.counts)
        for key in {law.key for law in table.laws}
    }
    return [
        problem
        for law in table.laws
        for problem in _differing(
            f"{table.name}: {law.words}: fails",
            table.counts,
            sums[law.key][law.whole],
            _together(sums[law.key][part] for part in law.parts),
        )
    ]


def agree(connection: sa.Connection, table: Additive, counts: Mapping[str, str], where: str = "true") -> list[str]:
    """The sums of a table's groups are those of the headline metrics.

    Args:
        counts: a count of the table, and what it is among the headline metrics.
    """
    # Statistics give the unlocated as one group.
    keys = ["local_area", "CASE WHEN level = 'unlocated' THEN NULL ELSE issue_type END"]
    stored = _sums(connection, f"{table.name} WHERE {where}", keys, counts)
    headline = _sums(connection, WIDE_ROWS, keys, counts.values())
    return [
        problem
        for level, scope in table.kinds
        if level in WIDE
        for problem in _differing(
            f"{table.name}: {level} ({scope}) differs from {WIDE[level][0]}",
            tuple(counts),
            stored[level, scope],
            headline[level, scope],
        )
    ]


def _sums(connection: sa.Connection, rows: str, keys: Sequence[str], counts: Iterable[str]) -> Mapping[Kind, Sums]:
    """The counts of each level and scope, for each value of some keys."""
    size = 2 + len(keys)
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in counts)
    places = ", ".join(str(place) for place in range(1, size + 1))
    query = f"SELECT {', '.join(('level', 'scope', *keys))}, {sums} FROM {rows} GROUP BY {places}"
    grouped: dict[Kind, dict[tuple[str | None, ...], tuple[int, ...]]] = defaultdict(dict)
    for row in fetch(connection, query):
        grouped[row[:2]][row[2:size]] = row[size:]
    return grouped


def _together(parts: Iterable[Sums]) -> Sums:
    total: dict[tuple[str | None, ...], tuple[int, ...]] = {}
    for part in parts:
        for key, counts in part.items():
            total[key] = tuple(map(add, total[key], counts)) if key in total else counts
    return total


def _differing(what: str, names: Sequence[str], left: Sums, right: Sums) -> list[str]:
    """A problem if the counts differ; what is missing on one side counts 0."""
    nothing = (0,) * len(names)
    wrong = [key for key in left.keys() | right.keys() if left.get(key, nothing) != right.get(key, nothing)]
    if not wrong:
        return []
    key = min(wrong, key=repr)
    counts = zip(names, left.get(key, nothing), right.get(key, nothing), strict=True)
    differences = ", ".join(f"{name} {one:,} ≠ {other:,}" for name, one, other in counts if one != other)
    return [f"{what} for {len(wrong):,}, such as {key!r}: {differences}"]
