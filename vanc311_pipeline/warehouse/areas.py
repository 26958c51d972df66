"""The 22 local areas: from the portal into their table, and the question which area a point lies in."""

from collections.abc import Sequence

import numpy as np
import shapely
import sqlalchemy as sa

from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.portal.documents import Area
from vanc311_pipeline.schema import local_areas
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.rows import insert

AREAS_EXPECTED = 22


def replace_areas(warehouse: Warehouse, areas: Sequence[Area]) -> int:
    """Put the areas in place of those stored, in one transaction; their number."""
    if len({area.name for area in areas}) != AREAS_EXPECTED or len(areas) != AREAS_EXPECTED:
        raise SchemaMismatch(
            f"The portal's boundaries have {len(areas)} local areas, not {AREAS_EXPECTED} distinct ones. "
            "The areas stored before stay. Look at the portal's local-area-boundary dataset."
        )
    with warehouse.write() as connection:
        connection.execute(sa.delete(local_areas))
        insert(connection, local_areas, [(area.name, area.latitude, area.longitude, area.boundary) for area in areas])
    return len(areas)


def area_names(connection: sa.Connection) -> list[str]:
    return list(connection.scalars(sa.select(local_areas.c.local_area).order_by(local_areas.c.local_area)))


def areas_of_points(connection: sa.Connection, longitudes: np.ndarray, latitudes: np.ndarray) -> np.ndarray:
    """For each point the name of the area that it lies in, or None if it lies in none."""
    stored = connection.execute(sa.select(local_areas.c.local_area, local_areas.c.boundary)).all()
    return outlines_around([(name, boundary) for name, boundary in stored], longitudes, latitudes)


def outlines_around(outlines: Sequence[tuple[str, str]], longitudes: np.ndarray, latitudes: np.ndarray) -> np.ndarray:
    """For each point the name of the outline, a GeoJSON geometry, that it lies in; None if it lies in none, or there is none."""
    names = np.array([name for name, _ in outlines] + [None], dtype=object)
    tree = shapely.STRtree([shapely.from_geojson(outline) for _, outline in outlines])
    at = shapely.points(longitudes.astype("float64"), latitudes.astype("float64"))
    points, polygons = tree.query(at, predicate="intersects")
    place = np.full(len(longitudes), len(outlines))
    place[points] = polygons
    return np.asarray(names[place])
