"""Claims about publishing: what is held, damaged or different takes nobody's place, and what the file says of itself is so."""

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vanc311_pipeline import schema
from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.errors import IntegrityFailed, StorageRefused
from vanc311_pipeline.metric_definitions import METRICS
from vanc311_pipeline.settings import LICENCE, LIVE, UNDATED, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import differences, publish, release_row
from vanc311_pipeline_tests.integration.planting import answers, tear


def refused(settings: Settings, warehouse: Warehouse, reason: str) -> None:
    """Nothing is published, for this reason, and nothing is left of the attempt."""
    before, noted = everything_in(settings.published_path.parent), publications(settings)
    with pytest.raises(IntegrityFailed, match=reason):
        publish(warehouse, settings.published_path, "a run", [LIVE])
    assert everything_in(settings.published_path.parent) == before
    assert publications(settings) == noted


def everything_in(folder: Path) -> dict[Path, str]:
    return {path: file_digest(path) if path.is_file() else "" for path in folder.rglob("*")}


def publications(settings: Settings) -> list[tuple[Any, ...]]:
    return answers(settings.data_dir / "warehouse.sqlite", "SELECT published_at, sha256 FROM publications")


@pytest.mark.parametrize("month", ["2024-01", ledger.WHOLE])
def test_while_anything_is_held_nothing_is_published(copied, month):
    warehouse = Warehouse(copied)
    held = ledger.Hold(LIVE, month, 100, 50, "50 rows fewer", "2026-01-13T14:06:58Z")
    with warehouse.write() as connection:
        ledger.hold(connection, [held])
    refused(copied, warehouse, "Held back, so nothing was published.*50 rows fewer.*--accept-shrink")
    with warehouse.write() as connection:
        ledger.lift(connection, held.window)
    assert publish(warehouse, copied.published_path, "a run", [LIVE])["sha256"] == file_digest(copied.published_path)


def changed(statement: str, writable: bool = False) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(f"PRAGMA writable_schema = {writable:d}")
            assert connection.execute(statement).rowcount

    return spoil


def mistyped(file: Path) -> None:
    changed(
        "UPDATE sqlite_master SET sql = replace(sql, ' STRICT', '') WHERE name = 'service_requests'", writable=True
    )(file)
    changed("UPDATE service_requests SET days_to_update = 'long' WHERE rowid = 7")(file)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (partial(tear, table="service_requests"), "SQLite finds"),
        (partial(tear, table="time_to_close"), "SQLite finds"),
        (mistyped, "service_requests.days_to_update: 1 values are not REAL"),
        (changed("DELETE FROM service_requests WHERE rowid = 7"), "rows in the warehouse"),
        (changed("UPDATE metrics_citywide SET volume = volume + 1 WHERE scope = 'all'"), "metrics_citywide: 1 rows are only in"),
        (changed("DELETE FROM month_ledger WHERE rowid = 1"), "month_ledger: 1 rows are only in the warehouse"),
    ],
    ids=["a torn page of the requests", "a torn page", "text for a number", "a request fewer", "another number", "a month fewer"],
)  # fmt: skip
def test_a_new_file_that_the_disk_spoils_is_thrown_away(copied, monkeypatch, spoil, reason):
    warehouse = Warehouse(copied)
    copy = warehouse.store.copy_to

    def spoiled(file: Path) -> None:
        copy(file)
        spoil(file)

    monkeypatch.setattr(warehouse.store, "copy_to", spoiled)
    refused(copied, warehouse, f"(?s)is not what the warehouse holds.*{reason}.*thrown away")


CHECK = {
    "check_name": "a check", "asset": "a table", "claim": "it is so", "blocking": "yes", "result": "passed", "found": None,
    "evaluated_at": "2026-01-13T14:06:58Z", "run_id": "a run",
}  # fmt: skip


def test_a_file_says_what_it_is_and_what_is_in_it(copied):
    warehouse, file = copied.data_dir / "warehouse.sqlite", copied.published_path
    answers(warehouse, "UPDATE portal_releases SET state = 'loading'")
    metadata = publish(Warehouse(copied), file, "a run", [LIVE], [CHECK])
    [(dataset, processed, count, state)] = answers(
        warehouse, "SELECT dataset, data_processed, records_count, state FROM portal_releases"
    )
    assert (dataset, state) == (LIVE, "settled")
    about = release_row(file)
    assert metadata == about | {"sha256": file_digest(file), "bytes": file.stat().st_size}
    assert (about["data_processed"], about["records_count"], about["complete"]) == (processed, count, "yes")
    assert (about["run_id"], about["licence"]) == ("a run", LICENCE)
    columns = ("rows_landed", "rows_stored", "rows_quarantined", "first_month", "last_month", "months")
    sums = "sum(rows_landed), sum(rows_stored), sum(rows_quarantined)"
    dated = "min(partition_month), max(partition_month), count(DISTINCT partition_month)"
    [of_ledger] = answers(warehouse, f"SELECT {sums}, {dated} FROM month_ledger WHERE partition_month <> ?", UNDATED)
    assert tuple(about[name] for name in columns) == of_ledger

    assert answers(file, f"SELECT {', '.join(CHECK)} FROM check_results") == [tuple(CHECK.values())]
    assert {name for (name,) in answers(file, "SELECT metric FROM metric_definitions")} == set(METRICS)
    named = set(
        answers(
            file, "SELECT type, name FROM sqlite_master WHERE name NOT GLOB 'sqlite_*' AND name NOT GLOB 'search_*'"
        )
    )
    assert {("index", index.name) for index in schema.PUBLISHED_INDEXES} <= named
    assert {("view", view.name) for view in schema.VIEWS} == {pair for pair in named if pair[0] == "view"}
    # SQLite before 3.37 can't open a file with it; the warehouse has it.
    strict = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND sql LIKE '%STRICT%'"
    assert answers(file, strict) == [(0,)] < answers(warehouse, strict)
    present = {
        (name, column)
        for kind, name in named
        if kind in ("table", "view")
        for column in ["*", *(line[1] for line in answers(file, f"PRAGMA table_info({name})"))]
    }
    assert set(answers(file, "SELECT table_name, column_name FROM dictionary")) == present
    for column in ("status", "channel", "closure_reason"):
        counted = answers(file, "SELECT value, requests FROM request_values WHERE column_name = ? ORDER BY 1", column)
        of = f"FROM service_requests WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"
        assert counted == answers(file, f"SELECT {column}, count(*) {of}")


