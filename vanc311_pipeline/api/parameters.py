"""What may stand after the question mark, once. A parameter that a route does not know is an error, so that a typo never
silently widens an answer.

Belongs here: names, limits and meanings of parameters. Does not belong here: what they select.
"""

import re
from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from vanc311_pipeline.reading.groups import LEVELS, Group, group_of
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import Filters
from vanc311_pipeline.schema import (
    area_comparison,
    area_issue_mix,
    closure_reasons,
    monthly_series,
    outcomes,
    quality_ledger,
    request_changes,
    service_requests,
    time_to_close,
)

STATISTICS_ROWS, STATISTICS_ROWS_AT_MOST = 1_000, 5_000
REQUESTS_ROWS, REQUESTS_ROWS_AT_MOST = 100, 1_000
_LONGEST = 200

Nothing = SkipJsonSchema[None]


def _day(text: Any) -> Any:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError("it must be a day such as 2025-08-25")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError("there is no such day") from error


def _digits(text: Any) -> Any:
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("it must be a whole number")
    return text


def _rows(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": 1, "maximum": most})


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
StatisticsRows = Annotated[
    int, BeforeValidator(_digits), Field(ge=1, le=STATISTICS_ROWS_AT_MOST), _rows(STATISTICS_ROWS_AT_MOST)
]
RequestsRows = Annotated[
    int, BeforeValidator(_digits), Field(ge=1, le=REQUESTS_ROWS_AT_MOST), _rows(REQUESTS_ROWS_AT_MOST)
]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$"),
]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
LocalArea = Annotated[Name | Nothing, Field(description="one of the city's 22 local areas")]
YesOrNo = Literal["yes", "no"]
Level = Literal["citywide", "neighbourhood", "issue", "hyper_local", "department", "unlocated"]
Scope = Literal["all", "located", "unlocated"]
Finding = Literal["more", "fewer", "not distinguishable"]
assert set(Level.__args__) == set(LEVELS)  # type: ignore[attr-defined]


def _in_path(meaning: str) -> Any:
    return Path(description=f"{meaning}; percent-encoded, / as %2F")


# The path keeps what was percent-encoded (see `delivery`), so that a name may hold a slash.
AreaInPath = Annotated[str, AfterValidator(unquote), _in_path("one of the city's 22 local areas")]
IssueInPath = Annotated[str, AfterValidator(unquote), _in_path("an issue type")]
TableInPath = Annotated[str, AfterValidator(unquote), _in_path("a table or view of the published file")]
MetricInPath = Annotated[str, AfterValidator(unquote), _in_path("a statistic")]
IdInPath = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description=str(service_requests.c.request_id.comment))]


def _meaning(column: Any) -> Any:
    return Field(description=column.comment)


class Asked(BaseModel):
    """What every route takes."""

    model_config = ConfigDict(extra="forbid")

    as_of: Annotated[
        Day | Nothing,
        Field(description="a pin: answer only if the current release is as of this day, else 409"),
    ] = None


class AskedTable(Asked):
    """What a route that answers with a table takes."""

    format: Annotated[
        Literal["json", "csv"] | Nothing,
        Field(
            description="json in pages, or csv, which without limit holds every row; without this the header Accept decides"
        ),
    ] = None
    limit: Annotated[
        StatisticsRows | Nothing,
        Field(description=f"rows of a page; {STATISTICS_ROWS} if not given"),
    ] = None
    cursor: Annotated[
        Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,512}$")] | Nothing,
        Field(
            description="where the page begins: from `links.next` of the page before. Of another release: 409, of another listing, "
            "filter or order: 404"
        ),
    ] = None

    def rows(self) -> int:
        return self.limit or STATISTICS_ROWS

    def listing(self, path: str) -> str:
        """What all pages of one listing share: its address, its filters and its order."""
        return path + self.model_dump_json(exclude={"as_of", "format", "limit", "cursor", "count"}, exclude_none=True)


class AskedGroups(AskedTable):
    """Groups of requests. The names given make the level: none the city, area and issue the area's requests of that type."""

    level: Annotated[
        Level | Nothing,
        Field(description="all groups of a level; where the names given make another level than the one wanted"),
    ] = None
    scope: Annotated[Scope | Nothing, _meaning(time_to_close.c.scope)] = None
    area: LocalArea = None
    issue: Annotated[Name | Nothing, Field(description="an issue type")] = None
    department: Annotated[Name | Nothing, Field(description="a city department")] = None

    def group(self, release: Release, otherwise: str) -> Group:
        """The group that is asked for; all groups of the level `otherwise` if nothing says which."""
        named = any(name is not None for name in (self.area, self.issue, self.department))
        level = self.level or (None if named else otherwise)
        return group_of(release, level, self.area, self.issue, self.department)


class AskedPeriods(AskedGroups):
    """Groups, by period of opening."""

    period: Annotated[Name | Nothing, _meaning(time_to_close.c.period)] = None


