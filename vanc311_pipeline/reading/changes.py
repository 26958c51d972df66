"""What moved, in the order in which we saw it: the log as programs follow it, and what of it a reader follows, with the place that each
request had then.

Where a request was after a change is what the next change of it says that it was, else where it is now; and where it was before the
change, what the change itself says. So what is of a place stays so, whatever is logged later, but for requests that share a thread.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.reading import places
from vanc311_pipeline.reading.groups import COLUMNS
from vanc311_pipeline.reading.labels import branches_of
from vanc311_pipeline.reading.names import UnknownName, known
from vanc311_pipeline.reading.pages import Listing, read_page
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import requests
from vanc311_pipeline.schema import request_changes, service_requests

KINDS = ("opened", "closed", "reopened", "edited", "relabelled", "vanished")
PLACE = ("address", "local_area", "latitude", "longitude")
_REQUESTS_LOOKED_UP = 500

Filters = Mapping[str, Any]
"""Which changes: of requests that were then, before or after, of an `area`, an `issue`, a `department` or a group of them, on a `street`, at
an `address`, in a `bia`, or `near` a point within a `radius` of metres; of one `thread`; of some `kinds`. None narrows nothing.
"""
Row = dict[str, Any]
At = Callable[[str], sa.ColumnElement[Any]]

_log, _stored = request_changes.c, service_requests.c
_later, _newest_log = request_changes.alias("later").c, request_changes.alias("newest")
_newest = _newest_log.c


def changes(
    release: Release, *, area: str | None = None, since: str | None = None, after: int | None = None, **equal: str
) -> Listing:
    """The log: from a UTC instant or a day on, after a change, of an area; other columns as they are given."""
    conditions = [_log[COLUMNS.get(name, name)] == value for name, value in equal.items()]
    if area is not None:
        conditions.append(_is_at({"area": known(release, "area", area)}))
    if since is not None:
        # By the index of seen_at, which the + keeps SQLite at; so that the rest is in the order of the log.
        number = sa.func.min(sa.literal_column("+newest.change_id", sa.INTEGER))
        first = sa.select(number).select_from(_newest_log).where(_newest.seen_at >= since).scalar_subquery()
        conditions += [_log.change_id >= first, sa.literal_column("+request_changes.seen_at") >= since]
    if after is not None:
        conditions.append(_log.change_id > after)
    return Listing(sa.select(request_changes).where(*conditions), (_log.change_id,))


def thread_of(release: Release, request_id: str) -> str | None:
    """The thread of a request that has an id, or had it; else the id itself, if a request has it that never moved, or a thread is so called."""
    for same in (_log.request_id, _log.previous_request_id, _log.thread_id):
        if thread := release.row(sa.select(_log.thread_id).where(same == request_id)):
            return str(thread["thread_id"])
    return request_id if release.row(sa.select(_stored.request_id).where(_stored.request_id == request_id)) else None


def labels(release: Release, kind: str) -> tuple[str, ...]:
    """The issue types, or departments, that stand in the log, whether a request has them now or not."""
    column = _log[COLUMNS[kind]]
    return release.remembered(("labels in the log", kind), lambda: sa.select(column).distinct())


def last_id(release: Release) -> int:
    """The number of changes in the log, which is the newest one's."""
    return int(release.scalars(sa.select(sa.func.coalesce(sa.func.max(_log.change_id), 0)))[0])


def between(release: Release, filters: Filters, after: int, last: int) -> list[Row]:
    """The changes that pass, from one number, which is left out, to another, newest first, with the place of each request after it."""
    return _read(release, filters, _log.change_id > after, _log.change_id <= last)


def newest(release: Release, filters: Filters, number: int) -> list[Row]:
    """The newest changes of the requests opened last, of those that are there now: a few, however long ago they moved."""
    of_place = {name: value for name, value in filters.items() if name not in ("kinds", "thread")}
    try:
        page = read_page(release, requests(release, of_place), None, _REQUESTS_LOOKED_UP)
    except UnknownName:  # none has that label now
        return []
    return _read(release, filters, _log.request_id.in_([row[0] for row in page.rows]))[:number]


def seen(release: Release, filters: Filters, begin: str, end: str) -> Counter[tuple[str, str]]:
    """How many changes that pass were seen at which instant, from one UTC instant until before another, by instant and kind."""
    during = _log.seen_at >= begin, _log.seen_at < end
    if not _is_told_exactly(filters):
        return Counter((row["seen_at"], row["kind"]) for row in _read(release, filters, *during))
    values, of = _values(release, filters), (_log.seen_at, _log.kind)
    question = sa.select(*of, sa.func.count()).where(*during, *_conditions(values)).group_by(*of)
    return Counter({(at, kind): number for at, kind, number in release.rows(question, values=values)})


def first_seen(release: Release) -> str | None:
    """When the first change was seen."""
    return next(iter(release.scalars(sa.select(_log.seen_at).order_by(_log.change_id).limit(1))), None)


