"""The requests themselves: filtered, page by page, and one of them with all that is remembered of it."""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading import places
from vanc311_pipeline.reading.groups import group_of, records_of_group
from vanc311_pipeline.reading.labels import branches_of
from vanc311_pipeline.reading.names import KINDS, known
from vanc311_pipeline.reading.pages import Listing, count, rowid
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import (
    open_request_standing,
    outcome_mapping,
    overdue_limits,
    request_changes,
    service_requests,
    time_to_close,
)

NO_REASON = "N/A"  # as the city says it, and as the tables of outcomes have it; null in service_requests

STANDING = [
    column for column in open_request_standing.columns if column.name not in ("request_id", "as_of", "days_open")
]
DAYS_OPEN = open_request_standing.c.days_open

Condition = str | tuple[str, Any]

# A literal, not a bound value: SQLite uses a partial index only if the text of the question implies its condition.
_IS_OPEN, _IS_CLOSED = (service_requests.c.status == sa.literal_column(f"'{status}'") for status in ("Open", "Close"))
_FEW = 100  # one in so many requests
_FEW_AT_PLACES, _FEW_IN_INDEX = 10_000, 30
"""So many requests at places are looked up before all are gone through from day to day; one in so many, if their index says enough of them."""
_IN_INDEX = {*places.KINDS, *places.around("0,0", 1), "opened_from", "opened_to", "issue"}

Columns = Callable[[sa.FromClause], sa.Select[Any]]
"""Selects what a list shows of the requests in a source."""

ORDERS = ("newest", "oldest", "longest", "overdue", "problem", "closest")
OF_OPEN = ("longest", "overdue", "problem")
"""The orders of open requests."""

Filters = Mapping[str, Any]
"""Which requests, by the names in `_CONDITIONS` and `places.KINDS`; None narrows nothing. Days are Vancouver dates, both ends included;
`department` may be the prefix of several; `near` is a point, `latitude,longitude`, and `radius` its surroundings in metres.
"""


class NoPoint(LookupError):
    """What is asked for is around a point, and none is given."""


def requests(release: Release, filters: Filters, order: str = "newest") -> Listing:
    """The requests that pass the filters: newest or oldest first, by day of closing if that is asked for, else of opening; those closest
    to a point; or open ones, first those longest open, or most overdue.
    """
    return _listing(release, filters, order, _request)


def seen(release: Release, filters: Filters, order: str = "newest") -> Listing:
    """The same requests, with the days that they are open, or would be, and where open ones stand."""
    return _listing(release, filters, order, _standing)


def open_requests(release: Release, filters: Filters, order: str = "longest") -> Listing:
    """The open requests that pass the filters, and where each stands among those of its type."""
    return _listing(release, {**filters, "status": "Open"}, order, _standing)


def number(release: Release, filters: Filters, order: str = "newest") -> int | None:
    """How many requests pass the filters, if the file has that number, or an index of few tells it."""
    values = _narrowed(release, filters, order)
    asked = {name for name, value in filters.items() if value is not None} - {"radius"} | values.keys() & {"status"}
    is_open = values.get("status") == "Open"
    if kinds := places.kinds_in(values):
        return places.requests_at(release, values) if {*kinds} == asked - ({"status"} if is_open else set()) else None
    if is_open and asked <= {"status", "overdue", "area", "issue", "department"}:
        return count(release, requests(release, {**filters, "status": "Open"}))
    if asked <= {"area", "issue"}:
        group = group_of(release, area=values.get("area"), issue=values.get("issue"))
        scope = "located" if group.area else "all"
        return sum(
            int(row["volume"]) for row in records_of_group(release, time_to_close, group, scope=scope, period="all")
        )
    if asked == {"department"}:
        branches = values.get("branches") or values.get("few_branches") or (values["department"],)
        return _volume(release, branches)
    if len(asked) == 1 and asked <= {"status", "channel"}:
        [name], of = asked, schema.request_values.c
        return sum(
            map(int, release.scalars(sa.select(of.requests).where(of.column_name == name, of.value == values[name])))
        )
    return None


