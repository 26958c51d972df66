"""Claims about the Parquet file beside the published one: it holds the same rows, whatever of it is taken over from its predecessor."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.reading.published import CHECKSUMS, PARQUET
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline.warehouse import downloads
from vanc311_pipeline.warehouse.downloads import make_downloads, predecessor, put_in_place
from vanc311_pipeline_tests.integration.planting import answers

REST = ", ".join(column.name for column in service_requests.columns if column.name != "request_id")
EDITS = {
    "nothing": "SELECT 1",
    "changed": "UPDATE service_requests SET address = 'elsewhere' WHERE rowid = 70",
    "gone": "DELETE FROM service_requests WHERE rowid IN (1, 70)",
    "a whole group gone": "DELETE FROM service_requests WHERE rowid BETWEEN 50 AND 99",
    "added": f"INSERT INTO service_requests SELECT 'new', {REST} FROM service_requests LIMIT 1",
}


@pytest.fixture(autouse=True)
def groups_of_50(monkeypatch):
    monkeypatch.setattr(downloads, "_ROWS_OF_A_GROUP", 50)


@pytest.fixture
def published(synced, tmp_path):
    """A published file with what is beside it."""
    file, target = tmp_path / "new.sqlite", tmp_path / "published" / "vanc311.sqlite"
    target.parent.mkdir()
    shutil.copy(synced.published_path, file)
    put_in_place(file, make_downloads(file)[0], target)
    return target


def successor(published: Path, edit: str = "nothing") -> Path:
    file = published.parent.parent / "next" / published.name
    file.parent.mkdir()
    shutil.copy(published, file)
    answers(file, EDITS[edit])
    return file


def parquet_of(published: Path) -> Path:
    [parquet] = published.parent.glob(f"downloads/*/{PARQUET}")
    return parquet


def altered(parquet: Path, believed: bool) -> None:
    """Another Parquet file in the place of one, with the checksum that it should have or not."""
    table, digest = pq.read_table(parquet), file_digest(parquet)
    with pq.ParquetWriter(parquet, table.schema) as writer:
        for first in range(0, table.num_rows + 1, 50):  # rows are numbered from 1
            rows = table.slice(max(0, first - 1), 50 if first else 49)
            channel = pa.array(["taken over"] * rows.num_rows, pa.string())
            writer.write_table(
                rows.set_column(table.schema.names.index("channel"), table.schema.field("channel"), channel)
            )
    checksums = parquet.with_name(CHECKSUMS)
    if believed:
        checksums.write_text(checksums.read_text().replace(digest, file_digest(parquet)))


def holds_the_rows_of(file: Path, folder: Path) -> bool:
    table = pq.read_table(folder / PARQUET, columns=["request_id", "address", "channel"])
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return rows == answers(file, "SELECT request_id, address, channel FROM service_requests ORDER BY rowid")


@pytest.mark.parametrize("edit", EDITS)
def test_it_holds_the_rows_of_its_file_whatever_moved_since_its_predecessor(published, edit):
    file = successor(published, edit)
    folder, _ = make_downloads(file, predecessor(published))
    assert holds_the_rows_of(file, folder)


def test_only_the_groups_in_which_something_moved_are_read_again(published):
    altered(parquet_of(published), believed=True)
    folder, _ = make_downloads(successor(published, "changed"), predecessor(published))
    channels = pq.read_table(folder / PARQUET)["channel"]
    taken_over = pc.equal(channels, "taken over").to_pylist()
    assert [place for place, kept in enumerate(taken_over, 1) if not kept] == list(range(50, 100))


@pytest.mark.parametrize("touched", ["parquet", "sqlite", "groups"])
def test_nothing_is_taken_over_from_files_that_are_not_what_was_made(published, monkeypatch, touched):
    file = successor(published)
    altered(parquet_of(published), believed=touched != "parquet")
    if touched == "sqlite":
        answers(published, "UPDATE release SET run_id = 'another'")
    if touched == "groups":  # as another version of the program made them
        monkeypatch.setattr(downloads, "_ROWS_OF_A_GROUP", 60)
    folder, _ = make_downloads(file, predecessor(published))
    assert holds_the_rows_of(file, folder)
