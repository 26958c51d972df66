"""History: how much Dagster's own storage grows in a year, table by table, and what of that pruning leaves.

Some ordinary days are lived through as in `week`, and the tables counted before and after.
Not counted are the ticks of schedules and sensors: the daemon keeps them for as long as `dagster.yaml` says.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
from dagster._daemon.freshness import FreshnessDaemon

from benchmarks import markdown
from benchmarks.city_days import ORDINARY
from benchmarks.places import command_line, workplace
from benchmarks.week import before_first_day, say
from vanc311_pipeline.orchestration.operations.pruning import delete_runs_before

DAYS_A_YEAR = 365
NOT_GROWING = ("alembic_version", "secondary_indexes", "instance_info", "concurrency_limits", "asset_keys")
PRINTED, OF_RUNS, WITHOUT_RUN = "what steps print (files)", "event_logs of runs", "event_logs without a run"


def sizes(home: Path) -> pd.DataFrame:
    """What a Dagster home in SQLite holds, by table, and in files: rows or files, and the bytes in them."""
    history, counted = home / "history", list[tuple[str, int, int]]()
    for file in (history / "runs.db", *(history / "runs").glob("*.db")):
        shard = file.parent != history and file.name != "index.db"  # the events of a run, once more and all of them
        counted += [each for each in _tables(file) if each[0] == OF_RUNS or not shard]
    printed = [file for file in (home / "storage").rglob("*") if file.is_file()]
    counted.append((PRINTED, len(printed), sum(file.stat().st_size for file in printed)))
    return pd.DataFrame(counted, columns=["what", "rows", "bytes"]).groupby("what").sum()


def _tables(file: Path) -> Iterator[tuple[str, int, int]]:
    with closing(sqlite3.connect(file)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            columns = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
            lengths = " + ".join(f"coalesce(length(CAST({column} AS BLOB)), 0)" for column in columns)
            parts = {OF_RUNS: "run_id <> ''", WITHOUT_RUN: "run_id = ''"} if name == "event_logs" else {name: "true"}
            for what, where in parts.items() if name not in NOT_GROWING else ():
                query = f"SELECT count(*), coalesce(sum({lengths}), 0) FROM {name} WHERE {where}"
                yield what, *connection.execute(query).fetchone()


def table(before: pd.DataFrame, after: pd.DataFrame, pruned: pd.DataFrame, days: int) -> str:
    """What a year adds, as a Markdown table; what adds nothing is left out."""
    growth = pd.concat([each - before for each in (after, pruned)], axis=1) * DAYS_A_YEAR / days
    growth = growth[growth.iloc[:, ::2].any(axis=1)]
    growth.loc["**together**"] = growth.sum()
    rows = []
    for name, added, size, kept, kept_size in growth.itertuples():
        rows.append((name, f"{added:,.0f}", f"{size / 1e6:,.1f}", f"{kept:,.0f}", f"{kept_size / 1e6:,.1f}"))
    return markdown.table(("", "rows a year", "MB a year", "of these after pruning: rows", "MB"), rows)


def live(folder: Path, rows: int, days: int, seed: int) -> str:
    """Load the grown data, live one day, then so many more that are counted; the table."""
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days + 1)
    with before_first_day(folder, rows, seed, began) as (clockwork, live_day):
        # As the job does when all these runs are old.
        prune = partial(delete_runs_before, clockwork.instance, datetime.now(UTC) + timedelta(days=days))
        for number in range(days + 1):
            chronicle = live_day(ORDINARY, began + timedelta(days=number), every_beat=False)
            if chronicle.problems:
                sys.exit("\n".join(chronicle.problems))
            list(FreshnessDaemon().run_iteration(clockwork.workspace))
            say(f"day {number} of {days}: {len(chronicle.runs)} run(s)")
            if number == 0:
                prune()
                before = sizes(folder / "dagster")
        after = sizes(folder / "dagster")
        prune()
        return table(before, after, sizes(folder / "dagster"), days)


def main() -> None:
    parser = command_line("history", "What Dagster keeps, a year.", rows=20_000, days=2, seed=311)
    options = parser.parse_args()
    with workplace("history", options.keep) as folder:
        print(live(folder, options.rows, options.days, options.seed))


if __name__ == "__main__":
    main()
