"""SQLite: how a file of ours is opened for a purpose and closed whatever happens, and how the warehouse is copied to a new one.

Writers begin with BEGIN IMMEDIATE: in WAL mode a transaction that starts by reading and then writes fails with "database is locked"
when another has written meanwhile, however long the timeout. Readers open the file read-only.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from vanc311_pipeline import schema
from vanc311_pipeline.disk import on_disk, opened_sqlite, sqlite_uri
from vanc311_pipeline.errors import IntegrityFailed, NoWarehouse, SettingsError, StorageRefused

BUSY_TIMEOUT_SECONDS = 30
CACHE_KIB = 64_000

_WRITER = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", f"cache_size = -{CACHE_KIB}")
_READER = ("query_only = ON",)
_PRIVATE = ("journal_mode = DELETE", "synchronous = FULL")
"""The pragmas of a connection for a purpose."""

_KEY = ", \n\tPRIMARY KEY (request_id)"
_TABLE_WITHOUT_KEY = str(CreateTable(schema.service_requests).compile(dialect=sqlite.dialect())).replace(_KEY, "")
# What SQLite makes of a key that stands in its table: an index of this name without words of its own.
_INDEX_TO_KEY = (
    "PRAGMA writable_schema = ON",
    f"UPDATE sqlite_master SET sql = replace(sql, '\n)', '{_KEY}\n)') WHERE name = 'service_requests'",
    "UPDATE sqlite_master SET sql = NULL, name = 'sqlite_autoindex_service_requests_1' WHERE name = 'request_key'",
    "PRAGMA writable_schema = RESET",
)


class SQLiteStore:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    advice = "Check the directory's permissions and free space, or set VANC311_DATA_DIR to another place."

    def exists(self) -> bool:
        with self._opened() as connection:
            return connection is not None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with on_disk(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with _connected(self.path, "rwc", _WRITER) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._opened() as connection:
            if connection is None:
                raise NoWarehouse(self)
            yield connection

    @contextmanager
    def _opened(self) -> Iterator[sa.Connection | None]:
        """A read-only connection; None if there is no file, or none of our tables in it."""
        with ExitStack() as stack:
            try:
                connection = stack.enter_context(open_read_only(self.path)) if self.path.exists() else None
                is_warehouse = connection is not None and has_tables(connection)
            except (StorageRefused, sa.exc.DatabaseError) as error:
                refused = error.orig if isinstance(error, sa.exc.DatabaseError) else None
                if self.path.is_dir() or getattr(refused, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                    raise SettingsError(
                        f"{self.path} is not a SQLite database. Nothing was changed. Move it away and run `vanc311 sync`, or set "
                        "VANC311_DATA_DIR to another place."
                    ) from error
                raise
            yield connection if is_warehouse else None

    def complete(self, connection: sa.Connection) -> None:
        """Put off the key of the requests as long as there are none. SQLite numbers its rows by itself."""
        if not connection.scalar(sa.select(sa.exists(schema.service_requests.select()))):
            put_off_key(connection)

    def make_key(self, connection: sa.Connection) -> None:
        """Make the key of the requests if it was put off. An id that stands twice is refused."""
        if not sa.inspect(connection).get_pk_constraint(schema.service_requests.name)["constrained_columns"]:
            make_key(connection, self.path)

    def index(self) -> None:
        """Make what indexes of the requests a published file has and the warehouse lacks: their key, and the readers' own."""
        with self.write() as connection:
            self.make_key(connection)
            for index in schema.READER_INDEXES:
                connection.execute(CreateIndex(index, if_not_exists=True))

    def copy_to(self, file: Path) -> None:
        """Write everything into a new file, as one state, in the order of the rows."""
        self.index()
        with closing(sqlite3.connect(sqlite_uri(self.path, mode="ro"), uri=True)) as raw:
            raw.execute("VACUUM INTO ?", (str(file),))
        with open_new(file) as connection:
            schema.work_metadata.drop_all(connection)

    def attach_to(self, connection: sa.Connection) -> str:
        """Let a connection to another file of ours read the warehouse, too; the schema that it finds it under."""
        connection.exec_driver_sql("ATTACH ? AS warehouse", (sqlite_uri(self.path, mode="ro"),))
        return "warehouse"

    def take_lock(self) -> ExitStack | None:
        """The lock of who works on the warehouse, to be closed; None if another process has it, of this machine: a file's lock
        says nothing to others, and SQLite's files are not for several.
        """
        with on_disk(self.path), suppress(Timeout), ExitStack() as stack:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{self.path}.lock", timeout=0, thread_local=False))
            return stack.pop_all()
        return None


def has_tables(connection: sa.Connection) -> bool:
    """Whether anything was ever stored: a file, or a database, may be there with nothing in it."""
    return sa.inspect(connection).has_table(schema.data_origin.name)


def put_off_key(connection: sa.Connection) -> None:
    """Make the empty table of requests without its key. Ids are digests: with the key in place, each month's commit would write most of
    its index anew, which is the largest part of a first load.
    """
    connection.exec_driver_sql("DROP TABLE IF EXISTS service_requests")
    connection.exec_driver_sql(_TABLE_WITHOUT_KEY)


def make_key(connection: sa.Connection, path: Path) -> None:
    """Give the table its key after all, as if it had had it from the beginning."""
    try:
        connection.exec_driver_sql("CREATE UNIQUE INDEX request_key ON service_requests (request_id)")
    except sa.exc.IntegrityError as error:
        twice = sa.select(schema.service_requests.c.request_id).group_by("request_id").having(sa.func.count() > 1)
        ids = connection.scalars(twice).all()
        raise IntegrityFailed(
            f"{len(ids):,} ids stand twice among the stored requests, such as {ids[0]}. Ids are digests, so the disk or somebody else "
            f"changed them. Nothing was published. Move {path} away and run `vanc311 sync`, which loads all anew."
        ) from error
    for statement in _INDEX_TO_KEY:
        connection.exec_driver_sql(statement)


def open_read_only(path: Path) -> AbstractContextManager[sa.Connection]:
    """A read-only connection to any SQLite file of ours, which sees one unchanging state."""
    return _connected(path, "ro", _READER)


def open_new(path: Path) -> AbstractContextManager[sa.Connection]:
    """A connection that may write to a file that nobody else knows yet, in one transaction."""
    return _connected(path, "rwc", _PRIVATE)


@contextmanager
def _connected(path: Path, mode: Literal["ro", "rwc"], pragmas: tuple[str, ...]) -> Iterator[sa.Connection]:
    uri, begin = sqlite_uri(path, mode=mode), "BEGIN" if mode == "ro" else "BEGIN IMMEDIATE"
    creator = partial(opened_sqlite, uri, pragmas, timeout=BUSY_TIMEOUT_SECONDS)
    engine = sa.create_engine("sqlite+pysqlite://", creator=creator, poolclass=sa.NullPool)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    try:
        with on_disk(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