@pytest.mark.parametrize("rows_more", [-1, 1])
def test_a_file_with_other_rows_than_the_portal_said_is_not_complete(copied, rows_more):
    warehouse = copied.data_dir / "warehouse.sqlite"
    answers(warehouse, "UPDATE portal_releases SET records_count = records_count - ?", rows_more)
    assert publish(Warehouse(copied), copied.published_path, "a run", [])["complete"] == "no"


def test_of_the_archive_alone_the_newest_release_counts(copied):
    """A warehouse that never had the live dataset; with no dated month it names none."""
    warehouse = copied.data_dir / "warehouse.sqlite"
    answers(warehouse, "DELETE FROM portal_releases")
    answers(warehouse, "DELETE FROM month_ledger WHERE rowid > 1")
    answers(warehouse, "UPDATE month_ledger SET dataset = 'archive', partition_month = ?", UNDATED)
    [(newest,)] = answers(warehouse, "SELECT data_processed FROM month_ledger")
    about = publish(Warehouse(copied), copied.published_path, "a run", [LIVE])
    assert (about["data_processed"], about["records_count"], about["complete"]) == (newest, 0, "yes")
    assert (about["first_month"], about["last_month"], about["months"]) == (None, None, 0)


def test_a_full_disk_is_no_damage(copied, monkeypatch):
    """The copy fits, what describes it does not: the file is not called broken, the disk is called full."""
    warehouse, before = Warehouse(copied), file_digest(copied.published_path)
    copy, (_, most) = warehouse.store.copy_to, resource.getrlimit(resource.RLIMIT_FSIZE)

    def copied_to_the_last_byte(file: Path) -> None:
        copy(file)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, most))

    monkeypatch.setattr(warehouse.store, "copy_to", copied_to_the_last_byte)
    try:
        with pytest.raises(StorageRefused):
            publish(warehouse, copied.published_path, "a run", [LIVE])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert file_digest(copied.published_path) == before


def test_rows_are_compared_in_every_field_whatever_their_numbers_are(copied):
    file, warehouse = copied.published_path, Warehouse(copied)
    [(month, number)] = answers(file, "SELECT partition_month, min(rowid) FROM service_requests")
    for column in [each.name for each in schema.service_requests.columns]:
        [(value,)] = answers(file, f"SELECT {column} FROM service_requests WHERE rowid = ?", number)
        answers(file, f"UPDATE service_requests SET {column} = coalesce({column}, 0) || '1' WHERE rowid = ?", number)
        assert differences(warehouse, file, months=[month]), column
        answers(file, f"UPDATE service_requests SET {column} = ? WHERE rowid = ?", value, number)
    answers(file, "UPDATE service_requests SET rowid = rowid + 1000000")
    answers(file, "UPDATE open_request_standing SET rowid = rowid + 1000000")
    assert differences(warehouse, file, months=None) == []


def test_what_differs_is_said_by_table_month_and_side(copied):
    file, warehouse = copied.published_path, Warehouse(copied)
    [(month,)] = answers(file, "SELECT min(partition_month) FROM service_requests")
    answers(
        file,
        "UPDATE service_requests SET latitude = 49.2 WHERE rowid = (SELECT min(rowid) FROM service_requests WHERE partition_month = ?)",
        month,
    )
    sides = [f"service_requests {month}: 1 rows are only in {side}" for side in ("the warehouse", "the file")]
    assert differences(warehouse, file, months=None) == sides
    assert differences(warehouse, file, months=()) == []
    [(number,)] = answers(file, "SELECT count(*) FROM service_requests WHERE partition_month = ?", month)
    answers(file, "UPDATE service_requests SET partition_month = '2099-01' WHERE partition_month = ?", month)
    counts = [f"service_requests {month}: {number:,} rows in the warehouse, 0 in the file",
              f"service_requests 2099-01: 0 rows in the warehouse, {number:,} in the file"]  # fmt: skip
    assert differences(warehouse, file, months=()) == counts
    answers(file, "DELETE FROM service_requests WHERE partition_month = '2099-01'")
    answers(copied.data_dir / "warehouse.sqlite", "DELETE FROM service_requests WHERE partition_month = ?", month)
    assert differences(warehouse, file, months=[month]) == []
