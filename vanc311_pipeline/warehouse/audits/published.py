"""Audits of the published file."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months
from vanc311_pipeline.warehouse.audits.register import audit
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences


@audit("published_database", "published_file_is_whole")
def published_whole(connection: sa.Connection, published_path: Path) -> Finding:
    """The published file is the one that was written, and undamaged."""
    if not published_path.exists():
        return Finding([f"{published_path} does not exist"])
    last, digest = ledger.last_publication(connection), file_digest(published_path)
    if last is None:
        return Finding([f"{published_path} exists, but no publication is on record"])
    figures: dict[str, int | float | str] = {"bytes": published_path.stat().st_size, "sha256": digest}
    if ledger.was_published(connection, digest):  # and a file is checked before its digest is put on record
        return Finding(counts=figures)
    changed = f"{published_path} is not the file that was published at {last.published_at}, nor any before it"
    return Finding([changed, *damage(published_path)], counts=figures | {"sha256 of the last publication": last.sha256})


@audit("published_database", "published_file_equals_warehouse")
def published_equal(warehouse: Warehouse, published_path: Path, months: Months) -> Finding:
    """The published file holds what the warehouse holds."""
    if not published_path.exists():
        return Finding([f"{published_path} does not exist"])
    try:
        problems = differences(warehouse, published_path, months)
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        problems = [f"{published_path} can't be compared: {getattr(error, 'orig', error)}"]
    return Finding(problems, counts={"months compared row by row": "all" if months is None else len(months)})


@audit("shipped_database", "shipped_file_is_the_published_file")
def shipped_equal(connection: sa.Connection, object_store: ObjectStore) -> Finding:
    """The object store names the file that was published last."""
    target, shipped = object_store.address, object_store.latest()
    last = ledger.last_publication(connection)
    if last is None:
        return Finding(counts={"object store": target})
    figures = {"object store": target, "published": last.sha256, "shipped": shipped.sha256 if shipped else "nothing"}
    same = shipped is not None and (shipped.sha256, shipped.size) == (last.sha256, last.bytes)
    return Finding(
        [] if same else [f"{target} serves {figures['shipped']}, published was {last.sha256}"], counts=figures
    )
