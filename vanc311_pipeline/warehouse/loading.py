"""Loading: one month into the warehouse, in one transaction: rows, removals, changes, quarantine and ledger; or only compared with it.

Killing the process at any point leaves the month as it was before or as it is after, never between. Not here: cleaning and identity
(`requests`), fetching (`portal`), and whether the month is worth following (`warehouse.restraint`).
"""

import json
import pickle
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import Landed
from vanc311_pipeline.requests.changes import Change, compare
from vanc311_pipeline.requests.cleaning import CODE_VERSION, Cleaned, clean
from vanc311_pipeline.requests.rows import MonthRows, Row, month_rows
from vanc311_pipeline.schema import month_ledger, quarantined_requests, service_requests
from vanc311_pipeline.timezone import local_day
from vanc311_pipeline.warehouse import changelog, ledger
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.ledger import Hold
from vanc311_pipeline.warehouse.rows import fetch, insert, update

Parts = Sequence[tuple[Landed, pd.DataFrame]]
"""What each dataset served for a month; two in the overlap months, else one."""
Before = Mapping[Window, ledger.MonthRecord]


@dataclass(frozen=True)
class MonthLoad:
    """What loading a month did."""

    month: str
    action: Literal["loaded", "unchanged", "held"]
    rows_landed: int
    rows_stored: int
    rows_quarantined: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    """Rows of service_requests that moved."""


@dataclass(frozen=True)
class Comparison:
    """What differs, row by row and field by field, between a month as stored and as served."""

    month: str
    rows_served: int
    changes: list[Change]
    """What the portal's state has and ours has not: an `opened` request is missing here, a `vanished` one is too many."""
    quarantine_differs: int
    """Quarantined rows that only one side has."""

    @property
    def equal(self) -> bool:
        return not self.changes and not self.quarantine_differs

    def __str__(self) -> str:
        if self.equal:
            return f"{self.month}: all {self.rows_served:,} rows are equal in every field"
        kinds = Counter(change.kind for change in self.changes)
        counts = [f"{number:,} {kind}" for kind, number in sorted(kinds.items())]
        counts += [f"{self.quarantine_differs:,} quarantined rows"] if self.quarantine_differs else []
        return f"{self.month}: differs from the {self.rows_served:,} rows of the portal: {', '.join(counts)}"


def load_month(
    warehouse: Warehouse,
    month: str,
    landed: Parts,
    areas: Sequence[str],
    run_id: str,
    accepted: Hold | None = None,
    kept: Path | None = None,
) -> MonthLoad:
    """Make the warehouse's month equal to its landed files; `accepted` is why it would be held, had nobody agreed to follow it."""
    cleaned = clean_month(month, landed, areas, kept)
    rows, files = month_rows(month, cleaned), [about for about, _ in landed]
    with warehouse.write() as connection:
        before = {window: record for window, record in ledger.months(connection).items() if window.month == month}
        _refuse_a_part(month, before, cleaned)
        _refuse_an_older_file(before, files)
        if accepted:
            changelog.log_consent(connection, accepted, run_id)
        stored = _stored(connection, service_requests, month)
        # No news is what is loaded for the first time, unless all of its dataset was once here: the month was empty then.
        known = {*ledger.once_whole(connection), *(window.dataset for window in before)}
        baseline = {name: part for name, part in cleaned.items() if name not in known}
        news = _news(month, stored, rows, baseline)
        _log(connection, month, news, before, files, run_id)
        moved = _replace_requests(warehouse, connection, stored, rows.requests)
        connection.execute(sa.delete(quarantined_requests).where(quarantined_requests.c.partition_month == month))
        insert(connection, quarantined_requests, rows.quarantined)
        for about in files:
            _write_ledger(connection, about, cleaned[about.dataset], rows, run_id)
            ledger.lift(connection, Window(about.dataset, month))
    total = sum(about.rows for about in files)
    return MonthLoad(month, "loaded", total, len(rows.requests), len(rows.quarantined), *moved)


def compare_month(warehouse: Warehouse, month: str, landed: Parts, areas: Sequence[str]) -> Comparison:
    """Clean what was served as a load would, and compare it with what is stored; fingerprints and counts can agree while rows differ."""
    rows = month_rows(month, clean_month(month, landed, areas))
    with warehouse.read() as connection:
        stored = _stored(connection, service_requests, month)
        quarantined = _stored(connection, quarantined_requests, month)
    differs = len(quarantined ^ set(rows.quarantined))
    return Comparison(month, sum(about.rows for about, _ in landed), compare(stored, rows.requests), differs)


def _stored(connection: sa.Connection, table: sa.Table, month: str) -> set[Row]:
    return set(fetch(connection, sa.select(table).where(table.c.partition_month == sa.bindparam("month")), month=month))


def clean_month(month: str, landed: Parts, areas: Sequence[str], kept: Path | None = None) -> dict[str, Cleaned]:
    """The rows of each dataset, cleaned as of the newest release among them. Those that are judged before they are stored are kept
    meanwhile in a folder, if it is given: cleaning costs more than storing, and all months would fill the memory.
    """
    file = kept and kept / month
    if file and file.exists():
        cleaned: dict[str, Cleaned] = pickle.loads(file.read_bytes())
        file.unlink()
        return cleaned
    released_on = local_day(max(about.data_processed for about, _ in landed))
    cleaned = {about.dataset: clean(frame, month, areas, released_on) for about, frame in landed}
    if file:
        file.write_bytes(pickle.dumps(cleaned))
    return cleaned


