"""Audits of the laws between the tables (docs/methods.md, 1 to 8), by which groups add up to others and statistics agree with one another
and with the requests, and of what is odd in the requests. They are data: each stands in `laws.toml`, and what its entries mean here.

Everything is compared in whole numbers, but for the shares.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.metrics.groups import KEYS, SCOPES
from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.audits.questions import Audit, Finding, Months, broken, newest_release, noted, sizes
from vanc311_pipeline.warehouse.rows import fetch

HEADLINE = "headline metrics"
GROUP = " || '|' || ".join(f"coalesce({key}, '')" for key in (*KEYS, "period"))


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
class Addition:
    """The counts of a level and scope are the sums of others."""

    law: str
    whole: str
    parts: Sequence[str]
    key: str = ""
    """A key of both sides, for each value of which it holds."""
    of: str = ""
    """The one table that it holds for, if not for all that have these levels."""


@dataclass(frozen=True)
class Additive:
    """A table whose counts add up over its groups, for each value of its other keys."""

    name: str
    counts: str = " ".join(COUNTS)
    keys: str = ""
    levels: str = " ".join(SCOPES)
    headline: Mapping[str, str] = field(default_factory=dict)
    """A count that its groups have in common with the headline metrics, and what it is there."""
    once: str = "true"
    """The rows in which a request is counted once."""

    @property
    def rows(self) -> str:
        return WIDE_ROWS if self.name == HEADLINE else self.name

    @property
    def kinds(self) -> list[str]:
        return [f"{level} {scope}" for level in self.levels.split() for scope in SCOPES[level]]


_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("laws.toml").read_text(encoding="utf-8"))
ADDITIONS = [Addition(**entry) for entry in _FILE["addition"]]
ADDITIVE = {name: Additive(name, **entry) for name, entry in _FILE["additive"].items()}


def _add_up(connection: sa.Connection, table: Additive) -> list[str]:
    """Groups add up to what they are parts of, for each value of the other keys, and to the headline metrics."""
    problems, counts = [], {name: name for name in table.counts.split()}
    for addition in ADDITIONS:
        if {addition.whole, *addition.parts} <= {*table.kinds} and addition.of in ("", table.name):
            keys = {key: key for key in (*addition.key.split(), *table.keys.split(), "as_of")}
            sides = _of(table.rows, addition.whole), _of(table.rows, *addition.parts)
            problems += _differing(connection, f"{table.name}: {addition.law}: fails", keys, counts, *sides)
    # Statistics give the unlocated as one group.
    issue_type = "CASE WHEN level = 'unlocated' THEN NULL ELSE issue_type END"
    keys = {"local_area": "local_area", "issue_type": issue_type}
    for kind in table.kinds if table.headline else ():
        level, scope = kind.split()
        if level in WIDE:
            what = f"{table.name}: {level} ({scope}) differs from {WIDE[level][0]}"
            sides = f"{_of(table.name, kind)} AND {table.once}", _of(WIDE_ROWS, kind)
            problems += _differing(connection, what, keys, table.headline, *sides)
    return problems


def _of(rows: str, *kinds: str) -> str:
    tests = ["level = '{}' AND scope = '{}'".format(*kind.split()) for kind in kinds]
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


def _quotient(table: str, value: str, part: str, whole: str, state: str) -> tuple[str, str]:
    """That a value is part / whole and inside its limits where the state is ok, and withheld elsewhere; and what breaks it."""
    inside = f"{value} BETWEEN {value}_low AND {value}_high"
    allowed = f"1e-9 * CASE WHEN {value} > 1 THEN {value} ELSE 1 END"
    right = f"abs({value} - 1.0 * {part} / nullif({whole}, 0)) <= {allowed} AND {inside}"
    wrong = f"NOT coalesce(CASE WHEN {state} = 'ok' THEN {right} ELSE {value} IS NULL END, false)"
    return f"{table}: {value} = {part} / {whole}, given only if ok", f"SELECT * FROM {table} WHERE {wrong}"


def _audit(
    name: str,
    asset: str,
    claim: str,
    laws: Mapping[str, str] | None = None,
    adds_up: Sequence[str] = (),
    quotients: Sequence[Sequence[str]] = (),
    odd: Mapping[str, str] | None = None,
    looks_at: Sequence[str] = (),
    warns: bool = False,
) -> Audit:
    """The audit that an entry of the file is."""
    queries = {
        words: query.replace("{group}", GROUP).replace("{wide}", WIDE_ROWS)
        for words, query in [*(laws or {}).items(), *(_quotient(*each) for each in quotients)]
    }

    def question(connection: sa.Connection, months: Months = None) -> Finding:
        if odd:
            return noted(connection, months, odd, **newest_release(connection))
        lines = [line for table in adds_up for line in _add_up(connection, ADDITIVE[table])]
        lines += broken(connection, queries)
        counts = sizes(connection, *(looks_at or [asset]))
        return Finding(notes=lines, counts=counts) if warns else Finding(lines, counts=counts)

    question.__doc__ = claim
    return Audit(asset, name, not (warns or odd), False, question)


AUDITS = [_audit(name, **entry) for name, entry in _FILE["audits"].items()]
