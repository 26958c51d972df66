"""Publishing: one immutable, checked SQLite file, made beside its predecessor and put in its place by a rename.

A reader sees the old file or the new one, whole; a reader that has the old one open keeps it. Readers never lock the
writer, and the writer never locks them.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from vanc311_pipeline import schema
from vanc311_pipeline.disk import on_disk, refusal, scratch_in
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, FAMILIES
from vanc311_pipeline.settings import LICENCE, LIVE, UNDATED
from vanc311_pipeline.warehouse import drafts, ledger
from vanc311_pipeline.warehouse.downloads import make_downloads, predecessor, put_in_place
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.places import fill_places
from vanc311_pipeline.warehouse.rows import are_same, batches, fetch, in_order, months_of, rows_by_month
from vanc311_pipeline.warehouse.search import fill_search
from vanc311_pipeline.warehouse.sqlite import open_new, open_read_only

# These go on in the warehouse after the file is made: what became of it, and what the portal said since.
_BOOKKEEPING = {schema.publications.name, schema.shipments.name, schema.portal_releases.name, schema.portal_months.name}
_COUNTED = ", ".join(schema.COUNTED_COLUMNS)
_COUNT_VALUES = f"""
    WITH counted AS MATERIALIZED (SELECT {_COUNTED}, count(*) AS requests FROM service_requests GROUP BY {_COUNTED})
    INSERT INTO request_values
