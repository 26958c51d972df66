"""The deep comparison: a month's stored rows against the month as the portal serves it now. It writes nothing.

Fingerprints and counts can agree while rows differ; this reads every field. What belongs here: the comparison of one
month. What does not: fetching (`portal.landing`) and reporting (`orchestration.jobs`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.portal.landing import Landed
from vanc311_pipeline.requests.changes import Change, compare
from vanc311_pipeline.requests.rows import month_rows
from vanc311_pipeline.schema import quarantined_requests
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import clean_month, stored_requests


@dataclass(frozen=True)
class Comparison:
    """What differs between a month as stored and as served."""

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


def compare_month(
    warehouse: Warehouse, month: str, landed: Sequence[tuple[Landed, pd.DataFrame]], areas: Sequence[str]
) -> Comparison:
    """Clean what was served as a load would, and compare it with what is stored, row by row and field by field."""
    rows = month_rows(month, clean_month(month, landed, areas))
    table = quarantined_requests
    with warehouse.read() as connection:
        stored = stored_requests(connection, month)
        kept = {tuple(row) for row in connection.execute(sa.select(table).where(table.c.partition_month == month))}
    return Comparison(
        month=month,
        rows_served=sum(about.rows for about, _ in landed),
        changes=compare(stored, rows.requests),
        quarantine_differs=len(kept ^ set(rows.quarantined)),
    )
