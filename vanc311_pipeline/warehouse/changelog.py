"""The log: what moved and when we saw it, what was given up by consent, and what was read in vain. Append-only.

What changed is found out in `requests.changes`. Callers pass the connection: an entry is written in the transaction that it tells of.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa

from vanc311_pipeline.requests.changes import Change, Fields
from vanc311_pipeline.requests.identity import request_id
from vanc311_pipeline.schema import accepted_losses, deep_readings, request_changes
from vanc311_pipeline.warehouse import rows
from vanc311_pipeline.warehouse.engine import utc_now
from vanc311_pipeline.warehouse.ledger import Hold


def log_changes(
    connection: sa.Connection, month: str, changes: Sequence[Change], data_processed: str, run_id: str
) -> None:
    """Append the changes of one month, which came with that release of the portal."""
    if not changes:
        return
    last = connection.scalar(sa.select(sa.func.max(request_changes.c.change_id))) or 0
    seen_at, threads = utc_now(), _threads(connection, month)
    lines = [
        vars(change)
        | {
            "change_id": number,
            "thread_id": _thread(change, threads),
            "partition_month": month,
            "before": _json(change.before),
            "after": _json(change.after),
            "seen_at": seen_at,
            "data_processed": data_processed,
            "run_id": run_id,
        }
        for number, change in enumerate(changes, last + 1)
    ]
    connection.execute(sa.insert(request_changes), lines)


def log_consent(connection: sa.Connection, accepted: Hold, run_id: str) -> None:
    """Note that what would have been held was followed because somebody said so."""
    moved = accepted.month, accepted.rows_before, accepted.rows_now, accepted.data_processed
    rows.insert(connection, accepted_losses, [(utc_now(), *moved, run_id, accepted.why)])


def accepted_since(connection: sa.Connection, instant: str) -> set[str]:
    """The months, or `all`, that were followed by consent since then."""
    table = accepted_losses
    return set(connection.scalars(sa.select(table.c.partition_month).where(table.c.accepted_at >= instant)))


def log_reading(
    connection: sa.Connection, month: str, read: int, changes_found: int, data_processed: str, run_id: str
) -> None:
    """Note that a month was read although its fingerprint stood still, and how much had changed all the same."""
    rows.insert(connection, deep_readings, [(utc_now(), month, read, changes_found, data_processed, run_id)])


def _threads(connection: sa.Connection, month: str) -> dict[str, str]:
    """The thread of each identity of the month that came out of a renaming; the others are their own."""
    table = request_changes
    query = (
        sa.select(table.c.department, table.c.issue_type, table.c.opened_at, table.c.thread_id)
        .where(table.c.partition_month == month, table.c.kind == "relabelled")
        .order_by(table.c.change_id)
    )
    return {request_id(*row[:3], 0): row[3] for row in connection.execute(query)}


def _thread(change: Change, threads: dict[str, str]) -> str:
    """The thread that a change belongs to; a renaming hands it on to the new label."""
    identity = request_id(change.department, change.issue_type, change.opened_at, 0)
    if change.kind == "relabelled" and change.before:
        was = {"department": change.department, "issue_type": change.issue_type} | change.before
        before = request_id(was["department"], was["issue_type"], change.opened_at, 0)
        threads[identity] = threads.get(before, before)
    return threads.get(identity, identity)


def _json(fields: Fields | None) -> str | None:
    return None if fields is None else json.dumps(fields, ensure_ascii=False, sort_keys=True)
