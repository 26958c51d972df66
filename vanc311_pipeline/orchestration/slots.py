"""Slots: a true 50-minute rhythm on a 10-minute heartbeat, as arithmetic on instants. No Dagster, no I/O.

Cron can't say "every 50 minutes": `*/50` fires at :00 and :50. So a tick comes every ten minutes, and each tick belongs
to the 50-minute slot that it lies in, counted from the epoch. A slot is dealt with once; a slot that was missed, or
whose question failed, is dealt with by the next heartbeat.
"""

from datetime import UTC, datetime, timedelta

from vanc311_pipeline.settings import SLOT_SECONDS


def slot_of(instant: datetime) -> datetime:
    """The start of the slot that an instant lies in."""
    seconds = int(instant.timestamp())
    return datetime.fromtimestamp(seconds - seconds % SLOT_SECONDS, UTC)


def next_slot(slot: datetime) -> datetime:
    """The start of the slot after this one."""
    return slot + timedelta(seconds=SLOT_SECONDS)


def slot_name(slot: datetime) -> str:
    """`2026-08-16T14:10Z`: what a slot is called in tags and reasons."""
    return slot.strftime("%Y-%m-%dT%H:%MZ")
