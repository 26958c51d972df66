"""Columns as text, the way the portal prints values.

Belongs here: turning one column into an Arrow text column for JSON or CSV, for many rows at once; null stays null.
Texts that repeat are quoted once each. Does not belong here: rows, separators and whole bodies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.portal.standin.errors import NotImplementedHere
from vanc311_pipeline.portal.standin.tables import Field
from vanc311_pipeline.portal.standin.zones import MICROS, Zone

_SHAPES = "geo_shape fields in formats other than geojson"


def json_cells(field: Field, column: Any, zone: Zone, spaced: bool = True) -> Any:
    """JSON values; `spaced` is the style of json and jsonl, its absence that of geojson."""
    if field.kind == "text":
        return per_distinct(column, lambda text: json.dumps(text, ensure_ascii=False))
    if field.kind == "geo_point_2d":
        lon, lat = numbers(pc.struct_field(column, "lon")), numbers(pc.struct_field(column, "lat"))
        pieces = ('{"lon": ', lon, ', "lat": ', lat, "}") if spaced else ('{"lon":', lon, ',"lat":', lat, "}")
        return joined(*pieces)
    if field.kind in ("date", "datetime"):
        return joined('"', dates(field, column, zone), '"')
    return _plain(field, column)


def csv_cells(field: Field, column: Any, zone: Zone, delimiter: str) -> Any:
    """CSV values, quoted only when needed."""
    if field.kind == "text":
        return per_distinct(column, lambda text: csv_quoted(text, delimiter))
    if field.kind == "geo_point_2d":
        lon, lat = numbers(pc.struct_field(column, "lon")), numbers(pc.struct_field(column, "lat"))
        quote = '"' if delimiter == "," else ""
        return joined(quote, lat, ", ", lon, quote)
    if field.kind in ("date", "datetime"):
        return dates(field, column, zone)
    return _plain(field, column)


def csv_quoted(text: str, delimiter: str) -> str:
    if any(sign in text for sign in (delimiter, '"', "\r", "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _plain(field: Field, column: Any) -> Any:
    if field.kind == "int":
        return column.cast(pa.string())
    if field.kind == "double":
        return numbers(column)
    raise NotImplementedHere(_SHAPES)


def joined(*pieces: Any) -> Any:
    """The pieces side by side; null where one of them is null."""
    return pc.binary_join_element_wise(*pieces, "")


def per_distinct(column: Any, change: Callable[[str], str]) -> Any:
    coded = column.dictionary_encode()
    changed = pa.array([change(text) for text in coded.dictionary.to_pylist()], pa.string())
    return changed.take(coded.indices)


def numbers(column: Any) -> Any:
    """Floats in their shortest exact form."""
    return pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())


def dates(field: Field, column: Any, zone: Zone) -> Any:
    """ISO 8601: dates as they are, instants with the offset of the zone."""
    if field.kind == "date":
        return column.cast(pa.string())
    values = column.view(pa.int64())
    instants = np.asarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    offsets = zone.offsets(instants)
    readings = pa.array(instants + offsets * MICROS, mask=np.asarray(pc.is_null(values))).view(pa.timestamp("us"))
    text = pc.floor_temporal(readings, unit="second").cast(pa.timestamp("s")).cast(pa.string())
    if np.any(instants % MICROS):
        text = pc.if_else(pa.array(instants % MICROS != 0), readings.cast(pa.string()), text)
    signs = per_distinct(pa.array(offsets).cast(pa.string()), lambda offset: _offset(int(offset)))
    return joined(pc.utf8_replace_slice(text, 10, 11, "T"), signs)


def _offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"