def remembered(release: Release, request_id: str) -> dict[str, Any] | None:
    """All that is known of a request, by an id that it has or had; None if no request ever had it. Renamed is what has another id by now."""
    request = release.row(sa.select(service_requests).where(service_requests.c.request_id == request_id))
    threads = _threads(release, request_id)
    if request is None and not threads:
        return None
    standing = sa.select(open_request_standing).where(open_request_standing.c.request_id == request_id)
    line = schema.request_history.c
    lines = sa.select(schema.request_history).where(line.thread_id.in_(threads)).order_by(line.change_id, line.field)
    history = release.records(lines) if threads else []
    renamed_to = None if request else _new_id(history, request_id)
    return {
        "request_id": request_id,
        "state": "present" if request else "renamed" if renamed_to else "gone",
        "renamed_to": renamed_to,
        "request": request,
        "standing": release.row(standing) if request else None,
        "history": history,
    }


def _threads(release: Release, request_id: str) -> list[str]:
    """Those of the request that has the id, or else had it."""
    columns = request_changes.c
    question = sa.select(columns.thread_id).distinct()
    threads = release.scalars(question.where(columns.request_id == request_id))
    return threads or release.scalars(question.where(columns.previous_request_id == request_id))


def _new_id(lines: list[dict[str, Any]], request_id: str) -> str | None:
    """The id that it has by now, which nobody can tell where several share the thread."""
    if not lines or lines[-1]["kind"] == "vanished" or any(line["sharing"] > 1 for line in lines):
        return None
    last = str(lines[-1]["request_id"])
    return last if last != request_id else None


def _listing(release: Release, filters: Filters, order: str, columns: Columns) -> Listing:
    values = _narrowed(release, filters, order)
    if order == "closest" and "near" not in values:
        raise NoPoint("Which are the closest? Name a point, too: near=latitude,longitude.")
    keys, descending = _KEYS[order]
    if keys is _BY_DAY and values.keys() & {"closed_from", "closed_to"}:
        keys = _BY_CLOSING_DAY
    kinds = places.kinds_in(values)
    way = _way(release, values, order) if kinds else None
    values["as_of"] = release.about["as_of"]
    by_limits = order == "overdue" or "overdue" in values
    is_sorted = order in ("overdue", "problem", "closest") or way in ("places first", "by type and point")
    question = _question(tuple(_conditions(values)), kinds, way, by_limits, _no_more if is_sorted else columns)
    rings = places.rings(values) if order == "closest" and way == "places first" else ()
    return Listing(question, keys, descending, values, _of_page(columns) if is_sorted else None, rings)


def _way(release: Release, values: Mapping[str, Any], order: str) -> places.Way:
    """By their places, if those have few requests, or their index tells all that is asked, or nothing else says which are the closest."""
    asked = {name for name, value in values.items() if (name, value) != ("status", "Open")}
    if "issue" in asked and asked == {*values} and places.kinds_in(values) == ("near",):
        return "by type and point"
    if "issue" in asked <= _IN_INDEX or (order == "closest" and "few_branches" not in asked):
        return "places first"
    few = release.about["rows_stored"] // _FEW_IN_INDEX if asked <= _IN_INDEX else _FEW_AT_PLACES
    return "places first" if places.requests_at(release, values) < few else "requests first"


def _narrowed(release: Release, filters: Filters, order: str) -> dict[str, Any]:
    """The values that requests must have; some orders are of open ones."""
    values = _values(release, filters)
    if order in OF_OPEN or "overdue" in values:
        values.setdefault("status", "Open")
    return values


