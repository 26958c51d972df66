"""Is the copy what the city has? Month by month, and what is held back, was lost with consent, or was found late."""

from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import convergence

HELD = [schema.holds.c[name] for name in ("dataset", "partition_month", "rows_before", "rows_now", "why", "held_since")]
RELEASED = [
    schema.release.c[name] for name in ("complete", "records_count", "rows_landed", "rows_stored", "rows_quarantined")
]
MONTHS = Listing(sa.select(convergence), (convergence.c.partition_month, convergence.c.dataset))
"""Each month: what the portal says that it has, and what is in here."""


def summary(release: Release) -> dict[str, Any]:
    """The answer in one look."""
    step, losses, readings = convergence.c.in_step, schema.accepted_losses.c, schema.deep_readings.c
    months_by_step = dict(release.rows(sa.select(step, sa.func.count()).group_by(step)))
    lost = losses.rows_before - losses.rows_after
    totals = (
        sa.select(
            sa.func.count().label("accepted_losses"),
            sa.func.coalesce(sa.func.sum(lost).filter(lost > 0), 0).label("rows_lost_with_consent"),
        ),
        sa.select(
            sa.func.count().label("deep_readings"),
            sa.func.coalesce(sa.func.sum(readings.changes_found), 0).label("changes_found_by_deep_readings"),
            sa.func.max(readings.read_at).label("latest_deep_reading"),
        ),
    )
    return {
        **{column.name: release.about[column.name] for column in RELEASED},
        "months_in_step": months_by_step.get("yes", 0),
        "months_out_of_step": months_by_step.get("no", 0),
        "held_months": release.records(sa.select(*HELD).order_by(schema.holds.c.partition_month)),
        **{name: value for question in totals for name, value in release.records(question)[0].items()},
    }
