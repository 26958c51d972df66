"""Bodies made of rows, in the portal's layouts; whole, or broken off after a row, so that faults know what they cut."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vanc311_pipeline.standin.releases import DATE, DATETIME, DOUBLE, TEXT

_encoded = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True)
class Body:
    """Rows as text, between a head and a tail; a body that is one piece has its head only."""

    head: str
    rows: list[str] = field(default_factory=list)
    separator: str = ""
    tail: str = ""

    def printed(self, rows: int, whole: bool = True, half_row: bool = False) -> Iterator[bytes]:
        """The first `rows` rows, half of the next one if asked, and, if it is to be well-formed, the tail."""
        halves = [text[: max(1, len(text) // 2)] for text in self.rows[rows : rows + 1] if half_row]
        yield self.head.encode()
        yield (self.separator.join([*self.rows[:rows], *halves]) + self.tail * whole).encode()


def json_body(table: pa.Table, head: str, separator: str, tail: str) -> Body:
    """Rows as JSON objects with their keys in field order."""
    row = "{" + ", ".join(f'"{name}": %s' for name in table.column_names) + "}"
    rows = [row % values for values in zip(*map(_json_cells, table.columns), strict=True)]
    return Body(head, rows, separator, tail)


def geojson_body(path: Path) -> Body:
    """A file that is one FeatureCollection, feature by feature."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    texts = [json.dumps(feature, separators=(",", ":"), ensure_ascii=False) for feature in features]
    return Body('{"type":"FeatureCollection","features":[', texts, ",", "]}")


def csv_body(table: pa.Table, with_bom: bool) -> Body:
    """`/exports/csv`. Every line ends in CRLF, the last one too, so the line end belongs to the row."""
    cells = map(_csv_cells, table.columns)
    lines = pc.binary_join_element_wise(*cells, ";", null_handling="replace", null_replacement="")
    rows = pc.binary_join_element_wise(lines, "\r\n", "").to_pylist()
    return Body("\ufeff" * with_bom + ";".join(table.column_names) + "\r\n", rows)


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
