"""The warehouse: where it is, its tables made and upgraded, and a connection for a purpose, in a transaction.

What belongs here: what is the same in SQLite and in PostgreSQL. What does not: how either is reached (`warehouse.sqlite`,
`warehouse.postgres`), and any row. Nothing is opened at import, and no connection outlives its `with` block.
"""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from vanc311_pipeline import schema
from vanc311_pipeline.disk import refusal
from vanc311_pipeline.errors import SettingsError, StorageRefused
from vanc311_pipeline.settings import Settings, Source
from vanc311_pipeline.warehouse.migrations import VERSION, migrate, note_version, stored_version
from vanc311_pipeline.warehouse.sqlite import SQLiteStore

if TYPE_CHECKING:
    from vanc311_pipeline.warehouse.postgres import PostgresStore

Store: TypeAlias = "SQLiteStore | PostgresStore"
"""A database that a warehouse can be in; `str()` says where, without a secret, and `advice` what to look at if it can't be opened."""


class Warehouse:
    """One warehouse. `write` and `read` give a connection in a transaction."""

    def __init__(self, url: str, source: Source) -> None:
        self.url = url
        self.store = _store(sa.make_url(url))
        self.source = source

    @classmethod
    def of(cls, settings: Settings) -> "Warehouse":
        return cls(settings.warehouse_url, settings.source)

    def exists(self) -> bool:
        """Whether anything was ever stored."""
        return self.store.exists()

    def create(self) -> None:
        """Make the tables if they are not there yet, upgrade older ones, and make sure that they are ours and can be written."""
        try:
            with self.write() as connection:
                if (version := stored_version(connection)) != VERSION:
                    migrate(connection, version)
                    for table in (*schema.metadata.sorted_tables, *schema.work_metadata.sorted_tables):
                        connection.execute(CreateTable(table, if_not_exists=True))
                        for index in table.indexes - {*schema.READER_INDEXES, *schema.PUBLISHED_INDEXES}:
                            connection.execute(CreateIndex(index, if_not_exists=True))
                    self.store.complete(connection)
                    note_version(connection, utc_now())
                source = connection.scalar(sa.select(schema.data_origin.c.source))
                if source is None:
                    connection.execute(sa.insert(schema.data_origin).values(source=self.source, created_at=utc_now()))
        except (OSError, StorageRefused, sa.exc.DatabaseError) as error:
            raise SettingsError(
                f"The warehouse {self.store} can't be opened for writing ({refusal(error) or getattr(error, 'orig', error)}). "
                f"Nothing was changed. {self.store.advice}"
            ) from error
        if source not in (None, self.source):
            raise SettingsError(
                f"{self.store} holds data from the {source}, not from the {self.source}; the two are never mixed. "
                "Set VANC311_DATA_DIR to another directory."
            )

    def write(self) -> AbstractContextManager[sa.Connection]:
        """A connection in one transaction, during which nobody else writes: committed at the end of the block, rolled back
        by an exception.
        """
        return self.store.write()

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A read-only connection that sees one unchanging state; `NoWarehouse` is raised if there is none yet."""
        return self.store.read()


def _store(url: sa.URL) -> Store:
    if url.get_backend_name() != "postgresql":
        return SQLiteStore(Path(url.database or ""))
    try:
        from vanc311_pipeline.warehouse.postgres import PostgresStore  # its driver is an extra
    except ImportError as error:
        raise SettingsError(
            "VANC311_DATABASE_URL names a PostgreSQL, but its driver isn't installed. Nothing was changed. "
            "Install it: pip install 'vanc311_pipeline[postgres]'"
        ) from error
    return PostgresStore(url)


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
