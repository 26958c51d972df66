"""The 22 local areas: from the portal's GeoJSON into their table, and the question which area a point lies in.

What belongs here: `local_areas`. Geometry is shapely's.
"""

import json
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa

from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.schema import local_areas
from vanc311_pipeline.warehouse.engine import Warehouse

AREAS_EXPECTED = 22


def replace_areas(warehouse: Warehouse, collection: dict[str, Any]) -> int:
    """Put the areas of a GeoJSON FeatureCollection in place of those stored, in one transaction; their number.

    Raises:
        SchemaMismatch: it has not 22 distinct names, or a feature lacks a name, a centre or a polygon.
    """
    rows = [_row(feature) for feature in collection.get("features", [])]
    if len({row["local_area"] for row in rows}) != AREAS_EXPECTED or len(rows) != AREAS_EXPECTED:
        raise SchemaMismatch(
            f"The portal's boundaries have {len(rows)} local areas, not {AREAS_EXPECTED} distinct ones. "
            "The areas stored before stay. Look at the portal's local-area-boundary dataset."
        )
    with warehouse.write() as connection:
        connection.execute(sa.delete(local_areas))
        connection.execute(sa.insert(local_areas), rows)
    return len(rows)


def _row(feature: dict[str, Any]) -> dict[str, Any]:
    try:
        name, centre = feature["properties"]["name"], feature["properties"]["geo_point_2d"]
        polygon = shapely.geometry.shape(feature["geometry"])
        if not isinstance(name, str) or not name.strip() or polygon.is_empty or not polygon.is_valid:
            raise ValueError("no name, or no valid outline")
        return {
            "local_area": name.strip(),
            "latitude": float(centre["lat"]),
            "longitude": float(centre["lon"]),
            "boundary": json.dumps(feature["geometry"], separators=(",", ":")),
        }
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise SchemaMismatch(
            f"A feature of the portal's local-area-boundary can't be read: {error!r}. The areas stored before stay."
        ) from error


def area_names(connection: sa.Connection) -> list[str]:
    """The names of the stored areas, sorted."""
    return list(connection.scalars(sa.select(local_areas.c.local_area).order_by(local_areas.c.local_area)))


def areas_of_points(connection: sa.Connection, longitudes: np.ndarray, latitudes: np.ndarray) -> np.ndarray:
    """For each point the name of the area that it lies in, or None if it lies in none."""
    stored = connection.execute(sa.select(local_areas.c.local_area, local_areas.c.boundary)).all()
    names = np.array([name for name, _ in stored] + [None], dtype=object)
    tree = shapely.STRtree([shapely.from_geojson(boundary) for _, boundary in stored])
    at = shapely.points(longitudes.astype("float64"), latitudes.astype("float64"))
    points, polygons = tree.query(at, predicate="intersects")
    found = np.full(len(longitudes), len(stored))
    found[points] = polygons
    return np.asarray(names[found])
