"""The warehouse's connections: SQLite through SQLAlchemy, opened for a purpose and closed whatever happens.

What belongs here: how a connection is set up, begun and closed, and the creation of the tables. What does not: any row.

Writers begin with BEGIN IMMEDIATE: in WAL mode a transaction that starts by reading and then writes fails with
"database is locked" when another has written meanwhile, however long the timeout. Readers open the file read-only.
Nothing is opened at import, and no connection outlives its `with` block.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from vanc311_pipeline import schema
from vanc311_pipeline.disk import on_disk, refusal
from vanc311_pipeline.errors import SettingsError, StorageError
from vanc311_pipeline.settings import Settings, Source
from vanc311_pipeline.warehouse.migrations import VERSION, found_version, migrate, note_version

BUSY_TIMEOUT_SECONDS = 30
CACHE_KIB = 64_000


class Warehouse:
    """One SQLite warehouse. `write` and `read` give a connection in a transaction."""

    def __init__(self, url: str, source: Source) -> None:
        self.path = Path(sa.make_url(url).database or "")
        self.source = source

    @classmethod
    def of(cls, settings: Settings) -> "Warehouse":
        return cls(settings.warehouse_url, settings.source)

    def create(self) -> None:
        """Make the file and its tables if they are not there yet, upgrade older ones, and make sure that it is ours.

        Raises:
            SettingsError: the directory can't be written, or the file holds data from another source or of a newer version.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.write() as connection:
                if (version := found_version(connection)) != VERSION:
                    migrate(connection, version)
                    _make_tables(connection)
                    note_version(connection, utc_now())
                found = connection.scalar(sa.select(schema.data_origin.c.source))
                if found is None:
                    connection.execute(sa.insert(schema.data_origin).values(source=self.source, created_at=utc_now()))
        except (OSError, StorageError, sa.exc.OperationalError, sa.exc.DatabaseError) as error:
            raise SettingsError(
                f"The warehouse {self.path} can't be opened for writing ({refusal(error) or getattr(error, 'orig', error)}). "
                "Nothing was changed. "
                "Check the directory's permissions and free space, or set VANC311_DATA_DIR to another place."
            ) from error
        if found not in (None, self.source):
            raise SettingsError(
                f"{self.path} holds data from the {found}, not from the {self.source}; the two are never mixed. "
                "Set VANC311_DATA_DIR to another directory."
            )

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection in one immediate transaction: committed at the end of the block, rolled back by an exception."""
        with _connected(self.path, "rwc", _set_up_writer, "BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read-only connection that sees one unchanging state.

        Raises:
            SettingsError: there is no warehouse yet.
        """
        if not self.path.exists():
            raise SettingsError(
                f"There is no warehouse at {self.path} yet. Run `vanc311 sync` first, or set VANC311_DATA_DIR."
            )
        with open_read_only(self.path) as connection:
            yield connection


def _make_tables(connection: sa.Connection) -> None:
    for table in schema.metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes - {*schema.READER_INDEXES, *schema.PUBLISHED_INDEXES}:
            connection.execute(CreateIndex(index, if_not_exists=True))


@contextmanager
def open_read_only(path: Path) -> Iterator[sa.Connection]:
    """A read-only connection to any SQLite file of ours."""
    with _connected(path, "ro", _set_up_reader, "BEGIN") as connection:
        yield connection


@contextmanager
def open_new(path: Path) -> Iterator[sa.Connection]:
    """A connection that may write to a file that nobody else knows yet, in one transaction."""
    with _connected(path, "rwc", _set_up_private, "BEGIN IMMEDIATE") as connection:
        yield connection


@contextmanager
def _connected(path: Path, mode: str, set_up: Any, begin: str) -> Iterator[sa.Connection]:
    uri = f"file:{path}?mode={mode}"
    engine = sa.create_engine("sqlite+pysqlite://", creator=lambda: _open(uri, set_up), poolclass=sa.NullPool)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    try:
        with on_disk(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _open(uri: str, set_up: Any) -> sqlite3.Connection:
    raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    try:
        set_up(raw)
    except BaseException:
        raw.close()
        raise
    return raw


def _set_up_writer(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = NORMAL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def _set_up_reader(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA query_only = ON")


def _set_up_private(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA journal_mode = DELETE")
    raw.execute("PRAGMA synchronous = FULL")


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
