"""Claims about the published file and old libraries: Debian 11, Ubuntu 20.04 and RHEL 9 come with a SQLite before 3.37.

The old library is the one in pyproj's wheel, which is there for nothing else.
"""

import ctypes
import sys
from importlib.metadata import files

import pytest

from vanc311_pipeline import schema
from vanc311_pipeline_tests.integration.planting import answers

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="the wheel with the old library is for Python 3.11")
NAMES = [
    *(table.name for table in (*schema.metadata.sorted_tables, *schema.published_metadata.sorted_tables)),
    *(view.name for view in (schema.search, *schema.VIEWS)),
]
ROW = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p)


@ROW
def keep(rows, columns, values, _):
    rows.append(tuple(values[:columns]))
    return 0


@pytest.fixture(scope="module")
def ask(synced):
    """What the old library answers."""
    [path] = [file.locate() for file in files("pyproj") if file.name.startswith("libsqlite3")]
    library, connection = ctypes.CDLL(str(path)), ctypes.c_void_p()
    assert library.sqlite3_libversion_number() < 3_037_000
    assert library.sqlite3_open(bytes(synced.published_path), ctypes.byref(connection)) == 0

    def asked(query: str) -> list[tuple[bytes, ...]]:
        rows, error = [], ctypes.c_char_p()
        ended = library.sqlite3_exec(connection, query.encode(), keep, ctypes.py_object(rows), ctypes.byref(error))
        assert ended == 0, error.value
        return rows

    yield asked
    library.sqlite3_close(connection)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_library_reads_every_table_and_view(ask, synced, name):
    [(rows,)] = answers(synced.published_path, f"SELECT count(*) FROM {name}")
    assert ask(f"SELECT count(*) FROM {name}") == [(str(rows).encode(),)]
    assert len(ask(f"SELECT * FROM {name} LIMIT 3")) == min(rows, 3)


def test_an_old_library_finds_the_file_whole(ask):
    assert ask("PRAGMA integrity_check") == [(b"ok",)]


def test_an_old_library_finds_a_request_by_its_key(ask):
    [(request_id,)] = ask("SELECT request_id FROM service_requests LIMIT 1")
    query = f"SELECT count(*) FROM service_requests WHERE request_id = '{request_id.decode()}'"
    assert ask(query) == [(b"1",)]
    [[*_, detail]] = ask(f"EXPLAIN QUERY PLAN {query}")
    assert b"USING COVERING INDEX sqlite_autoindex_service_requests_1" in detail
