"""The local areas as a map that is part of the page: a shape and a link for each, coloured only where the words beside it allow that.

A map never shows raw counts: large areas would shout. What can't be told from the city is grey.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa
from shapely.geometry import shape

from vanc311_pipeline import schema
from vanc311_pipeline.charts import areas, words
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.release import Release

WIDTH = 720
TOLERANCE = 1.5
"""By how much an outline may be moved to make it simpler, where the map is WIDTH wide: 30 metres."""
LINE_HEIGHT = 14
QUESTIONS = {
    "open_after_30_days": "Of what was reported in the area, were more or fewer still open after 30 days than the same kinds of "
    "request in the whole city?",
    "closings": "Is what is reported in the area closed faster (more) or slower (fewer) than the same kinds of request in the whole city?",
}
NAMES = {"open_after_30_days": "map", "closings": "map-closings"}
MEASURES = {
    "map": ("/", "still open after 30 days"),
    "map-closings": ("/areas", "how fast they are closed"),
    "rates": ("/areas", "requests per 1,000 residents (2016)"),
}
"""Of each map, by its name, the page that it is on and what it measures."""
WITHHELD = "too few"
SCALE = (
    *("clearly more", "more", "somewhat more", "about the same", "somewhat fewer", "fewer", "clearly fewer"),
    *("unclear", WITHHELD),
)


class Judged(NamedTuple):
    """What is told of an area: how it compares, the numbers with their n, and what stands below its name on the map, if anything."""

    verdict: str
    says: str
    mark: str | None


@dataclass(frozen=True)
class Outline:
    """An area's shape in an SVG, and where its name stands."""

    path: str
    x: int
    y: int


@dataclass(frozen=True)
class Area:
    name: str
    url: str
    outline: Outline
    verdict: str
    says: str
    mark: str | None

    @property
    def lines(self) -> list[tuple[int, str]]:
        """The name, broken where it can be, and what stands below it; each with the height of its line."""
        texts = [*re.findall(r"[^\s-]+-?", self.name), *([self.mark] if self.mark else [])]
        first = self.outline.y - (len(texts) - 2) * LINE_HEIGHT // 2 - LINE_HEIGHT // 3
        return [(first + place * LINE_HEIGHT, text) for place, text in enumerate(texts)]


@dataclass(frozen=True)
class AreaMap:
    name: str
    finding: str
    note: str
    metric: str
    width: int
    height: int
    areas: list[Area]
    """By name."""

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Which verdicts there are, in the order of the scale, and of how many areas."""
        number = Counter(area.verdict for area in self.areas)
        return [(verdict, number[verdict]) for verdict in SCALE if number[verdict]]


def area_map(release: Release, view: View, measure: str = "open_after_30_days") -> AreaMap | None:
    """The areas against the city by one measure; each leads to its page of the view's period. None without a comparison."""
    table = schema.area_comparison
    rows = release.records(sa.select(table).where(table.c.measure == measure).order_by(table.c.local_area))
    if not rows:
        return None
    compared = pd.DataFrame(rows)
    judged = {
        row["local_area"]: Judged(
            row["verdict"] or WITHHELD,
            f"{_against_the_city(row)}, n = {words.whole(row['n'])}",
            f"{_signed(row['ratio'])} %" if row["verdict"] in areas.DIFFERING else None,
        )
        for row in rows
    }
    note = f"{QUESTIONS[measure]} {areas.whom(compared)} {_on_none(release)} {areas.among_areas(compared)} {words.as_of(compared)}"
    return _drawn(release, view, NAMES[measure], areas.finding(compared), note, "ratio", judged)


def rate_map(release: Release, view: View) -> AreaMap | None:
    """Requests on a thousand residents; an area has a colour where its limits leave out the rate of all areas. None without rates."""
    rows = records_of_group(release, schema.area_rates, Group("neighbourhood"), scope="located")
    residents = sum(row["residents"] for row in rows)
    if not residents:
        return None
    number = sum(row["requests"] for row in rows)
    rate = 1_000 * number / residents
    judged = {row["local_area"]: _rated(row, rate) for row in rows}
    of_year = f"per 1,000 residents of {rows[0]['census_year']}"
    differing = {
        verdict: [area for area, each in judged.items() if each.verdict == verdict] for verdict in ("more", "fewer")
    }
    parts = [f"{verdict} in {words.listed(names)}" for verdict, names in differing.items() if names]
    finding = f"{words.requests(round(rate))} {of_year} in all areas together; {'; '.join(parts) or 'none can be told from that'}."
    note = (
        f"Opened in the last 12 months, n = {words.whole(number)}. In brackets: 95 % limits. {_on_none(release)} Downtown, Mount Pleasant and "
        f"Marpole have grown most since {rows[0]['census_year']}: their rates are overstated. Who reports can't be seen, nor who only "
        f"works or visits here. {words.as_of(pd.DataFrame(rows))}"
    )
    return _drawn(release, view, "rates", finding, note, "per_1000_residents", judged)


