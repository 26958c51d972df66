"""Dagster's own ticks: what evaluates our schedule and our sensors fails where nobody looks, unless somebody counts.

What belongs here: how many ticks of each failed in a row, and why. What does not: who is told (`alerts`, `measures`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import dagster as dg

LOOKED_AT = 10  # of the newest ticks; more failures in a row are as bad


@dataclass(frozen=True)
class FailedTicks:
    """The newest ticks of a schedule or sensor, as far as they failed."""

    number: int
    why: str
    """The newest failure in its own words; empty if there is none."""


def failed_ticks(instance: dg.DagsterInstance) -> Mapping[str, FailedTicks]:
    """By the name of the schedule or sensor, for each that was ever evaluated."""
    found = {}
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=LOOKED_AT)
        ended = [tick for tick in ticks if tick.status.value != "STARTED"]
        failed = list(takewhile(lambda tick: tick.status.value == "FAILURE", ended))
        why = failed[0].error.message.strip() if failed and failed[0].error else ""
        found[state.instigator_name] = FailedTicks(len(failed), why)
    return found