"""
"""Fills it in one reading of all requests."""
# STRICT proved the type of each value as it came in. SQLite before 3.37 can't open a file with it, and rows are stored alike without.
_TAKE_STRICT_OFF = (
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = replace(sql, char(10) || ' STRICT', '') WHERE type = 'table'",
)

_TABLES = [*schema.metadata.sorted_tables, *schema.published_metadata.sorted_tables]

CheckResult = Mapping[str, str | None]
"""A row of `check_results`."""


def publish(
    warehouse: Warehouse, target: Path, run_id: str, settled: Sequence[str], checks: Sequence[CheckResult] = ()
) -> dict[str, Any]:
    """Make the published file from the warehouse and put it in place; what its `release` table says. Whatever goes wrong, its predecessor
    stays. The warehouse holds all of the present release of the datasets in `settled`, so that it is done with.
    """
    with warehouse.read() as connection:
        held = ledger.held(connection)
    if held:
        lines = "; ".join(map(str, held[:20]))
        raise IntegrityFailed(f"Held back, so nothing was published: {lines}. {ledger.advice(held)}")
    with (
        on_disk(target.parent),
        scratch_in(target.parent, ".publishing-") as scratch,  # no other run publishes now
        ThreadPoolExecutor(1) as beside,  # while SQLite copies the file and looks through it, which takes as long
    ):
        file, before = scratch / target.name, beside.submit(predecessor, target)
        warehouse.store.copy_to(file)
        try:
            about = _describe(warehouse, file, run_id, checks)
        except sa.exc.DatabaseError as error:
            if refusal(error):
                raise
            raise _thrown_away(target, [f"SQLite finds: {error.orig}"]) from error
        making = beside.submit(lambda: make_downloads(file, before.result()))
        problems = damage(file) or differences(warehouse, file, months=())
        if problems:
            raise _thrown_away(target, problems)
        (folder, digest), size = making.result(), file.stat().st_size
        put_in_place(file, folder, target)
    line = {"published_at": about["published_at"], "run_id": run_id, "sha256": digest, "bytes": size}
    with warehouse.write() as connection:
        connection.execute(sa.insert(schema.publications).values(line))
        drafts.note_published(connection)
        for dataset in settled:
            if release := ledger.last_release(connection, dataset):
                ledger.note_release(connection, release, "settled", run_id)
    return about | {"sha256": digest, "bytes": size}


def _thrown_away(target: Path, problems: Sequence[str]) -> IntegrityFailed:
    return IntegrityFailed(
        f"The new published file is not what the warehouse holds: {'; '.join(problems)}. It was thrown away and "
        f"{target} stays as it was. Check the disk, then run `vanc311 sync` again."
    )


def _describe(warehouse: Warehouse, file: Path, run_id: str, checks: Sequence[CheckResult]) -> dict[str, Any]:
    """Write the dictionary, the release table, the results of the checks and the views into the new file."""
    with warehouse.read() as connection:
        about = _release_row(connection, warehouse.settings.source, run_id)
    with open_new(file) as connection:
        schema.published_metadata.create_all(connection)
        for index in schema.PUBLISHED_INDEXES:
            connection.execute(CreateIndex(index))
        connection.execute(sa.insert(schema.release), about)
        connection.execute(sa.insert(schema.dictionary), list(dictionary_rows()))
        connection.execute(sa.insert(schema.metric_definitions), list(definition_rows()))
        if checks:
            connection.execute(sa.insert(schema.check_results), list(checks))
        for view in schema.VIEWS:
            columns = ", ".join(view.columns.keys())
            connection.exec_driver_sql(f"CREATE VIEW {view.name} ({columns}) AS {view.info['query']}")
        counts = (
            f"SELECT '{column}', {column}, sum(requests) FROM counted WHERE {column} IS NOT NULL GROUP BY {column}"
            for column in schema.COUNTED_COLUMNS
        )
        connection.exec_driver_sql(_COUNT_VALUES + " UNION ALL ".join(counts))
        fill_places(connection)
        fill_search(connection)
        connection.exec_driver_sql("ANALYZE main")
        for statement in _TAKE_STRICT_OFF:
            connection.exec_driver_sql(statement)
    return about


def _release_row(connection: sa.Connection, source: str, run_id: str) -> dict[str, Any]:
    months = ledger.months(connection)
    dated = sorted({window.month for window in months if window.month != UNDATED})
    live = ledger.last_release(connection, LIVE)
    landed_live, records_count = ledger.rows_landed(connection, LIVE), live.records_count if live else 0
    newest = max((record.data_processed for record in months.values()), default=None)
    return {
        "source": source,
        "as_of": ledger.as_of(connection),
        "data_processed": live.data_processed if live else newest,
        "records_count": records_count,
        "rows_landed": sum(record.rows_landed for record in months.values()),
        "rows_stored": sum(record.rows_stored for record in months.values()),
        "rows_quarantined": sum(record.rows_quarantined for record in months.values()),
        "first_month": dated[0] if dated else None,
        "last_month": dated[-1] if dated else None,
        "months": len(dated),
        "complete": "yes" if landed_live == records_count else "no",
        "published_at": utc_now(),
        "run_id": run_id,
        "pipeline_version": version("vanc311_pipeline"),
        "licence": LICENCE,
    }


def dictionary_rows() -> Iterator[dict[str, str | None]]:
    """The dictionary: a line for each table and view, and one for each of their columns."""
    for table in (*_TABLES, schema.search, *schema.VIEWS):
        yield {"table_name": table.name, "column_name": "*", "meaning": table.comment, "unit": None}
        for column in table.columns:
            words = {"meaning": column.comment, "unit": column.info["unit"]}
            yield {"table_name": table.name, "column_name": column.name, **words}


def definition_rows() -> Iterator[dict[str, str | int]]:
    """The metric definitions, a line for each statistic."""
    for family in FAMILIES:
        tables = {"tables": ", ".join(family.tables), "definitions_version": DEFINITIONS_VERSION}
        for metric in family.metrics:
            words = asdict(metric)
            yield {"metric": words.pop("name"), **words, **tables}


def damage(file: Path) -> list[str]:
    """What is wrong with a file: what SQLite finds, tables that are missing, values that are not of their column's type; empty if it is whole.

    quick_check doesn't compare the indexes with the tables, which they were built from a moment ago and which takes longer than that.
    """
    problems: list[str] = []
    try:
        # Ending the transaction reads too, and a damaged file can fail there, after the check has told what is wrong.
        with open_read_only(file) as connection:
            lines = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars()
            problems = [f"SQLite finds: {line}" for line in lines if line != "ok"]
            problems = problems or _missing(connection) or _mistyped(connection)
    except sa.exc.DatabaseError as error:
        problems.append(f"SQLite finds: it can't be read: {error.orig}")
    return problems


def faults(file: Path, about: Mapping[str, Any]) -> list[str]:
    """Why a file from elsewhere is no release of ours, or another one than it is said to be; empty if it is that release."""
    return damage(file) or (
        [] if _releases(file) == [about] else ["its table release says something else than what came with it"]
    )


def release_row(file: Path) -> dict[str, Any]:
    """The one row of a published file's table `release`, with the columns that the file has."""
    [about] = _releases(file)
    return about


