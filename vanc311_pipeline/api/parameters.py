"""What may stand in an address: the names in its path, and the parameters after the question mark, each once. A parameter that a
route does not know is an error, so that a typo never silently widens an answer.

Belongs here: names, limits and meanings of parameters. Does not belong here: what they select.
"""

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

import sqlalchemy as sa
from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, create_model
from pydantic.json_schema import SkipJsonSchema

from vanc311_pipeline import schema
from vanc311_pipeline.reading.groups import COLUMNS, LEVELS
from vanc311_pipeline.reading.requests import Filters
from vanc311_pipeline.schema import request_changes, service_requests

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


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
StatisticsRows = Annotated[int, Field(ge=1, le=STATISTICS_ROWS_AT_MOST), BeforeValidator(_digits)]
RequestsRows = Annotated[int, Field(ge=1, le=REQUESTS_ROWS_AT_MOST), BeforeValidator(_digits)]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$"),
]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
LocalArea = Annotated[Name | Nothing, Field(description="one of the city's 22 local areas")]
Level = Literal["citywide", "neighbourhood", "issue", "hyper_local", "department", "unlocated"]
assert set(Level.__args__) == set(LEVELS)  # type: ignore[attr-defined]


def _in_path(meaning: str) -> Any:
    # The path keeps what was percent-encoded (see `delivery`), so that a name may hold a slash.
    return Annotated[str, AfterValidator(unquote), Path(description=f"{meaning}; percent-encoded, / as %2F")]


IN_PATH: dict[str, Any] = {
    "area": _in_path("one of the city's 22 local areas"),
    "issue": _in_path("an issue type"),
    "table": _in_path("a table or view of the published file"),
    "metric": _in_path("a statistic"),
    "request_id": Annotated[
        str, Path(pattern="^[0-9a-f]{64}$", description=str(service_requests.c.request_id.comment))
    ],
}


def _meaning(column: sa.Column[Any]) -> Any:
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

    rows: ClassVar = STATISTICS_ROWS

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

    def listing(self, path: str) -> str:
        """What all pages of one listing share: its address, its filters and its order."""
        return path + self.model_dump_json(exclude=_OF_A_PAGE, exclude_none=True)

    def narrowing(self) -> dict[str, Any]:
        """What is asked for that narrows the rows."""
        return {name: value for name, value in self if name not in _OF_A_PAGE and value is not None}


_OF_A_PAGE = {"as_of", "format", "limit", "cursor", "count"}


class AskedGroups(AskedTable):
    """Groups of requests. The names given make the level: none the city, area and issue the area's requests of that type."""

    level: Annotated[
        Level | Nothing,
        Field(description="all groups of a level; where the names given make another level than the one wanted"),
    ] = None
    scope: Annotated[Literal["all", "located", "unlocated"] | Nothing, _meaning(schema.time_to_close.c.scope)] = None
    area: LocalArea = None
    issue: Annotated[Name | Nothing, Field(description="an issue type")] = None
    department: Annotated[Name | Nothing, Field(description="a city department")] = None


def _with(base: type[AskedTable], *columns: sa.Column[Any], **others: tuple[Any, str]) -> Any:
    """The parameters of a base, a value of each of these columns, and others, each with its type and its meaning."""
    named = {_PARAMETERS.get(each.name, each.name): (_TYPES.get(each.name, Name), each.comment) for each in columns}
    fields: dict[str, Any] = {
        name: (Annotated[kind | Nothing, Field(description=meaning)], None)
        for name, (kind, meaning) in (named | others).items()
    }
    return create_model("Asked", __base__=base, **fields)


_PARAMETERS = {column: parameter for parameter, column in COLUMNS.items()}
_TYPES = {
    "measure": Literal["open_after_30_days", "closings"],
    "finding": Literal["more", "fewer", "not distinguishable"],
}
_period, _outcome = schema.time_to_close.c.period, schema.outcomes.c.outcome
_reasons, _areas, _mix = schema.closure_reasons.c, schema.area_comparison.c, schema.area_issue_mix.c

AskedPeriods = _with(AskedGroups, _period)
AskedOutcomes = _with(AskedPeriods, _outcome)
AskedMonths = _with(AskedGroups, month_from=(Month, "first month"), month_to=(Month, "last month"))
AskedDays = _with(AskedGroups, day_from=(Day, "first day"), day_to=(Day, "last day"))
AskedReasons = _with(AskedTable, _period, _reasons.department, _reasons.closure_reason, _outcome)
AskedComparison = _with(AskedTable, _areas.measure, _areas.local_area, _areas.finding)
AskedMix = _with(AskedTable, _mix.local_area, _mix.issue_type, _mix.finding)
AskedQuality = _with(
    AskedTable,
    schema.quality_ledger.c.department,
    month_from=(Month, "first month of opening"),
    month_to=(Month, "last month of opening"),
)


class AskedSingly(AskedTable):
    """What a route that lists requests or changes one by one takes."""

    rows: ClassVar = REQUESTS_ROWS

    limit: Annotated[
        RequestsRows | Nothing,
        Field(description=f"rows of a page; {REQUESTS_ROWS} if not given"),
    ] = None


class AskedRequests(AskedSingly):
    """Requests; every filter narrows."""

    area: LocalArea = None
    issue: Annotated[Name | Nothing, _meaning(service_requests.c.issue_type)] = None
    department: Annotated[Name | Nothing, _meaning(service_requests.c.department)] = None
    channel: Annotated[Name | Nothing, _meaning(service_requests.c.channel)] = None
    opened_from: Annotated[Day | Nothing, Field(description="opened on this Vancouver date or later")] = None
    opened_to: Annotated[Day | Nothing, Field(description="opened on this Vancouver date or earlier")] = None
    located: Annotated[Literal["yes", "no"] | Nothing, Field(description="with a local area, or without")] = None
    count: Annotated[
        Literal["yes"] | Nothing, Field(description="also say in `meta.total` how many there are in all pages")
    ] = None

    def filters(self) -> Filters:
        asked = {name: getattr(self, name, None) for name in Filters.__dataclass_fields__}
        return Filters(**asked | {"located": self.located and self.located == "yes"})


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
