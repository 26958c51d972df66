"""Schema and order faults: how a table looks to one request.

Belongs here: fields added, dropped, reordered, retyped, values garbled, rows in another order; the rows themselves
stay. Does not belong here: changes of rows (edits), and deciding who sees a fault.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.portal.standin.cells import dates
from vanc311_pipeline.portal.standin.faults import Fault
from vanc311_pipeline.portal.standin.tables import ARROW_TYPES, CLOSED, OPENED, Field, Table
from vanc311_pipeline.portal.standin.zones import zone_named

_SEEDS = itertools.count(1)


def seen_through(table: Table, faults: list[Fault]) -> Table:
    """The table as the request sees it."""
    for fault in faults:
        match fault.kind:
            case "field_added":
                table = _added(table, fault)
            case "field_dropped":
                name = fault.details.get("field", "channel")
                table = table.with_fields(tuple(f for f in table.fields if f.name != name))
            case "field_reordered":
                name = fault.details.get("field", "channel")
                table = table.with_fields(tuple(sorted(table.fields, key=lambda f: f.name != name)))
            case "field_retyped":
                table = retyped(table, fault.details.get("field", CLOSED), fault.details.get("type", "text"))
            case "page_order_changes":
                order = np.random.default_rng(next(_SEEDS)).permutation(table.num_rows)
                table = replace(table, order=order.astype(np.uint64))
    return table


def check(fault: Fault, table: Table) -> None:
    """Raise ValueError for a schema fault that does not fit the table."""
    name = fault.details.get("field")
    if fault.kind != "field_added" and name is not None and table.field(name) is None:
        raise ValueError(f"There is no field {name!r} to play {fault.kind} on.")
    nothing = table.slice(0, 0)
    seen_through(nothing, [fault])
    if fault.kind == "garbled_field":
        garbled(nothing, fault)


def retyped(table: Table, name: str, kind: str) -> Table:
    """One field as text, or a date as the datetime of its midnight."""
    old = table.field(name)
    if old is None:
        return table
    column = table.columns[name]
    if kind == "text" and old.kind in ("date", "datetime"):
        return table.with_column(replace(old, kind="text"), dates(old, column, zone_named("UTC")))
    if kind == "text" and not old.is_geo:
        return table.with_column(replace(old, kind="text"), column.cast(pa.string()))
    if kind == "datetime" and old.kind == "date":
        midnights = column.cast(pa.timestamp("us")).cast(ARROW_TYPES["datetime"])
        return table.with_column(replace(old, kind="datetime"), midnights)
    raise ValueError(f"Field {name} of type {old.kind} can't be shown as {kind}; text always works.")


def garbled(table: Table, fault: Fault) -> Table:
    """An answer in which the first `rows` values of a field can't be parsed."""
    name, value = fault.details.get("field", OPENED), fault.details.get("value", "not-a-date")
    if table.field(name) is None:
        return table
    plain = retyped(table, name, "text")
    field = plain.field(name)
    spoilt = pa.array(np.arange(table.num_rows) < int(fault.details.get("rows", 1)))
    values = pc.if_else(spoilt, value, plain.columns[name])
    return plain.with_column(field, values) if field else plain


def _added(table: Table, fault: Fault) -> Table:
    kind = fault.details.get("type", "text")
    if kind not in ("text", "int", "double"):
        raise ValueError(f"An added field can be text, int or double, not {kind!r}.")
    field = Field(fault.details.get("field", "ward"), kind, fault.details.get("field", "ward").capitalize())
    value = pa.scalar(fault.details.get("value"), pa.string()).cast(ARROW_TYPES[kind])
    wider = table.with_column(field, pa.repeat(value, table.num_rows))
    if str(fault.details.get("first", "false")).lower() == "true":
        return wider.with_fields((field, *table.fields))
    return wider
