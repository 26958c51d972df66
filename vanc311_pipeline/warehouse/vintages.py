"""Vintages: what was published of a figure, and what it became. Append-only, but for lines that no published file has.

Callers pass the connection and its transaction, which is that of the statistics: a line is written with the numbers that it is one of.

Lines are drafts until the file that holds them is in its place (`drafts`).
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION
from vanc311_pipeline.metrics.facts import NONE, Codes, Facts, Status, day_number, day_texts
from vanc311_pipeline.metrics.vintages import COUNTING, KEY, PARTS, counted
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.requests.identity import CONTENT
from vanc311_pipeline.requests.identity import KEY as REQUEST_KEY
from vanc311_pipeline.requests.replay import Entry, Fields, Move, moves
from vanc311_pipeline.schema import (
    data_origin,
    figure_vintages,
    month_ledger,
    request_changes,
    restorations,
    service_requests,
)
from vanc311_pipeline.timezone import local_day
from vanc311_pipeline.warehouse import drafts, ledger
from vanc311_pipeline.warehouse.rows import fetch, insert

REVISED_DAYS = 730
"""Revisions are measured of what was published of the last two years."""


def basis(connection: sa.Connection) -> str:
    """A digest of what the log does not tell of: when the database was made, and a log brought back to it, by which rules its rows are
    read, how many months still are by others, and how many requests were there without a word. As long as it stands, what differs is
    in the log.
    """
    table = request_changes
    kinds: dict[str, int] = dict(
        connection.execute(sa.select(table.c.kind, sa.func.count()).group_by(table.c.kind)).all()
    )
    rows = connection.scalar(sa.select(sa.func.count()).select_from(service_requests)) or 0
    others = sa.select(sa.func.count()).where(month_ledger.c.code_version != CODE_VERSION)
    about = {
        "made": connection.scalar(sa.select(data_origin.c.created_at)),
        "log brought back": connection.scalar(sa.select(sa.func.max(restorations.c.restored_at))),
        "rules": [DEFINITIONS_VERSION, CODE_VERSION],
        "months by other rules": connection.scalar(others),
        "requests without an entry": rows - kinds.get("opened", 0) + kinds.get("vanished", 0),
    }
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]


def moved(connection: sa.Connection, as_of: str, basis: str) -> pd.DataFrame:
    """By how much each counting figure was moved since it was last noted, by the kind of change, from the log alone."""
    position = connection.scalar(
        sa.select(sa.func.max(figure_vintages.c.change_id)).where(figure_vintages.c.basis == basis)
    )
    by_kind = defaultdict[str, tuple[list[Fields], list[Fields]]](lambda: ([], []))
    for move in _moves(connection, position) if position is not None else ():
        for requests, fields in zip(by_kind[move.kind], (move.before, move.after), strict=True):
            if fields:
                requests.append(fields)
    tables = [pd.DataFrame(columns=[*KEY, *PARTS.values()])]
    for kind, sides in by_kind.items():
        for sign, requests in zip((-1, 1), sides, strict=True):
            table = counted(_facts(requests, day_number(as_of)))
            tables.append(table.assign(**{PARTS[kind]: sign * table["value"]}).drop(columns="value"))
    together = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    together = together.reindex(columns=[*KEY, *PARTS.values()]).astype(dict.fromkeys(PARTS.values(), float))
    sums = together.groupby([*KEY], dropna=False, sort=False).sum().reset_index()
    return sums.astype(dict.fromkeys(KEY, object))  # a key that no group has would be a number


def _moves(connection: sa.Connection, after: int) -> Iterator[Move]:
    """What each load did to each request since that change of the log, month by month, from the newest back."""
    log, stored = request_changes.c, service_requests.c
    since = log.change_id > after
    months = connection.scalars(sa.select(log.partition_month).where(since).distinct().order_by(log.partition_month))
    for month in months.all():
        of_month = log.partition_month == month, since
        instants = sa.select(log.opened_at).where(*of_month)
        rows = sa.select(*(stored[name] for name in (*REQUEST_KEY, *CONTENT))).where(
            stored.partition_month == month, stored.opened_at.in_(instants)
        )
        entries = sa.select(request_changes).where(*of_month).order_by(log.change_id.desc())
        present = (dict(row._mapping) for row in connection.execute(rows))
        yield from moves(present, map(_entry, connection.execute(entries).mappings()))


def _entry(line: Mapping[Any, Any]) -> Entry:
    before, after = (json.loads(line[name]) if line[name] else None for name in ("before", "after"))
    load = line["seen_at"], line["data_processed"], line["run_id"]
    identity = line["department"], line["issue_type"], line["opened_at"]
    return Entry(line["change_id"], load, line["kind"], line["request_id"], identity, before, after)


def _facts(requests: Sequence[Fields], as_of: int) -> Facts:
    """Requests of the log as facts, without what no such figure counts."""

    def coded(name: str) -> tuple[Codes, tuple[str, ...]]:
        codes, names = pd.factorize(np.array([fields[name] for fields in requests], dtype=object), sort=True)
        return codes.astype(np.int32), tuple(names)

    (area, areas), (issue, issues), (department, departments) = map(coded, ("local_area", "issue_type", "department"))
    status = [{"Open": Status.OPEN, "Close": Status.CLOSE}.get(fields["status"], Status.OTHER) for fields in requests]
    opened = [day_number(str(local_day(fields["opened_at"]))) for fields in requests]
    stated = np.array(
        [day_number(day) if (day := fields["closed_on"]) else NONE for fields in requests], dtype=np.int32
    )
    none = np.zeros(len(requests), dtype=np.int32)
    return Facts(
        as_of, areas, issues, departments, (), area, issue, department, none + NONE, np.array(status, dtype=np.int32),
        np.array(opened, dtype=np.int32), stated, stated, none.astype(np.int64), none > 0, none > 0,
    )  # fmt: skip


def note(connection: sa.Connection, figures: pd.DataFrame, moved: pd.DataFrame, as_of: str, basis: str) -> None:
    """Append the figures that differ from what was published of them last, or were not, and what moved them; those of a group that is
    not followed any more as null.
    """
    first = str(figures["reference"].min())
    lines = [(*(getattr(line, name) for name in KEY), line.value, line.basis) for line in newest(connection, first)]
    last = pd.DataFrame(lines, columns=[*KEY, "value", "basis"]).astype({"value": float})
    present = figures[["figure", "reference"]].drop_duplicates()
    both = figures.merge(last.merge(present), how="outer", on=KEY, suffixes=("", "_before"))
    value, before = both["value"], both["value_before"]
    alike = (value == before) | (value.isna() & before.isna())
    new = both[~alike | (value.notna() & (both["basis"] != basis))].merge(moved, how="left", on=KEY)
    if new.empty:
        return
    known = (new["basis"] == basis) & new["value_before"].notna() & new["value"].notna() & new["figure"].isin(COUNTING)
    parts = new[[*PARTS.values()]].fillna(0.0).where(known)
    number = (connection.scalar(sa.select(sa.func.max(figure_vintages.c.vintage_id))) or 0) + 1
    change_id = connection.scalar(sa.select(sa.func.max(request_changes.c.change_id))) or 0
    about = as_of, ledger.released_at(connection), change_id, basis
    appended = pd.concat([new[[*KEY]], new["value"], parts], axis=1).itertuples(index=False)
    rows = ([None if pd.isna(cell) else cell for cell in row] for row in appended)
    lines = [(id_, *row[: len(KEY)], *about, *row[len(KEY) :]) for id_, row in enumerate(rows, number)]
    insert(connection, figure_vintages, lines)
    drafts.begin(connection, figure_vintages, number)


def published_lines(connection: sa.Connection, as_of: str) -> pd.DataFrame:
    """The lines about the references of the last two years, in their order, `as_of` as a day number."""
    table = figure_vintages.c
    since = str(day_texts(day_number(as_of) - REVISED_DAYS))
    query = sa.select(figure_vintages).where(table.reference >= since).order_by(table.vintage_id)
    lines = pd.DataFrame(fetch(connection, query), columns=figure_vintages.columns.keys())
    return lines.assign(as_of=[day_number(day) for day in lines["as_of"]])


def newest(connection: sa.Connection, first_reference: str = "") -> Sequence[sa.Row[Any]]:
    """The newest line of each figure, of references from that one on."""
    table = figure_vintages.c
    of_each = sa.select(sa.func.max(table.vintage_id)).where(table.reference >= first_reference)
    ids = of_each.group_by(*(table[name] for name in KEY))
    return connection.execute(sa.select(figure_vintages).where(table.vintage_id.in_(ids))).all()
