"""How long it takes until a request is closed, and how much longer for one that has waited."""

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.groups import listed_groups
from vanc311_pipeline.api.listing import documented_table
from vanc311_pipeline.api.parameters import AskedPeriods
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.schema import time_to_close, time_to_close_curves, waiting_times

router = Questions(tags=["time to close"])

Periods = Annotated[AskedPeriods, Query()]


@router.get("/time-to-close", summary="How long until it is closed?", **documented_table(time_to_close))
def times_to_close(request: Request, asked: Periods) -> Response:
    return listed_groups(request, asked, time_to_close, period=asked.period)


@router.get(
    "/time-to-close/curve", summary="The share still open, day by day", **documented_table(time_to_close_curves)
)
def curves(request: Request, asked: Periods) -> Response:
    return listed_groups(request, asked, time_to_close_curves, period=asked.period)


@router.get(
    "/waiting-times", summary="How much longer, having waited? By issue type", **documented_table(waiting_times)
)
def further_waiting(request: Request, asked: Periods) -> Response:
    return listed_groups(request, asked, waiting_times, period=asked.period, otherwise="issue")
