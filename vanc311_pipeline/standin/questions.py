"""The questions that the pipeline asks of rows, answered by Arrow; every other is refused. What it asks anew begins here."""

import json
import operator
import re
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanc311_pipeline.standin.releases import DATETIME, TEXT

_TERM = re.compile(r"(?P<field>\w+) +(?:is null|(?P<sign>>=|<) +\"(?P<instant>[^\"]+[+-]\d\d:\d\d)\")")
_AGGREGATE = re.compile(r"(?P<function>count|min|max)\((?P<field>\*|\w+)\) as (?P<name>\w+)")
_KEY = re.compile(r"(?P<field>\w+)|date_format\((?P<month_of>\w+),'yyyy-MM'\) as (?P<name>\w+)")
_COMMA = re.compile(r",\s*(?![^(]*\))")


class PortalError(Exception):
    """A refusal in the portal's own words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = json.dumps({"error_code": code, "message": message}, indent=2, ensure_ascii=False)


def malformed(what: str, clause: str) -> PortalError:
    """An ODSQL error: `what` ends without a full stop, `clause` is the parameter that it is in."""
    message = f"ODSQL query is malformed: {what}. Clause(s) containing the error(s): {clause}."
    return PortalError(400, "ODSQLError", message)


def bad_parameter(name: str, value: object, expected: str) -> PortalError:
    message = f"Invalid value for {name} API parameter: {value} was found but {expected} is expected."
    return PortalError(400, "InvalidRESTParameterError", message)


def matching(table: pa.Table, where: str) -> NDArray[np.bool_]:
    """True for each row that the condition holds for; `and` binds tighter than `or`, and null is in no range."""
    if not where:
        return np.ones(table.num_rows, dtype=np.bool_)
    either = [re.split(r"\s+and\s+", part) for part in re.split(r"\s+or\s+", where)]
    return reduce(operator.or_, (reduce(operator.and_, (_holds(table, term) for term in both)) for both in either))


def grouped(table: pa.Table, select: str, group_by: str) -> pa.Table:
    """One row per group, keys ascending with null first, then the aggregates."""
    keys = [_match(_KEY, text, "group_by") for text in _COMMA.split(group_by)]
    aggregates = [_match(_AGGREGATE, text, "select") for text in _COMMA.split(select)]
    names = [each["name"] or each["field"] for each in (*keys, *aggregates)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise malformed(f"Alias '{twice[0]}' is declared several times", "select, group_by")
    # Arrow names an aggregate after its field, so a key is named after its place.
    inputs = {str(place): _key(table, key) for place, key in enumerate(keys)}
    places = list(inputs)
    functions = [_arrow_function(table, each["function"], each["field"]) for each in aggregates]
    inputs |= {field: table[field] for fields, _ in functions for field in fields}
    groups = pa.table(inputs).group_by(places, use_threads=False).aggregate(list(dict.fromkeys(functions)))
    order = pc.sort_indices(groups, [(place, "ascending", "at_start") for place in places])
    columns = [*places, *("_".join([*fields, function]) for fields, function in functions)]
    return groups.select(columns).rename_columns(names).take(order)


def _match(pattern: re.Pattern[str], text: str, clause: str) -> re.Match[str]:
    match = pattern.fullmatch(text.strip())
    if match is None:
        raise malformed(f"Syntax error at {text.strip()!r}, or more than the stand-in answers", clause)
    return match


def _column(table: pa.Table, name: str, clause: str) -> Any:
    if name not in table.column_names:
        raise malformed(f"Unknown field: {name}", clause)
    return table[name]


def _holds(table: pa.Table, text: str) -> NDArray[np.bool_]:
    term = _match(_TERM, text, "where")
    column = _column(table, term["field"], "where")
    if term["sign"] is None:
        return np.asarray(pc.is_null(column))
    try:
        instant = pa.scalar(datetime.fromisoformat(term["instant"]), DATETIME)
        holds = (pc.less if term["sign"] == "<" else pc.greater_equal)(column, instant)
    except (ValueError, NotImplementedError) as error:
        raise malformed(f"The stand-in can't compare {text.strip()}", "where") from error
    return np.asarray(pc.fill_null(holds, False))


def _key(table: pa.Table, key: re.Match[str]) -> Any:
    column = _column(table, key["field"] or key["month_of"], "group_by")
    if key["field"]:
        return column
    if column.type != DATETIME:
        raise malformed(f"Field {key['month_of']} is not a datetime", "group_by")
    # Each month is printed once: printing each row's would take seconds.
    months = pc.floor_temporal(column.combine_chunks(), unit="month").dictionary_encode()
    return pc.strftime(months.dictionary, format="%Y-%m").take(months.indices)


def _arrow_function(table: pa.Table, function: str, field: str) -> tuple[tuple[str, ...], str]:
    """The columns that Arrow aggregates, and its name for the function."""
    if (function, field) == ("count", "*"):
        return (), "count_all"
    if _column(table, field, "select").type == TEXT and function != "count":
        raise malformed("StatAggregation only supports numeric or date expression", "select")
    return (field,), function