def _rated(row: Mapping[str, Any], rate: float) -> Judged:
    says = f"n = {words.whole(row['requests'])}"
    if row["state"] != State.OK:
        return Judged(WITHHELD, f"{words.days_or_why(None, row['state'])}, {says}", None)
    here, low, high = (row[f"per_1000_residents{end}"] for end in ("", "_low", "_high"))
    verdict = "more" if low > rate else "fewer" if high < rate else "unclear"
    return Judged(
        verdict, f"{words.whole(here)} ({words.whole(low)} to {words.whole(high)}), {says}", words.whole(here)
    )


def _drawn(
    release: Release, view: View, name: str, finding: str, note: str, metric: str, judged: Mapping[str, Judged]
) -> AreaMap:
    """The map of what was judged of each area."""
    of = schema.local_areas.c
    height, outlines = _outlines(release.remembered("boundaries", lambda: sa.select(of.local_area, of.boundary)))
    shapes = [Area(area, view.but(area=area, issue=None).url, outlines[area], *judged[area]) for area in sorted(judged)]
    return AreaMap(name, finding, note, metric, WIDTH, height, shapes)


def _on_none(release: Release) -> str:
    city = schema.metrics_citywide.c
    volume = {row["scope"]: row["volume"] for row in release.records(sa.select(city.scope, city.volume))}
    share = words.percent(1 - volume["located"] / volume["all"] if volume["all"] else None)
    return f"{share} of all requests in the record have no local area and are not counted here."


def _against_the_city(row: dict[str, Any]) -> str:
    if row["state"] != State.OK:
        return words.days_or_why(None, str(row["state"]))
    least, most = (_signed(row[f"ratio_{end}"]) for end in ("low", "high"))
    return f"{row['verdict']}: {_signed(row['ratio'])} % ({least} to {most})"


def _signed(ratio: float) -> str:
    """A ratio as a change in per cent: `1.35` is +35."""
    return words.change(100 * (ratio - 1))


@lru_cache(maxsize=2)
def _outlines(boundaries: tuple[tuple[str, str], ...]) -> tuple[int, dict[str, Outline]]:
    """How high the map is, and the outline of each area: simplified together, so that neighbours still share their border."""
    shapes = np.array([shape(json.loads(boundary)) for _, boundary in boundaries])
    west, south, east, north = shapely.total_bounds(shapes)
    narrowing = math.cos(math.radians((south + north) / 2))  # a degree of longitude against one of latitude
    scale = WIDTH / ((east - west) * narrowing)

    def placed(points: np.ndarray) -> np.ndarray:
        return np.column_stack([(points[:, 0] - west) * narrowing * scale, (north - points[:, 1]) * scale])

    shapes = shapely.coverage_simplify(shapely.transform(shapes, placed), TOLERANCE)
    outlines = {
        name: Outline(_path(each), *_place_of_name(each)) for (name, _), each in zip(boundaries, shapes, strict=True)
    }
    return math.ceil((north - south) * scale), outlines


def _place_of_name(outline: shapely.Geometry) -> tuple[int, int]:
    """The middle of the line across the shape at the height where it is roomiest."""
    (_, y), *_ = shapely.maximum_inscribed_circle(outline).coords
    across = shapely.get_parts(shapely.intersection(outline, shapely.LineString([(0, y), (WIDTH, y)])))
    longest = across[np.argmax(shapely.length(across))]
    return round(longest.centroid.x), round(y)


def _path(outline: shapely.Geometry) -> str:
    """A shape as SVG writes it: each ring from its first point in steps."""
    rings = [ring for polygon in shapely.get_parts(outline) for ring in shapely.get_rings(polygon)]
    return "".join(_ring(shapely.get_coordinates(ring).round().astype(int).tolist()) for ring in rings)


def _ring(points: list[list[int]]) -> str:
    x, y = points[0]
    steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(points[:-1])]
    return f"M{x} {y}l" + " ".join(f"{dx} {dy}" for dx, dy in steps if dx or dy) + "z"
