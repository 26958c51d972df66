"""All that is known of a single request: what the city says, where it stands among its kind, what moved, and what is beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard import requests
from vanc311_pipeline.dashboard.requests import RequestFilters, Row
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading import addresses
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import remembered
from vanc311_pipeline.schema import overdue_limits, service_requests, time_to_close

REPEATS_WITHIN = timedelta(days=365)
FIELDS = {
    "department": "Department", "issue_type": "Type", "status": "Status", "closure_reason": "Closed because",
    "opened_at": "Opened", "closed_on": "Closed on", "modified_at": "Record last changed", "address": "Address",
    "local_area": "Local area", "channel": "Reported by", "latitude": "Latitude", "longitude": "Longitude",
}  # fmt: skip
"""What the city says, and how that is called here."""

_PLACES = {"address": "address", "area": "local_area"}


class Event(NamedTuple):
    when: str
    what: str
    moved: list[str]


class Beside(NamedTuple):
    """Other requests of a list, its first rows, and where all of it is."""

    number: str
    rows: list[Row]
    url: str


@dataclass(frozen=True)
class Dossier:
    name: str
    label: str
    place: str
    headline: str
    thread: str
    standing: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    sharing: int = 1
    here: Beside | None = None
    near: Beside | None = None
    point: str | None = None


def address(release: Release, request_id: str) -> str:
    """The one address of a request: of a renamed one, that under its new id."""
    known = _known(release, request_id)
    return f"/requests/{known['renamed_to'] or known['request_id']}"


def dossier_of(release: Release, request_id: str) -> Dossier:
    known = _known(release, request_id)
    history: list[Row] = known["history"]
    sharing = max((line["sharing"] for line in history), default=1)
    if known["request"] is None:
        return _tombstone(history, sharing)
    request = known["request"] | {"days_open": _days_open(release, known["request"])}
    return Dossier(
        name=plain("issue", request["issue_type"]),
        label=request["issue_type"],
        place=_place(request),
        headline=_first_capital(requests.state_of(request)),
        thread=history[0]["thread_id"] if history else known["request_id"],
        standing=list(_standing(release, request, known["standing"])),
        fields=_fields(request),
        events=list(_events(release, request, history)),
        sharing=sharing,
        here=_here(release, request),
        near=_near(release, request),
        point=_point(request),
    )


def _known(release: Release, request_id: str) -> dict[str, Any]:
    known = remembered(release, request_id.lower())
    if known is None:
        raise Problem("no-such-request", "No request has, or ever had since the baseline, this id.")
    return known


def _tombstone(history: list[Row], sharing: int) -> Dossier:
    """Of a request that the portal serves no longer: what it was."""
    last = history[-1]
    request: Row = {name: last[name] for name in ("department", "issue_type", "opened_at")}
    for line in history:
        request |= {line["field"]: line["before"] if line["kind"] == "vanished" else line["after"]}
    vanished = last["kind"] == "vanished"
    return Dossier(
        name=plain("issue", request["issue_type"]),
        label=request["issue_type"],
        place=_place(request),
        headline=f"Gone from the city’s data since its release of {words.instant(last['data_processed'])}"
        if vanished
        else "Which request this became can’t be told",
        thread=last["thread_id"],
        fields=_fields(request) if sharing == 1 else [],
        events=list(_changes(history)),
        sharing=sharing,
    )


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _place(request: Mapping[str, Any]) -> str:
    names = [plain(kind, place) for kind, name in _PLACES.items() if (place := request.get(name))]
    return " · ".join(names) or "no address is published"


def _days_open(release: Release, request: Mapping[str, Any]) -> int:
    day = date.fromisoformat(release.about["as_of"]) - date.fromisoformat(request["opened_on"])
    return max(0, day.days)


def _fields(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(text, _value(name, request.get(name))) for name, text in FIELDS.items()]


def _value(name: str, value: Any) -> str:
    """A value of the city's as it is read: instants in Vancouver's time."""
    if value is None:
        return words.NOTHING
    if name in ("address", "channel"):
        return plain(name, value)
    unit = service_requests.c[name].info["unit"] if name in service_requests.c else "text"
    if unit == "UTC instant":
        return words.instant(str(value))
    return words.day(str(value)) if unit == "Vancouver date" else str(value)


def _standing(release: Release, request: Row, standing: Row | None) -> Iterator[str]:
    """Where it stands among its kind, each number with its n."""
    issue = request["issue_type"]
    if request["status"] == "Open":
        if standing:
            yield from _among_open(standing)
        of = overdue_limits
        if limit := release.row(sa.select(of).where(of.c.issue_type == issue)):
            overdue = (
                "it is overdue"
                if requests.overdue_days(request, {issue: limit["opened_before"]})
                else "it is not overdue"
            )
            yield f"Nine in ten of its kind are closed within {words.days(limit['p90_days'])} ({_n(limit)}): {overdue}."
        return
    if request["status"] != "Close":
        return
    for period in ("last_12_months", "all"):
        for row in records_of_group(release, time_to_close, Group("issue", issue=issue), scope="all", period=period):
            if row["median_state"] == State.OK:
                ends = [f"half of its kind are closed within {words.days_or_why(row['median_days'], State.OK)}"]
                ends += [f"nine in ten within {words.days(row['p90_days'])}"] if row["p90_state"] == State.OK else []
                yield f"{_first_capital(', '.join(ends))} ({_n(row)})."
                return
    yield "Too few of its kind to say how long they take."


def _among_open(standing: Row) -> Iterator[str]:
    share, further = standing["closed_sooner_share"], standing["further_median"]
    if share is None:
        yield f"Too few of its kind to say how long they take ({_n(standing)})."
        return
    followed = words.whole(standing["followed"])
    then = (
        f"of {followed} still open as long, half were closed within {words.days(further)} more"
        if standing["state"] == State.OK
        else f"how much longer such a request takes can’t be said ({words.WITHHELD[State(standing['state'])]}: {followed} still open as long)"
    )
    yield f"It has been open {requests.longer_than(share)} ({_n(standing)}); {then}."


def _n(row: Row) -> str:
    return f"n = {words.whole(row['n'])}, opened {words.period(row['period'])}"


def _events(release: Release, request: Row, history: list[Row]) -> Iterator[Event]:
    """From its opening to the release's day."""
    channel = f" by {plain('channel', request['channel'])}" if request["channel"] else ""
    yield Event(words.instant(request["opened_at"]), f"reported{channel}", [])
    yield from _changes(history)
    if request["closed_on"] and not any(line["kind"] == "closed" for line in history):
        yield Event(words.day(request["closed_on"]), "closed, as the city says", [])
    if request["status"] == "Open":
        yield Event(words.day(release.about["as_of"]), "still open", [])


