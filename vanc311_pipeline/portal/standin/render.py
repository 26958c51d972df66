"""The layouts of bodies made of rows: csv, json, jsonl, geojson and the pages of `/records`.

Belongs here: what stands before, between and after the rows, and how a row is put together from its cells.
A body can be had whole, shortened to fewer rows, or broken off, so that faults know what they cut.
Does not belong here: how a value prints (cells), Parquet, and HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.portal.standin.cells import csv_cells, csv_quoted, joined, json_cells
from vanc311_pipeline.portal.standin.errors import NotImplementedHere
from vanc311_pipeline.portal.standin.tables import Table
from vanc311_pipeline.portal.standin.zones import Zone

BATCH = 5_000


@dataclass(frozen=True)
class RowBody:
    """A body made of rows, printed batch by batch while it is sent."""

    table: Table
    head: str
    separator: str
    tail: str
    print_rows: Callable[[Table], Any]

    @property
    def row_count(self) -> int:
        return self.table.num_rows

    def whole(self) -> Iterator[bytes]:
        yield from self.broken(self.row_count)
        if self.tail:
            yield self.tail.encode()

    def broken(self, rows: int, half_row: bool = False) -> Iterator[bytes]:
        """The first `rows` rows, and half of the next one if asked; nothing after that."""
        if self.head:
            yield self.head.encode()
        for start in range(0, rows, BATCH):
            stop = min(start + BATCH, rows)
            lead = self.separator if start else ""
            yield (lead + self.separator.join(self._texts(start, stop))).encode()
        if half_row and rows < self.row_count:
            text = self._texts(rows, rows + 1)[0]
            yield ((self.separator if rows else "") + text[: max(1, len(text) // 2)]).encode()

    def check(self) -> None:
        """Raise what printing would raise, before a byte is sent."""
        self.print_rows(self.table.slice(0, 0))

    def shortened(self, rows: int) -> RowBody:
        """A well-formed body that holds the first rows only."""
        return replace(self, table=self.table.slice(0, rows))

    def _texts(self, start: int, stop: int) -> list[str]:
        texts: list[str] = self.print_rows(self.table.slice(start, stop)).to_pylist()
        return texts


def json_body(table: Table, zone: Zone, nulls: str) -> RowBody:
    """`/exports/json`: one array, no wrapper."""
    return RowBody(table, "[", ",", "]", _objects(zone, nulls))


def records_body(table: Table, total_count: int | None, zone: Zone, nulls: str) -> RowBody:
    """`/records`: one line with total_count and results."""
    count = "" if total_count is None else f'"total_count": {total_count}, '
    return RowBody(table, f'{{{count}"results": [', ", ", "]}", _objects(zone, nulls))


def jsonl_body(table: Table, zone: Zone, nulls: str, last_newline: str) -> RowBody:
    tail = "\n" if last_newline == "present" and table.num_rows else ""
    return RowBody(table, "", "\n", tail, _objects(zone, nulls))


def csv_body(table: Table, zone: Zone, delimiter: str, with_bom: bool, use_labels: bool) -> RowBody:
    names = [field.label or field.name if use_labels else field.name for field in table.fields]
    head = "\ufeff" * with_bom + delimiter.join(csv_quoted(name, delimiter) for name in names) + "\r\n"

    def lines(batch: Table) -> Any:
        cells = [csv_cells(field, batch.columns[field.name], zone, delimiter) for field in batch.fields]
        line = pc.binary_join_element_wise(*cells, delimiter, null_handling="replace", null_replacement="")
        return pc.binary_join_element_wise(line, "\r\n", "")

    # Every line ends in CRLF, the last one too, so the line end belongs to the row and rows need no separator.
    return RowBody(table, head, "", "", lines)


def geojson_body(table: Table, zone: Zone, nulls: str) -> RowBody:
    """One FeatureCollection; the geometry field is left out of the properties."""
    shapes = [f for kind in ("geo_shape", "geo_point_2d") for f in table.fields if f.kind == kind]
    if not shapes:
        raise NotImplementedHere("geojson without a geometry field")
    shape = shapes[0]
    objects = _objects(zone, nulls, spaced=False)

    def features(batch: Table) -> Any:
        column = batch.columns[shape.name]
        geometry = column
        if shape.kind == "geo_point_2d":
            lon, lat = pc.struct_field(column, "lon"), pc.struct_field(column, "lat")
            cells = [json_cells(replace(shape, kind="double"), each, zone) for each in (lon, lat)]
            geometry = joined('{"coordinates":[', cells[0], ",", cells[1], '],"type":"Point"}')
        properties = objects(batch.with_fields(tuple(f for f in batch.fields if f.name != shape.name)))
        lead = '{"type":"Feature","geometry":'
        return joined(lead, pc.fill_null(geometry, "null"), ',"properties":', properties, "}")

    return RowBody(table, '{"type":"FeatureCollection","features":[', ",", "]}", features)


def _objects(zone: Zone, nulls: str, spaced: bool = True) -> Callable[[Table], Any]:
    """Rows as JSON objects with their keys in field order."""
    colon, comma = (": ", ", ") if spaced else (":", ",")

    def objects(batch: Table) -> Any:
        pairs = []
        for field in batch.fields:
            key = f'"{field.name}"{colon}'
            pair = joined(key, json_cells(field, batch.columns[field.name], zone, spaced))
            pairs.append(pair if nulls == "omitted" else pc.fill_null(pair, f"{key}null"))
        if not pairs:
            return pa.array(["{}"] * batch.num_rows, pa.string())
        return joined("{", pc.binary_join_element_wise(*pairs, comma, null_handling="skip"), "}")

    return objects
