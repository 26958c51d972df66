"""The one source of time-zone rules, the start-up test of it, and Vancouver's zone.

British Columbia keeps UTC-07:00 all year since 2026-03-08. `zoneinfo` prefers the operating system's files over the `tzdata` package,
so on an older system an hour of every day from 2026-11-01 on would land on the wrong local date, silently. pandas and Dagster both ask
`zoneinfo`; pyarrow and SQLite have rules of their own and are never asked for a local time here.
"""

import os
import zoneinfo
from datetime import UTC, date, datetime, time

VANCOUVER = "America/Vancouver"


def use_pinned_timezone_rules() -> None:
    """Make `zoneinfo` read the `tzdata` package only, here and in child processes, and prove that its rules are of 2026b or newer."""
    os.environ["PYTHONTZPATH"] = ""
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    for instant, local_hour in (
        (datetime(2025, 12, 1, 20, tzinfo=UTC), 12),
        (datetime(2026, 12, 1, 20, tzinfo=UTC), 13),
    ):
        try:
            hour = instant.astimezone(zoneinfo.ZoneInfo(VANCOUVER)).hour
        except zoneinfo.ZoneInfoNotFoundError as error:
            raise RuntimeError(
                "The package tzdata is missing, so no local date can be computed. Install it: pip install tzdata"
            ) from error
        if hour != local_hour:
            raise RuntimeError(
                f"The time-zone rules are out of date: {instant:%Y-%m-%dT%H:%MZ} is {hour}:00 in Vancouver by them, "
                f"{local_hour}:00 in fact. Every local date since 2026-11-01 would be at risk. "
                "Install a current package: pip install --upgrade tzdata"
            )


def in_vancouver(instant: str) -> datetime:
    """A UTC instant as Vancouver's clocks show it."""
    return datetime.fromisoformat(instant).astimezone(zoneinfo.ZoneInfo(VANCOUVER))


def local_day(instant: str) -> date:
    """The date that it was in Vancouver."""
    return in_vancouver(instant).date()


def begin_of(day: date) -> str:
    """The UTC instant at which a day begins in Vancouver."""
    return f"{datetime.combine(day, time(), zoneinfo.ZoneInfo(VANCOUVER)).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
