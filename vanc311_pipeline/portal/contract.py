"""The portal's contract: releases with the schema gate (the fields' names are in `schema`), windows of time, instants."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.months import next_month
from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, OPENED, PORTAL_FIELDS
from vanc311_pipeline.settings import CLOCKS_MAY_DIFFER, FIRST_MONTH, UNDATED

DAMAGED = "\ufffd"
"""What stands where bytes could not be read as UTF-8, by us or by the city."""


@dataclass(frozen=True)
class Release:
    """One published state of a dataset: the portal reloads it once a day."""

    dataset: str
    data_processed: str
    """UTC instant, `2026-08-16T14:06:58Z`."""
    records_count: int
    fields: tuple[tuple[str, str], ...]
    """Name and type of every field, in the portal's order."""
    answered_at: str | None = field(default=None, compare=False)
    """The portal's own clock when it answered, a UTC instant; None if it sends none."""
    clock_ahead: timedelta = field(default=timedelta(), compare=False)
    """How far the portal's clock then was ahead of this computer's."""

    @property
    def last_month(self) -> str:
        """The running month by the portal's clock, never by ours: rows opened later are in no month."""
        return max(self.data_processed, self.answered_at or "")[: len("2026-08")]

    @property
    def identity(self) -> tuple[str, int]:
        """What tells one release from the next; `metadata_processed` moves every night and is no sign of anything."""
        return self.data_processed, self.records_count

    def drift(self) -> list[str]:
        """What is odd but harmless, in the fields or between the clocks; SchemaMismatch if a field is missing or retyped."""
        kinds = dict(self.fields)
        if wrong := [
            f"{name} is {kinds[name]}, not {kind}" if name in kinds else f"{name} is missing"
            for name, (kind, _) in PORTAL_FIELDS.items()
            if kinds.get(name) != kind
        ]:
            raise SchemaMismatch(
                f"The portal changed the fields of {self.dataset}: {'; '.join(wrong)}. Nothing was loaded and the published "
                "data is as it was. Compare the portal's schema with PORTAL_FIELDS in vanc311_pipeline/schema.py and adapt it."
            )
        notes = odd_fields(kinds)
        if abs(self.clock_ahead) > CLOCKS_MAY_DIFFER:
            where = "behind" if self.clock_ahead > timedelta() else "ahead of"
            notes.append(f"this computer's clock is {abs(self.clock_ahead)} {where} the portal's: set it right")
        return notes


def odd_fields(names: Collection[str]) -> list[str]:
    """What is odd but harmless in the names of a dataset's fields."""
    notes = [f"new field {name}" for name in names if name not in (*PORTAL_FIELDS, *KNOWN_EXTRA_FIELDS)]
    in_order = [name for name in names if name in PORTAL_FIELDS] == list(PORTAL_FIELDS)
    return notes if in_order else [*notes, "the fields come in another order"]


@dataclass(frozen=True, order=True)
class Window:
    """The rows of one dataset opened in one UTC month, or, as `undated`, those that no month can hold."""

    dataset: str
    month: str

    def where(self, last_month: str) -> str:
        """The ODSQL filter: half-open, in UTC instants, so that no time-zone table takes part. Rows after `last_month` belong to `undated`;
        a later month, which we may hold from when the portal's clock was ahead, is empty.
        """
        if self.month == UNDATED:
            return f'{OPENED} is null or {OPENED} < "{_start(FIRST_MONTH)}" or {OPENED} >= "{_start(next_month(last_month))}"'
        end = next_month(min(self.month, last_month))
        return f'{OPENED} >= "{_start(self.month)}" and {OPENED} < "{_start(end)}"'


def _start(month: str) -> str:
    return f"{month}-01T00:00:00+00:00"


def instant(text: str) -> datetime:
    """An instant in UTC; without an offset it is UTC. ValueError if it is none, or outside the years 1 to 9999."""
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is outside the years 1 to 9999") from error


def canonical_instant(text: str) -> str:
    """`2026-08-16T07:06:58-07:00` as `2026-08-16T14:06:58Z`; without an offset it is UTC; fractions are cut."""
    return instant(text).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def is_instant(text: str) -> bool:
    try:
        instant(text)
    except ValueError:
        return False
    return True


def comparable_instant(text: str | None) -> str | None:
    """The canonical form; what is no instant stays as it is, so that it differs from what is one."""
    return canonical_instant(text) if text and is_instant(text) else text
