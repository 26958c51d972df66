"""The names that a release knows: its areas with their outlines, issue types, departments and so on, with their counts; and what to
say to any other name.
"""

import difflib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Question, Release
from vanc311_pipeline.schema import backlog_by_age, local_areas, metrics_by_neighbourhood, time_to_close

_SUGGESTED = 3
_LISTED = 25


class UnknownName(LookupError):
    """A name that the release does not know; says which come near, or all if they are few."""

    def __init__(self, kind: str, name: str, known: Sequence[str], suggestions: Sequence[str] | None = None) -> None:
        self.kind, self.name = kind, name
        self.suggestions = nearest(name, known) if suggestions is None else list(suggestions)
        self.known = list(known) if len(known) <= _LISTED else None
        advice = f" Did you mean {' or '.join(repr(each) for each in self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"This release has no {kind.replace('_', ' ')} {_shortened(name)!r}.{advice}")


def _value(column: str) -> Question:
    values = schema.request_values.c
    return sa.select(values.value).where(values.column_name == column).order_by(values.value)


def _distinct(column: sa.ColumnElement[str], *where: sa.ColumnElement[bool]) -> Question:
    return sa.select(column).where(column.is_not(None), *where).distinct().order_by(column)


_streets = sa.union(*(sa.select(schema.places.c[name]) for name in ("street", "cross_street"))).subquery()
KINDS = {
    "area": _distinct(schema.local_areas.c.local_area),
    "issue": _distinct(schema.metrics_by_issue.c.issue_type),
    "department": _distinct(schema.time_to_close.c.department, schema.time_to_close.c.level == "department"),
    "period": _distinct(schema.periods.c.period),
    "status": _value("status"),
    "channel": _value("channel"),
    "closure_reason": _distinct(schema.closure_reasons.c.closure_reason),
    "outcome": _distinct(schema.outcome_mapping.c.outcome),
    "street": _distinct(_streets.c.street),
    "bia": _distinct(schema.places.c.business_improvement_area),
    "metric": _distinct(schema.metric_definitions.c.metric),
    "table": _distinct(schema.dictionary.c.table_name),
}


def names(release: Release, kind: str) -> tuple[str, ...]:
    return release.remembered(kind, lambda: KINDS[kind])


def known(release: Release, kind: str, name: str) -> str:
    """The name as the release has it, which may be written in another case."""
    if name in (all_of_them := names(release, kind)):
        return name
    alike = [each for each in all_of_them if each.casefold() == name.casefold()]
    if len(alike) != 1:
        raise UnknownName(kind, name, all_of_them)
    return alike[0]


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The names that a misspelled one may have meant."""
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(_shortened(name).casefold(), folded, _SUGGESTED, cutoff=0.6)
    return [folded[each] for each in close]


def _shortened(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:100]}…"


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


def each(column: sa.Column[str]) -> Listing:
    """Every issue type, or department: its requests, how many of them have a local area, and how many are open."""
    [level] = (level for level, names in schema.LEVELS.items() if names == (column.name,))

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
