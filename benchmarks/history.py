"""History: how much Dagster's own storage grows in a year, table by table, and what of that pruning leaves.

Some ordinary days are lived through as in `week`, and the tables counted before and after.
Not counted are the ticks of schedules and sensors: the daemon keeps them for as long as `dagster.yaml` says.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._daemon.freshness import FreshnessDaemon

from benchmarks import markdown
from benchmarks.city_days import ORDINARY
from benchmarks.places import command_line, workplace
from benchmarks.week import before_first_day, say
from vanc311_pipeline.orchestration.operations.pruning import delete_runs_before

DAYS_A_YEAR = 365
NOT_GROWING = ("alembic_version", "secondary_indexes", "instance_info", "concurrency_limits", "asset_keys")
PRINTED, OF_RUNS, WITHOUT_RUN = "what steps print (files)", "event_logs of runs", "event_logs without a run"


@dataclass(frozen=True)
class Size:
    """How much there is of something: rows, or files, and the bytes that are in them."""

    rows: float = 0
    size: float = 0

    @property
    def texts(self) -> tuple[str, str]:
        return f"{self.rows:,.0f}", f"{self.size / 1e6:,.1f}"

    def a_year(self, before: Size, days: int) -> Size:
        factor = DAYS_A_YEAR / days
        return Size((self.rows - before.rows) * factor, (self.size - before.size) * factor)


def sizes(home: Path) -> dict[str, Size]:
    """What a Dagster home in SQLite holds: each table, and the files."""
    history = home / "history"
    shards = [file for file in (history / "runs").glob("*.db") if file.name != "index.db"]
    counted = {**_tables(history / "runs.db"), **_tables(history / "runs" / "index.db")}
    for file in shards:  # the events of each run, once more and all of them
        of_run = _tables(file).get(OF_RUNS, Size())
        counted[OF_RUNS] = Size(counted[OF_RUNS].rows + of_run.rows, counted[OF_RUNS].size + of_run.size)
    printed = [file for file in (home / "storage").rglob("*") if file.is_file()]
    counted[PRINTED] = Size(len(printed), sum(file.stat().st_size for file in printed))
    return counted


def _tables(file: Path) -> dict[str, Size]:
    with closing(sqlite3.connect(file)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        counted = {name: _table(connection, name) for name in names if name not in NOT_GROWING}
        if counted.pop("event_logs", None):
            counted[OF_RUNS] = _table(connection, "event_logs", "WHERE run_id <> ''")
            counted[WITHOUT_RUN] = _table(connection, "event_logs", "WHERE run_id = ''")
        return counted


def _table(connection: sqlite3.Connection, name: str, where: str = "") -> Size:
    columns = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")]
    lengths = " + ".join(f"coalesce(length(CAST({column} AS BLOB)), 0)" for column in columns)
    return Size(*connection.execute(f"SELECT count(*), coalesce(sum({lengths}), 0) FROM {name} {where}").fetchone())


def table(before: dict[str, Size], after: dict[str, Size], pruned: dict[str, Size], days: int) -> str:
    """What a year adds, as a Markdown table; what adds nothing is left out."""
    growth = {name: [sizes[name].a_year(before[name], days) for sizes in (after, pruned)] for name in sorted(after)}
    growth = {name: each for name, each in growth.items() if any(size.rows for size in each)}
    growth["**together**"] = [
        Size(sum(size.rows for size in column), sum(size.size for size in column))
        for column in zip(*growth.values(), strict=True)
    ]
    head = ("", "rows a year", "MB a year", "of these after pruning: rows", "MB")
    return markdown.table(
        head, ((name, *(text for size in each for text in size.texts)) for name, each in growth.items())
    )


def live(folder: Path, rows: int, days: int, seed: int) -> str:
    """Load the grown data, live one day, then so many more that are counted; the table."""
    began = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days + 1)
    with before_first_day(folder, rows, seed, began) as (clockwork, live_day):
        for number in range(days + 1):
            chronicle = live_day(ORDINARY, began + timedelta(days=number), every_beat=False)
            if chronicle.problems:
                sys.exit("\n".join(chronicle.problems))
            for _ in FreshnessDaemon().run_iteration(clockwork.workspace):
                pass
            say(f"day {number} of {days}: {len(chronicle.runs)} run(s)")
            if number == 0:
                _prune(clockwork.instance)
                before = sizes(folder / "dagster")
        after = sizes(folder / "dagster")
        _prune(clockwork.instance)
        return table(before, after, sizes(folder / "dagster"), days)


def _prune(instance: dg.DagsterInstance) -> None:
    """As the job does when all these runs are old."""
    delete_runs_before(instance, datetime.now(UTC) + timedelta(days=1))


def main() -> None:
    parser = command_line("history", "What Dagster keeps, a year.", rows=20_000, days=2, seed=311)
    options = parser.parse_args()
    with workplace("history", options.keep) as folder:
        print(live(folder, options.rows, options.days, options.seed))


if __name__ == "__main__":
    main()
