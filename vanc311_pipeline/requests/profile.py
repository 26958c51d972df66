"""Profiles: what of a month's rows can be used, as counts, and whether one state of them can naturally follow another: pure functions.

Natural are new requests, closings in any number, renamed issue types, and edits, deletions and late entries of some rows.
Everything else that moves by more than the limits of `settings` is not the city's work but its portal's fault, until somebody says
otherwise (`_moves`). Not here: where the rows come from, and what is done with a month that is held (`warehouse.restraint`).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import pandas as pd

from vanc311_pipeline.requests.identity import CONTENT, LABEL
from vanc311_pipeline.settings import CITY_BOUNDS, MAY_MOVE_ROWS

COLUMNS = (*LABEL, "opened_at", *CONTENT)
"""What a request says; two rows that are equal in all of it are one request told twice."""
NULLABLE = ("modified_at", "address", "local_area", "channel", "latitude", "longitude")
OF_CLOSED = ("closed_on", "closure_reason", "days_to_close")
OF_UPDATED = ("days_to_update",)
NAMES = (*LABEL, "local_area", "channel", "closure_reason")
MEASURED = (*COLUMNS, "days_to_close", "days_to_update")
CLOSE, OPEN = "Close", "Open"


@dataclass(frozen=True)
class Profile:
    """Counts of one month's rows, or of several months'."""

    stored: int = 0
    quarantined: int = 0
    twice: int = 0
    """Rows equal in every field to another one, beyond the first of each."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Rows of each status; without one, of `null`."""
    nulls: Counter[str] = field(default_factory=Counter)
    """Rows without a value in each column that may lack one whatever the status."""
    lacking: Counter[str] = field(default_factory=Counter)
    """Closed rows without what a closing brings."""
    outside: int = 0
    """Rows with a point outside the city."""
    names: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows of each value of the columns that name something."""
    moved: int = field(default=0, compare=False)
    """Rows held before whose opening instant no row has now."""

    @property
    def rows(self) -> int:
        return self.stored + self.quarantined

    def __add__(self, other: "Profile") -> "Profile":
        return Profile(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def profile_of(requests: pd.DataFrame, quarantined: int) -> Profile:
    """The profile of cleaned or of stored requests: columns of `service_requests`, null where nothing is known."""
    closed = requests[requests["status"] == CLOSE]
    south, west, north, east = CITY_BOUNDS
    inside = requests["latitude"].between(south, north) & requests["longitude"].between(west, east)
    return Profile(
        stored=len(requests),
        quarantined=quarantined,
        twice=int(requests.duplicated(list(COLUMNS)).sum()),
        statuses=Counter(requests["status"].astype(object).where(requests["status"].notna(), "null").tolist()),
        nulls=Counter({name: int(requests[name].isna().sum()) for name in (*NULLABLE, *OF_UPDATED)}),
        lacking=Counter({name: int(closed[name].isna().sum()) for name in OF_CLOSED}),
        outside=int((requests["latitude"].notna() & ~inside).sum()),
        names=Counter({(name, str(value)): n for name in NAMES for value, n in requests[name].value_counts().items()}),
    )


def instants_gone(before: pd.Series, after: pd.Series) -> int:
    """How many rows there were of opening instants that fewer, or no, rows have now."""
    return int(before.value_counts().sub(after.value_counts(), fill_value=0).clip(lower=0).sum())


def excesses(before: Profile, after: Profile, may_move: int, most: int | None = None) -> list[str]:
    """Every measure that moved by more than it may, in words; none if `after` can naturally follow `before`. `most` rows are plausible."""
    lines = [words for words, by, besides in _moves(before, after) if by > besides + may_move]
    if most is not None and after.rows > most:
        lines.insert(0, f"rows {before.rows:,} → {after.rows:,}, more than the {most:,} that are plausible")
    return lines


def without_worth(before: Profile, after: Profile) -> Iterator[str]:
    """Why everything that we would hold then is of no use, whatever may move."""
    if not after.stored and (before.stored or after.rows):
        yield f"rows that can be used {before.stored:,} → 0"
    for name in NULLABLE:
        if not before.stored and after.nulls[name] == after.stored > MAY_MOVE_ROWS:
            yield f"{name} is null in every row"
    for name in OF_CLOSED:
        if not before.stored and after.lacking[name] == after.statuses[CLOSE] > MAY_MOVE_ROWS:
            yield f"{name} is null in every closed row"
    if not before.stored and after.outside == after.stored - after.nulls["latitude"] > MAY_MOVE_ROWS:
        yield "every point lies outside the city"


def limit(rows: int, share: float) -> int:
    """How many of so many rows may move at once."""
    return max(MAY_MOVE_ROWS, int(share * rows))


Move = tuple[str, int, int]
"""A measure in words, the rows by which it moved, and how many of these may come with others that come or go."""


def _moves(before: Profile, after: Profile) -> Iterator[Move]:
    gone, added = max(0, before.stored - after.stored), max(0, after.stored - before.stored)
    missing = before.rows - after.rows
    if missing >= gone:
        yield f"rows {before.rows:,} → {after.rows:,}", missing, 0
    else:
        yield f"rows that can be used {before.stored:,} → {after.stored:,}", gone, 0
    yield f"rows that were opened at another instant 0 → {after.moved:,}", after.moved, gone
    quarantined = f"{_share(before.quarantined, before.rows)} → {_share(after.quarantined, after.rows)}"
    yield f"in quarantine {quarantined} of the rows", after.quarantined - before.quarantined, 0
    yield f"rows that stand there twice {before.twice:,} → {after.twice:,}", after.twice - before.twice, 0
    yield f"points outside the city {before.outside:,} → {after.outside:,}", after.outside - before.outside, added
    for status in sorted((after.statuses.keys() | {CLOSE}) - {OPEN}):
        was, now = before.statuses[status], after.statuses[status]
        words = f"{_share(was, before.stored)} → {_share(now, after.stored)}"
        if status == CLOSE:
            yield f"{CLOSE} {words}", was - now, gone
        else:
            yield f"unknown status {status!r} {words}", now - was, 0
    for column in NAMES:
        values, left = ({name for of, name in each.names if of == column} for each in (before, after))
        # The city renames some; renamed to one another, most are gone.
        lost = sum(before.names[column, name] for name in values - left) if 2 * len(left) < len(values) else 0
        yield f"different values of {column} {len(values):,} → {len(left):,}", lost, gone
    for name in (*NULLABLE, *OF_UPDATED):
        was, now = before.nulls[name], after.nulls[name]
        words = f"{name} {_share(was, before.stored)} → {_share(now, after.stored)} null"
        yield words, now - was, added
        if name in NULLABLE:  # what was never changed may be
            yield words, was - now, gone
    if before.stored:  # what rows lack from the beginning is the city's way
        for name in OF_CLOSED:
            was, now = before.lacking[name], after.lacking[name]
            yield f"closed without {name} {was:,} → {now:,}", now - was, added


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}".replace("%", " %") if whole else "none"
