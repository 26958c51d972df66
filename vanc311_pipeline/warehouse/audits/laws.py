"""The laws of addition (docs/methods.md, 1 to 3): which groups add up to which, and how a table is held to that.

Everything is compared in whole numbers. What does not belong here: which tables there are (the audits beside this one).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """The rows of some levels and scopes."""
    tests = [f"level = '{level}' AND scope = '{scope}'" for level, scope in kinds]
    return f"{rows} WHERE ({' OR '.join(tests)})"


def _differing(
    connection: sa.Connection, what: str, keys: Mapping[str, str], counts: Mapping[str, str], left: str, right: str
) -> list[str]:
    """A problem if the sums of the counts differ for a value of the keys; what is missing on one side counts 0.

    Args:
        counts: a column on the left, and what it is on the right.
    """
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
