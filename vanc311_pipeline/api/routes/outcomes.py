"""How requests were closed. Closed does not mean fixed."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api.groups import listed_groups
from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AskedPeriods, AskedTable, Name, Nothing
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import narrowed
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.schema import closure_reasons, outcome_incidence, outcome_mapping, outcomes

router = Questions(prefix="/outcomes", tags=["outcomes"])

Outcome = Annotated[Name | Nothing, Field(description=outcomes.c.outcome.comment)]


class AskedOutcomes(AskedPeriods):
    """Groups, by period of opening and outcome."""

    outcome: Outcome = None


class AskedReasons(AskedTable):
    """Closure reasons, by period of opening and department."""

    period: Annotated[Name | Nothing, Field(description=closure_reasons.c.period.comment)] = None
    department: Annotated[Name | Nothing, Field(description=closure_reasons.c.department.comment)] = None
    closure_reason: Annotated[Name | Nothing, Field(description=closure_reasons.c.closure_reason.comment)] = None
    outcome: Outcome = None


@router.get("", summary="How it was closed, in groups", **documented_table(outcomes))
def outcome_groups(request: Request, asked: Annotated[AskedOutcomes, Query()]) -> Response:
    return _by_outcome(request, asked, outcomes)


@router.get("/incidence", summary="How soon it was closed in each way", **documented_table(outcome_incidence))
def incidence(request: Request, asked: Annotated[AskedOutcomes, Query()]) -> Response:
    return _by_outcome(request, asked, outcome_incidence)


@router.get("/reasons", summary="The city's closure reasons", **documented_table(closure_reasons))
def reasons(request: Request, asked: Annotated[AskedReasons, Query()]) -> Response:
    release = current(request, asked)
    kinds = ("period", "department", "closure_reason", "outcome")
    given = {kind: known(release, kind, name) for kind in kinds if (name := getattr(asked, kind)) is not None}
    question = narrowed(sa.select(closure_reasons), closure_reasons, **given)
    return listed(request, asked, Listing(question, (rowid(closure_reasons),)), closure_reasons)


@router.get("/mapping", summary="Which reason is in which group", **documented_table(outcome_mapping))
def mapping(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, Listing(sa.select(outcome_mapping), (rowid(outcome_mapping),)), outcome_mapping)


def _by_outcome(request: Request, asked: AskedOutcomes, table: sa.Table) -> Response:
    release = current(request, asked)
    outcome = known(release, "outcome", asked.outcome) if asked.outcome is not None else None
    return listed_groups(request, asked, table, period=asked.period, outcome=outcome)
