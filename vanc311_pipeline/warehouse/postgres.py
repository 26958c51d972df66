"""PostgreSQL: how a warehouse there is reached for a purpose, what its tables need to be like SQLite's, and the way to a file.

One writer works at a time, as in SQLite: a transaction that may write takes an advisory lock first. Readers see one unchanging
state. The lock of who works on the warehouse is an advisory one, too, and belongs to a connection: whoever has it writes through
that connection only, so that nothing is written any more once the connection, and with it the lock, is lost.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.adapt import Loader
from sqlalchemy.schema import CreateIndex, CreateTable, SetColumnComment, SetTableComment

from vanc311_pipeline import schema
from vanc311_pipeline.errors import NoWarehouse, SettingsError, StorageRefused
from vanc311_pipeline.warehouse import rows
from vanc311_pipeline.warehouse.sqlite import has_tables, make_key, open_new, put_off_key

WRITER_LOCK, TURN_LOCK = 311, 312
"""Among the advisory locks of the database, that of who writes now, and that of who works on the warehouse."""
LOCK_TIMEOUT_SECONDS = 30
CONNECT_TIMEOUT_SECONDS = 10

# Julian days as SQLite counts them, in milliseconds: of whole days and instants, and null for what is written otherwise.
# One expression, not immutable, or the planner would call it row by row instead of writing it into the query.
JULIANDAY = r"""
CREATE OR REPLACE FUNCTION julianday(moment text) RETURNS double precision LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN moment ~ '^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$'
           THEN (extract(epoch FROM moment::timestamp)::bigint * 1000 + 210866760000000) / 86400000.0::double precision END
$$
"""


class PostgresStore:
    def __init__(self, url: sa.URL) -> None:
        self.url = url

    def __str__(self) -> str:
        where = self.url.translate_connect_args(database="dbname") | dict(self.url.query)
        host = where.get("host") or (f"service {where['service']}" if "service" in where else "localhost")
        return f"{host}/{where.get('dbname', '')}".rstrip("/")

    advice = "Check VANC311_DATABASE_URL, and that PostgreSQL runs there and lets its user make tables."

    def exists(self) -> bool:
        with self._connected() as connection:
            return has_tables(connection)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._connected(_locked.get(self._here)) as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITER_LOCK)))
            yield connection

    def take_lock(self) -> ExitStack | None:
        """The lock of who works on the warehouse, to be closed; None if somebody else has it."""
        with ExitStack() as stack, self._refusals():
            connection = stack.enter_context(_engine(self.url).connect())
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(TURN_LOCK))):
                return None
            connection.commit()
            _locked[self._here] = connection
            stack.callback(_locked.pop, self._here)
            stack.callback(_unlock, connection)
            return stack.pop_all()

    @property
    def _here(self) -> tuple[sa.URL, int]:
        return self.url, threading.get_ident()  # a connection is for one thread

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._connected(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
            if not has_tables(connection):
                raise NoWarehouse(self)
            yield connection

    def complete(self, connection: sa.Connection) -> None:
        """Give new tables what SQLite's have: numbered rows, in the order of their coming, and Julian days; and say what they mean."""
        connection.exec_driver_sql(JULIANDAY)
        numbered = "ADD COLUMN IF NOT EXISTS rowid bigint GENERATED ALWAYS AS IDENTITY"
        for table in schema.metadata.sorted_tables:
            connection.exec_driver_sql(f"ALTER TABLE {table.name} {numbered}")
            connection.execute(SetTableComment(table))
            for column in table.columns:
                connection.execute(SetColumnComment(column))

    def make_key(self, connection: sa.Connection) -> None:
        """The requests have theirs from the beginning."""

    def index(self) -> None:
        """The readers' indexes are made in the file alone, which SQLite has."""

    def copy_to(self, file: Path) -> None:
        """Write everything into a new SQLite file, as one state, in the order of the rows."""
        with self.read() as source, open_new(file) as target:
            for table in schema.metadata.sorted_tables:
                target.execute(CreateTable(table))
                if table is schema.service_requests:
                    put_off_key(target)
                for batch in rows.batches(source, rows.in_order(table)):
                    rows.insert(target, table, batch)
                for index in table.indexes - set(schema.PUBLISHED_INDEXES):
                    target.execute(CreateIndex(index))
            make_key(target, file)

    def attach_to(self, connection: sa.Connection) -> None:
        """SQLite can't read it beside a file."""

    @contextmanager
    def _connected(self, locked: sa.Connection | None = None, **options: Any) -> Iterator[sa.Connection]:
        with self._refusals(), ExitStack() as stack:
            if locked is None:
                connection = stack.enter_context(_engine(self.url).connect()).execution_options(**options)
            elif locked.invalidated:  # SQLAlchemy would connect again, without the lock
                raise psycopg.OperationalError("the connection that holds the lock was lost")
            else:
                connection = locked
            with connection.begin():
                yield connection

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            if not _is_refusal(error):
                raise
            raise StorageRefused(
                f"PostgreSQL refused at {self}: {str(getattr(error, 'orig', error)).strip()}. Nothing was lost: what was published "
                "before stays whole, and the next sync goes on from here. See that it runs, can be reached and has room, and that "
                "nobody else keeps writing there, then run `vanc311 sync` again."
            ) from error


