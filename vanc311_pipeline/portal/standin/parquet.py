"""The Parquet export: the layout known least about.

Belongs here: column types by option, `geom` as WKB with GeoParquet metadata, and the changed layout that a fault can
play. Does not belong here: which rows are in it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vanc311_pipeline.portal.standin.cells import dates
from vanc311_pipeline.portal.standin.errors import NotImplementedHere
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.tables import Field, Table
from vanc311_pipeline.portal.standin.zones import Zone

_PIECE = 256 * 1024
_WKB_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("lon", "<f8"), ("lat", "<f8")])


@dataclass(frozen=True)
class ParquetBody:
    """A Parquet file; it can be shortened by rows, but it breaks off by bytes."""

    table: Table
    zone: Zone
    options: Options
    compression: str
    changed: bool = False

    @property
    def row_count(self) -> int:
        return self.table.num_rows

    def whole(self) -> Iterator[bytes]:
        content = self._file()
        for start in range(0, len(content), _PIECE):
            yield content[start : start + _PIECE]

    def broken(self, rows: int, half_row: bool = False) -> Iterator[bytes]:
        """About the share of bytes that the rows take, never all of them."""
        content = self._file()
        share = len(content) * rows // max(1, self.row_count)
        yield content[: max(1, min(share, len(content) - 1) - half_row)]

    def check(self) -> None:
        """Raise what writing would raise, before a byte is sent."""
        self.shortened(0)._file()

    def shortened(self, rows: int) -> ParquetBody:
        return replace(self, table=self.table.slice(0, rows))

    def _file(self) -> bytes:
        layout = replace(self.options, parquet_timestamp="naive", parquet_geom="absent")
        options = layout if self.changed else self.options
        fields = [f for f in self.table.fields if not (f.is_geo and options.parquet_geom == "absent")]
        columns = {f.name: _column(f, self.table.columns[f.name], options, self.zone) for f in fields}
        if self.changed:
            for field in fields:
                if field.kind == "date":
                    columns[field.name] = columns[field.name].cast(pa.string())
        arrow = pa.table(columns)
        points = [field.name for field in fields if field.is_geo]
        if points:
            arrow = arrow.replace_schema_metadata({"geo": _geo_metadata(points)})
        sink = io.BytesIO()
        pq.write_table(arrow, sink, compression=self.compression)
        return sink.getvalue()


def _column(field: Field, column: Any, options: Options, zone: Zone) -> Any:
    if field.kind == "geo_point_2d":
        return _wkb(column)
    if field.is_geo:
        raise NotImplementedHere("geo_shape fields in parquet")
    if field.kind != "datetime":
        return column
    if zone.name != "UTC":
        raise NotImplementedHere("parquet with a timezone other than UTC")
    match options.parquet_timestamp:
        case "ms_utc":
            return column.cast(pa.timestamp("ms", tz="UTC"), safe=False)
        case "us_utc":
            return column
        case "naive":
            return column.cast(pa.timestamp("us"))
        case "string":
            return dates(field, column, zone)


def _wkb(column: Any) -> Any:
    """Little-endian WKB points."""
    points = np.zeros(len(column), dtype=_WKB_POINT)
    points["order"], points["type"] = 1, 1
    for axis in ("lon", "lat"):
        points[axis] = pc.fill_null(pc.struct_field(column, axis), 0.0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.arange(len(column) + 1, dtype=np.int32) * _WKB_POINT.itemsize)
    binary = pa.Array.from_buffers(
        pa.binary(), len(column), [None, offsets.buffers()[1], pa.py_buffer(points.tobytes())]
    )
    return pc.if_else(pc.is_null(column), None, binary)


def _geo_metadata(columns: list[str]) -> str:
    described = {name: {"encoding": "WKB", "geometry_types": ["Point"]} for name in columns}
    return json.dumps({"version": "1.0.0", "primary_column": columns[0], "columns": described})
