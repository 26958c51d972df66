"""Areas, each against the city, never against each other, never ranked: on a map, and with intervals. From `area_comparison`.

A map never shows raw counts: large areas would shout. Ratios around 1 are on a diverging scale, so that 1 is the middle.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, tip
from vanc311_pipeline.registry import METRICS, State

MEANING = f"{METRICS['ratio'].definition} Areas are compared with the city, not with each other."
SHOWN = ["n", "observed", "expected", "ratio", "ratio_low", "ratio_high", "finding", "state"]
NOTHING_TO_COMPARE = "No area has requests enough for a comparison."
WITHIN_CHANCE = "not distinguishable"
_MEANS = {
    "open_after_30_days": (
        "open after 30 days",
        "more requests still open after 30 days than the same types of request city-wide",
    ),
    "closings": ("closings", "faster than the same types of request city-wide"),
}

LIMITS = [0.67, 0.87, 1.15, 1.5]
CLASSES = ["below 0.67", "0.67 to 0.87", "0.87 to 1.15", "1.15 to 1.5", "above 1.5"]
WITHHELD = "too few"
COLOURS = dict(
    zip([*CLASSES, WITHHELD], ["#5e3c99", "#b2abd2", "#f7f7f7", "#fdb863", "#e66101", "#8c959f"], strict=True)
)
DECIMALS = 4
MAP_HEIGHT = 330


def comparison(rows: pd.DataFrame) -> Figure:
    """Observed / expected of each area by one measure with its interval, by name, and the limits within which chance may move it."""
    rows = rows.sort_values("local_area", ignore_index=True)
    measure = str(rows["measure"].iloc[0])
    short, above = _MEANS[measure]
    known = rows[rows["state"] == State.OK]
    scale = alt.Scale(type="log", nice=False, clamp=True, domain=_domain(known))
    base = alt.Chart(known).encode(
        alt.Y("local_area:N", sort=list(rows["local_area"]), title=None),
        tooltip=[
            "local_area:N",
            *(tip(f"{name}:Q", ".2f") for name in ("ratio", "ratio_low", "ratio_high")),
            tip("n:Q", ","),
            "finding:N",
        ],
    )
    title = f"{short}: observed / expected (log scale)"
    funnel = base.mark_bar(opacity=0.18, size=12).encode(
        alt.X("funnel_998_low:Q", scale=scale, title=title), alt.X2("funnel_998_high:Q")
    )
    limits = base.mark_rule(strokeWidth=1.5).encode(alt.X("ratio_low:Q", scale=scale), alt.X2("ratio_high:Q"))
    shapes = alt.Scale(domain=["more", "fewer", WITHIN_CHANCE], range=["triangle-right", "triangle-left", "circle"])
    dots = base.mark_point(filled=True, opacity=1).encode(
        alt.X("ratio:Q", scale=scale),
        size=alt.condition(alt.datum.finding != WITHIN_CHANCE, alt.value(110), alt.value(45)),
        shape=alt.Shape("finding:N", title=None, scale=shapes),
    )
    one = alt.Chart(pd.DataFrame({"city": [1.0]})).mark_rule(strokeDash=[4, 3]).encode(alt.X("city:Q", scale=scale))
    withheld = rows.loc[rows["state"] != State.OK, "local_area"].tolist()
    return Figure(
        f"areas-{measure.replace('_', '-')}",
        f"{_distinct(known)} from the city, given what is reported in each." if len(known) else NOTHING_TO_COMPARE,
        f"Ratio above 1: {above}. n = {words.requests(rows['n'].sum())} with a local area. Bars: where chance alone puts 99.8 %; "
        f"lines: 95 % intervals. {words.as_of(rows)}",
        MEANING,
        rows[["local_area", *SHOWN]],
        alt.layer(funnel, one, limits, dots),
        height=470,
        empty=known.empty,
        notes=(f"Too few requests for a ratio: {', '.join(withheld)}.",) if withheld else (),
    )


def _domain(known: pd.DataFrame) -> list[float]:
    """From the least to the greatest limit, at least from a half to two; a limit of 0 has no place on a log scale."""
    limits = known[["ratio_low", "ratio_high", "funnel_998_low", "funnel_998_high"]].to_numpy(dtype=float)
    limits = limits[limits > 0.05]
    return [min([0.5, *limits]), max([2.0, *limits])]


def _distinct(known: pd.DataFrame) -> str:
    ratios = known[known["finding"] != WITHIN_CHANCE].set_index("local_area")["ratio"]
    names = [f"{area} ({words.ratio(ratio)})" for area, ratio in ratios.items()]
    if not names:
        return "No area differs distinguishably"
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'}"


def area_map(rows: pd.DataFrame, everything: int) -> Figure:
    """The 22 areas by observed / expected, beside bars of the requests of each; pointing at one shows the other.

    Args:
        rows: those of the measure open_after_30_days, each with `volume`, `outline` (a GeoJSON geometry) and `link` of its area.
        everything: all requests, those without a local area included.
    """
    rows = rows.sort_values("volume", ascending=False, ignore_index=True)
    located = int(rows["volume"].sum())
    without = (everything - located) / everything if everything else None
    classes = pd.cut(rows["ratio"].astype(float), [-math.inf, *LIMITS, math.inf], labels=CLASSES).astype(object)
    rows["class"] = classes.where(rows["state"] == State.OK, WITHHELD)
    pointed = {"param": "area", "empty": False}
    shown = {name: colour for name, colour in COLOURS.items() if name in set(rows["class"])}
    shared: dict[str, Any] = {
        "tooltip": [
            tip("local_area:N", title="area"),
            tip("volume:Q", ",", "requests"),
            tip("ratio:Q", ".2f", "observed / expected"),
            tip("n:Q", ",", "n"),
            tip("finding:N", title="against the city"),
        ],
        "href": "link:N",
    }
    shapes = (
        alt.Chart(alt.InlineData(values=_features(rows)))
        .mark_geoshape(stroke="#59636e")
        .encode(
            alt.Color(
                "class:N",
                title="observed / expected",
                scale=alt.Scale(domain=list(shown), range=list(shown.values())),
                legend=alt.Legend(columns=3, orient="top"),
            ),
            strokeWidth=alt.StrokeWidthValue(0.7, condition=pointed | {"value": 3}),
            fillOpacity=alt.condition(alt.datum.finding == WITHIN_CHANCE, alt.value(0.55), alt.value(1)),
            **shared,
        )
        .project("mercator")
        .properties(name="map", width=330, height=MAP_HEIGHT)
    )
    bars = (
        alt.Chart(rows.drop(columns="outline"))
        .mark_bar()
        .encode(
            alt.Y("local_area:N", sort=list(rows["local_area"]), title=None),
            alt.X("volume:Q", title="requests", axis=alt.Axis(format="~s", tickCount=4)),
            opacity=alt.OpacityValue(0.7, condition=pointed | {"value": 1}),
            **shared,
        )
        .properties(name="bars", width=200, height=MAP_HEIGHT)
    )
    select = alt.PointSelectionConfig(type="point", fields=["local_area"], on="pointerover", clear="pointerout")
    both = alt.TopLevelSelectionParameter(name="area", select=select, views=["map", "bars"])
    return Figure(
        "map",
        finding(rows),
        f"Colour: requests still open after 30 days by what the city's rates give for the same types; "
        f"1 is as in the whole city, pale: within chance. Bars: requests, n = {words.whole(located)} with a local area; "
        f"{words.percent(without)} of all requests have none and are not on the map. {words.as_of(rows)}",
        MEANING,
        rows[["local_area", "volume", *SHOWN]],
        alt.hconcat(shapes, bars, spacing=24, params=[both]),
        height=None,
    )


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


def _features(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """GeoJSON features whose own members are the columns, as Vega-Lite reads them."""
    members = rows[["local_area", "volume", "ratio", "n", "finding", "class", "link"]].astype(object)
    records = members.where(members.notna(), None).to_dict("records")
    return [
        {"type": "Feature", "geometry": _rounded(outline)} | {str(name): value for name, value in record.items()}
        for record, outline in zip(records, rows["outline"], strict=True)
    ]


def _rounded(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """To eleven metres, and wound as d3 wants its rings: clockwise, or the area would be the rest of the world."""
    rings = geometry["coordinates"]
    wound = _wound(rings) if geometry["type"] == "Polygon" else [_wound(each) for each in rings]
    return {"type": geometry["type"], "coordinates": wound}


def _wound(rings: Sequence[Sequence[Sequence[float]]]) -> list[list[list[float]]]:
    wound = []
    for place, ring in enumerate(rings):
        points = [[round(x, DECIMALS), round(y, DECIMALS)] for x, y, *_ in ring]
        turn = sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in pairwise(points))
        wound.append(points if (turn > 0) == (place == 0) else points[::-1])
    return wound
