"""What there is by name, to choose from, with its counts; and what the statistics and every column mean."""

from typing import Any, Literal

import sqlalchemy as sa
from pydantic import Field
from starlette.responses import JSONResponse, Response

from vanc311_pipeline import schema
from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import SAMPLE_NOTE, Selection
from vanc311_pipeline.api.negotiation import GEOJSON
from vanc311_pipeline.api.problems import documented
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.metric_definitions import FAMILIES
from vanc311_pipeline.reading import names
from vanc311_pipeline.reading.pages import all_rows
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema.columns import integer

router = Questions()

ABOUT = ("as_of", "source", "licence")

_located = integer("located", "of these, with a local area", "requests")
_volume, _open = schema.metrics_citywide.c.volume, schema.metrics_citywide.c.open_requests

_areas, _times = schema.local_areas.c, schema.time_to_close.c

Area = models.row_with("AreaRow", _areas.local_area, _volume, _open, _areas.latitude, _areas.longitude)
Issue = models.row_with("IssueRow", schema.metrics_by_issue.c.issue_type, _volume, _located, _open)
Department = models.row_with("DepartmentRow", _times.department, _volume, _located, _open)


class GeoJson(JSONResponse):
    media_type = GEOJSON


class Feature(models.Model):
    """An area as GeoJSON has it."""

    type: Literal["Feature"]
    geometry: dict[str, Any] = Field(description=str(_areas.boundary.comment))
    properties: Area  # type: ignore[valid-type]


class FeatureCollection(models.row_with("Of", *(schema.release.c[name] for name in ABOUT))):  # type: ignore[misc]
    """The areas as GeoJSON has them."""

    type: Literal["FeatureCollection"]
    release: str = Field(description="the release that it is of")
    note: str | None = Field(default=None, description="what to say beside it, if anything")
    features: list[Feature]


class Explained(models.Model):
    """What is explained together with a statistic."""

    title: str = Field(description="what it is about")
    plain: str = Field(description="for a reader without statistics")
    why: str = Field(description="why it is done so")
    limits: str = Field(description="what it can't say")
    details: list[str] = Field(description="the rules that decide the last digit")


class Definition(models.row_of(schema.metric_definitions)):  # type: ignore[misc]
    """A statistic's definition."""

    family: Explained | None = Field(description="what it belongs to")


_issues, _departments = names.each(_times.issue_type), names.each(_times.department)

for path, name, summary, table, tag, *listing in (
    ("areas", "areas", "The local areas", schema.metrics_by_neighbourhood, "names", names.areas(), Area),
    ("issues", "issues", "The issue types", schema.metrics_by_issue, "names", _issues, Issue),
    ("departments", "departments", "The city's departments", schema.time_to_close, "names", _departments, Department),
    ("periods", "periods_of_opening", "The periods of opening", schema.periods, "names"),
    ("definitions", "definitions", "Every statistic's definition", schema.metric_definitions, "definitions"),
    ("dictionary", "columns", "What every column means", schema.dictionary, "definitions"),
):
    router.lists_all(f"/{path}", name, summary, table, tag, *listing)


def areas_geojson(release: Release) -> Response:
    features = [
        {"type": "Feature", "geometry": outline, "properties": area} for area, outline in names.outlines(release)
    ]
    about = {name: release.about[name] for name in ABOUT}
    note = {"note": SAMPLE_NOTE} if release.is_sample else {}
    return GeoJson({"type": "FeatureCollection", "release": release.id, **about, **note, "features": features})


router.answer(
    "/areas.geojson",
    areas_geojson,
    tags=["names"],
    summary="The local areas and their outlines",
    response_class=GeoJson,
    **documented("The city's 22 local areas as GeoJSON, with their counts.", {"model": FeatureCollection}),
)


_definitions, _SUMMARY = schema.metric_definitions, "A statistic's definition, reasons and limits"


@router.finds("/definitions/{metric}", _SUMMARY, Definition, _definitions, tags=["definitions"])
def definition(release: Release, metric: str) -> dict[str, Any]:
    """What a statistic says, how it is computed, why so, and what it can't say."""
    metric = names.known(release, "metric", metric)
    words = release.row(sa.select(_definitions).where(_definitions.c.metric == metric)) or {}
    family = next((each for each in FAMILIES if metric in [one.name for one in each.metrics]), None)
    explained = {name: getattr(family, name) for name in Explained.model_fields} if family else None
    return {**words, "family": explained}


@router.lists("/dictionary/{table}", "What the columns of a table mean", schema.dictionary, tags=["definitions"])
def columns_of_table(release: Release, table: str) -> Selection:
    table = names.known(release, "table", table)
    return Selection(all_rows(schema.dictionary, schema.dictionary.c.table_name == table))
