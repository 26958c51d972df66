"""What is missing or odd in the record."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AskedTable, Month, Name, Nothing
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import coverage, group_of
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.schema import quality_ledger

router = Questions(tags=["quality"])


class AskedQuality(AskedTable):
    """Months and departments."""

    department: Annotated[Name | Nothing, Field(description=quality_ledger.c.department.comment)] = None
    month_from: Annotated[Month | Nothing, Field(description="first month of opening")] = None
    month_to: Annotated[Month | Nothing, Field(description="last month of opening")] = None


@router.get("/quality", summary="What is missing or odd", **documented_table(quality_ledger))
def quality(request: Request, asked: Annotated[AskedQuality, Query()]) -> Response:
    release = current(request, asked)
    group = group_of(release, department=asked.department)
    question, month = sa.select(quality_ledger), quality_ledger.c.open_month
    if asked.department is not None:
        question = question.where(quality_ledger.c.department == asked.department)
    if asked.month_from:
        question = question.where(month >= asked.month_from)
    if asked.month_to:
        question = question.where(month <= asked.month_to)
    listing = Listing(question, (rowid(quality_ledger),))
    return listed(request, asked, listing, quality_ledger, coverage=coverage(release, group))
