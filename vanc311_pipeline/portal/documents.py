"""The portal's JSON documents as typed values: the one place where they are read.

What belongs here: what each document must be. What does not: asking for it (`client`), and what the values mean.
A document that is anything else is a `PortalUnavailable`, in one sentence, whatever it is.
"""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import shapely
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from vanc311_pipeline.errors import PortalUnavailable, printable
from vanc311_pipeline.portal.contract import (
    Area,
    Cell,
    Instants,
    Release,
    canonical_instant,
    comparable_instant,
    instant,
)
from vanc311_pipeline.schema import MODIFIED, OPENED
from vanc311_pipeline.settings import MAY_LIE_AHEAD, MOST_ROWS

Value = TypeVar("Value")

Lines = Annotated[list[Value], FailFast()]  # the errors of a million lines would fill the memory
Count = Annotated[int, Field(ge=0, le=MOST_ROWS)]
Instant = Annotated[str, AfterValidator(canonical_instant)]
Compared = Annotated[str, AfterValidator(comparable_instant)]
# Half a surrogate pair, which only JSON can write, reads as its bytes do in an export.
Label = Annotated[
    str,
    BeforeValidator(
        lambda value: (
            value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(value, str) else value
        )
    ),
]
Name = Annotated[str, AfterValidator(printable)]
# A year of five digits is no month of ours; the rows are with the undated ones.
Month = Annotated[
    str, Field(pattern=r"^[0-9]{4,9}-(0[1-9]|1[0-2])$"), AfterValidator(lambda text: text if len(text) == 7 else None)
]


def _outline(geometry: Any) -> str:
    """A GeoJSON geometry as text, proven to be an area."""
    try:
        text = json.dumps(geometry, separators=(",", ":"))
        outline = shapely.from_geojson(text)
    except (shapely.errors.ShapelyError, RecursionError) as error:
        raise ValueError("not a geometry") from error
    if not isinstance(outline, shapely.Polygon | shapely.MultiPolygon) or outline.is_empty or not outline.is_valid:
        raise ValueError("not a valid outline")
    return text


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Field(_Document):
    name: Name
    type: Name


class _Metadata(_Document):
    data_processed: Instant = Field(validation_alias=AliasPath("metas", "default", "data_processed"))
    records_count: Count = Field(validation_alias=AliasPath("metas", "default", "records_count"))
    fields_: Lines[_Field] = Field(validation_alias="fields")


class _Records(_Document):
    total_count: Count


class _Group(_Document):
    month: Month | None = None
    department: Label | None = None
    issue_type: Label | None = Field(default=None, validation_alias="service_request_type")
    rows: Count = Field(validation_alias="n")
    closed: Count
    points: Count
    first_opened: Compared | None = None
    last_opened: Compared | None = None
    earliest: Compared | None = None
    latest: Compared | None = None


class _Pair(_Document):
    opened: Compared | None = Field(default=None, validation_alias=OPENED)
    modified: Compared | None = Field(default=None, validation_alias=MODIFIED)
    n: Count


class _Feature(_Document):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        validation_alias=AliasPath("properties", "name")
    )
    latitude: FiniteFloat = Field(validation_alias=AliasPath("properties", "geo_point_2d", "lat"))
    longitude: FiniteFloat = Field(validation_alias=AliasPath("properties", "geo_point_2d", "lon"))
    boundary: Annotated[str, BeforeValidator(_outline)] = Field(validation_alias="geometry")


class _FeatureCollection(_Document):
    features: Lines[_Feature]


def release_of(dataset: str, body: bytes, told_at: datetime | None = None) -> Release:
    """The release that a dataset's metadata describes.

    Args:
        told_at: the portal's clock at its answer, just now.
    """
    document = _read(TypeAdapter(_Metadata), body, f"metadata of {dataset}")
    fields = tuple((field.name, field.type) for field in document.fields_)
    release = Release(dataset, document.data_processed, document.records_count, fields)
    if told_at is None:
        return release
    if instant(release.data_processed) - told_at > MAY_LIE_AHEAD:
        raise PortalUnavailable(
            f"The portal's metadata of {dataset} says that it was published at {release.data_processed}, but the portal's clock says "
            f"{told_at:%Y-%m-%dT%H:%M:%SZ}. Nothing of it was taken over."
        )
    ahead = timedelta(minutes=round((told_at - datetime.now(UTC)) / timedelta(minutes=1)))
    return replace(release, told_at=f"{told_at:%Y-%m-%dT%H:%M:%SZ}", clock_ahead=ahead)


def total_count_of(dataset: str, body: bytes) -> int:
    """How many rows match, in the answer of `/records`."""
    return _read(TypeAdapter(_Records), body, f"count of {dataset}").total_count


def cells_of(dataset: str, body: bytes) -> list[Cell]:
    """The lines of the answer to the grouped question."""
    groups = _read(TypeAdapter(Lines[_Group]), body, f"answer to the grouped question on {dataset}")
    return [Cell(**dict(group)) for group in groups]


def instants_of(dataset: str, body: bytes) -> Counter[Instants]:
    """The rows of each pair of instants, in the answer to that question."""
    pairs = _read(TypeAdapter(Lines[_Pair]), body, f"count of {dataset} by instants")
    return Counter({(pair.opened, pair.modified): pair.n for pair in pairs})


def areas_of(body: bytes) -> list[Area]:
    """The local areas in the GeoJSON export of their outlines."""
    collection = _read(TypeAdapter(_FeatureCollection), body, "local areas")
    return [Area(**dict(feature)) for feature in collection.features]


def _read(kind: TypeAdapter[Value], body: bytes, what: str) -> Value:
    try:
        # A byte that is no UTF-8 costs the text it stands in, not the document.
        return kind.validate_python(json.loads(body.decode("utf-8-sig", errors="replace")))
    except RecursionError:
        reason = "it is nested too deeply"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    except ValueError as error:
        reason = f"it is not whole JSON: {error}"
    raise PortalUnavailable(f"The portal's {what} can't be read: {reason[:300]}. Nothing of it was taken over.")
