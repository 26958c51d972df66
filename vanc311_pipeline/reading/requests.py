"""The requests themselves: filtered, page by page, and one of them with all that is remembered of it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.groups import COLUMNS
from vanc311_pipeline.reading.names import KINDS, known
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import open_request_standing, outcome_mapping, request_changes, service_requests

NO_REASON = "N/A"  # as the city says it, and as the tables of outcomes have it; null in service_requests

STANDING = [
    column for column in open_request_standing.columns if column.name not in ("request_id", "as_of", "days_open")
]
DAYS_OPEN = open_request_standing.c.days_open

Condition = str | tuple[str, Any]

# A literal, not a bound value: SQLite uses a partial index only if the text of the question implies its condition.
_IS_OPEN, _IS_CLOSED = (service_requests.c.status == sa.literal_column(f"'{status}'") for status in ("Open", "Close"))
_FEW = 100  # one in so many requests


Filters = Mapping[str, Any]
"""Which requests, by the names in `_CONDITIONS`; None narrows nothing. Days are Vancouver dates, both ends included."""


def requests(release: Release, filters: Filters, *, oldest_first: bool = False) -> Listing:
    """The requests that pass the filters, newest first: by day of closing if that is asked for, else by day of opening."""
    values = _values(release, filters)
    keys = _BY_CLOSING_DAY if values.keys() & {"closed_from", "closed_to"} else _BY_DAY
    return Listing(_filtered(*_conditions(values)), keys, not oldest_first, values)


def open_requests(release: Release, filters: Filters) -> Listing:
    """The open requests that pass the filters, longest open first, and where each stands among those of its type."""
    values = _values(release, filters)
    return Listing(_open(*_conditions(values)), _BY_DAY, values=values | {"as_of": release.about["as_of"]})


def changes(since: str | None = None, **equal: str) -> Listing:
    """What moved, in the order in which we saw it, from a UTC instant or a day on."""
    columns = request_changes.c
    conditions = [columns[COLUMNS.get(name, name)] == value for name, value in equal.items()]
    conditions += [columns.seen_at >= since] if since is not None else []
    return Listing(sa.select(request_changes).where(*conditions), (columns.seen_at, columns.change_id))


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


def _values(release: Release, filters: Filters) -> dict[str, Any]:
    values: dict[str, Any] = {name: str(value) for name, value in filters.items() if value is not None}
    values |= {kind: known(release, kind, values[kind]) for kind in KINDS if kind in values}
    if "outcome" in values and (reasons := _if_rare(release, values["outcome"])):
        del values["outcome"]
        values["rare_reasons"] = reasons
    return values


def _conditions(values: Mapping[str, Any]) -> list[Condition]:
    """By name; some values have one of their own."""
    return [(name, value) if (name, value) in _CONDITIONS else name for name, value in values.items()]


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
    return tuple(requests) if few and schema.MOST_COMMON_REASON not in requests else ()


@lru_cache
def _filtered(*conditions: Condition) -> sa.Select[Any]:
    return sa.select(service_requests).where(*map(_CONDITIONS.__getitem__, conditions))


@lru_cache
def _open(*conditions: Condition) -> sa.Select[Any]:
    days = sa.func.julianday(sa.bindparam("as_of")) - sa.func.julianday(service_requests.c.opened_on)
    days_open = sa.func.max(0, sa.cast(days, sa.INTEGER))  # some were opened since
    same = service_requests.c.request_id == open_request_standing.c.request_id
    return (
        sa.select(service_requests, days_open.label("days_open"), *STANDING)
        .select_from(service_requests.outerjoin(open_request_standing, same))
        .where(_IS_OPEN, *map(_CONDITIONS.__getitem__, conditions))
    )


_NONE: sa.ColumnElement[str] = sa.literal_column(f"'{NO_REASON}'")
_table, _value = service_requests.c, sa.bindparam
_BY_DAY, _BY_CLOSING_DAY = ((day, rowid(service_requests)) for day in (_table.opened_on, _table.closed_on))
_reasons = sa.select(outcome_mapping.c.closure_reason).where(outcome_mapping.c.outcome == _value("outcome"))
_rare: sa.BindParameter[Any] = _value("rare_reasons", expanding=True)
_CONDITIONS: dict[Condition, sa.ColumnElement[bool]] = {
    "area": _table.local_area == _value("area"),
    "issue": _table.issue_type == _value("issue"),
    "department": _table.department == _value("department"),
    "status": sa.and_(_table.status == _value("status"), schema.ODD_STATUS),
    ("status", "Open"): _IS_OPEN,
    ("status", "Close"): _IS_CLOSED,
    "channel": sa.and_(_table.channel == _value("channel"), schema.RARER_CHANNEL),
    **{("channel", channel): _table.channel == _value("channel") for channel in schema.COMMON_CHANNELS},
    "closure_reason": sa.and_(_IS_CLOSED, _table.closure_reason == _value("closure_reason"), schema.RARER_REASON),
    ("closure_reason", schema.MOST_COMMON_REASON): sa.and_(
        _IS_CLOSED, _table.closure_reason == _value("closure_reason")
    ),
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
