"""Replay: the log of a month taken back, load by load, from the rows that are stored to those that were, as a pure function.

A request's id moves when its twins change places, which no change tells of (`requests.changes`): after each step back the
requests that share an identity are numbered anew, by the same rule as when they were stored (`requests.identity`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.requests.identity import CONTENT, KEY, TIE_BREAKERS, request_id

Fields = dict[str, Any]
Identity = tuple[str, str, str]


@dataclass(frozen=True)
class Entry:
    """What a line of `request_changes` says."""

    change_id: int
    load: tuple[str, ...]
    """Entries of one load share it."""
    kind: str
    request_id: str
    identity: Identity
    before: Fields | None
    after: Fields | None


@dataclass(frozen=True)
class Move:
    """What one load did to one request: all its fields as they were and as they are; None if it was not there or is no more."""

    change_id: int
    kind: str
    """What happened to it; if it was renamed and changed, that it was renamed."""
    before: Fields | None
    after: Fields | None


def moves(rows: Iterable[Fields], newest_first: Iterable[Entry]) -> Iterator[Move]:
    """What each load did to each request, back from the present rows, of which all that share an identity with an entry are needed.

    A log that does not lead to these rows raises `IntegrityFailed`.
    """
    state = defaultdict[Identity, list[Fields]](list)
    for row in rows:
        state[_identity(row)].append({name: row[name] for name in (*KEY, *CONTENT)})
    for alike in state.values():
        alike.sort(key=_order)
    for _, entries in groupby(newest_first, lambda entry: entry.load):
        yield from _undo(state, list(entries))


def _undo(state: dict[Identity, list[Fields]], newest_first: list[Entry]) -> list[Move]:
    """Take a load back; what it did."""
    named: dict[str, Fields] = {}
    for identity in {entry.identity for entry in newest_first}:
        named |= {request_id(*identity, number): row for number, row in enumerate(state[identity])}
    by_request = defaultdict[tuple[str, bool], list[Entry]](list)
    for entry in newest_first:
        by_request[entry.request_id, entry.kind == "vanished"].append(entry)
    done, touched = list[Move](), set[Identity]()
    for (id_, vanished), entries in by_request.items():
        after = None if vanished else named.get(id_)
        if not vanished and (after is None or not _leads_to(entries, after)):
            raise IntegrityFailed(f"change {entries[0].change_id} does not lead to what is stored of request {id_}")
        before = _before(entries, after)
        for row, left in ((after, True), (before, False)):
            if row is not None:
                touched.add(_identity(row))
                alike = state[_identity(row)]
                alike[:] = [each for each in alike if each is not row] if left else [*alike, row]
        kinds = [entry.kind for entry in entries]
        kind = "relabelled" if "relabelled" in kinds else kinds[0]
        done.append(Move(entries[0].change_id, kind, before, after))
    for identity in touched:
        state[identity].sort(key=_order)
    return done


def _leads_to(entries: list[Entry], after: Fields) -> bool:
    return all(after[name] == value for entry in entries for name, value in (entry.after or {}).items())


def _before(entries: list[Entry], after: Fields | None) -> Fields | None:
    """A request before a load, of which there are several entries if it was renamed and changed."""
    if any(entry.kind == "opened" for entry in entries):
        return None
    known = after or dict.fromkeys(CONTENT) | dict(zip(KEY, entries[0].identity, strict=True))
    before = dict(known)
    for entry in entries:
        before |= entry.before or {}
    return before


def _identity(row: Fields) -> Identity:
    return row["department"], row["issue_type"], row["opened_at"]


def _order(row: Fields) -> tuple[Any, ...]:
    return tuple((row[name] is not None, row[name]) for name in TIE_BREAKERS)
