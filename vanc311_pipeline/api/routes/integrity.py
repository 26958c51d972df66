"""How fresh the data is, and is the copy what the city has? Also which addresses and which problems there are."""

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from pydantic import Field

from vanc311_pipeline import schema
from vanc311_pipeline.api import PREFIX, models
from vanc311_pipeline.api.problems import KINDS
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import integrity
from vanc311_pipeline.reading.release import STALE_HOURS, Release

router = Questions()
fresh = Questions(headers={"cache-control": "no-store"})

HeldMonth: Any = models.row_with("HeldMonth", *integrity.HELD, meaning="A month, or a dataset, that is not followed.")


class Integrity(models.row_with("Released", *integrity.RELEASED)):  # type: ignore[misc]
    """Is the copy what the city has?"""

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


@fresh.finds("/status", "How fresh is it?", Status, schema.release, tags=["status"])
def status(release: Release) -> dict[str, Any]:
    """The release and how old it is; never kept by a cache."""
    age = datetime.now(UTC) - datetime.fromisoformat(release.about["data_processed"])
    hours = round(age.total_seconds() / 3600, 1)
    words = f"The city published this {hours:,.0f} hours ago; it holds what was opened until the end of {release.about['as_of']}."
    if stale := hours > STALE_HOURS:
        words += " That is late: it publishes every day. Run `vanc311 status` to see what the schedule decided last."
    age_in_words = {"age_hours": hours, "stale": "yes" if stale else "no", "freshness": words}
    return {**release.about, "release": release.id, **age_in_words}


@router.finds("", "Every address", list[Address], tags=["status"])
def addresses(request: Request) -> list[dict[str, Any]]:
    """Every address of the API, and what it takes."""
    return [
        {
            "path": path,
            "summary": operations["get"]["summary"],
            "parameters": [each["name"] for each in operations["get"].get("parameters", []) if each["in"] == "query"],
        }
        for path, operations in request.app.openapi()["paths"].items()
        if path.startswith(PREFIX) and "get" in operations
    ]


@router.finds("/problems", "Every kind of problem", list[ProblemKind], tags=["status"])
def problems() -> list[dict[str, Any]]:
    """Every kind of problem that an answer may be instead."""
    return [{"kind": kind, "status": status, "title": title} for kind, (status, title) in KINDS.items()]


@router.finds("/integrity", "Is the copy what the city has?", Integrity, tags=["integrity"])
def integrity_summary(release: Release) -> dict[str, Any]:
    """Months in step with the portal, months held back, losses accepted, months read again."""
    return integrity.summary(release)


for path, summary, table, *listing in (
    ("months", "Month by month against the portal", schema.convergence, integrity.MONTHS),
    ("ledger", "What was stored, and when", schema.month_ledger),
    ("losses", "Losses that somebody accepted", schema.accepted_losses),
    ("breaks", "Months held, accepted or relabelled", schema.series_breaks),
    ("readings", "Months read again", schema.deep_readings),
    ("checks", "What each check found", schema.check_results),
    ("quarantine", "Rows that can't be read", schema.quarantined_requests),
):
    router.lists_all(f"/integrity/{path}", f"integrity_{path}", summary, table, "integrity", *listing)
