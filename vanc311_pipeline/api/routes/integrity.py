"""Is the copy what the city has? The evidence, month by month."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline import schema
from vanc311_pipeline.api import models
from vanc311_pipeline.api.listing import answered, current, documented_answer, documented_table, listed
from vanc311_pipeline.api.parameters import Asked, AskedTable
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading import integrity
from vanc311_pipeline.schema import release

router = Questions(prefix="/integrity", tags=["integrity"])

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

    complete: str = Field(description=str(release.c.complete.comment))
    records_count: int = Field(description=str(release.c.records_count.comment))
    rows_landed: int = Field(description=str(release.c.rows_landed.comment))
    rows_stored: int = Field(description=str(release.c.rows_stored.comment))
    rows_quarantined: int = Field(description=str(release.c.rows_quarantined.comment))
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


@router.get(
    "",
    summary="Is the copy what the city has?",
    **documented_answer(
        "Integrity", Integrity, "Months in step with the portal, months held back, losses accepted, months read again."
    ),
)
def integrity_summary(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    return answered(request, integrity.summary(current(request, asked)))


@router.get("/months", summary="Month by month against the portal", **documented_table(CONVERGENCE))
def integrity_months(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    current(request, asked)
    return listed(request, asked, integrity.months(), CONVERGENCE)


@router.get("/ledger", summary="What was stored, and when", **documented_table(schema.month_ledger))
def integrity_ledger(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    return _ledger(request, asked, schema.month_ledger)


@router.get("/losses", summary="Losses that somebody accepted", **documented_table(schema.accepted_losses))
def integrity_losses(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    return _ledger(request, asked, schema.accepted_losses)


@router.get("/readings", summary="Months read again", **documented_table(schema.deep_readings))
def integrity_readings(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    return _ledger(request, asked, schema.deep_readings)


@router.get("/checks", summary="What each check found", **documented_table(schema.check_results))
def integrity_checks(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    return _ledger(request, asked, schema.check_results)


@router.get("/quarantine", summary="Rows that can't be read", **documented_table(schema.quarantined_requests))
def integrity_quarantine(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
    return _ledger(request, asked, schema.quarantined_requests)


def _ledger(request: Request, asked: AskedTable, table: sa.Table) -> Response:
    current(request, asked)
    return listed(request, asked, integrity.ledger(table), table)
