"""Restraint: whether what was landed is worth following, before a row of it is written.

What belongs here: the comparison of the landed months with the stored ones, and what is held. What does not: the measures
(`requests.profile`), the write (`warehouse.loading`), and a portal whose size alone says enough (`vanc311_pipeline.plan`).

A run is followed as a whole or not at all: a portal that publishes nonsense does so in more months than those that are large
enough to show it, and what is followed by mistake stays in the log for ever.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.months import next_month
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import Landed, read_landed
from vanc311_pipeline.requests.profile import MEASURED, Profile, excesses, limit, profile_of, without_worth
from vanc311_pipeline.settings import (
    ENDED_DAYS,
    MAY_MOVE_SHARE,
    UNDATED,
)
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.holds import WHOLE, Hold, accepts
from vanc311_pipeline.warehouse.ledger import MonthRecord
from vanc311_pipeline.warehouse.loading import clean_month
from vanc311_pipeline.warehouse.rows import fetch

Parts = Sequence[tuple[Landed, Path]]
"""A month's landed files, and what each says of itself; two at the seam of 2021 and 2022, else one."""


@dataclass(frozen=True)
class Verdict:
    """What is held, and what is followed only because somebody agreed."""

    held: tuple[Hold, ...] = ()
    accepted: tuple[Hold, ...] = ()

    def accepted_of(self, month: str) -> Hold | None:
        return next((line for line in self.accepted if line.month == month), None)


def judge(
    connection: sa.Connection, landed: Mapping[str, Parts], areas: Sequence[str], consent: Collection[str]
) -> Verdict:
    """Compare what is about to be loaded with what is stored.

    Args:
        landed: the months that the run loads.
        areas: the names of the 22 local areas.
        consent: months that somebody agreed to follow, or `all`.
    """
    records = ledger.months(connection)
    before = {month: stored_profile(connection, month) for month in landed}
    after = {month: landed_profile(month, parts, areas) for month, parts in landed.items()}
    # What somebody agreed to lose may come back.
    lost = set(connection.scalars(sa.select(schema.accepted_losses.c.partition_month)))
    beyond = [line for month in sorted(landed) for line in _month(month, landed[month], before, after, records, lost)]
    judged = [month for month in sorted(landed) if not accepts(consent, month) or WHOLE in consent]
    rest = sum(record.rows_landed for window, record in records.items() if window.month not in judged)
    whole = _release(judged, rest, before, after, landed)
    lines = [*beyond, *whole]
    return Verdict(
        tuple(line for line in lines if not accepts(consent, line.month)),
        tuple(line for line in lines if accepts(consent, line.month)),
    )


def _month(
    month: str,
    parts: Parts,
    before: Mapping[str, Profile],
    after: Mapping[str, Profile],
    records: Mapping[Window, MonthRecord],
    lost: Collection[str],
) -> Iterator[Hold]:
    was, now = before[month], after[month]
    known = [record for window, record in records.items() if window.month == month]
    why = excesses(
        was,
        now,
        limit(max(was.rows, now.rows), MAY_MOVE_SHARE),
        may_grow=not known or not _ended(month, known) or accepts(lost, month),
    )
    if why:
        newest = _newest(parts)
        yield Hold(newest.dataset, month, was.rows, now.rows, "; ".join(why), newest.data_processed)


def _ended(month: str, known: Sequence[MonthRecord]) -> bool:
    """Whether the month was over when we last loaded it."""
    if month == UNDATED:
        return False
    end = datetime.fromisoformat(f"{next_month(month)}-01").replace(tzinfo=UTC) + timedelta(days=ENDED_DAYS)
    return max(datetime.fromisoformat(record.data_processed) for record in known) >= end


def _release(
    months: Sequence[str],
    rest: int,
    before: Mapping[str, Profile],
    after: Mapping[str, Profile],
    landed: Mapping[str, Parts],
) -> Iterator[Hold]:
    """Hold everything if all months together moved too much; `rest` are the rows that we hold of the months that stay."""
    was = sum((before[month] for month in months), Profile())
    now = sum((after[month] for month in months), Profile())
    why = excesses(was, now, limit(rest + max(was.rows, now.rows), MAY_MOVE_SHARE))
    if not rest:
        why += without_worth(was, now)
    if why:
        newest = _newest([part for month in months for part in landed[month]])
        yield Hold(newest.dataset, WHOLE, rest + was.rows, rest + now.rows, "; ".join(why), newest.data_processed)


def _newest(parts: Parts) -> Landed:
    return max((about for about, _ in parts), key=lambda about: about.data_processed)


def landed_profile(month: str, parts: Parts, areas: Sequence[str]) -> Profile:
    """What the landed files of a month would become."""
    cleaned = clean_month(month, [(about, read_landed(path)) for about, path in parts], areas).values()
    requests = pd.concat([part.requests for part in cleaned], ignore_index=True)
    return profile_of(requests, sum(len(part.quarantined) for part in cleaned))


def stored_profile(connection: sa.Connection, month: str) -> Profile:
    """What is stored of a month."""
    table, bad = schema.service_requests, schema.quarantined_requests
    query = sa.select(*(table.c[name] for name in MEASURED)).where(table.c.partition_month == sa.bindparam("month"))
    quarantined = sa.select(sa.func.count()).select_from(bad).where(bad.c.partition_month == month)
    requests = pd.DataFrame(fetch(connection, query, month=month), columns=list(MEASURED))
    return profile_of(requests, connection.scalar(quarantined) or 0)
