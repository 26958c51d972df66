"""The shape of the answers, for OpenAPI: made from the tables and views of `schema`, whose words they carry.

Belongs here: models. Does not belong here: rows; an answer is written from the rows themselves, and tests hold it to this.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, create_model

from vanc311_pipeline import schema

_TYPES: dict[type[Any], Any] = {sa.INTEGER: int, sa.REAL: float, sa.TEXT: str, sa.types.NullType: str | int | float}
_about = schema.release.c


class Model(BaseModel):
    """Nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


class Coverage(Model):
    """How many requests have a local area, and so can be compared between areas. Missing areas are not missing at random."""

    of: str = Field(description="what this is of: the city, or an issue type or department")
    period: str = Field(description="when they were opened")
    requests: int = Field(description="all requests")
    located: int = Field(description="of these, with a local area")
    located_share: float | None = Field(description="located / requests")


class Meta(Model):
    """What an answer rests on. Quote a number with its n, its scope and its as_of."""

    release: str = Field(description="the release that all of it is of; the same in the header Vanc311-Release")
    source: str = Field(description=str(_about.source.comment))
    as_of: str = Field(description=str(_about.as_of.comment))
    data_processed: str = Field(description=str(_about.data_processed.comment))
    published_at: str = Field(description=str(_about.published_at.comment))
    complete: str = Field(description=str(_about.complete.comment))
    definitions_version: str = Field(description="version of the definitions")
    licence: str = Field(description=str(_about.licence.comment))
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


@cache
def row_of(described: sa.Table) -> Any:
    """A row of a table or view."""
    return row_with(f"{_camel(described.name)}Row", *described.columns)


def row_with(name: str, *columns: sa.Column[Any], meaning: str | None = None) -> Any:
    """A row of columns of several tables; those that come from a joined table may be null."""
    return _model(name, {column.name: _field(column) for column in columns}, meaning)


def _field(column: sa.Column[Any]) -> Any:
    kind, unit = _TYPES[type(column.type)], column.info["unit"]
    meaning = column.comment if unit == "text" else f"{column.comment} [{unit}]"
    return (kind | None if column.nullable else kind), Field(description=meaning)


def nullable(column: sa.Column[Any]) -> sa.Column[Any]:
    """The column of a table that a row may have no partner in."""
    return sa.Column(column.name, column.type, comment=column.comment, info=column.info, nullable=True)


def listing_of(described: sa.Table, row: type[BaseModel] | None = None) -> Any:
    """A page of rows: of the table or view, if it isn't said of what."""
    return _answer(row.__name__ if row else _camel(described.name), "Listing", list[row or row_of(described)])  # type: ignore[misc]


def single(operation: str, data: Any) -> Any:
    """One thing, or a few of a kind, by the name of the operation that finds them."""
    return _answer(data.__name__ if isinstance(data, type) else _camel(operation), "Answer", data)


def _answer(name: str, kind: str, data: Any) -> Any:
    return _model(name + kind, {"meta": (Meta, ...), "data": (data, ...), "links": (Links, ...)})


def _model(name: str, fields: dict[str, Any], meaning: str | None = None) -> Any:
    return create_model(name, __base__=Model, __doc__=meaning, **fields)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
