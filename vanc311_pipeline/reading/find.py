"""What is meant by a few words: areas, issue types, departments, streets, addresses and business improvement areas by name.

The words may come in any order and be cut off, and two may be written as one. Small words, the city's name and a postal code are left
out if nothing has them. A misspelled word is taken for the nearest word of the names; a word that no name has is left out before any other.
A house number that no request has leads to the nearest on its street. Nothing of what was typed is a question to SQLite: only its letters
and digits are, each word between quotes.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import sqlalchemy as sa

from vanc311_pipeline.reading import addresses
from vanc311_pipeline.reading.labels import AROUND_NAMES, SAME_IN_ADDRESSES, folded
from vanc311_pipeline.reading.release import Question, Release
from vanc311_pipeline.schema import search

LONGEST = 100
MOST_PLACES = 20
MOST_STREETS = 3
"""Of so many streets that may be meant, the nearest house numbers are told."""
_WORDS, _NAMES = 16, 300
_MOST_WITHOUT_ONE = 8  # each is asked for again
_SHORTEST_PLURAL, _SHORTEST_MISSPELLED, _SHORTEST_PART = 4, 4, 3
_DIGITS = 5  # of a house number
_NAMED, _ANYWHERE = ("area", "issue", "department", "group", "bia"), ("street", "address")
_MOST_NARROW = ("pair", "on_street", "address", "street")
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
    """What has the words that were typed, the best kind first and of each kind the best; else what has others instead."""

    hits: tuple[Hit, ...] = ()
    instead: str | None = None
    """The words that the hits have, if they are not those that were typed."""
    unknown: tuple[str, ...] = ()
    """The words that no name has."""
    has_all: bool = True
    """Whether each hit has all the words of `instead`."""
    house_numbers: tuple[addresses.HouseNumber, ...] = ()
    """Those that no request has, on the streets of the hits."""


def has_postal_code(text: str) -> bool:
    """Whether a Canadian postal code was typed: no request has one."""
    return bool(_POSTAL_CODE.search(text))


def find(release: Release, text: str) -> Finding:
    typed = [word for word in folded(_POSTAL_CODE.sub(" ", text[:LONGEST])).split("-") if word][:_WORDS]
    words = [word for word in typed if word not in AROUND_NAMES]
    for each in (typed, words):
        if each and (finding := _whole(release, each)):
            return finding
    known, unknown = _known(release, words)
    if not known:
        return Finding()
    finding = _whole(release, known) or _without_one(release, known) or _with_any(release, known)
    return replace(finding, instead=finding.instead or " ".join(known), unknown=unknown)


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
    hits = _with_all(release, words)
    if not hits:
        hits = (*_pairs(release, words), *_on_streets(release, words))
    elif any(map(_is_kind_of_street, words)) and not any(
        all(_is_whole(word, hit.name) for word in words) for hit in hits
    ):
        hits = (*_on_streets(release, words), *hits)  # a light on Main St is no matter of maintenance
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
    # Whole words: whoever types `tree down` has not begun to write Downtown.
    whole = " OR ".join(f'"{word}"{_apart(word)}' for word in words)
    for area in _asked(release, whole, ("area",), _NAMES):
        others = [word for word in words if not _is_in(word, area.name)]
        issues = _asked(release, " AND ".join(map(_variants, others)), ("issue",), MOST_PLACES) if others else []
        if issues:
            ranked = sorted(issues, key=lambda hit: (_rank(hit, words)[0], _rank(hit, others)))
            pairs = (Hit("pair", f"{hit.name} in {area.name}", f"{area.key}/{hit.key}") for hit in ranked)
            return *pairs, area, *ranked
    return ()


def _on_streets(release: Release, words: Sequence[str]) -> tuple[Hit, ...]:
    """Issue types on the streets whose whole names are among the words; what kind of street it is need not be said."""
    words = [word for word in words if not _is_house_number(word)]
    called = [word for word in words if not (_is_kind_of_street(word) or word in AROUND_NAMES)]
    hits = list[Hit]()
    for street in _asked(release, " OR ".join(map(_whole_word, called)), ("street",), _NAMES) if called else ():
        own = [each for each in folded(street.name).split("-") if not _is_kind_of_street(each)]
        others = [word for word in words if not _is_whole(word, street.name)]
        if any(word in called for word in others) and all(
            any(_is_whole(word, each) for word in called) for each in own
        ):
            issues = _asked(release, " AND ".join(map(_variants, others)), ("issue",), MOST_PLACES)
            about = [word for word in words if word in others or _is_kind_of_street(word)]
            ranked = sorted(issues, key=lambda hit: _rank(hit, about))[:MOST_STREETS]
            hits += [Hit("on_street", f"{hit.name} on {street.name}", f"{hit.key}/{street.key}") for hit in ranked]
    return tuple(hits[:MOST_PLACES])


def _is_kind_of_street(word: str) -> bool:
    """Whether it says what a street is, or which part of it, and not its name: st, av, west."""
    return word in SAME_IN_ADDRESSES and not SAME_IN_ADDRESSES[word][0][0].isdigit()


def _without_one(release: Release, words: Sequence[str]) -> Finding | None:
    """What has all the words but one, the most narrow: whoever types `broken street light kitsilano` means no broken main of Kitsilano."""
    if not 2 < len(words) <= _MOST_WITHOUT_ONE:
        return None
    findings = []
    for place in range(len(words)):
        others = [*words[:place], *words[place + 1 :]]
        if finding := _whole(release, others):
            kind = finding.hits[0].kind
            order = _MOST_NARROW.index(kind) if kind in _MOST_NARROW else len(_MOST_NARROW)
            instead = replace(finding, instead=" ".join(others))
            findings.append(((order, _rank(finding.hits[0], others)), instead))
    return min(findings, key=lambda each: each[0])[1] if findings else None


def _with_any(release: Release, words: Sequence[str]) -> Finding:
    """Those with most of the words; no addresses, too many have one of them."""
    hits = _asked(release, " OR ".join(map(_variants, words)), (*_NAMED, "street"), _NAMES)
    ranked = sorted(hits, key=lambda hit: _rank(hit, words))[:MOST_PLACES]
    return Finding(_best_kind_first(ranked, words), has_all=False)


def _best_kind_first(hits: Sequence[Hit], words: Sequence[str]) -> tuple[Hit, ...]:
    best = {kind: min(_rank(hit, words) for hit in hits if hit.kind == kind) for kind in {hit.kind for hit in hits}}
    order = (*_NAMED, *_ANYWHERE)
    return tuple(sorted(hits, key=lambda hit: (best[hit.kind], order.index(hit.kind))))


def _rank(hit: Hit, words: Sequence[str]) -> tuple[int, int, bool]:
    """How many words are missing from the name, how many don't stand whole in it, and whether it has others."""
    missing, partly = (sum(not test(word, hit.name) for word in words) for test in (_is_in, _is_whole))
    return missing, partly, len(folded(hit.name).split("-")) > len(words)


