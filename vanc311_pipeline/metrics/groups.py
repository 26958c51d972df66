"""Groups: whom a statistic is about (city, area, issue type, both, department), and the periods of opening.

What belongs here: which requests form a group, and counting by group. What does not: any statistic.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import NONE, Codes, Facts, Ints, Mask, Texts, day_number, day_texts

KEYS = ["level", "scope", "local_area", "issue_type", "department"]

Kind = tuple[str, str]
"""A level and a scope."""


@dataclass(frozen=True)
class Level:
    """One way to group requests."""

    keys: tuple[str, ...]
    """The columns that name a group."""
    scopes: tuple[str, ...]
    """Which requests it covers: all, located (with a local area) or unlocated."""


LEVELS = {
    "citywide": Level((), ("all", "located")),
    "unlocated": Level((), ("unlocated",)),
    "neighbourhood": Level(("local_area",), ("located",)),
    "issue": Level(("issue_type",), ("all", "located")),
    "department": Level(("department",), ("all", "located")),
    "hyper_local": Level(("local_area", "issue_type"), ("located",)),
}
KINDS: tuple[Kind, ...] = tuple((name, scope) for name, level in LEVELS.items() for scope in level.scopes)
WHOLE_CITY, EACH_AREA, EACH_ISSUE, EACH_DEPARTMENT = KINDS[0], KINDS[3], KINDS[4], KINDS[6]

LAST_12_MONTHS = "last_12_months"
ALL = "all"
YEAR_DAYS = 365


@dataclass(frozen=True)
class Grouping:
    """All groups of one level and scope."""

    level: str
    scope: str
    local_area: Texts
    issue_type: Texts
    department: Texts
    """Of each group; None where the level has no such key."""
    code: Codes
    """The group of each request; -1 if it is in none."""

    def __len__(self) -> int:
        return len(self.local_area)

    @property
    def kind(self) -> Kind:
        return self.level, self.scope

    def table(self, groups: Ints, **columns: object) -> pd.DataFrame:
        """A table with a row for each of the given groups: their keys and the given columns."""
        keys = {name: getattr(self, name)[groups] for name in KEYS[2:]}
        return pd.DataFrame({"level": self.level, "scope": self.scope, **keys, **columns}, index=range(len(groups)))

    def count(self, where: Mask) -> Ints:
        """How many requests of each group meet a condition."""
        code = self.code[where]
        return np.bincount(code[code != NONE], minlength=len(self))

    def count_by(self, where: Mask, column: Codes | Ints, size: int) -> Ints:
        """How many requests of each group (row) have each value of a column, from 0 to size - 1."""
        inside = where & (self.code != NONE)
        return tally(self.code[inside], column[inside], len(self), size)


def tally(code: Codes | Ints, column: Codes | Ints, groups: int, size: int) -> Ints:
    """How many requests of each group (row) have each value of a column, from 0 to size - 1.

    Args:
        code: the group of each request.
    """
    cell = code.astype(np.int64) * size + column
    return np.bincount(cell, minlength=groups * size).reshape(groups, size)


def groupings(facts: Facts) -> list[Grouping]:
    """Every grouping, in the order of `KINDS`. All areas are groups; of the rest, what has a request."""
    return [_grouping(facts, level, scope) for level, scope in KINDS]


def chosen(all_groupings: Sequence[Grouping], kinds: Collection[Kind]) -> list[Grouping]:
    return [grouping for grouping in all_groupings if grouping.kind in kinds]


def _grouping(facts: Facts, level: str, scope: str) -> Grouping:
    inside = {"all": np.ones(len(facts), dtype=bool), "located": facts.located, "unlocated": ~facts.located}[scope]
    areas, issues = np.array(facts.areas, dtype=object), np.array(facts.issues, dtype=object)
    if level in ("citywide", "unlocated"):
        return _named(level, scope, np.where(inside, 0, NONE))
    if level == "neighbourhood":
        return _named(level, scope, facts.area, local_area=areas)
    if level == "hyper_local":
        cells, code = _present(facts.area.astype(np.int64) * max(len(issues), 1) + facts.issue, inside)
        return _named(level, scope, code, areas[cells // len(issues)], issues[cells % len(issues)])
    names, column = (facts.issues, facts.issue) if level == "issue" else (facts.departments, facts.department)
    present, code = _present(column.astype(np.int64), inside)
    name = np.array(names, dtype=object)[present]
    return _named(level, scope, code, **{"issue_type" if level == "issue" else "department": name})


def _present(column: Ints, inside: Mask) -> tuple[Ints, Codes]:
    """The values that occur inside, and for each request the place of its value among them."""
    values = np.flatnonzero(np.bincount(column[inside]))
    place = np.zeros(int(values[-1]) + 1 if len(values) else 1, dtype=np.int32)
    place[values] = np.arange(len(values))
    code = np.full(len(column), NONE, dtype=np.int32)
    code[inside] = place[column[inside]]
    return values, code


def _named(
    level: str,
    scope: str,
    code: np.ndarray,
    local_area: Texts | None = None,
    issue_type: Texts | None = None,
    department: Texts | None = None,
) -> Grouping:
    keys = (local_area, issue_type, department)
    size = max((len(names) for names in keys if names is not None), default=1)
    area, issue, named = (np.full(size, None, dtype=object) if names is None else names for names in keys)
    return Grouping(level, scope, area, issue, named, code.astype(np.int32))


@dataclass(frozen=True)
class Period:
    """Days of opening, first and last included."""

    name: str
    first: int
    last: int

    def holds(self, facts: Facts) -> Mask:
        return (facts.opened >= self.first) & (facts.opened <= self.last)


def periods(facts: Facts) -> list[Period]:
    """All, the 365 days up to as_of, and each year in which a request was opened; clipped to what the record covers."""
    if not len(facts):
        return []
    first, last = int(facts.opened.min()), int(facts.opened.max())
    years = np.unique(facts.opened.astype("datetime64[D]").astype("datetime64[Y]")).astype(str)
    named = [
        Period(ALL, first, last),
        Period(LAST_12_MONTHS, facts.as_of - YEAR_DAYS + 1, facts.as_of),
        *(Period(str(year), day_number(f"{year}-01-01"), day_number(f"{year}-12-31")) for year in years),
    ]
    clipped = [Period(period.name, max(period.first, first), min(period.last, last)) for period in named]
    return [period for period in clipped if period.first <= period.last]


def period_table(facts: Facts) -> pd.DataFrame:
    """The table `periods`."""
    spans = periods(facts)
    return pd.DataFrame(
        {
            "period": [period.name for period in spans],
            "opened_from": day_texts([period.first for period in spans]),
            "opened_to": day_texts([period.last for period in spans]),
        }
    )
