"""Grouping and aggregates.

Belongs here: turning a table into one row per group (or one row in all) with group keys and aggregates. Percentiles
are approximate, as in the search engine behind the portal. Does not belong here: limits, error texts of parameters,
and printing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.portal.standin.date_format import formatted
from vanc311_pipeline.portal.standin.errors import NotImplementedHere, malformed
from vanc311_pipeline.portal.standin.evaluate import date_part, known_date, known_field, local_readings
from vanc311_pipeline.portal.standin.odsql_nodes import Aggregate, DateFormat, DatePart, FieldName, Item
from vanc311_pipeline.portal.standin.ordering import sorted_rows
from vanc311_pipeline.portal.standin.tables import Field, Kind, Table
from vanc311_pipeline.portal.standin.zones import Zone

_EVERYTHING = "everything"


def grouped(table: Table, keys: list[Item], aggregates: list[Item], zone: Zone) -> Table:
    """One row per group, keys ascending with null first; without keys, one row for all (none for no rows)."""
    inputs = {f"key{i}": group_key(table, item, zone)[1] for i, item in enumerate(keys)}
    fields = [group_key_field(table, item) for item in keys]
    if not keys:
        inputs[_EVERYTHING] = pa.array(np.zeros(table.num_rows, dtype=np.int8))
    names = list(inputs)
    wanted: list[Any] = []
    outputs: list[tuple[Field, str, bool]] = []
    for item in aggregates:
        aggregate = item.expression
        assert isinstance(aggregate, Aggregate)
        function, options, kind = _arrow_function(table, aggregate)
        column: str | list[str] = []
        result = function
        if aggregate.field is not None:
            inputs[aggregate.field] = table.columns[aggregate.field]
            column, result = aggregate.field, f"{aggregate.field}_{function}"
        # Two percentiles share Arrow's name for the result, so they are computed under names of their own.
        if function == "tdigest":
            column, result = f"{result}{aggregate.quantile}", f"{result}{aggregate.quantile}_{function}"
            inputs[str(column)] = table.columns[str(aggregate.field)]
        if (column, function, options) not in wanted:
            wanted.append((column, function, options))
        outputs.append((Field(item.key, kind), result, function == "tdigest"))
    counted = pa.table(inputs).group_by(names, use_threads=False).aggregate(wanted).combine_chunks()
    columns = [_flat(counted.column(name)) for name in names if name != _EVERYTHING]
    results = [_flat(counted.column(name)) for _, name, _ in outputs]
    columns += [pc.list_element(c, 0) if nested else c for c, (_, _, nested) in zip(results, outputs, strict=True)]
    fields += [field for field, _, _ in outputs]
    whole = Table(
        tuple(fields),
        {field.name: column for field, column in zip(fields, columns, strict=True)},
        np.arange(counted.num_rows, dtype=np.uint64),
    )
    ascending = whole.take(sorted_rows([(whole.columns[item.key], False) for item in keys], whole.order))
    return replace(ascending, order=whole.order)


def group_key(table: Table, item: Item, zone: Zone) -> tuple[Field, Any]:
    """The column that a group_by item groups by."""
    field = group_key_field(table, item)
    match item.expression:
        case DatePart(part, name):
            readings, absent = local_readings(table, known_date(table, name, "group_by"), zone)
            return field, pa.array(date_part(readings, part), mask=absent)
        case DateFormat(name, pattern):
            readings, absent = local_readings(table, known_date(table, name, "group_by"), zone)
            return field, formatted(readings, absent, pattern)
        case FieldName(name):
            return field, table.columns[name]
    raise NotImplementedHere(f"grouping by {item.text}")


def group_key_field(table: Table, item: Item) -> Field:
    match item.expression:
        case DatePart(_, name):
            known_date(table, name, "group_by")
            return Field(item.key, "int")
        case DateFormat(name, _):
            known_date(table, name, "group_by")
            return Field(item.key, "text")
        case FieldName(name):
            known = known_field(table, name, "group_by")
            if known.is_geo:
                raise NotImplementedHere("grouping by a geometry")
            return Field(item.key, known.kind, known.label)
    raise NotImplementedHere(f"grouping by {item.text}")


def _arrow_function(table: Table, aggregate: Aggregate) -> tuple[str, Any, Kind]:
    if aggregate.field is None:
        return "count_all", None, "int"
    field = known_field(table, aggregate.field, "select")
    if aggregate.function == "count":
        if aggregate.distinct:
            if field.is_geo:
                raise NotImplementedHere("count(distinct) of geometries")
            return "count_distinct", pc.CountOptions(mode="only_valid"), "int"
        return "count", pc.CountOptions(mode="only_valid"), "int"
    if field.kind not in ("int", "double", "date", "datetime"):
        raise malformed("StatAggregation only supports numeric or date expression", "select")
    if aggregate.function in ("min", "max"):
        return aggregate.function, None, field.kind
    if field.kind in ("date", "datetime"):
        raise NotImplementedHere(f"{aggregate.function}() of dates")
    if aggregate.function == "avg":
        return "mean", None, "double"
    if aggregate.function == "sum":
        return "sum", None, field.kind
    quantile = 50.0 if aggregate.quantile is None else aggregate.quantile
    if not 0 <= quantile <= 100:
        raise malformed(f"Invalid percentile: {quantile}", "select")
    return "tdigest", pc.TDigestOptions(quantile / 100), "double"


def _flat(column: Any) -> Any:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
