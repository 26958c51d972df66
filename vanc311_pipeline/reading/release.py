"""One published file, open for reading: what it says of itself, its names, and a few connections to it.

All connections are opened at once, while the path still leads to this very file. SQLite takes it as immutable: it takes no lock and
looks for no journal, and nothing can write through it. A question that takes too long is broken off. Not here: noticing that
another took its place (`published`), and what to ask it.
"""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.disk import opened_sqlite, sqlite_uri
from vanc311_pipeline.errors import PipelineError, SettingsError

CONNECTIONS = 9
CACHE_KIB = 8_000
STALE_HOURS = 36
"""What is served is late if the city published it longer ago: it publishes every day."""
QUESTION_SECONDS = 5.0
STEPS_BUDGET = 10_000
"""Steps of SQLite's machine: about a millisecond. They are some hundred rows, at each of which
Python lets another thread go on first, which is what counts."""
_STEPS_BETWEEN_LOOKS = 100_000
_LOOKS_IN_BUDGET = 8
_ATTEMPTS = 5
_CONTENT = 4  # so much of an identity stands still while another file takes a file's place
_HEADER_BYTES = 100

Identity = tuple[int, int, int, int, int]
"""Of a file at a path: device, inode, size, and the instants of its last write and of its last change of any kind."""

Rows = Sequence[Any]
Question: TypeAlias = "sa.Select[*tuple[Any, ...]]"


class TookTooLong(PipelineError):
    """A question was broken off after QUESTION_SECONDS, or after the steps of its budget."""


_budget = ContextVar[int | None]("statement_budget", default=None)


@contextmanager
def statement_budget(steps: int = STEPS_BUDGET) -> Iterator[None]:
    """Within this block every question that takes more steps is broken off: for whoever may not keep others waiting, and can ask
    again elsewhere, or for less."""
    token = _budget.set(steps)
    try:
        yield
    finally:
        _budget.reset(token)


class Overwritten(SettingsError):
    """Somebody wrote into the file that is served."""

    def __init__(self) -> None:
        super().__init__(
            "The published file is being overwritten in place, so that nothing in it can be relied on. Ask again in some seconds; and "
            "write another file beside it, to be renamed, as `vanc311 sync` does."
        )


