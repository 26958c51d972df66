"""Vintages: what was published of a figure, and what it became. Append-only, but for lines that no published file has.

Callers pass the connection and its transaction, which is that of the statistics: a line is written with the numbers that it is one of.

Lines are drafts until the file that holds them is in its place. Drafts of a run that published nothing are withdrawn when the
statistics are next computed, unless that run died after the file was in its place: then the file has them.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.errors import StorageRefused
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION
from vanc311_pipeline.metrics.vintages import KEY
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.schema import (
    data_origin,
    figure_drafts,
    figure_vintages,
    month_ledger,
    request_changes,
    restorations,
    service_requests,
)
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.rows import Row, fetch, insert
from vanc311_pipeline.warehouse.sqlite import open_read_only


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


def note(connection: sa.Connection, published: Path, figures: pd.DataFrame, as_of: str, basis: str) -> None:
    """Append the figures that differ from what was published of them last, or were not; those of a group that is not followed any
    more as null. `published` is the file in its place.
    """
    withdraw(connection, published)
    first = str(figures["reference"].min())
    lines = [(*(getattr(line, name) for name in KEY), line.value, line.basis) for line in newest(connection, first)]
    last = pd.DataFrame(lines, columns=[*KEY, "value", "basis"]).astype({"value": float})
    present = figures[["figure", "reference"]].drop_duplicates()
    both = figures.merge(last.merge(present), how="outer", on=KEY, suffixes=("", "_before"))
    value, before = both["value"], both["value_before"]
    alike = (value == before) | (value.isna() & before.isna())
    new = both[~alike | (value.notna() & (both["basis"] != basis))]
    if new.empty:
        return
    number = (connection.scalar(sa.select(sa.func.max(figure_vintages.c.vintage_id))) or 0) + 1
    change_id = connection.scalar(sa.select(sa.func.max(request_changes.c.change_id))) or 0
    about = as_of, ledger.released_at(connection), change_id, basis
    keys = new[list(KEY)].where(new[list(KEY)].notna(), None).itertuples(index=False)
    values = (None if pd.isna(value) else float(value) for value in new["value"])
    appended = zip(count(number), keys, values)
    insert(connection, figure_vintages, [(id_, *key, *about, value) for id_, key, value in appended])
    insert(connection, figure_drafts, [(number,)])


def note_published(connection: sa.Connection) -> None:
    """Note that all lines are in a published file."""
    connection.execute(sa.delete(figure_drafts))


def kept(table: sa.Table) -> sa.ColumnElement[bool]:
    """That a line of a table is no draft."""
    if table is not figure_vintages:
        return sa.true()
    drafts = sa.select(figure_drafts.c.vintage_id).where(figure_drafts.c.vintage_id <= figure_vintages.c.vintage_id)
    return ~sa.exists(drafts)


def take_over(connection: sa.Connection, saved: Iterable[Row]) -> int:
    """Add what was published elsewhere and is not known here, how many lines that were: what one side published after the other's lines is
    appended to them; else all that is here comes after them, with other numbers.
    """
    theirs, ours = list(saved), list(fetch(connection, sa.select(figure_vintages).order_by("vintage_id")))
    common = min(len(theirs), len(ours))
    if theirs[:common] == ours[:common]:
        insert(connection, figure_vintages, theirs[common:])
        return len(theirs) - common
    connection.execute(sa.delete(figure_vintages))
    later = [(number, *line[1:]) for number, line in enumerate(ours, theirs[-1][0] + 1)]
    insert(connection, figure_vintages, [*theirs, *later])
    return len(theirs)


def withdraw(connection: sa.Connection, published: Path) -> None:
    """Take the drafts back, unless the published file has them."""
    first = connection.scalar(sa.select(sa.func.min(figure_drafts.c.vintage_id)))
    if first is None:
        return
    if not _holds(published, connection, first):
        connection.execute(sa.delete(figure_vintages).where(figure_vintages.c.vintage_id >= first))
    note_published(connection)


def _holds(published: Path, connection: sa.Connection, first: int) -> bool:
    """Whether a published file has all lines from that one on. One that can't be read has none."""
    drafts = sa.select(figure_vintages).where(figure_vintages.c.vintage_id >= first).order_by("vintage_id")
    with suppress(StorageRefused, sa.exc.DatabaseError), open_read_only(published) as file:
        known = sa.inspect(file).has_table(figure_vintages.name)
        return known and file.execute(drafts).all() == connection.execute(drafts).all()
    return False


def newest(connection: sa.Connection, first_reference: str = "") -> Sequence[sa.Row[Any]]:
    """The newest line of each figure, of references from that one on."""
    table = figure_vintages.c
    of_each = sa.select(sa.func.max(table.vintage_id)).where(table.reference >= first_reference)
    ids = of_each.group_by(*(table[name] for name in KEY))
    return connection.execute(sa.select(figure_vintages).where(table.vintage_id.in_(ids))).all()
