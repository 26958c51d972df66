"""What is kept for good once it is published: lines of such tables are drafts until the file that holds them is in its place.

Drafts of a run that published nothing are withdrawn when the statistics are next computed, unless that run died after the file was in
its place: then the file has them. Callers pass the connection and its transaction.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.errors import StorageRefused
from vanc311_pipeline.schema import brief_drafts, briefs, figure_drafts, figure_vintages
from vanc311_pipeline.warehouse.rows import Row, fetch, insert
from vanc311_pipeline.warehouse.sqlite import open_read_only

DRAFTS = {figure_vintages: figure_drafts, briefs: brief_drafts}
"""By table: where its first draft is noted, by the number that its lines bear."""


def begin(connection: sa.Connection, table: sa.Table, first: int) -> None:
    """Note that the lines from that one on are drafts."""
    insert(connection, DRAFTS[table], [(first,)])


def note_published(connection: sa.Connection) -> None:
    """Note that all lines are in a published file."""
    for noted in DRAFTS.values():
        connection.execute(sa.delete(noted))


def kept(table: sa.Table) -> sa.ColumnElement[bool]:
    """That a line of a table is no draft."""
    if table not in DRAFTS:
        return sa.true()
    [number] = table.primary_key
    first = DRAFTS[table].c[number.name]
    return ~sa.exists(sa.select(first).where(first <= number))


def take_over(connection: sa.Connection, table: sa.Table, saved: Iterable[Row]) -> int:
    """Add what was published elsewhere and is not known here, how many lines that were: what one side published after the other's lines is
    appended to them; else all that is here comes after them, with other numbers.
    """
    theirs, ours = list(saved), list(fetch(connection, sa.select(table).order_by(*table.primary_key)))
    common = min(len(theirs), len(ours))
    if theirs[:common] == ours[:common]:
        insert(connection, table, theirs[common:])
        return len(theirs) - common
    connection.execute(sa.delete(table))
    later = [(number, *line[1:]) for number, line in enumerate(ours, theirs[-1][0] + 1)]
    insert(connection, table, [*theirs, *later])
    return len(theirs)


def withdraw(connection: sa.Connection, published: Path) -> None:
    """Take the drafts back, unless the published file has them."""
    for table, noted in DRAFTS.items():
        [number] = table.primary_key
        first = connection.scalar(sa.select(sa.func.min(noted.c[number.name])))
        if first is not None and not _holds(published, connection, table, first):
            connection.execute(sa.delete(table).where(number >= first))
    note_published(connection)


def _holds(published: Path, connection: sa.Connection, table: sa.Table, first: int) -> bool:
    """Whether a published file has all lines from that one on. One that can't be read has none."""
    [number] = table.primary_key
    lines = sa.select(table).where(number >= first).order_by(number)
    with suppress(StorageRefused, sa.exc.DatabaseError), open_read_only(published) as file:
        known = sa.inspect(file).has_table(table.name)
        return known and file.execute(lines).all() == connection.execute(lines).all()
    return False
