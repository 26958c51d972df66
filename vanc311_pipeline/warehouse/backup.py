"""Backup and restoration of the log: what the portal forgets, and so nobody can fetch again, and what we published.

Format: JSON lines, compressed with gzip. The first line says what it is, the next are the rows, table by table in the order in
which they were written, the last is the SHA-256 of all the others.

Nothing is ever lost: a warehouse's log is only added to, and a backup is only replaced by one that continues it. Not here: what the
next `vanc311 sync` loads anew, and what is true of this warehouse alone (`portal_releases`, `publications`).
"""

import gzip
import hashlib
import json
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.disk import force_to_disk, on_disk
from vanc311_pipeline.errors import IntegrityFailed, SettingsError
from vanc311_pipeline.schema import (
    accepted_losses,
    briefs,
    deep_readings,
    figure_vintages,
    request_changes,
    restorations,
)
from vanc311_pipeline.warehouse.drafts import DRAFTS, kept, take_over, withdraw
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.rows import ROWS_AT_ONCE, Row, fetch, in_order, insert

FORMAT = "vanc311 log"
VERSION = 5
"""Of the format and of the tables' columns. Version 1 lacked the last column of accepted_losses: null in what it kept. Versions 1 and 2
knew no figure_vintages, version 3 not what moved them, version 4 no briefs.
"""
TABLES = (request_changes, accepted_losses, deep_readings, figure_vintages, briefs)
_SINCE = {figure_vintages: 3, briefs: 5}


@dataclass(frozen=True)
class Header:
    source: str
    made_at: str
    rows: dict[str, int]

    def write(self) -> bytes:
        tables = [
            {"table": table.name, "columns": table.columns.keys(), "rows": self.rows[table.name]} for table in TABLES
        ]
        about = {"format": FORMAT, "version": VERSION, "source": self.source, "made_at": self.made_at}
        return _line(about | {"tables": tables})

    @classmethod
    def read(cls, path: Path, line: bytes) -> "Header":
        header = json.loads(line)
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise _something_else(path)
        columns = {item["table"]: item["columns"] for item in header["tables"]}
        known = [table for table in TABLES if header["version"] >= _SINCE.get(table, 1)]
        ours = {table.name: table.columns.keys()[: len(columns.get(table.name, ()))] for table in known}
        if header["version"] not in range(1, VERSION + 1) or list(columns.items()) != list(ours.items()):
            raise SettingsError(
                f"{path} has version {header['version']} of the log, this program has version {VERSION}. Nothing was changed. "
                "Restore it with the version of vanc311 that made it, then run this one on that warehouse."
            )
        rows = {table.name: 0 for table in TABLES} | {item["table"]: int(item["rows"]) for item in header["tables"]}
        return cls(header["source"], header["made_at"], rows)


def write_backup(warehouse: Warehouse, target: Path) -> Header:
    """Write the log to a file, whole or not at all; a file that holds what the log doesn't stays."""
    with warehouse.read() as connection, on_disk(target):
        header = Header(warehouse.settings.source, utc_now(), _counts(connection))
        if target.exists():
            _refuse_to_lose(connection, header, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".vanc311-backup-", dir=target.parent) as scratch:
            file = Path(scratch) / target.name
            _write(file, header, connection)
            check_backup(file)
            file.replace(target)
        force_to_disk(target.parent)
    return header


def _write(file: Path, header: Header, connection: sa.Connection) -> None:
    digest = hashlib.sha256()
    rows = (_line(list(row)) for table in TABLES for row in _lines(connection, table))
    # Without a name and a time in gzip's own header, the same log gives the same bytes but for `made_at`.
    with file.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        for line in chain([header.write()], rows):
            digest.update(line)
            packed.write(line)
        packed.write(_line({"sha256": digest.hexdigest()}))
    force_to_disk(file)


def _refuse_to_lose(connection: sa.Connection, log: Header, target: Path) -> None:
    """Refuse to replace a backup by a log that doesn't continue it."""
    header = check_backup(target)
    if header.source != log.source:
        raise SettingsError(
            f"{target} is a backup of the {header.source}'s log, this warehouse holds the {log.source}'s. Nothing was changed. "
            "Name another file."
        )
    for table, saved in _tables(target, header):
        number, stored = _parting(connection, table, saved), log.rows[table.name]
        if number or stored < header.rows[table.name]:
            raise IntegrityFailed(
                f"{target} holds what the log here does not: row {number or stored + 1:,} of {table.name}. It was not replaced, so "
                "nothing is lost. If the log here is new, bring the backup back with `vanc311 restore`; else name another file."
            )