def _is_whole(word: str, name: str) -> bool:
    words = folded(name).split("-")
    return any(each in words for each in SAME_IN_ADDRESSES.get(word, [word]))


def _is_in(word: str, name: str) -> bool:
    words, same = folded(name).split("-"), SAME_IN_ADDRESSES.get(word, ())
    return any(each.startswith(_stem(word)) or each in same for each in (*words, *map("".join, pairwise(words))))


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
    """A word as SQLite is asked for it: begun so, in one or many, as two, or as it is said otherwise in an address.

    A number and a small word are asked for whole: `in` is no inquiry.
    """
    if word.isdigit():
        return "(" + " OR ".join(f'"{word}{ending}"' for ending in ("", "th", "st", "nd", "rd")) + ")"
    if word in AROUND_NAMES:
        return f'"{word}"'
    same = "".join(f' OR "{each}"' for each in SAME_IN_ADDRESSES.get(word, ()) if each != word)
    return f'("{_stem(word)}"*{_apart(_stem(word), "*")}{same})'


def _whole_word(word: str) -> str:
    return " OR ".join(f'"{each}"' for each in SAME_IN_ADDRESSES.get(word, [word]))


def _apart(word: str, ending: str = "") -> str:
    """Each two words that a word may be: of `streetlight`, street light."""
    cuts = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
    return "".join(f' OR "{word[:cut]} {word[cut:]}"{ending}' for cut in cuts)


def _stem(word: str) -> str:
    return word[:-1] if word.endswith("s") and len(word) >= _SHORTEST_PLURAL else word


def _known(release: Release, words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The words that names have, for a misspelled one the nearest and for two that are one that one; and those that no name has."""
    names = release.remembered(
        "searched names", lambda: sa.select(search.c.name, search.c.alias).where(search.c.kind != "address")
    )
    vocabulary = _vocabulary(" ".join(f"{name} {alias}" for name, alias in names))
    known, unknown, rest = list[str](), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        if rest and word + rest[0] in vocabulary and not {word, rest[0]} <= vocabulary:
            known.append(word + rest.pop(0))
        elif _is_house_number(word) or _asked(release, _variants(word), (*_NAMED, *_ANYWHERE), 1):
            known.append(word)
        else:
            unknown.append(word)
            known += _nearest(word, vocabulary)
    return known, tuple(unknown)


@lru_cache(4)
def _vocabulary(names: str) -> frozenset[str]:
    return frozenset(folded(names).split("-"))


def _nearest(word: str, vocabulary: Iterable[str]) -> list[str]:
    """The word that a misspelled one may have meant, which begins alike: a house is no mouse."""
    alike = sorted(each for each in vocabulary if each[:1] == word[0] and len(word) >= _SHORTEST_MISSPELLED)
    return difflib.get_close_matches(word, alike, 1, cutoff=0.8)
