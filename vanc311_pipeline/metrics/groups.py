"""Groups: whom a statistic is about (city, area, issue type, both, department), counting by group, and the periods of opening."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from vanc311_pipeline.metrics.facts import Codes, Facts, Ints, Mask, Texts, day_number, day_texts
from vanc311_pipeline.schema import LEVELS

NAMES = ("local_area", "issue_type", "department")
KEYS = ("level", "scope", *NAMES)

Kind = tuple[str, str]
"""A level and a scope."""

SCOPES = {
    "citywide": ("all", "located"),
    "unlocated": ("unlocated",),
    "neighbourhood": ("located",),
    "issue": ("all", "located"),
    "department": ("all", "located"),
    "hyper_local": ("located",),
}
"""Which requests each level covers: all, located (with a local area) or unlocated."""
KINDS: tuple[Kind, ...] = tuple((level, scope) for level, scopes in SCOPES.items() for scope in scopes)
WHOLE_CITY, EACH_AREA, EACH_ISSUE, EACH_DEPARTMENT, EACH_PAIR = KINDS[0], KINDS[3], KINDS[4], KINDS[6], KINDS[8]

LAST_12_MONTHS = "last_12_months"
SETTLED = {"last_30_days": 30, "last_90_days": 90}
"""Short periods, by their days: of 30, the days that late entries still move would be a quarter."""
ALL = "all"
YEAR_DAYS = 365
BLOCKS, LEAST_BLOCK_DAYS = 26, 7


@dataclass(frozen=True)
class Grouping:
    """All groups of one level and scope, in the whole record or in one period."""

    facts: Facts
    level: str
    scope: str
    names: dict[str, Texts]
    """The three names of each group; None where the level has no such name."""
    rows: Ints
    """The requests that are in a group, as places among the facts."""
    code: Codes
    """The group of each of these requests."""
    period: "Period | None" = None

    def __len__(self) -> int:
        return len(self.names["local_area"])

    @property
    def kind(self) -> Kind:
        return self.level, self.scope

    def table(self, groups: Ints, **columns: object) -> pd.DataFrame:
        """A table with a row for each of some groups: their keys, the period if there is one, and columns."""
        keys = {name: texts[groups] for name, texts in self.names.items()}
        period = {"period": self.period.name} if self.period else {}
        return pd.DataFrame(
            {"level": self.level, "scope": self.scope, **keys, **period, **columns}, index=range(len(groups))
        )

    def cross_table(self, size: int, **columns: npt.ArrayLike) -> pd.DataFrame:
        """A table with a row for each group and each of so many places; a column has a value for each place or for each row."""
        shape = len(self), size
        cells = {name: np.broadcast_to(np.asarray(values), shape).ravel() for name, values in columns.items()}
        return self.table(np.repeat(np.arange(len(self)), size), **cells)

    def where(self, condition: Mask) -> "Grouping":
        """The same groups, with those requests only that meet a condition."""
        inside = condition[self.rows]
        return replace(self, rows=self.rows[inside], code=self.code[inside])

    def within(self, period: "Period") -> "Grouping":
        """The same groups, with the requests of a period only."""
        return replace(self.where(period.holds(self.facts)), period=period)

    @property
    def volume(self) -> Ints:
        return np.bincount(self.code, minlength=len(self))

    def count(self, condition: Mask) -> Ints:
        """How many requests of each group meet a condition."""
        return np.bincount(self.code[condition[self.rows]], minlength=len(self))

    def count_by(self, condition: Mask, column: Codes | Ints, size: int) -> Ints:
        """How many requests of each group (row) that meet a condition have each value of a column, from 0 to size - 1."""
        inside = condition[self.rows]
        return tally(self.code[inside], column[self.rows[inside]], len(self), size)


def tally(code: Codes | Ints, column: Codes | Ints, groups: int, size: int) -> Ints:
    """How many requests of each group (row) have each value of a column, from 0 to size - 1; `code` is the group of each request."""
    cell = code.astype(np.int64) * size + column
    return np.bincount(cell, minlength=groups * size).reshape(groups, size)


def groupings(facts: Facts) -> Iterator[Grouping]:
    """Every grouping, in the order of `KINDS`. The city and all areas are groups; of the rest, what has a request."""
    return (grouping_of(facts, kind) for kind in KINDS)


def grouping_of(facts: Facts, kind: Kind) -> Grouping:
    """One of them."""
    level, scope = kind
    inside = {"all": np.ones(len(facts), dtype=bool), "located": facts.located, "unlocated": ~facts.located}[scope]
    rows = np.flatnonzero(inside)
    texts = {"local_area": facts.areas, "issue_type": facts.issues, "department": facts.departments}
    codes = {"local_area": facts.area, "issue_type": facts.issue, "department": facts.department}
    cell = np.zeros(len(rows), dtype=np.int64)
    for name in LEVELS[level]:
        cell = cell * len(texts[name]) + codes[name][rows]
    if level in ("citywide", "unlocated", "neighbourhood"):
        code, cells = cell, np.arange(len(facts.areas) if LEVELS[level] else 1)
    else:
        code, cells = pd.factorize(cell, sort=True)
    names = {name: np.full(len(cells), None, dtype=object) for name in NAMES}
    for name in reversed(LEVELS[level]):
        cells, place = np.divmod(cells, len(texts[name]))
        names[name] = np.array(texts[name], dtype=object)[place]
    return Grouping(facts, level, scope, names, rows, code.astype(np.int32))


@dataclass(frozen=True)
class Period:
    """Days of opening, first and last included."""

    name: str
    first: int
    last: int

    def holds(self, facts: Facts) -> Mask:
        return (facts.opened >= self.first) & (facts.opened <= self.last)

    @property
    def blocks(self) -> int:
        """Into how many stretches of equal length it is divided, of a week at least: in a year, fortnights."""
        return min(max((self.last - self.first + 1) // LEAST_BLOCK_DAYS, 1), BLOCKS)

    def block(self, day: Codes) -> Codes:
        """In which of them a day is, from 0; days before and after the period are in blocks that go on."""
        return np.asarray((day - self.first) * self.blocks // (self.last - self.first + 1))

    def first_day(self, block: Codes) -> Codes:
        """The day on which a block begins."""
        return np.asarray(self.first - -block * (self.last - self.first + 1) // self.blocks)


def periods(facts: Facts) -> list[Period]:
    """All, the 30 and 90 days up to the last settled one, the 365 up to as_of, and each year in which a request was opened; clipped to
    what the record covers.
    """
    if not len(facts):
        return []
    first, last = int(facts.opened.min()), int(facts.opened.max())
    years = np.unique(facts.opened.astype("datetime64[D]").astype("datetime64[Y]")).astype(str)
    named = [
        Period(ALL, first, last),
        *(Period(name, facts.settled - days + 1, facts.settled) for name, days in SETTLED.items()),
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
