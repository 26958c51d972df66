"""Time zones: from instants to local clock readings and back, for whole columns at a time.

Belongs here: offsets from `zoneinfo`, and the one place where the stand-in does not trust the installed tz data:
British Columbia has kept -07:00 all year since 2026-03-08, which tz data before 2026b does not know, and whether
the portal knows it is an option. Does not belong here: parsing or printing of times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from vanc311_pipeline.portal.standin.errors import PARAMETER, PortalError

Ints = NDArray[np.int64]

MICROS = 1_000_000
VANCOUVER = {"America/Vancouver", "Canada/Pacific"}
PERMANENT_SINCE = int(datetime(2026, 3, 8, 10, tzinfo=UTC).timestamp())
PERMANENT_OFFSET = -7 * 3600
_WEEK = 7 * 86_400
_FIRST, _LAST = int(datetime(1950, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())


class Zone:
    """One time zone as the portal knows it."""

    def __init__(self, name: str, keeps_permanent_time: bool) -> None:
        self.name = name
        self._zone = ZoneInfo(name)
        self._vancouver = name in VANCOUVER
        self._keeps_permanent_time = keeps_permanent_time
        # Vancouver's clock before the change of law was Los Angeles' clock, which every tz data version knows.
        self._old_law = ZoneInfo("America/Los_Angeles")
        self._changes, self._offsets = self._table()

    def _offset(self, instant: int) -> int:
        zone = self._zone
        if self._vancouver and instant >= PERMANENT_SINCE:
            if self._keeps_permanent_time:
                return PERMANENT_OFFSET
            zone = self._old_law
        offset = datetime.fromtimestamp(instant, zone).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    def _table(self) -> tuple[Ints, Ints]:
        """Every change of offset from 1950 to 2100: no zone changes twice within a week."""
        changes, offsets = [], [self._offset(_FIRST)]
        for start in range(_FIRST, _LAST, _WEEK):
            low, high = start, start + _WEEK
            if self._offset(high) == offsets[-1]:
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._offset(middle) == offsets[-1] else (low, middle)
            changes.append(high)
            offsets.append(self._offset(high))
        return np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64)

    def offsets(self, micros: Ints) -> Ints:
        """Seconds east of UTC at each instant (microseconds since 1970)."""
        return self._offsets[np.searchsorted(self._changes, micros // MICROS, side="right")]

    def local(self, micros: Ints) -> Ints:
        """The local clock reading at each instant, as if it were UTC."""
        return micros + self.offsets(micros) * MICROS

    def instant(self, local_micros: int) -> int:
        """The instant of a local clock reading; the earlier one where the clock shows it twice."""
        day = 86_400 * MICROS
        nearby = self.offsets(np.array([local_micros - day, local_micros + day], dtype=np.int64))
        before, after = int(nearby[0]), int(nearby[1])
        for offset in (before, after):
            candidate = local_micros - offset * MICROS
            if int(self.offsets(np.array([candidate]))[0]) == offset:
                return candidate
        return local_micros - before * MICROS


@cache
def _zone(name: str, keeps_permanent_time: bool) -> Zone:
    return Zone(name, keeps_permanent_time)


def zone_named(name: str, vancouver_from_2026_11: str = "-07:00") -> Zone:
    """The zone with this IANA name, or the portal's refusal."""
    try:
        return _zone(name, vancouver_from_2026_11 == "-07:00")
    except (KeyError, ValueError, OSError) as error:
        message = f"Invalid value for timezone API parameter: {name} is no timezone."
        raise PortalError(400, PARAMETER, message) from error
