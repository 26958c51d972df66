"""Audits of the published file."""

from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.warehouse.audits.questions import Finding, Months
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import damage, differences, file_digest


def published_whole(connection: sa.Connection, file: Path) -> Finding:
    """The published file is the one that was written, is undamaged, and explains every column."""
    if not file.exists():
        return Finding([f"{file} does not exist"])
    last = connection.execute(
        sa.select(schema.publications).order_by(sa.literal_column("rowid").desc()).limit(1)
    ).first()
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
