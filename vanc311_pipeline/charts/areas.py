"""Areas, each against the city, never against each other, never ranked: on a map, and with intervals. From `area_comparison`.

A map never shows raw counts: large areas would shout. Ratios around 1 are on a diverging scale, so that 1 is the middle.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry import mapping, shape

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, picture, records
from vanc311_pipeline.metric_definitions import METRICS, State

MEANING = f"{METRICS['ratio'].definition} Areas are compared with the city, not with each other."
SHOWN = [
    "n", "observed", "expected", "ratio", "ratio_low", "ratio_high", "shrunken_ratio", "verdict", "among_areas", "state",
]  # fmt: skip
NOTHING_TO_COMPARE = "No area has requests enough for a comparison."
STANDARDISED = ["standardised_share", "standardised_share_low", "standardised_share_high", "standardised_share_state"]
ALIKE = ("about the same", "unclear")
DIFFERING = ("clearly more", "clearly fewer", "somewhat more", "somewhat fewer")
VERDICTS = (*DIFFERING, *ALIKE)
_MEANS = {
    "open_after_30_days": (
        "Requests still open after 30 days",
        "more requests still open after 30 days than the same types of request city-wide",
    ),
    "closings": ("Closings", "faster than the same types of request city-wide"),
}

LIMITS = [0.67, 0.87, 1.15, 1.5]
CLASSES = ["below 0.67", "0.67 to 0.87", "0.87 to 1.15", "1.15 to 1.5", "above 1.5"]
WITHHELD = "too few"
COLOURS = dict(
    zip([*CLASSES, WITHHELD], ["#5e3c99", "#b2abd2", "#f7f7f7", "#fdb863", "#e66101", "#8c959f"], strict=True)
)
DECIMALS = 4


def comparison(rows: pd.DataFrame) -> Figure:
    """Observed / expected of each area by one measure with its interval, by name, and where nearly all areas would lie."""
    rows = rows.sort_values("local_area", ignore_index=True)
    measure = str(rows["measure"].iloc[0])
    short, above = _MEANS[measure]
    known = rows[rows["state"] == State.OK]
    # Where an area would lie nearly always that differs no more than areas usually do: by τ, and by its own chance.
    spread = 2 * np.sqrt(known["tau"].astype(float) ** 2 + known["se_log_ratio"].astype(float) ** 2)
    known = known.assign(usual_low=np.exp(-spread), usual_high=np.exp(spread))
    seen = [verdict for verdict in VERDICTS if verdict in set(known["verdict"])]
    pointing = {"more": "triangle-right", "fewer": "triangle-left"}
    chart = picture(
        "areas",
        known,
        title=f"{short}: observed / expected (log scale)",
        domain=_domain(known),
        areas=list(rows["local_area"]),
        verdicts=seen,
        shapes=[pointing.get(verdict.split()[-1], "circle") for verdict in seen],
    )
    withheld = rows.loc[rows["state"] != State.OK, "local_area"].tolist()
    return Figure(
        f"areas-{measure.replace('_', '-')}",
        finding(rows),
        f"Ratio above 1: {above}. {_whom(rows)} Lines: 95 % intervals. Grey: where nearly all areas would lie if they differed "
        f"only as much as areas usually do. {among_areas(rows)} {words.as_of(rows)}",
        MEANING,
        rows[["local_area", *SHOWN]],
        chart,
        height=470,
        empty=known.empty,
        notes=(f"Too few requests for a ratio: {', '.join(withheld)}.",) if withheld else (),
    )


def _domain(known: pd.DataFrame) -> list[float]:
    """From the least to the greatest limit, at least from a half to two; a limit of 0 has no place on a log scale."""
    limits = known[["ratio_low", "ratio_high", "usual_low", "usual_high"]].to_numpy(dtype=float)
    limits = limits[limits > 0.05]
    return [min([0.5, *limits]), max([2.0, *limits])]


def _whom(rows: pd.DataFrame) -> str:
    """Which requests are compared, whatever period the page is about."""
    first, last = (words.day(rows[f"opened_{end}"].iloc[0]) for end in ("from", "to"))
    return f"Requests opened {first} to {last} (whatever period is chosen), n = {words.whole(rows['n'].sum())}."


def among_areas(rows: pd.DataFrame) -> str:
    """How much areas usually differ, and which differ more than that."""
    known = rows[(rows["state"] == State.OK) & rows["tau"].notna()]
    if known.empty:
        return "How much areas usually differ is not known."
    outside = known.loc[known["among_areas"] == "outside", "local_area"].tolist()
    beyond = f"outside that, chance allowed for: {words.listed(outside)}" if outside else "none is outside that"
    return f"{words.usual_spread(float(known['tau'].iloc[0]))}; {beyond}."


def area_map(rows: pd.DataFrame, without: float | None) -> Figure:
    """The 22 areas by observed / expected, beside bars of the requests of each; pointing at one shows the other. The rows are those of
    open_after_30_days, each with `outline` (GeoJSON) and `link` of its area; `without` is the share of requests that have no area.
    """
    rows = rows.sort_values("n", ascending=False, ignore_index=True)
    classes = pd.cut(rows["ratio"].astype(float), [-math.inf, *LIMITS, math.inf], labels=CLASSES).astype(object)
    rows["class"] = classes.where(rows["state"] == State.OK, WITHHELD)
    shown = {name: colour for name, colour in COLOURS.items() if name in set(rows["class"])}
    chart = picture(
        "map",
        rows.drop(columns="outline"),
        areas=list(rows["local_area"]),
        classes=list(shown),
        colours=list(shown.values()),
    )
    chart["datasets"]["outlines"] = _features(rows)
    return Figure(
        "map",
        finding(rows),
        f"Colour: of what was reported in the area, were more or fewer still open after 30 days than the same kinds of request "
        f"in the whole city? White: about as many; pale: unclear. Bars: how many were reported. {_whom(rows)} "
        f"{words.percent(without)} of all requests in the record have no local area and are not on the map. {among_areas(rows)} "
        f"{words.as_of(rows)}",
        MEANING,
        rows[["local_area", *SHOWN, "supported_weight", *STANDARDISED]],
        chart,
        height=None,
    )


def finding(rows: pd.DataFrame) -> str:
    """Which areas are shown to differ from the city."""
    known = rows[rows["state"] == State.OK]
    if known.empty:
        return NOTHING_TO_COMPARE
    areas = {verdict: known.loc[known["verdict"] == verdict, "local_area"].tolist() for verdict in VERDICTS}
    differing = [verdict for verdict in DIFFERING if areas[verdict]]
    if not differing:
        same, unclear = (len(areas[verdict]) for verdict in ALIKE)
        return f"No area is shown to differ from the city, given what is reported in each: {same} about the same, {unclear} unclear."
    parts = [f"{verdict} in {words.listed(areas[verdict])}" for verdict in differing]
    noun = _MEANS[str(rows["measure"].iloc[0])][0]
    return f"{noun} against what the same types of request give in the whole city: {'; '.join(parts)}."


def _features(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """GeoJSON features whose own members are the columns, as Vega-Lite reads them."""
    members = rows[["local_area", "ratio", "n", "verdict", "among_areas", "standardised_share", "class", "link"]]
    return [
        {"type": "Feature", "geometry": _wound(outline)} | member
        for member, outline in zip(records(members), rows["outline"], strict=True)
    ]


def _wound(outline: Mapping[str, Any]) -> dict[str, Any]:
    """To eleven metres, and wound as d3 wants its rings: clockwise, or the area would be the rest of the world."""
    clockwise = shapely.orient_polygons(shape(outline), exterior_cw=True)
    return mapping(shapely.transform(clockwise, lambda points: points.round(DECIMALS)))  # type: ignore[no-any-return]
