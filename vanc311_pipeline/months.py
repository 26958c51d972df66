"""UTC months as text (`2025-08`): their bounds, their ranges, and which dataset can hold them.

A month here is that of the opening instant, a unit of storage; those that people read (`open_month`) are Vancouver's.
"""

import re
from datetime import UTC, datetime

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.settings import ARCHIVE, FIRST_LIVE_MONTH, FIRST_MONTH, LIVE, OVERLAP_MONTHS

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def next_month(month: str) -> str:
    """The month after `month`: `2025-12` gives `2026-01`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def months_before(month: str, number: int) -> str:
    """The month so many before: `2026-08` and 12 give `2025-08`."""
    count = int(month[:4]) * 12 + int(month[5:]) - 1 - number
    return f"{count // 12:04d}-{count % 12 + 1:02d}"


def running_month(now: datetime | None = None) -> str:
    return f"{now or datetime.now(UTC):%Y-%m}"


def months_between(first: str, last: str) -> list[str]:
    """Every month from `first` to `last`, both included; empty if `last` is earlier."""
    months = []
    while first <= last:
        months.append(first)
        first = next_month(first)
    return months


def parse_months(text: str) -> list[str]:
    """Read `2025-01` or `2025-01..2025-06`; of anything else, and of what is outside the record, SettingsError."""
    first, dots, last = text.partition("..")
    last = last if dots else first
    if not (_MONTH.fullmatch(first) and _MONTH.fullmatch(last)) or first > last:
        raise SettingsError(f"{text!r} is not a month or a range of months. Write 2025-01, or 2025-01..2025-06.")
    if first < FIRST_MONTH or last > running_month():
        raise SettingsError(
            f"{text!r} reaches outside the record, which runs from {FIRST_MONTH} to the running month {running_month()} (UTC)."
        )
    return months_between(first, last)


def datasets_that_may_hold(month: str) -> list[str]:
    """The portal's datasets that a month may have rows in: one, or both in the overlap months."""
    if month in OVERLAP_MONTHS:
        return [ARCHIVE, LIVE]
    return [ARCHIVE] if month < FIRST_LIVE_MONTH else [LIVE]
