"""Audits of the files: those that were landed, and the portal's size; the published one, and its shipment."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.portal.contract import Window, odd_fields
from vanc311_pipeline.portal.landing import Landed, describe_landed, landed_months, landed_path
from vanc311_pipeline.settings import ARCHIVE, LIVE
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months, audit
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences
from vanc311_pipeline.warehouse.restraint import shrank


@audit("raw_service_requests", "raw_count_equals_portal_count")
def raw_counts(warehouse: Warehouse, months: Months) -> Finding:
    """Every landed file holds as many rows as the portal counted before and after the export."""
    problems, files, rows = [], 0, 0
    for path, about in _landed(warehouse, months):
        rows_found = pq.read_metadata(path).num_rows
        files, rows = files + 1, rows + rows_found
        if not rows_found == about.rows == about.total_count_before == about.total_count_after:
            problems.append(
                f"{about.dataset} {about.month}: the file has {rows_found:,} rows, the portal counted "
                f"{about.total_count_before:,} before and {about.total_count_after:,} after"
            )
    return Finding(problems, counts={"files": files, "rows": rows})


@audit("raw_service_requests", "portal_has_not_shrunk")
def portal_size(connection: sa.Connection) -> Finding:
    """The portal did not lose more than 25 rows and 2 % of those that we hold."""
    problems, counts = [], {}
    for dataset in (LIVE, ARCHIVE):
        release, rows = ledger.last_release(connection, dataset), ledger.rows_landed(connection, dataset)
        if release is None:
            continue
        counts[f"{dataset} rows"] = release.records_count
        if release.state == "held" and shrank(release.records_count, rows):
            lines = [line for line in ledger.held(connection) if line.dataset == dataset]
            months = "".join(f"; {line}" for line in lines if line.month != ledger.WHOLE)
            problems.append(
                f"{dataset}: rows {rows:,} → {release.records_count:,}{months} ({release.data_processed}). "
                f"Nothing was taken over. {ledger.advice(lines)}"
            )
    return Finding(problems, counts=counts)


@audit("raw_service_requests", "portal_fields_are_known", blocking=False)
def raw_fields(warehouse: Warehouse, months: Months) -> Finding:
    """The portal serves the fields that we know, in the order that we know (warns)."""
    landed = [about for _, about in _landed(warehouse, months)]
    return Finding(notes=sorted({f"{about.dataset}: {note}" for about in landed for note in odd_fields(about.columns)}))


def _landed(warehouse: Warehouse, months: Months) -> Iterator[tuple[Path, Landed]]:
    """The landed files of the months, and what each says of itself."""
    for dataset in (ARCHIVE, LIVE):
        for month in landed_months(warehouse.settings.raw_dir, dataset):
            path = landed_path(warehouse.settings.raw_dir, Window(dataset, month))
            if (months is None or month in months) and (about := describe_landed(path)):
                yield path, about


@audit("published_database", "published_file_is_whole")
def published_whole(connection: sa.Connection, warehouse: Warehouse) -> Finding:
    """The published file is the one that was written, and undamaged."""
    path = warehouse.settings.published_path
    if not path.exists():
        return Finding([f"{path} does not exist"])
    last, digest = ledger.last_publication(connection), file_digest(path)
    if last is None:
        return Finding([f"{path} exists, but no publication is on record"])
    figures: dict[str, int | float | str] = {"bytes": path.stat().st_size, "sha256": digest}
    if ledger.was_published(connection, digest):  # and a file is checked before its digest is put on record
        return Finding(counts=figures)
    changed = f"{path} is not the file that was published at {last.published_at}, nor any before it"
    return Finding([changed, *damage(path)], counts=figures | {"sha256 of the last publication": last.sha256})


@audit("published_database", "published_file_equals_warehouse")
def published_equal(warehouse: Warehouse, months: Months) -> Finding:
    """The published file holds what the warehouse holds."""
    path = warehouse.settings.published_path
    if not path.exists():
        return Finding([f"{path} does not exist"])
    try:
        problems = differences(warehouse, path, months)
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        problems = [f"{path} can't be compared: {getattr(error, 'orig', error)}"]
    return Finding(problems, counts={"months compared row by row": "all" if months is None else len(months)})


@audit("shipped_database", "shipped_file_is_the_published_file")
def shipped_equal(connection: sa.Connection, warehouse: Warehouse) -> Finding:
    """The object store names the file that was published last."""
    store, last = ObjectStore.of(warehouse.settings), ledger.last_publication(connection)
    shipped = store.latest()
    if last is None:
        return Finding(counts={"object store": store.address})
    figures = {
        "object store": store.address,
        "published": last.sha256,
        "shipped": shipped.sha256 if shipped else "nothing",
    }
    if shipped is not None and (shipped.sha256, shipped.size) == (last.sha256, last.bytes):
        return Finding(counts=figures)
    return Finding([f"{store.address} serves {figures['shipped']}, published was {last.sha256}"], counts=figures)