def _read(release: Release, filters: Filters, *range_: sa.ColumnElement[bool]) -> list[Row]:
    values = _values(release, filters)
    columns = [_then(name).label(name) for name in PLACE]
    question = sa.select(request_changes, *columns).where(*range_, *_conditions(values))
    rows = [dict(row._mapping) for row in release.rows(question.order_by(_log.change_id.desc()), values=values)]
    for row in rows:
        row |= {side: json.loads(row[side]) if row[side] else None for side in ("before", "after")}
    return rows if _is_told_exactly(filters) else [row for row in rows if _is_there(row, values)]


def _is_told_exactly(filters: Filters) -> bool:
    """Whether SQL can tell which changes pass: it knows no streets and no outlines."""
    return filters.get("street") is None and filters.get("bia") is None


def _values(release: Release, filters: Filters) -> dict[str, Any]:
    values = {name: value for name, value in filters.items() if value is not None}
    if "near" in values:
        values |= places.around(values["near"], values.pop("radius", None) or places.RADIUS)
    if "department" in values:
        values["department"] = branches_of(release, values["department"]) or (values["department"],)
    return values


def _conditions(values: Filters) -> list[sa.ColumnElement[bool]]:
    conditions = list[sa.ColumnElement[bool]]()
    if "kinds" in values:
        conditions.append(sa.literal_column("+request_changes.kind").in_(values["kinds"]))
    if "thread" in values:
        conditions.append(_log.thread_id == values["thread"])
    for kind in ("issue", "department"):
        if kind in values:
            labels: Sequence[str] = [values[kind]] if isinstance(values[kind], str) else values[kind]
            column = COLUMNS[kind]
            now = sa.literal_column(f"+request_changes.{column}").in_(labels)
            conditions.append(sa.or_(now, sa.and_(_log.kind == "relabelled", _was(_log, column).in_(labels))))
    return conditions + ([_is_at(values)] if _fields_of(values) else [])


def _fields_of(values: Filters) -> list[str]:
    """The fields by which a place is told."""
    told_by = {"area": ["local_area"], "address": ["address"], "street": ["address"]}
    point = ["latitude", "longitude"] if values.keys() & {"near", "bia"} else []
    return [*(name for kind, [name] in told_by.items() if kind in values), *point]


def _is_at(values: Filters) -> sa.ColumnElement[bool]:
    """Whether the request was there after the change, or before it. On a street and in an improvement area: or near it, see `_is_there`."""
    moved = sa.or_(*(_says(_log, name) for name in _fields_of(values)))
    return sa.or_(
        sa.and_(_log.kind != "vanished", *_at(values, _then)),
        sa.and_(moved, *_at(values, _before)),
    )


def _at(values: Filters, at: At) -> list[sa.ColumnElement[bool]]:
    conditions = list[sa.ColumnElement[bool]]()
    if "area" in values:
        conditions.append(at("local_area") == values["area"])
    if "address" in values:
        conditions.append(at("address") == values["address"])
    if "street" in values:
        conditions.append(sa.func.instr(at("address"), values["street"]) > 0)
    if "bia" in values:
        west, south, east, north = places.outline_of(values["bia"]).bounds
        conditions += [at("latitude").between(south, north), at("longitude").between(west, east)]
    if "near" in values:
        conditions.append(places.is_near(at("latitude"), at("longitude")))
    return conditions


def _is_there(row: Row, values: Filters) -> bool:
    """The same, exactly."""
    then = {name: row[name] for name in PLACE}
    was = row["before"] if row["kind"] == "vanished" else then | (row["before"] or {})
    return any(_lies(place, values) for place in ([was] if row["kind"] == "vanished" else [then, was]))


def _lies(place: Row, values: Filters) -> bool:
    on = "street" not in values or values["street"] in places.streets_of(place.get("address"))
    return on and ("bia" not in values or places.is_in(values["bia"], place.get("latitude"), place.get("longitude")))


def _was(log: Any, name: str) -> sa.ColumnElement[Any]:
    return sa.func.json_extract(log.before, f"$.{name}")


def _says(log: Any, name: str) -> sa.ColumnElement[bool]:
    """Whether a change says what a field was before it: of a vanished request, what isn't named was null."""
    return sa.or_(log.kind == "vanished", sa.func.json_type(log.before, f"$.{name}").is_not(None))


def _before(name: str) -> sa.ColumnElement[Any]:
    return sa.case((_says(_log, name), _was(_log, name)), else_=_then(name))


def _then(name: str) -> sa.ColumnElement[Any]:
    """A field of the request after the change."""
    following = sa.select(sa.func.coalesce(_was(_later, name), "")).where(
        _later.thread_id == _log.thread_id, _later.change_id > _log.change_id, _says(_later, name)
    )
    last = sa.select(_newest.request_id).where(_newest.thread_id == _log.thread_id)
    last_id = last.order_by(_newest.change_id.desc()).limit(1).correlate(request_changes).scalar_subquery()
    now = [
        sa.select(_stored[name]).where(_stored.request_id == same).correlate(request_changes).scalar_subquery()
        for same in (_log.request_id, last_id)  # under another id, if it was renamed since
    ]
    next_says = following.order_by(_later.change_id).limit(1).correlate(request_changes).scalar_subquery()
    return sa.func.nullif(sa.func.coalesce(next_says, *now), "")
