"""What moved, in the order in which we saw it: a feed to follow."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AskedChanges
from vanc311_pipeline.api.routes.requests import NOT_INDEXED
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import requests
from vanc311_pipeline.schema import request_changes

router = Questions(tags=["changes"])


@router.get("/changes", summary="What moved since", **documented_table(request_changes))
def changes(request: Request, asked: Annotated[AskedChanges, Query()]) -> Response:
    release = current(request, asked)
    listing = requests.changes(release, asked.since, kind=asked.kind, issue=asked.issue, department=asked.department)
    return listed(request, asked, listing, request_changes, headers=NOT_INDEXED)
