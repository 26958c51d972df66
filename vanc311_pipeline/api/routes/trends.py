"""Month by month."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.groups import listed_groups
from vanc311_pipeline.api.listing import documented_table
from vanc311_pipeline.api.parameters import AskedMonths
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.schema import monthly_series

router = Questions(tags=["trends"])


@router.get("/trends", summary="Month by month", **documented_table(monthly_series))
def trends(request: Request, asked: Annotated[AskedMonths, Query()]) -> Response:
    month, conditions = monthly_series.c.month, []
    if asked.month_from:
        conditions.append(month >= asked.month_from)
    if asked.month_to:
        conditions.append(month <= asked.month_to)
    return listed_groups(request, asked, monthly_series, *conditions)
