"""Audits of the landed files, and of the portal's size."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_months, landed_path
from vanc311_pipeline.requests.profile import shrank
from vanc311_pipeline.schema import (
    KNOWN_EXTRA_FIELDS,
    PORTAL_FIELDS,
)
from vanc311_pipeline.settings import ARCHIVE, LIVE
from vanc311_pipeline.warehouse import holds, ledger
from vanc311_pipeline.warehouse.audits.questions import (
    Finding,
    Months,
)
from vanc311_pipeline.warehouse.audits.register import audit


@audit("raw_service_requests", "raw_count_equals_portal_count")
def raw_counts(raw_dir: Path, months: Months) -> Finding:
    """Every landed file holds as many rows as the portal counted before and after the export."""
    problems, files, rows = [], 0, 0
    for window in _landed(raw_dir, months):
        path = landed_path(raw_dir, window)
        about, rows_found = describe_landed(path), pq.read_metadata(path).num_rows
        files, rows = files + 1, rows + rows_found
        if about and not rows_found == about.rows == about.total_count_before == about.total_count_after:
            problems.append(
                f"{window.dataset} {window.month}: the file has {rows_found:,} rows, the portal counted "
                f"{about.total_count_before:,} before and {about.total_count_after:,} after"
            )
    return Finding(problems, counts={"files": files, "rows": rows})


@audit("raw_service_requests", "portal_fields_are_known", blocking=False)
def raw_fields(raw_dir: Path, months: Months) -> Finding:
    """The portal serves the fields that we know, in the order that we know (warns)."""
    notes = set()
    fields_known = [*PORTAL_FIELDS, *KNOWN_EXTRA_FIELDS]
    for window in _landed(raw_dir, months):
        about = describe_landed(landed_path(raw_dir, window))
        columns = about.columns if about else []
        notes |= {f"{window.dataset} has the new field {name}" for name in columns if name not in fields_known}
        if [name for name in columns if name in PORTAL_FIELDS] != list(PORTAL_FIELDS):
            notes.add(f"{window.dataset} serves its fields in another order")
    return Finding(notes=sorted(notes))


@audit("raw_service_requests", "portal_has_not_shrunk")
def portal_size(connection: sa.Connection) -> Finding:
    """The portal did not lose more than 25 rows and 2 % of those that we hold."""
    problems, counts = [], {}
    for dataset in (LIVE, ARCHIVE):
        last_release, rows = ledger.last_release(connection, dataset), ledger.rows_landed(connection, dataset)
        if last_release is None:
            continue
        counts[f"{dataset} rows"] = last_release.records_count
        if last_release.state == "held" and shrank(last_release.records_count, rows):
            lines = [line for line in holds.held(connection) if line.dataset == dataset]
            months = "".join(f"; {line}" for line in lines if line.month != holds.WHOLE)
            problems.append(
                f"{dataset}: rows {rows:,} → {last_release.records_count:,}{months} ({last_release.data_processed}). Nothing was taken over. "
                f"{holds.advice(lines)}"
            )
    return Finding(problems, counts=counts)


def _landed(raw_dir: Path, months: Months) -> Iterator[Window]:
    for dataset in (ARCHIVE, LIVE):
        for month in landed_months(raw_dir, dataset):
            if months is None or month in months:
                yield Window(dataset, month)
