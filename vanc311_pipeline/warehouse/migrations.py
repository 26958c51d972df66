"""Upgrades of the warehouse: what changed in its tables from version to version, and how a warehouse of an older one follows.

What belongs here: one entry for each version of the tables after the first released one, which was version 0 and said so
nowhere. What does not: the tables as they are now (`schema`). Whatever a version only adds is made by `Warehouse.create`, so
an entry says what else is to be done: a column added to a table that keeps what can't be fetched again, a table replaced that
the next sync fills anew. All of it happens in one transaction, or not at all, and an entry is never changed once released.
"""

from dataclasses import dataclass
from importlib.metadata import version

import sqlalchemy as sa

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.schema import schema_versions


@dataclass(frozen=True)
class Migration:
    """The way from the version before to this one."""

    version: int
    what: str
    statements: tuple[str, ...] = ()


MIGRATIONS = (
    Migration(
        1,
        "The statistics and the shipments are new. Indexes that only readers need are in the published file alone.",
        (
            "DROP INDEX IF EXISTS service_requests_by_area_and_issue",
            "DROP INDEX IF EXISTS service_requests_by_issue_and_day",
            "DROP INDEX IF EXISTS service_requests_by_day",
        ),
    ),
    Migration(
        2,
        "What the pipeline needs while it works is new, and is never published. What is held has a table of its own, and is judged "
        "again by the present rules; when a release was first settled, and why something was accepted, is kept. What of a "
        "month's rows could not be used is counted, and when a date that lies ahead will count.",
        (
            "ALTER TABLE month_ledger DROP COLUMN held_rows",
            "ALTER TABLE month_ledger DROP COLUMN held_fingerprint",
            "ALTER TABLE month_ledger DROP COLUMN held_since",
            "ALTER TABLE month_ledger ADD COLUMN unusable_fields TEXT",
            "ALTER TABLE month_ledger ADD COLUMN dates_ahead TEXT",
            "ALTER TABLE portal_releases ADD COLUMN settled_at TEXT",
            "UPDATE portal_releases SET settled_at = seen_at WHERE state = 'settled'",
            "UPDATE portal_releases SET state = 'loading' WHERE state = 'held'",
            "ALTER TABLE accepted_losses ADD COLUMN why TEXT",
            "DROP INDEX IF EXISTS service_requests_by_area_issue_and_day",  # made again, without those that have no area
        ),
    ),
    Migration(
        3,
        "The headline metrics are made from the requests, with all other statistics: no counts of each month are kept for them. "
        "Areas are compared in other columns; the next sync fills the table anew.",
        ("DROP TABLE IF EXISTS metric_cells", "DROP TABLE IF EXISTS area_comparison"),
    ),
)

VERSION = MIGRATIONS[-1].version


def stored_version(connection: sa.Connection) -> int | None:
    """The version of a warehouse's tables; None if there are none yet."""
    inspector = sa.inspect(connection)
    if inspector.has_table(schema_versions.name):
        return int(connection.scalar(sa.select(sa.func.max(schema_versions.c.version))) or 0)
    return 0 if inspector.has_table("data_origin") else None


def migrate(connection: sa.Connection, present: int | None, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Bring older tables up to this version. New tables, and the note that it was done, come after it: see `note_version`."""
    newest = migrations[-1].version
    if present is not None and present > newest:
        raise SettingsError(
            f"The warehouse was made by a newer version of vanc311_pipeline: its tables are of version {present}, and this program "
            f"({version('vanc311_pipeline')}) knows them up to {newest}. Nothing was changed. Install the newer version again, or "
            "set VANC311_DATA_DIR to another directory."
        )
    for migration in migrations:
        if present is not None and migration.version > present:
            for statement in migration.statements:
                connection.exec_driver_sql(statement)


def note_version(connection: sa.Connection, now: str) -> None:
    """Write down that the tables are of this version from now on."""
    values = {"version": VERSION, "upgraded_at": now, "pipeline_version": version("vanc311_pipeline")}
    connection.execute(sa.insert(schema_versions).values(values))
