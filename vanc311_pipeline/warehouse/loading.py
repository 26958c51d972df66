"""Loading: one month into the warehouse, in one transaction: upserts, removals, changes, quarantine and ledger.

What belongs here: the write of a month. What does not: cleaning and identity (`requests`), fetching (`portal`), and whether
the month is worth following (`warehouse.restraint`). Killing the process at any point leaves the month as it was before or as
it is after, never between.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import Landed
from vanc311_pipeline.requests.changes import Change, compare
from vanc311_pipeline.requests.cleaning import CODE_VERSION, Cleaned, clean, local_day
from vanc311_pipeline.requests.rows import MonthRows, Row, month_rows
from vanc311_pipeline.warehouse import changelog, holds, ledger
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.holds import Hold
from vanc311_pipeline.warehouse.rows import insert, upsert

Action = Literal["loaded", "unchanged", "held"]


@dataclass(frozen=True)
class MonthLoad:
    """What loading a month did."""

    month: str
    action: Action
    rows_landed: int
    rows_stored: int
    rows_quarantined: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    """Rows of service_requests that moved."""


def load_month(
    warehouse: Warehouse,
    month: str,
    landed: Sequence[tuple[Landed, pd.DataFrame]],
    areas: Sequence[str],
    run_id: str,
    accepted: Hold | None = None,
) -> MonthLoad:
    """Make the warehouse's month equal to its landed files.

    Args:
        landed: what each dataset served for the month; two in the overlap months, else one.
        areas: the names of the 22 local areas.
        accepted: why the month would be held, had nobody agreed to follow it.

    Raises:
        IntegrityFailed: a dataset that the month has rows of is not among the landed; nothing was changed.
    """
    cleaned = clean_month(month, landed, areas)
    rows = month_rows(month, cleaned)
    with warehouse.write() as connection:
        before = {window: record for window, record in ledger.months(connection).items() if window.month == month}
        _refuse_a_part(month, before, cleaned)
        _refuse_an_older_file(before, [description for description, _ in landed])
        if accepted:
            changelog.log_consent(connection, accepted, run_id)
        stored = stored_requests(connection, month)
        news = _news(month, stored, rows, _baseline(connection, month, cleaned, before))
        _log(connection, month, news, before, [description for description, _ in landed], run_id)
        added, changed, removed = _replace_requests(connection, stored, rows.requests)
        _replace(connection, schema.quarantined_requests, month, rows.quarantined)
        for description, _ in landed:
            ledger.write_month(connection, _ledger_line(description, cleaned[description.dataset], rows, run_id))
            holds.lift(connection, Window(description.dataset, month))
    total = sum(description.rows for description, _ in landed)
    return MonthLoad(month, "loaded", total, len(rows.requests), len(rows.quarantined), added, changed, removed)


def clean_month(month: str, landed: Sequence[tuple[Landed, pd.DataFrame]], areas: Sequence[str]) -> dict[str, Cleaned]:
    """The rows of each dataset, cleaned as of the newest release among them."""
    released_on = local_day(max(about.data_processed for about, _ in landed))
    return {about.dataset: clean(frame, month, areas, released_on) for about, frame in landed}


def _refuse_a_part(month: str, before: Mapping[Window, ledger.MonthRecord], landed: Collection[str]) -> None:
    """A month is replaced by all of its parts: without one of them its rows would seem to have vanished."""
    for window, record in before.items():
        if record.rows_landed and window.dataset not in landed:
            raise IntegrityFailed(
                f"{month} also has {record.rows_landed:,} rows of {window.dataset}, whose landed file isn't here. The month was left "
                "as it was. Fetch both: vanc311 sync --months 2021-12..2022-01"
            )


def _refuse_an_older_file(before: Mapping[Window, ledger.MonthRecord], landed: Sequence[Landed]) -> None:
    """What is stored is not put back by a file from before it, another pipeline's or a restored one: its rows would seem to move."""
    for about in landed:
        stored = before.get(Window(about.dataset, about.month))
        if stored and about.data_processed < stored.data_processed and about.fetched_at < stored.loaded_at:
            raise IntegrityFailed(
                f"The landed file of {about.dataset} {about.month} is of the release of {about.data_processed}, but stored is that of "
                f"{stored.data_processed}. The month was left as it was. Fetch it: vanc311 sync --months {about.month}"
            )


