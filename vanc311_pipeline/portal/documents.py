"""The portal's JSON documents as typed values: what each must be. One that is anything else is a `PortalUnavailable`, in one sentence."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import shapely
from pydantic import AfterValidator, AliasPath, BeforeValidator, FailFast, Field, TypeAdapter, ValidationError

from vanc311_pipeline.errors import PortalUnavailable, printable
from vanc311_pipeline.portal.contract import Release, canonical_instant, comparable_instant, instant
from vanc311_pipeline.schema import MODIFIED, OPENED
from vanc311_pipeline.settings import MAY_LIE_AHEAD, MOST_ROWS

Value = TypeVar("Value")

Lines = Annotated[list[Value], FailFast()]  # the errors of a million lines would fill the memory
Maybe = Annotated[Value | None, Field(default=None)]
Count = Annotated[int, Field(strict=True, ge=0, le=MOST_ROWS)]
Degrees = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Instant = Annotated[str, AfterValidator(canonical_instant)]
Compared = Maybe[Annotated[str, AfterValidator(comparable_instant)]]
Name = Annotated[str, AfterValidator(printable)]
AreaName = Annotated[str, Field(pattern=r"\S"), AfterValidator(str.strip)]


def _as_exported(value: Any) -> Any:
    """Half a surrogate pair, which only JSON can write, reads as its bytes do in an export."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(value, str) else value


Label = Maybe[Annotated[str, BeforeValidator(_as_exported)]]
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


@dataclass(frozen=True)
class Cell:
    """One line of the grouped question: a month's rows of one department and issue type. Instants as `comparable_instant` gives them."""

    month: Maybe[Month]
    department: Label
    issue_type: Annotated[Label, Field(validation_alias="service_request_type")]
    rows: Annotated[Count, Field(validation_alias="n")]
    closed: Count
    """Rows with a close date."""
    points: Count
    """Rows with a latitude."""
    first_opened: Compared
    last_opened: Compared
    earliest: Compared
    """The oldest last-modified instant."""
    latest: Compared
    """The newest last-modified instant."""


@dataclass(frozen=True)
class Area:
    """One local area: its name, its centre in degrees, and its outline as GeoJSON."""

    name: Annotated[AreaName, Field(validation_alias=AliasPath("properties", "name"))]
    latitude: Annotated[Degrees, Field(validation_alias=AliasPath("properties", "geo_point_2d", "lat"))]
    longitude: Annotated[Degrees, Field(validation_alias=AliasPath("properties", "geo_point_2d", "lon"))]
    boundary: Annotated[str, BeforeValidator(_outline), Field(validation_alias="geometry")]


Instants = tuple[str | None, str | None]
"""When a row was opened, and when it was last changed."""


@dataclass
class _Field:
    name: Name
    type: Name


@dataclass
class _Metadata:
    data_processed: Annotated[Instant, Field(validation_alias=AliasPath("metas", "default", "data_processed"))]
    records_count: Annotated[Count, Field(validation_alias=AliasPath("metas", "default", "records_count"))]
    fields: Lines[_Field]


@dataclass
class _Records:
    total_count: Count


@dataclass
class _Pair:
    opened: Annotated[Compared, Field(validation_alias=OPENED)]
    modified: Annotated[Compared, Field(validation_alias=MODIFIED)]
    n: Count


@dataclass
class _Areas:
    features: Lines[Area]


def release_of(dataset: str, body: bytes, clock: datetime | None = None) -> Release:
    """The release that a dataset's metadata describes; `clock` is the portal's at its answer, just now."""
    document = _read(TypeAdapter(_Metadata), body, f"metadata of {dataset}")
    if clock and instant(document.data_processed) - clock > MAY_LIE_AHEAD:
        raise PortalUnavailable(
            f"The portal's metadata of {dataset} says that it was published at {document.data_processed}, but the portal's clock "
            f"says {clock:%Y-%m-%dT%H:%M:%SZ}. Nothing of it was taken over."
        )
    return Release(
        dataset,
        document.data_processed,
        document.records_count,
        fields=tuple((field.name, field.type) for field in document.fields),
        answered_at=f"{clock:%Y-%m-%dT%H:%M:%SZ}" if clock else None,
        clock_ahead=timedelta(minutes=round((clock - datetime.now(UTC)) / timedelta(minutes=1)) if clock else 0),
    )


def total_count_of(dataset: str, body: bytes) -> int:
    return _read(TypeAdapter(_Records), body, f"count of {dataset}").total_count


def cells_of(dataset: str, body: bytes) -> list[Cell]:
    return _read(TypeAdapter(Lines[Cell]), body, f"answer to the grouped question on {dataset}")


def instants_of(dataset: str, body: bytes) -> Counter[Instants]:
    """The rows of each pair of instants, in the answer to that question."""
    pairs = _read(TypeAdapter(Lines[_Pair]), body, f"count of {dataset} by instants")
    return Counter({(pair.opened, pair.modified): pair.n for pair in pairs})


def areas_of(body: bytes) -> list[Area]:
    return _read(TypeAdapter(_Areas), body, "local areas").features


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
