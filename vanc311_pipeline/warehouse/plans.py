"""Plans, written down for the run that goes by them: Dagster's tags name a plan, and are too short to hold one.

What belongs here: reading and writing `plans`. What does not: making a plan (`vanc311_pipeline.plan`). Callers pass the connection;
the transaction is theirs.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from vanc311_pipeline.plan import Plan
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.schema import plans
from vanc311_pipeline.warehouse.engine import utc_now

KEPT_DAYS = 7
"""A run that is retried goes by its plan again; what is older is planned anew."""


def write(connection: sa.Connection, plan: Plan) -> str:
    """Write a plan down, and forget the old ones; its name, which is the same for the same plan."""
    values = {
        "why": plan.why,
        "releases": json.dumps(
            # Of the portal's clock the month only: a second later it is the same plan.
            [[each.dataset, each.data_processed, each.records_count, each.last_month] for each in plan.releases]
        ),
        "windows": json.dumps(
            [[*_parts(window), digest, window in plan.reread] for window, digest in sorted(plan.stale.items())]
        ),
    }
    name = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
    old = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    connection.execute(sa.delete(plans).where(sa.or_(plans.c.name == name, plans.c.planned_at < old)))
    connection.execute(sa.insert(plans).values(name=name, planned_at=utc_now(), **values))
    return name


def find(connection: sa.Connection, name: str) -> Plan | None:
    """The plan of that name; None if it was forgotten."""
    query = sa.select(plans.c.why, plans.c.releases, plans.c.windows).where(plans.c.name == name)
    row = connection.execute(query).first()
    if row is None:
        return None
    why, releases, windows = row[0], json.loads(row[1]), json.loads(row[2])
    return Plan(
        "load",
        why,
        tuple(Release(dataset, at, rows, fields=(), told_at=month) for dataset, at, rows, month in releases),
        {Window(dataset, month): digest for dataset, month, digest, _ in windows},
        frozenset(Window(dataset, month) for dataset, month, _, reread in windows if reread),
    )


def _parts(window: Window) -> tuple[str, str]:
    return window.dataset, window.month