def _changes(history: list[Row]) -> Iterator[Event]:
    """Every change that we saw, with what moved in it."""
    for _, lines in groupby(history, itemgetter("change_id")):
        change = list(lines)
        kind, when = change[0]["kind"], words.instant(change[0]["seen_at"])
        sides = [{line["field"]: line[side] for line in change} for side in ("before", "after")]
        yield Event(when, KINDS[kind], [] if kind in ("opened", "vanished") else moves(*sides))


def moves(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The fields that a change names, as they were and as they are."""
    return [
        f"{text}: {_value(name, before.get(name))} → {_value(name, after.get(name))}"
        for name, text in FIELDS.items()
        if name in before or name in after
    ]


def fields_of(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a request that hold something."""
    return [(text, _value(name, request[name])) for name, text in FIELDS.items() if request.get(name) is not None]


KINDS = {
    "opened": "new in the city’s data", "closed": "seen closed", "reopened": "seen open again", "edited": "record edited",
    "relabelled": "called otherwise by the city", "vanished": "gone from the city’s data",
}  # fmt: skip


def _here(release: Release, request: Row) -> Beside | None:
    """Others at the address, opened within a year before or after: possible repeats."""
    if request["address"] is None:
        return None
    day = date.fromisoformat(request["opened_on"])
    first, last = (str(day + within) for within in (-REPEATS_WITHIN, REPEATS_WITHIN))
    return _beside(release, request, RequestFilters(address=request["address"], opened_from=first, opened_to=last))


def _near(release: Release, request: Row) -> Beside | None:
    """Open ones around it, the closest first."""
    point = _point(request)
    return _beside(release, request, RequestFilters(near=point, status="open", order="closest")) if point else None


def _point(request: Row) -> str | None:
    latitude, longitude = request["latitude"], request["longitude"]
    return None if latitude is None or longitude is None else addresses.near(latitude, longitude)


def _beside(release: Release, request: Row, filters: RequestFilters) -> Beside:
    shown = requests.page(release, filters)
    rows, _ = shown
    others = [row for row in rows if row["request_id"] != request["request_id"]]
    counted = requests.counts(release, filters, shown)
    number = counted.requests - (len(others) < len(rows) or filters.address is not None)
    return Beside(f"{'at least ' if counted.is_bound else ''}{number:,}", others[: requests.SHOWN], filters.url)
