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

from vanc311_pipeline.reading.groups import COLUMNS
from vanc311_pipeline.schema import service_requests

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
        str, Path(pattern="^[0-9a-f]{64}$", description=str(service_requests.c.request_id.comment))
    ],
}


class Asked(BaseModel):
    """What every route takes."""

    model_config = ConfigDict(extra="forbid")

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
    named = {_PARAMETERS.get(each.name, each.name): (_TYPES.get(each.name, Name), each.comment) for each in columns}
    fields: dict[str, Any] = {
        name: (Annotated[kind | Nothing, Field(description=meaning)], None)
        for name, (kind, meaning) in (named | others).items()
    }
    return create_model("Asked", __base__=base, **fields)


_PARAMETERS = {column: parameter for parameter, column in COLUMNS.items()}
_TYPES = {
    "kind": Literal["opened", "closed", "reopened", "edited", "relabelled", "vanished"],
    "scope": Literal["all", "located", "unlocated"],
    "measure": Literal["open_after_30_days", "closings"],
    "finding": Literal["more", "fewer", "no clear difference"],
    "verdict": Literal["clearly more", "clearly fewer", "somewhat more", "somewhat fewer", "about the same", "unclear"],
}
