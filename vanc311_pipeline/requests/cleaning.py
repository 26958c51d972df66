"""Cleaning: from rows as served (all text) to typed requests, and to quarantine with a reason.

What belongs here: names, types, dates and durations; pure, vectorised functions on frames. What does not: identity
(`requests.identity`), I/O, and any judgement that drops a row: landed = stored + quarantined, always.

Sources: the metric definitions of docs/methods.md. Local dates come from `zoneinfo` with the pinned rules.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from vanc311_pipeline.errors import SchemaMismatch
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
_TEXT = ["department", "issue_type", "status", "closure_reason", "address", "local_area", "channel"]
_INSTANT = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_DATE = r"\d{4}-\d\d-\d\d"
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Cleaned:
    """A window's rows, each in exactly one of the two frames, with the index of the served rows."""

    requests: pd.DataFrame
    """Typed columns of `service_requests`, but for `request_id` and `occurrence`; instants as datetimes."""
    quarantined: pd.DataFrame
    """`reason` and `raw_row` of each row that can't be keyed or parsed."""
    unknown_areas: dict[str, int]
    """Area names that are none of the 22, with their rows; those requests are stored without an area."""


def clean(served: pd.DataFrame, month: str, areas: Iterable[str]) -> Cleaned:
    """Clean the rows of one window.

    Args:
        served: the portal's columns as text, in any order, extras allowed.
        month: the UTC month that was asked for, or `undated`.
        areas: the names of the 22 local areas.

    Raises:
        SchemaMismatch: a column that we rely on is missing.
    """
    missing = [name for name in PORTAL_FIELDS if name not in served.columns]
    if missing:
        raise SchemaMismatch(
            f"The landed rows of {month} lack {', '.join(missing)}. Nothing of the month was stored; load it again with "
            f"`vanc311 sync --months {month}`."
        )
    text = served[list(PORTAL_FIELDS)].rename(columns=_NAMES)
    requests, reasons = _typed(text, month)
    bad = reasons != ""
    known, unknown = _match_areas(requests["local_area"], areas)
    return Cleaned(
        requests=requests.assign(local_area=known)[~bad],
        quarantined=_quarantine(served[bad], reasons[bad]),
        unknown_areas={str(name): int(rows) for name, rows in unknown[~bad].value_counts().sort_index().items()},
    )


def _typed(text: pd.DataFrame, month: str) -> tuple[pd.DataFrame, pd.Series]:
    """Every column in its type, and for each row what is wrong with it, or an empty string."""
    frame = pd.DataFrame(index=text.index)
    reasons = pd.Series("", index=text.index, dtype=object)

    def object_to(rows: pd.Series, reason: str) -> None:
        if rows.any():
            reasons[rows & (reasons == "")] = reason

    for name in text.columns:
        object_to(text[name].str.contains(DAMAGED, regex=False, na=False), f"{name} came with bytes that are no UTF-8")
    for name in _TEXT:
        frame[name] = _text(text[name], missing_marks=[""] if name in ("department", "issue_type") else ["", "N/A"])
        object_to(frame[name].str.contains(NUL, regex=False, na=False), f"{name} holds U+0000, which no text does")
    for name in ("department", "issue_type"):
        object_to(frame[name].isna(), f"{name} is missing")
    for name in ("opened_at", "modified_at"):
        frame[name] = _instants(text[name])
        object_to(text[name].notna() & frame[name].isna(), f"{name} is not an instant")
    object_to(frame["opened_at"].isna(), "opened_at is missing")
    frame["closed_on"] = _dates(text["closed_on"])
    object_to(text["closed_on"].notna() & frame["closed_on"].isna(), "closed_on is not a date")
    for name, limit in (("latitude", 90), ("longitude", 180)):
        frame[name] = pd.to_numeric(text[name], errors="coerce").astype("float64")
        object_to(text[name].notna() & ~(frame[name].abs() <= limit), f"{name} is not a number of degrees")
    object_to(~_opened_in(month, frame["opened_at"]), _outside(month))
    return _derive(frame, month), reasons


