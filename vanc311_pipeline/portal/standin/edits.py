"""Changes of the rows that a release can bring: pure functions from a frame to a frame.

Belongs here: what the city's clerks and machines do to the records (edits, deletions, relabelling, truncation, odd
values), each with a seed that picks the rows, and the catalogue of them. Does not belong here: publishing the result,
and everything that goes wrong on the wire.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vanc311_pipeline.portal.standin.tables import CLOSED, MODIFIED, OPENED

KEY = ["department", "service_request_type", OPENED]
VICTORIA = (48.42842, -123.36564)


def edit_with_modified(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Closed rows get another closure reason and a new last_modified_timestamp."""
    edited, chosen = _chosen(frame, frame["status"] == "Close", rows, seed)
    edited.loc[chosen, "closure_reason"] = _other_reason(edited.loc[chosen, "closure_reason"])
    edited.loc[chosen, MODIFIED] = _later(frame)
    return edited


def edit_silently(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Closed rows get another closure reason, last_modified_timestamp stays."""
    edited, chosen = _chosen(frame, frame["status"] == "Close", rows, seed)
    edited.loc[chosen, "closure_reason"] = _other_reason(edited.loc[chosen, "closure_reason"])
    return edited


def touch(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Rows get a new last_modified_timestamp and nothing else."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    edited.loc[chosen, MODIFIED] = _later(frame)
    return edited


def delete(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Rows disappear."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    return edited.drop(index=chosen).reset_index(drop=True)


def insert_old(
    frame: pd.DataFrame, *, rows: int = 1, seed: int = 0, opened: str = "2023-03-05T19:30:00+00:00"
) -> pd.DataFrame:
    """Rows appear that were opened long ago."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    added = edited.loc[chosen].copy()
    added[OPENED] = (pd.Timestamp(opened) + pd.to_timedelta(range(rows), unit="s")).astype(edited[OPENED].dtype)
    added[MODIFIED] = pd.Series(_later(frame), index=added.index).astype(edited[MODIFIED].dtype)
    added[CLOSED] = added[CLOSED].where(added[CLOSED].isna(), _later(frame).tz_convert("America/Vancouver").date())
    return pd.concat([edited, added], ignore_index=True)


def close(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Open rows are closed."""
    edited, chosen = _chosen(frame, frame["status"] == "Open", rows, seed)
    closed_at = _later(frame)
    edited.loc[chosen, ["status", "closure_reason"]] = ["Close", "Service provided"]
    edited.loc[chosen, CLOSED] = closed_at.tz_convert("America/Vancouver").date()
    edited.loc[chosen, MODIFIED] = closed_at
    return edited


def reopen(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Closed rows are open again: no close date, closure reason N/A."""
    edited, chosen = _chosen(frame, frame["status"] == "Close", rows, seed)
    edited.loc[chosen, ["status", "closure_reason"]] = ["Open", "N/A"]
    edited.loc[chosen, CLOSED] = None
    edited.loc[chosen, MODIFIED] = _later(frame)
    return edited


def add_twin(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0, seconds: int = 41) -> pd.DataFrame:
    """Rows get a twin that differs in last_modified_timestamp only (in nothing with seconds=0)."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    twins = edited.loc[chosen].copy()
    twins[MODIFIED] = twins[MODIFIED] + pd.Timedelta(seconds=seconds)
    return pd.concat([edited, twins], ignore_index=True)


def remove_twin(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Of rows that share department, type and open timestamp, one disappears."""
    edited, chosen = _chosen(frame, frame.duplicated(KEY), rows, seed)
    return edited.drop(index=chosen).reset_index(drop=True)


def new_closure_reason(
    frame: pd.DataFrame, *, value: str = "Resolved by drone", rows: int = 1, seed: int = 0
) -> pd.DataFrame:
    """A closure reason appears that was never seen before."""
    return _set(frame, frame["status"] == "Close", {"closure_reason": value}, rows, seed)


def new_channel(frame: pd.DataFrame, *, value: str = "Carrier pigeon", rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """A channel appears that was never seen before."""
    return _set(frame, _all(frame), {"channel": value}, rows, seed)


def new_area(frame: pd.DataFrame, *, value: str = "Arbutus-Ridge", rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """A local area appears that is none of the 22 (by default an old spelling that never joins)."""
    return _set(frame, _all(frame), {"local_area": value}, rows, seed)


def relabel_type(frame: pd.DataFrame, *, old: str = "", new: str = "") -> pd.DataFrame:
    """A request type gets another name over all history (by default the most frequent one becomes 'ZZ OLD - …')."""
    types = frame["service_request_type"]
    old = old or str(types[~types.str.startswith("Z", na=False)].mode().iloc[0])
    edited = frame.copy()
    edited["service_request_type"] = types.where(types != old, new or f"ZZ OLD - {old}")
    return edited


def truncate(
    frame: pd.DataFrame, *, before: str = "2022-08-17", halved_from: str = "2025-09-01", seed: int = 0
) -> pd.DataFrame:
    """As in March 2026: everything opened before a date is gone, months from another date on are halved."""
    opened = frame[OPENED]
    recent = opened >= pd.Timestamp(halved_from, tz="UTC")
    lost = recent & (np.random.default_rng(seed).random(len(frame)) < 0.5)
    return frame[~lost & ~(opened < pd.Timestamp(before, tz="UTC"))].reset_index(drop=True)


def null_key(frame: pd.DataFrame, *, field: str = OPENED, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """A key field (department, service_request_type or the open timestamp) is null."""
    if field not in KEY:
        raise ValueError(f"{field} is no key field; they are {', '.join(KEY)}.")
    edited, chosen = _chosen(frame, frame[field].notna(), rows, seed)
    edited.loc[chosen, field] = None
    return edited


def impossible_opened(frame: pd.DataFrame, *, year: int = 25, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """The open timestamp lies in an impossible year, such as 0025."""
    edited, chosen = _chosen(frame, frame[OPENED].notna(), rows, seed)
    moment = pd.Timestamp(f"{year:04}-08-25T15:03:00+00:00").as_unit("ms")
    edited.loc[chosen, OPENED] = moment
    return edited


def outside_city(frame: pd.DataFrame, *, rows: int = 1, seed: int = 0) -> pd.DataFrame:
    """Coordinates lie in another city."""
    return _set(frame, _all(frame), {"latitude": VICTORIA[0], "longitude": VICTORIA[1]}, rows, seed)


def close_before_open(frame: pd.DataFrame, *, rows: int = 1, days: int = 3, seed: int = 0) -> pd.DataFrame:
    """The close date lies before the local open date."""
    edited, chosen = _chosen(frame, frame[CLOSED].notna() & frame[OPENED].notna(), rows, seed)
    local = edited.loc[chosen, OPENED].dt.tz_convert("America/Vancouver") - pd.Timedelta(days=days)
    edited.loc[chosen, CLOSED] = local.dt.date
    return edited


def empty(frame: pd.DataFrame) -> pd.DataFrame:
    """The dataset has no rows."""
    return frame.iloc[:0].copy()


def empty_month(frame: pd.DataFrame, *, month: str = "2024-03") -> pd.DataFrame:
    """A UTC month has no rows."""
    start = pd.Timestamp(f"{month}-01", tz="UTC")
    inside = (frame[OPENED] >= start) & (frame[OPENED] < start + pd.DateOffset(months=1))
    return frame[~inside].reset_index(drop=True)


class Edit(NamedTuple):
    function: Callable[..., pd.DataFrame]
    item: str

    @property
    def sentence(self) -> str:
        return str(self.function.__doc__)

    @property
    def details(self) -> dict[str, Any]:
        """The keywords with their defaults."""
        parameters = inspect.signature(self.function).parameters
        return {name: each.default for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}


_ITEMS: dict[str, list[Callable[..., pd.DataFrame]]] = {
    "k": [edit_with_modified, edit_silently, touch, delete, insert_old, close, reopen, add_twin, remove_twin],
    "m": [new_closure_reason, new_channel, new_area],
    "n": [relabel_type],
    "o": [truncate],
    "p": [null_key, impossible_opened, outside_city, close_before_open],
    "q": [empty, empty_month],
}
EDITS = {function.__name__: Edit(function, item) for item, functions in _ITEMS.items() for function in functions}


def _all(frame: pd.DataFrame) -> pd.Series[bool]:
    return pd.Series(True, index=frame.index)


def _chosen(frame: pd.DataFrame, eligible: pd.Series[bool], rows: int, seed: int) -> tuple[pd.DataFrame, pd.Index[int]]:
    """A copy with a plain index, and the labels of the rows picked."""
    candidates = np.flatnonzero(eligible.fillna(False).to_numpy(dtype=bool))
    if len(candidates) < rows:
        raise ValueError(f"Only {len(candidates)} rows can be changed in this way, {rows} were asked for.")
    picked = np.random.default_rng(seed).choice(candidates, size=rows, replace=False)
    return frame.reset_index(drop=True), pd.Index(picked)


def _set(frame: pd.DataFrame, eligible: pd.Series[bool], values: dict[str, Any], rows: int, seed: int) -> pd.DataFrame:
    edited, chosen = _chosen(frame, eligible, rows, seed)
    for name, value in values.items():
        edited.loc[chosen, name] = value
    return edited


def _later(frame: pd.DataFrame) -> pd.Timestamp:
    """An hour after the latest change in the frame."""
    latest: pd.Timestamp = frame[MODIFIED].max() + pd.Timedelta(hours=1)
    return latest


def _other_reason(reasons: pd.Series[str]) -> NDArray[np.str_]:
    return np.where(reasons == "Insufficient info", "Unknown", "Insufficient info")
