"""Routes that list a table of the published file: as it is, or the groups that are asked for.

Belongs here: what the addresses of `routes` share. Does not belong here: an address, and which groups there are (`reading.groups`).
"""

from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, documented_table, listed
from vanc311_pipeline.api.parameters import AskedGroups, AskedTable
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.reading.groups import coverage, of_group
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import Listing, all_rows
from vanc311_pipeline.schema import View

_NAMED = ("period", "outcome")
_RANGES = ("month", "day")


def list_table(
    router: Questions,
    path: str,
    name: str,
    summary: str,
    table: sa.Table | View,
    listing: Listing | None = None,
    row: type[BaseModel] | None = None,
    tags: list[str] | None = None,
) -> None:
    """Answer at this path with a table, or with a listing that says more of it.

    Args:
        name: the operation's id in OpenAPI.
        row: what a row of the listing is, if not a row of the table.
    """
    rows = all_rows(table) if listing is None and isinstance(table, sa.Table) else listing
    assert rows is not None

    def answer(request: Request, asked: Annotated[AskedTable, Query()]) -> Response:
        return listed(request, asked, rows, table)

    router.add_api_route(path, answer, name=name, summary=summary, tags=tags, **documented_table(table, row))


def list_groups(
    router: Questions,
    path: str,
    name: str,
    summary: str,
    table: sa.Table,
    parameters: type[AskedGroups] = AskedGroups,
    tags: list[str] | None = None,
    otherwise: str = "citywide",
) -> None:
    """Answer at this path with the rows of a table of statistics that are about the groups that are asked for.

    Args:
        name: the operation's id in OpenAPI.
        otherwise: the level whose groups are meant if the request names none.
    """

    def answer(request: Request, asked: Annotated[parameters, Query()]) -> Response:  # type: ignore[valid-type]
        return _listed_groups(request, asked, table, otherwise)

    router.add_api_route(path, answer, name=name, summary=summary, tags=tags, **documented_table(table))


def _listed_groups(request: Request, asked: AskedGroups, table: sa.Table, otherwise: str) -> Response:
    release = current(request, asked)
    group = asked.group(release, otherwise)
    named: dict[str, Any] = {name: getattr(asked, name, None) for name in _NAMED}
    values = {name: known(release, name, value) for name, value in named.items() if value is not None}
    ranges = [
        condition
        for column in _RANGES
        for condition in between(table, column, *(getattr(asked, f"{column}_{end}", None) for end in ("from", "to")))
    ]
    listing = of_group(release, table, group, *ranges, scope=asked.scope, **values)
    return listed(request, asked, listing, table, coverage=coverage(release, group, values.get("period")))


def between(table: sa.Table, column: str, first: Any, last: Any) -> list[sa.ColumnElement[bool]]:
    """That a column is between the first and the last month or day, as far as they are given."""
    conditions = [] if first is None else [table.c[column] >= str(first)]
    return conditions if last is None else [*conditions, table.c[column] <= str(last)]
