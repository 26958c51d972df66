"""Audits of completeness: month by month, every row that was landed is stored or quarantined, and what is stored is what the portal last
said it has (`portal_months`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa

from vanc311_pipeline.months import running_month
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import describe_landed, landed_path
from vanc311_pipeline.schema import month_ledger, quarantined_requests, service_requests
from vanc311_pipeline.settings import ARCHIVE, UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, Months, audit
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.rows import months_of, rows_by_month


@audit("service_requests", "every_row_is_accounted_for")
def accounting(connection: sa.Connection, warehouse: Warehouse, months: Months) -> Finding:
    """landed = stored + quarantined, month by month, by files, ledger and tables."""
    stored, quarantined = (
        Counter(rows_by_month(connection, table)) for table in (service_requests, quarantined_requests)
    )
    landed, problems = Counter[str](), []
    for window, record in ledger.months(connection).items():
        landed[window.month] += record.rows_landed
        about = (
            describe_landed(landed_path(warehouse.settings.raw_dir, window))
            if months is None or window.month in months
            else None
        )
        if about and about.body_sha256 == record.landed_sha256 and about.rows != record.rows_landed:
            problems.append(
                f"{window.dataset} {window.month}: the file has {about.rows:,} rows, the ledger {record.rows_landed:,}"
            )
    problems += [
        f"{month}: {landed[month]:,} rows landed, but {stored[month]:,} are stored and {quarantined[month]:,} quarantined"
        for month in sorted(landed | stored | quarantined)
        if (months is None or month in months) and landed[month] != stored[month] + quarantined[month]
    ]
    return Finding(problems, counts={"stored": stored.total(), "quarantined": quarantined.total()})


class State(NamedTuple):
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
    """Month by month, rows, closed rows and latest change are what the portal says (table convergence)."""
    records = ledger.months(connection)
    lines = ledger.portal_lines(connection)
    portal = {window: State(line.rows, line.closed, line.latest_change) for window, line in lines.items()}
    stored = {window: State(each.rows_landed, each.rows_closed, each.latest_change) for window, each in records.items()}
    problems, notes, missing = _miscounted(connection, months, stored), list[str](), list[str]()
    for window, served in sorted(portal.items()):
        record, kept, release = records.get(window), stored.get(window, NOTHING), lines[window].data_processed
        last_release = ledger.last_release(connection, window.dataset)
        state = last_release.state if last_release else None
        if served == kept or state == "held":
            continue
        whole = planned or state == "settled"
        if record is None and not whole:
            missing.append(window.month)
            continue
        of_this_release = record is not None and record.data_processed == release
        current = of_this_release or (whole and last_release is not None and last_release.data_processed == release)
        # A last change that is no instant can't be compared: then only the counts can agree.
        unreadable = record is not None and bool(record.rows_quarantined or record.unusable_fields)
        difference = f"{window.dataset} {window.month}: the portal has {served} (release of {release}); here are {kept}"
        if current and not (unreadable and served[:2] == kept[:2]):
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
        {"months compared": len(portal), "portal rows": sum(state.rows for state in portal.values())},
        _table({window: (state, stored.get(window, NOTHING)) for window, state in portal.items()}),
    )


def _miscounted(connection: sa.Connection, months: Months, stored: Mapping[Window, State]) -> list[str]:
    """Months whose stored rows, counted anew, are not what the ledger says of them."""
    problems, parts = [], defaultdict[str, list[State]](list)
    for window, state in stored.items():
        parts[window.month].append(state)
    for month in months_of(connection, months):
        counted, states = _count(connection, month), parts[month]
        rows, closed = sum(state.rows for state in states), sum(state.closed for state in states)
        if (rows, closed) != counted[:2]:
            problems.append(
                f"{month}: the ledger says {rows:,} rows, {closed:,} closed; the tables hold {counted.rows:,} "
                f"and {counted.closed:,}. {_advice(month)}"
            )
        elif counted.latest and counted.latest > max((state.latest or "" for state in states), default=""):
            problems.append(
                f"{month}: a stored row was changed at {counted.latest}, later than the ledger knows. {_advice(month)}"
            )
    return problems


def _count(connection: sa.Connection, month: str) -> State:
    """A month by its rows, stored and quarantined."""
    stored, raw, lost = service_requests.c, quarantined_requests.c, month_ledger.c
    columns = (sa.func.count(), sa.func.count(stored.closed_on), sa.func.max(stored.modified_at))
    rows, closed, latest = connection.execute(sa.select(*columns).where(stored.partition_month == month)).one()
    for row in connection.scalars(sa.select(raw.raw_row).where(raw.partition_month == month)):
        rows += 1
        closed += json.loads(row).get("service_request_close_date") is not None
    unusable = sa.select(lost.unusable_fields).where(lost.partition_month == month, lost.unusable_fields.is_not(None))
    for fields in connection.scalars(unusable):
        closed += json.loads(fields).get("closed_on", {"rows": 0})["rows"]
    return State(rows, closed, latest)


def _table(states: Mapping[Window, tuple[State, State]]) -> list[dict[str, int | str]]:
    """The months that differ, and after them the newest ones."""
    newest = sorted(states, key=lambda window: (window.month, window.dataset), reverse=True)
    differing = [window for window in newest if states[window][0] != states[window][1]]
    return [
        {
            "month": f"{window.month} (archive)" if window.dataset == ARCHIVE else window.month,
            "in step": "no" if window in differing else "yes",
            "the portal has": str(states[window][0]),
            "here are": str(states[window][1]),
        }
        for window in dict.fromkeys([*differing, *newest[:SHOWN]])
    ]


def _advice(month: str) -> str:
    """What reads a month again. The rows that no month can hold are read with any month."""
    return f"Run `vanc311 sync --months {running_month() if month == UNDATED else month}`."
