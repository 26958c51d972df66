"""Claims about a warehouse's file that is not what it should be: a sentence, exit code 2, and nothing is changed."""

import sqlite3
from contextlib import closing

import pytest

from vanc311_pipeline.errors import NoWarehouse, SettingsError
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse


@pytest.fixture
def file(tmp_path):
    return tmp_path / "warehouse.sqlite"


@pytest.fixture
def warehouse(file):
    return Warehouse(Settings(database_url=f"sqlite:///{file}"))


def without_tables(file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@pytest.mark.parametrize("make", [lambda file: file.touch(), without_tables], ids=["empty", "without tables"])
def test_a_file_in_which_nothing_was_ever_stored_is_no_warehouse_yet(file, warehouse, make):
    make(file)
    assert not warehouse.exists()
    with pytest.raises(NoWarehouse), warehouse.read():
        pass
    warehouse.create()
    assert warehouse.exists()


@pytest.mark.parametrize(
    "make", [lambda file: file.write_text("no database " * 100), lambda file: file.mkdir()], ids=["text", "directory"]
)
def test_what_is_no_database_is_said(file, warehouse, make):
    make(file)
    with pytest.raises(SettingsError, match=r"warehouse\.sqlite is not a SQLite database\. Nothing was changed"):
        warehouse.exists()
    with pytest.raises(SettingsError, match=r"warehouse\.sqlite is not a SQLite database"), warehouse.read():
        pass
