"""A table of statistics as an answer: the groups that were asked for, and how much of them has a local area.

Belongs here: what the routes of such tables share. Does not belong here: which groups there are (`reading.groups`).
"""

import sqlalchemy as sa
from fastapi import Request
from starlette.responses import Response

from vanc311_pipeline.api.listing import current, listed
from vanc311_pipeline.api.parameters import AskedGroups
from vanc311_pipeline.reading.groups import coverage, of_group
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import Listing


def listed_groups(
    request: Request,
    asked: AskedGroups,
    table: sa.Table,
    *conditions: sa.ColumnElement[bool],
    period: str | None = None,
    otherwise: str = "citywide",
    **equal: str | None,
) -> Response:
    """The rows about the groups that were asked for, and in which the other columns are as given, if given.

    Args:
        otherwise: the level whose groups are meant if the request names none.
    """
    release = current(request, asked)
    group = asked.group(release, otherwise)
    if period is not None:
        equal["period"] = period = known(release, "period", period)
    listing = of_group(release, table, group, scope=asked.scope, **equal)
    listing = Listing(listing.question.where(*conditions), listing.keys)
    return listed(request, asked, listing, table, coverage=coverage(release, group, period))
