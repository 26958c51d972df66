"""The places of a new published file: every address with its point, its street, and the business improvement area around it."""

import numpy as np
import sqlalchemy as sa

from vanc311_pipeline.reading.places import improvement_areas, streets_of
from vanc311_pipeline.schema import places
from vanc311_pipeline.warehouse.areas import outlines_around
from vanc311_pipeline.warehouse.rows import insert

_AT_A_PLACE = "(address IS NOT NULL OR latitude IS NOT NULL)"
_SAME = "address IS at.address AND latitude IS at.latitude AND longitude IS at.longitude"
_PLACES = f"""
    SELECT address, latitude, longitude, (SELECT local_area FROM service_requests WHERE rowid = at.first), requests,
           (SELECT count(*) FROM service_requests WHERE {_SAME} AND status = 'Open' AND {_AT_A_PLACE})
    FROM (
        SELECT address, latitude, longitude, min(rowid) AS first, count(*) AS requests FROM service_requests
        WHERE {_AT_A_PLACE} GROUP BY address, latitude, longitude
    ) AS at
    ORDER BY latitude, longitude, address
"""
"""In the order of latitude, so that neighbours lie beside each other in the file. The indexes of requests by place answer it."""


def fill_places(connection: sa.Connection) -> None:
    """Find the places of the requests in a new file, and write them into it."""
    rows = connection.exec_driver_sql(_PLACES).all()
    # What the disk has spoiled is no number, and the table refuses it.
    latitudes, longitudes = (
        np.array([row[column] if isinstance(row[column], float) else np.nan for row in rows]) for column in (1, 2)
    )
    around = outlines_around(improvement_areas(), longitudes, latitudes)
    insert(
        connection,
        places,
        [
            (number, address, latitude, longitude, *streets_of(address), area, improvement_area, requests, waiting)
            for number, ((address, latitude, longitude, area, requests, waiting), improvement_area) in enumerate(
                zip(rows, around, strict=True), 1
            )
        ],
    )
