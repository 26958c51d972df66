"""How the city's labels are said to people, how they stand in addresses, and which label an address means.

A slug is a function of its label alone, so that an address means the same label for ever, whichever labels come later. It stands alone
where the label can be spelled back from it, by the rule or from `labels.toml`; every other label's slug ends with a digest of the label.
So no two labels share one.
"""

import hashlib
import re
import tomllib
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import chain
from pathlib import Path

from vanc311_pipeline.reading.names import UnknownName, names, nearest
from vanc311_pipeline.reading.release import Release

_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
GROUPS: dict[str, str] = _DATA["groups"]
"""The prefixes of departments, and what they stand for."""
SAME_IN_ADDRESSES: dict[str, list[str]] = {word: same for same in _DATA["streets"]["same"] for word in same}
AROUND_NAMES = frozenset([*_DATA["small"], *_DATA["find"]["around"]])
"""Words of a sentence that names something, and of an address to the end: what is meant is another word."""

_OBSOLETE, _ENDING = re.compile(r"zz old\W*", re.IGNORECASE), re.compile(r"\s+case$", re.IGNORECASE)
_DASH = re.compile(r"\s+[-–—]\s*|\s*[-–—]\s+")
_PREFIX = re.compile(r"([A-Z]{2,5}) - (?=.)")
_PROPER = {name.casefold(): name for name in _DATA["proper"]}
_IN_PROPER = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in _PROPER), re.IGNORECASE)
_AS_IT_IS = re.compile(r"[NS]?[EW]|\d+[A-Z]")  # directions, and numbers of houses
_LONGEST, _DIGITS = 80, 10
_LIKE_A_DIGEST, _LIKE_A_GROUP = re.compile(rf"(.*-)?[0-9a-f]{{{_DIGITS}}}"), re.compile("[a-z]{2,5}")


@lru_cache(10_000)
def plain(kind: str, label: str) -> str:
    """A label of a kind as people say it: the issue `Missed Garbage Bin Pickup Case` is Missed garbage bin pickup."""
    match kind:
        case "issue":
            return _DATA["names"].get(label) or _sentence(label)
        case "department":
            return _PREFIX.sub(lambda prefix: f"{GROUPS.get(prefix[1], prefix[1])}: ", label, count=1)
        case "street" | "address":
            return " ".join(map(_in_an_address, label.split(" ")))
        case "channel":
            return label.capitalize() if label.isupper() else label
    return label


def _in_an_address(word: str) -> str:
    """A word of a street or an address, which the city writes in capitals: York, 5th, SE, 1946A, Bella-Vista, McGill."""
    if word in ("and", "to") or _AS_IT_IS.fullmatch(word):
        return word
    if word.startswith("MC"):
        return f"Mc{word[2:].capitalize()}"
    return "-".join(map(str.capitalize, word.split("-")))


def everyday(kind: str, label: str) -> str:
    """What people may say instead of a label: words to find it by."""
    if kind == "area":
        return str(_DATA["nicknames"].get(label, ""))
    if kind != "issue":
        return ""
    return " ".join(words for part, words in _DATA["everyday"].items() if re.search(rf"\b{part}", label.casefold()))


def _sentence(label: str) -> str:
    name = _DASH.sub(": ", _without_marks(label))
    name = _IN_PROPER.sub(lambda match: _PROPER[match[0].casefold()], " ".join(map(_small, name.split(" "))))
    name = name[:1].upper() + name[1:]
    return f"{name} (no longer used)" if _OBSOLETE.match(label) and name else name or label


def _without_marks(label: str) -> str:
    """Without what the city adds to each type: that it is a case, and whether it is an old one."""
    return _ENDING.sub("", _OBSOLETE.sub("", label, count=1) if _OBSOLETE.match(label) else label).strip()


def _small(word: str) -> str:
    """A word without its capital, but for what is none: Van311, McDonald."""
    return word if re.search(r"\w[A-Z]|\d", word) and not word.isupper() else word.lower()


def group_of(department: str) -> str | None:
    """The prefix of a department as it stands in the address of its group; None if it has none."""
    match = _PREFIX.match(department)
    return match[1].lower() if match else None


