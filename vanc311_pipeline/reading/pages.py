"""Long answers in pages: each begins where the last one ended, by key, so that every row comes once.

A cursor belongs to a release and a listing: in another, where rows would be missing, it is refused.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from vanc311_pipeline.reading.release import Question, Release, TookTooLong, statement_budget

ROWS_AT_ONCE = 5_000
COUNTS = ((10_000, 300_000), (1_000, 1_000_000))
"""Up to how many rows are counted, and in how many steps of SQLite's machine, so that a file always has the same answer: some ten or fifty
milliseconds. Where they don't suffice, fewer are counted."""

Place = tuple[str | int, ...]
Keys = tuple[sa.ColumnElement[Any], ...]
LookUp = Callable[[sa.FromClause], Question]


class NoSuchPage(LookupError):
    """A cursor that no page of the listing gave."""


class OtherRelease(LookupError):
    """A cursor, or a pin, of another release than the current one."""


@dataclass(frozen=True)
class Listing:
    """A question whose rows have an order: by `keys`, which together tell any two rows apart."""

    question: Question
    keys: Keys
    descending: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values of the question's parameters, so that one question serves all of them: making it takes longer than asking it."""
    look_up: LookUp | None = None
    """Makes whole rows of a page of what the question selects, if that is no more than what tells a row: nothing else is sorted."""
    narrower: tuple[Mapping[str, Any], ...] = ()
    """Values with which fewer rows pass, all of them before all others: if they fill a page, nobody need go through the rest."""

    @property
    def columns(self) -> list[str]:
        page = _page(self.question, self.keys, self.descending, False, self.look_up)
        return [str(column.key) for column in [*page.selected_columns][: -len(self.keys)]]


@dataclass(frozen=True)
class Page:
    rows: list[Sequence[Any]]
    after: Place | None
    """Where the next page begins; None if this is the last."""


@cache
def rowid(table: sa.Table) -> sa.ColumnElement[int]:
    """SQLite's own key: the order in which the rows were written."""
    return sa.literal_column(f"{table.name}.rowid", sa.INTEGER)


def all_rows(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> Listing:
    """The rows of a table for which the conditions hold, in the order in which they were written."""
    return Listing(sa.select(table).where(*conditions), (rowid(table),))


def read_page(release: Release, listing: Listing, after: Place | None, limit: int) -> Page:
    question = _page(listing.question, listing.keys, listing.descending, after is not None, listing.look_up)
    places = {f"after_{number}": place for number, place in enumerate(after or ())}
    for values in (*listing.narrower, listing.values):
        rows = release.rows(question, values={**values, **places, "rows": limit + 1})
        if len(rows) > limit:
            break
    width = len(listing.columns)
    return Page([row[:width] for row in rows[:limit]], tuple(rows[limit - 1][width:]) if len(rows) > limit else None)


def read_all(release: Release, listing: Listing, after: Place | None = None) -> Iterator[list[Sequence[Any]]]:
    """Every row of a listing, in pieces; no connection is held between them."""
    while True:
        page = read_page(release, listing, after, ROWS_AT_ONCE)
        yield page.rows
        if page.after is None:
            return
        after = page.after


def count(release: Release, listing: Listing) -> int:
    counted = listing.question.order_by(None).subquery("counted")
    return int(release.rows(sa.select(sa.func.count()).select_from(counted), values=listing.values)[0][0])


class Count(NamedTuple):
    """How many rows there are, up to a bound; and how many of these, the first by their order, have a value of a column."""

    rows: int
    with_value: int
    bound: int


def count_first(release: Release, listing: Listing, column: sa.ColumnElement[Any]) -> Count | None:
    """Count up to a bound; to a lower one, if that takes long because few of those gone through are of the listing; None if even that does."""
    for bound, steps in COUNTS:
        with suppress(TookTooLong), statement_budget(steps):
            return _counted(release, listing, bound, column)
    return None


def _counted(release: Release, listing: Listing, bound: int, column: sa.ColumnElement[Any]) -> Count:
    question = _count_first(listing.question, listing.keys, listing.descending, listing.look_up, column)
    for values in (*listing.narrower, listing.values):
        [(rows, with_value)] = release.rows(question, values={**values, "rows": bound})
        if rows == bound:
            break
    return Count(rows, with_value, bound)


@lru_cache
def _count_first(
    question: Question, keys: Keys, descending: bool, look_up: LookUp | None, column: sa.ColumnElement[Any]
) -> Question:
    def only(question: Question) -> Question:
        return question.with_only_columns(column.label("counted"), maintain_column_froms=True)

    if look_up is None:
        first = _first(only(question), keys, descending, False)
    else:
        first = only(look_up(_first(question, keys, descending, False).subquery("page")))
    counted = first.subquery("first")
    return sa.select(sa.func.count(), sa.func.count(counted.c.counted))


@lru_cache
def _page(question: Question, keys: Keys, descending: bool, goes_on: bool, look_up: LookUp | None) -> Question:
    """The rows that come next, each with its keys."""
    page = _first(question, keys, descending, goes_on)
    if look_up is None:
        return page
    few = page.subquery("page")
    keys_of_page = [few.c[_name(number)] for number in range(len(keys))]
    return _ordered(look_up(few).add_columns(*keys_of_page), keys_of_page, descending)


def _first(question: Question, keys: Keys, descending: bool, goes_on: bool) -> Question:
    """What the question selects of the rows that come next, and their keys."""
    question = question.add_columns(*(key.label(_name(number)) for number, key in enumerate(keys)))
    if goes_on:
        by = keys[0] if len(keys) == 1 else sa.tuple_(*keys)
        places = [sa.bindparam(f"after_{number}", type_=key.type) for number, key in enumerate(keys)]
        after = places[0] if len(keys) == 1 else sa.tuple_(*places)
        question = question.where(by < after if descending else by > after)
    return _ordered(question, keys, descending).limit(sa.bindparam("rows", type_=sa.INTEGER()))


def _name(number: int) -> str:
    return f"key_{number}"


def _ordered(question: Question, keys: Sequence[sa.ColumnElement[Any]], descending: bool) -> Question:
    return question.order_by(*(key.desc() if descending else key for key in keys))


def cursor_of(release: Release, of: str, after: Place) -> str:
    """A place in what is listed (`of`, with its filters and its order), as text that survives in an address."""
    place = json.dumps([release.id, _digest(of), *after], ensure_ascii=False)
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_of(release: Release, listing: Listing, of: str, cursor: str) -> Place:
    try:
        release_id, digest, *place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if digest != _digest(of) or not all(_is_key(*pair) for pair in zip(listing.keys, place, strict=True)):
            raise ValueError("of another listing")
    except (ValueError, TypeError) as error:  # malformed Base64, UTF-8 or JSON, or no list, or a short one
        raise NoSuchPage(
            "No page of this listing has this cursor. Take it from `links.next` of the page before, and leave the address, the filters "
            "and the order as they are there."
        ) from error
    if release_id != release.id:
        raise OtherRelease(
            f"The cursor belongs to another release than {release.id}, which is the current one. Begin the listing again."
        )
    return tuple(place)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_key(key: sa.ColumnElement[Any], value: object) -> bool:
    if isinstance(key.type, sa.INTEGER):
        return type(value) is int and abs(value) < 2**63
    return isinstance(value, str) and value.isprintable()  # half a surrogate pair, for one, is no text to SQLite
