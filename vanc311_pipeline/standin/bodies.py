"""Bodies made of rows, in the portal's layouts; whole, or broken off after a row, so that faults know what they cut."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.standin.releases import DATE, DATETIME, DOUBLE, TEXT

BATCH = 5_000

_encoded = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True)
class Body:
    """Rows that are printed batch by batch while they are sent; a body that is one piece has its head only."""

    head: str
    count: int = 0
    texts: Callable[[int, int], list[str]] = lambda start, stop: []
    separator: str = ""
    tail: str = ""

    def whole(self) -> Iterator[bytes]:
        yield from self.broken(self.count)
        yield self.tail.encode()

    def broken(self, rows: int, half_row: bool = False) -> Iterator[bytes]:
        """The first `rows` rows, and half of the next one if asked; nothing after that."""
        yield self.head.encode()
        for start in range(0, rows, BATCH):
            texts = self.texts(start, min(start + BATCH, rows))
            yield ((self.separator if start else "") + self.separator.join(texts)).encode()
        if half_row and rows < self.count:
            [text] = self.texts(rows, rows + 1)
            yield ((self.separator if rows else "") + text[: max(1, len(text) // 2)]).encode()


def json_body(table: pa.Table, head: str, separator: str, tail: str) -> Body:
    """Rows as JSON objects with their keys in field order."""
    row = "{" + ", ".join(f'"{name}": %s' for name in table.column_names) + "}"

    def texts(start: int, stop: int) -> list[str]:
        cells = [_json_cells(column) for column in table.slice(start, stop - start).columns]
        return [row % values for values in zip(*cells, strict=True)]

    return Body(head, table.num_rows, texts, separator, tail)


def geojson_body(path: Path) -> Body:
    """A file that is one FeatureCollection, feature by feature."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    texts = [json.dumps(feature, separators=(",", ":"), ensure_ascii=False) for feature in features]
    return Body('{"type":"FeatureCollection","features":[', len(texts), lambda a, b: texts[a:b], ",", "]}")


def csv_body(table: pa.Table, with_bom: bool) -> Body:
    """`/exports/csv`. Every line ends in CRLF, the last one too, so the line end belongs to the row."""

    def texts(start: int, stop: int) -> list[str]:
        cells = [_csv_cells(column) for column in table.slice(start, stop - start).columns]
        lines = pc.binary_join_element_wise(*cells, ";", null_handling="replace", null_replacement="")
        return list(pc.binary_join_element_wise(lines, "\r\n", "").to_pylist())

    return Body("\ufeff" * with_bom + ";".join(table.column_names) + "\r\n", table.num_rows, texts)


def text_cells(column: Any) -> Any:
    """A column as text, the way the portal prints values; points and nulls stay what they are."""
    if column.type == DATETIME:
        return _instants(column)
    if column.type == DOUBLE:
        return _per_distinct(column, repr)
    return column if pa.types.is_struct(column.type) else column.cast(TEXT)


def _instants(column: Any) -> Any:
    """ISO 8601 in UTC, with fractions of a second only where there are some."""
    readings = column.cast(pa.timestamp("us"))
    seconds = pc.floor_temporal(readings, unit="second")
    whole = pc.equal(seconds, readings)
    text = pc.if_else(whole, seconds.cast(pa.timestamp("s")).cast(TEXT), readings.cast(TEXT))
    return pc.binary_join_element_wise(pc.utf8_replace_slice(text, 10, 11, "T"), "+00:00", "")


def _json_cells(column: Any) -> list[str]:
    if pa.types.is_struct(column.type):
        return [_encoded(point) for point in column.to_pylist()]
    texts = text_cells(column)
    texts = _per_distinct(texts, _encoded) if column.type in (TEXT, DATE, DATETIME) else texts
    return list(pc.fill_null(texts, "null").to_pylist())


def _csv_cells(column: Any) -> Any:
    if column.type == TEXT:
        return _per_distinct(column, _quoted)
    if pa.types.is_struct(column.type):
        axes = (text_cells(pc.struct_field(column, axis)) for axis in ("lat", "lon"))
        return pc.binary_join_element_wise(*axes, ", ")
    return text_cells(column)


def _per_distinct(column: Any, printed: Callable[[Any], str]) -> Any:
    coded = column.combine_chunks().dictionary_encode()
    return pa.array([printed(value) for value in coded.dictionary.to_pylist()], TEXT).take(coded.indices)


def _quoted(text: str) -> str:
    """Quotes only where they are needed."""
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ';"\r\n') else text
