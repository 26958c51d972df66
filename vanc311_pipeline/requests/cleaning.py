"""Cleaning: from rows as served (all text) to typed requests, and to quarantine with a reason.

Pure functions on frames, by the definitions of docs/methods.md; local dates come from `zoneinfo` with the pinned rules. No
row is dropped: landed = stored + quarantined, always. What does not belong here: identity (`requests.identity`).

A row needs its department, issue type and opening instant, for they are its identity; without one of them it goes to
quarantine. Any other field that can't be used costs that field, and is counted. A date after the day of the release that
the row came with is kept as served, and gives no duration: nobody can know it yet.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.requests.identity import SEPARATOR
from vanc311_pipeline.schema import PORTAL_FIELDS
from vanc311_pipeline.settings import UNDATED
from vanc311_pipeline.timezone import VANCOUVER

CODE_VERSION = "3"
"""Changes whenever the same served rows would give other stored rows."""

NUL = "\0"
"""SQLite's own functions end a text there, and PostgreSQL takes no such text."""

DAMAGED = "\ufffd"
"""Stands where bytes were no UTF-8: nobody knows what else of the row they damaged."""

_NAMES = {field: column for field, (_, column) in PORTAL_FIELDS.items()}
_OTHER_TEXT = ["status", "closure_reason", "address", "local_area", "channel"]
_INSTANT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_DAY_SECONDS = 86_400
_EXAMPLES = 3


@dataclass(frozen=True)
class Unusable:
    """A field of some stored rows that came with a value that can't be used, and is null for it."""

    rows: int
    examples: list[str]
    """Some of the values as served."""


@dataclass(frozen=True)
class Cleaned:
    """A window's rows, each in exactly one of the two frames, with the index of the served rows."""

    requests: pd.DataFrame
    """Typed columns of `service_requests`, but for `request_id` and `occurrence`; instants as datetimes."""
    quarantined: pd.DataFrame
    """`reason` and `raw_row` of each row that can't be keyed."""
    unknown_areas: dict[str, int]
    """Area names that are none of the 22, with their rows; those requests are stored without an area."""
    unusable: dict[str, Unusable]
    """By column."""
    dates_ahead: str | None
    """The earliest date after the release's day; with a release of that day it counts."""


def clean(served: pd.DataFrame, month: str, areas: Iterable[str], released_on: date) -> Cleaned:
    """Clean the rows of one window, a UTC month or `undated`, which came as text with the portal's release of that day in Vancouver, in
    columns of any order and some more perhaps; SchemaMismatch if one that we rely on is missing.
    """
    missing = [name for name in PORTAL_FIELDS if name not in served.columns]
    if missing:
        raise SchemaMismatch(
            f"The landed rows of {month} lack {', '.join(missing)}. Nothing of the month was stored; load it again with "
            f"`vanc311 sync --months {month}`."
        )
    text = served[list(PORTAL_FIELDS)].rename(columns=_NAMES)
    requests, reasons, lost = _typed(text, month)
    requests = _derive(requests, month, released_on)
    bad = reasons != ""
    known = _known_areas(requests["local_area"], areas)
    unknown = requests["local_area"][known.isna() & ~bad]
    stored = requests.assign(local_area=known)[~bad]
    return Cleaned(
        requests=stored,
        quarantined=_quarantine(served[bad], reasons[bad]),
        unknown_areas={str(name): int(rows) for name, rows in unknown.value_counts().sort_index().items()},
        unusable={
            name: Unusable(len(values), sorted(set(values))[:_EXAMPLES])
            for name, rows in lost.items()
            if (values := text[name][rows & ~bad].tolist())
        },
        dates_ahead=_first_ahead(stored, released_on),
    )


def _typed(text: pd.DataFrame, month: str) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.Series]]:
    """Every column in its type; for each row why it can't be stored, or an empty string; and which rows lost a column's value."""
    frame = pd.DataFrame(index=text.index)
    reasons = pd.Series("", index=text.index, dtype=object)
    lost: dict[str, pd.Series] = {}

    def object_to(rows: pd.Series, reason: str) -> None:
        if rows.any():
            reasons[rows & (reasons == "")] = reason

    for name in text.columns:
        object_to(_holds(text[name], DAMAGED), f"{name} came with bytes that are no UTF-8")
    for name in ("department", "issue_type"):
        frame[name] = _text(text[name], missing_marks=[""])
        object_to(_holds(frame[name], NUL), f"{name} holds U+0000, which no text does")
        object_to(_holds(frame[name], SEPARATOR), f"{name} holds U+001F, which separates the parts of an id")
        object_to(frame[name].isna(), f"{name} is missing")
    for name in _OTHER_TEXT:
        frame[name] = _text(text[name], missing_marks=["", "N/A"])
        lost[name] = _holds(frame[name], NUL)
        frame[name] = frame[name].mask(lost[name])
    frame["opened_at"] = _instants(text["opened_at"])
    object_to(text["opened_at"].notna() & frame["opened_at"].isna(), "opened_at is not an instant")
    object_to(frame["opened_at"].isna(), "opened_at is missing")
    if month == UNDATED:
        object_to(frame["opened_at"].notna(), "opened_at is outside the record")
    else:
        months = frame["opened_at"].dt.tz_localize(None).to_numpy().astype("datetime64[M]")
        other = pd.Series(months != np.datetime64(month), index=text.index)
        object_to(other, f"opened_at is not in {month}, the month asked for")
    for name, values in (
        ("modified_at", _instants(text["modified_at"])),
        ("closed_on", _dates(text["closed_on"])),
        ("latitude", _degrees(text["latitude"], limit=90)),
        ("longitude", _degrees(text["longitude"], limit=180)),
    ):
        frame[name] = values
        lost[name] = text[name].notna() & values.isna()
    no_point = lost["latitude"] | lost["longitude"]
    frame = frame.assign(**{name: frame[name].mask(no_point) for name in ("latitude", "longitude")})
    return frame, reasons, lost


