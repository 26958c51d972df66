"""Audits of the published file."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.shipping import Shipment
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences


def published_whole(connection: sa.Connection, file: Path) -> Finding:
    """The published file is the one that was written, is undamaged, and explains every column."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    last, digest = ledger.last_publication(connection), file_digest(file)
    if last is None:
        return Finding([f"{file} exists, but no publication is on record"])
    found: dict[str, int | float | str] = {"bytes": file.stat().st_size, "sha256": digest}
    if ledger.was_published(connection, digest):  # and a file is checked before its digest is put on record
        return Finding(counts=found)
    changed = f"{file} is not the file that was published at {last.published_at}, nor any before it"
    return Finding([changed, *damage(file)], counts=found | {"sha256 of the last publication": last.sha256})


def published_equal(warehouse: Warehouse, file: Path, months: Months) -> Finding:
    """The published file holds what the warehouse holds."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    try:
        problems = differences(warehouse, file, months)
    except (sa.exc.DatabaseError, sqlite3.DatabaseError) as error:
        problems = [f"{file} can't be compared: {getattr(error, 'orig', error)}"]
    return Finding(problems, counts={"months compared row by row": "all" if months is None else len(months)})


def shipped_equal(connection: sa.Connection, shipped: Shipment | None, target: str) -> Finding:
    """What the object store names as the file that counts is the one that was published last."""
    last = ledger.last_publication(connection)
    if last is None:
        return Finding(counts={"object store": target})
    found = {"object store": target, "published": last.sha256, "shipped": shipped.sha256 if shipped else "nothing"}
    same = shipped is not None and (shipped.sha256, shipped.size) == (last.sha256, last.bytes)
    return Finding([] if same else [f"{target} serves {found['shipped']}, published was {last.sha256}"], counts=found)
