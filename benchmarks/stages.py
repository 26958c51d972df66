"""The stages that the benchmark measures, each run alone: `python -m benchmarks.stages NAME --dir DIR --url URL`.

Each calls the pipeline as the pipeline calls itself. One line of JSON says the rows it handled and its seconds without imports.
"""

import argparse
import hashlib
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from benchmarks.grow import grow
from vanc311_pipeline import schema
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.fingerprint import fingerprints
from vanc311_pipeline.portal.landing import Landed, describe_landed, land, landed_months, landed_path, read_landed
from vanc311_pipeline.requests.rows import month_rows
from vanc311_pipeline.schema import OPENED
from vanc311_pipeline.settings import FIRST_LIVE_MONTH, FIRST_MONTH, LIVE, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.areas import area_names, replace_areas
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import clean_month, load_month
from vanc311_pipeline.warehouse.publishing import publish
from vanc311_pipeline.warehouse.sqlite import CACHE_KIB
from vanc311_pipeline.warehouse.statistics import replace_statistics

RUN = "benchmark"
EDITED_ROWS = 300


class Asked(NamedTuple):
    """Where a stage works, and what some of them are told besides: the portal, how many rows to make, from which month on."""

    folder: Path
    url: str
    rows: int
    first_month: str


def warehouse_in(folder: Path) -> Warehouse:
    return Warehouse(Settings.from_environment().changed(data_dir=folder))


def landed(folder: Path) -> Iterator[tuple[str, tuple[Landed, pd.DataFrame]]]:
    """The landed files of each month, one after the other: what each says of itself, and its rows."""
    for month in landed_months(folder / "raw", LIVE):
        path = landed_path(folder / "raw", Window(LIVE, month))
        about = describe_landed(path)
        assert about is not None
        yield month, (about, read_landed(path))


def stage_land(asked: Asked) -> int:
    """Ask for every month over HTTP and keep it as a landed file, with the proof that it is whole."""
    with Portal(Settings(portal_url=asked.url)) as portal:
        release = portal.release(LIVE)
        months = sorted(fingerprints(portal.cells(LIVE), release.last_month))
        return sum(land(portal, release, Window(LIVE, month), asked.folder / "raw").rows for month in months)


def stage_floor_key_first(asked: Asked) -> int:
    return stage_floor(asked, key_first=True)


def stage_floor(asked: Asked, key_first: bool = False) -> int:
    """What no pipeline on this machine can do without: read the landed rows, digest each, insert them all, and index their ids.

    The index is made at the end, or is in place before the first row.
    """
    folder, table, rows = asked.folder, schema.service_requests, 0
    marks = ", ".join("?" * len(table.columns))
    whole = str(CreateTable(table).compile(dialect=sqlite.dialect()))
    with closing(sqlite3.connect(folder / "floor.sqlite", isolation_level=None)) as connection:
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", f"cache_size = -{CACHE_KIB}"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute(whole if key_first else whole.replace(", \n\tPRIMARY KEY (request_id)", ""))
        connection.execute("BEGIN IMMEDIATE")
        for month in landed_months(folder / "raw", LIVE):
            lines = floor_rows(landed_path(folder / "raw", Window(LIVE, month)), month)
            connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", lines)
            rows += len(lines)
        if not key_first:
            connection.execute("CREATE UNIQUE INDEX request_key ON service_requests (request_id)")
        connection.execute("COMMIT")
    for file in folder.glob("floor.sqlite*"):
        file.unlink()
    return rows


def floor_rows(path: Path, month: str) -> list[tuple[object, ...]]:
    """The rows as served, in the columns of `service_requests`, with a digest for an id and nothing derived."""
    served = pq.read_table(path).to_pydict()
    columns = {ours: served[field] for field, (_, ours) in schema.PORTAL_FIELDS.items()}
    texts = map("\x1f".join, zip(columns["department"], columns["issue_type"], served[OPENED], strict=True))
    digest = hashlib.sha256
    columns["request_id"] = [digest(f"{text}\x1f{place}".encode()).hexdigest() for place, text in enumerate(texts)]
    columns |= dict.fromkeys(("opened_on", "open_month"), columns["opened_at"])
    fixed = {"days_to_close": None, "days_to_update": None, "occurrence": 0, "partition_month": month}
    columns |= {name: [value] * len(columns["request_id"]) for name, value in fixed.items()}
    return list(zip(*(columns[column.name] for column in schema.service_requests.columns), strict=True))


def stage_clean(asked: Asked) -> int:
    """Clean every landed file and give its rows their ids; nothing is written."""
    with Portal(Settings(portal_url=asked.url)) as portal:
        areas = [area.name for area in portal.areas()]
    cleaned = (month_rows(month, clean_month(month, [part], areas)) for month, part in landed(asked.folder))
    return sum(len(rows.requests) for rows in cleaned)


def stage_store(asked: Asked) -> int:
    """Load every landed file into a new warehouse, cleaning included."""
    warehouse = warehouse_in(asked.folder)
    warehouse.create()
    with Portal(Settings(portal_url=asked.url)) as portal:
        replace_areas(warehouse, portal.areas())
        release = portal.release(LIVE)
    with warehouse.write() as connection:
        ledger.note_release(connection, release, "loading", RUN)
        areas = area_names(connection)
    return sum(load_month(warehouse, month, [part], areas, RUN).rows_stored for month, part in landed(asked.folder))


