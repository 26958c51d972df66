"""The files beside the published one: its requests as Parquet, what every table is as a Frictionless data package, checksums."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.disk import file_digest, force_to_disk, sqlite_uri
from vanc311_pipeline.errors import StorageRefused
from vanc311_pipeline.reading.published import CHECKSUMS, PACKAGE, PARQUET, SQLITE, folder_of, reading
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline.settings import CITY_PORTAL, LICENCE_PAGE, TITLE
from vanc311_pipeline.warehouse.rows import Row, are_same, batches, in_order
from vanc311_pipeline.warehouse.sqlite import open_read_only

_ROWS_OF_A_GROUP = 100_000
_BLOCK = "rowid BETWEEN :first AND :last"
"""The rows of a group: their numbers, not their number, so that a row that goes moves no other one to another group."""

_ARROW = {sa.INTEGER: pa.int64(), sa.REAL: pa.float64(), sa.TEXT: pa.string()}
_ARROW_BY_UNIT = {"Vancouver date": pa.date32(), "UTC instant": pa.timestamp("us", "UTC")}
_FRICTIONLESS = {sa.INTEGER: "integer", sa.REAL: "number", sa.TEXT: "string"}
_FRICTIONLESS_BY_UNIT = {"Vancouver date": "date", "UTC instant": "datetime"}
_FORMATS = {SQLITE: ("sqlite", "application/vnd.sqlite3"), PARQUET: ("parquet", "application/vnd.apache.parquet")}


class Predecessor(NamedTuple):
    """The published file before, and the Parquet file beside it."""

    file: Path
    parquet: Path


def predecessor(published: Path) -> Predecessor | None:
    """What stands in its place now, if both of its files are still what they were when they were made."""
    sums = f"{file_digest(published)}  {SQLITE}\n" if published.exists() else None
    for checksums in published.parent.glob(f"downloads/*/{CHECKSUMS}"):
        parquet, lines = checksums.with_name(PARQUET), checksums.read_text()
        if sums and sums in lines and parquet.exists() and f"{file_digest(parquet)}  {PARQUET}\n" in lines:
            return Predecessor(published, parquet)
    return None


def make_downloads(file: Path, before: Predecessor | None = None) -> tuple[Path, str]:
    """Make the files of a published file beside it; their folder, and the digest of the published file itself. What its predecessor
    has alike is taken over from the files beside that.
    """
    about, release_id = _described(file)
    folder = folder_of(file, release_id)
    folder.mkdir(parents=True)
    _write_parquet(file, folder / PARQUET, release_id, about, before)
    files = {SQLITE: file, PARQUET: folder / PARQUET, PACKAGE: folder / PACKAGE}
    digests, resources = dict[str, str](), dict[str, dict[str, Any]]()
    for name, (kind, media_type) in _FORMATS.items():
        digests[name] = file_digest(files[name])
        whole = {"bytes": files[name].stat().st_size, "hash": f"sha256:{digests[name]}"}
        resources[name] = {"path": name, "format": kind, "mediatype": media_type, **whole}
    files[PACKAGE].write_text(json.dumps(_package(release_id, about, resources), ensure_ascii=False, indent=1))
    digests[PACKAGE] = file_digest(files[PACKAGE])
    (folder / CHECKSUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()))
    return folder, digests[SQLITE]


def make_downloads_apart(file: Path, before: Path) -> Path:
    """The same in a process of its own, which holds up nothing that this one serves meanwhile; their folder."""
    command = [sys.executable, "-P", "-m", "vanc311_pipeline.warehouse.downloads", str(file), str(before)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise StorageRefused(
            f"What belongs beside {file.name} can't be made: {ended.stderr.strip().splitlines()[-1:]}."
        )
    return Path(ended.stdout.strip())


def put_in_place(file: Path, folder: Path, target: Path) -> None:
    """Put a published file and those made beside it in their places, it last: whoever sees it finds them there, too."""
    for path in (file, *folder.iterdir(), folder):
        force_to_disk(path)
    place = folder_of(target, folder.name)
    shutil.rmtree(place, ignore_errors=True)  # a run that was killed left it
    place.parent.mkdir(exist_ok=True)
    folder.replace(place)
    force_to_disk(place.parent)
    file.replace(target)
    force_to_disk(target.parent)
    others = sorted(set(place.parent.iterdir()) - {place}, key=lambda path: path.stat().st_mtime_ns)
    for old in others[:-1]:  # the last one's may still be asked for
        shutil.rmtree(old, ignore_errors=True)


def are_in_place(published: Path) -> bool:
    return (folder_of(published, _described(published)[1]) / CHECKSUMS).exists()


def _described(file: Path) -> tuple[dict[str, Any], str]:
    with reading(file) as release:
        return dict(release.about), release.id


def _write_parquet(
    file: Path, path: Path, release_id: str, about: Mapping[str, Any], before: Predecessor | None
) -> None:
    description = json.dumps(
        {"release": release_id, **{name: str(value) for name, value in about.items()}}, ensure_ascii=False
    )
    stored = [_ARROW[type(column.type)] for column in service_requests.columns]
    fields = [
        pa.field(
            column.name, _ARROW_BY_UNIT.get(column.info["unit"], kind), column.nullable, {"description": column.comment}
        )
        for column, kind in zip(service_requests.columns, stored, strict=True)
    ]
    layout = pa.schema(fields, {"vanc311": description})
    with pq.ParquetWriter(path, layout, compression="zstd") as writer, open_read_only(file) as connection:
        old = pq.ParquetFile(before.parquet) if before else None
        if before and old and old.schema_arrow.equals(layout):  # an older version of this program had other columns
            connection.exec_driver_sql("ATTACH ? AS before", (sqlite_uri(before.file, mode="ro"),))
        else:
            old = None
        last = connection.exec_driver_sql("SELECT max(rowid) FROM service_requests").scalar() or 0
        for number in range(last // _ROWS_OF_A_GROUP + 1):
            block = {"first": number * _ROWS_OF_A_GROUP, "last": (number + 1) * _ROWS_OF_A_GROUP - 1}
            if old and _is_alike(connection, old, number, block):
                writer.write_table(old.read_row_group(number))
            else:
                rows = batches(connection, in_order(service_requests).where(sa.text(_BLOCK)), **block)
                writer.write_table(pa.Table.from_batches([_batch(part, layout) for part in rows], layout))


def _is_alike(connection: sa.Connection, old: pq.ParquetFile, number: int, block: Mapping[str, int]) -> bool:
    """Whether a group holds the rows that it would hold now; an older version of this program grouped them otherwise."""
    rows = connection.execute(sa.text(f"SELECT count(*) FROM service_requests WHERE {_BLOCK}"), block).scalar_one()
    held = old.metadata.row_group(number).num_rows if number < old.num_row_groups else None
    return rows == held and are_same(connection, "before", service_requests, _BLOCK, **block)


def _batch(rows: list[Row], layout: pa.Schema) -> pa.RecordBatch:
    stored = (_ARROW[type(column.type)] for column in service_requests.columns)
    columns = zip(zip(*rows, strict=True), stored, layout, strict=True)
    arrays = [pa.array(values, kind).cast(field.type) for values, kind, field in columns]
    return pa.record_batch(arrays, schema=layout)


def _package(release_id: str, about: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The description of the files as Frictionless has it: every table with its columns."""
    tables = [*schema.metadata.sorted_tables, *schema.published_metadata.sorted_tables, schema.search]
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "vanc311",
        "title": TITLE,
        "description": f"{about['licence']} Source: {about['source']}. As of {about['as_of']}.",
        "version": release_id,
        "created": about["published_at"],
        "licenses": [
            {"name": "OGL-Vancouver-1.0", "title": "Open Government Licence – Vancouver", "path": LICENCE_PAGE}
        ],
        "sources": [{"title": "City of Vancouver Open Data Portal", "path": f"https://{CITY_PORTAL}"}],
        "resources": [
            {"name": "requests", **files[PARQUET], **_described_table(service_requests)},
            *(
                {"name": f"sqlite-{table.name.replace('_', '-')}", "dialect": {"table": table.name}}
                | dict(files[SQLITE])
                | _described_table(table)
                for table in tables
            ),
        ],
    }


def _described_table(table: sa.Table) -> dict[str, Any]:
    fields = [
        {
            "name": column.name,
            "type": _FRICTIONLESS_BY_UNIT.get(column.info["unit"], _FRICTIONLESS[type(column.type)]),
            "description": str(column.comment),
            "constraints": {"required": not column.nullable},
        }
        for column in table.columns
    ]
    key = {"primaryKey": table.primary_key.columns.keys()} if table.primary_key.columns else {}
    return {"description": str(table.comment), "schema": {"fields": fields, **key}}


if __name__ == "__main__":
    made, published = map(Path, sys.argv[1:])
    print(make_downloads(made, predecessor(published))[0])
