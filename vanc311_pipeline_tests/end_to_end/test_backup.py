"""Claims about `vanc311 backup` and `vanc311 restore`: what can't be fetched again survives, and nothing is ever lost by them.

That a sync goes on with a restored log: test_postgres.
"""

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.backup import TABLES, VERSION, check_backup
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.end_to_end.city import Pipeline
from vanc311_pipeline_tests.integration.planting import execute

CHANGE = (
    "INSERT INTO request_changes (kind, request_id, thread_id, partition_month, department, issue_type, opened_at, sharing, "
    "before, after, seen_at, data_processed, run_id) VALUES ('edited', '{0}', '{0}', '2025-01', 'd', 'línea \"1\"', "
    "'2025-01-05T00:00:00Z', 1, NULL, '{{}}', '2025-02-01T00:00:00Z', '2025-02-01T00:00:00Z', 'run')"
)
LOSS = "INSERT INTO accepted_losses VALUES ('2025-02-0{0}T00:00:00Z', '2025-01', 100, 7, '2025-02-01T00:00:00Z', 'run', 'rows 100 → 7')"
READING = (
    "INSERT INTO deep_readings VALUES ('2025-02-0{0}T00:00:00Z', '2025-01', 100, 7, '2025-02-01T00:00:00Z', 'run')"
)


@pytest.fixture
def run(run):
    """Types `vanc311 …`, which must end with a code; everything that it printed."""

    def typed(settings: Settings, *arguments, ends: int = 0) -> str:
        ended = run(Pipeline(settings), *map(str, arguments), ends=ends)
        return ended.out + ended.err

    return typed


def place(home: Path, source="portal") -> Settings:
    return Settings(data_dir=home / "data", dagster_home=home / "dagster", source=source)


def write(settings: Settings, *statements: str) -> None:
    warehouse = Warehouse(settings)
    warehouse.create()
    execute(warehouse.store.path, *statements)


def log(settings: Settings) -> dict[str, list[tuple]]:
    with Warehouse(settings).read() as connection:
        in_order = sa.literal_column("rowid")
        return {table.name: [*map(tuple, connection.execute(sa.select(table).order_by(in_order)))] for table in TABLES}


@pytest.fixture
def here(tmp_path) -> Settings:
    """A warehouse with a log of three changes, a loss and two readings."""
    settings = place(tmp_path / "here")
    write(settings, *map(CHANGE.format, "abc"), LOSS.format(1), READING.format(1), READING.format(2))
    return settings


@pytest.fixture
def new(tmp_path) -> Settings:
    return place(tmp_path / "new")


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "elsewhere" / "log.gz"


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 11_000], ids=["few rows", "more rows than are read at once"])
def test_the_log_comes_back_as_it_was(run, here, new, file, more):
    write(here, *map(CHANGE.format, range(more)))
    assert f"{3 + more:,} in request_changes, 1 in accepted_losses, 2 in deep_readings" in run(here, "backup", file)
    assert "Now run `vanc311 sync`" in run(new, "restore", file)
    assert log(new) == log(here)
    assert len(log(new)["request_changes"]) == 3 + more


def test_an_empty_log_can_be_backed_up_too(run, new, tmp_path, file):
    write(new)
    run(new, "backup", file)
    assert "Nothing was changed" in run(place(tmp_path / "other"), "restore", file)


def test_anybody_can_read_and_check_it(run, here, file):
    run(here, "backup", file)
    *lines, last = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    assert json.loads(last) == {"sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    assert json.loads(lines[0])["source"] == "portal"
    assert len(lines) == 1 + 3 + 1 + 2
    assert os.listdir(file.parent) == [file.name]


# -- a log that is there already ---------------------------------------------------------------------------------------


def test_a_log_that_the_backup_continues_gets_the_rest(run, here, new, file):
    write(new, CHANGE.format("a"), CHANGE.format("b"), READING.format(1))
    run(here, "backup", file)
    assert "1 in request_changes, 1 in accepted_losses, 1 in deep_readings" in run(new, "restore", file)
    assert log(new) == log(here)


def test_a_log_that_holds_all_of_the_backup_and_went_on_since_stays_as_it_is(run, here, file):
    run(here, "backup", file)
    write(here, CHANGE.format("d"))
    before = Warehouse(here).store.path.read_bytes()
    assert "holds all of" in run(here, "restore", file)
    assert Warehouse(here).store.path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "numbers"),
    [(CHANGE, "x"), (CHANGE, "axc"), (CHANGE, "abcd"), (READING, "2")],
    ids=[
        "begins otherwise",
        "differs in the middle",
        "is longer in one and shorter in another table",
        "lacks the first",
    ],
)
def test_a_log_of_another_history_is_left_alone(run, here, new, file, statement, numbers):
    write(new, *map(statement.format, numbers))
    run(here, "backup", file)
    before = log(new)
    words = run(new, "restore", file, ends=1)
    assert "not of one history" in words
    assert "Nothing was changed" in words
    assert log(new) == before


