"""Whole files to download: the published file as it is, its requests as Parquet, their checksums and their description.

Belongs here: making what the release does not hold ready-made, once per release, in a directory that goes with the server. Does
not belong here: sending it.

The workers of a server share the directory; a lock lets one of them make a file and the others wait for it.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from filelock import FileLock

from vanc311_pipeline import schema
from vanc311_pipeline.reading.pages import Listing, read_all, rowid
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline.settings import CITY_PORTAL

SQLITE, PARQUET, PACKAGE, CHECKSUMS = "vanc311.sqlite", "requests.parquet", "datapackage.json", "checksums.txt"
PIECE = 1 << 20
_ROWS_OF_A_GROUP = 100_000
_KEPT = 2  # this release and the one before it, which may still be asked for
_SPARE_BYTES = 200_000_000

_ARROW = {sa.INTEGER: pa.int64(), sa.REAL: pa.float64(), sa.TEXT: pa.string()}
_FRICTIONLESS = {sa.INTEGER: "integer", sa.REAL: "number", sa.TEXT: "string"}
_FRICTIONLESS_BY_UNIT = {"Vancouver date": "date", "UTC instant": "datetime"}


class NoRoom(OSError):
    """The disk can't hold the file."""


class Files:
    """The files of the current release. Close it to remove what was made."""

    def __init__(self, directory: Path | None = None) -> None:
        self._given = directory
        self._digests: dict[tuple[str, str], str] = {}

    @cached_property
    def _directory(self) -> Path:
        return self._given or Path(tempfile.mkdtemp(prefix="vanc311-serve-"))

    def close(self) -> None:
        if self._given is None and "_directory" in self.__dict__:
            shutil.rmtree(self._directory, ignore_errors=True)

    def parquet(self, release: Release) -> Path:
        """The requests as a Parquet file; made if it is not there yet, in place of those of releases long gone.

        Raises:
            NoRoom: the disk can't hold it.
        """
        target = self._directory / f"{release.id}.parquet"
        with FileLock(self._directory / "parquet.lock"):
            if not target.exists():
                if shutil.disk_usage(self._directory).free < release.size // 4 + _SPARE_BYTES:
                    raise NoRoom("There is no room on the server's disk to make the Parquet file.")
                unfinished = target.with_suffix(".unfinished")
                try:
                    _write_parquet(release, unfinished)
                    unfinished.replace(target)
                except OSError as error:
                    with suppress(OSError):
                        unfinished.unlink()
                    raise NoRoom(f"The Parquet file can't be made: {error.strerror}.") from error
                made = sorted(self._directory.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
                for left in made[:-_KEPT]:
                    left.unlink()
        return target

    def digest(self, release: Release, name: str) -> str:
        """SHA-256 of a file, as hex."""
        key = release.id, name
        if key not in self._digests:
            if name == SQLITE:
                self._digests[key] = _digest(pieces_of_release(release, 0, release.size))
            elif name == PARQUET:
                path = self.parquet(release)
                self._digests[key] = _digest(pieces_of_file(path, 0, path.stat().st_size))
            else:
                self._digests[key] = _digest(iter([self.package(release)]))
        return self._digests[key]

    def size(self, release: Release, name: str) -> int:
        if name == SQLITE:
            return release.size
        return self.parquet(release).stat().st_size if name == PARQUET else len(self.package(release))

    def checksums(self, release: Release) -> bytes:
        """What `sha256sum --check` reads."""
        return "".join(f"{self.digest(release, name)}  {name}\n" for name in (SQLITE, PARQUET, PACKAGE)).encode()

    def package(self, release: Release) -> bytes:
        """The description of the files as Frictionless has it: every table with its columns."""
        described = {
            "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
            "name": "vanc311",
            "title": "Vancouver 3-1-1 service requests and their statistics",
            "description": f"{release.about['licence']} Source: {release.about['source']}. As of {release.about['as_of']}.",
            "version": release.id,
            "created": release.about["published_at"],
            "licenses": [
                {
                    "name": "OGL-Vancouver-1.0",
                    "title": "Open Government Licence – Vancouver",
                    "path": "https://opendata.vancouver.ca/pages/licence/",
                }
            ],
            "sources": [{"title": "City of Vancouver Open Data Portal", "path": f"https://{CITY_PORTAL}"}],
            "resources": [
                {
                    **_file(PARQUET, "requests", "parquet", "application/vnd.apache.parquet"),
                    "bytes": self.size(release, PARQUET),
                    "hash": f"sha256:{self.digest(release, PARQUET)}",
                    "description": str(service_requests.comment),
                    "schema": _table_schema(service_requests),
                },
                *(_table_of_sqlite(table) for table in _published_tables()),
            ],
        }
        return json.dumps(described, ensure_ascii=False, indent=1).encode()


def pieces_of_release(release: Release, start: int, end: int) -> Iterator[bytes]:
    """The published file's bytes from start to end, whatever its path leads to by now."""
    while start < end:
        piece = release.bytes_at(start, min(PIECE, end - start))
        start += len(piece)
        yield piece


def pieces_of_file(path: Path, start: int, end: int) -> Iterator[bytes]:
    """A file's bytes from start to end; it is opened now, and may go from its place before they are read."""
    return _pieces(path.open("rb"), start, end)


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            start += len(piece)
            yield piece


def _digest(pieces: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _write_parquet(release: Release, path: Path) -> None:
    about = {name: str(value) for name, value in release.about.items()}
    fields = [
        pa.field(column.name, _ARROW[type(column.type)], column.nullable, {"description": str(column.comment)})
        for column in service_requests.columns
    ]
    layout = pa.schema(fields, {"vanc311": json.dumps({"release": release.id, **about}, ensure_ascii=False)})
    listing = Listing(sa.select(service_requests), (rowid(service_requests),))
    with pq.ParquetWriter(path, layout, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for rows in read_all(release, listing):
            columns = list(zip(*rows, strict=True)) or [()] * len(fields)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, layout, strict=True)]
            waiting.append(pa.record_batch(arrays, schema=layout))
            if sum(batch.num_rows for batch in waiting) >= _ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        writer.write_table(pa.Table.from_batches(waiting, layout))


def _published_tables() -> list[sa.Table]:
    return [*schema.metadata.sorted_tables, *schema.published_metadata.sorted_tables]


def _file(path: str, name: str, format_: str, media_type: str) -> dict[str, Any]:
    return {"name": name.replace("_", "-"), "path": path, "format": format_, "mediatype": media_type}


def _table_of_sqlite(table: sa.Table) -> dict[str, Any]:
    return {
        **_file(SQLITE, f"sqlite-{table.name}", "sqlite", "application/vnd.sqlite3"),
        "dialect": {"table": table.name},
        "description": str(table.comment),
        "schema": _table_schema(table),
    }


def _table_schema(table: sa.Table) -> dict[str, Any]:
    key = [column.name for column in table.primary_key.columns]
    return {
        "fields": [
            {
                "name": column.name,
                "type": _FRICTIONLESS_BY_UNIT.get(column.info["unit"], _FRICTIONLESS[type(column.type)]),
                "description": str(column.comment),
                "constraints": {"required": not column.nullable},
            }
            for column in table.columns
        ],
        **({"primaryKey": key} if key else {}),
    }