def _log(
    connection: sa.Connection,
    month: str,
    news: list[Change],
    before: Mapping[Window, ledger.MonthRecord],
    landed: Sequence[Landed],
    run_id: str,
) -> None:
    """Write the news down, and that a month was read although its fingerprint stood still.

    If our rules changed since the last load, only what the city's own stamps and counts prove is its news.
    """
    release, rows = max(about.data_processed for about in landed), sum(about.rows for about in landed)
    if any(record.code_version != CODE_VERSION for record in before.values()):
        news = _proven(news, before.values(), rows)
    elif {window: record.fingerprint for window, record in before.items()} == {
        Window(about.dataset, about.month): about.fingerprint for about in landed
    }:
        changelog.log_reading(connection, month, rows, len(news), release, run_id)
    changelog.log_changes(connection, month, news, release, run_id)


def _proven(news: list[Change], before: Collection[ledger.MonthRecord], rows: int) -> list[Change]:
    """Of what differs, what came after the newest change that we held; and what vanished, if rows are missing for it.

    A row that other rules can't read, or now can, has neither happened to it.
    """
    latest = max(record.latest_change or "" for record in before)
    recent = [change for change in news if change.after and str(change.after.get("modified_at", "")) > latest]
    vanished = [change for change in news if change.kind == "vanished"]
    opened = sum(change.kind == "opened" for change in recent)
    missing = sum(record.rows_landed for record in before) + opened - rows
    return recent + (vanished if len(vanished) == missing else [])


def stored_requests(connection: sa.Connection, month: str) -> set[Row]:
    table = schema.service_requests
    return {tuple(row) for row in connection.execute(sa.select(table).where(table.c.partition_month == month))}


def _baseline(
    connection: sa.Connection, month: str, cleaned: Mapping[str, Cleaned], before: Collection[Window]
) -> dict[str, Cleaned]:
    """What is loaded of a month for the first time, and so is no news.

    A month that was not there when all of its dataset was was empty then: its rows are news.
    """
    whole = ledger.once_whole(connection)
    return {name: part for name, part in cleaned.items() if Window(name, month) not in before and name not in whole}


def _news(month: str, stored: set[Row], rows: MonthRows, baseline: Mapping[str, Cleaned]) -> list[Change]:
    """What moved since the last load, but for the baseline."""
    if len(baseline) == len(rows.stored_by_dataset):
        return []
    changes = compare(stored, rows.requests)
    brought = compare((), month_rows(month, baseline).requests) if baseline else []
    known = Counter((change.kind, change.label, change.opened_at, str(change.after)) for change in brought)
    news = []
    for change in changes:
        mark = change.kind, change.label, change.opened_at, str(change.after)
        if known[mark]:
            known[mark] -= 1
        else:
            news.append(change)
    return news


def _replace_requests(connection: sa.Connection, stored: set[Row], rows: list[Row]) -> tuple[int, int, int]:
    """Write what differs: new and changed rows are upserted, rows that are gone are deleted."""
    table = schema.service_requests
    stored_ids = {row[0] for row in stored}
    moved = [row for row in rows if row not in stored] if stored else rows
    gone = stored_ids - {row[0] for row in rows}
    if gone:
        one = sa.delete(table).where(table.c.request_id == sa.bindparam("gone"))
        connection.execute(one, [{"gone": id_} for id_ in sorted(gone)])
    upsert(connection, table, moved)
    changed = sum(row[0] in stored_ids for row in moved)
    return len(moved) - changed, changed, len(gone)


def _replace(connection: sa.Connection, table: sa.Table, month: str, rows: list[Row]) -> None:
    connection.execute(sa.delete(table).where(table.c.partition_month == month))
    insert(connection, table, rows)


def _ledger_line(landed: Landed, cleaned: Cleaned, rows: MonthRows, run_id: str) -> dict[str, Any]:
    return {
        "dataset": landed.dataset,
        "partition_month": landed.month,
        "rows_landed": landed.rows,
        "rows_stored": rows.stored_by_dataset[landed.dataset],
        "rows_quarantined": rows.quarantined_by_dataset[landed.dataset],
        "rows_closed": landed.closed,
        "latest_change": landed.latest,
        "rows_unknown_area": sum(cleaned.unknown_areas.values()),
        "unknown_areas": json.dumps(cleaned.unknown_areas, ensure_ascii=False),
        "unusable_fields": json.dumps({name: asdict(field) for name, field in cleaned.unusable.items()})
        if cleaned.unusable
        else None,
        "dates_ahead": cleaned.dates_ahead,
        "fingerprint": landed.fingerprint,
        "landed_sha256": landed.body_sha256,
        "data_processed": landed.data_processed,
        "code_version": CODE_VERSION,
        "loaded_at": utc_now(),
        "run_id": run_id,
    }