def check_backup(path: Path) -> Header:
    """Read a backup to its end, and prove it by its digest before a word of it is believed; what it says of itself."""
    digest, last = hashlib.sha256(), b""
    with _opened(path) as lines:
        first = lines.readline()
        for line in chain([first], lines):
            digest.update(last)
            last = line
        if json.loads(last) != {"sha256": digest.hexdigest()}:
            raise _damaged(path)
        return Header.read(path, first)


def restore_backup(warehouse: Warehouse, path: Path) -> dict[str, int]:
    """Add what a backup holds and the log lacks, in one transaction; how many rows of each table were added."""
    with on_disk(path):
        header = check_backup(path)
    if header.source != warehouse.settings.source:
        raise SettingsError(
            f"{path} is a backup of the {header.source}'s log, not of the {warehouse.settings.source}'s; the two are never mixed. Nothing was "
            f"changed. Set VANC311_SOURCE={header.source} and VANC311_DATA_DIR to that data's directory."
        )
    warehouse.create()
    with warehouse.write() as connection:
        withdraw(connection, warehouse.settings.published_path)
        present = _counts(connection)
        added = {name: max(0, rows - present[name]) for name, rows in header.rows.items()}
        log = [table.name for table in TABLES if table not in DRAFTS]
        beyond = [name for name in log if present[name] > header.rows[name]]
        if beyond and any(added[name] for name in log):
            lacking = min(name for name in log if added[name])
            raise _another_log(path, f"{lacking} has fewer rows here, {min(beyond)} more")
        for table, saved in _tables(path, header):
            if table in DRAFTS:
                added[table.name] = take_over(connection, table, saved)
                continue
            if number := _parting(connection, table, islice(saved, present[table.name])):
                raise _another_log(path, f"row {number:,} of {table.name} differs")
            while rows := list(islice(saved, ROWS_AT_ONCE)):
                insert(connection, table, rows)
        if any(added.values()):
            insert(connection, restorations, [(utc_now(),)])
    return added


def _parting(connection: sa.Connection, table: sa.Table, saved: Iterator[Row]) -> int | None:
    """The number of the first row that differs, of those that a table and a backup have; None if all are equal."""
    pairs = enumerate(zip(_lines(connection, table), saved, strict=False), 1)
    return next((number for number, (stored, row) in pairs if stored != row), None)


def _another_log(path: Path, where: str) -> IntegrityFailed:
    return IntegrityFailed(
        f"The log here and {path} are not of one history: {where}. Nothing was changed. To go on from the backup, restore it "
        "into a new directory (VANC311_DATA_DIR) and run `vanc311 sync` there; to keep the log here, back it up to another file."
    )


def _counts(connection: sa.Connection) -> dict[str, int]:
    counts = {table.name: sa.select(sa.func.count()).select_from(table).where(kept(table)) for table in TABLES}
    return {name: connection.scalar(query) or 0 for name, query in counts.items()}


def _lines(connection: sa.Connection, table: sa.Table) -> Iterator[Row]:
    return fetch(connection, in_order(table).where(kept(table)))


def _tables(path: Path, header: Header) -> Iterator[tuple[sa.Table, Iterator[Row]]]:
    """A backup's tables, each with its rows, which are completed by null for a column that came later; take them before the next."""
    with _opened(path) as lines:
        rows = (tuple(json.loads(line)) for line in islice(lines, 1, None))
        for table in TABLES:
            saved = islice(rows, header.rows[table.name])
            yield table, (row + (None,) * (len(table.columns) - len(row)) for row in saved)
        for _ in lines:  # at its end gzip compares its own sum
            pass


@contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile]:
    """A backup's lines; whatever goes wrong with them is an error of ours."""
    try:
        with gzip.open(path) as lines:
            yield lines
    except (FileNotFoundError, IsADirectoryError) as error:
        raise SettingsError(
            f"There is no backup at {path}. Nothing was changed. Name the file that `vanc311 backup` made."
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, KeyError, TypeError) as error:
        raise (_something_else(path) if "Not a gzipped file" in str(error) else _damaged(path)) from error


def _something_else(path: Path) -> SettingsError:
    return SettingsError(
        f"{path} is not a backup of vanc311. Nothing was changed. Name the file that `vanc311 backup` made, or one that is not there."
    )


def _damaged(path: Path) -> IntegrityFailed:
    return IntegrityFailed(
        f"{path} is damaged: it is not what was written. Nothing was taken over, and nothing was changed. Use another copy of it."
    )


def _line(value: dict[str, Any] | list[Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
