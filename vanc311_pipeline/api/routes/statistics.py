"""What the pipeline computes of groups of requests: times, series, backlog, outcomes, comparison, quality. Closed does not mean fixed."""

from collections.abc import Mapping
from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from starlette.responses import Response

from vanc311_pipeline import schema
from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import (
    AskedComparison,
    AskedDays,
    AskedGroups,
    AskedMix,
    AskedMonths,
    AskedOutcomes,
    AskedPeriods,
    AskedQuality,
    AskedReasons,
    AskedTable,
)
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.api.tables import between, list_groups, list_table
from vanc311_pipeline.reading.groups import coverage, equal, group_of
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import all_rows

router = Questions()

LAST_YEAR = "last_12_months"  # the period that the comparison is about, to within the 30 days that requests mature
_TIMES, _BACKLOG, _OUTCOMES = ["time to close"], ["backlog"], ["outcomes"]
_MORE_OR_LESS = "What an area reports more or less often"

for path, name, summary, table, parameters, tags, otherwise in (
    ("/time-to-close", "times_to_close", "How long until it is closed?", schema.time_to_close, AskedPeriods, _TIMES, "citywide"),
    ("/time-to-close/curve", "curves", "The share still open, day by day", schema.time_to_close_curves, AskedPeriods, _TIMES, "citywide"),
    ("/waiting-times", "further_waiting", "How much longer, having waited? By issue type", schema.waiting_times, AskedPeriods, _TIMES, "issue"),
    ("/trends", "trends", "Month by month", schema.monthly_series, AskedMonths, ["trends"], "citywide"),
    ("/backlog", "backlog", "What is open, by age", schema.backlog_by_age, AskedGroups, _BACKLOG, "citywide"),
    ("/backlog/daily", "backlog_by_day", "What was open, day by day", schema.backlog_daily, AskedDays, _BACKLOG, "citywide"),
    ("/backlog/flow", "backlog_flow", "Is it growing?", schema.flow, AskedGroups, _BACKLOG, "citywide"),
    ("/outcomes", "outcome_groups", "How it was closed, in groups", schema.outcomes, AskedOutcomes, _OUTCOMES, "citywide"),
    ("/outcomes/incidence", "incidence", "How soon it was closed in each way", schema.outcome_incidence, AskedOutcomes, _OUTCOMES, "citywide"),
):  # fmt: skip
    list_groups(router, path, name, summary, table, parameters, tags, otherwise)
list_table(
    router, "/outcomes/mapping", "mapping", "Which reason is in which group", schema.outcome_mapping, tags=_OUTCOMES
)


@router.get(
    "/outcomes/reasons",
    summary="The city's closure reasons",
    tags=["outcomes"],
    **documented_table(schema.closure_reasons),
)
def reasons(request: Request, asked: Annotated[AskedReasons, Query()]) -> Response:
    release = current(request, asked)
    kinds = ("period", "department", "closure_reason", "outcome")
    given = {kind: known(release, kind, name) for kind in kinds if (name := getattr(asked, kind)) is not None}
    table = schema.closure_reasons
    return listed(request, asked, all_rows(table, *equal(table, **given)), table)


@router.get(
    "/comparison",
    summary="Areas against the city's rates",
    tags=["comparison"],
    **documented_table(schema.area_comparison),
)
def comparison(request: Request, asked: Annotated[AskedComparison, Query()]) -> Response:
    values = {"measure": asked.measure, "finding": asked.finding}
    return _compared(request, asked, schema.area_comparison, asked.area, None, values)


@router.get("/comparison/mix", summary=_MORE_OR_LESS, tags=["comparison"], **documented_table(schema.area_issue_mix))
def mix(request: Request, asked: Annotated[AskedMix, Query()]) -> Response:
    return _compared(request, asked, schema.area_issue_mix, asked.area, asked.issue, {"finding": asked.finding})


def _compared(
    request: Request,
    asked: AskedTable,
    table: sa.Table,
    area: str | None,
    issue: str | None,
    values: Mapping[str, str | None],
) -> Response:
    """Each area against what is expected of it; no ranks."""
    release = current(request, asked)
    group = group_of(release, area=area, issue=issue)
    listing = all_rows(table, *equal(table, local_area=group.area, issue_type=group.issue, **values))
    return listed(request, asked, listing, table, coverage=coverage(release, group, LAST_YEAR))


@router.get("/quality", summary="What is missing or odd", tags=["quality"], **documented_table(schema.quality_ledger))
def quality(request: Request, asked: Annotated[AskedQuality, Query()]) -> Response:
    release, table = current(request, asked), schema.quality_ledger
    group = group_of(release, department=asked.department)
    months = between(table, "open_month", asked.month_from, asked.month_to)
    listing = all_rows(table, *equal(table, department=group.department), *months)
    return listed(request, asked, listing, table, coverage=coverage(release, group))
