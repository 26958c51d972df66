"""Restraint: whether what was landed is worth following, before a row of it is written.

What belongs here: the comparison of the landed months with the stored ones, and what is held. What does not: the measures
(`requests.profile`), the write (`warehouse.loading`).

A run is followed as a whole or not at all: a portal that publishes nonsense does so in more months than those that are large
enough to show it, and what is followed by mistake stays in the log for ever.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.months import next_month
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.portal.landing import Landed, read_landed
from vanc311_pipeline.requests.profile import (
    MEASURED,
    Profile,
    excesses,
    instants_gone,
    limit,
    profile_of,
    without_worth,
)
from vanc311_pipeline.settings import (
    ENDED_DAYS,
    MAY_GROW_SHARE,
    MAY_GROW_TIMES,
    MAY_MOVE_ROWS,
    MAY_MOVE_SHARE,
    UNDATED,
)
from vanc311_pipeline.warehouse import holds, ledger
from vanc311_pipeline.warehouse.holds import NAMED, WHOLE, Hold, accepts
from vanc311_pipeline.warehouse.ledger import MonthRecord
from vanc311_pipeline.warehouse.loading import clean_month
from vanc311_pipeline.warehouse.rows import fetch

Parts = Sequence[tuple[Landed, Path]]
"""A month's landed files, and what each says of itself; two in the overlap months, else one."""


def shrank(records_count: int, rows_held: int) -> bool:
    """Whether the portal lost more of a dataset than we follow without consent, measured by what we hold of it."""
    lost_everything = records_count == 0 < rows_held
    return lost_everything or rows_held - records_count > limit(rows_held, MAY_MOVE_SHARE)


def shrinkage(
    release: Release,
    records: Mapping[Window, MonthRecord],
    answers: Mapping[Window, Fingerprint],
    consent: Collection[str],
) -> list[Hold]:
    """What a dataset lost beyond what we follow, by month if few months explain it; nothing if somebody agreed to it.

    Args:
        answers: what the portal says of each window, as far as it was asked.
    """
    rows = {window: record.rows_landed for window, record in records.items() if window.dataset == release.dataset}
    losses = {window: rows[window] - answers[window].rows for window in rows.keys() & answers.keys()}
    agreed = sum(loss for window, loss in losses.items() if loss > 0 and accepts(consent, window.month))
    total = sum(rows.values())
    if WHOLE in consent or not shrank(release.records_count + agreed, total):
        return []

    def hold(month: str, before: int, now: int, where: str = "") -> Hold:
        return Hold(release.dataset, month, before, now, f"rows {before:,} → {now:,}{where}", release.data_processed)

    others = sorted(
        (window for window, loss in losses.items() if loss > 0 and not accepts(consent, window.month)),
        key=lambda window: (-losses[window], window),
    )
    lines = [hold(window.month, rows[window], answers[window].rows) for window in others]
    large = [line for line in lines if line.rows_before - line.rows_now > limit(line.rows_before, MAY_MOVE_SHARE)]
    explained = sum(line.rows_before - line.rows_now for line in large)
    if len(large) <= NAMED and not shrank(release.records_count + agreed + explained, total):
        return large
    months = ", ".join(f"{line.month} ({line.rows_before:,} → {line.rows_now:,})" for line in lines[:NAMED])
    more = f" and {len(lines) - NAMED} more months" if len(lines) > NAMED else ""
    return [hold(WHOLE, total, release.records_count, f", most in {months}{more}" if months else "")]


@dataclass(frozen=True)
class Verdict:
    """What is held, and what is followed only because somebody agreed."""

    held: tuple[Hold, ...] = ()
    accepted: tuple[Hold, ...] = ()

    def accepted_of(self, month: str) -> Hold | None:
        return next((line for line in self.accepted if line.month == month), None)


