"""The disk: its refusals as one error of ours, whoever says them (the operating system, Arrow or SQLite); small files that are whole or
not there; digests; and addresses of SQLite files, so that each leads to its file whatever signs the path has.
"""

import errno
import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from vanc311_pipeline.errors import PipelineError, StorageRefused

_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
_SQLITE_REFUSALS = {
    sqlite3.SQLITE_FULL: "database or disk is full",
    sqlite3.SQLITE_IOERR: "disk I/O error",
    sqlite3.SQLITE_READONLY: "attempt to write a readonly database",
    sqlite3.SQLITE_CANTOPEN: "unable to open database file",
    sqlite3.SQLITE_PERM: "access permission denied",
}
"""By their codes, and in SQLite's words."""


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sqlite_url(path: Path) -> str:
    return sa.URL.create("sqlite", database=str(path.absolute())).render_as_string()


def sqlite_uri(path: Path, **options: str) -> str:
    """SQLite's own address of a file, with its options, such as mode="ro"."""
    return f"{path.absolute().as_uri()}?{urlencode(options)}"


def opened_sqlite(uri: str, pragmas: Iterable[str], **how: Any) -> sqlite3.Connection:
    """SQLite's own connection to a file, in which no transaction begins by itself, with these pragmas."""
    raw: sqlite3.Connection = sqlite3.connect(uri, uri=True, isolation_level=None, **how)
    try:
        for pragma in pragmas:
            raw.execute(f"PRAGMA {pragma}")
    except BaseException:
        raw.close()
        raise
    return raw


@contextmanager
def on_disk(place: Path) -> Iterator[None]:
    """Make a refusal of the disk that holds `place` a `StorageRefused`; every other error passes as it is."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        if refused := refusal(error):
            raise StorageRefused(in_words(refused, place)) from error
        raise


def refusal(error: BaseException | None) -> str | None:
    """What the disk said, and of which file if that is known; None if the error, and what caused it, is something else."""
    while error is not None:
        origin = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if isinstance(origin, OSError) and origin.errno in _REFUSALS:
            of = f" ({origin.filename})" if origin.filename else ""
            return f"{os.strerror(origin.errno)}{of}"
        if isinstance(origin, sqlite3.Error) and getattr(origin, "sqlite_errorcode", 0) & 0xFF in _SQLITE_REFUSALS:
            return str(origin)
        error = error.__cause__
    return None


def is_refusal(kind: str, sentence: str) -> bool:
    """The same of an error of which only the name of its class and its words are left."""
    return kind in ("OSError", "PermissionError") or (
        kind == "OperationalError" and sentence in _SQLITE_REFUSALS.values()
    )


def in_words(refused: str, place: Path | None = None) -> str:
    return (
        f"The disk refused{f' at {place}' if place else ''}: {refused}. Nothing was lost: what was published before stays "
        "whole, and the next sync goes on from here. Make room on the disk, or see to the permissions, then run "
        "`vanc311 sync` again."
    )


def force_to_disk(path: Path) -> None:
    """fsync a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch_in(directory: Path, prefix: str) -> Iterator[Path]:
    """A folder in a directory that goes with the block; those that killed processes left there go first."""
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=directory) as scratch:
        yield Path(scratch)


def write_whole(file: Path, text: str) -> None:
    """Write a small file beside, force it to disk, rename it: at no time is there half of it."""
    beside = file.with_name(f".{file.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        force_to_disk(beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