class AskedMonths(AskedGroups):
    """Groups, by month."""

    month_from: Annotated[Month | Nothing, Field(description=f"first {monthly_series.c.month.comment}")] = None
    month_to: Annotated[Month | Nothing, Field(description=f"last {monthly_series.c.month.comment}")] = None


class AskedDays(AskedGroups):
    """Groups, by day."""

    day_from: Annotated[Day | Nothing, Field(description="first day")] = None
    day_to: Annotated[Day | Nothing, Field(description="last day")] = None


class AskedOutcomes(AskedPeriods):
    """Groups, by period of opening and outcome."""

    outcome: Annotated[Name | Nothing, _meaning(outcomes.c.outcome)] = None


class AskedReasons(AskedTable):
    """Closure reasons, by period of opening and department."""

    period: Annotated[Name | Nothing, _meaning(closure_reasons.c.period)] = None
    department: Annotated[Name | Nothing, _meaning(closure_reasons.c.department)] = None
    closure_reason: Annotated[Name | Nothing, _meaning(closure_reasons.c.closure_reason)] = None
    outcome: Annotated[Name | Nothing, _meaning(outcomes.c.outcome)] = None


class AskedComparison(AskedTable):
    """Areas, by measure."""

    measure: Annotated[Literal["open_after_30_days", "closings"] | Nothing, _meaning(area_comparison.c.measure)] = None
    area: Annotated[Name | Nothing, _meaning(area_comparison.c.local_area)] = None
    finding: Annotated[Finding | Nothing, _meaning(area_comparison.c.finding)] = None


class AskedMix(AskedTable):
    """Areas and issue types."""

    area: Annotated[Name | Nothing, _meaning(area_issue_mix.c.local_area)] = None
    issue: Annotated[Name | Nothing, _meaning(area_issue_mix.c.issue_type)] = None
    finding: Annotated[Finding | Nothing, _meaning(area_issue_mix.c.finding)] = None


class AskedQuality(AskedTable):
    """Months and departments."""

    department: Annotated[Name | Nothing, _meaning(quality_ledger.c.department)] = None
    month_from: Annotated[Month | Nothing, Field(description="first month of opening")] = None
    month_to: Annotated[Month | Nothing, Field(description="last month of opening")] = None


class AskedSingly(AskedTable):
    """What a route that lists requests or changes one by one takes."""

    limit: Annotated[
        RequestsRows | Nothing,
        Field(description=f"rows of a page; {REQUESTS_ROWS} if not given"),
    ] = None

    def rows(self) -> int:
        return self.limit or REQUESTS_ROWS


class AskedRequests(AskedSingly):
    """Requests; every filter narrows."""

    area: LocalArea = None
    issue: Annotated[Name | Nothing, _meaning(service_requests.c.issue_type)] = None
    department: Annotated[Name | Nothing, _meaning(service_requests.c.department)] = None
    channel: Annotated[Name | Nothing, _meaning(service_requests.c.channel)] = None
    opened_from: Annotated[Day | Nothing, Field(description="opened on this Vancouver date or later")] = None
    opened_to: Annotated[Day | Nothing, Field(description="opened on this Vancouver date or earlier")] = None
    located: Annotated[YesOrNo | Nothing, Field(description="with a local area, or without")] = None
    count: Annotated[
        Literal["yes"] | Nothing, Field(description="also say in `meta.total` how many there are in all pages")
    ] = None

    def filters(self) -> Filters:
        given = {name: getattr(self, name, None) for name in Filters.__dataclass_fields__}
        return Filters(**given | {"located": None if self.located is None else self.located == "yes"})


class AskedAnyRequests(AskedRequests):
    """Requests, open or closed."""

    status: Annotated[Name | Nothing, _meaning(service_requests.c.status)] = None
    closure_reason: Annotated[
        Name | Nothing,
        Field(description="why it was closed, as the city says it; N/A stands for closed without a reason"),
    ] = None
    outcome: Annotated[Name | Nothing, Field(description="closed, and for a reason of this outcome group")] = None
    closed_from: Annotated[Day | Nothing, Field(description="closed on this Vancouver date or later")] = None
    closed_to: Annotated[Day | Nothing, Field(description="closed on this Vancouver date or earlier")] = None
    order: Annotated[
        Literal["newest", "oldest"] | Nothing,
        Field(
            description="by day of opening, or of closing if closed_from or closed_to is given; newest first if this is not given"
        ),
    ] = None


class AskedChanges(AskedSingly):
    """Changes, in the order in which we saw them."""

    since: Annotated[
        Moment | Nothing, Field(description="seen at this UTC instant or day, or later, such as 2026-01-12T00:00:00Z")
    ] = None
    kind: Annotated[
        Literal["opened", "closed", "reopened", "edited", "relabelled", "vanished"] | Nothing,
        _meaning(request_changes.c.kind),
    ] = None
    issue: Annotated[Name | Nothing, _meaning(request_changes.c.issue_type)] = None
    department: Annotated[Name | Nothing, _meaning(request_changes.c.department)] = None
