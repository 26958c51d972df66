"""The audit of convergence: month by month, what is stored is what the portal says it has.

The portal's side is its last answer to the grouped question (`portal_months`), ours is counted anew from the stored rows
of the months that are looked at, and taken from the ledger for the others.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from vanc311_pipeline.months import running_month
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.schema import month_ledger, portal_months, quarantined_requests, service_requests
from vanc311_pipeline.settings import ARCHIVE, UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months
from vanc311_pipeline.warehouse.audits.register import audit
from vanc311_pipeline.warehouse.rows import months_of


@dataclass(frozen=True)
class State:
    """A month as one side tells it."""

    rows: int
    closed: int
    latest: str | None

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.closed:,} closed, latest change {self.latest or 'none'}"


SHOWN = 36
"""Months shown though they are in step; all are compared."""
NOTHING = State(0, 0, None)


@audit("service_requests", "months_equal_portal", asks_portal=True)
def convergence(connection: sa.Connection, months: Months, planned: bool) -> Finding:
    """Month by month, rows, closed rows and latest change are what the portal says (table convergence).

    Args:
        planned: the run was to load all that differs; else a month that was left alone may be behind,
            which is only said.
    """
    portal_states, stored_states = _portal_states(connection), _ledger_states(connection)
    records = ledger.months(connection)
    problems, notes = _miscounted(connection, months, stored_states), list[str]()
    missing = []
    for window in sorted(portal_states.keys() | stored_states.keys()):
        record, (portal_state, release) = records.get(window), portal_states.get(window, (NOTHING, None))
        stored_state = stored_states.get(window, NOTHING)
        last_release = ledger.last_release(connection, window.dataset)
        if portal_state == stored_state or release is None or (last_release and last_release.state == "held"):
            continue
        whole = planned or bool(last_release and last_release.state == "settled")
        if record is None and not whole:
            missing.append(window.month)
            continue
        current = bool(record and record.data_processed == release) or bool(
            whole and last_release and last_release.data_processed == release
        )
        # A last change that is no instant can't be compared: then only the counts can agree.
        unreadable = bool(record and (record.rows_quarantined or record.unusable_fields)) and (
            portal_state.rows,
            portal_state.closed,
        ) == (stored_state.rows, stored_state.closed)
        difference = f"{window.dataset} {window.month}: the portal has {portal_state} (release of {release}); here are {stored_state}"
        if current and not unreadable:
            problems.append(f"{difference}. {_advice(window.month)}")
        else:
            notes.append(difference)
    if missing:
        notes.append(
            f"{len(missing)} months of the portal were never loaded, such as {missing[0]}: only a part was asked for"
        )
    return Finding(
        problems,
        notes,
        {"months compared": len(portal_states), "portal rows": sum(state.rows for state, _ in portal_states.values())},
        _table({window: (state, stored_states.get(window, NOTHING)) for window, (state, _) in portal_states.items()}),
    )


def _portal_states(connection: sa.Connection) -> dict[Window, tuple[State, str]]:
    table = portal_months
    columns = [
        table.c[name] for name in ("dataset", "partition_month", "rows", "closed", "latest_change", "data_processed")
    ]
    return {
        Window(dataset, month): (State(rows, closed, latest), release)
        for dataset, month, rows, closed, latest, release in connection.execute(sa.select(*columns))
    }


def _ledger_states(connection: sa.Connection) -> dict[Window, State]:
    table = month_ledger
    columns = [table.c[name] for name in ("dataset", "partition_month", "rows_landed", "rows_closed", "latest_change")]
    return {Window(row[0], row[1]): State(*row[2:]) for row in connection.execute(sa.select(*columns))}


def _miscounted(connection: sa.Connection, months: Months, stored_states: Mapping[Window, State]) -> list[str]:
    """Months whose stored rows, counted anew, are not what the ledger says of them."""
    problems = []
    for month in months_of(connection, months):
        states = [state for window, state in stored_states.items() if window.month == month]
        counted = _count(connection, month)
        if (sum(state.rows for state in states), sum(state.closed for state in states)) != (
            counted.rows,
            counted.closed,
        ):
            problems.append(
                f"{month}: the ledger says {sum(state.rows for state in states):,} rows, {sum(state.closed for state in states):,} "
                f"closed; the tables hold {counted.rows:,} and {counted.closed:,}. {_advice(month)}"
            )
        elif counted.latest and counted.latest > max((state.latest or "" for state in states), default=""):
            problems.append(
                f"{month}: a stored row was changed at {counted.latest}, later than the ledger knows. {_advice(month)}"
            )
    return problems


def _count(connection: sa.Connection, month: str) -> State:
    """A month by its rows, stored and quarantined."""
    stored, raw = service_requests, quarantined_requests
    rows, closed, latest = connection.execute(
        sa.select(sa.func.count(), sa.func.count(stored.c.closed_on), sa.func.max(stored.c.modified_at)).where(
            stored.c.partition_month == month
        )
    ).one()
    kept = [
        json.loads(row) for row in connection.scalars(sa.select(raw.c.raw_row).where(raw.c.partition_month == month))
    ]
    kept_closed = sum(row.get("service_request_close_date") is not None for row in kept)
    lost = connection.scalars(
        sa.select(month_ledger.c.unusable_fields).where(
            month_ledger.c.partition_month == month, month_ledger.c.unusable_fields.is_not(None)
        )
    )
    kept_closed += sum(json.loads(fields).get("closed_on", {"rows": 0})["rows"] for fields in lost)
    return State(rows + len(kept), closed + kept_closed, latest)


def _table(states: Mapping[Window, tuple[State, State]]) -> list[dict[str, int | str]]:
    """The months that differ, and after them the newest ones."""
    newest = sorted(states, key=lambda window: (window.month, window.dataset), reverse=True)
    in_step = {window: portal_state == stored_state for window, (portal_state, stored_state) in states.items()}
    differing = [window for window in newest if not in_step[window]]
    return [
        {
            "month": f"{window.month} (archive)" if window.dataset == ARCHIVE else window.month,
            "in step": "yes" if in_step[window] else "no",
            "the portal has": str(states[window][0]),
            "here are": str(states[window][1]),
        }
        for window in dict.fromkeys([*differing, *newest[:SHOWN]])
    ]


def _advice(month: str) -> str:
    """What reads a month again. The rows that no month can hold are read with any month."""
    return f"Run `vanc311 sync --months {running_month() if month == UNDATED else month}`."
