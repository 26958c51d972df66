"""From a file or a frame to a table.

Belongs here: reading Parquet, CSV (as the portal exports it) and GeoJSON, bringing every column to its kind, and
deriving `geom` from latitude and longitude. Null means null, an empty text is null, `N/A` is text.
Does not belong here: what the portal says about the dataset, and changes to the rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vanc311_pipeline.portal.standin.tables import (
    AREA_FIELDS,
    ARROW_TYPES,
    MODIFIED,
    OPENED,
    REQUEST_FIELDS,
    Field,
    Table,
)

SAMPLE = Path(__file__).parent.parent / "sample"
SAMPLE_REQUESTS = SAMPLE / "service_requests_sample.parquet"
SAMPLE_AREAS = SAMPLE / "local_areas.geojson"

Source = pd.DataFrame | str | Path

STORED = tuple(each for each in REQUEST_FIELDS if not each.is_geo)


def request_table(source: Source | None) -> Table:
    """A table of service requests; no source means no rows."""
    if source is None:
        raw = pa.table({each.name: pa.array([], ARROW_TYPES[each.kind]) for each in STORED})
    elif isinstance(source, pd.DataFrame):
        raw = pa.Table.from_pandas(source, preserve_index=False)
    else:
        raw = _read(Path(source))
    expected, found = {each.name for each in STORED}, set(raw.column_names) - {"geom"}
    if expected != found:
        raise ValueError(
            f"The service requests need exactly the portal's columns (geom may be left out); "
            f"missing: {sorted(expected - found) or 'none'}, unknown: {sorted(found - expected) or 'none'}."
        )
    columns = {each.name: _as_kind(raw.column(each.name), each) for each in STORED}
    columns["geom"] = _points(columns["longitude"], columns["latitude"])
    return Table(REQUEST_FIELDS, columns, scattered(columns, seed=0))


def request_frame(table: Table) -> pd.DataFrame:
    """The rows as a frame without `geom`: text, UTC instants, Python dates, floats."""
    frame: pd.DataFrame = pa.table({each.name: table.columns[each.name] for each in STORED}).to_pandas()
    return frame


def area_table(path: str | Path | None) -> Table:
    """The local areas, from a GeoJSON file like the portal's own export; in the file's order."""
    features = json.loads(Path(path or SAMPLE_AREAS).read_text(encoding="utf-8"))["features"]
    columns = {
        "name": [each["properties"]["name"] for each in features],
        "geom": [json.dumps(each["geometry"], separators=(",", ":")) for each in features],
        "geo_point_2d": [each["properties"]["geo_point_2d"] for each in features],
    }
    arrays = {each.name: pa.array(columns[each.name], ARROW_TYPES[each.kind]) for each in AREA_FIELDS}
    return Table(AREA_FIELDS, arrays, np.arange(len(features), dtype=np.uint64))


def scattered(columns: dict[str, Any], seed: int) -> NDArray[np.uint64]:
    """A hash of each row's instants: scattered over the years, the same in every run."""
    key = _mix(_bits(columns[OPENED]) + np.uint64(seed)) ^ _bits(columns[MODIFIED])
    return _mix(key)


def _bits(column: Any) -> NDArray[np.uint64]:
    values = pc.fill_null(column.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.int64).view(np.uint64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finisher of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _read(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline().strip()
    delimiter = ";" if ";" in header else ","
    names = [name.strip('"') for name in header.split(delimiter)]
    return pacsv.read_csv(
        path,
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""]
        ),
    )


def _as_kind(column: Any, field: Field) -> Any:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.if_else(pc.equal(array, ""), None, array)
    try:
        if field.kind == "datetime" and pa.types.is_timestamp(array.type) and array.type.tz is None:
            array = array.cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
        if field.kind == "date" and pa.types.is_timestamp(array.type):
            return array.cast(pa.date32(), safe=False)
        array = array.cast(ARROW_TYPES[field.kind])
    except pa.ArrowInvalid as error:
        raise ValueError(f"Column {field.name} can't be read as {field.kind}: {error}") from error
    return pc.if_else(pc.is_nan(array), None, array) if field.kind == "double" else array


def _points(longitude: Any, latitude: Any) -> Any:
    absent = pc.or_(pc.is_null(longitude), pc.is_null(latitude))
    return pa.StructArray.from_arrays([longitude, latitude], names=["lon", "lat"], mask=absent)
