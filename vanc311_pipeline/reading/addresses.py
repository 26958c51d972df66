"""Where an address is, which address is by a point, and what is beside a house number that no request has."""

from dataclasses import dataclass

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading import places
from vanc311_pipeline.reading.release import Release

NEARBY = 100
"""Metres around a point in which an address is by it."""
NEIGHBOURS = 5
"""So many house numbers are told beside another."""
_place = schema.places.c


def point_of(release: Release, address: str) -> str | None:
    """Where an address is: `latitude,longitude` to within a metre, of its place with most requests."""
    at = sa.select(_place.latitude, _place.longitude).where(_place.address == address, _place.latitude.is_not(None))
    row = release.row(at.order_by(_place.requests.desc()).limit(1))
    return near(row["latitude"], row["longitude"]) if row else None


def near(latitude: float, longitude: float) -> str:
    """A point as an address of a page has it: to within a metre, so that nearly the same point is the same."""
    return f"{round(latitude, 5)},{round(longitude, 5)}"


def address_by(release: Release, point: str) -> str | None:
    """The address nearest to a point, within NEARBY metres."""
    values = places.around(point, NEARBY)
    question = sa.select(_place.address).where(
        places.is_near(_place.latitude, _place.longitude), _place.address.is_not(None)
    )
    rows = release.rows(
        question.order_by(places.distance(_place.latitude, _place.longitude), _place.requests.desc()).limit(1),
        values=values,
    )
    return str(rows[0][0]) if rows else None


@dataclass(frozen=True)
class HouseNumber:
    """A house number of a street that no request has, the addresses with the nearest numbers, and about where it is."""

    number: int
    street: str
    addresses: tuple[str, ...]
    point: str
    is_between: bool
    """Whether its street has both lower and higher ones: else the point is that of the nearest."""


def house_number(release: Release, street: str, number: int) -> HouseNumber | None:
    """What is beside a house number; None if no request of the street has one. The point lies between the numbers before and after it."""
    at = sa.cast(_place.address, sa.INTEGER())
    question = sa.select(_place.address, at.label("number"), _place.latitude, _place.longitude)
    numbered = question.where(_place.street == street, at > 0, _place.latitude.is_not(None))
    rows = release.records(numbered.order_by(sa.func.abs(at - number), _place.address))
    if not rows:
        return None
    before = next((row for row in rows if row["number"] <= number), rows[0])
    after = next((row for row in rows if row["number"] > number), rows[0])
    is_between = before["number"] <= number < after["number"]
    part = (number - before["number"]) / (after["number"] - before["number"]) if is_between else 0
    latitude, longitude = (before[axis] + part * (after[axis] - before[axis]) for axis in ("latitude", "longitude"))
    addresses = tuple(dict.fromkeys(row["address"] for row in rows))[:NEIGHBOURS]
    return HouseNumber(number, street, addresses, near(latitude, longitude), is_between)
