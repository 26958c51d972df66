"""The requests themselves: filtered, those that are open, one with its history, and what moved, in the order in which we saw it.

Some addresses are in the city's data, so search engines are asked to leave these answers out of their indexes.
"""

from typing import Any, Literal

from pydantic import Field

from vanc311_pipeline import schema
from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import Selection
from vanc311_pipeline.api.models import (
    AREA,
    AskedSingly,
    AskedTable,
    Day,
    Moment,
    Name,
    Ordinal,
    Point,
    Radius,
    asked_with,
)
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import changes, places, requests
from vanc311_pipeline.reading.groups import coverage, group_of
from vanc311_pipeline.reading.labels import branches_of
from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release

router = Questions(headers={"x-robots-tag": "noindex"}, tags=["requests"])

OpenRequest = models.row_with(
    "OpenRequestRow",
    *schema.service_requests.columns,
    requests.DAYS_OPEN,
    *(models.nullable(column) for column in requests.STANDING),
)
_Request: Any = models.row_of(schema.service_requests)
_Standing: Any = models.row_of(schema.open_request_standing)
_Line: Any = models.row_of(schema.request_history)


class RememberedRequest(models.Model):
    """All that is known of a request."""

    request_id: str = Field(description="the id that was asked for")
    state: str = Field(
        description="present; renamed: it has another id by now; or gone: the portal serves it no longer"
    )
    renamed_to: str | None = Field(description="if it was renamed: the id that it has now, if that can be told")
    request: _Request | None = Field(description="the request as it is now")
    standing: _Standing | None = Field(description="if it is open: where it stands among those of its type")
    history: list[_Line] = Field(
        description="every change that we saw, a line for each field; none means unchanged since the baseline"
    )


_of = schema.service_requests.c
_open = asked_with(
    AskedSingly,
    *(_of.issue_type, _of.channel),
    department=(Name, "the city department, or the prefix of several, such as ENG"),
    area=(Name, AREA),
    street=(Name, "of the address, such as E GEORGIA ST; at a crossing either"),
    address=(Name, "as the city writes it, such as 2538 E GEORGIA ST"),
    bia=(Name, "the business improvement area that the point lies in"),
    near=(Point, "a point, such as 49.2827,-123.1207: only requests whose own point is close to it"),
    radius=(Radius, f"how close, in metres; {places.RADIUS} if not given"),
    overdue=(Literal["yes"], "open, and longer than nine in ten of its type took; see the view overdue_limits"),
    opened_from=(Day, "opened on this Vancouver date or later"),
    opened_to=(Day, "opened on this Vancouver date or earlier"),
    located=(Literal["yes", "no"], "with a local area, or without"),
    order=(Literal["longest", "overdue", "closest"], "longest open, most overdue, or closest to the point first"),
    count=(Literal["yes"], "also say in `meta.total` how many there are in all pages"),
)
_any = asked_with(
    _open,
    _of.status,
    closure_reason=(Name, "why it was closed, as the city says it; N/A stands for closed without a reason"),
    outcome=(Name, "closed, and for a reason of this outcome group"),
    closed_from=(Day, "closed on this Vancouver date or later"),
    closed_to=(Day, "closed on this Vancouver date or earlier"),
    order=(
        Literal[*requests.ORDERS],
        "newest or oldest first: by day of opening, or of closing if closed_from or closed_to is given; longest open or most overdue first, "
        "or by problem and street: of the open ones; closest to the point first. If this is not given, the newest",
    ),
)
_moved = schema.request_changes.c
_changes = asked_with(
    AskedSingly,
    *(_moved.kind, _moved.issue_type, _moved.department),
    area=(Name, f"{AREA}: where the request was after the change, or before it"),
    after=(
        Ordinal,
        "after the change of this change_id, whatever the release: to follow the log, the last one that you have",
    ),
    since=(Moment, "seen at this UTC instant or day, or later, such as 2026-01-12T00:00:00Z"),
)


@router.lists("/requests", "Requests, filtered", schema.service_requests, _any)
def filtered_requests(release: Release, asked: AskedTable) -> Selection:
    filters = asked.narrowing()
    return _covered(release, filters, requests.requests(release, filters, filters.pop("order", "newest")))


@router.lists(
    "/requests/open",
    "Open requests, longest open first, and where each stands",
    schema.open_request_standing,
    _open,
    row=OpenRequest,
)
def open_requests(release: Release, asked: AskedTable) -> Selection:
    filters = asked.narrowing()
    return _covered(release, filters, requests.open_requests(release, filters, filters.pop("order", "longest")))


def _covered(release: Release, asked: dict[str, Any], listing: Listing) -> Selection:
    """Of what the filters name alone: the issue type, else the department, else the city, as of a group of departments."""
    issue, department = asked.get("issue"), asked.get("department")
    alone = None if issue or (department and branches_of(release, department)) else department
    group = group_of(release, issue=issue, department=alone)
    return Selection(listing, coverage(release, group))


@router.finds("/requests/{request_id}", "A request and its history", RememberedRequest, schema.service_requests)
def one_request(release: Release, request_id: str) -> dict[str, Any]:
    """One request by an id that it has or had, with every change that we saw."""
    remembered = requests.remembered(release, request_id)
    if remembered is None:
        raise Problem("no-such-request", f"No request has, or ever had since the baseline, the id {request_id}.")
    return remembered


@router.lists("/changes", "What moved since", schema.request_changes, _changes, name="changes")
def moved(release: Release, asked: AskedTable) -> Selection:
    return Selection(changes.changes(release, **asked.narrowing()))