def _refuse_a_part(month: str, before: Before, landed: Collection[str]) -> None:
    """A month is replaced by all of its parts: without one of them its rows would seem to have vanished."""
    for window, record in before.items():
        if record.rows_landed and window.dataset not in landed:
            raise IntegrityFailed(
                f"{month} also has {record.rows_landed:,} rows of {window.dataset}, whose landed file isn't here. The month was left "
                "as it was. Fetch both: vanc311 sync --months 2021-12..2022-01"
            )


def _refuse_an_older_file(before: Before, landed: Sequence[Landed]) -> None:
    """What is stored is not put back by a file from before it, another pipeline's or a restored one: its rows would seem to move."""
    for about in landed:
        stored = before.get(Window(about.dataset, about.month))
        if stored and about.data_processed < stored.data_processed and about.fetched_at < stored.loaded_at:
            raise IntegrityFailed(
                f"The landed file of {about.dataset} {about.month} is of the release of {about.data_processed}, but stored is that of "
                f"{stored.data_processed}. The month was left as it was. Fetch it: vanc311 sync --months {about.month}"
            )


def _log(
    connection: sa.Connection, month: str, news: list[Change], before: Before, landed: Sequence[Landed], run_id: str
) -> None:
    """Write the news down, and that a month was read although its fingerprint stood still. If our rules changed since the last load, only
    what the city's own stamps and counts prove is its news.
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
    """Of what differs, what came after the newest change that we held; and what vanished, if rows are missing for it: neither happened to
    a row that other rules can't read, or now can.
    """
    latest = max(record.latest_change or "" for record in before)
    recent = [change for change in news if change.after and str(change.after.get("modified_at", "")) > latest]
    vanished = [change for change in news if change.kind == "vanished"]
    opened = sum(change.kind == "opened" for change in recent)
    missing = sum(record.rows_landed for record in before) + opened - rows
    return recent + (vanished if len(vanished) == missing else [])


def _news(month: str, stored: set[Row], rows: MonthRows, baseline: Mapping[str, Cleaned]) -> list[Change]:
    """What moved since the last load, but for the baseline."""
    if len(baseline) == len(rows.stored_by_dataset):
        return []
    brought = Counter(map(_mark, compare((), month_rows(month, baseline).requests) if baseline else ()))
    news = []
    for change in compare(stored, rows.requests):
        if brought[_mark(change)]:
            brought[_mark(change)] -= 1
        else:
            news.append(change)
    return news


def _mark(change: Change) -> tuple[object, ...]:
    return change.kind, change.label, change.opened_at, str(change.after)


def _replace_requests(
    warehouse: Warehouse, connection: sa.Connection, stored: set[Row], rows: list[Row]
) -> tuple[int, int, int]:
    """Write what differs; how many rows were added, changed and removed."""
    if not stored:  # nothing to look up in what isn't there
        insert(connection, service_requests, rows)
        return len(rows), 0, 0
    stored_ids = {row[0] for row in stored}
    moved = [row for row in rows if row not in stored]
    added = [row for row in moved if row[0] not in stored_ids]
    changed = [row for row in moved if row[0] in stored_ids]
    gone = sorted(stored_ids - {row[0] for row in rows})
    if gone or changed:
        warehouse.store.make_key(connection)
    if gone:
        one = sa.delete(service_requests).where(service_requests.c.request_id == sa.bindparam("gone"))
        connection.execute(one, [{"gone": id_} for id_ in gone])
    update(connection, service_requests, changed)
    insert(connection, service_requests, added)
    return len(added), len(changed), len(gone)


def _write_ledger(connection: sa.Connection, landed: Landed, cleaned: Cleaned, rows: MonthRows, run_id: str) -> None:
    """Put a month's line of a dataset in place of its predecessor."""
    unusable = {name: asdict(field) for name, field in cleaned.unusable.items()}
    line = {
        "dataset": landed.dataset,
        "partition_month": landed.month,
        "rows_landed": landed.rows,
        "rows_stored": rows.stored_by_dataset[landed.dataset],
        "rows_quarantined": rows.quarantined_by_dataset[landed.dataset],
        "rows_closed": landed.closed,
        "latest_change": landed.latest,
        "rows_unknown_area": sum(cleaned.unknown_areas.values()),
        "unknown_areas": json.dumps(cleaned.unknown_areas, ensure_ascii=False),
        "unusable_fields": json.dumps(unusable) if unusable else None,
        "dates_ahead": cleaned.dates_ahead,
        "fingerprint": landed.fingerprint,
        "landed_sha256": landed.body_sha256,
        "data_processed": landed.data_processed,
        "code_version": CODE_VERSION,
        "loaded_at": utc_now(),
        "run_id": run_id,
    }
    before = month_ledger.c.dataset == landed.dataset, month_ledger.c.partition_month == landed.month
    connection.execute(sa.delete(month_ledger).where(*before))
    connection.execute(sa.insert(month_ledger).values(line))
