"""Which places are meant: those on a street, in a business improvement area, or around a point; and how many requests they have."""

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import shapely
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from vanc311_pipeline.reading.names import UnknownName
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import AT_A_PLACE, AT_A_POINT, places, service_requests

RADIUS, RADIUS_AT_MOST = 500, 2_000
"""Metres around a point."""
KINDS = ("street", "bia", "near")
_RINGS = (125, 250, 500, 1_000)  # each of four times the area of the one before

# 1946 YORK AV; 1800 to 1800 TRIUMPH ST, which is a block; 1900 MAIN ST and E 2ND AV, which is a crossing.
_ADDRESS = re.compile(r"(?:\d+[A-Z]? (?:to \d+[A-Z]? )?)?(?P<street>.+?)(?: and (?P<cross>.+))?")
_DECIMETRES = 10
_place, _value = places.c, sa.bindparam


def distance(*at: sa.ColumnElement[float]) -> sa.ColumnElement[int]:
    """The square of a point's distance from the one that is meant, in square decimetres: SQLite has no root, and an order needs none."""
    north, east = (
        (axis - _value(name)) * _value(f"{name}_metres")
        for axis, name in zip(at, ("latitude", "longitude"), strict=True)
    )
    return sa.cast((north * north + east * east) * _DECIMETRES**2, sa.INTEGER())


def is_near(latitude: sa.ColumnElement[float], longitude: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Whether a point lies around the one that is meant: the first two conditions by an index, from one latitude to another."""
    return sa.and_(
        latitude.between(_value("south"), _value("north")),
        longitude.between(_value("west"), _value("east")),
        distance(latitude, longitude).op("<=")(_value("within")),
    )


_own = service_requests.c.latitude, service_requests.c.longitude
DISTANCE = distance(*_own)
_CONDITIONS = {
    "street": sa.or_(_place.street == _value("street"), _place.cross_street == _value("street")),
    "bia": _place.business_improvement_area == _value("bia"),
    "near": is_near(_place.latitude, _place.longitude),
}


def kinds_in(values: Mapping[str, Any]) -> tuple[str, ...]:
    """In which ways places are meant."""
    return tuple(kind for kind in KINDS if kind in values)


class in_order(sa.Join):
    """A join that SQLite makes in the order in which it is written: CROSS JOIN."""

    inherit_cache = True


@compiles(in_order)
def _cross_join(join: in_order, compiler: SQLCompiler, **how: Any) -> str:
    parts: tuple[Any, ...] = (join.left, join.right, join.onclause)
    return "{} CROSS JOIN {} ON {}".format(*(compiler.process(part, **how) for part in parts))


Way = Literal["places first", "requests first", "by type and point"]
"""How SQLite comes by requests at places: it goes through the places and looks their requests up, or the other way."""


def requests_meant(kinds: tuple[str, ...], way: Way) -> tuple[sa.FromClause, list[sa.ColumnElement[bool]]]:
    """From where requests at places come, and which are meant. Whether it is near, a request tells by itself."""
    places_first = way == "places first"
    if way == "by type and point":
        return service_requests, [is_near(*_own), AT_A_POINT]
    if kinds == ("near",) and not places_first:
        # No bound of its latitude: where it goes through the requests, this would lead it to go through an index of those that have one.
        return service_requests, [DISTANCE.op("<=")(_value("within"))]
    outer, inner = (places, service_requests) if places_first else (service_requests, places)
    same = [inner.c[name].is_not_distinct_from(outer.c[name]) for name in ("address", "latitude", "longitude")]
    # Only then, for the same reason.
    implied = [AT_A_PLACE] if places_first else []
    return in_order(outer, inner, sa.and_(*same)), [*(_CONDITIONS[kind] for kind in kinds), *implied]


def requests_at(release: Release, values: Mapping[str, Any]) -> int:
    """How many requests the places have that are meant, or how many open ones, if those are."""
    column = _place.open_requests if values.get("status") == "Open" else _place.requests
    question = sa.select(sa.func.coalesce(sa.func.sum(column), 0)).where(
        *(_CONDITIONS[kind] for kind in kinds_in(values))
    )
    return int(release.rows(question, values=values)[0][0])


def rings(values: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The same values for smaller surroundings of the point, from the smallest on."""
    radii = (radius for radius in _RINGS if (radius * _DECIMETRES) ** 2 < values["within"])
    return tuple({**values, **around(values["near"], radius)} for radius in radii)


def around(near: str, radius: int) -> dict[str, float]:
    """The values that the condition `near` takes, for a point and a radius in metres. What lies around it is taken as a plane."""
    latitude, longitude = map(float, near.split(","))
    by_latitude, by_longitude = _metres_of_a_degree(latitude)
    return {
        "latitude": latitude,
        "longitude": longitude,
        "latitude_metres": by_latitude,
        "longitude_metres": by_longitude,
        "within": (radius * _DECIMETRES) ** 2,
        **{"south": latitude - radius / by_latitude, "north": latitude + radius / by_latitude},
        **{"west": longitude - radius / by_longitude, "east": longitude + radius / by_longitude},
    }


def _metres_of_a_degree(latitude: float) -> tuple[float, float]:
    """Of latitude and of longitude, on the ellipsoid of WGS 84."""
    axis, eccentricity = 6_378_137.0, 0.00669437999014
    angle = math.radians(latitude)
    root = math.sqrt(1 - eccentricity * math.sin(angle) ** 2)
    along, across = axis * (1 - eccentricity) / root**3, axis / root * math.cos(angle)
    return math.radians(along), math.radians(across)


def streets_of(address: str | None) -> tuple[str | None, str | None]:
    """The street of an address; and, at a crossing, the other one."""
    parts = _ADDRESS.fullmatch(address or "")
    return (parts["street"], parts["cross"]) if parts else (None, None)


def improvement_areas() -> list[tuple[str, str]]:
    """The outlines of the business improvement areas, of which some have several: a name and a GeoJSON geometry."""
    text = files("vanc311_pipeline").joinpath("layers/business_improvement_areas.geojson").read_text(encoding="utf-8")
    return [(each["properties"]["name"], json.dumps(each["geometry"])) for each in json.loads(text)["features"]]


@cache
def outline_of(bia: str) -> shapely.Geometry:
    return shapely.union_all([shapely.from_geojson(outline) for name, outline in improvement_areas() if name == bia])


def is_in(bia: str, latitude: float | None, longitude: float | None) -> bool:
    return None not in (latitude, longitude) and outline_of(bia).intersects(shapely.Point(longitude, latitude))


def known_address(release: Release, address: str) -> str:
    """An address as the release has it, which may be written in another case."""
    at = _place.address
    for same in (at == address, at.collate("NOCASE") == address):  # the first by the index
        if row := release.row(sa.select(at).where(same)):
            return str(row["address"])
    street = address.upper().lstrip("0123456789 ")
    alike = sa.select(at).where(_place.street == street, at.is_not(None)).distinct().order_by(at).limit(1_000)
    raise UnknownName("address", address, release.scalars(alike))
