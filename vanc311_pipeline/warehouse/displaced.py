"""Displaced rows: in quarantine only because this computer's clock is behind the portal's, so that their month has not begun here.

What belongs here: finding them. What does not: the rows that no month can hold by any clock.
"""

import json

import sqlalchemy as sa

from vanc311_pipeline.portal.contract import canonical_instant, is_instant
from vanc311_pipeline.schema import OPENED, month_ledger, quarantined_requests
from vanc311_pipeline.settings import FIRST_MONTH, UNDATED


def displaced_rows(connection: sa.Connection) -> int:
    """How many rows that no month here could hold were opened before the portal's release that they came with."""
    release = connection.scalar(sa.select(sa.func.max(month_ledger.c.data_processed)))
    table = quarantined_requests
    rows = connection.scalars(sa.select(table.c.raw_row).where(table.c.partition_month == UNDATED))
    opened = (json.loads(row).get(OPENED) for row in rows)
    return sum(
        FIRST_MONTH <= canonical_instant(instant) <= (release or "")
        for instant in opened
        if instant and is_instant(instant)
    )
