"""Figures with a fixed reference period: what is said of a week or a month once it is over, which moves only if the record does.

What belongs here: the figures, and which groups and periods they are given for. What does not: what was published of them when
(`warehouse.vintages`), and how they moved.

A period that matures is no revision: each figure is given from the day on that can no longer change it, and counts by the dates in
the record alone. A close date that lay ahead of its release counts like any other, so that no figure depends on when its rows came.
"""

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import MINIMUM_N
from vanc311_pipeline.metrics.backlog import last_sunday
from vanc311_pipeline.metrics.facts import (
    NONE,
    WEEK_DAYS,
    Codes,
    Facts,
    Floats,
    Ints,
    Mask,
    Texts,
    day_texts,
    first_days,
    month_numbers,
    month_texts,
)
from vanc311_pipeline.metrics.groups import EACH_AREA, EACH_DEPARTMENT, EACH_ISSUE, WHOLE_CITY, YEAR_DAYS, Kind, tally
from vanc311_pipeline.metrics.spells import Spells, curves_by_parts
from vanc311_pipeline.metrics.time_to_close import quantile

WEEKS, MONTHS = 27, 14
LARGEST_TYPES = 20
WITHIN_DAYS = 30
MEDIAN_AFTER = (30, 90, 365)
"""So many days after a month's end its cohort's median is read."""
COUNTING = ("opened", "closed_in", "pile", f"within_{WITHIN_DAYS}")
FIGURES = (*COUNTING, *(f"median_{days}" for days in MEDIAN_AFTER))
TRACKED: dict[Kind, str | None] = {
    WHOLE_CITY: None,
    EACH_AREA: "local_area",
    EACH_DEPARTMENT: "department",
    EACH_ISSUE: "issue_type",
}
"""The levels and scopes that have such figures, and the column that names their groups."""
KEY = ("figure", "level", "scope", "local_area", "department", "issue_type", "reference")
PARTS = {
    "opened": "by_opened_late", "closed": "by_closed_late", "vanished": "by_vanished", "reopened": "by_reopened",
    "relabelled": "by_relabelled", "edited": "by_edited",
}  # fmt: skip
"""What can move such a figure afterwards: the kinds of `request_changes`, and the columns that say by how much each did."""


def week_ends(as_of: int) -> Ints:
    """The Sundays of the last 27 weeks that ended by as_of."""
    return last_sunday(as_of) - WEEK_DAYS * np.arange(WEEKS - 1, -1, -1)


def months_over(as_of: int) -> Ints:
    """The last 14 months that ended by as_of."""
    return month_numbers(as_of + 1) - np.arange(MONTHS, 0, -1)


def references(figure: str, as_of: int) -> Texts:
    """The periods that a figure is given for: weeks by their Monday, months that have matured."""
    if figure in COUNTING[:3]:
        return day_texts(week_ends(as_of) - WEEK_DAYS + 1)
    months = months_over(as_of)
    return month_texts(months[_mature(months, as_of, int(figure.rsplit("_", 1)[1]))])


def _mature(months: Ints, as_of: int, days: int) -> Mask:
    """The months that ended so many days before as_of."""
    return first_days(months + 1) - 1 + days <= as_of


def groups_of(facts: Facts, kind: Kind) -> tuple[Codes, tuple[str | None, ...]]:
    """The group of each request, and the groups' names."""
    by_name = {
        "local_area": (facts.area, facts.areas),
        "department": (facts.department, facts.departments),
        "issue_type": (facts.issue, facts.issues),
    }
    name = TRACKED[kind]
    return by_name[name] if name else (np.zeros(len(facts), dtype=np.int32), (None,))