def branches_of(release: Release, group: str) -> tuple[str, ...]:
    """The departments of a group: ENG - Sanitation Services is a branch of ENG, and of eng. None if it is no group."""
    return tuple(name for name in names(release, "department") if group_of(name) == group.lower())


def groups(release: Release) -> list[str]:
    """The groups that the departments are of, as their addresses have them."""
    return sorted({group for name in names(release, "department") if (group := group_of(name))})


def is_group(text: str) -> bool:
    """Whether it stands for a group of departments in an address; no department has such a slug."""
    return bool(_LIKE_A_GROUP.fullmatch(text))


def group_name(group: str) -> str:
    """A group as people say it: by its letters, if they are not known to stand for anything."""
    return GROUPS.get(group.upper(), group.upper())


@lru_cache(10_000)
def slug(kind: str, label: str) -> str:
    """A label as it stands in an address; no other of its kind has the same."""
    short = _short(kind, label)
    if label == (_IRREGULAR.get((kind, short)) or _respelled(kind, short)) and not _is_taken(kind, short):
        return short
    return f"{short}-{hashlib.sha256(label.encode(errors='surrogatepass')).hexdigest()[:_DIGITS]}".lstrip("-")


def _short(kind: str, label: str) -> str:
    return folded(_without_marks(label) if kind == "issue" else label)[:_LONGEST].strip("-")


def folded(text: str) -> str:
    """In small letters without accents, its words joined by hyphens."""
    letters = unicodedata.normalize("NFKD", re.sub("['’]", "", text)).casefold()
    return re.sub(r"[^a-z0-9]+", "-", "".join(each for each in letters if not unicodedata.combining(each))).strip("-")


def _respelled(kind: str, short: str) -> str:
    """The label that the city most likely writes for what stands in an address."""
    words = [
        word if place and word in _DATA["small"] else word.capitalize() for place, word in enumerate(short.split("-"))
    ]
    if kind == "department" and words[0].upper() in GROUPS:
        return f"{words[0].upper()} - {' '.join(words[1:])}"
    return " ".join([*words, "Case"] if kind == "issue" else words)


def _is_taken(kind: str, short: str) -> bool:
    """Whether it could mean something else: no label at all, another page, a digest, or a group of departments."""
    group = kind == "department" and is_group(short)
    return bool(not short or short in _DATA["reserved"] or _LIKE_A_DIGEST.fullmatch(short) or group)


_IRREGULAR = {(kind, _short(kind, label)): label for kind, labels in _DATA["irregular"].items() for label in labels}


def label_of(release: Release, kind: str, text: str) -> str:
    """The release's label that a slug means, or that alone is spelled so otherwise; UnknownName, with what comes near, if there is none."""
    labels = names(release, kind)
    short = folded(text)
    for alike in (
        lambda label: slug(kind, label) == text,
        lambda label: label == text,
        lambda label: label.casefold() == text.casefold(),
        lambda label: short in _spellings(kind, label),
    ):
        meant = [label for label in labels if alike(label)]
        if len(meant) == 1:
            return meant[0]
    spelled = {spelling: label for label in labels for spelling in (label, plain(kind, label), slug(kind, label))}
    raise UnknownName(kind, text, labels, list(dict.fromkeys(spelled[each] for each in nearest(text, list(spelled)))))


def to_choose(release: Release, kind: str) -> list[tuple[str, str, bool]]:
    """The labels of a kind by their plain names, and whether the name alone means the label in an address."""
    named = [(label, plain(kind, label)) for label in names(release, kind)]
    meanings = Counter(chain.from_iterable({*_spellings(kind, label), folded(label)} - {""} for label, _ in named))
    choices = [(label, name, name.isprintable() and meanings[folded(name)] == 1) for label, name in named]
    return sorted(choices, key=lambda choice: choice[1].casefold())


@lru_cache(10_000)
def _spellings(kind: str, label: str) -> frozenset[str]:
    return frozenset({slug(kind, label), _short(kind, label), folded(plain(kind, label))} - {""})
