"""The four headline metrics, at every level."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AreaInPath, AskedTable, IssueInPath
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import coverage, equal, group_of
from vanc311_pipeline.reading.pages import all_rows
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

Parameters = Annotated[AskedTable, Query()]


def _list(path: str, name: str, summary: str, table: sa.Table) -> None:
    def answer(request: Request, asked: Parameters) -> Response:
        return _metrics(request, asked, table)

    router.add_api_route(path, answer, name=name, summary=summary, **documented_table(table))


_list("", "metrics", "All metrics in one long table", metric_aggregates)
_list("/citywide", "metrics_of_city", "The whole city", metrics_citywide)
_list("/areas", "metrics_of_areas", "Each local area", metrics_by_neighbourhood)
_list("/issues", "metrics_of_issues", "Each issue type", metrics_by_issue)
_list("/unlocated", "metrics_of_unlocated", "Each issue type without a local area", metrics_unlocated)


@router.get("/areas/{area}", summary="A local area", **documented_table(metrics_by_neighbourhood))
def metrics_of_area(request: Request, area: AreaInPath, asked: Parameters) -> Response:
    return _metrics(request, asked, metrics_by_neighbourhood, area=area)


@router.get("/areas/{area}/issues", summary="Each issue type in a local area", **documented_table(metrics_hyper_local))
def metrics_of_area_by_issue(request: Request, area: AreaInPath, asked: Parameters) -> Response:
    return _metrics(request, asked, metrics_hyper_local, area=area)


@router.get(
    "/areas/{area}/issues/{issue:path}",
    summary="An issue type in a local area; no row if it has none",
    **documented_table(metrics_hyper_local),
)
def metrics_of_area_and_issue(request: Request, area: AreaInPath, issue: IssueInPath, asked: Parameters) -> Response:
    return _metrics(request, asked, metrics_hyper_local, area=area, issue=issue)


@router.get("/issues/{issue:path}", summary="An issue type", **documented_table(metrics_by_issue))
def metrics_of_issue(request: Request, issue: IssueInPath, asked: Parameters) -> Response:
    return _metrics(request, asked, metrics_by_issue, issue=issue)


def _metrics(
    request: Request, asked: AskedTable, table: sa.Table, area: str | None = None, issue: str | None = None
) -> Response:
    release = current(request, asked)
    group = group_of(release, area=area, issue=issue)
    listing = all_rows(table, *equal(table, local_area=group.area, issue_type=group.issue))
    return listed(request, asked, listing, table, coverage=coverage(release, group), if_empty=State.NO_REQUESTS)