def _opened_in(month: str, opened_at: pd.Series) -> pd.Series:
    if month == UNDATED:
        return pd.Series(False, index=opened_at.index)
    months = opened_at.dt.tz_localize(None).to_numpy().astype("datetime64[M]")
    return pd.Series(months == np.datetime64(month), index=opened_at.index)


def _outside(month: str) -> str:
    return (
        "opened_at is outside the record" if month == UNDATED else f"opened_at is not in {month}, the month asked for"
    )


def _derive(frame: pd.DataFrame, month: str) -> pd.DataFrame:
    """Local dates and durations, by the definitions of docs/methods.md."""
    local_day = frame["opened_at"].dt.tz_convert(VANCOUVER).dt.tz_localize(None).dt.normalize()
    days = (frame["closed_on"] - local_day).dt.days
    seconds = seconds_to_update(frame)
    return frame.assign(
        opened_on=local_day,
        days_to_close=days.where((frame["status"] == "Close") & (days >= 0)).astype("Int64"),
        days_to_update=(seconds / _DAY_SECONDS).where(seconds > 0).astype("float64"),
        partition_month=month,
    )


def seconds_to_update(frame: pd.DataFrame) -> pd.Series:
    """Whole seconds from `opened_at` to `modified_at`; null if the latter is missing."""
    return (frame["modified_at"] - frame["opened_at"]).dt.total_seconds()


def _text(column: pd.Series, missing_marks: list[str]) -> pd.Series:
    stripped = column.str.strip()
    return stripped.mask(stripped.isin(missing_marks))


def _instants(column: pd.Series) -> pd.Series:
    """UTC instants, whole seconds; null where the text is no instant. Without an offset it is UTC."""
    shaped = column.where(column.str.fullmatch(_INSTANT).fillna(False).astype(bool))
    return pd.to_datetime(shaped, utc=True, format="ISO8601", errors="coerce").astype("datetime64[s, UTC]")


def _dates(column: pd.Series) -> pd.Series:
    shaped = column.where(column.str.fullmatch(_DATE).fillna(False).astype(bool))
    return pd.to_datetime(shaped, format="%Y-%m-%d", errors="coerce").astype("datetime64[s]")


def _match_areas(column: pd.Series, areas: Iterable[str]) -> tuple[pd.Series, pd.Series]:
    """The area's own spelling where the name is known (`Arbutus-Ridge` is `Arbutus Ridge`), and the unknown names."""
    spelling = {_area_key(name): name for name in areas}
    names = {name: spelling.get(_area_key(name)) for name in column.dropna().unique()}
    known = column.map(names).astype(column.dtype)
    return known, column.where(known.isna())


def _area_key(name: str) -> str:
    return name.replace("-", " ").casefold()


def _quarantine(served: pd.DataFrame, reasons: pd.Series) -> pd.DataFrame:
    """The rows as served, as JSON with sorted keys, so that equal rows give equal text in any column order."""
    if served.empty:  # almost always
        return pd.DataFrame({"reason": [], "raw_row": []}, dtype=object)
    rows = served.astype(object).where(served.notna(), None).to_dict("records")
    raw = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows]
    return pd.DataFrame({"reason": reasons.to_numpy(), "raw_row": raw}, index=served.index, dtype=object)


def instant_text(column: pd.Series) -> np.ndarray:
    """`2025-08-25T15:03:00Z` for each UTC instant, None for null."""
    naive = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[s]")
    return _present(np.datetime_as_string(naive, unit="s").astype(object) + "Z", column)


def date_text(column: pd.Series, unit: Literal["D", "M"] = "D") -> np.ndarray:
    """`2025-08-25` (or, with unit M, `2025-08`) for each date, None for null."""
    seconds: np.ndarray = column.to_numpy(dtype="datetime64[s]")
    return _present(np.datetime_as_string(seconds, unit=unit, casting="unsafe").astype(object), column)


def _present(text: np.ndarray, column: pd.Series) -> np.ndarray:
    text[column.isna().to_numpy()] = None
    return text