def _values(release: Release, filters: Filters) -> dict[str, Any]:
    values: dict[str, Any] = {name: str(value) for name, value in filters.items() if value is not None}
    radius = int(values.pop("radius", 0))
    if "near" in values:
        values |= places.around(values["near"], radius or places.RADIUS)
    elif radius:
        raise NoPoint("A radius is around a point: name it, too, near=latitude,longitude.")
    if "department" in values and (branches := branches_of(release, values["department"])):
        del values["department"]
        values["few_branches" if _are_few(release, branches) else "branches"] = branches
    values |= {kind: known(release, kind, values[kind]) for kind in KINDS if kind in values}
    if "department" in values and places.kinds_in(values) and _are_few(release, (values["department"],)):
        values["few_branches"] = (values.pop("department"),)
    if "address" in values:
        values["address"] = places.known_address(release, values["address"])
    if "outcome" in values and (reasons := _if_rare(release, values["outcome"])):
        del values["outcome"]
        values["rare_reasons"] = reasons
    return values


def _conditions(values: Mapping[str, Any]) -> list[Condition]:
    """By name; some values have one of their own."""
    named = ((name, value) if (name, value) in _CONDITIONS else name for name, value in values.items())
    return [condition for condition in named if condition in _CONDITIONS]


def _are_few(release: Release, branches: tuple[str, ...]) -> bool:
    """Whether few requests are of them."""
    return bool(_volume(release, branches) * _FEW < release.about["rows_stored"])


def _volume(release: Release, branches: tuple[str, ...]) -> int:
    """How many requests are of them."""
    of = time_to_close.c
    volumes = sa.select(of.department, of.volume).where(
        of.level == "department", of.local_area.is_(None), of.scope == "all", of.period == "all"
    )
    volume: dict[str, int] = dict(release.remembered("volumes of departments", lambda: volumes))
    return sum(volume.get(branch, 0) for branch in branches)


def _if_rare(release: Release, outcome: str) -> tuple[str, ...]:
    """The reasons of an outcome, if few requests were closed for one of them; else none."""
    mapped, values = outcome_mapping.c, schema.request_values.c
    counted = sa.and_(values.column_name == "closure_reason", values.value == mapped.closure_reason)
    requests = dict(
        release.remembered(
            ("reasons", outcome),
            lambda: (
                sa.select(mapped.closure_reason, sa.func.coalesce(values.requests, 0))
                .select_from(outcome_mapping.outerjoin(schema.request_values, counted))
                .where(mapped.outcome == outcome)
            ),
        )
    )
    few = sum(requests.values()) * _FEW < release.about["rows_stored"]
    return tuple(requests) if few and not requests.keys() & set(schema.COMMON_REASONS) else ()


@lru_cache
def _question(
    conditions: tuple[Condition, ...], kinds: tuple[str, ...], way: places.Way | None, by_limits: bool, columns: Columns
) -> sa.Select[Any]:
    """The requests for which the conditions hold, at places if any are meant."""
    source, at_places = places.requests_meant(kinds, way) if way else (service_requests, [])
    if by_limits:
        source = source.outerjoin(overdue_limits, overdue_limits.c.issue_type == _table.issue_type)
    where = [_CONDITIONS[condition] for condition in conditions]
    return columns(source).where(*where, *at_places)


def _no_more(source: sa.FromClause) -> sa.Select[Any]:
    """Which requests they are."""
    return sa.select(rowid(service_requests).label("request")).select_from(source)


def _request(source: sa.FromClause) -> sa.Select[Any]:
    """The requests, whole."""
    return sa.select(*service_requests.columns).select_from(source)


def _standing(source: sa.FromClause) -> sa.Select[Any]:
    """The same, with their days and their standing. Some were opened since."""
    days_open = sa.func.max(0, _days_open).label("days_open")
    standing = source.outerjoin(open_request_standing, open_request_standing.c.request_id == _table.request_id)
    return sa.select(*service_requests.columns, days_open, *STANDING).select_from(standing)


@cache
def _of_page(columns: Columns) -> Columns:
    """The same columns of the requests of a page, which says which they are."""
    same = rowid(service_requests)
    return lambda page: columns(places.in_order(page, service_requests, same == page.c.request))