def counts(facts: Facts, kind: Kind) -> dict[str, Ints]:
    """The counting figures of every group of a kind (rows) and of each reference (columns).

    They add up over requests: those of two records differ by those of the requests in which the records differ.
    """
    code, names = groups_of(facts, kind)
    known = facts.is_closed & (facts.stated != NONE)
    left = np.maximum(facts.stated, facts.opened)
    first = int(week_ends(facts.as_of)[0]) - WEEK_DAYS + 1
    came, went = (facts.opened - first) // WEEK_DAYS, (left - first) // WEEK_DAYS
    months = months_over(facts.as_of)
    months = months[_mature(months, facts.as_of, WITHIN_DAYS)]
    took = facts.stated - facts.opened
    soon = known & ~facts.static & (took >= 0) & (took <= WITHIN_DAYS)

    def count(of: Mask, place: Codes | Ints, size: int) -> Ints:
        inside = of & (code != NONE) & (place >= 0) & (place < size)
        return tally(code[inside], place[inside], len(names), size)

    pile = count(facts.is_open | known, np.maximum(came, 0), WEEKS) - count(known, np.maximum(went, 0), WEEKS)
    every = np.ones(len(facts), dtype=bool)
    by_figure = (
        count(every, came, WEEKS),
        count(known, went, WEEKS),
        np.cumsum(pile, axis=1),
        count(soon, facts.open_month - (months[0] if len(months) else 0), len(months)),
    )
    return dict(zip(COUNTING, by_figure, strict=True))


def figures(facts: Facts) -> pd.DataFrame:
    """Every figure of the city, its areas, its departments and its 20 largest issue types, with its key; NaN where it is not given."""
    tables = []
    for kind in TRACKED:
        code, names = groups_of(facts, kind)
        tracked = _largest(facts) if kind == EACH_ISSUE else np.arange(len(names))
        for figure, values in counts(facts, kind).items():
            tables.append(_table(facts, kind, figure, values[tracked].astype(np.float64), tracked))
        for days in MEDIAN_AFTER:
            tables.append(_table(facts, kind, f"median_{days}", _medians(facts, code, tracked, days), tracked))
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def counted(facts: Facts) -> pd.DataFrame:
    """The counting figures of every group, with their keys; those that are 0 may lack."""
    tables = [_table(facts, kind, figure, values) for kind in TRACKED for figure, values in counts(facts, kind).items()]
    table = pd.concat(tables, ignore_index=True)
    return table[table["value"] != 0]


def _table(facts: Facts, kind: Kind, figure: str, values: Floats | Ints, groups: Ints | None = None) -> pd.DataFrame:
    """One figure of some groups (rows, without `groups` all) and references (columns), with its keys."""
    group, place = np.indices(values.shape).reshape(2, -1)
    keys: dict[str, object] = dict.fromkeys(KEY) | {"figure": figure, "level": kind[0], "scope": kind[1]}
    if name := TRACKED[kind]:
        names = np.array(groups_of(facts, kind)[1], dtype=object)
        keys[name] = (names if groups is None else names[groups])[group]
    keys["reference"] = references(figure, facts.as_of)[place]
    return pd.DataFrame(keys | {"value": values[group, place]}, index=range(len(group)))


def _largest(facts: Facts) -> Ints:
    """The issue types with the most requests of the last 365 days."""
    recent = facts.issue[facts.opened > facts.as_of - YEAR_DAYS]
    volume = np.bincount(recent, minlength=len(facts.issues))
    return np.sort(np.argsort(-volume, kind="stable")[:LARGEST_TYPES])


def _medians(facts: Facts, code: Codes, tracked: Ints, days: int) -> Floats:
    """The median of each tracked group (row) and month (column), as it is known so many days after the month's end."""
    months = months_over(facts.as_of)
    months = months[_mature(months, facts.as_of, days)]
    shape = len(tracked), len(months)
    if not all(shape):
        return np.empty(shape)
    place = np.full(int(max(code.max(initial=0), tracked.max())) + 2, NONE)  # the last is that of NONE
    place[tracked] = np.arange(len(tracked))
    month = facts.open_month - months[0]
    inside = (place[code] != NONE) & (month >= 0) & (month < len(months)) & facts.used
    until = (first_days(months + 1) - 1 + days)[month[inside]]
    opened, closed = facts.opened[inside], facts.closed[inside]
    event = facts.closed_with_date[inside] & (closed <= until)
    followed = (np.where(event, closed, until) - opened).astype(np.int32)
    cell = place[code[inside]] * len(months) + month[inside]
    cells = len(tracked) * len(months)
    spells = Spells(cell, followed, event)
    parts = [quantile(curves, "median")[0][0] for _, curves in curves_by_parts(spells, cells)]
    enough = np.bincount(cell, minlength=cells) >= MINIMUM_N
    return np.where(enough, np.concatenate(parts), np.nan).reshape(shape)
