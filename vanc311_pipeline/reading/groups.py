"""Whom a statistic is about: the city, an area, an issue type, both, a department, or the requests without an area."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, Field

from vanc311_pipeline import schema
from vanc311_pipeline.reading.names import known
from vanc311_pipeline.reading.pages import Listing, all_rows
from vanc311_pipeline.reading.release import Question, Release

COLUMNS = {"area": "local_area", "issue": "issue_type", "department": "department"}
LEVELS = {
    level: tuple(kind for kind in COLUMNS if COLUMNS[kind] in columns) for level, columns in schema.LEVELS.items()
}
"""What names a group of each level."""


class NoSuchGroup(LookupError):
    """No statistics are made for such a group."""


@dataclass(frozen=True)
class Group:
    """The groups that are asked for: one if all names of the level are given, else all that have those given."""

    level: str
    area: str | None = None
    issue: str | None = None
    department: str | None = None

    @property
    def names(self) -> dict[str, str]:
        return {kind: name for kind in COLUMNS if (name := getattr(self, kind)) is not None}


def group_of(release: Release, level: str | None = None, **asked: str | None) -> Group:
    """The group that these names make; without a level it is the one that they name exactly, without names the city."""
    names = {kind: known(release, kind, name) for kind, name in asked.items() if name is not None}
    if level is None:
        fitting = [each for each, kinds in LEVELS.items() if set(kinds) == set(names)]
    else:
        fitting = [level] if set(names) <= set(LEVELS[level]) else []
    if not fitting:
        levels = ", ".join(f"{each} ({' and '.join(kinds) or 'no name'})" for each, kinds in LEVELS.items())
        raise NoSuchGroup(
            f"No statistics are made by {' and '.join(names)}{f' at the level {level}' if level else ''}. The levels: {levels}."
        )
    return Group(fitting[0], **names)


def of_group(
    release: Release, table: sa.Table, group: Group, *conditions: sa.ColumnElement[bool], **values: str | None
) -> Listing:
    """The rows of a table of statistics that are about a group, for which the conditions hold; values narrow other columns."""
    levels = release.remembered(("levels", table.name), lambda: sa.select(table.c.level).distinct())
    if levels and group.level not in levels:
        raise NoSuchGroup(f"{table.name} has no rows of the level {group.level}; it has {', '.join(sorted(levels))}.")
    about = [table.c.level == group.level]
    for kind, column in COLUMNS.items():
        if kind in group.names:
            about.append(table.c[column] == group.names[kind])
        elif kind not in LEVELS[group.level]:
            about.append(table.c[column].is_(None))  # said so that the index is used to its end
    about += [table.c[column] == value for column, value in values.items() if value is not None]
    return all_rows(table, *about, *conditions)


def records_of_group(release: Release, table: sa.Table, group: Group, **values: str) -> list[dict[str, Any]]:
    """The same rows as dictionaries; none if the table has no rows of this level."""
    try:
        return release.records(of_group(release, table, group, **values).question)
    except NoSuchGroup:
        return []


class Coverage(BaseModel, extra="forbid"):
    """How many requests have a local area, and so can be compared between areas. Missing areas are not missing at random."""

    of: str = Field(description="what this is of: the city, or an issue type or department")
    period: str = Field(description="when they were opened")
    requests: int = Field(description="all requests")
    located: int = Field(description="of these, with a local area")
    located_share: float | None = Field(description="located / requests")


def coverage(release: Release, group: Group, period: str | None = None) -> Coverage:
    """Of the group's issue type or department, else of the whole city: an area's own requests all have one."""
    level = "issue" if group.issue else "department" if group.department else "citywide"
    about = Group(level, issue=group.issue, department=group.department)
    table = schema.time_to_close

    def question() -> Question:
        listing = of_group(release, table, about, period=period or "all")
        return listing.question.with_only_columns(table.c.scope, table.c.volume)

    volumes = dict(release.remembered(("coverage", about, period), question))
    every, located = volumes.get("all", 0), volumes.get("located", 0)
    return Coverage(
        of=group.issue or group.department or "the city",
        period=period or "all",
        requests=every,
        located=located,
        located_share=located / every if every else None,
    )
