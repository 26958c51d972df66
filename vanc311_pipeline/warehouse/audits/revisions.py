"""The audit of what was published and what it became: whatever moved a figure is in the log."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.metrics.facts import NONE, Facts, Floats, Status, day_number, day_texts, first_days
from vanc311_pipeline.metrics.groups import Kind
from vanc311_pipeline.metrics.vintages import COUNTING, TRACKED, WEEKS, counts, groups_of, months_over, references
from vanc311_pipeline.requests.cleaning import local_day
from vanc311_pipeline.requests.identity import CONTENT, KEY
from vanc311_pipeline.requests.replay import Entry, Fields, moves
from vanc311_pipeline.schema import figure_vintages, request_changes, service_requests
from vanc311_pipeline.warehouse import ledger, vintages
from vanc311_pipeline.warehouse.audits.questions import Finding, audit
from vanc311_pipeline.warehouse.statistics import read_facts

REPLAYED_DAYS = 35
"""What was published before was replayed while it was as new, and the log was only added to."""
_REACHING = "(opened_on >= '{0}' OR closed_on >= '{0}' OR status = 'Open')"
"""That a request can be in a figure whose first day is that."""

Group = tuple[str, Kind, str | None]
"""A figure, a level and scope, and the name of the group."""
Figures = dict[Group, Floats]
"""The values by reference."""
COUNTED_BY = ("opened_at", "status", "closed_on", "local_area", "issue_type", "department")
Counted = tuple[str | None, ...]
"""These fields of a request."""
Moved = tuple[int, Counted | None, Counted | None]
"""The change, and the request before and after it."""


@audit("monthly_series", "revisions_are_in_the_log")
def replayed(connection: sa.Connection) -> Finding:
    """What was published of a week or a month in the last 35 days is what is published now, less what the log of changes tells since.

    Exact, for all counts; and the newest value of each is what the stored requests give.
    """
    as_of, basis = ledger.as_of(connection), vintages.basis(connection)
    day = day_number(as_of)
    facts = read_facts(connection, as_of, _REACHING.format(day_texts(first_days(months_over(day)[0]))))
    figures, newest = _figures(facts), vintages.newest(connection)
    problems = [*_wrong(figures, [line for line in newest if line.basis == basis and line.figure in COUNTING], day)]
    lines = _lines(connection, day, basis)
    positions = sorted({line.change_id for line in lines}, reverse=True)
    try:
        moved = list(_moves(connection, positions[-1])) if positions else []
    except IntegrityFailed as error:
        return Finding([*problems, str(error)])
    for position, newer in zip(positions, [math.inf, *positions], strict=False):
        between = [move for move in moved if position < move[0] <= newer]
        for sign, place in ((1, 1), (-1, 2)):
            requests = [fields for move in between if isinstance(fields := move[place], tuple)]
            for group, values in _figures(_facts(requests, day)).items():
                figures[group] += sign * values
        problems += _wrong(figures, [line for line in lines if line.change_id == position], day)
    return Finding(
        list(dict.fromkeys(problems)), counts={"values replayed": len(lines), "changes taken back": len(moved)}
    )


def _lines(connection: sa.Connection, day: int, basis: str) -> Sequence[sa.Row[Any]]:
    """What was published lately of figures that count, on the present basis."""
    table = figure_vintages.c
    recent = table.as_of >= str(day_texts(day - REPLAYED_DAYS))
    query = sa.select(figure_vintages).where(recent, table.figure.in_(COUNTING), table.basis == basis)
    return connection.execute(query.order_by(table.vintage_id)).all()


def _figures(facts: Facts) -> Figures:
    """Every counting figure of every group; of a group without a request, zeros."""
    found: Figures = defaultdict(lambda: np.zeros(WEEKS))
    for kind in TRACKED:
        _, names = groups_of(facts, kind)
        for figure, values in counts(facts, kind).items():
            for place, name in enumerate(names):
                found[figure, kind, name][: values.shape[1]] = values[place]
    return found


def _wrong(figures: Figures, lines: Sequence[sa.Row[Any]], day: int) -> Iterator[str]:
    """Lines that are not what the figures are, but for those of groups that were not followed any more."""
    places = {
        figure: {reference: place for place, reference in enumerate(references(figure, day))} for figure in COUNTING
    }
    for line in lines:
        kind = line.level, line.scope
        name = getattr(line, TRACKED[kind] or "", None)
        place = None if line.value is None else places[line.figure].get(line.reference)
        if place is not None and (value := figures[line.figure, kind, name][place]) != line.value:
            yield (
                f"{line.figure} of {line.reference}, {name or line.level}: {line.value:,.0f} was published (line "
                f"{line.vintage_id}), the requests and the log give {value:,.0f}"
            )


def _moves(connection: sa.Connection, after: int) -> Iterator[Moved]:
    """What each load did to the figures, request by request, from the newest back to that change of the log, month by month."""
    log, stored = request_changes.c, service_requests.c
    since = log.change_id > after
    months = connection.scalars(sa.select(log.partition_month).where(since).distinct().order_by(log.partition_month))
    for month in months.all():
        of_month = log.partition_month == month, since
        instants = sa.select(log.opened_at).where(*of_month)
        rows = sa.select(*(stored[name] for name in (*KEY, *CONTENT))).where(
            stored.partition_month == month, stored.opened_at.in_(instants)
        )
        entries = sa.select(request_changes).where(*of_month).order_by(log.change_id.desc())
        present = (dict(row._mapping) for row in connection.execute(rows))
        for move in moves(present, map(_entry, connection.execute(entries).mappings())):
            was, is_ = _counted(move.before), _counted(move.after)
            if was != is_:
                yield move.change_id, was, is_


def _counted(fields: Fields | None) -> Counted | None:
    return None if fields is None else tuple(fields[name] for name in COUNTED_BY)


def _entry(line: Mapping[Any, Any]) -> Entry:
    before, after = (json.loads(line[name]) if line[name] else None for name in ("before", "after"))
    load = line["seen_at"], line["data_processed"], line["run_id"]
    identity = line["department"], line["issue_type"], line["opened_at"]
    return Entry(line["change_id"], load, line["kind"], line["request_id"], identity, before, after)


def _facts(rows: Sequence[Counted], as_of: int) -> Facts:
    """Requests of the log as facts, without what no figure counts."""
    column = {name: np.array([row[place] for row in rows], dtype=object) for place, name in enumerate(COUNTED_BY)}
    (area, areas), (issue, issues), (department, departments) = (
        (codes.astype(np.int32), tuple(names))
        for codes, names in (pd.factorize(column[name], sort=True) for name in COUNTED_BY[3:])
    )
    stated = [day_number(date) if date else NONE for date in column["closed_on"]]
    status = [{"Open": Status.OPEN, "Close": Status.CLOSE}.get(each, Status.OTHER) for each in column["status"]]
    opened = [day_number(str(local_day(instant))) for instant in column["opened_at"]]
    none = np.zeros(len(rows), dtype=np.int32)
    days = np.array(stated, dtype=np.int32)
    return Facts(
        as_of=as_of,
        areas=areas,
        issues=issues,
        departments=departments,
        reasons=(),
        area=area,
        issue=issue,
        department=department,
        reason=none + NONE,
        status=np.array(status, dtype=np.int32),
        opened=np.array(opened, dtype=np.int32),
        closed=days,
        stated=days,
        changed=none.astype(np.int64),
        twin=none > 0,
        point=none > 0,
    )
