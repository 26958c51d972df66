"""Releases: rows as Arrow tables with the portal's names and types, the metadata that describes them, and the bodies made of them in the
portal's layouts; whole, or broken off after a row, so that faults know what they cut.
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LIVE = "3-1-1-service-requests"
ARCHIVE = "3-1-1-service-requests-2009-2021"
AREAS = "local-area-boundary"

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"

_FOLDER = Path(__file__).parent
SAMPLE_REQUESTS = _FOLDER / "sample" / "service_requests_sample.parquet"
SAMPLE_AREAS = _FOLDER / "sample" / "local_areas.geojson"

Source = pd.DataFrame | str | Path

TEXT, DATE, DOUBLE, DATETIME = pa.string(), pa.date32(), pa.float64(), pa.timestamp("us", tz="UTC")
PORTAL: dict[str, dict[str, Any]] = tomllib.loads((_FOLDER / "portal.toml").read_text(encoding="utf-8"))
_TYPES = {"text": TEXT, "date": DATE, "double": DOUBLE, "datetime": DATETIME}
_DOCUMENT = (_FOLDER / "metadata.json").read_text(encoding="utf-8")
_FIELDS = {field["name"]: field for field in json.loads(_DOCUMENT)["fields"]}
_UNKNOWN: dict[str, Any] = {"name": "", "description": None, "annotations": {}, "label": "Ward", "type": ""}
SCHEMA = pa.schema([(name, _TYPES[field["type"]]) for name, field in _FIELDS.items() if name != "geom"])


@dataclass(frozen=True)
class Release:
    """The contents of a dataset from one publication to the next."""

    dataset: str
    table: pa.Table
    data_processed: datetime


def request_table(source: Source | None) -> pa.Table:
    """The rows with `geom` made of their coordinates; an empty text is null, `N/A` is text; no source means no rows. KeyError, TypeError or
    ValueError if the columns or their values are not the portal's.
    """
    if source is None:
        table = SCHEMA.empty_table()
    elif isinstance(source, pd.DataFrame):
        table = pa.Table.from_pandas(source, SCHEMA, preserve_index=False)
    else:
        table = pq.read_table(source, columns=SCHEMA.names).cast(SCHEMA)
    columns = [pc.if_else(pc.equal(each, ""), None, each) if each.type == TEXT else each for each in table.columns]
    table = pa.table(columns, schema=SCHEMA).combine_chunks()
    longitude, latitude = (table[name].combine_chunks() for name in ("longitude", "latitude"))
    absent = pc.or_(pc.is_null(longitude), pc.is_null(latitude))
    points = pa.StructArray.from_arrays([longitude, latitude], names=["lon", "lat"], mask=absent)
    return table.append_column("geom", points)


@cache
def sample_table() -> pa.Table:
    return request_table(SAMPLE_REQUESTS)


def metadata(release: Release, fields: pa.Schema, now: datetime, records_count: int) -> dict[str, Any]:
    kinds = {arrow: kind for kind, arrow in _TYPES.items()}
    document: dict[str, Any] = json.loads(_DOCUMENT)
    document["fields"] = [
        {**_FIELDS.get(each.name, _UNKNOWN), "name": each.name, "type": kinds.get(each.type, "geo_point_2d")}
        for each in fields
    ]
    document["dataset_id"] = release.dataset
    document["dataset_uid"] = f"da_{release.dataset.replace('-', '')[:6]}"
    document["has_records"] = records_count > 0
    # metadata_processed moves with every release, and every night whether anything changed or not.
    night = datetime.combine(now.date(), time(13, 48, 7, 123456), tzinfo=UTC)
    night -= timedelta(days=night > now)
    processed = release.data_processed.isoformat(timespec="seconds")
    document["metas"]["default"] |= {
        "modified": processed,
        "data_processed": processed,
        "metadata_processed": max(night, release.data_processed + timedelta(milliseconds=861)).isoformat(),
        "records_count": records_count,
    }
    return document


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
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ';"\r\n') else text
