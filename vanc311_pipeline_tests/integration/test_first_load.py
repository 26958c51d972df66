"""Claims about a first load into SQLite: the key of the requests is made at its end, and nothing tells that it was put off."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.conftest import many
from vanc311_pipeline_tests.integration.planting import answers

ROWS = many(3)
WITH_KEY = str(CreateTable(service_requests).compile(dialect=sqlite.dialect()))


def table_in(connection):
    """How the requests are kept: their table, the key's index, and whether all entries of it are right."""
    queries = (
        "SELECT type, name, sql FROM sqlite_master WHERE name LIKE '%service_requests' OR name LIKE 'sqlite_autoindex_service_r%'",
        "SELECT name, origin, \"unique\" FROM pragma_index_list('service_requests') WHERE origin = 'pk'",
        "PRAGMA integrity_check",
    )
    return [connection.execute(query).fetchall() for query in queries]


def has_key(warehouse):
    return bool(
        answers(warehouse.store.path, "SELECT 1 FROM pragma_index_list('service_requests') WHERE origin = 'pk'")
    )


def test_published_it_has_the_table_of_one_that_had_its_key_from_the_beginning(warehouse, load, tmp_path):
    load(*ROWS, month="2025-07")
    assert not has_key(warehouse)
    warehouse.store.copy_to(tmp_path / "copy.sqlite")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(WITH_KEY)
        usual = table_in(connection)
    for file in (warehouse.store.path, tmp_path / "copy.sqlite"):
        with closing(sqlite3.connect(file)) as connection:
            assert table_in(connection) == usual


@pytest.mark.parametrize(
    ("rows", "needs"), [([*ROWS, {}], False), (ROWS[1:], True), ([{**ROWS[0], "status": "Open"}, *ROWS[1:]], True)]
)
def test_the_first_row_that_is_looked_up_makes_the_key(warehouse, load, rows, needs):
    load(*ROWS, month="2025-07")
    load(*ROWS, month="2025-08")
    load(*rows, month="2025-08")
    assert has_key(warehouse) == needs


KILLED = """
import os, signal, sys
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse

warehouse = Warehouse(Settings(database_url=sys.argv[1]))
with warehouse.write() as connection:
    warehouse.store.make_key(connection)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_before_the_key_is_made_the_next_run_goes_on_and_ends_equal(warehouse, warehouse_url, load, tmp_path):
    fresh = Warehouse(Settings(database_url=f"sqlite:///{tmp_path}/fresh.sqlite"))
    fresh.create()
    load(*ROWS, month="2025-07")
    ended = subprocess.run([sys.executable, "-c", KILLED, warehouse_url], check=False, capture_output=True)
    assert (ended.returncode, has_key(warehouse)) == (-9, False)
    Warehouse(Settings(database_url=warehouse_url)).create()
    load(*ROWS, month="2025-08")
    load(*ROWS, month="2025-07", into=fresh)
    load(*ROWS, month="2025-08", into=fresh)
    copies = tmp_path / "copy.sqlite", tmp_path / "fresh_copy.sqlite"
    for store, copy in zip((warehouse.store, fresh.store), copies, strict=True):
        store.copy_to(copy)
    rows, expected = (answers(copy, "SELECT rowid, * FROM service_requests ORDER BY rowid") for copy in copies)
    assert rows == expected
    with closing(sqlite3.connect(copies[0])) as connection, closing(sqlite3.connect(copies[1])) as other:
        assert table_in(connection) == table_in(other)


def test_an_id_that_stands_twice_is_refused_by_name_and_nothing_moves(warehouse, load, tmp_path):
    load(*ROWS, month="2025-07")
    with warehouse.write() as connection:
        connection.exec_driver_sql("INSERT INTO service_requests SELECT * FROM service_requests LIMIT 1")
    [(twice,)] = answers(warehouse.store.path, "SELECT request_id FROM service_requests ORDER BY rowid DESC LIMIT 1")
    before = answers(warehouse.store.path, "SELECT * FROM service_requests")
    with pytest.raises(IntegrityFailed, match=f"1 ids stand twice among the stored requests, such as {twice}"):
        warehouse.store.copy_to(tmp_path / "copy.sqlite")
    with pytest.raises(IntegrityFailed, match="1 ids stand twice"):
        load(*ROWS[1:], month="2025-07")
    assert (answers(warehouse.store.path, "SELECT * FROM service_requests"), has_key(warehouse)) == (before, False)


def test_once_made_the_key_refuses_and_a_reader_of_before_goes_on(warehouse, load):
    load(*ROWS, month="2025-07")
    rows = sa.select(sa.func.count()).select_from(service_requests)
    with warehouse.read() as reader:
        assert reader.scalar(rows) == 3
        with warehouse.write() as connection:
            warehouse.store.make_key(connection)
        assert reader.scalar(rows) == 3
    with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"), warehouse.write() as connection:
        connection.exec_driver_sql("INSERT INTO service_requests SELECT * FROM service_requests LIMIT 1")