def _releases(file: Path) -> list[dict[str, Any]]:
    with open_read_only(file) as connection:
        return [dict(row) for row in connection.exec_driver_sql("SELECT * FROM release LIMIT 2").mappings()]


def _missing(connection: sa.Connection) -> list[str]:
    """Tables that aren't there. A view is none, nor a virtual table but our own: they can be asked alike, and answer what they like."""
    tables = connection.exec_driver_sql("SELECT name, rootpage > 0, sql FROM sqlite_master WHERE type = 'table'")
    present = {name for name, is_stored, sql in tables if is_stored or sql == schema.CREATE_SEARCH}
    return [f"there is no table {table.name}" for table in (*_TABLES, schema.search) if table.name not in present]


def _mistyped(connection: sa.Connection) -> list[str]:
    """Columns that hold values of another type than theirs; each table is read once."""
    problems = list[str]()
    for table in _TABLES:
        wrong = [
            f"count(*) FILTER (WHERE typeof({column.name}) <> '{str(column.type).lower()}' AND {column.name} IS NOT NULL)"
            for column in table.columns
        ]
        counts = connection.exec_driver_sql(f"SELECT {', '.join(wrong)} FROM {table.name}").one()
        problems += [
            f"{table.name}.{column.name}: {count:,} values are not {column.type}"
            for column, count in zip(table.columns, counts, strict=True)
            if count
        ]
    return problems


def differences(warehouse: Warehouse, file: Path, months: Collection[str] | None) -> list[str]:
    """Where a file and the warehouse differ, if anywhere: row by row in the UTC months given, or all if None, else in the number of rows."""
    problems = []
    with warehouse.read() as stored, open_read_only(file) as published:
        attached = warehouse.store.attach_to(published)

        def compared(table: sa.Table, month: str | None = None) -> list[str]:
            where = "partition_month = :month" if month else "true"
            same = attached and are_same(published, attached, table, where, month=month)
            return [] if same else _different_rows(stored, published, table, month)

        for table in schema.metadata.sorted_tables:
            if table is schema.service_requests:
                problems += _different_counts(stored, published)
                for month in months_of(stored, months):
                    problems += compared(table, month)
            elif table.name not in _BOOKKEEPING:
                problems += compared(table)
    return problems


def _different_counts(stored: sa.Connection, published: sa.Connection) -> list[str]:
    in_warehouse, in_file = (rows_by_month(side, schema.service_requests) for side in (stored, published))
    return [
        f"service_requests {month}: {in_warehouse.get(month, 0):,} rows in the warehouse, {in_file.get(month, 0):,} in the file"
        for month in sorted(in_warehouse.keys() | in_file.keys())
        if in_warehouse.get(month) != in_file.get(month)
    ]


def _different_rows(
    stored: sa.Connection, published: sa.Connection, table: sa.Table, month: str | None = None
) -> list[str]:
    """Rows that only one side has. A copy keeps the order of the rows, so reading both side by side tells at once that all is equal."""
    query = in_order(table) if month is None else in_order(table).where(table.c.partition_month == month)
    if all(batch == copy for batch, copy in zip_longest(batches(stored, query), batches(published, query))):
        return []
    in_warehouse, in_file = Counter(fetch(stored, query)), Counter(fetch(published, query))
    only = {"the warehouse": (in_warehouse - in_file).total(), "the file": (in_file - in_warehouse).total()}
    place = f"{table.name} {month or ''}".strip()
    return [f"{place}: {rows:,} rows are only in {side}" for side, rows in only.items() if rows]
