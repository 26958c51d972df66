"""What the release knows by name: areas with their counts and outlines, issue types, departments.

Belongs here: the questions behind lists to choose from. Does not belong here: the names by themselves (`names`).
"""

import json
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import backlog_by_age, local_areas, metrics_by_neighbourhood, time_to_close


def areas() -> Listing:
    """Every local area, with or without requests."""
    of = metrics_by_neighbourhood.c
    question = sa.select(
        local_areas.c.local_area,
        sa.func.coalesce(of.volume, 0).label("volume"),
        sa.func.coalesce(of.open_requests, 0).label("open_requests"),
        local_areas.c.latitude,
        local_areas.c.longitude,
    ).select_from(local_areas.outerjoin(metrics_by_neighbourhood, local_areas.c.local_area == of.local_area))
    return Listing(question, (local_areas.c.local_area,))


def issues() -> Listing:
    return _each("issue", time_to_close.c.issue_type)


def departments() -> Listing:
    return _each("department", time_to_close.c.department)


def _each(level: str, column: sa.Column[str]) -> Listing:
    """Every group of a level, its requests, how many of them have a local area, and how many are open."""

    def of(table: sa.FromClause, scope: str) -> sa.ColumnElement[bool]:
        # The area is said to be none so that the index is used to its end.
        return sa.and_(table.c.level == level, table.c.local_area.is_(None), table.c.scope == scope)

    every, located = time_to_close.alias("every"), time_to_close.alias("located")
    name, same = every.c[column.name], located.c[column.name] == every.c[column.name]
    waiting = (
        sa.select(sa.func.sum(backlog_by_age.c.open_requests))
        .where(of(backlog_by_age, "all"), backlog_by_age.c[column.name] == name)
        .scalar_subquery()
    )
    question = (
        sa.select(
            name,
            every.c.volume,
            sa.func.coalesce(located.c.volume, 0).label("located"),
            sa.func.coalesce(waiting, 0).label("open_requests"),
        )
        .select_from(every.outerjoin(located, sa.and_(of(located, "located"), located.c.period == "all", same)))
        .where(of(every, "all"), every.c.period == "all")
    )
    return Listing(question, (name,))


def outlines(release: Release) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every local area: what is known of it, and its outline as a GeoJSON geometry."""
    listing = areas()
    question = listing.question.add_columns(local_areas.c.boundary).order_by(*listing.keys)
    return [(dict(zip(listing.columns, row, strict=False)), json.loads(row[-1])) for row in release.rows(question)]
