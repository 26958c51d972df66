"""What the release knows by name: areas with their counts and outlines, issue types, departments.

Belongs here: the questions behind lists to choose from. Does not belong here: the names by themselves (`names`).
"""

import json
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import (
    backlog_by_age,
    local_areas,
    metrics_by_issue,
    metrics_by_neighbourhood,
    time_to_close,
)


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
    """Every issue type, its requests, and how many of them have a local area."""
    every, located = metrics_by_issue.alias("every"), metrics_by_issue.alias("located")
    has_area = sa.and_(located.c.issue_type == every.c.issue_type, located.c.scope == "located")
    question = (
        sa.select(
            every.c.issue_type,
            every.c.volume,
            sa.func.coalesce(located.c.volume, 0).label("located"),
            every.c.open_requests,
        )
        .select_from(every.outerjoin(located, has_area))
        .where(every.c.scope == "all")
    )
    return Listing(question, (every.c.issue_type,))


def departments() -> Listing:
    """Every department, its requests, and how many of them have a local area."""
    every, located = time_to_close.alias("every"), time_to_close.alias("located")
    has_area = sa.and_(
        located.c.department == every.c.department,
        located.c.level == "department",
        located.c.scope == "located",
        located.c.period == "all",
    )
    waiting = (
        sa.select(sa.func.sum(backlog_by_age.c.open_requests))
        .where(
            backlog_by_age.c.level == "department",
            backlog_by_age.c.scope == "all",
            backlog_by_age.c.department == every.c.department,
        )
        .scalar_subquery()
    )
    question = (
        sa.select(
            every.c.department,
            every.c.volume,
            sa.func.coalesce(located.c.volume, 0).label("located"),
            sa.func.coalesce(waiting, 0).label("open_requests"),
        )
        .select_from(every.outerjoin(located, has_area))
        .where(every.c.level == "department", every.c.scope == "all", every.c.period == "all")
    )
    return Listing(question, (every.c.department,))


def outlines(release: Release) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every local area: what is known of it, and its outline as a GeoJSON geometry."""
    listing = areas()
    question = listing.question.add_columns(local_areas.c.boundary).order_by(*listing.keys)
    return [(dict(zip(listing.columns, row, strict=False)), json.loads(row[-1])) for row in release.rows(question)]