_NONE: sa.ColumnElement[str] = sa.literal_column(f"'{NO_REASON}'")
_table, _value = service_requests.c, sa.bindparam
_julian = sa.func.julianday
_days_open = sa.cast(_julian(_value("as_of")) - _julian(_table.opened_on), sa.INTEGER)

_BY_DAY, _BY_CLOSING_DAY = ((day, rowid(service_requests)) for day in (_table.opened_on, _table.closed_on))
_over = sa.cast(_julian(overdue_limits.c.opened_before) - _julian(_table.opened_on), sa.INTEGER)
_at = schema.places.alias("at")
_first_street = sa.select(_at.c.street).where(_at.c.address == _table.address).limit(1).correlate(service_requests)
_street = sa.func.coalesce(_first_street.scalar_subquery(), "", type_=sa.TEXT())
_KEYS: dict[str, tuple[tuple[sa.ColumnElement[Any], ...], bool]] = {
    "newest": (_BY_DAY, True),
    "oldest": (_BY_DAY, False),
    "longest": (_BY_DAY, False),
    # Those of types that aren't judged come last.
    "overdue": ((sa.func.coalesce(_over, -(10**6), type_=sa.INTEGER()), rowid(service_requests)), True),
    "problem": ((_table.issue_type, _street, rowid(service_requests)), False),
    "closest": ((places.DISTANCE, rowid(service_requests)), False),
}
"""By what the pages of an order go, and whether downwards."""
_reasons = sa.select(outcome_mapping.c.closure_reason).where(outcome_mapping.c.outcome == _value("outcome"))
_rare: sa.BindParameter[Any] = _value("rare_reasons", expanding=True)
_CONDITIONS: dict[Condition, sa.ColumnElement[bool]] = {
    "area": _table.local_area == _value("area"),
    "issue": _table.issue_type == _value("issue"),
    "department": _table.department == _value("department"),
    "few_branches": _table.department.in_(_value("few_branches", expanding=True)),
    # Many are soon come by on a walk from day to day; the + keeps SQLite from sorting them.
    "branches": sa.literal_column("+service_requests.department").in_(_value("branches", expanding=True)),
    "address": sa.and_(_table.address == _value("address"), schema.AT_A_PLACE),
    # Not simply <: SQLite would take it for an inner join, and go through the limits first, then for each through the requests.
    "overdue": sa.and_(_IS_OPEN, _table.opened_on < sa.func.coalesce(overdue_limits.c.opened_before, "")),
    "status": sa.and_(_table.status == _value("status"), schema.ODD_STATUS),
    ("status", "Open"): _IS_OPEN,
    ("status", "Close"): _IS_CLOSED,
    "channel": sa.and_(_table.channel == _value("channel"), schema.RARER_CHANNEL),
    **{("channel", channel): _table.channel == _value("channel") for channel in schema.COMMON_CHANNELS},
    "closure_reason": sa.and_(_IS_CLOSED, _table.closure_reason == _value("closure_reason"), schema.RARER_REASON),
    **{
        ("closure_reason", reason): sa.and_(_IS_CLOSED, _table.closure_reason == _value("closure_reason"))
        for reason in schema.COMMON_REASONS
    },
    ("closure_reason", NO_REASON): sa.and_(schema.UNEXPLAINED),
    "outcome": sa.and_(_IS_CLOSED, sa.func.coalesce(_table.closure_reason, _NONE).in_(_reasons)),
    # The same for rare reasons, in the words of the indexes.
    "rare_reasons": sa.or_(
        sa.and_(_IS_CLOSED, _table.closure_reason.in_(_rare), schema.RARER_REASON),
        sa.and_(schema.UNEXPLAINED, _NONE.in_(_rare)),
    ),
    "opened_from": _table.opened_on >= _value("opened_from"),
    "opened_to": _table.opened_on <= _value("opened_to"),
    "closed_from": _table.closed_on >= _value("closed_from"),
    "closed_to": _table.closed_on <= _value("closed_to"),
    ("located", "yes"): _table.local_area.is_not(None),
    ("located", "no"): _table.local_area.is_(None),
}
