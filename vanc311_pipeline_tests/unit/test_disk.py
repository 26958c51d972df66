"""Claims about the disk's refusals: told from every other error, whoever says them, and said in words that help."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from vanc311_pipeline.disk import on_disk, refusal
from vanc311_pipeline.errors import CountMismatch, SettingsError, StorageRefused

PLACE = Path("data/raw")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO])
def test_what_the_operating_system_refuses_is_said_with_the_place_and_the_file(number):
    with (
        pytest.raises(StorageRefused, match=r"data/raw: .* \(data/raw/2025-01\.parquet\)\. Nothing was lost"),
        on_disk(PLACE),
    ):
        raise OSError(number, "what Arrow says is longer", "data/raw/2025-01.parquet")


def test_a_database_that_can_grow_no_further_is_a_refusal(tmp_path):
    with closing(sqlite3.connect(tmp_path / "full.sqlite")) as connection:
        connection.execute("CREATE TABLE kept (text)")
        connection.execute("PRAGMA max_page_count = 3")
        with pytest.raises(StorageRefused, match="database or disk is full"), on_disk(PLACE):
            connection.execute("INSERT INTO kept VALUES (?)", ("much" * 10_000,))


def test_a_database_that_may_not_be_written_is_a_refusal_through_sqlalchemy_too(tmp_path):
    file = tmp_path / "locked.sqlite"
    sqlite3.connect(file).close()
    engine = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
    with pytest.raises(StorageRefused, match="readonly"), on_disk(PLACE), engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (text)")
    engine.dispose()


def test_a_refusal_is_found_behind_the_error_that_it_caused():
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError("the step failed") from OSError(errno.ENOSPC, "full")
    assert refusal(raised.value) == "No space left on device"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        ConnectionResetError(errno.ECONNRESET, "the network"),
        FileNotFoundError(errno.ENOENT, "a file that should be there"),
        sqlite3.OperationalError("no such table: a bug"),
        CountMismatch("one of ours"),
    ],
    ids=repr,
)
def test_every_other_error_passes_as_it_is(error):
    with pytest.raises(type(error)) as raised, on_disk(PLACE):
        raise error
    assert raised.value is error


def test_a_refusal_ends_a_command_as_a_directory_that_cannot_be_used_does():
    assert StorageRefused.exit_code == SettingsError.exit_code == 2
