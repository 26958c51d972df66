"""The lines of the index pages: every area, problem and department with its requests, what is open, and how fast half are closed."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Row
from vanc311_pipeline.dashboard.view import LAST_12_MONTHS, View, address_of
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import group_name, groups, plain
from vanc311_pipeline.reading.names import areas, each
from vanc311_pipeline.reading.release import Release


@dataclass(frozen=True)
class Index:
    """An index page: of what, and by which of its columns it may be sorted, the usual one first."""

    kind: str
    title: str
    level: str
    scope: str
    column: str
    sorts: tuple[str, ...]
    note: str = ""

    def address(self, view: View, sort: str) -> str:
        """The one address of its lines of a view's period in an order."""
        usual, asked = {"period": LAST_12_MONTHS, "sort": self.sorts[0]}, {"period": view.period, "sort": sort}
        query = urlencode({name: value for name, value in asked.items() if value != usual[name]})
        return f"/{self.kind}s" + (f"?{query}" if query else "")


_UNRANKED = "They are not sorted by it: each has other kinds of request, which take their own time."

KINDS = {
    "areas": Index(
        "area", "Areas", "neighbourhood", "located", "local_area", ("name", "requests", "open"),
        f"{_UNRANKED} Each area’s page compares it with the city, kind by kind.",
    ),
    "issues": Index("issue", "Problems", "issue", "all", "issue_type", ("requests", "name", "open", "half")),
    "departments": Index("department", "Departments", "department", "all", "department", ("requests", "name", "open"), _UNRANKED),
}  # fmt: skip


def rows(release: Release, kind: str, view: View, sort: str) -> list[Row]:
    """The lines of an index page: by name, or the most or the slowest first, and what can't be told last."""
    index = KINDS[kind]
    listing = areas() if kind == "areas" else each(schema.time_to_close.c[index.column])
    times = {
        row[index.column]: row
        for row in records_of_group(
            release, schema.time_to_close, Group(index.level), scope=index.scope, period=view.period
        )
    }
    lines = [_line(index, view, dict(row._mapping), times.get(row[0])) for row in release.rows(listing.question)]
    lines.sort(key=lambda line: str(line["plain"]).casefold())
    by = "days" if sort == "half" else sort
    return lines if sort == "name" else sorted(lines, key=lambda line: -line[by])


def whole_groups(release: Release, view: View) -> list[Cell]:
    """The groups of departments by name, with their pages."""
    links = [Cell(group_name(group), f"/departments/{group}{view.query}") for group in groups(release)]
    return sorted(links, key=lambda link: link.text.casefold())


def _line(index: Index, view: View, counted: dict[str, Any], time: dict[str, Any] | None) -> Row:
    label = counted[index.column]
    days = time["median_days"] if time and time["median_state"] == State.OK else None
    return {
        "label": label,
        "plain": plain(index.kind, label),
        "name": Cell(plain(index.kind, label), address_of(index.kind, label) + view.query, number=False, title=label),
        "requests": time["volume"] if time else 0,
        "n": time["n"] if time else 0,
        "open": counted["open_requests"],
        "half": _half(time),
        "days": -1 if days is None else days,
    }


def _half(time: dict[str, Any] | None) -> Cell:
    """Days until half are closed, and between which days that may lie; or why there are none."""
    state = time["median_state"] if time else State.NO_REQUESTS
    if time is None or state != State.OK:
        return Cell(words.days_or_why(None, state), quiet=True)
    low, high = time["median_low"], time["median_high"]
    between = f" ({words.interval(low, high)})" if low != high else ""
    return Cell(words.days_or_why(time["median_days"], state) + between)