_locked: dict[tuple[sa.URL, int], sa.Connection] = {}
"""The connections of this process that hold a warehouse's lock, by warehouse and thread."""


def _unlock(connection: sa.Connection) -> None:
    """At once: that a connection has ended, the server notices a moment later, and whoever asks meanwhile would find the lock taken."""
    if not connection.invalidated:  # a lost connection has lost the lock, too
        connection.execute(sa.select(sa.func.pg_advisory_unlock(TURN_LOCK)))
        connection.commit()


# What the server, the database or the role may have set otherwise, as far as the server knows it. It is set once connected:
# the address may have options of its own.
_SETTINGS = {
    "TimeZone": "UTC",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    # A machine that vanished without a word keeps its connection, and so its lock, until the server asks after it.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_SET = """
SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS ours (name, value)
WHERE current_setting(name, true) IS NOT NULL
"""


def _is_refusal(error: Exception) -> bool:
    """PostgreSQL's or the network's, by the driver where rows are copied in bulk and by SQLAlchemy elsewhere."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    connecting = error.statement is None and isinstance(error.orig, psycopg.Error)
    return connecting or isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)


@cache
def _engine(url: sa.URL) -> sa.Engine:
    """It keeps no connection, only what SQLAlchemy asks a server once."""
    options = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "client_encoding": "utf8"}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=options)
    sa.event.listen(engine, "connect", lambda raw, _: _set_up(raw))
    return engine


class _Number(Loader):
    """PostgreSQL adds whole numbers up to `numeric`, which would come as Decimal."""

    def load(self, data: Any) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


def _set_up(raw: psycopg.Connection[Any]) -> None:
    raw.adapters.register_loader("numeric", _Number)
    raw.autocommit = True  # what is set in a transaction goes with it, if it is rolled back
    try:
        _refuse_unfit(raw)
        raw.execute(_SET, (list(_SETTINGS), list(_SETTINGS.values())))
    except BaseException:
        raw.close()
        raise
    raw.autocommit = False


def _refuse_unfit(raw: psycopg.Connection[Any]) -> None:
    """Refuse a database that can't hold every text, and a pooler: it has numbers of its own for the sessions that it lends, to
    each transaction another one, and a lock of a session would protect nothing.
    """
    if (encoding := raw.info.parameter_status("server_encoding")) != "UTF8":
        raise SettingsError(
            f"The database {raw.info.dbname} is encoded in {encoding}, which can't hold every text of the portal's as it is. Nothing was "
            f"changed. Make another one, CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in VANC311_DATABASE_URL."
        )
    [session] = raw.execute("SELECT pg_backend_pid()").fetchone() or [None]
    if session != raw.info.backend_pid:
        raise SettingsError(
            "VANC311_DATABASE_URL leads to PostgreSQL by way of a connection pooler, such as PgBouncer. Nothing was changed. One "
            "pipeline at a time works on a warehouse, by a lock that lasts as long as its session, and a pooler's sessions change. Name "
            "the server's own address and port."
        )
