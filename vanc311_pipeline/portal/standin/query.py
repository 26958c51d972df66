"""The parameters of a question, checked as the portal checks them.

Belongs here: which parameters an endpoint knows, their types, limits and defaults, and the portal's words when they
are wrong. A parameter that the stand-in does not know is refused rather than ignored. Does not belong here: whether
fields exist, and the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from vanc311_pipeline.portal.standin.errors import PARAMETER, NotImplementedHere, PortalError, bad_parameter, malformed
from vanc311_pipeline.portal.standin.odsql import read_group_by, read_order_by, read_select, read_where
from vanc311_pipeline.portal.standin.odsql_nodes import Condition, Everything, Item, Sorting
from vanc311_pipeline.portal.standin.options import Options

PAGE, WINDOW = 100, 10_000

Parameters = dict[str, list[str]]

_ROWS = {"select", "where", "group_by", "order_by", "limit", "refine", "exclude", "lang", "timezone", "apikey"}
KNOWN = {
    "metadata": {"lang", "timezone", "include_links", "include_app_metas", "apikey"},
    "records": _ROWS | {"offset", "include_links", "include_app_metas"},
    "export": _ROWS
    | {"offset", "rows", "use_labels", "compressed", "epsg", "delimiter", "list_separator", "quote_all", "with_bom"}
    | {"parquet_compression"},
    "facets": {"facet", "where", "refine", "exclude", "lang", "timezone", "apikey"},
}
_ONLY = {"lang": {"en"}, "include_links": {"false"}, "include_app_metas": {"false"}, "compressed": {"false"}}
_ONLY |= {"quote_all": {"false"}, "epsg": {"4326"}, "list_separator": {","}}


@dataclass(frozen=True)
class Query:
    """A question about the rows of a dataset."""

    select: tuple[Item | Everything, ...] = ()
    where: Condition | None = None
    group_by: tuple[Item, ...] = ()
    order_by: tuple[Sorting, ...] = ()
    refine: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    timezone: str = "UTC"


def check_parameters(endpoint: str, given: Parameters) -> None:
    """Refuse parameters that the stand-in does not implement for this endpoint."""
    for name, values in given.items():
        if name not in KNOWN[endpoint]:
            raise NotImplementedHere(f"the parameter {name} on {endpoint}")
        if name in _ONLY and values[-1].lower() not in _ONLY[name]:
            raise NotImplementedHere(f"{name}={values[-1]}")


def read_query(endpoint: str, given: Parameters, options: Options) -> Query:
    """The question in the parameters, its limits checked."""
    check_parameters(endpoint, given)
    where = [text for text in given.get("where", []) if text.strip()]
    if len(where) > 1:
        raise NotImplementedHere("several where parameters")
    select, group_by, order_by = (one(given, name) for name in ("select", "group_by", "order_by"))
    query = Query(
        select=tuple(read_select(select)) if select else (),
        where=read_where(where[0]) if where else None,
        group_by=tuple(read_group_by(group_by)) if group_by else (),
        order_by=tuple(read_order_by(order_by)) if order_by else (),
        refine=tuple(given.get("refine", [])),
        exclude=tuple(given.get("exclude", [])),
        limit=_limit(endpoint, given, bool(group_by), options),
        offset=_whole_number(given, "offset", 0),
        timezone=one(given, "timezone") or "UTC",
    )
    if query.offset < 0:
        raise bad_parameter("offset", query.offset, "0 <= offset")
    _check_aliases(query)
    if endpoint == "records":
        _check_window(query, options)
    return query


def one(given: Parameters, name: str) -> str:
    return given.get(name, [""])[-1].strip()


def flag(given: Parameters, name: str, default: bool) -> bool:
    text = one(given, name).lower()
    if text not in ("", "true", "false"):
        raise bad_parameter(name, text, "true or false")
    return text == "true" if text else default


def _whole_number(given: Parameters, name: str, default: int) -> int:
    text = one(given, name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise bad_parameter(name, text, "a whole number") from error


def _limit(endpoint: str, given: Parameters, is_grouped: bool, options: Options) -> int | None:
    """Rows asked for; None is all of them."""
    if endpoint == "export":
        if given.get("limit") and given.get("rows"):
            raise NotImplementedHere("limit together with rows")
        limit = _whole_number(given, "limit" if given.get("limit") else "rows", -1)
        if limit < -1:
            raise bad_parameter("limit", limit, "-1 <= limit")
        return None if limit == -1 else limit
    cap = options.group_cap if is_grouped else PAGE
    limit = _whole_number(given, "limit", 10)
    if limit == 0 and options.limit_zero == "refused":
        raise bad_parameter("limit", limit, f"1 <= limit <= {cap}")
    if not -1 <= limit <= cap:
        raise bad_parameter("limit", limit, f"-1 <= limit <= {cap}")
    return cap if limit == -1 else limit


def _check_window(query: Query, options: Options) -> None:
    window = options.group_cap if query.group_by else WINDOW
    reach = query.offset + (query.limit or 0)
    if reach > window:
        raise window_error(reach, window)


def window_error(reach: int, window: int = WINDOW) -> PortalError:
    return PortalError(
        400,
        PARAMETER,
        f"Invalid value for sum of offset + limit API parameter: {reach} was found but <= {window} is expected.",
    )


def _check_aliases(query: Query) -> None:
    aliases = [each.alias for each in (*query.select, *query.group_by) if isinstance(each, Item) and each.alias]
    for alias in aliases:
        if aliases.count(alias) > 1:
            clauses = ("select", "group_by") if query.group_by else ("select",)
            raise malformed(f"Alias '{alias}' is declared several times", *clauses)