def judge(
    connection: sa.Connection,
    landed: Mapping[str, Parts],
    areas: Sequence[str],
    consent: Collection[str],
    planned: bool = True,
) -> Verdict:
    """Compare what is about to be loaded with what is stored.

    Args:
        landed: the months that the run loads.
        areas: the names of the 22 local areas.
        consent: months that somebody agreed to follow, or `all`.
        planned: these are all the months that differ; else what is held of the same release stays held.
    """
    records = ledger.months(connection)
    before, after = dict[str, Profile](), dict[str, Profile]()
    for month, parts in landed.items():
        before[month], after[month] = profiles(connection, month, parts, areas)
    # What somebody agreed to lose may come back.
    lossy = set(connection.scalars(sa.select(schema.accepted_losses.c.partition_month)))
    whole = ledger.once_whole(connection)
    beyond = list[Hold]()
    for month in sorted(landed):
        most = None if accepts(lossy, month) else _most(month, landed[month], records, whole)
        beyond += _month(month, landed[month], before[month], after[month], most)
    judged = [month for month in sorted(landed) if not accepts(consent, month) or WHOLE in consent]
    rest = sum(record.rows_landed for window, record in records.items() if window.month not in judged)
    lines = [*beyond, *_release(judged, rest, before, after, landed)]
    held = [line for line in lines if not accepts(consent, line.month)]
    if not planned:
        held += [line for line in _standing(connection, landed) if not accepts(consent, line.month)]
    return Verdict(tuple(held), tuple(line for line in lines if accepts(consent, line.month)))


def _standing(connection: sa.Connection, landed: Mapping[str, Parts]) -> Iterator[Hold]:
    """What is held of the landed releases in months that were not landed."""
    releases = {(about.dataset, about.data_processed) for parts in landed.values() for about, _ in parts}
    for line in holds.held(connection):
        if line.month not in landed and (line.dataset, line.data_processed) in releases:
            yield line


def _month(month: str, parts: Parts, was: Profile, now: Profile, most: int | None) -> Iterator[Hold]:
    why = excesses(was, now, limit(max(was.rows, now.rows), MAY_MOVE_SHARE), most)
    if why:
        newest = _newest(parts)
        yield Hold(newest.dataset, month, was.rows, now.rows, "; ".join(why), newest.data_processed)


def _most(month: str, parts: Parts, records: Mapping[Window, MonthRecord], whole: Collection[str]) -> int | None:
    """How many rows a month may come to have; None if we hold too little to say.

    Args:
        whole: the datasets of which we once held everything.
    """
    known = [record for window, record in records.items() if window.month == month]
    rows = sum(record.rows_landed for record in known)
    largest = max(
        (record.rows_landed for window, record in records.items() if window.month not in (month, UNDATED)), default=0
    )
    if known and _ended(month, known):
        return max(rows + limit(rows, MAY_GROW_SHARE), largest)
    if largest and all(about.dataset in whole for about, _ in parts):
        return max(rows + MAY_MOVE_ROWS, MAY_GROW_TIMES * largest)
    return None


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


def profiles(connection: sa.Connection, month: str, parts: Parts, areas: Sequence[str]) -> tuple[Profile, Profile]:
    """What is stored of a month, and what its landed files would become."""
    stored, quarantined = stored_rows(connection, month)
    cleaned = clean_month(month, [(about, read_landed(path)) for about, path in parts], areas).values()
    served = pd.concat([part.requests for part in cleaned], ignore_index=True)
    instants = pd.to_datetime(stored["opened_at"], utc=True).astype(served["opened_at"].dtype)
    return (
        profile_of(stored, quarantined),
        replace(
            profile_of(served, sum(len(part.quarantined) for part in cleaned)),
            moved=instants_gone(instants, served["opened_at"]),
        ),
    )


def stored_rows(connection: sa.Connection, month: str) -> tuple[pd.DataFrame, int]:
    """What is measured of a month's stored rows, and how many rows of it are in quarantine."""
    table, bad = schema.service_requests, schema.quarantined_requests
    query = sa.select(*(table.c[name] for name in MEASURED)).where(table.c.partition_month == sa.bindparam("month"))
    quarantined = sa.select(sa.func.count()).select_from(bad).where(bad.c.partition_month == month)
    rows = pd.DataFrame(fetch(connection, query, month=month), columns=list(MEASURED))
    return rows, connection.scalar(quarantined) or 0
