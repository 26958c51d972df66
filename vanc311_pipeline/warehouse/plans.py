"""Plans: what a run is to do, written down for it: Dagster's tags name a plan, and are too short to hold one.

What belongs here: what a plan is, and reading and writing `plans`. What does not: making a plan (`vanc311_pipeline.plan`).
Callers pass the connection; the transaction is theirs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.schema import plans
from vanc311_pipeline.warehouse.engine import utc_now

KEPT_DAYS = 7
"""A run that is retried goes by its plan again; what is older is planned anew."""


@dataclass(frozen=True)
class Plan:
    """What to do about the portal's present state."""

    action: Literal["skip", "load"]
    why: str
    """One sentence for the tick, the run and the person."""
    releases: tuple[Release, ...]
    stale: Mapping[Window, str] = field(default_factory=dict)
    """The windows to load, with the portal's fingerprint of each; empty if they are read although they were landed."""
    reread: frozenset[Window] = frozenset()
    """Of these, the windows of the rolling refresh: their fingerprint has not moved."""
    answers: Mapping[Window, Fingerprint] = field(default_factory=dict)
    """What the portal says of each window of the datasets that were asked."""
    held: bool = False
    """Skipped because the release lost too much; not because all is well."""

    @property
    def months(self) -> list[str]:
        """The months to load, oldest first; `undated`, if it is among them, last."""
        return sorted({window.month for window in self.stale})

    @property
    def rows(self) -> int:
        """Rows in the stale windows, by the portal's count."""
        return sum(self.answers[window].rows for window in self.stale)


def write(connection: sa.Connection, plan: Plan) -> str:
    """Write a plan down, and forget the old ones; its name, which is the same for the same plan."""
    # Of the portal's clock the month only: a second later it is the same plan.
    releases = [(each.dataset, each.data_processed, each.records_count, each.last_month) for each in plan.releases]
    windows = [
        (window.dataset, window.month, digest, window in plan.reread) for window, digest in sorted(plan.stale.items())
    ]
    values = {"why": plan.why, "releases": json.dumps(releases), "windows": json.dumps(windows)}
    name = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
    old = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    connection.execute(sa.delete(plans).where(sa.or_(plans.c.name == name, plans.c.planned_at < old)))
    connection.execute(sa.insert(plans).values(name=name, planned_at=utc_now(), **values))
    return name


def find(connection: sa.Connection, name: str) -> Plan | None:
    """The plan of that name; None if it was forgotten."""
    line = connection.execute(sa.select(plans).where(plans.c.name == name)).first()
    if line is None:
        return None
    windows = json.loads(line.windows)
    return Plan(
        "load",
        line.why,
        tuple(
            Release(dataset, at, rows, fields=(), answered_at=month)
            for dataset, at, rows, month in json.loads(line.releases)
        ),
        {Window(dataset, month): digest for dataset, month, digest, _ in windows},
        frozenset(Window(dataset, month) for dataset, month, _, reread in windows if reread),
    )
