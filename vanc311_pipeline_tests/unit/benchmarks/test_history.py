"""Claims about the benchmark of Dagster's storage: every table is counted, and some days are made a year."""

import sqlite3
from contextlib import closing

import pandas as pd

from benchmarks.history import OF_RUNS, PRINTED, WITHOUT_RUN, sizes, table


def test_tables_run_files_and_prints_of_a_home_are_counted(tmp_path):
    (tmp_path / "history" / "runs").mkdir(parents=True)
    (tmp_path / "storage" / "a run").mkdir(parents=True)
    (tmp_path / "storage" / "a run" / "out").write_text("said")
    for name in ("runs.db", "runs/index.db", "runs/a-run.db"):
        with closing(sqlite3.connect(tmp_path / "history" / name)) as database, database:
            table_of = "event_logs (run_id TEXT, event TEXT)" if "/" in name else "runs (run_id TEXT)"
            database.execute(f"CREATE TABLE {table_of}")
    with closing(sqlite3.connect(tmp_path / "history" / "runs" / "index.db")) as index, index:
        index.execute("INSERT INTO event_logs VALUES ('', 'seen'), ('a-run', NULL)")
    with closing(sqlite3.connect(tmp_path / "history" / "runs" / "a-run.db")) as shard, shard:
        shard.execute("INSERT INTO event_logs VALUES ('a-run', 'began')")
    counted = {"runs": [0, 0], OF_RUNS: [2, 15], WITHOUT_RUN: [1, 4], PRINTED: [1, 4]}
    assert sizes(tmp_path).T.to_dict("list") == counted


def test_what_some_days_add_is_told_for_a_year_and_what_adds_nothing_is_left_out():
    before, after = (
        pd.DataFrame({"rows": [rows, 1], "bytes": [size, 10]}, index=["runs", "kvs"])
        for rows, size in ((1, 1_000_000), (6, 2_000_000))
    )
    assert table(before, after, before, days=5).splitlines()[2:] == [
        "| runs | 365 | 73.0 | 0 | 0.0 |",
        "| **together** | 365 | 73.0 | 0 | 0.0 |",
    ]
