"""Audits of the published file."""

from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.shipping import Shipment
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences, file_digest


def published_whole(connection: sa.Connection, file: Path) -> Finding:
    """The published file is the one that was written, is undamaged, and explains every column."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    last = ledger.last_publication(connection)
    if last is None:
        return Finding([f"{file} exists, but no publication is on record"])
    if file_digest(file) == last.sha256:  # and the file was checked before its digest was taken
        return Finding(counts={"bytes": file.stat().st_size, "sha256": last.sha256})
    changed = f"{file} is not the file that was published at {last.published_at}"
    return Finding([changed, *damage(file)], counts={"bytes": file.stat().st_size, "sha256": last.sha256})


def published_equal(warehouse: Warehouse, file: Path, months: Months) -> Finding:
    """The published file holds what the warehouse holds."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    try:
        problems = differences(warehouse, file, months)
    except sa.exc.DatabaseError as error:
        problems = [f"{file} can't be compared: {error.orig}"]
    return Finding(problems, counts={"months compared row by row": "all" if months is None else len(months)})


def shipped_equal(connection: sa.Connection, shipped: Shipment | None, target: str | None) -> Finding:
    """What the object store names as the file that counts is the one that was published last."""
    last = ledger.last_publication(connection)
    if target is None or last is None:
        return Finding(counts={"object store": target or "none is set"})
    found = {"object store": target, "published": last.sha256, "shipped": shipped.sha256 if shipped else "nothing"}
    same = shipped is not None and (shipped.sha256, shipped.size) == (last.sha256, last.bytes)
    return Finding([] if same else [f"{target} serves {found['shipped']}, published was {last.sha256}"], counts=found)
