"""Tables in memory: typed columns with the portal's field names, labels and kinds.

Belongs here: what a field and a table are, the schemas of the three datasets, and the plain operations on tables.
Arrow arrays hold the values (datetimes as UTC microseconds, shapes as GeoJSON text). Does not belong here: reading
files, evaluating queries, printing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["text", "int", "double", "date", "datetime", "geo_point_2d", "geo_shape"]

LIVE = "3-1-1-service-requests"
ARCHIVE = "3-1-1-service-requests-2009-2021"
AREAS = "local-area-boundary"

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"

ARROW_TYPES: dict[str, Any] = {
    "text": pa.string(),
    "int": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "geo_point_2d": pa.struct([("lon", pa.float64()), ("lat", pa.float64())]),
    "geo_shape": pa.string(),
}


@dataclass(frozen=True)
class Field:
    """A field as the metadata describes it."""

    name: str
    kind: Kind
    label: str = ""
    annotations: dict[str, Any] = field(default_factory=dict)

    @property
    def is_geo(self) -> bool:
        return self.kind in ("geo_point_2d", "geo_shape")

    @property
    def is_facet(self) -> bool:
        return bool(self.annotations.get("facet"))


def _request_field(name: str, kind: Kind, facet: bool = False) -> Field:
    label = name if name == "geom" else name.replace("_", " ").capitalize()
    return Field(name, kind, label, {"facet": True} if facet else {})


REQUEST_FIELDS = (
    _request_field("department", "text", facet=True),
    _request_field("service_request_type", "text", facet=True),
    _request_field("status", "text", facet=True),
    _request_field("closure_reason", "text", facet=True),
    _request_field(OPENED, "datetime", facet=True),
    _request_field(CLOSED, "date"),
    _request_field(MODIFIED, "datetime"),
    _request_field("address", "text"),
    _request_field("local_area", "text", facet=True),
    _request_field("channel", "text", facet=True),
    _request_field("latitude", "double"),
    _request_field("longitude", "double"),
    _request_field("geom", "geo_point_2d"),
)
AREA_FIELDS = (
    Field("name", "text", "Name", {"facet": True}),
    Field("geom", "geo_shape", "Geom"),
    Field("geo_point_2d", "geo_point_2d", "geo_point_2d"),
)


@dataclass(frozen=True)
class Table:
    """Fields, their columns, and a number per row that gives the arbitrary but repeatable order."""

    fields: tuple[Field, ...]
    columns: dict[str, Any]
    order: NDArray[np.uint64]

    @property
    def num_rows(self) -> int:
        return len(self.order)

    def field(self, name: str) -> Field | None:
        return next((each for each in self.fields if each.name == name), None)

    def take(self, rows: NDArray[np.int64]) -> Table:
        chosen = pa.array(rows)
        return replace(self, columns={k: v.take(chosen) for k, v in self.columns.items()}, order=self.order[rows])

    def slice(self, start: int, stop: int) -> Table:
        columns = {name: column.slice(start, stop - start) for name, column in self.columns.items()}
        return replace(self, columns=columns, order=self.order[start:stop])

    def with_fields(self, fields: tuple[Field, ...]) -> Table:
        """The same rows with these fields only, in this order."""
        return replace(self, fields=fields, columns={each.name: self.columns[each.name] for each in fields})

    def with_column(self, new: Field, column: Any) -> Table:
        """The same rows with one field added at the end, or replaced where it stands."""
        known = self.field(new.name) is not None
        fields = tuple(new if f.name == new.name else f for f in self.fields) if known else (*self.fields, new)
        return replace(self, fields=fields, columns={**self.columns, new.name: column})


def followed_by(first: Table, second: Table) -> Table:
    """The rows of the first table, then those of the second."""
    columns = {name: pa.concat_arrays([first.columns[name], second.columns[name]]) for name in first.columns}
    return replace(first, columns=columns, order=np.concatenate([first.order, second.order]))
