"""The areas on a map, each against the city, linked with bars of their requests. From `area_comparison` and the outlines.

A map never shows raw counts: large areas would shout. Ratios around 1 are on a diverging scale, so that 1 is the middle.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.comparison import MEANING, NOTHING_TO_COMPARE, SHOWN
from vanc311_pipeline.charts.figure import Figure, tip
from vanc311_pipeline.registry import State

LIMITS = [0.67, 0.87, 1.15, 1.5]
CLASSES = ["below 0.67", "0.67 to 0.87", "0.87 to 1.15", "1.15 to 1.5", "above 1.5"]
WITHHELD = "too few"
COLOURS = dict(
    zip([*CLASSES, WITHHELD], ["#5e3c99", "#b2abd2", "#f7f7f7", "#fdb863", "#e66101", "#8c959f"], strict=True)
)
DECIMALS = 4
MAP_HEIGHT = 330


def area_map(
    rows: pd.DataFrame,
    volumes: pd.DataFrame,
    everything: int,
    outlines: Mapping[str, Mapping[str, Any]],
    links: Mapping[str, str],
) -> Figure:
    """The 22 areas by observed / expected, beside bars of the requests of each; pointing at one shows the other.

    Args:
        rows: of `area_comparison`, of the measure open_after_30_days.
        volumes: `local_area` and `volume`, the requests of each area.
        everything: all requests, those without a local area included.
        outlines: the areas' GeoJSON geometries.
        links: the address of each area's page.
    """
    joined = rows.merge(volumes, on="local_area", how="left").sort_values("volume", ascending=False, ignore_index=True)
    located = int(joined["volume"].sum())
    without = (everything - located) / everything if everything else None
    classes = pd.cut(joined["ratio"].astype(float), [-math.inf, *LIMITS, math.inf], labels=CLASSES).astype(object)
    joined["class"] = classes.where(joined["state"] == State.OK, WITHHELD)
    joined["link"] = joined["local_area"].map(dict(links))
    pointed = {"param": "area", "empty": False}
    shown = {name: colour for name, colour in COLOURS.items() if name in set(joined["class"])}
    colour = alt.Color(
        "class:N",
        title="observed / expected",
        scale=alt.Scale(domain=list(shown), range=list(shown.values())),
        legend=alt.Legend(columns=3, orient="top"),
    )
    tooltip = [
        tip("local_area:N", title="area"),
        tip("volume:Q", ",", "requests"),
        tip("ratio:Q", ".2f", "observed / expected"),
        tip("n:Q", ",", "n"),
        tip("finding:N", title="against the city"),
    ]
    shapes = (
        alt.Chart(alt.InlineData(values=_features(joined, outlines)))
        .mark_geoshape(stroke="#59636e")
        .encode(
            colour,
            strokeWidth=alt.StrokeWidthValue(0.7, condition=pointed | {"value": 3}),
            fillOpacity=alt.condition(alt.datum.finding == "not distinguishable", alt.value(0.55), alt.value(1)),
            tooltip=tooltip,
            href="link:N",
        )
        .project("mercator")
        .properties(name="map", width=330, height=MAP_HEIGHT)
    )
    bars = (
        alt.Chart(joined)
        .mark_bar()
        .encode(
            alt.Y("local_area:N", sort=list(joined["local_area"]), title=None),
            alt.X("volume:Q", title="requests", axis=alt.Axis(format="~s", tickCount=4)),
            opacity=alt.OpacityValue(0.7, condition=pointed | {"value": 1}),
            tooltip=tooltip,
            href="link:N",
        )
        .properties(name="bars", width=200, height=MAP_HEIGHT)
    )
    return Figure(
        "map",
        finding(joined),
        f"Colour: requests still open after 30 days by what the city's rates give for the same types; "
        f"1 is as in the whole city, pale: within chance. Bars: requests, n = {words.whole(located)} with a local area; "
        f"{words.percent(without)} of all requests have none and are not on the map. {words.as_of(rows)}",
        MEANING,
        joined[["local_area", "volume", *SHOWN]],
        _linked(shapes, bars),
        height=None,
    )


def _linked(shapes: alt.Chart, bars: alt.Chart) -> alt.HConcatChart:
    """Side by side; the area that is pointed at stands out in both."""
    config = alt.PointSelectionConfig(type="point", fields=["local_area"], on="pointerover", clear="pointerout")
    both = alt.TopLevelSelectionParameter(name="area", select=config, views=["map", "bars"])
    return alt.hconcat(shapes, bars, spacing=24, params=[both])


def finding(rows: pd.DataFrame) -> str:
    """Which areas differ from the city beyond chance."""
    known = rows[rows["state"] == State.OK]
    if known.empty:
        return NOTHING_TO_COMPARE
    more, fewer = (known.loc[known["finding"] == which, "local_area"].tolist() for which in ("more", "fewer"))
    if not (more or fewer):
        return "No area differs distinguishably from the city, given what is reported in each."
    still_open = "requests are still open after 30 days in"
    if more and fewer:
        differences = f"more {still_open} {words.listed(more)}, and fewer in {words.listed(fewer)},"
    else:
        differences = f"{'more' if more else 'fewer'} {still_open} {words.listed(more or fewer)}"
    return f"Given what is reported in each area, {differences} than city-wide."


def _features(rows: pd.DataFrame, outlines: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """GeoJSON features whose own members are the columns, as Vega-Lite reads them."""
    kept = ["local_area", "volume", "ratio", "n", "finding", "class", "link"]
    records = rows[kept].astype(object).where(rows[kept].notna(), None).to_dict("records")
    return [
        {"type": "Feature", "geometry": _rounded(outlines[row["local_area"]])} | {str(k): v for k, v in row.items()}
        for row in records
        if row["local_area"] in outlines
    ]


def _rounded(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """To eleven metres, and wound as d3 wants its rings: clockwise, or the area would be the rest of the world."""
    rings = geometry["coordinates"]
    return {
        "type": geometry["type"],
        "coordinates": _wound(rings) if geometry["type"] == "Polygon" else [_wound(each) for each in rings],
    }


def _wound(rings: Sequence[Sequence[Sequence[float]]]) -> list[list[list[float]]]:
    wound = []
    for place, ring in enumerate(rings):
        points = [[round(x, DECIMALS), round(y, DECIMALS)] for x, y, *_ in ring]
        turn = sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in pairwise(points))
        wound.append(points if (turn > 0) == (place == 0) else points[::-1])
    return wound
