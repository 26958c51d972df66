"""Restraint: whether what the portal has is worth following: by its size before it is fetched, by its rows before one is written.

A run is followed as a whole or not at all: a portal that publishes nonsense does so in more months than those that are large enough
to show it, and what is followed by mistake stays in the log for ever. Not here: the measures (`requests.profile`) and the write
(`warehouse.loading`).
"""

from collections.abc import Collection, Mapping, Sequence
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
from vanc311_pipeline.requests import profile
from vanc311_pipeline.requests.profile import MEASURED, Profile, limit
from vanc311_pipeline.settings import ENDED_DAYS, MAY_GROW_SHARE, MAY_GROW_TIMES, MAY_MOVE_ROWS, MAY_MOVE_SHARE, UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.ledger import NAMED, WHOLE, Hold, MonthRecord, accepts
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
    """What a dataset lost beyond what we follow without consent, by month if few months explain it. Answers may be missing."""
    before = {window: record.rows_landed for window, record in records.items() if window.dataset == release.dataset}
    now = {window: answers[window].rows for window in before.keys() & answers.keys()}
    losses = {window: before[window] - rows for window, rows in now.items() if before[window] > rows}
    agreed = sum(loss for window, loss in losses.items() if accepts(consent, window.month))
    total = sum(before.values())
    if WHOLE in consent or not shrank(release.records_count + agreed, total):
        return []

    def hold(month: str, were: int, are: int, where: str = "") -> Hold:
        return Hold(release.dataset, month, were, are, f"rows {were:,} → {are:,}{where}", release.data_processed)

    others = [window for window in losses if not accepts(consent, window.month)]
    others.sort(key=lambda window: (-losses[window], window))
    large = [window for window in others if losses[window] > limit(before[window], MAY_MOVE_SHARE)]
    explained = sum(losses[window] for window in large)
    if len(large) <= NAMED and not shrank(release.records_count + agreed + explained, total):
        return [hold(window.month, before[window], now[window]) for window in large]
    months = ", ".join(f"{window.month} ({before[window]:,} → {now[window]:,})" for window in others[:NAMED])
    more = f" and {len(others) - NAMED} more months" if len(others) > NAMED else ""
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
    kept: Path | None = None,
) -> Verdict:
    """Compare what is about to be loaded with what is stored. Unless all that differs is planned, what is held stays held."""
    records, whole = ledger.months(connection), ledger.once_whole(connection)
    # What somebody agreed to lose may come back.
    lossy = set(connection.scalars(sa.select(schema.accepted_losses.c.partition_month)))
    before, after, lines = dict[str, Profile](), dict[str, Profile](), list[Hold]()
    for month, parts in sorted(landed.items()):
        was, now = before[month], after[month] = profiles(connection, month, parts, areas, kept)
        most = None if accepts(lossy, month) else _most(month, parts, records, whole)
        why = profile.excesses(was, now, limit(max(was.rows, now.rows), MAY_MOVE_SHARE), most)
        lines += _hold(month, was.rows, now.rows, why, parts)
    judged = [month for month in sorted(landed) if not accepts(consent, month) or WHOLE in consent]
    rest = sum(record.rows_landed for window, record in records.items() if window.month not in judged)
    # All months together; `rest` are the rows that we hold of the months that stay.
    was, now = (sum((months[month] for month in judged), Profile()) for months in (before, after))
    why = profile.excesses(was, now, limit(rest + max(was.rows, now.rows), MAY_MOVE_SHARE))
    if not rest:
        why += profile.without_worth(was, now)
    parts = [part for month in judged for part in landed[month]]
    lines += _hold(WHOLE, rest + was.rows, rest + now.rows, why, parts)
    releases = {(about.dataset, about.data_processed) for parts in landed.values() for about, _ in parts}
    standing = [line for line in ledger.held(connection) if line.month not in landed]
    held = lines + [line for line in standing if not planned and (line.dataset, line.data_processed) in releases]
    return Verdict(
        tuple(line for line in held if not accepts(consent, line.month)),
        tuple(line for line in lines if accepts(consent, line.month)),
    )


def _hold(month: str, before: int, now: int, why: Sequence[str], parts: Parts) -> list[Hold]:
    if not why:
        return []
    newest = max((about for about, _ in parts), key=lambda about: about.data_processed)
    return [Hold(newest.dataset, month, before, now, "; ".join(why), newest.data_processed)]


def _most(month: str, parts: Parts, records: Mapping[Window, MonthRecord], whole: Collection[str]) -> int | None:
    """How many rows a month may come to have; None if we hold too little to say. Of the datasets in `whole` we once held everything."""
    parts_held = [record for window, record in records.items() if window.month == month]
    rows: int = sum(record.rows_landed for record in parts_held)
    others: list[int] = [
        record.rows_landed for window, record in records.items() if window.month not in (month, UNDATED)
    ]
    largest = max(others, default=0)
    if parts_held and month != UNDATED:
        end = datetime.fromisoformat(f"{next_month(month)}-01").replace(tzinfo=UTC) + timedelta(days=ENDED_DAYS)
        if max(datetime.fromisoformat(record.data_processed) for record in parts_held) >= end:  # when we last loaded it
            return max(rows + limit(rows, MAY_GROW_SHARE), largest)
    if largest and all(about.dataset in whole for about, _ in parts):
        return max(rows + MAY_MOVE_ROWS, MAY_GROW_TIMES * largest)
    return None


def profiles(
    connection: sa.Connection, month: str, parts: Parts, areas: Sequence[str], kept: Path | None = None
) -> tuple[Profile, Profile]:
    """What is stored of a month, and what its landed files would become."""
    stored, quarantined = stored_rows(connection, month)
    cleaned = clean_month(month, [(about, read_landed(path)) for about, path in parts], areas, kept).values()
    served = pd.concat([part.requests for part in cleaned], ignore_index=True)
    now = profile.profile_of(served, sum(len(part.quarantined) for part in cleaned))
    instants = pd.to_datetime(stored["opened_at"], utc=True).astype(served["opened_at"].dtype)
    return profile.profile_of(stored, quarantined), replace(
        now, moved=profile.instants_gone(instants, served["opened_at"])
    )


def stored_rows(connection: sa.Connection, month: str) -> tuple[pd.DataFrame, int]:
    """What is measured of a month's stored rows, and how many rows of it are in quarantine."""
    table, bad = schema.service_requests, schema.quarantined_requests
    query = sa.select(*(table.c[name] for name in MEASURED)).where(table.c.partition_month == sa.bindparam("month"))
    quarantined = sa.select(sa.func.count()).select_from(bad).where(bad.c.partition_month == month)
    rows = pd.DataFrame(fetch(connection, query, month=month), columns=list(MEASURED))
    return rows, connection.scalar(quarantined) or 0