def stage_statistics(asked: Asked) -> int:
    """Read all requests once, compute every statistic, write their tables."""
    warehouse = warehouse_in(asked.folder)
    replace_statistics(warehouse)
    return stored_rows(warehouse)


def stage_publish(asked: Asked) -> int:
    """Make the indexes for readers and the published file, check it, and put it in place."""
    warehouse = warehouse_in(asked.folder)
    publish(warehouse, asked.folder / "published" / "vanc311.sqlite", RUN, [LIVE])
    return stored_rows(warehouse)


def stage_check(asked: Asked) -> int:
    """Ask every check about everything that is stored, as `vanc311 verify` does, but for what only the portal can answer."""
    from vanc311_pipeline.orchestration.asset_checks import audits_for
    from vanc311_pipeline.warehouse.audits.questions import AuditContext

    warehouse = warehouse_in(asked.folder)
    for check in audits_for(Settings.from_environment().changed(data_dir=asked.folder)):
        began = time.perf_counter()
        with warehouse.read() as connection:
            problems = check(AuditContext(warehouse, connection)).problems
        if problems and check.name not in ("months_equal_portal", "stored_total_equals_portal_total"):
            raise SystemExit(f"{check.name}: {problems[0]}")
        print(f"    {check.name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return stored_rows(warehouse)


def stored_rows(warehouse: Warehouse) -> int:
    with warehouse.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(schema.service_requests)) or 0


def stage_grow(asked: Asked) -> int:
    """Write the data that the stand-in serves, and the same data with edits in one month."""
    table = grow(asked.rows, first_month=asked.first_month)
    pq.write_table(table, asked.folder / "source.parquet")
    frame = table.to_pandas()
    months = frame[OPENED].dt.strftime("%Y-%m")
    month = months.unique()[-6]
    inside = frame.index[(months == month) & (frame["status"] == "Close")][:EDITED_ROWS]
    frame.loc[inside, "closure_reason"] = "Edited for the benchmark"
    frame.loc[inside, "last_modified_timestamp"] = frame["last_modified_timestamp"].max() + pd.Timedelta(hours=1)
    frame.to_parquet(asked.folder / "edited.parquet", schema=table.schema, index=False)
    return asked.rows


def stage_grow_archive(asked: Asked) -> int:
    """Write rows of the archive's years, from its first month to the end of 2021."""
    archive = grow(asked.rows, first_month=FIRST_MONTH, last_day=date(2021, 12, 31))
    pq.write_table(archive, asked.folder / "archive.parquet")
    return asked.rows


def stage_log(asked: Asked) -> int:
    """Log changes of stored requests, as years of loads do: each is seen on the day after its last change."""
    with warehouse_in(asked.folder).write() as connection:
        return connection.exec_driver_sql(LOG, {"rows": asked.rows, "run": RUN}).rowcount


LOG = """
    INSERT INTO request_changes
    SELECT (SELECT coalesce(max(change_id), 0) FROM request_changes) + row_number() OVER (ORDER BY seen_on, request_id),
           kind, request_id,
           CASE kind WHEN 'relabelled' THEN reverse_id END, request_id, partition_month, department, issue_type, opened_at, 1,
           CASE kind WHEN 'opened' THEN NULL WHEN 'relabelled' THEN json_object('issue_type', 'Old ' || issue_type)
                ELSE json_object('closed_on', NULL, 'closure_reason', NULL, 'modified_at', opened_at, 'status', 'Open') END,
           CASE kind WHEN 'relabelled' THEN json_object('issue_type', issue_type)
                ELSE json_object('closed_on', closed_on, 'closure_reason', closure_reason, 'modified_at', modified_at,
                                 'status', status) END,
           seen_on || 'T15:00:00Z', seen_on || 'T14:06:58Z', :run
    FROM (
        SELECT *, substr(request_id, 33) || substr(request_id, 1, 32) AS reverse_id,
               coalesce(date(modified_at, '+1 day'), opened_on) AS seen_on,
               CASE WHEN occurrence > 0 OR rowid % 10 = 0 THEN 'opened' WHEN rowid % 50 = 1 THEN 'relabelled' ELSE 'closed' END AS kind
        FROM service_requests ORDER BY request_id LIMIT :rows
    )
"""


def stage_to_published(asked: Asked) -> int:
    """Milliseconds from the start of the newest run to the rename of the published file."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(asked.folder / "dagster")) as instance:
        record = instance.get_run_records(limit=1)[0]
    published = (asked.folder / "data" / "published" / "vanc311.sqlite").stat().st_ctime
    return round((published - (record.start_time or 0.0)) * 1_000)


STAGES: dict[str, Callable[[Asked], int]] = {
    name.removeprefix("stage_"): stage for name, stage in globals().items() if name.startswith("stage_")
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description="Run one stage of the benchmark.")
    parser.add_argument("name", choices=STAGES)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--url", default="")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--first-month", default=FIRST_LIVE_MONTH)
    options = parser.parse_args()
    if options.name == "store":  # what an earlier benchmark left goes, but for the landed files
        for path in (*options.dir.glob("warehouse.sqlite*"), *options.dir.glob("floor.sqlite*")):
            path.unlink()
        shutil.rmtree(options.dir / "published", ignore_errors=True)
    began = time.perf_counter()
    rows = STAGES[options.name](Asked(options.dir, options.url, options.rows, options.first_month))
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
