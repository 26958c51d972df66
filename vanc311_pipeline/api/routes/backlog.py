"""What is waiting: by age, day by day, and whether it grows."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.groups import listed_groups
from vanc311_pipeline.api.listing import documented_table
from vanc311_pipeline.api.parameters import AskedDays, AskedGroups
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.schema import backlog_by_age, backlog_daily, flow

router = Questions(prefix="/backlog", tags=["backlog"])


@router.get("", summary="What is open, by age", **documented_table(backlog_by_age))
def backlog(request: Request, asked: Annotated[AskedGroups, Query()]) -> Response:
    return listed_groups(request, asked, backlog_by_age)


@router.get("/daily", summary="What was open, day by day", **documented_table(backlog_daily))
def backlog_by_day(request: Request, asked: Annotated[AskedDays, Query()]) -> Response:
    day, conditions = backlog_daily.c.day, []
    if asked.day_from:
        conditions.append(day >= asked.day_from.isoformat())
    if asked.day_to:
        conditions.append(day <= asked.day_to.isoformat())
    return listed_groups(request, asked, backlog_daily, *conditions)


@router.get("/flow", summary="Is it growing?", **documented_table(flow))
def backlog_flow(request: Request, asked: Annotated[AskedGroups, Query()]) -> Response:
    return listed_groups(request, asked, flow)
