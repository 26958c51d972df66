"""What there is by name: local areas, issue types, departments, periods; to choose from, with their counts."""

from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import SAMPLE_NOTE, current, documented_table, listed
from vanc311_pipeline.api.negotiation import GEOJSON
from vanc311_pipeline.api.parameters import Asked, AskedTable
from vanc311_pipeline.api.problems import documented
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import places
from vanc311_pipeline.reading.pages import Listing, rowid
from vanc311_pipeline.schema import (
    local_areas,
    metrics_by_issue,
    metrics_by_neighbourhood,
    metrics_citywide,
    periods,
    time_to_close,
)
from vanc311_pipeline.schema.columns import integer

router = Questions(tags=["names"])

_located = integer("located", "of these, with a local area", "requests")
_volume, _open = metrics_citywide.c.volume, metrics_citywide.c.open_requests

Area = models.row_with(
    "AreaRow", local_areas.c.local_area, _volume, _open, local_areas.c.latitude, local_areas.c.longitude
)
Issue = models.row_with("IssueRow", metrics_by_issue.c.issue_type, _volume, _located, _open)
Department = models.row_with("DepartmentRow", time_to_close.c.department, _volume, _located, _open)


class GeoJson(JSONResponse):
    media_type = GEOJSON


class Feature(models.Model):
    """An area as GeoJSON has it."""

    type: Literal["Feature"]
    geometry: dict[str, Any] = Field(description=str(local_areas.c.boundary.comment))
    properties: Area  # type: ignore[valid-type]


class FeatureCollection(models.Model):
    """The areas as GeoJSON has them."""

    type: Literal["FeatureCollection"]
    release: str = Field(description="the release that it is of")
    as_of: str
    source: str
    licence: str
    note: str | None = Field(default=None, description="what to say beside it, if anything")
    features: list[Feature]


@router.get("/areas", summary="The local areas", **documented_table(metrics_by_neighbourhood, Area))
def areas(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, places.areas(), metrics_by_neighbourhood)


@router.get(
    "/areas.geojson",
    summary="The local areas and their outlines",
    description="The city's 22 local areas as GeoJSON, with their counts.",
    response_class=GeoJson,
    responses={
        200: {"description": "The areas.", "model": FeatureCollection},
        304: {"description": "Nothing is new."},
        **documented(405, 409, 422, 500, 503),
    },
)
def areas_geojson(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    release = current(request, asked)
    features = [
        {"type": "Feature", "geometry": outline, "properties": area} for area, outline in places.outlines(release)
    ]
    about = {name: release.about[name] for name in ("as_of", "source", "licence")}
    note = {"note": SAMPLE_NOTE} if release.is_sample else {}
    collection = {"type": "FeatureCollection", "release": release.id, **about, **note, "features": features}
    return GeoJson(collection)


@router.get("/issues", summary="The issue types", **documented_table(metrics_by_issue, Issue))
def issues(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, places.issues(), metrics_by_issue)


@router.get("/departments", summary="The city's departments", **documented_table(time_to_close, Department))
def departments(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, places.departments(), time_to_close)


@router.get("/periods", summary="The periods of opening", **documented_table(periods))
def periods_of_opening(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, Listing(sa.select(periods), (rowid(periods),)), periods)
