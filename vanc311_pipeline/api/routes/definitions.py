"""What the statistics mean, and what every column means."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import answered, current, documented_answer, documented_table, listed
from vanc311_pipeline.api.parameters import Asked, AskedTable, MetricInPath, TableInPath
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.registry import FAMILIES, Family
from vanc311_pipeline.schema import dictionary, metric_definitions

router = Questions(tags=["definitions"])


class Explained(models.Model):
    """What is explained together with a statistic."""

    title: str = Field(description="what it is about")
    plain: str = Field(description="for a reader without statistics")
    why: str = Field(description="why it is done so")
    limits: str = Field(description="what it can't say")
    details: list[str] = Field(description="the rules that decide the last digit")


class Definition(models.row_of(metric_definitions)):  # type: ignore[misc]
    """A statistic's definition."""

    family: Explained | None = Field(description="what it belongs to")


@router.get("/definitions", summary="Every statistic's definition", **documented_table(metric_definitions))
def definitions(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(
        request, asked, Listing(sa.select(metric_definitions), (rowid(metric_definitions),)), metric_definitions
    )


@router.get(
    "/definitions/{metric}",
    summary="A statistic's definition, reasons and limits",
    **documented_answer(
        "Definition", Definition, "What a statistic says, how it is computed, why so, and what it can't say."
    ),
)
def definition(request: Request, metric: MetricInPath, asked: Annotated[Asked, Query()]) -> Response:
    release = current(request, asked)
    metric = known(release, "metric", metric)
    question = sa.select(metric_definitions).where(metric_definitions.c.metric == metric)
    found = release.row(question) or {}
    return answered(request, {**found, "family": _explained(metric)}, table=metric_definitions)


@router.get("/dictionary", summary="What every column means", **documented_table(dictionary))
def columns(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, Listing(sa.select(dictionary), (rowid(dictionary),)), dictionary)


@router.get("/dictionary/{table}", summary="What the columns of a table mean", **documented_table(dictionary))
def columns_of_table(request: Request, table: TableInPath, asked: Annotated[AskedTable, Query()]) -> Response:
    release = current(request, asked)
    question = sa.select(dictionary).where(dictionary.c.table_name == known(release, "table", table))
    return listed(request, asked, Listing(question, (rowid(dictionary),)), dictionary)


def _explained(metric: str) -> dict[str, object] | None:
    family: Family | None = next((each for each in FAMILIES if metric in [one.name for one in each.metrics]), None)
    if family is None:
        return None
    words = {name: getattr(family, name) for name in ("title", "plain", "why", "limits")}
    return {**words, "details": list(family.details)}
