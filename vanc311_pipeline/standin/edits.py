"""Changes of the rows that a release can bring: pure functions of a frame, with a seed that picks the rows; more are in portal.toml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanc311_pipeline.standin.releases import CLOSED, MODIFIED, OPENED, PORTAL

Frame = pd.DataFrame
KEY = ["department", "service_request_type", OPENED]
VANCOUVER = "America/Vancouver"


def delete(frame: Frame, *, rows: int = 1, seed: int = 0) -> Frame:
    """Rows disappear."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    return edited.drop(index=chosen).reset_index(drop=True)


def insert_old(frame: Frame, *, rows: int = 1, seed: int = 0, opened: str = "2023-03-05T19:30:00+00:00") -> Frame:
    """Rows appear that were opened long ago."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    added = edited.loc[chosen].copy()
    added[OPENED] = (pd.Timestamp(opened) + pd.to_timedelta(range(rows), unit="s")).astype(edited[OPENED].dtype)
    added[MODIFIED] = pd.Series(_later(frame), index=added.index).astype(edited[MODIFIED].dtype)
    added[CLOSED] = added[CLOSED].where(added[CLOSED].isna(), _today(frame))
    return pd.concat([edited, added], ignore_index=True)


def add_twin(frame: Frame, *, rows: int = 1, seed: int = 0, seconds: int = 41) -> Frame:
    """Rows get a twin that differs in last_modified_timestamp only (in nothing with seconds=0)."""
    edited, chosen = _chosen(frame, _all(frame), rows, seed)
    twins = edited.loc[chosen].copy()
    twins[MODIFIED] = twins[MODIFIED] + pd.Timedelta(seconds=seconds)
    return pd.concat([edited, twins], ignore_index=True)


def remove_twin(frame: Frame, *, rows: int = 1, seed: int = 0) -> Frame:
    """Of rows that share department, type and open timestamp, one disappears."""
    edited, chosen = _chosen(frame, frame.duplicated(KEY), rows, seed)
    return edited.drop(index=chosen).reset_index(drop=True)


def relabel_type(frame: Frame, *, old: str = "", new: str = "") -> Frame:
    """A request type gets another name over all history (by default the most frequent one becomes 'ZZ OLD - …')."""
    types: pd.Series[str] = frame["service_request_type"]
    old = old or str(types[~types.str.startswith("Z", na=False)].mode().iloc[0])
    return frame.assign(service_request_type=types.where(types != old, new or f"ZZ OLD - {old}"))


def truncate(frame: Frame, *, before: str = "2022-08-17", halved_from: str = "2025-09-01", seed: int = 0) -> Frame:
    """As in March 2026: everything opened before a date is gone, months from another date on are halved."""
    recent = frame[OPENED] >= pd.Timestamp(halved_from, tz="UTC")
    gone = recent & (np.random.default_rng(seed).random(len(frame)) < 0.5)
    return frame[~gone & ~(frame[OPENED] < pd.Timestamp(before, tz="UTC"))].reset_index(drop=True)


def null_key(frame: Frame, *, field: str = OPENED, rows: int = 1, seed: int = 0) -> Frame:
    """A field (one of the key: department, service_request_type or the open timestamp) is null."""
    return _set(frame, frame[field].notna(), {field: None}, rows, seed)


def impossible_opened(frame: Frame, *, year: int = 25, rows: int = 1, seed: int = 0) -> Frame:
    """The open timestamp lies in an impossible year, such as 0025."""
    moment = pd.Timestamp(f"{year:04}-08-25T15:03:00+00:00").as_unit("ms")
    return _set(frame, frame[OPENED].notna(), {OPENED: moment}, rows, seed)


def close_before_open(frame: Frame, *, rows: int = 1, days: int = 3, seed: int = 0) -> Frame:
    """The close date lies before the local open date."""
    earlier = {CLOSED: lambda _, rows: (rows[OPENED].dt.tz_convert(VANCOUVER) - pd.Timedelta(days=days)).dt.date}
    return _set(frame, frame[CLOSED].notna() & frame[OPENED].notna(), earlier, rows, seed)


def empty(frame: Frame) -> Frame:
    """The dataset has no rows."""
    return frame.iloc[:0].copy()


def empty_month(frame: Frame, *, month: str = "2024-03") -> Frame:
    """A UTC month has no rows."""
    kept: pd.Series[bool] = frame[OPENED].dt.strftime("%Y-%m") != month
    return frame[kept].reset_index(drop=True)


def _giving(values: dict[str, Any], status: str = "") -> Callable[..., Frame]:
    """An edit that gives values, or another one in their place, to rows, or to rows of a status."""

    def edit(frame: Frame, *, value: str | None = None, rows: int = 1, seed: int = 0) -> Frame:
        eligible = frame["status"] == status if status else _all(frame)
        return _set(
            frame, eligible, {name: value or _MADE.get(usual, usual) for name, usual in values.items()}, rows, seed
        )

    return edit


class Edit(NamedTuple):
    function: Callable[..., Frame]
    sentence: str


def _all(frame: Frame) -> pd.Series[bool]:
    return pd.Series(True, index=frame.index)


def _chosen(frame: Frame, eligible: pd.Series[bool], rows: int, seed: int) -> tuple[Frame, pd.Index[int]]:
    """A copy with a plain index, and the labels of the rows picked."""
    candidates = np.flatnonzero(eligible.fillna(False).to_numpy(dtype=bool))
    if len(candidates) < rows:
        raise ValueError(f"Only {len(candidates)} rows can be changed in this way, {rows} were asked for.")
    picked = np.random.default_rng(seed).choice(candidates, size=rows, replace=False)
    return frame.reset_index(drop=True), pd.Index(picked)


def _set(frame: Frame, eligible: pd.Series[bool], values: dict[str, Any], rows: int, seed: int) -> Frame:
    """Some eligible rows with these values, or with what a function makes of the frame and the rows."""
    edited, chosen = _chosen(frame, eligible, rows, seed)
    for name, value in values.items():
        edited.loc[chosen, name] = value(frame, edited.loc[chosen]) if callable(value) else value
    return edited


def _later(frame: Frame) -> Any:
    return frame[MODIFIED].max() + pd.Timedelta(hours=1)


def _today(frame: Frame) -> Any:
    return _later(frame).tz_convert(VANCOUVER).date()


_MADE: dict[Any, Any] = {
    "(none)": None,
    "(later)": lambda frame, _: _later(frame),
    "(today)": lambda frame, _: _today(frame),
    "(another)": lambda _, rows: np.where(
        rows["closure_reason"] == "Insufficient info", "Unknown", "Insufficient info"
    ),
}
"""What stands in portal.toml for a value that is made."""

_OWN = (delete, insert_old, add_twin, remove_twin, relabel_type, truncate, null_key, impossible_opened)
EDITS = {edit.__name__: Edit(edit, edit.__doc__ or "") for edit in (*_OWN, close_before_open, empty, empty_month)}
EDITS |= {name: Edit(_giving(**details), sentence) for name, (sentence, details) in PORTAL["giving"].items()}
