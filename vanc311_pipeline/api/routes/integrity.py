"""How fresh the data is, and is the copy what the city has? Also which addresses and which problems there are."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline import schema
from vanc311_pipeline.api import PREFIX, models
from vanc311_pipeline.api.listing import answered, current, documented_answer
from vanc311_pipeline.api.parameters import Asked
from vanc311_pipeline.api.problems import KINDS
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.api.tables import list_table
from vanc311_pipeline.reading import integrity
from vanc311_pipeline.reading.release import STALE_HOURS

router = Questions()

CONVERGENCE = models.view("convergence")


class HeldMonth(models.Model):
    """A month, or a dataset, that is not followed."""

    dataset: str = Field(description=str(schema.holds.c.dataset.comment))
    partition_month: str = Field(description=str(schema.holds.c.partition_month.comment))
    rows_before: int = Field(description=str(schema.holds.c.rows_before.comment))
    rows_now: int = Field(description=str(schema.holds.c.rows_now.comment))
    why: str = Field(description=str(schema.holds.c.why.comment))
    held_since: str = Field(description=str(schema.holds.c.held_since.comment))


class Integrity(models.Model):
    """Is the copy what the city has?"""

    complete: str = Field(description=str(schema.release.c.complete.comment))
    records_count: int = Field(description=str(schema.release.c.records_count.comment))
    rows_landed: int = Field(description=str(schema.release.c.rows_landed.comment))
    rows_stored: int = Field(description=str(schema.release.c.rows_stored.comment))
    rows_quarantined: int = Field(description=str(schema.release.c.rows_quarantined.comment))
    months_in_step: int = Field(description="months of which the portal and this file say the same")
    months_out_of_step: int = Field(description="months of which they don't")
    held_months: list[HeldMonth] = Field(
        description="months that are not followed, because what can be used of them changed too much"
    )
    accepted_losses: int = Field(description="times that somebody agreed to follow a loss")
    rows_lost_with_consent: int = Field(description="rows that went in them")
    deep_readings: int = Field(description="readings of months that seemed unchanged")
    changes_found_by_deep_readings: int = Field(description="changes that only these showed")
    latest_deep_reading: str | None = Field(description="when the last one was")


class Status(models.row_of(schema.release)):  # type: ignore[misc]
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
    tags=["status"],
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
        asked,
        {**release.about, **said, "freshness": words},
        table=schema.release,
        headers={"cache-control": "no-store"},
    )


@router.get(
    "",
    tags=["status"],
    summary="Every address",
    **documented_answer("Addresses", list[Address], "Every address of the API, and what it takes."),
)
def addresses(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    described = request.app.openapi()["paths"]
    return answered(
        request,
        asked,
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
    tags=["status"],
    summary="Every kind of problem",
    **documented_answer("Problems", list[ProblemKind], "Every kind of problem that an answer may be instead."),
)
def problems(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    return answered(
        request, asked, [{"kind": kind, "status": status, "title": title} for kind, (status, title) in KINDS.items()]
    )


@router.get(
    "/integrity",
    tags=["integrity"],
    summary="Is the copy what the city has?",
    **documented_answer(
        "Integrity", Integrity, "Months in step with the portal, months held back, losses accepted, months read again."
    ),
)
def integrity_summary(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    return answered(request, asked, integrity.summary(current(request, asked)))


list_table(
    router,
    "/integrity/months",
    "integrity_months",
    "Month by month against the portal",
    CONVERGENCE,
    integrity.months(),
    tags=["integrity"],
)
for path, name, summary, table in (
    ("ledger", "integrity_ledger", "What was stored, and when", schema.month_ledger),
    ("losses", "integrity_losses", "Losses that somebody accepted", schema.accepted_losses),
    ("readings", "integrity_readings", "Months read again", schema.deep_readings),
    ("checks", "integrity_checks", "What each check found", schema.check_results),
    ("quarantine", "integrity_quarantine", "Rows that can't be read", schema.quarantined_requests),
):
    list_table(router, f"/integrity/{path}", name, summary, table, tags=["integrity"])
