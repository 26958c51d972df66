"""The warehouse: where it is, its tables made and upgraded, and a connection for a purpose, in a transaction.

The first released version of the tables was 0 and said so nowhere; each later one is an entry of `migrations.toml`. Whatever a version
only adds is made by `Warehouse.create`, so an entry says what else is to be done: a column added to a table that keeps what can't
be fetched again, a table replaced that the next sync fills anew. All of it happens in one transaction, or not at all, and an entry
is never changed once released. No connection outlives its `with` block. How a database is reached: `warehouse.sqlite`, `.postgres`.
"""

import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from vanc311_pipeline import schema
from vanc311_pipeline.disk import refusal
from vanc311_pipeline.errors import SettingsError, StorageRefused
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.sqlite import SQLiteStore

if TYPE_CHECKING:
    from vanc311_pipeline.warehouse.postgres import PostgresStore

Store: TypeAlias = "SQLiteStore | PostgresStore"
"""A database that a warehouse can be in; `str()` says where, without a secret, and `advice` what to look at if it can't be opened."""


class Warehouse:
    """The warehouse of some settings, beside which a pipeline has its files."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = _store(sa.make_url(settings.warehouse_url))
        self.exists = self.store.exists
        """Whether anything was ever stored."""
        self.write = self.store.write
        """A connection in one transaction, during which nobody else writes; an exception rolls it back."""
        self.read = self.store.read
        """A read-only connection that sees one unchanging state; `NoWarehouse` is raised if there is none yet."""

    def create(self) -> None:
        """Make the tables if they are not there yet, upgrade older ones, and make sure that they are ours and can be written."""
        ours = self.settings.source
        try:
            with self.write() as connection:
                if (present := stored_version(connection)) != VERSION:
                    migrate(connection, present)
                    tables = (*schema.metadata.sorted_tables, *schema.work_metadata.sorted_tables)
                    for table in tables:
                        connection.execute(CreateTable(table, if_not_exists=True))
                    self.store.complete(connection)
                    for table in tables:
                        for index in table.indexes - {*schema.READER_INDEXES, *schema.PUBLISHED_INDEXES}:
                            connection.execute(CreateIndex(index, if_not_exists=True))
                    line = {
                        "version": VERSION,
                        "upgraded_at": utc_now(),
                        "pipeline_version": version("vanc311_pipeline"),
                    }
                    connection.execute(sa.insert(schema.schema_versions), line)
                source = connection.scalar(sa.select(schema.data_origin.c.source))
                if source is None:
                    connection.execute(sa.insert(schema.data_origin).values(source=ours, created_at=utc_now()))
        except (OSError, StorageRefused, sa.exc.DatabaseError) as error:
            raise SettingsError(
                f"The warehouse {self.store} can't be opened for writing ({refusal(error) or getattr(error, 'orig', error)}). "
                f"Nothing was changed. {self.store.advice}"
            ) from error
        if source not in (None, ours):
            raise SettingsError(
                f"{self.store} holds data from the {source}, not from the {ours}; the two are never mixed. "
                "Set VANC311_DATA_DIR to another directory."
            )


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


MIGRATIONS: tuple[list[str], ...] = tuple(
    tomllib.loads(Path(__file__).with_name("migrations.toml").read_text(encoding="utf-8")).values()
)
"""By version, from 1 on: what is to be done on the way from the version before."""

VERSION = len(MIGRATIONS)


def stored_version(connection: sa.Connection) -> int | None:
    """The version of a warehouse's tables; None if there are none yet."""
    inspector = sa.inspect(connection)
    if inspector.has_table(schema.schema_versions.name):
        return int(connection.scalar(sa.select(sa.func.max(schema.schema_versions.c.version))) or 0)
    return 0 if inspector.has_table("data_origin") else None


def migrate(connection: sa.Connection, present: int | None, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring older tables, if there are any, up to this version. New tables, and the note that it was done, come after it."""
    newest = len(migrations)
    if present is None:
        return
    if present > newest:
        raise SettingsError(
            f"The warehouse was made by a newer version of vanc311_pipeline: its tables are of version {present}, and this program "
            f"({version('vanc311_pipeline')}) knows them up to {newest}. Nothing was changed. Install the newer version again, or "
            "set VANC311_DATA_DIR to another directory."
        )
    tables, real = sa.inspect(connection).get_table_names(), schema.REAL.compile(connection.dialect)
    for statement in chain.from_iterable(migrations[present:]):
        if (
            not statement.startswith("ALTER") or statement.split()[2] in tables
        ):  # one that isn't there yet is made with all its columns
            connection.exec_driver_sql(statement.format(real=real))
