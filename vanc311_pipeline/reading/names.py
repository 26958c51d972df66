"""The names that a release knows: its areas, issue types, departments and so on, and what to say to any other.

Belongs here: which names there are, and the nearest one to a misspelled one. Does not belong here: what is known of them.
"""

import difflib
from collections.abc import Sequence

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.release import Question, Release

_SUGGESTED = 3
_LISTED = 25


class UnknownName(LookupError):
    """A name that the release does not know; says which come near, or all if they are few."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        self.kind, self.name = kind, name
        self.suggestions = nearest(name, known)
        self.known = list(known) if len(known) <= _LISTED else None
        advice = f" Did you mean {' or '.join(repr(each) for each in self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"This release has no {kind.replace('_', ' ')} {_shortened(name)!r}.{advice}")


def _value(column: str) -> Question:
    values = schema.request_values.c
    return sa.select(values.value).where(values.column_name == column).order_by(values.value)


def _distinct(column: sa.Column[str], *where: sa.ColumnElement[bool]) -> Question:
    return sa.select(column).where(column.is_not(None), *where).distinct().order_by(column)


KINDS = {
    "area": _distinct(schema.local_areas.c.local_area),
    "issue": _distinct(schema.metrics_by_issue.c.issue_type),
    "department": _distinct(schema.time_to_close.c.department, schema.time_to_close.c.level == "department"),
    "period": _distinct(schema.periods.c.period),
    "status": _value("status"),
    "channel": _value("channel"),
    "closure_reason": _distinct(schema.closure_reasons.c.closure_reason),
    "outcome": _distinct(schema.outcome_mapping.c.outcome),
    "metric": _distinct(schema.metric_definitions.c.metric),
    "table": _distinct(schema.dictionary.c.table_name),
}


def names(release: Release, kind: str) -> tuple[str, ...]:
    """All names of a kind, in order."""
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
