"""The small typed nodes that ODSQL text is read into.

Belongs here: the shapes of literals, operands, conditions and the items of select, group_by and order_by.
Does not belong here: reading text into them, and giving them meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DATE_PARTS = ("year", "month", "day", "hour", "minute", "second")
AGGREGATES = ("count", "avg", "min", "max", "sum", "median", "percentile")


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True)
class DateLiteral:
    value: str


@dataclass(frozen=True)
class Now:
    """`now(days=-1)`: plural names shift, singular names set."""

    changes: tuple[tuple[str, int], ...] = ()


Literals = Text | Number | DateLiteral | Now


@dataclass(frozen=True)
class FieldName:
    name: str


@dataclass(frozen=True)
class DatePart:
    """`year(f)` and the like: a number."""

    part: str
    field: str


@dataclass(frozen=True)
class DateFormat:
    """`date_format(f, 'yyyy-MM')`: a text."""

    field: str
    pattern: str


@dataclass(frozen=True)
class Aggregate:
    """`count(*)` has no field; `quantile` is the second argument of `percentile`."""

    function: str
    field: str | None
    distinct: bool = False
    quantile: float | None = None


Expression = FieldName | DatePart | DateFormat | Aggregate
Operand = FieldName | DatePart
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Comparison:
    left: Operand
    operator: Operator
    right: Literals


@dataclass(frozen=True)
class Within:
    """`f in [a..b]`; an open end leaves its bound out."""

    left: Operand
    low: Literals
    high: Literals
    low_open: bool
    high_open: bool


@dataclass(frozen=True)
class OneOf:
    left: Operand
    choices: tuple[Literals, ...]


@dataclass(frozen=True)
class IsNull:
    left: FieldName


@dataclass(frozen=True)
class Not:
    inner: Condition


@dataclass(frozen=True)
class Both:
    left: Condition
    right: Condition


@dataclass(frozen=True)
class Either:
    left: Condition
    right: Condition


Condition = Comparison | Within | OneOf | IsNull | Not | Both | Either


@dataclass(frozen=True)
class Item:
    """One item of select or group_by: `text` is what was written, the key where there is no alias."""

    expression: Expression
    text: str
    alias: str | None = None

    @property
    def key(self) -> str:
        return self.alias or (self.expression.name if isinstance(self.expression, FieldName) else self.text)


@dataclass(frozen=True)
class Everything:
    """`*`, `include(x*)` or `exclude(x*)`."""

    mode: Literal["all", "include", "exclude"] = "all"
    pattern: str = ""


@dataclass(frozen=True)
class Sorting:
    text: str
    expression: Expression
    descending: bool = False
