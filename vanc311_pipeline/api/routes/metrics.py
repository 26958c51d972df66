"""The four headline metrics, at every level."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AreaInPath, AskedTable, IssueInPath
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import coverage, group_of
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.registry import State
from vanc311_pipeline.schema import (
    metric_aggregates,
    metrics_by_issue,
    metrics_by_neighbourhood,
    metrics_citywide,
    metrics_hyper_local,
    metrics_unlocated,
)

router = Questions(prefix="/metrics", tags=["metrics"])

Table = Annotated[AskedTable, Query()]


@router.get("", summary="All metrics in one long table", **documented_table(metric_aggregates))
def metrics(request: Request, asked: Table) -> Response:
    return _metrics(request, asked, metric_aggregates)


@router.get("/citywide", summary="The whole city", **documented_table(metrics_citywide))
def metrics_of_city(request: Request, asked: Table) -> Response:
    return _metrics(request, asked, metrics_citywide)


@router.get("/areas", summary="Each local area", **documented_table(metrics_by_neighbourhood))
def metrics_of_areas(request: Request, asked: Table) -> Response:
    return _metrics(request, asked, metrics_by_neighbourhood)


@router.get("/areas/{area}", summary="A local area", **documented_table(metrics_by_neighbourhood))
def metrics_of_area(request: Request, area: AreaInPath, asked: Table) -> Response:
    return _metrics(request, asked, metrics_by_neighbourhood, area=area)


@router.get("/areas/{area}/issues", summary="Each issue type in a local area", **documented_table(metrics_hyper_local))
def metrics_of_area_by_issue(request: Request, area: AreaInPath, asked: Table) -> Response:
    return _metrics(request, asked, metrics_hyper_local, area=area)


@router.get(
    "/areas/{area}/issues/{issue:path}",
    summary="An issue type in a local area; no row if it has none",
    **documented_table(metrics_hyper_local),
)
def metrics_of_area_and_issue(request: Request, area: AreaInPath, issue: IssueInPath, asked: Table) -> Response:
    return _metrics(request, asked, metrics_hyper_local, area=area, issue=issue)


@router.get("/issues", summary="Each issue type", **documented_table(metrics_by_issue))
def metrics_of_issues(request: Request, asked: Table) -> Response:
    return _metrics(request, asked, metrics_by_issue)


@router.get("/issues/{issue:path}", summary="An issue type", **documented_table(metrics_by_issue))
def metrics_of_issue(request: Request, issue: IssueInPath, asked: Table) -> Response:
    return _metrics(request, asked, metrics_by_issue, issue=issue)


@router.get("/unlocated", summary="Each issue type without a local area", **documented_table(metrics_unlocated))
def metrics_of_unlocated(request: Request, asked: Table) -> Response:
    return _metrics(request, asked, metrics_unlocated)


def _metrics(
    request: Request, asked: AskedTable, table: sa.Table, area: str | None = None, issue: str | None = None
) -> Response:
    release = current(request, asked)
    group = group_of(release, area=area, issue=issue)
    question = sa.select(table)
    if group.area is not None:
        question = question.where(table.c.local_area == group.area)
    if group.issue is not None:
        question = question.where(table.c.issue_type == group.issue)
    return listed(
        request,
        asked,
        Listing(question, (rowid(table),)),
        table,
        coverage=coverage(release, group),
        if_empty=State.NO_REQUESTS,
    )
