"""Date literals: the stretch of time that a piece of text stands for.

Belongs here: reading `2025`, `2025/08`, `2025-08-01`, `2025-08-01T08:02`, `2025-08-01T00:00:00+00:00` and their
kin as half-open stretches of UTC microseconds, since a bare date is its whole day. Does not belong here: what a
comparison does with the stretch.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from vanc311_pipeline.portal.standin.zones import MICROS, Zone

_LITERAL = re.compile(
    r"(?P<year>\d{4})(?:[-/](?P<month>\d{1,2})(?:[-/](?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,6})?)?"
    r"(?P<offset>Z|[+-]\d{2}:?\d{2})?)?)?)?"
)
_EPOCH = datetime(1970, 1, 1)


class Stretch(NamedTuple):
    """From `start` up to, not including, `end`: UTC microseconds."""

    start: int
    end: int
    has_offset: bool = False


def read_date(text: str, zone: Zone) -> Stretch | None:
    """The stretch that the text stands for, naive readings taken in `zone`; None if the text is no date."""
    match = _LITERAL.fullmatch(text.strip())
    if match is None:
        return None
    part = match.groupdict()
    numbers = [int(part[unit]) for unit in ("year", "month", "day", "hour", "minute", "second") if part[unit]]
    try:
        start, end = _bounds(numbers)
    except (ValueError, OverflowError):
        return None
    if part["fraction"]:
        start += timedelta(seconds=float(part["fraction"]))
        end = start + timedelta(microseconds=1)
    if part["offset"]:
        shift = 0 if part["offset"] == "Z" else _seconds(part["offset"]) * MICROS
        return Stretch(micros(start) - shift, micros(end) - shift, has_offset=True)
    return Stretch(zone.instant(micros(start)), zone.instant(micros(end)))


def micros(reading: datetime) -> int:
    """Microseconds since 1970 of a naive clock reading."""
    return (reading - _EPOCH) // timedelta(microseconds=1)


def clock_reading(value: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value)


def _bounds(numbers: list[int]) -> tuple[datetime, datetime]:
    start = datetime(*[*numbers, 1, 1][: max(3, len(numbers))])  # type: ignore[arg-type]
    if len(numbers) == 1:
        return start, datetime(start.year + 1, 1, 1)
    if len(numbers) == 2:
        return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
    unit = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[len(numbers)]
    return start, start + unit


def _seconds(offset: str) -> int:
    digits = offset[1:].replace(":", "")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (60 if offset[0] == "+" else -60)
