"""Compare a portal file with a published database, row by row: `python -m benchmarks.compare SOURCE PUBLISHED`.

What every stored field must be is written down again, without the pipeline's cleaning. Rows are compared as multisets,
month by month, so that equal rows must occur equally often.
"""

import hashlib
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vanc311_pipeline.disk import sqlite_uri

ABSENT = (None, "", "N/A")  # how the city says that there is nothing
OLD_SPELLINGS = {"Arbutus-Ridge": "Arbutus Ridge"}
VANCOUVER = ZoneInfo("America/Vancouver")

# Our columns, in the order in which rows are compared: first as served, then derived from what was served.
SERVED = {
    "department": "department",
    "issue_type": "service_request_type",
    "status": "status",
    "closure_reason": "closure_reason",
    "opened_at": "service_request_open_timestamp",
    "closed_on": "service_request_close_date",
    "modified_at": "last_modified_timestamp",
    "address": "address",
    "local_area": "local_area",
    "channel": "channel",
    "latitude": "latitude",
    "longitude": "longitude",
}
DERIVED = ("opened_on", "open_month", "days_to_close", "days_to_update", "partition_month")
COLUMNS = (*SERVED, *DERIVED)

Row = tuple[Any, ...]


def differences(source: Path, published: Path, shown: int = 3) -> list[str]:
    """Where the two differ, in words; empty if nowhere."""
    table = pq.read_table(source, columns=list(SERVED.values()))
    months = pc.strftime(table[SERVED["opened_at"]], format="%Y-%m")
    problems: list[str] = []
    with closing(sqlite3.connect(sqlite_uri(published, mode="ro"), uri=True)) as connection:
        stored = dict(connection.execute("SELECT partition_month, count(*) FROM service_requests GROUP BY 1"))
        total = sum(stored.values())
        if total != table.num_rows:
            problems.append(f"{source.name} has {table.num_rows:,} rows, {published.name} has {total:,}")
        for month in sorted({*months.unique().to_pylist(), *stored}):
            expected = Counter(expected_rows(table.filter(pc.equal(months, month))))
            query = f"SELECT {', '.join(COLUMNS)} FROM service_requests WHERE partition_month = ?"
            actual = Counter(connection.execute(query, (month,)))
            for side, rows in (("source", expected - actual), ("published", actual - expected)):
                if rows:
                    problems.append(f"{month}: {rows.total():,} rows only in the {side}, such as {list(rows)[:shown]}")
            problems += [f"{month}: {problem}" for problem in identity_problems(connection, month)]
    return problems


def expected_rows(table: pa.Table) -> Iterator[Row]:
    """What `service_requests` must hold for each source row, in the order of COLUMNS."""
    columns = {name: table[field] for name, field in SERVED.items()}
    for name in ("opened_at", "modified_at"):
        columns[name] = columns[name].cast(pa.timestamp("s", "UTC"), safe=False)
    for served in pa.table(columns).to_pylist():
        opened, modified, closed = served["opened_at"], served["modified_at"], served["closed_on"]
        local = opened.astimezone(VANCOUVER).date()
        days = (closed - local).days if closed and served["status"] == "Close" else -1
        seconds = (modified - opened).total_seconds() if modified else 0.0
        values = {
            **{name: None if value in ABSENT else OLD_SPELLINGS.get(value, value) for name, value in served.items()},
            "opened_at": instant_text(opened),
            "modified_at": instant_text(modified) if modified else None,
            "closed_on": closed.isoformat() if closed else None,
            "opened_on": local.isoformat(),
            "open_month": local.isoformat()[:7],
            "days_to_close": days if days >= 0 else None,
            "days_to_update": seconds / 86_400 if seconds > 0 else None,
            "partition_month": instant_text(opened)[:7],
        }
        yield tuple(values[name] for name in COLUMNS)


def instant_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def identity_problems(connection: sqlite3.Connection, month: str) -> list[str]:
    """Whether ids are the digests of their keys, and the occurrences of each key count from 0 without a gap."""
    groups: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    wrong = 0
    columns = "request_id, department, issue_type, opened_at, occurrence"
    query = f"SELECT {columns} FROM service_requests WHERE partition_month = ?"
    for identifier, *key, occurrence in connection.execute(query, (month,)):
        groups[tuple(key)].append(occurrence)
        wrong += identifier != hashlib.sha256("\x1f".join((*key, str(occurrence))).encode()).hexdigest()
    gaps = sum(sorted(numbers) != list(range(len(numbers))) for numbers in groups.values())
    problems = [f"{wrong:,} ids are not the digest of their key"] if wrong else []
    return problems + ([f"{gaps:,} keys whose occurrences have gaps"] if gaps else [])


def main(source: Path, published: Path) -> None:
    """Say whether the two are equal; exit with 1 if they are not."""
    if problems := differences(source, published):
        sys.exit("\n".join(problems))
    rows = pq.read_metadata(source).num_rows
    print(f"Equal: {rows:,} rows, {len(COLUMNS)} fields each, ids and occurrences recomputed.")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
