"""From a question to rows.

Belongs here: putting where, refine, select, group_by, order_by, limit and offset together into the table that an
answer prints, with its total_count. Everything that can be wrong with a query is raised here, before a byte is sent.
Does not belong here: printing and HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from vanc311_pipeline.portal.standin.errors import PARAMETER, NotImplementedHere, PortalError, malformed
from vanc311_pipeline.portal.standin.evaluate import Mask, Setting, known_field, matching, refined
from vanc311_pipeline.portal.standin.group import grouped
from vanc311_pipeline.portal.standin.odsql_nodes import (
    Aggregate,
    DateFormat,
    DatePart,
    Everything,
    FieldName,
    Item,
    Sorting,
)
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.ordering import sorted_rows
from vanc311_pipeline.portal.standin.query import Query
from vanc311_pipeline.portal.standin.tables import Table
from vanc311_pipeline.portal.standin.zones import Ints

SORTED_GROUPS = 20_000
_HIDDEN = "\0order"


@dataclass(frozen=True)
class Answer:
    """The rows to print; total_count is None where the portal leaves it out."""

    table: Table
    total_count: int | None


def answer(table: Table, query: Query, setting: Setting, options: Options, endpoint: str) -> Answer:
    rows = np.flatnonzero(matching_rows(table, query, setting))
    if query.group_by:
        return _grouped_answer(table.take(rows), query, setting, options, endpoint)
    if any(isinstance(each, Item) and isinstance(each.expression, Aggregate) for each in query.select):
        return _repeated_aggregate(table.take(rows), query, setting)
    keys = [_sorting_column(table, each, rows) for each in query.order_by]
    shape = _projection(table, query)
    in_order = rows[sorted_rows(keys, table.order[rows])]
    page = table.take(_window(in_order, query))
    fields = tuple(replace(field, name=key) for field, key in shape)
    columns = {key: page.columns[field.name] for field, key in shape}
    return Answer(replace(page, fields=fields, columns=columns), len(rows))


def matching_rows(table: Table, query: Query, setting: Setting) -> Mask:
    """The rows that where, refine and exclude leave."""
    mask: Mask = np.ones(table.num_rows, dtype=np.bool_)
    if query.where is not None:
        mask = matching(table, query.where, setting)
    # Values of one facet widen each other (the facets are disjunctive); different facets narrow.
    by_field: dict[str, Mask] = {}
    for refinement in query.refine:
        name, found = refined(table, refinement, setting)
        by_field[name] = by_field.get(name, np.zeros(table.num_rows, dtype=np.bool_)) | found
    for found in by_field.values():
        mask &= found
    for refinement in query.exclude:
        mask &= ~refined(table, refinement, setting)[1]
    return mask


def _window(rows: Ints, query: Query) -> Ints:
    return rows[query.offset :] if query.limit is None else rows[query.offset : query.offset + query.limit]


def _sorting_column(table: Table, sorting: Sorting, rows: Ints) -> tuple[Any, bool]:
    if not isinstance(sorting.expression, FieldName):
        raise NotImplementedHere("order_by an expression in an ungrouped query")
    field = known_field(table, sorting.expression.name, "order_by")
    if field.is_geo:
        raise NotImplementedHere("order_by a geometry")
    return table.columns[field.name].take(rows), sorting.descending


def _projection(table: Table, query: Query) -> list[tuple[Any, str]]:
    """The fields to print with their keys, in order, each key once."""
    chosen: dict[str, Any] = {}
    excluded: list[str] = []
    for item in query.select or (Everything(),):
        if isinstance(item, Everything):
            if item.mode == "exclude":
                excluded.append(item.pattern)
                continue
            found = [f for f in table.fields if item.mode == "all" or fnmatchcase(f.name, item.pattern)]
            chosen |= {field.name: field for field in found}
        elif isinstance(item.expression, FieldName):
            chosen[item.key] = known_field(table, item.expression.name, "select")
        else:
            raise NotImplementedHere(f"{item.text} in select")
    if excluded and not chosen:
        chosen = {field.name: field for field in table.fields}
    return [(f, key) for key, f in chosen.items() if not any(fnmatchcase(key, pattern) for pattern in excluded)]


def _repeated_aggregate(table: Table, query: Query, setting: Setting) -> Answer:
    """Aggregates without group_by come back once per record."""
    if query.order_by:
        raise NotImplementedHere("order_by with aggregates and no group_by")
    row = grouped(table, [], _aggregates(query), setting.zone)
    repeated = _window(np.zeros(table.num_rows, dtype=np.int64), query)
    return Answer(row.take(repeated), table.num_rows)


def _aggregates(query: Query) -> list[Item]:
    aggregates = []
    for item in query.select:
        if isinstance(item, Everything):
            raise NotImplementedHere("* together with aggregates or group_by")
        if isinstance(item.expression, DatePart | DateFormat) and query.group_by:
            raise malformed(f"Date function {item.text} belongs in group_by", "select")
        if isinstance(item.expression, Aggregate):
            aggregates.append(item)
        elif item.expression not in [each.expression for each in query.group_by]:
            raise malformed(f"{item.text} is neither an aggregation nor a group", "select")
    return aggregates


def _grouped_answer(table: Table, query: Query, setting: Setting, options: Options, endpoint: str) -> Answer:
    aggregates, keys = _aggregates(query), list(query.group_by)
    orders, hidden = _group_order(keys, aggregates, query)
    groups = grouped(table, keys, aggregates + hidden, setting.zone)
    by_aggregate = any(each.key not in {key.key for key in keys} for each, _ in orders)
    too_many = groups.num_rows > SORTED_GROUPS and (query.limit is None or query.limit > SORTED_GROUPS)
    if by_aggregate and endpoint == "export" and too_many:
        raise malformed(
            "aggregation function in order by is not supported with a limit > 20000. "
            "Please remove the order by or set a limit parameter lower than 20001",
            "order_by",
        )
    if by_aggregate and endpoint == "records" and groups.num_rows > SORTED_GROUPS:
        raise NotImplementedHere("records ordered by an aggregate over more than 20,000 groups (silently wrong there)")
    in_order = sorted_rows([(groups.columns[item.key], down) for item, down in orders], groups.order)
    page = groups.take(_window(in_order, query))
    names = [item.key for item in keys], [item.key for item in aggregates]
    first, then = names if options.group_keys == "first" else reversed(names)
    fields = tuple(field for name in (*first, *then) if (field := page.field(name)) is not None)
    counts = {"rows": page.num_rows, "groups": groups.num_rows, "absent": None}
    return Answer(page.with_fields(fields), counts[options.grouped_total_count])


def _group_order(keys: list[Item], aggregates: list[Item], query: Query) -> tuple[list[tuple[Item, bool]], list[Item]]:
    """What the groups are ordered by, and the aggregates among it that are not selected."""
    orders: list[tuple[Item, bool]] = []
    hidden: list[Item] = []
    for sorting in query.order_by:
        known = [*keys, *aggregates]
        item = next((i for i in known if sorting.text == i.key or sorting.expression == i.expression), None)
        if item is None and isinstance(sorting.expression, Aggregate):
            item = Item(sorting.expression, sorting.text, f"{_HIDDEN}{len(hidden)}")
            hidden.append(item)
        if item is None:
            raise malformed(f"Unknown field: {sorting.text}", "order_by")
        if item not in keys and any(each in keys for each, _ in orders):
            raise malformed("Aggregations come before fields", "order_by")
        orders.append((item, sorting.descending))
    return orders, hidden


def facet_values(table: Table, name: str, query: Query, setting: Setting) -> list[tuple[str, int]]:
    """The values of a facet with their counts, most frequent first, at most 100, no nulls."""
    field = known_field(table, name, "facet")
    if not field.is_facet:
        raise PortalError(400, PARAMETER, f"Invalid value for facet API parameter: {name} is not a facet.")
    if field.kind != "text":
        raise NotImplementedHere("facets of dates")
    rows = table.take(np.flatnonzero(matching_rows(table, query, setting)))
    counts = grouped(rows, [Item(FieldName(name), name)], [Item(Aggregate("count", None), "count(*)")], setting.zone)
    pairs = zip(counts.columns[name].to_pylist(), counts.columns["count(*)"].to_pylist(), strict=True)
    return sorted([(value, n) for value, n in pairs if value is not None], key=lambda pair: (-pair[1], pair[0]))[:100]
