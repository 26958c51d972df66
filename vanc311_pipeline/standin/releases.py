"""Releases: rows as Arrow tables with the portal's names and types, and the metadata that describes them."""

import json
import tomllib
from dataclasses import dataclass
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
    """The rows with `geom` made of their coordinates; an empty text is null, `N/A` is text; no source means no rows.

    Raises:
        KeyError, TypeError, ValueError: the columns or their values are not the portal's.
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
    """The bundled real rows."""
    return request_table(SAMPLE_REQUESTS)


def metadata(release: Release, fields: pa.Schema, now: datetime, records_count: int) -> dict[str, Any]:
    """The document, as of a moment."""
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
