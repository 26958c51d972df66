"""Claims about publishing: what is held, damaged or different takes nobody's place."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.warehouse import holds
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import publish


def refused(settings: Settings, warehouse: Warehouse, reason: str) -> None:
    """Nothing is published, for this reason, and nothing is left of the attempt."""
    before, noted = everything_in(settings.published_path.parent), publications(settings)
    with pytest.raises(IntegrityFailed, match=reason):
        publish(warehouse, settings.published_path, "a run", [LIVE])
    assert everything_in(settings.published_path.parent) == before
    assert publications(settings) == noted


def everything_in(folder: Path) -> dict[Path, str]:
    return {path: file_digest(path) if path.is_file() else "" for path in folder.rglob("*")}


def publications(settings: Settings) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(settings.data_dir / "warehouse.sqlite")) as connection:
        return connection.execute("SELECT published_at, sha256 FROM publications").fetchall()


@pytest.mark.parametrize("month", ["2024-01", holds.WHOLE])
def test_while_anything_is_held_nothing_is_published(copied: Settings, month: str) -> None:
    warehouse = Warehouse.of(copied)
    held = holds.Hold(LIVE, month, 100, 50, "50 rows fewer", "2026-01-13T14:06:58Z")
    with warehouse.write() as connection:
        holds.hold(connection, [held])
    refused(copied, warehouse, "Held back, so nothing was published.*50 rows fewer.*--accept-shrink")
    with warehouse.write() as connection:
        holds.lift(connection, held.window)
    assert publish(warehouse, copied.published_path, "a run", [LIVE])["sha256"] == file_digest(copied.published_path)


def torn(table: str) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        with closing(sqlite3.connect(file)) as connection:
            [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            [size] = connection.execute("PRAGMA page_size").fetchone()
        with file.open("r+b") as opened:
            opened.seek((root - 1) * size)
            opened.write(b"\xff" * 64)

    return spoil


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
    changed("UPDATE service_requests SET latitude = 'north' WHERE rowid = 7")(file)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (torn("service_requests"), "SQLite finds"),
        (torn("time_to_close"), "SQLite finds"),
        (mistyped, "service_requests.latitude: 1 values are not REAL"),
        (changed("DELETE FROM service_requests WHERE rowid = 7"), "rows in the warehouse"),
        (changed("UPDATE metrics_citywide SET volume = volume + 1 WHERE scope = 'all'"), "metrics_citywide: 1 rows are only in"),
        (changed("DELETE FROM month_ledger WHERE rowid = 1"), "month_ledger: 1 rows are only in the warehouse"),
    ],
    ids=["a torn page of the requests", "a torn page", "text for a number", "a request fewer", "another number", "a month fewer"],
)  # fmt: skip
def test_a_new_file_that_the_disk_spoils_is_thrown_away(
    copied: Settings, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], reason: str
) -> None:
    warehouse = Warehouse.of(copied)
    copy = warehouse.store.copy_to

    def spoiled(file: Path) -> None:
        copy(file)
        spoil(file)

    monkeypatch.setattr(warehouse.store, "copy_to", spoiled)
    refused(copied, warehouse, f"(?s)is not what the warehouse holds.*{reason}.*thrown away")
