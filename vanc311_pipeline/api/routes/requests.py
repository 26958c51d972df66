"""The requests themselves: filtered, those that are open, one with its history, and what moved, in the order in which we saw it.

Some addresses are in the city's data, so search engines are asked to leave these answers out of their indexes.
"""

from typing import Any

from pydantic import Field

from vanc311_pipeline import schema
from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import Selection
from vanc311_pipeline.api.parameters import AskedAnyRequests, AskedChanges, AskedRequests
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import requests
from vanc311_pipeline.reading.groups import coverage, group_of
from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release

router = Questions()

NOT_INDEXED = {"x-robots-tag": "noindex"}

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


@router.lists(
    "/requests",
    "Requests, filtered",
    schema.service_requests,
    AskedAnyRequests,
    tag="requests",
    headers=NOT_INDEXED,
)
def filtered_requests(release: Release, asked: AskedAnyRequests) -> Selection:
    return _covered(release, asked, requests.requests(release, asked.filters(), oldest_first=asked.order == "oldest"))


@router.lists(
    "/requests/open",
    "Open requests, longest open first, and where each stands",
    schema.open_request_standing,
    AskedRequests,
    tag="requests",
    row=OpenRequest,
    headers=NOT_INDEXED,
)
def open_requests(release: Release, asked: AskedRequests) -> Selection:
    return _covered(release, asked, requests.open_requests(release, asked.filters()))


def _covered(release: Release, asked: AskedRequests, listing: Listing) -> Selection:
    """Of what the filters name alone: the issue type, else the department, else the city."""
    group = group_of(release, issue=asked.issue, department=None if asked.issue else asked.department)
    return Selection(listing, coverage(release, group))


@router.answers(
    "/requests/{request_id}",
    "A request and its history",
    "One request by an id that it has or had, with every change that we saw.",
    RememberedRequest,
    tag="requests",
    table=schema.service_requests,
    headers=NOT_INDEXED,
)
def one_request(release: Release, request_id: str) -> dict[str, Any]:
    remembered = requests.remembered(release, request_id)
    if remembered is None:
        raise Problem("no-such-request", f"No request has, or ever had since the baseline, the id {request_id}.")
    return remembered


@router.lists("/changes", "What moved since", schema.request_changes, AskedChanges, tag="changes", headers=NOT_INDEXED)
def changes(release: Release, asked: AskedChanges) -> Selection:
    return Selection(
        requests.changes(release, asked.since, kind=asked.kind, issue=asked.issue, department=asked.department)
    )