# -- a backup that is there already ------------------------------------------------------------------------------------


def test_a_backup_is_replaced_by_one_that_continues_it(run, here, file):
    run(here, "backup", file)
    write(here, CHANGE.format("d"))
    run(here, "backup", file)
    assert check_backup(file).rows["request_changes"] == 4


def test_a_new_and_empty_log_does_not_replace_a_backup(run, here, new, file):
    run(here, "backup", file)
    before = file.read_bytes()
    write(new)
    assert "vanc311 restore" in run(new, "backup", file, ends=1)
    assert file.read_bytes() == before


def test_another_file_is_not_replaced(run, here, file):
    file.parent.mkdir()
    file.write_text("letters\n")
    assert "is not a backup of vanc311" in run(here, "backup", file, ends=2)
    assert file.read_text() == "letters\n"


# -- what can't be used ------------------------------------------------------------------------------------------------


def test_a_backup_that_is_damaged_anywhere_is_refused_and_nothing_is_taken_over(run, here, new, file):
    write(here, *map(CHANGE.format, range(40)))
    run(here, "backup", file)
    write(new)
    whole, before = file.read_bytes(), log(new)
    for at in range(10, len(whole), 23):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert "is damaged" in run(new, "restore", file, ends=1)
        assert log(new) == before
    file.write_bytes(whole[: len(whole) // 2])
    run(new, "restore", file, ends=1)
    assert log(new) == before


def rewritten(file: Path, change, prove=False) -> None:
    """A backup with other lines, packed anew, so that only our own digest can tell; not even that if it is proven anew."""
    lines = change(gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True))
    if prove:
        digest = hashlib.sha256("".join(lines[:-1]).encode()).hexdigest()
        lines[-1] = json.dumps({"sha256": digest})
    file.write_bytes(gzip.compress("".join(lines).encode()))


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
        lambda lines: [line.replace("'d'", "'e'").replace('"d"', '"e"') for line in lines],
        lambda lines: lines[:-1],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[1:],
    ],
    ids=["a row less", "two rows swapped", "another value", "no digest", "two digests", "no header"],
)
def test_a_backup_that_somebody_edited_is_refused(run, here, new, file, change):
    run(here, "backup", file)
    rewritten(file, change)
    assert "is damaged" in run(new, "restore", file, ends=1)
    assert not Warehouse(new).exists()


def test_a_backup_of_the_sample_is_not_restored_into_the_portals_data_nor_replaced_by_it(run, here, tmp_path, file):
    sample = place(tmp_path / "sample", source="sample")
    write(sample, CHANGE.format("a"))
    run(sample, "backup", file)
    before = log(here)
    assert "never mixed" in run(here, "restore", file, ends=2)
    assert log(here) == before
    run(here, "backup", file, ends=2)
    assert check_backup(file).source == "sample"


def test_a_backup_of_another_version_is_refused(run, here, new, file):
    run(here, "backup", file)
    rewritten(file, lambda lines: [lines[0].replace(f'"version":{VERSION}', '"version":99'), *lines[1:]], prove=True)
    assert "version 99" in run(new, "restore", file, ends=2)


def test_a_backup_of_version_1_which_knew_no_reasons_of_consent_comes_back_without_them(run, here, new, file):
    run(here, "backup", file)

    def line(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"

    def as_version_1(lines):
        header, *rows = (json.loads(text) for text in lines)
        [columns] = [item["columns"] for item in header["tables"] if item["table"] == "accepted_losses"]
        rows = [row[:-1] if len(row) == len(columns) else row for row in rows]
        columns.remove("why")
        del header["tables"][-2:]  # of figure_vintages and briefs, which came with versions 3 and 5
        return [line(header | {"version": 1}), *map(line, rows)]

    rewritten(file, as_version_1, prove=True)
    assert "1 in accepted_losses" in run(new, "restore", file)
    with Warehouse(new).read() as connection:
        assert connection.exec_driver_sql("SELECT rows_before, why FROM accepted_losses").all() == [(100, None)]


def test_where_there_is_nothing_it_says_so(run, here, new, file, tmp_path):
    assert "There is no backup at" in run(here, "restore", file, ends=2)
    run(here, "restore", tmp_path, ends=2)
    assert "There is no warehouse" in run(new, "backup", file, ends=2)
    assert not file.exists()


def test_a_disk_that_refuses_leaves_the_last_backup(run, here, file, monkeypatch):
    run(here, "backup", file)
    before = file.read_bytes()
    write(here, CHANGE.format("d"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in run(here, "backup", file, ends=2)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_a_change_of_the_logs_columns_needs_a_new_version_of_the_backup():
    columns = {table.name: list(table.columns.keys()) for table in TABLES}
    digest = hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:12]
    advice = "give warehouse/backup.py a new VERSION, and say how the old one is read"
    assert (VERSION, digest) == (5, "21addba7fd44"), advice
    assert set(columns) <= set(schema.metadata.tables)
