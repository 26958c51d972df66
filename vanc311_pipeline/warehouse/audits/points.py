"""Where the requests' coordinates lie, found once for the audits that ask."""

from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.warehouse.areas import areas_of_points
from vanc311_pipeline.warehouse.audits.questions import EXAMPLES, Months, in_words, requests_of
from vanc311_pipeline.warehouse.rows import months_of


@dataclass(frozen=True)
class Points:
    """Where the requests' coordinates lie."""

    points: int = 0
    outside: int = 0
    """In none of the 22 areas."""
    stated: int = 0
    """Whose request names an area."""
    elsewhere: int = 0
    """Of these, in another one."""
    some_outside: tuple[str, ...] = ()
    some_elsewhere: tuple[str, ...] = ()
    """Some of them, in words."""

    def __add__(self, other: "Points") -> "Points":
        return Points(
            self.points + other.points,
            self.outside + other.outside,
            self.stated + other.stated,
            self.elsewhere + other.elsewhere,
            (self.some_outside + other.some_outside)[:EXAMPLES],
            (self.some_elsewhere + other.some_elsewhere)[:EXAMPLES],
        )


def locate(connection: sa.Connection, months: Months) -> Points:
    """Find the area that each point lies in."""
    return sum((_locate(connection, month) for month in months_of(connection, months)), Points())


def _locate(connection: sa.Connection, month: str) -> Points:
    columns = ["request_id", "issue_type", "latitude", "longitude", "local_area"]
    frame = requests_of(connection, columns, month, "latitude IS NOT NULL AND longitude IS NOT NULL")
    inside = areas_of_points(connection, frame["longitude"].to_numpy(), frame["latitude"].to_numpy())
    outside = pd.isna(inside)
    stated = frame["local_area"].notna().to_numpy()
    elsewhere = stated & (inside != frame["local_area"].to_numpy(dtype=object))
    lying = frame.assign(**{"the point lies in": inside})
    return Points(
        len(frame),
        int(outside.sum()),
        int(stated.sum()),
        int(elsewhere.sum()),
        *(
            tuple(in_words(row) for row in lying[which].head(EXAMPLES).to_dict("records"))
            for which in (outside, elsewhere)
        ),
    )
