"""What the pipeline computes of groups of requests: the four headline metrics at every level, times, series, backlog, outcomes,
comparison, quality. Closed does not mean fixed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.api.listing import Selection
from vanc311_pipeline.api.models import AREA, AskedTable, Day, Month, Name, asked_with
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import COLUMNS, LEVELS, coverage, group_of, of_group
from vanc311_pipeline.reading.names import KINDS, known
from vanc311_pipeline.reading.pages import all_rows
from vanc311_pipeline.reading.release import Release

router = Questions()

LAST_YEAR = "last_12_months"  # the period that the comparison is about, to within the 30 days that requests mature


def _from_to(unit: str, kind: Any, of: str = "") -> dict[str, Any]:
    """The parameters of a range, both ends included."""
    return {f"{unit}_from": (kind, f"first {unit}{of}"), f"{unit}_to": (kind, f"last {unit}{of}")}


_period, _outcome = schema.time_to_close.c.period, schema.outcomes.c.outcome
# The names given make the level: none the city, area and issue the area's requests of that type.
_groups = asked_with(
    AskedTable,
    schema.time_to_close.c.scope,
    level=(Literal[*LEVELS], "all groups of a level; where the names given make another level than the one wanted"),
    area=(Name, AREA),
    issue=(Name, "an issue type"),
    department=(Name, "a city department"),
)
_periods = asked_with(_groups, _period)
_outcomes = asked_with(_periods, _outcome)
_months = asked_with(_groups, **_from_to("month", Month))
_days = asked_with(_groups, **_from_to("day", Day))
_vintages = asked_with(_groups, schema.figure_vintages.c.figure, schema.figure_vintages.c.reference)
_revisions = asked_with(_groups, schema.revisions.c.figure)
_years = asked_with(
    _groups,
    measure=(Literal["opened", "closed_in"], "what is counted"),
    verdict=(Literal["more", "fewer", "about as many"], "what is said of the change"),
)
_reasons = asked_with(
    AskedTable, _period, schema.closure_reasons.c.department, schema.closure_reasons.c.closure_reason, _outcome
)
_comparison = asked_with(AskedTable, *(schema.area_comparison.c[name] for name in ("measure", "local_area", "verdict")))
_mix = asked_with(AskedTable, *(schema.area_issue_mix.c[name] for name in ("local_area", "issue_type", "finding")))
_quality = asked_with(AskedTable, schema.quality_ledger.c.department, **_from_to("month", Month, " of opening"))
_corrections = asked_with(AskedTable, schema.corrections.c.department, **_from_to("month", Month, " of release"))
_batches = asked_with(
    AskedTable, schema.batch_days.c.issue_type, schema.batch_days.c.department, **_from_to("day", Day)
)


def _question(
    table: sa.Table, otherwise: str | None = None, period: str | None = None, if_empty: State | None = None
) -> Callable[..., Selection]:
    """Which rows of a table are about the group that is asked for, and are as is asked.

    Args:
        otherwise: where a table has groups of several levels, the level that is meant if the request names none.
        period: what the table is about, where it isn't asked for.
    """

    def question(release: Release, asked: AskedTable, area: str | None = None, issue: str | None = None) -> Selection:
        filters = {"area": area, "issue": issue} | _filters(release, asked)
        names = {kind: filters.pop(kind, None) for kind in COLUMNS}
        level = filters.pop("level", None if any(names.values()) else otherwise)
        group = group_of(release, level, **names)
        if otherwise:
            listing = of_group(release, table, group, *_conditions(table, filters))
        else:
            listing = all_rows(table, *_conditions(table, group.names | filters))
        return Selection(listing, coverage(release, group, filters.get("period", period)), if_empty)

    return question


def _filters(release: Release, asked: AskedTable) -> dict[str, Any]:
    """What is asked for, with the names as the release has them."""
    return {name: known(release, name, value) if name in KINDS else value for name, value in asked.narrowing().items()}


def _conditions(table: sa.Table, filters: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    """That columns are as asked; of a month or a day, that it is between the first and the last."""
    for name, value in filters.items():
        of, _, end = name.rpartition("_")
        if end not in ("from", "to"):
            yield table.c[COLUMNS.get(name, name)] == value
            continue
        column = next(table.c[each] for each in (of, f"open_{of}", f"release_{of}") if each in table.c)
        yield column >= str(value) if end == "from" else column <= str(value)


for path, name, summary, table in (
    ("", "metrics", "All metrics in one long table", schema.metric_aggregates),
    ("/citywide", "metrics_of_city", "The whole city", schema.metrics_citywide),
    ("/areas", "metrics_of_areas", "Each local area", schema.metrics_by_neighbourhood),
    ("/issues", "metrics_of_issues", "Each issue type", schema.metrics_by_issue),
    ("/unlocated", "metrics_of_unlocated", "Each issue type without a local area", schema.metrics_unlocated),
    ("/areas/{area}", "metrics_of_area", "A local area", schema.metrics_by_neighbourhood),
    ("/areas/{area}/issues", "metrics_of_area_by_issue", "Each issue type in a local area", schema.metrics_hyper_local),
    ("/areas/{area}/issues/{issue:path}", "metrics_of_area_and_issue", "An issue type in a local area; no row if it has none",
     schema.metrics_hyper_local),
    ("/issues/{issue:path}", "metrics_of_issue", "An issue type", schema.metrics_by_issue),
):  # fmt: skip
    question = _question(table, if_empty=State.NO_REQUESTS)
    router.lists(f"/metrics{path}", summary, table, tags=["metrics"], name=name)(question)

for path, name, summary, table, asked, tag in (
    ("/time-to-close", "times_to_close", "How long until it is closed?", schema.time_to_close, _periods, "time to close"),
    ("/time-to-close/without", "times_without", "How long, without internal types and batch days?", schema.time_to_close_without, _groups,
     "time to close"),
    ("/time-to-close/curve", "curves", "The share still open, day by day", schema.time_to_close_curves, _periods, "time to close"),
    ("/time-to-close/by-weekday", "by_weekday", "Does the weekday of opening matter?", schema.time_to_close_by_weekday, _groups,
     "time to close"),
    ("/time-to-close/current", "current_speed", "How long at the speed of the last 13 weeks?", schema.current_speed, _groups, "time to close"),
    ("/waiting-times", "further_waiting", "How much longer, having waited? By issue type", schema.waiting_times, _periods, "time to close"),
    ("/trends", "trends", "Month by month", schema.monthly_series, _months, "trends"),
    ("/trends/vintages", "vintages", "What was published, and what it became", schema.figure_vintages, _vintages, "trends"),
    ("/trends/revisions", "revisions", "How far figures still move", schema.revisions, _revisions, "trends"),
    ("/trends/year-on-year", "years", "More or fewer than a year before?", schema.year_on_year, _years, "trends"),
    ("/backlog", "backlog", "What is open, by age", schema.backlog_by_age, _groups, "backlog"),
    ("/backlog/daily", "backlog_by_day", "What was open, day by day", schema.backlog_daily, _days, "backlog"),
    ("/backlog/flow", "backlog_flow", "Is it growing?", schema.flow, _groups, "backlog"),
    ("/outcomes", "outcome_groups", "How it was closed, in groups", schema.outcomes, _outcomes, "outcomes"),
    ("/outcomes/incidence", "incidence", "How soon it was closed in each way", schema.outcome_incidence, _outcomes, "outcomes"),
):  # fmt: skip
    question = _question(table, otherwise="issue" if table is schema.waiting_times else "citywide")
    router.lists(path, summary, table, asked, tags=[tag], name=name)(question)

for path, name, summary, table, asked, tag, period in (
    ("/comparison", "comparison", "Areas against the city's rates", schema.area_comparison, _comparison, "comparison", LAST_YEAR),
    ("/comparison/mix", "mix", "What an area reports more or less often", schema.area_issue_mix, _mix, "comparison", LAST_YEAR),
    ("/quality", "quality", "What is missing or odd", schema.quality_ledger, _quality, "quality", None),
    ("/quality/corrections", "corrections", "What the city changed afterwards", schema.corrections, _corrections, "quality", None),
    ("/quality/batch-days", "batch_days", "On which days many were closed at once", schema.batch_days, _batches, "quality", None),
):  # fmt: skip
    router.lists(path, summary, table, asked, tags=[tag], name=name)(_question(table, period=period))

router.lists_all("/trends/settling", "settling", "After how many days figures hardly move", schema.settling, "trends")
router.lists_all("/outcomes/mapping", "mapping", "Which reason is in which group", schema.outcome_mapping, "outcomes")


@router.lists("/outcomes/reasons", "The city's closure reasons", schema.closure_reasons, _reasons, tags=["outcomes"])
def reasons(release: Release, asked: AskedTable) -> Selection:
    return Selection(all_rows(schema.closure_reasons, *_conditions(schema.closure_reasons, _filters(release, asked))))
