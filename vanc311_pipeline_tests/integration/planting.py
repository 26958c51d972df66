"""How the tests of the checks plant a violation: by SQL behind the pipeline's back, or in the files.

Belongs here: the means, and what a case is. The cases stand in `planted.toml`.
"""

import json
import sqlite3
import tomllib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pyarrow.parquet as pq

from vanc311_pipeline.schema import month_ledger
from vanc311_pipeline.settings import LIVE, Settings

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
MONTH = "2024-01"
ONE = f"rowid = (SELECT min(rowid) FROM service_requests WHERE partition_month = '{MONTH}' AND status = 'Close')"
POINT = "rowid = (SELECT min(rowid) FROM service_requests WHERE latitude IS NOT NULL AND local_area IS NOT NULL)"

Plant = Callable[[Settings], None]


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, f"nothing was planted by {statement}"


def answers(file: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a SQLite file answers; what the statement changes stays changed."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def tear(path: Path, table: str) -> None:
    """Spoil the first page of a table."""
    with closing(sqlite3.connect(path)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)


def stored(settings: Settings, *statements: str) -> None:
    """Change the warehouse, wherever it is, past everything that guards it."""
    if not settings.database_url:
        return execute(settings.data_dir / "warehouse.sqlite", *statements)
    with psycopg.connect(settings.warehouse_url.replace("+psycopg", "")) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, f"nothing was planted by {statement}"


def sql(*statements: str) -> Plant:
    """Change the warehouse behind the pipeline's back."""
    return lambda settings: stored(settings, *statements)


def unguarded(statement: str) -> Plant:
    """The same after the requests lost their constraints, which would not let such a row in."""
    table = "service_requests"
    bare = [f"CREATE TABLE bare AS SELECT * FROM {table}", f"DROP TABLE {table}", f"ALTER TABLE bare RENAME TO {table}"]
    return sql(*bare, statement)


def published(*statements: str) -> Plant:
    """Change the published file."""
    return lambda settings: execute(settings.published_path, *statements)


def request(change: str, where: str = ONE) -> Plant:
    """Change one stored request."""
    return sql(f"UPDATE service_requests SET {change} WHERE {where}")


def rewrite_landed(change: Callable[[dict], None] = lambda about: None, rows: int | None = None) -> Plant:
    """Rewrite the landed file of one month: what it says of itself, or how many rows it has."""

    def plant(settings: Settings) -> None:
        path = settings.raw_dir / LIVE / f"{MONTH}.parquet"
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"vanc311"])
        change(about)
        pq.write_table(table.slice(0, rows).replace_schema_metadata({b"vanc311": json.dumps(about)}), path)

    return plant


def hold(month: str = MONTH, since: str = "2026-01-08T00:00:00Z") -> str:
    """The statement that holds a month."""
    return f"INSERT INTO holds VALUES ('{LIVE}', '{month}', 100, 7, 'rows 100 → 7', '2026-01-07T14:06:58Z', '{since}')"


def held_release(records_count: int) -> Plant:
    return sql(
        "INSERT INTO portal_releases (dataset, data_processed, records_count, state, seen_at, run_id) "
        f"VALUES ('{LIVE}', '2099-01-01T14:06:58Z', {records_count}, 'held', '2099-01-01T15:00:00Z', 'a run')"
    )


def overwrite(place: int, data: bytes) -> Plant:
    """Write bytes into the published file."""

    def plant(settings: Settings) -> None:
        with settings.published_path.open("rb+") as file:
            file.seek(place)
            file.write(data)

    return plant


def all_months_of_2025(settings: Settings) -> None:
    """The ledger says that every month of 2025 is there."""
    columns = ", ".join(month_ledger.columns.keys())
    for month in (*(f"2025-{number:02}" for number in range(1, 13)), "2026-01"):
        stored(
            settings,
            f"INSERT INTO month_ledger ({columns}) SELECT {columns.replace('partition_month', repr(month))} FROM month_ledger "
            f"WHERE dataset = '{LIVE}' LIMIT 1 ON CONFLICT (dataset, partition_month) DO UPDATE SET run_id = 'planted'",
        )


def remove_published(settings: Settings) -> None:
    settings.published_path.unlink()


@dataclass(frozen=True)
class Case:
    check: str
    plant: Plant
    phrase: str
    severity: dg.AssetCheckSeverity = ERROR
    planned: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    """What is set otherwise."""


Violations = Mapping[str, Mapping[str, Plant | str]]
"""By check and by the phrase that tells of it: how it is planted, or the statement that does it."""


def _planted() -> dict[str, Violations]:
    words = {
        "{one}": ONE,
        "{point}": POINT,
        "{city}": "level = 'citywide' AND scope = 'all'",
        "{recent}": "period = 'last_12_months'",
    }
    text = Path(__file__).with_name("planted.toml").read_text()
    for word, condition in words.items():
        text = text.replace(word, condition)
    return tomllib.loads(text)


PLANTED = _planted()


def cases(
    violations: Violations, severity: dg.AssetCheckSeverity = ERROR, plant: Callable[[str], Plant] = sql
) -> list[Case]:
    return [
        Case(check, plant(planted) if isinstance(planted, str) else planted, phrase, severity)
        for check, plants in violations.items()
        for phrase, planted in plants.items()
    ]
