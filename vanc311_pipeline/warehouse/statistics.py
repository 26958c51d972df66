"""The statistics' reading and writing: all requests as facts, and every table of statistics replaced in one transaction.

What belongs here: SQL. What does not: a formula (`metrics`). All tables are made from one reading and written together, so that no
reader ever finds two of them that speak of different rows.
"""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metrics.facts import NONE, Codes, Facts, Status, Unchanged, day_number, day_texts
from vanc311_pipeline.metrics.groups import YEAR_DAYS
from vanc311_pipeline.metrics.quality import Cell
from vanc311_pipeline.metrics.reporting import Reports
from vanc311_pipeline.metrics.revisions import revisions, settling
from vanc311_pipeline.metrics.statistics import statistics
from vanc311_pipeline.metrics.vintages import figures
from vanc311_pipeline.requests.cleaning import NUL
from vanc311_pipeline.schema import quarantined_requests, service_requests
from vanc311_pipeline.timezone import in_vancouver
from vanc311_pipeline.warehouse import drafts, ledger, vintages
from vanc311_pipeline.warehouse.areas import area_names
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.rows import ROWS_AT_ONCE, batches, fetch, insert

UNKNOWN_DEPARTMENT = "unknown"

# Four small facts in one number: each column that is handed over costs as much as a statistic.
# A close date after the release gives no duration, and is none for any statistic of today.
_MARKS = (
    f"CASE status WHEN 'Open' THEN {Status.OPEN} WHEN 'Close' THEN {Status.CLOSE} ELSE {Status.OTHER} END * 8 "
    "+ CASE WHEN days_to_close IS NOT NULL OR closed_on < opened_on THEN 4 ELSE 0 END "
    "+ CASE WHEN occurrence > 0 THEN 2 ELSE 0 END + CASE WHEN latitude IS NOT NULL AND longitude IS NOT NULL THEN 1 ELSE 0 END"
)
# What is no time to the last change in `days_to_update` is none here, too; those days are whole seconds / 86,400.
_CHANGED = (
    "CASE WHEN days_to_update IS NOT NULL THEN CAST(round(days_to_update * 86400) AS BIGINT) "
    f"WHEN modified_at = opened_at THEN {Unchanged.NEVER} WHEN modified_at < opened_at THEN {Unchanged.BEFORE_OPENING} "
    f"ELSE {Unchanged.UNKNOWN} END"
)
_NAMES = pa.dictionary(pa.int32(), pa.string())
_READ = {
    **{
        name: (name, _NAMES)
        for name in ("local_area", "issue_type", "department", "closure_reason", "opened_on", "closed_on")
    },
    "marks": (_MARKS, pa.int32()),
    "changed": (_CHANGED, pa.int64()),
}
"""What is read of each request: the columns' SQL and Arrow's type."""
# What possible repeats may differ in. They share their opening instant, and all but the first have an occurrence.
_NOT_COMPARED = {"request_id", "modified_at", "days_to_update", "occurrence"}


def replace_statistics(warehouse: Warehouse) -> dict[str, int]:
    """Compute every statistic anew from the stored requests; the rows of each table. What is new of the figures that are followed from
    publication to publication is noted with them.
    """
    with warehouse.write() as connection:
        drafts.withdraw(connection, warehouse.settings.published_path)
    with warehouse.read() as connection, ThreadPoolExecutor(2) as threads:
        # What the database does alone. A first load has no indexes yet, and its publication needs them.
        repeated, indexed = threads.submit(repeats, warehouse), threads.submit(warehouse.store.index)
        as_of, basis = ledger.as_of(connection), vintages.basis(connection)
        revised = revisions(vintages.published_lines(connection, as_of), day_number(as_of))
        settled = settling(revised)
        facts = replace(read_facts(connection, as_of), provisional_days=int(settled["settles_after_days"].max()))
        moved = vintages.moved(connection, as_of, basis)
        tables = {"revisions": revised, "settling": settled} | statistics(
            facts, read_reports(connection, facts), repeated.result(), quarantined(connection)
        )
        tables["corrections"] = corrections(connection)
        standing = tables["open_request_standing"]
        if len(standing):
            open_ids = "SELECT request_id FROM service_requests WHERE status = 'Open' ORDER BY rowid"
            ids = np.array([row[0] for row in fetch(connection, open_ids)], dtype=object)
            places = np.cumsum(facts.is_open)[standing["row"].to_numpy()] - 1
            tables["open_request_standing"] = standing.assign(request_id=ids[places])
        indexed.result()
    followed = figures(facts)
    with warehouse.write() as connection:
        vintages.note(connection, followed, moved, as_of, basis)
        return {
            name: _replace(connection, schema.metadata.tables[name], frame, as_of) for name, frame in tables.items()
        }