def _holds(column: pd.Series, sign: str) -> pd.Series:
    return column.str.contains(sign, regex=False, na=False)


def _derive(frame: pd.DataFrame, month: str, released_on: date) -> pd.DataFrame:
    opened_on = _local_days(frame["opened_at"])
    days = (frame["closed_on"] - opened_on).dt.days
    closed = (frame["status"] == "Close") & (days >= 0) & (frame["closed_on"] <= pd.Timestamp(released_on))
    seconds = (frame["modified_at"] - frame["opened_at"]).dt.total_seconds()
    updated = (seconds > 0) & (_local_days(frame["modified_at"]) <= pd.Timestamp(released_on))
    return frame.assign(
        opened_on=opened_on,
        days_to_close=days.where(closed).astype("Int64"),
        days_to_update=(seconds / _DAY_SECONDS).where(updated).astype("float64"),
        partition_month=month,
    )


def _local_days(instants: pd.Series) -> pd.Series:
    days: pd.Series = instants.dt.tz_convert(VANCOUVER).dt.tz_localize(None).dt.normalize()
    return days


def _first_ahead(requests: pd.DataFrame, released_on: date) -> str | None:
    days = pd.concat([requests["closed_on"][requests["status"] == "Close"], _local_days(requests["modified_at"])])
    first = days[days > pd.Timestamp(released_on)].min()
    return None if pd.isna(first) else f"{first:%Y-%m-%d}"


def _text(column: pd.Series, missing_marks: list[str]) -> pd.Series:
    stripped = column.str.strip()
    return stripped.mask(stripped.isin(missing_marks))


def _instants(column: pd.Series) -> pd.Series:
    """UTC instants, whole seconds; null where the text is no instant. Without an offset it is UTC."""
    shaped = column.where(column.str.fullmatch(_INSTANT, na=False))
    return pd.to_datetime(shaped, utc=True, format="ISO8601", errors="coerce").astype("datetime64[s, UTC]")


def _dates(column: pd.Series) -> pd.Series:
    shaped = column.where(column.str.fullmatch(r"\d{4}-\d\d-\d\d", na=False))
    return pd.to_datetime(shaped, format="%Y-%m-%d", errors="coerce").astype("datetime64[s]")


def _degrees(column: pd.Series, limit: int) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    within: pd.Series = numbers.where(numbers.abs() <= limit)
    return within


def _known_areas(column: pd.Series, areas: Iterable[str]) -> pd.Series:
    """The area's own spelling where the name is known: `Arbutus-Ridge` is `Arbutus Ridge`."""

    def key(name: str) -> str:
        return name.replace("-", " ").casefold()

    spelling = {key(name): name for name in areas}
    names = {name: spelling.get(key(name)) for name in column.dropna().unique()}
    return column.map(names).astype(column.dtype)


def _quarantine(served: pd.DataFrame, reasons: pd.Series) -> pd.DataFrame:
    """The rows as served, as JSON with sorted keys, so that equal rows give equal text in any column order."""
    rows = served.astype(object).where(served.notna(), None).to_dict("records")
    raw = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows]
    return pd.DataFrame({"reason": reasons.to_numpy(), "raw_row": raw}, index=served.index, dtype=object)


def date_text(column: pd.Series, unit: Literal["M", "D", "s"] = "D") -> list[str | None]:
    """`2025-08-25` for each date (with unit M `2025-08`, with unit s `2025-08-25T15:03:00`), None for null."""
    moments: np.ndarray = column.to_numpy(dtype="datetime64[s]")
    text = np.datetime_as_string(moments, unit=unit, casting="unsafe").astype(object)
    text[np.isnat(moments)] = None
    return list(text.tolist())


def instant_text(column: pd.Series) -> list[str | None]:
    """`2025-08-25T15:03:00Z` for each UTC instant, None for null."""
    return [text and f"{text}Z" for text in date_text(column.dt.tz_localize(None), unit="s")]