class Release:
    """A published file, and the connections to it. Whoever opens it is its first reader; others `enter`, and the last to `leave` closes it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.identity, self.descriptor, self._engine = _opened(path)
        self._lock = threading.Lock()
        self._readers = 1
        self._remembering = threading.RLock()  # so that a question of a second is not asked by all who wait for it
        self._remembered: dict[Hashable, tuple[Any, ...]] = {}
        try:
            self.about, self.id = self._described()
        except BaseException:
            self.leave()
            raise

    def _described(self) -> tuple[Mapping[str, Any], str]:
        """What it says of itself, and its name: its as_of, and a digest of that, its size and SQLite's header, which counts the
        changes. The same for every copy of the file.
        """
        about = self.row(sa.select(schema.release))
        if about is None:
            raise SettingsError(
                "The published file's table `release` is empty. Run `vanc311 sync` to publish it again."
            )
        contents = json.dumps([about, self.size]).encode() + self.bytes_at(0, _HEADER_BYTES)
        return about, f"{about['as_of']}.{hashlib.sha256(contents).hexdigest()[:12]}"

    @property
    def size(self) -> int:
        return self.identity[2]

    @property
    def is_sample(self) -> bool:
        return bool(self.about["source"] == "sample")

    @cached_property
    def published_at(self) -> datetime:
        return datetime.fromisoformat(self.about["published_at"])

    def rows(
        self, question: Question, within: float = QUESTION_SECONDS, values: Mapping[str, Any] | None = None
    ) -> Rows:
        """The answer to a question, with the values of its parameters; TookTooLong after `within` seconds, SettingsError if another version of
        the program made the file, without what is asked for, and Overwritten if it isn't the file any more that it was.
        """
        with self._engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            if budget := _budget.get():
                # SQLite counts over all runs of a statement, so that the first look may come with the first step of this one.
                looks = count()
                raw.set_progress_handler(lambda: next(looks) >= _LOOKS_IN_BUDGET, budget // _LOOKS_IN_BUDGET)
            else:
                deadline = time.monotonic() + within
                raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
            try:
                return connection.execute(question, values).fetchall()
            except sa.exc.OperationalError as error:
                if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                    raise TookTooLong(
                        f"The question took more than {within:g} seconds and was broken off. Ask for less: name an area, an issue, "
                        "a department or a range of opening days."
                    ) from error
                if "no such" in str(error.orig):
                    raise SettingsError(
                        f"The published file was made by another version of this program ({error.orig}). Nothing is wrong with "
                        "the data. Run `vanc311 sync` to publish it again."
                    ) from error
                raise
            finally:
                raw.set_progress_handler(None, 0)
                self._prove_unchanged()

    def records(self, question: Question) -> list[dict[str, Any]]:
        return [dict(row._mapping) for row in self.rows(question)]

    def row(self, question: Question) -> dict[str, Any] | None:
        return next(iter(self.records(question.limit(1))), None)

    def scalars(self, question: Question) -> list[Any]:
        return [row[0] for row in self.rows(question)]

    def remembered(self, key: Hashable, question: Callable[[], Question]) -> tuple[Any, ...]:
        """The answer, asked once: for what is few, and asked for again and again. Of a single column, its values."""
        if key not in self._remembered:
            if not self._remembering.acquire(blocking=_budget.get() is None):
                raise TookTooLong("Somebody is asking this already.")
            try:
                if key not in self._remembered:
                    rows = self.rows(question(), within=60)
                    self._remembered[key] = tuple(row[0] if len(row) == 1 else row for row in rows)
            finally:
                self._remembering.release()
        return self._remembered[key]

    def bytes_at(self, offset: int, length: int) -> bytes:
        """A piece of the file itself, whatever the path leads to by now."""
        piece = os.pread(self.descriptor, length, offset)
        self._prove_unchanged()
        return piece

    def _prove_unchanged(self) -> None:
        """After each reading: SQLite takes the file as immutable, and would mix what it was with what it is."""
        if _identity(os.fstat(self.descriptor))[:_CONTENT] != self.identity[:_CONTENT]:
            raise Overwritten

    def enter(self) -> None:
        with self._lock:
            self._readers += 1

    def leave(self) -> None:
        with self._lock:
            self._readers -= 1
            is_last = self._readers == 0
        if is_last:
            self._engine.dispose()
            os.close(self.descriptor)


def identity_of(path: Path) -> Identity | None:
    """What tells one file at a path from the next; None if there is none."""
    try:
        return _identity(os.stat(path))
    except FileNotFoundError:
        return None


def _identity(file: os.stat_result) -> Identity:
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns


def _opened(path: Path) -> tuple[Identity, int, sa.Engine]:
    """A descriptor of the file, and an engine whose connections all lead to the same one."""
    for _ in range(_ATTEMPTS):
        with ExitStack() as opened:
            descriptor = os.open(path, os.O_RDONLY)
            opened.callback(os.close, descriptor)
            identity = _identity(os.fstat(descriptor))
            engine = _engine(path)
            opened.callback(engine.dispose)
            for connection in [engine.connect() for _ in range(CONNECTIONS)]:
                connection.close()
            if identity_of(path) == identity:
                opened.pop_all()
                return identity, descriptor, engine
    raise SettingsError("The published file is being replaced again and again; ask once more in a minute.")


def _engine(path: Path) -> sa.Engine:
    uri, pragmas = sqlite_uri(path, mode="ro", immutable="1"), ("query_only = ON", f"cache_size = -{CACHE_KIB}")
    return sa.create_engine(
        "sqlite+pysqlite://",
        # The pool gives a connection to one thread at a time.
        creator=partial(opened_sqlite, uri, pragmas, check_same_thread=False),
        poolclass=sa.QueuePool,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_use_lifo=True,
        pool_reset_on_return=None,
        enable_from_linting=False,  # it takes a join by rowid, which is no column to it, for one that joins by nothing
    )
