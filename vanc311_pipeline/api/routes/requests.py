"""The requests themselves: filtered, those that are open, one with its history, and what moved, in the order in which we saw it.

Some addresses are in the city's data, so search engines are asked to leave these answers out of their indexes.
"""

from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline import schema
from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import answered, current, documented_answer, documented_table, listed
from vanc311_pipeline.api.parameters import Asked, AskedAnyRequests, AskedChanges, AskedRequests, IdInPath
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import requests
from vanc311_pipeline.reading.groups import Coverage, coverage, group_of
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
_Line: Any = models.row_of(models.view("request_history"))


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


@router.get("/requests", summary="Requests, filtered", tags=["requests"], **documented_table(schema.service_requests))
def filtered_requests(request: Request, asked: Annotated[AskedAnyRequests, Query()]) -> Response:
    release = current(request, asked)
    listing = requests.requests(release, asked.filters(), oldest_first=asked.order == "oldest")
    return listed(
        request,
        asked,
        listing,
        schema.service_requests,
        coverage=_coverage(release, asked),
        counted=asked.count == "yes",
        headers=NOT_INDEXED,
    )


@router.get(
    "/requests/open",
    tags=["requests"],
    summary="Open requests, longest open first, and where each stands",
    **documented_table(schema.open_request_standing, OpenRequest),
)
def open_requests(request: Request, asked: Annotated[AskedRequests, Query()]) -> Response:
    release = current(request, asked)
    return listed(
        request,
        asked,
        requests.open_requests(release, asked.filters()),
        schema.open_request_standing,
        coverage=_coverage(release, asked),
        counted=asked.count == "yes",
        headers=NOT_INDEXED,
    )


@router.get(
    "/requests/{request_id}",
    tags=["requests"],
    summary="A request and its history",
    **documented_answer(
        "RememberedRequest",
        RememberedRequest,
        "One request by an id that it has or had, with every change that we saw.",
    ),
)
def one_request(request: Request, request_id: IdInPath, asked: Annotated[Asked, Query()]) -> Response:
    release = current(request, asked)
    found = requests.remembered(release, request_id)
    if found is None:
        raise Problem("no-such-request", f"No request has, or ever had since the baseline, the id {request_id}.")
    state = "present" if found.request else "renamed" if found.renamed_to else "gone"
    remembered = {
        "request_id": request_id,
        "state": state,
        "renamed_to": found.renamed_to,
        "request": found.request,
        "standing": found.standing,
        "history": found.history,
    }
    return answered(request, asked, remembered, table=schema.service_requests, headers=NOT_INDEXED)


@router.get("/changes", summary="What moved since", tags=["changes"], **documented_table(schema.request_changes))
def changes(request: Request, asked: Annotated[AskedChanges, Query()]) -> Response:
    release = current(request, asked)
    listing = requests.changes(release, asked.since, kind=asked.kind, issue=asked.issue, department=asked.department)
    return listed(request, asked, listing, schema.request_changes, headers=NOT_INDEXED)


def _coverage(release: Release, asked: AskedRequests) -> Coverage:
    """Of what the filters name alone: the issue type, else the department, else the city."""
    return coverage(release, group_of(release, issue=asked.issue, department=None if asked.issue else asked.department))
