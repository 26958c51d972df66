"""`date_format(f, 'pattern')`: clock readings as text.

Belongs here: the pattern letters of the portal. Does not belong here: time zones (the readings are local already)
and grouping.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from vanc311_pipeline.portal.standin.errors import NotImplementedHere
from vanc311_pipeline.portal.standin.evaluate import Mask
from vanc311_pipeline.portal.standin.literals import clock_reading
from vanc311_pipeline.portal.standin.zones import MICROS, Ints

_PIECE = re.compile(r"'[^']*'|([A-Za-z])\1*|[^A-Za-z']+")

_LETTERS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda t: f"{t.year:04}",
    "YYYY": lambda t: f"{t.year:04}",
    "MM": lambda t: f"{t.month:02}",
    "dd": lambda t: f"{t.day:02}",
    "HH": lambda t: f"{t.hour:02}",
    "mm": lambda t: f"{t.minute:02}",
    "ss": lambda t: f"{t.second:02}",
    "ww": lambda t: f"{t.isocalendar().week:02}",
    "xxxx": lambda t: f"{t.isocalendar().year:04}",
    "e": lambda t: str(t.isoweekday()),
}
_UNITS = {"ss": 1, "mm": 60, "HH": 3600}


def formatted(readings: Ints, absent: Mask, pattern: str) -> Any:
    """A text column; each distinct reading is formatted once."""
    pieces = [match.group() for match in _PIECE.finditer(pattern)]
    if "".join(pieces) != pattern:
        raise NotImplementedHere(f"the date_format pattern {pattern!r}")
    unknown = [piece for piece in pieces if piece[0].isalpha() and piece not in _LETTERS]
    if unknown:
        raise NotImplementedHere(f"the date_format letters {', '.join(unknown)}")
    unit = min([_UNITS[piece] for piece in pieces if piece in _UNITS], default=86_400) * MICROS
    coded = pa.array(readings // unit, mask=absent).dictionary_encode()
    texts = [_format(clock_reading(value * unit), pieces) for value in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def _format(reading: datetime, pieces: list[str]) -> str:
    return "".join(_LETTERS[p](reading) if p in _LETTERS else p.strip("'") if p[0] == "'" else p for p in pieces)
