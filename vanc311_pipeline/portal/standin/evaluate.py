"""Which rows a condition holds for.

Belongs here: conditions and refinements on tables, as arrays of true and false. Logic is two-valued, as in a search
engine: a comparison with null is false, and `not` turns that into true. Does not belong here: grouping, ordering,
and the reading of text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from dateutil.relativedelta import relativedelta
from numpy.typing import NDArray

from vanc311_pipeline.portal.standin.errors import NotImplementedHere, PortalError, malformed, unknown_field
from vanc311_pipeline.portal.standin.literals import Stretch, clock_reading, micros, read_date
from vanc311_pipeline.portal.standin.odsql_nodes import (
    Both,
    Comparison,
    Condition,
    DateLiteral,
    DatePart,
    Either,
    FieldName,
    IsNull,
    Literals,
    Not,
    Now,
    Number,
    OneOf,
    Operand,
    Operator,
    Text,
    Within,
)
from vanc311_pipeline.portal.standin.tables import Field, Table
from vanc311_pipeline.portal.standin.zones import MICROS, Ints, Zone, zone_named

Mask = NDArray[np.bool_]

_COMPARE: dict[str, Any] = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal, "=": pc.equal}


@dataclass(frozen=True)
class Setting:
    """What a query is evaluated in: the time zone, the present moment, and one open question."""

    zone: Zone
    now: datetime
    offsets_in_date_literals: bool = True


def matching(table: Table, condition: Condition, setting: Setting) -> Mask:
    """True for each row that the condition holds for."""
    match condition:
        case Both(left, right):
            return matching(table, left, setting) & matching(table, right, setting)
        case Either(left, right):
            return matching(table, left, setting) | matching(table, right, setting)
        case Not(inner):
            return ~matching(table, inner, setting)
        case IsNull(FieldName(name)):
            known_field(table, name, "where")
            return _mask(pc.is_null(table.columns[name]))
        case Comparison(left, operator, right):
            return _compare(table, left, operator, right, setting)
        case OneOf(left, choices):
            masks = [_compare(table, left, "=", choice, setting) for choice in choices]
            found: Mask = np.logical_or.reduce(masks)
            return found
        case Within(left, low, high, low_open, high_open):
            above = _compare(table, left, ">" if low_open else ">=", low, setting)
            return above & _compare(table, left, "<" if high_open else "<=", high, setting)


def known_field(table: Table, name: str, clause: str) -> Field:
    field = table.field(name)
    if field is None:
        raise unknown_field(name, clause)
    return field


def date_micros(table: Table, field: Field) -> Any:
    """A date or datetime column as integers; a date is its midnight UTC, which no time zone shifts."""
    column = table.columns[field.name]
    if field.kind == "date":
        return pc.multiply(column.view(pa.int32()).cast(pa.int64()), 86_400 * MICROS)
    return column.view(pa.int64())


def local_readings(table: Table, field: Field, zone: Zone) -> tuple[Ints, Mask]:
    """Local clock readings in microseconds, and where there is none."""
    values = date_micros(table, field)
    absent = _mask(pc.is_null(values))
    readings = np.asarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    return (readings if field.kind == "date" else zone.local(readings)), absent


def date_part(readings: Ints, part: str) -> Ints:
    """The year, month, … second of clock readings."""
    moments = readings.view("datetime64[us]")
    if part == "year":
        return moments.astype("datetime64[Y]").astype(np.int64) + 1970
    if part == "month":
        return moments.astype("datetime64[M]").astype(np.int64) % 12 + 1
    if part == "day":
        first_days = moments.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return moments.astype("datetime64[D]").astype(np.int64) - first_days + 1
    unit, size = {"hour": (3600, 24), "minute": (60, 60), "second": (1, 60)}[part]
    return readings // (unit * MICROS) % size


def _mask(values: Any) -> Mask:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _compare(table: Table, left: Operand, operator: Operator, right: Literals, setting: Setting) -> Mask:
    if operator == "!=":
        return ~_compare(table, left, "=", right, setting)
    if isinstance(left, DatePart):
        return _compare_part(table, left, operator, right, setting)
    field = known_field(table, left.name, "where")
    if field.kind in ("date", "datetime"):
        return _compare_date(table, field, operator, right, setting)
    column = table.columns[field.name]
    if field.kind == "text" and isinstance(right, Text):
        if operator != "=":
            raise NotImplementedHere(f"the comparison {operator} on text")
        return _mask(pc.equal(column, right.value))
    if field.kind in ("int", "double") and isinstance(right, Number):
        return _mask(_COMPARE[operator](column, right.value))
    if field.is_geo:
        raise NotImplementedHere("comparisons of geometries")
    raise malformed(f"The value compared with {field.name} is not of type {field.kind}", "where")


def _compare_part(table: Table, left: DatePart, operator: Operator, right: Literals, setting: Setting) -> Mask:
    field = known_date(table, left.field, "where")
    if not isinstance(right, Number):
        raise malformed(f"The value compared with {left.part}() is no number", "where")
    readings, absent = local_readings(table, field, setting.zone)
    return _mask(_COMPARE[operator](pa.array(date_part(readings, left.part)), right.value)) & ~absent


def known_date(table: Table, name: str, clause: str) -> Field:
    field = known_field(table, name, clause)
    if field.kind not in ("date", "datetime"):
        raise malformed(f"Field {name} is of type {field.kind}, not a date", clause)
    return field


def _compare_date(table: Table, field: Field, operator: Operator, right: Literals, setting: Setting) -> Mask:
    stretch = _stretch(field, right, setting)
    values = date_micros(table, field)
    if operator == "=":
        return _mask(pc.and_(pc.greater_equal(values, stretch.start), pc.less(values, stretch.end)))
    # The literal stands for its whole stretch: `>` is after all of it, `<=` is up to the end of it.
    if operator in (">", "<="):
        return _mask((pc.greater_equal if operator == ">" else pc.less)(values, stretch.end))
    return _mask(_COMPARE[operator](values, stretch.start))


def _stretch(field: Field, literal: Literals, setting: Setting) -> Stretch:
    if isinstance(literal, Now):
        return _now(literal, setting)
    if isinstance(literal, Number):
        raise NotImplementedHere("comparing a date with a number")
    zone = zone_named("UTC") if field.kind == "date" else setting.zone
    stretch = read_date(literal.value, zone)
    if stretch is None:
        raise malformed(f"Invalid date: {literal.value}", "where")
    if isinstance(literal, DateLiteral) and stretch.has_offset and not setting.offsets_in_date_literals:
        raise malformed(f"Invalid date: {literal.value}", "where")
    return stretch


def _now(literal: Now, setting: Setting) -> Stretch:
    utc = micros(setting.now.astimezone(UTC).replace(tzinfo=None))
    reading = clock_reading(int(setting.zone.local(np.array([utc]))[0])).replace(tzinfo=None)
    for unit, amount in literal.changes:
        try:
            reading = reading + relativedelta(**{unit: amount})  # type: ignore[arg-type]
        except (ValueError, OverflowError) as error:
            raise malformed(f"Invalid date: now({unit}={amount})", "where") from error
    instant = setting.zone.instant(micros(reading))
    return Stretch(instant, instant + 1)


def refined(table: Table, refinement: str, setting: Setting) -> tuple[str, Mask]:
    """The field of `refine=field:value` and the rows that have the value."""
    name, colon, value = refinement.partition(":")
    if not colon:
        raise PortalError(400, "InvalidRESTParameterError", f"Invalid value for refine API parameter: {refinement}.")
    value = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    field = known_field(table, name.strip("`"), "refine")
    if not field.is_facet:
        raise NotImplementedHere(f"refining by {field.name}, which is no facet")
    literal = Text(value)
    if field.kind in ("date", "datetime") and read_date(value, setting.zone) is None:
        raise malformed(f"Invalid date: {value}", "refine")
    return field.name, _compare(table, FieldName(field.name), "=", literal, setting)