def read_facts(connection: sa.Connection, as_of: str) -> Facts:
    """All requests as facts, in the order of their rows."""
    columns_read = ", ".join(sql for sql, _ in _READ.values())
    query = f"SELECT {columns_read} FROM service_requests ORDER BY rowid"
    layout = pa.schema([(name, kind) for name, (_, kind) in _READ.items()])
    parts = [
        pa.record_batch(
            [pa.array(*column) for column in zip(zip(*rows, strict=True), layout.types, strict=True)], layout
        )
        for rows in batches(connection, query)
    ]
    columns = pa.Table.from_batches(parts, layout).unify_dictionaries()
    areas, marks = area_names(connection), columns["marks"].to_numpy()

    def coded(name: str, number: Callable[[str], int]) -> Codes:
        """The number of each value of a column; null is -1."""
        whole = columns[name].combine_chunks()
        numbers: Codes = np.array([*map(number, whole.dictionary.to_pylist()), NONE], dtype=np.int32)
        codes: Codes = numbers[whole.indices.fill_null(NONE).to_numpy()]
        return codes

    def named(name: str) -> tuple[tuple[str, ...], Codes]:
        """The values of a column in alphabetical order, and which of them each request has."""
        values = sorted(columns[name].combine_chunks().dictionary.to_pylist())
        return tuple(values), coded(name, {value: place for place, value in enumerate(values)}.__getitem__)

    issues, issue = named("issue_type")
    departments, department = named("department")
    reasons, reason = named("closure_reason")
    stated = coded("closed_on", day_number)
    return Facts(
        as_of=day_number(as_of),
        areas=tuple(areas),
        issues=issues,
        departments=departments,
        reasons=reasons,
        area=coded("local_area", areas.index),
        issue=issue,
        department=department,
        reason=reason,
        status=marks // 8,
        opened=coded("opened_on", day_number),
        closed=np.where(marks & 4 > 0, stated, NONE).astype(np.int32),
        stated=stated,
        changed=columns["changed"].to_numpy(),
        twin=marks & 2 > 0,
        point=marks & 1 > 0,
    )


def read_reports(connection: sa.Connection, facts: Facts) -> Reports:
    """When and how the requests of the last 12 months were reported. Their hours are local ones, of which no database knows the rules."""
    first = facts.as_of - YEAR_DAYS + 1
    query = """
        SELECT substr(opened_at, 1, 13), coalesce(channel, 'unknown') FROM service_requests
        WHERE opened_on BETWEEN :first AND :last ORDER BY rowid
    """
    days = dict(zip(("first", "last"), day_texts([first, facts.as_of]), strict=True))
    read = np.array(list(fetch(connection, query, **days)), dtype=object).reshape(-1, 2)
    recent = (facts.opened >= first) & (facts.opened <= facts.as_of)
    hour, channel = (np.full(len(facts), NONE, dtype=np.int32) for _ in range(2))
    code, hours = pd.factorize(read[:, 0])
    local = [in_vancouver(f"{text}:00+00:00").hour for text in hours]
    hour[recent] = np.array(local, dtype=np.int32)[code]
    channel[recent], channels = pd.factorize(read[:, 1], sort=True)
    return Reports(hour, channel, tuple(channels))


def repeats(warehouse: Warehouse) -> dict[Cell, int]:
    """How many requests of each month and department equal an earlier one in everything but the last change. They share these three, by
    two of which an index of the readers' finds them.
    """
    alike = "issue_type, opened_on, opened_at"
    compared = ", ".join(column.name for column in service_requests.columns if column.name not in _NOT_COMPARED)
    query = f"""
        SELECT open_month, department, sum(times - 1)
        FROM (
            SELECT {compared}, count(*) AS times FROM service_requests
            WHERE ({alike}) IN (SELECT {alike} FROM service_requests WHERE occurrence > 0)
            GROUP BY {compared} HAVING count(*) > 1
        ) AS alike
        GROUP BY open_month, department
    """
    with warehouse.read() as connection:
        return {(month, department): times for month, department, times in fetch(connection, query)}


_OF_SUBSTANCE = " OR ".join(
    f"after LIKE '%\"{field}\":%'" for field in ("status", "closed_on", "closure_reason", "local_area")
)
_CORRECTIONS = {
    "n_vanished": "kind = 'vanished'",
    "n_relabelled": "kind = 'relabelled'",
    "n_reopened": "kind = 'reopened'",
    "n_corrected": f"kind = 'edited' AND ({_OF_SUBSTANCE})",
    "n_clerical": f"kind = 'edited' AND NOT ({_OF_SUBSTANCE})",
}
"""What is counted, and of which entries of the log; a name stands in their JSON between quotation marks and a colon."""


def corrections(connection: sa.Connection) -> pd.DataFrame:
    """The table `corrections`."""
    counts = ", ".join(f"count(*) FILTER (WHERE {entries})" for entries in _CORRECTIONS.values())
    query = f"""
        SELECT substr(data_processed, 1, 7), department, {counts} FROM request_changes
        WHERE kind IN ('vanished', 'relabelled', 'reopened', 'edited') GROUP BY 1, 2 ORDER BY 1, 2
    """
    return pd.DataFrame(fetch(connection, query), columns=["release_month", "department", *_CORRECTIONS])


def quarantined(connection: sa.Connection) -> dict[Cell, int]:
    """How many rows are in quarantine, by the month they were served in and the department that they state."""
    table = quarantined_requests
    rows = connection.execute(sa.select(table.c.partition_month, table.c.raw_row))
    return dict(Counter((month, _department(raw)) for month, raw in rows))


def _department(raw_row: str) -> str:
    stated = json.loads(raw_row).get("department")
    readable = isinstance(stated, str) and NUL not in stated
    return (stated.strip() if readable else "") or UNKNOWN_DEPARTMENT


def _replace(connection: sa.Connection, table: sa.Table, frame: pd.DataFrame, as_of: str) -> int:
    connection.execute(sa.delete(table))
    if len(frame):
        rows = frame.assign(as_of=as_of) if "as_of" in table.columns else frame
        kinds = {column.name: _KINDS[type(column.type)] for column in table.columns}
        columns = [pa.array(rows[name], kind, from_pandas=True) for name, kind in kinds.items()]
        for batch in pa.table(columns, names=list(kinds)).to_batches(max_chunksize=ROWS_AT_ONCE):
            insert(connection, table, list(zip(*(column.to_pylist() for column in batch.columns), strict=True)))
    return len(frame)


_KINDS = {sa.TEXT: pa.string(), sa.INTEGER: pa.int64(), sa.REAL: pa.float64()}
