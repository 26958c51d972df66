"""What may be asked and what is answered, for OpenAPI: the names in a path, the parameters after the question mark, each once; and the
shape of the answers, made from the tables and views of `schema`, whose words they carry.

A parameter that a route does not know is an error, so that a typo never silently widens an answer.
"""

import re
from datetime import date
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import unquote

import sqlalchemy as sa
from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, create_model
from pydantic.json_schema import SkipJsonSchema

from vanc311_pipeline import schema
from vanc311_pipeline.reading.groups import COLUMNS, Coverage
from vanc311_pipeline.reading.places import RADIUS_AT_MOST

STATISTICS_ROWS, STATISTICS_ROWS_AT_MOST = 1_000, 5_000
REQUESTS_ROWS, REQUESTS_ROWS_AT_MOST = 100, 1_000
_LONGEST = 200

Nothing = SkipJsonSchema[None]
Data = TypeVar("Data")


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
Ordinal = Annotated[int, Field(ge=0), BeforeValidator(_digits)]
Radius = Annotated[int, Field(ge=1, le=RADIUS_AT_MOST), BeforeValidator(_digits)]
Point = Annotated[str, Field(pattern=r"^-?[0-9]{1,2}(\.[0-9]{1,15})?,-?[0-9]{1,3}(\.[0-9]{1,15})?$")]
Name = Annotated[str, Field(min_length=1, max_length=_LONGEST)]
Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$"),
]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
AREA = "one of the city's 22 local areas"


def _in_path(meaning: str) -> Any:
    # The path keeps what was percent-encoded (see `delivery`), so that a name may hold a slash.
    return Annotated[str, AfterValidator(unquote), Path(description=f"{meaning}; percent-encoded, / as %2F")]


IN_PATH: dict[str, Any] = {
    "area": _in_path(AREA),
    "issue": _in_path("an issue type"),
    "table": _in_path("a table or view of the published file"),
    "metric": _in_path("a statistic"),
    "request_id": Annotated[
        str, Path(pattern="^[0-9a-f]{64}$", description=str(schema.service_requests.c.request_id.comment))
    ],
}


class Model(BaseModel, extra="forbid"):
    """Nothing but what is described."""


class Asked(Model):
    """What every route takes."""

    as_of: Day | Nothing = Field(
        None, description="a pin: answer only if the current release is as of this day, else 409"
    )


class AskedTable(Asked):
    """What a route that answers with a table takes."""

    rows: ClassVar = STATISTICS_ROWS

    format: Literal["json", "csv"] | Nothing = Field(
        None,
        description="json in pages, or csv, which without limit holds every row; without this the header Accept decides",
    )
    limit: StatisticsRows | Nothing = Field(None, description=f"rows of a page; {STATISTICS_ROWS} if not given")
    cursor: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,512}$")] | Nothing = Field(
        None,
        description="where the page begins: from `links.next` of the page before. Of another release: 409, of another listing, filter "
        "or order: 404",
    )

    def listing(self, path: str) -> str:
        """What all pages of one listing share: its address, its filters and its order."""
        return path + self.model_dump_json(exclude=_OF_A_PAGE, exclude_none=True)

    def narrowing(self) -> dict[str, Any]:
        """What is asked for that narrows the rows."""
        return {name: value for name, value in self if name not in _OF_A_PAGE and value is not None}


_OF_A_PAGE = {"as_of", "format", "limit", "cursor", "count"}


class AskedSingly(AskedTable):
    """What a route that lists requests or changes one by one takes."""

    rows: ClassVar = REQUESTS_ROWS

    limit: RequestsRows | Nothing = Field(None, description=f"rows of a page; {REQUESTS_ROWS} if not given")


def asked_with(base: type[AskedTable], *columns: sa.Column[Any], **others: tuple[Any, str]) -> Any:
    """The parameters of a base, a value of each of these columns, and others, each with its type and its meaning."""
    named = {_PARAMETERS.get(each.name, each.name): (_CHOICES.get(each.name, Name), each.comment) for each in columns}
    fields: dict[str, Any] = {
        name: (Annotated[kind | Nothing, Field(description=meaning)], None)
        for name, (kind, meaning) in (named | others).items()
    }
    return create_model("Asked", __base__=base, **fields)


_PARAMETERS = {column: parameter for parameter, column in COLUMNS.items()}
_CHOICES = {
    "kind": Literal["opened", "closed", "reopened", "edited", "relabelled", "vanished"],
    "scope": Literal["all", "located", "unlocated"],
    "measure": Literal["open_after_30_days", "closings"],
    "finding": Literal["more", "fewer", "no clear difference"],
    "verdict": Literal["clearly more", "clearly fewer", "somewhat more", "somewhat fewer", "about the same", "unclear"],
}


_TYPES: dict[type[Any], Any] = {sa.INTEGER: int, sa.REAL: float, sa.TEXT: str, sa.types.NullType: str | int | float}
RESTS_ON = ("source", "as_of", "data_processed", "published_at", "complete", "licence")
"""What the table `release` says that every answer repeats."""


@cache
def row_of(described: sa.Table) -> Any:
    """A row of a table or view."""
    name = "".join(part.capitalize() for part in described.name.split("_"))
    return row_with(f"{name}Row", *described.columns)


def row_with(name: str, *columns: sa.Column[Any], meaning: str | None = None) -> Any:
    """A row of columns of several tables; those that come from a joined table may be null."""
    fields: dict[str, Any] = {column.name: _field(column) for column in columns}
    return create_model(name, __base__=Model, __doc__=meaning, **fields)


def is_object(column: sa.Column[Any]) -> bool:
    """Whether a column's text is a JSON object, which JSON has as such."""
    return bool(column.info["unit"] == "JSON object")


def _field(column: sa.Column[Any]) -> Any:
    kind, unit = dict[str, Any] if is_object(column) else _TYPES[type(column.type)], column.info["unit"]
    meaning = column.comment if unit == "text" else f"{column.comment} [{unit}]"
    return (kind | None if column.nullable else kind), Field(description=meaning)


def nullable(column: sa.Column[Any]) -> sa.Column[Any]:
    """The column of a table that a row may have no partner in."""
    return sa.Column(column.name, column.type, comment=column.comment, info=column.info, nullable=True)


class Meta(row_with("Rests", *(schema.release.c[name] for name in RESTS_ON))):  # type: ignore[misc]
    """What an answer rests on. Quote a number with its n, its scope and its as_of."""

    release: str = Field(description="the release that all of it is of; the same in the header Vanc311-Release")
    definitions_version: str = Field(description="version of the definitions")
    note: str | None = Field(default=None, description="what to say beside any number of this release, if anything")
    table: str | None = Field(default=None, description="the table or view that the rows are from")
    meaning: str | None = Field(default=None, description="what a row means")
    definitions: dict[str, str] = Field(default={}, description="where the statistics in it are defined")
    coverage: Coverage | None = Field(default=None, description="how much of it has a local area")
    state: str | None = Field(default=None, description="why there is no row, if there is none and that says something")
    rows: int | None = Field(default=None, description="rows of this page")
    total: int | None = Field(default=None, description="rows of all pages, if that was asked for")


class Links(Model):
    """Where to go from here."""

    self: str = Field(description="this answer")
    next: str | None = Field(default=None, description="the next page; absent on the last")
    csv: str | None = Field(default=None, description="all rows of all pages as CSV")


class Answer(Model, Generic[Data]):
    """One thing, or the rows of a page."""

    meta: Meta
    data: Data
    links: Links
