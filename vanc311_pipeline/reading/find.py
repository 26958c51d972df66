"""What is meant by a few words: areas, issue types, departments, streets, addresses and business improvement areas by name.

The words may come in any order and be cut off; a misspelled one is taken for the nearest word of the names; a house number that no
request has leads to the nearest on its street. Nothing of what was typed is a question to SQLite: only its letters and digits are, each
word between quotes.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from vanc311_pipeline.reading import addresses
from vanc311_pipeline.reading.labels import SAME_IN_ADDRESSES, folded
from vanc311_pipeline.reading.release import Question, Release
from vanc311_pipeline.schema import search

LONGEST = 100
MOST_PLACES = 20
MOST_STREETS = 3
"""Of so many streets that may be meant, the nearest house numbers are told."""
_WORDS, _NAMES = 8, 300
_SHORTEST_PLURAL = 4
_DIGITS = 5  # of a house number
_NAMED, _ANYWHERE = ("area", "issue", "department", "group", "bia"), ("street", "address")
_MATCH = sa.literal_column("search").op("MATCH")(sa.bindparam("words"))


_POSTAL_CODE = re.compile(r"\b[A-Z]\d[A-Z][ -]?\d[A-Z]\d\b", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Hit:
    """Something that is called so."""

    kind: str
    name: str
    key: str


@dataclass(frozen=True)
class Finding:
    """What has the words that were typed, the best kind first and of each kind the best; else by which words it was found instead."""

    hits: tuple[Hit, ...] = ()
    instead: str | None = None
    house_numbers: tuple[addresses.HouseNumber, ...] = ()
    """Those that no request has, on the streets of the hits."""


def has_postal_code(text: str) -> bool:
    """Whether a Canadian postal code was typed: no request has one."""
    return bool(_POSTAL_CODE.search(text))


def find(release: Release, text: str) -> Finding:
    words = [word for word in folded(text[:LONGEST]).split("-") if word][:_WORDS]
    if not words:
        return Finding()
    if finding := _whole(release, words):
        return finding
    kept = (word if _is_house_number(word) or _occurs(release, word) else _nearest(release, word) for word in words)
    known = [word for word in kept if word]
    if not known:
        return Finding()
    return replace(_whole(release, known) or Finding(_with_any(release, known)), instead=" ".join(known))


def point_of(release: Release, text: str) -> str | None:
    """The point of the address or crossing that is best called so, or where its house number would be; None if it is called otherwise."""
    if not any(letter.isalpha() for letter in text):
        return None
    finding = find(release, text)
    if finding.house_numbers:
        return finding.house_numbers[0].point
    best = next(iter(finding.hits), None)
    return addresses.point_of(release, best.key) if best and best.kind == "address" else None


def _whole(release: Release, words: Sequence[str]) -> Finding | None:
    """What has all the words, or the streets that have all but a house number."""
    hits = _with_all(release, words) or _pairs(release, words)
    if hits and not _are_other_crossings(hits, words):
        return Finding(hits)
    numbers = sorted((word for word in words if _is_house_number(word)), key=int)
    for others in (numbers[-1:], numbers):  # in 3-1950 York Av, only one is of the house
        street = " AND ".join(_variants(word) for word in words if word not in others)
        if others and street and (streets := _asked(release, street, ("street",), MOST_STREETS)):
            beside = (addresses.house_number(release, hit.key, int(others[-1])) for hit in streets)
            return Finding((*streets, *hits), house_numbers=tuple(each for each in beside if each))
    return Finding(hits) if hits else None


def _are_other_crossings(hits: Iterable[Hit], words: Sequence[str]) -> bool:
    """Whether an address was meant, and all that has its words are crossings, whose number is that of another street."""
    is_address = "and" not in words and any(map(_is_house_number, words))
    return is_address and all(hit.kind == "address" and " and " in hit.key for hit in hits)


def _is_house_number(word: str) -> bool:
    return word.isdigit() and len(word) <= _DIGITS


def _with_all(release: Release, words: Sequence[str]) -> tuple[Hit, ...]:
    asked = " AND ".join(map(_variants, words))
    hits = sorted(_asked(release, asked, _NAMED, _NAMES), key=lambda hit: _rank(hit, words))
    hits += [hit for kind in _ANYWHERE for hit in _asked(release, asked, (kind,), MOST_PLACES)]
    return _best_kind_first(hits, words)


def _pairs(release: Release, words: Sequence[str]) -> tuple[Hit, ...]:
    """Issue types in an area, where some words are of the one and the others of the other."""
    whole = " OR ".join(f'"{word}"' for word in words)  # whoever types `tree down` has not begun to write Downtown
    for area in _asked(release, whole, ("area",), _NAMES):
        others = [word for word in words if not _is_in(word, area.name)]
        issues = _asked(release, " AND ".join(map(_variants, others)), ("issue",), MOST_PLACES) if others else []
        if issues:
            ranked = sorted(issues, key=lambda hit: _rank(hit, others))
            pairs = (Hit("pair", f"{hit.name} in {area.name}", f"{area.key}/{hit.key}") for hit in ranked)
            return *pairs, area, *ranked
    return ()


def _with_any(release: Release, words: Sequence[str]) -> tuple[Hit, ...]:
    """Those with most of the words; no addresses, too many have one of them."""
    hits = _asked(release, " OR ".join(map(_variants, words)), (*_NAMED, "street"), _NAMES)
    return _best_kind_first(sorted(hits, key=lambda hit: _rank(hit, words))[:MOST_PLACES], words)


def _best_kind_first(hits: Sequence[Hit], words: Sequence[str]) -> tuple[Hit, ...]:
    best = {kind: min(_rank(hit, words) for hit in hits if hit.kind == kind) for kind in {hit.kind for hit in hits}}
    order = (*_NAMED, *_ANYWHERE)
    return tuple(sorted(hits, key=lambda hit: (best[hit.kind], order.index(hit.kind))))


def _rank(hit: Hit, words: Sequence[str]) -> tuple[int, bool]:
    """How many words are missing from the name, and whether it has others."""
    return sum(not _is_in(word, hit.name) for word in words), len(folded(hit.name).split("-")) > len(words)


def _is_in(word: str, name: str) -> bool:
    return any(each.startswith(_stem(word)) for each in folded(name).split("-"))


def _asked(release: Release, words: str, kinds: Sequence[str], limit: int) -> list[Hit]:
    of = f"{{kind}} : ({' OR '.join(kinds)}) AND {{name alias}} : ({words})"
    question: Question = (
        sa.select(search.c.kind, search.c.name, search.c.key)
        .where(_MATCH)
        .order_by(sa.literal_column("rowid"))
        .limit(limit)
    )
    return [Hit(*row) for row in release.rows(question, values={"words": of})]


def _variants(word: str) -> str:
    """A word as SQLite is asked for it: begun so, in one or many, or as it is said otherwise in an address; a number whole."""
    if word.isdigit():
        return "(" + " OR ".join(f'"{word}{ending}"' for ending in ("", "th", "st", "nd", "rd")) + ")"
    same = "".join(f' OR "{each}"' for each in SAME_IN_ADDRESSES.get(word, ()) if each != word)
    return f'("{_stem(word)}"*{same})'


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) >= _SHORTEST_PLURAL else word


def _occurs(release: Release, word: str) -> bool:
    return bool(_asked(release, _variants(word), (*_NAMED, *_ANYWHERE), 1))


def _nearest(release: Release, word: str) -> str | None:
    """The word of a name that a misspelled one may have meant."""
    names = release.remembered(
        "searched names", lambda: sa.select(search.c.name, search.c.alias).where(search.c.kind != "address")
    )
    vocabulary = {each for name, alias in names for each in folded(f"{name} {alias}").split("-")}
    return next(iter(difflib.get_close_matches(word, sorted(vocabulary), 1, cutoff=0.8)), None)
