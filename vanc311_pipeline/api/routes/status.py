"""How fresh the data is, which addresses there are, and which problems there may be."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api import PREFIX, models
from vanc311_pipeline.api.listing import answered, current, documented_answer
from vanc311_pipeline.api.parameters import Asked
from vanc311_pipeline.api.problems import KINDS
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.release import STALE_HOURS
from vanc311_pipeline.schema import release as release_table

router = Questions(tags=["status"])


class Status(models.row_of(release_table)):  # type: ignore[misc]
    """The release, and how old it is."""

    release: str = Field(description="the release's name")
    age_hours: float = Field(description="hours since the city published what is in here")
    stale: str = Field(description=f"yes if that is more than {STALE_HOURS} hours: the city publishes every day")
    freshness: str = Field(description="the same in words")


class Address(models.Model):
    """One address of the API."""

    path: str = Field(description="the path; what stands in braces is a name, percent-encoded")
    summary: str = Field(description="what is there")
    parameters: list[str] = Field(description="what may stand after the question mark")


class ProblemKind(models.Model):
    """One kind of problem."""

    kind: str = Field(description="what stands after # in its type")
    status: int = Field(description="its HTTP status")
    title: str = Field(description="what it means")


@router.get(
    "/status",
    summary="How fresh is it?",
    **documented_answer("Status", Status, "The release and how old it is; never kept by a cache."),
)
def status(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    release = current(request, asked)
    age = datetime.now(UTC) - datetime.fromisoformat(release.about["data_processed"])
    hours = round(age.total_seconds() / 3600, 1)
    said = {"release": release.id, "age_hours": hours, "stale": "yes" if hours > STALE_HOURS else "no"}
    words = f"The city published this {hours:,.0f} hours ago; it holds what was opened until the end of {release.about['as_of']}."
    if hours > STALE_HOURS:
        words += " That is late: it publishes every day. Run `vanc311 status` to see what the schedule decided last."
    return answered(
        request,
        {**release.about, **said, "freshness": words},
        table=release_table,
        headers={"cache-control": "no-store"},
    )


@router.get(
    "",
    summary="Every address",
    **documented_answer("Addresses", list[Address], "Every address of the API, and what it takes."),
)
def addresses(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    current(request, asked)
    described = request.app.openapi()["paths"]
    return answered(
        request,
        [
            {
                "path": path,
                "summary": operations["get"]["summary"],
                "parameters": [
                    each["name"] for each in operations["get"].get("parameters", []) if each["in"] == "query"
                ],
            }
            for path, operations in described.items()
            if path.startswith(PREFIX) and "get" in operations
        ],
    )


@router.get(
    "/problems",
    summary="Every kind of problem",
    **documented_answer("Problems", list[ProblemKind], "Every kind of problem that an answer may be instead."),
)
def problems(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    current(request, asked)
    return answered(
        request, [{"kind": kind, "status": status, "title": title} for kind, (status, title) in KINDS.items()]
    )
