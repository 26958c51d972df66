"""Which question an address asks, and the reply to it, as faults change it; what the pipeline asks is answered, all else refused."""

import json
import operator
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vanc311_pipeline.standin.faults import Fault, garbled, seen_through
from vanc311_pipeline.standin.releases import (
    AREAS,
    DATETIME,
    PORTAL,
    SAMPLE_AREAS,
    TEXT,
    Body,
    csv_body,
    geojson_body,
    json_body,
    metadata,
)

if TYPE_CHECKING:
    from vanc311_pipeline.standin.server import StandIn

JSON = "application/json; charset=utf-8"
TYPES = {"csv": "text/csv; charset=utf-8", "json": JSON, "geojson": "application/geo+json"}

_ROUTE = re.compile(r"/api/explore/v2\.1/catalog/datasets/([^/]+)(?:/(?:(records)|exports/(csv|json|geojson)))?")
_TERM = re.compile(r"(?P<field>\w+) +(?:is null|(?P<sign>>=|<) +\"(?P<instant>[^\"]+[+-]\d\d:\d\d)\")")
_AGGREGATE = re.compile(r"(?P<function>count|min|max)\((?P<field>\*|\w+)\) as (?P<name>\w+)")
_KEY = re.compile(r"(?P<field>\w+)|date_format\((?P<month_of>\w+),'yyyy-MM'\) as (?P<name>\w+)")
_COMMA = re.compile(r",\s*(?![^(]*\))")

Headers = list[tuple[str, str]]


class Question(NamedTuple):
    """What is asked: the dataset, `metadata`, `records` or the format of an export, the parameters, and what faults call it."""

    dataset: str
    of: str
    parameters: dict[str, str]
    on: str


@dataclass(frozen=True)
class Reply:
    """An answer ready to be sent, with the faults to play while sending."""

    status: int
    content_type: str
    body: Body
    faults: list[Fault] = field(default_factory=list)
    extra: Headers = field(default_factory=list)
    zips: bool = True

    def fault(self, *kinds: str) -> Fault | None:
        return next((each for each in self.faults if each.kind in kinds), None)


def question(path: str, parameters: dict[str, str]) -> Question:
    """The question that an address asks; PortalError if the stand-in knows no such address."""
    route = _ROUTE.fullmatch(path)
    if route is None or (route[3] == "geojson") != (route[1] == AREAS):
        raise PortalError(404, "NotFoundResource", f"The stand-in has nothing at {path}.")
    on = route[2] or (route[3] and ("grouped" if parameters.get("group_by") else "export")) or "metadata"
    return Question(route[1], route[2] or route[3] or "metadata", parameters, on)


def reply_to(asked: Question, portal: "StandIn", faults: list[Fault]) -> Reply:
    """The reply to a question that meets these faults; PortalError if it is refused."""
    met = {fault.kind: fault for fault in faults}
    if "release_moves_unchanged" in met:
        portal.publish_edit(None)
    if "dataset_gone" in met or asked.dataset not in (*portal.datasets, AREAS):
        raise PortalError(404, "NotFoundResource", f"The requested dataset {asked.dataset} does not exist.")
    _check_parameters(asked)
    attachment = [("content-disposition", f'attachment; filename="{asked.dataset}.{asked.of}"')]
    if asked.of == "geojson":
        return Reply(200, TYPES["geojson"], geojson_body(SAMPLE_AREAS), faults, attachment)
    if asked.of == "metadata":
        release = portal.datasets[asked.dataset]
        fields = seen_through(release.table, faults).schema
        document = metadata(release, fields, portal.now(), _off(release.table.num_rows, met.get("records_count_off")))
        return Reply(200, JSON, Body(json.dumps(document, ensure_ascii=False)), faults)
    table, total = _rows(asked, portal, faults)
    if moving := met.get("release_moves_during_export"):
        portal.publish_edit(moving.details.get("edit"))
        if portal.export_during_publish == "mix":
            half = table.num_rows // 2
            table = pa.concat_tables([table.slice(0, half), _rows(asked, portal, faults)[0].slice(half)])
    table = garbled(table, faults)
    if asked.of == "records":
        total = 0 if "count_flaps" in met else _off(total, met.get("total_count_off"))
        body = json_body(table, f'{{"total_count": {total}, "results": [', ", ", "]}")
        return Reply(200, JSON, body, faults)
    csv = asked.of == "csv"
    body = csv_body(table, asked.parameters.get("with_bom") != "false") if csv else json_body(table, "[", ",", "]")
    return Reply(200, TYPES[asked.of], body, faults, attachment)


def _off(rows: int, fault: Fault | None) -> int:
    return rows + int(fault.details.get("by", 1)) if fault else rows


def _rows(asked: Question, portal: "StandIn", faults: list[Fault]) -> tuple[pa.Table, int]:
    """The rows to print, and how many match; in an arbitrary order, the same each time."""
    table = seen_through(portal.datasets[asked.dataset].table, faults)
    most = int(asked.parameters.get("limit", 10)) if asked.of == "records" else None
    rows = np.flatnonzero(matching(table, asked.parameters.get("where", "")))
    if group_by := asked.parameters.get("group_by"):
        table = table if len(rows) == table.num_rows else table.take(pa.array(rows))
        return grouped(table, asked.parameters.get("select", ""), group_by), len(rows)
    changes = any(fault.kind == "page_order_changes" for fault in faults)
    np.random.default_rng(None if changes else 0).shuffle(rows)
    return table.take(pa.array(rows[:most])), len(rows)


def _check_parameters(asked: Question) -> None:
    names = PORTAL["parameters"][asked.of]
    for name, value in asked.parameters.items():
        if name not in names:
            raise bad_parameter(name, value, f"none (the stand-in knows {', '.join(names) or 'no parameter'} here)")
        pattern, expected = PORTAL["values"].get(name, (".*", ""))
        if not re.fullmatch(pattern, value):
            raise bad_parameter(name, value, expected)
    if asked.parameters.get("select") and not asked.parameters.get("group_by"):
        raise malformed("The stand-in selects from groups only", "select")


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
