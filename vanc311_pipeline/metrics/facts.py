"""Facts: all requests as columns of small whole numbers, from which every statistic is counted, and what follows from a single one.

Days are days since 1970-01-01; -1 stands where a name or a date is missing.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vanc311_pipeline.settings import STATIC_BEFORE

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

NONE = -1
WEEK_DAYS = 7
PROVISIONAL_DAYS = 7  # by rule, until it is measured (`revisions`)
NO_REASON = "N/A"


class Status(IntEnum):
    """What the city says of a request; anything but the first two counts in volume only."""

    OPEN = 0
    CLOSE = 1
    OTHER = 2


class Unchanged(IntEnum):
    """Why a request has no time to its last change; stands where the seconds to it would."""

    NEVER = 0
    BEFORE_OPENING = -1
    UNKNOWN = -2
    """No last change, or one after the day of the release."""


class Unused(IntEnum):
    """Why a request is in no curve; the first that applies."""

    USED = 0
    STATIC = 1
    AFTER_AS_OF = 2
    NEGATIVE = 3
    WITHOUT_DATE = 4


@dataclass(frozen=True)
class Facts:
    """One entry for each stored request in every column, in one order."""

    as_of: int
    areas: tuple[str, ...]
    """The 22 names; `area` points into them, and so on below."""
    issues: tuple[str, ...]
    departments: tuple[str, ...]
    reasons: tuple[str, ...]
    area: Codes
    issue: Codes
    department: Codes
    reason: Codes
    status: Codes
    opened: Codes
    closed: Codes
    """-1 also where the date is after the release that the request came with."""
    stated: Codes
    """The close date as published, wherever it lies."""
    changed: Ints
    """Seconds from opening to the last change, or why there are none (`Unchanged`)."""
    twin: Mask
    """It shares department, issue type and opening instant with an earlier one."""
    point: Mask
    """It has coordinates."""
    provisional_days: int = PROVISIONAL_DAYS
    """So many days up to as_of late entries may still move."""

    def __len__(self) -> int:
        return len(self.opened)

    @property
    def settled(self) -> int:
        """The last day that is not provisional."""
        return self.as_of - self.provisional_days

    @cached_property
    def located(self) -> Mask:
        return self.area != NONE

    @cached_property
    def is_closed(self) -> Mask:
        return self.status == Status.CLOSE

    @cached_property
    def is_open(self) -> Mask:
        return self.status == Status.OPEN

    @cached_property
    def closed_with_date(self) -> Mask:
        return self.is_closed & (self.closed != NONE)

    @cached_property
    def negative(self) -> Mask:
        return self.closed_with_date & (self.closed < self.opened)

    @cached_property
    def has_duration(self) -> Mask:
        """Closed on a known day, not before the opening."""
        return self.closed_with_date & ~self.negative

    @cached_property
    def static(self) -> Mask:
        """Opened before the day from which on the portal refreshes its rows."""
        return self.opened < day_number(STATIC_BEFORE.isoformat())

    @cached_property
    def unused(self) -> Codes:
        """Why a request is in no curve (`Unused`)."""
        tests = (self.static, self.opened > self.as_of, self.negative, self.is_closed & (self.closed == NONE))
        reasons = (Unused.STATIC, Unused.AFTER_AS_OF, Unused.NEGATIVE, Unused.WITHOUT_DATE)
        return np.select(tests, reasons, Unused.USED).astype(np.int32)

    @cached_property
    def used(self) -> Mask:
        return self.unused == Unused.USED

    @cached_property
    def event(self) -> Mask:
        """Closed by as_of. What was closed later was still open then."""
        return self.closed_with_date & (self.closed <= self.as_of)

    @cached_property
    def days(self) -> Codes:
        """Days from opening to closing, or for what is still open to as_of. Only for requests that are used."""
        return np.where(self.event, self.closed, self.as_of).astype(np.int32) - self.opened

    @cached_property
    def open_month(self) -> Ints:
        return month_numbers(self.opened)

    @cached_property
    def left_month(self) -> Ints:
        """The month in which a closed request left the pile. Only where `closed_with_date`."""
        return month_numbers(self.left_pile)

    @cached_property
    def stock(self) -> Mask:
        """Requests of which it is known when they were on the pile: open ones, and closed ones with a date."""
        return self.is_open | self.closed_with_date

    @cached_property
    def left_pile(self) -> Codes:
        """The day on which a closed request left the pile: never before it came. Only where `closed_with_date`."""
        return np.maximum(self.closed, self.opened)


def day_number(date: str) -> int:
    """`1970-01-02` is 1."""
    return int(np.datetime64(date, "D").astype(np.int64))


def day_texts(days: npt.ArrayLike) -> Texts:
    """The dates of day numbers, as text."""
    return np.asarray(np.datetime_as_string(np.asarray(days, dtype=np.int64).astype("datetime64[D]")), dtype=object)


def month_numbers(days: npt.ArrayLike) -> Ints:
    """The months of day numbers, counted from 1970-01."""
    return np.asarray(days, dtype=np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def month_texts(months: npt.ArrayLike) -> Texts:
    return np.asarray(np.datetime_as_string(np.asarray(months, dtype=np.int64).astype("datetime64[M]")), dtype=object)


def first_days(months: npt.ArrayLike) -> Ints:
    """The first day of each month."""
    return np.asarray(months, dtype=np.int64).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
