"""Each area against what is expected of it; no ranks."""

from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AskedTable, Name, Nothing
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import coverage, group_of, narrowed
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.schema import area_comparison, area_issue_mix

router = Questions(prefix="/comparison", tags=["comparison"])

LAST_YEAR = "last_12_months"  # the period that the comparison is about, to within the 30 days that requests mature

Finding = Literal["more", "fewer", "not distinguishable"]


class AskedComparison(AskedTable):
    """Areas, by measure."""

    measure: Annotated[
        Literal["open_after_30_days", "closings"] | Nothing, Field(description=area_comparison.c.measure.comment)
    ] = None
    area: Annotated[Name | Nothing, Field(description=area_comparison.c.local_area.comment)] = None
    finding: Annotated[Finding | Nothing, Field(description=area_comparison.c.finding.comment)] = None


class AskedMix(AskedTable):
    """Areas and issue types."""

    area: Annotated[Name | Nothing, Field(description=area_issue_mix.c.local_area.comment)] = None
    issue: Annotated[Name | Nothing, Field(description=area_issue_mix.c.issue_type.comment)] = None
    finding: Annotated[Finding | Nothing, Field(description=area_issue_mix.c.finding.comment)] = None


@router.get("", summary="Areas against the city's rates", **documented_table(area_comparison))
def comparison(request: Request, asked: Annotated[AskedComparison, Query()]) -> Response:
    return _compared(request, asked, area_comparison, asked.area, measure=asked.measure, finding=asked.finding)


@router.get("/mix", summary="What an area reports more or less often", **documented_table(area_issue_mix))
def mix(request: Request, asked: Annotated[AskedMix, Query()]) -> Response:
    return _compared(request, asked, area_issue_mix, asked.area, asked.issue, finding=asked.finding)


def _compared(
    request: Request,
    asked: AskedTable,
    table: sa.Table,
    area: str | None,
    issue: str | None = None,
    **equal: str | None,
) -> Response:
    release = current(request, asked)
    group = group_of(release, area=area, issue=issue)
    names = {"local_area": group.area} | ({"issue_type": group.issue} if issue is not None else {})
    question = narrowed(sa.select(table), table, **names, **equal)
    return listed(
        request, asked, Listing(question, (rowid(table),)), table, coverage=coverage(release, group, LAST_YEAR)
    )
