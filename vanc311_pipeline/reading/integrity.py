"""Is the copy what the city has? Month by month, and what is held back, was lost with consent, or was found late.

Belongs here: questions over the ledgers. Does not belong here: judging; the pipeline's checks did that before publishing.
"""

from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.pages import Listing
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import view

convergence = view("convergence")


def months() -> Listing:
    """Each month: what the portal says that it has, and what is in here."""
    return Listing(sa.select(convergence), (convergence.c.partition_month, convergence.c.dataset))


def summary(release: Release) -> dict[str, Any]:
    """The answer in one look."""
    step = convergence.c.in_step
    compared = release.rows(sa.select(step, sa.func.count()).group_by(step))
    by_step = {str(row[0]): int(row[1]) for row in compared}
    held = schema.holds.c
    losses, readings = schema.accepted_losses.c, schema.deep_readings.c
    lost = release.rows(
        sa.select(
            sa.func.count(),
            sa.func.sum(losses.rows_before - losses.rows_after).filter(losses.rows_before > losses.rows_after),
        )
    )[0]
    read = release.rows(sa.select(sa.func.count(), sa.func.sum(readings.changes_found), sa.func.max(readings.read_at)))
    return {
        "complete": release.about["complete"],
        "records_count": release.about["records_count"],
        "rows_landed": release.about["rows_landed"],
        "rows_stored": release.about["rows_stored"],
        "rows_quarantined": release.about["rows_quarantined"],
        "months_in_step": by_step.get("yes", 0),
        "months_out_of_step": by_step.get("no", 0),
        "held_months": [
            dict(row._mapping)
            for row in release.rows(
                sa.select(
                    held.dataset, held.partition_month, held.rows_before, held.rows_now, held.why, held.held_since
                ).order_by(held.partition_month)
            )
        ],
        "accepted_losses": int(lost[0]),
        "rows_lost_with_consent": int(lost[1] or 0),
        "deep_readings": int(read[0][0]),
        "changes_found_by_deep_readings": int(read[0][1] or 0),
        "latest_deep_reading": read[0][2],
    }
