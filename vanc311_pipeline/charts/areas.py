"""Areas, each against the city, never against each other, never ranked, with intervals. From `area_comparison`."""

from typing import Any

import numpy as np
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, for_reading
from vanc311_pipeline.metric_definitions import State

SHOWN = [
    "n", "observed", "expected", "ratio", "ratio_low", "ratio_high", "shrunken_ratio", "verdict", "among_areas", "state",
]  # fmt: skip
NOTHING_TO_COMPARE = "No area has requests enough for a comparison."
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


def comparison(rows: pd.DataFrame) -> Figure:
    """Observed / expected of each area by one measure with its interval, by name, and where nearly all areas would lie."""
    rows = rows.sort_values("local_area", ignore_index=True)
    measure = str(rows["measure"].iloc[0])
    _, above = _MEANS[measure]
    known = rows[rows["state"] == State.OK]
    # Where an area would lie nearly always that differs no more than areas usually do: by τ, and by its own chance.
    spread = 2 * np.sqrt(known["tau"].astype(float) ** 2 + known["se_log_ratio"].astype(float) ** 2)
    known = known.assign(usual_low=np.exp(-spread), usual_high=np.exp(spread))
    seen = [verdict for verdict in VERDICTS if verdict in set(known["verdict"])]
    pointing = {"more": "triangle-right", "fewer": "triangle-left"}
    told = {
        "domain": _domain(known), "areas": list(rows["local_area"]),
        "verdicts": seen, "shapes": [pointing.get(verdict.split()[-1], "circle") for verdict in seen],
    }  # fmt: skip
    withheld = rows.loc[rows["state"] != State.OK, "local_area"].tolist()
    return Figure(
        f"areas-{measure.replace('_', '-')}",
        finding(rows),
        f"Ratio above 1: {above}. {whom(rows)} Lines: 95 % intervals. Grey: where nearly all areas would lie if they differed "
        f"only as much as areas usually do. {among_areas(rows)}",
        rows["as_of"].iloc[0],
        "ratio",
        int(rows["n"].sum()),
        "requests compared",
        rows[["local_area", *SHOWN]],
        _in_words(rows),
        known,
        told,
        "Areas are compared with the city, not with each other.",
        picture="areas",
        height=470,
        empty=known.empty,
        notes=(f"Too few requests for a ratio: {', '.join(withheld)}.",) if withheld else (),
    )


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    """The areas by name, each with its ratio, its interval and what they mean, or why there is none."""
    ratio, low, high = (rows[f"ratio{end}"].map(words.ratio) for end in ("", "_low", "_high"))
    withheld = rows["state"].map(lambda state: words.WITHHELD.get(state, ""))
    known = withheld == ""
    told: dict[str, Any] = {
        "area": "local_area", "n": "n", "observed": "observed", "expected": rows["expected"].map(words.mean),
        "ratio": ratio.where(known, withheld), "95 % interval": (low + " to " + high).where(known, ""),
        "different from the city?": "verdict", "unusual among areas?": "among_areas",
    }  # fmt: skip
    return for_reading(rows, told)


def _domain(known: pd.DataFrame) -> list[float]:
    """From the least to the greatest limit, at least from a half to two; a limit of 0 has no place on a log scale."""
    limits = known[["ratio_low", "ratio_high", "usual_low", "usual_high"]].to_numpy(dtype=float)
    limits = limits[limits > 0.05]
    return [min([0.5, *limits]), max([2.0, *limits])]


def whom(rows: pd.DataFrame) -> str:
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


def finding(rows: pd.DataFrame) -> str:
    """Which areas are shown to differ from the city: those that clearly do by name, the others by name if there are no such."""
    known = rows[rows["state"] == State.OK]
    if known.empty:
        return NOTHING_TO_COMPARE
    areas = {verdict: known.loc[known["verdict"] == verdict, "local_area"].tolist() for verdict in VERDICTS}
    differing = [verdict for verdict in DIFFERING if areas[verdict]]
    if not differing:
        same, unclear = (len(areas[verdict]) for verdict in ALIKE)
        return f"No area is shown to differ from the city, given what is reported in each: {same} about the same, {unclear} unclear."
    named = [verdict for verdict in differing if verdict.startswith("clearly")] or differing
    parts = [f"{verdict} in {words.listed(areas[verdict])}" for verdict in named]
    parts += [f"{verdict} in {len(areas[verdict])}" for verdict in differing if verdict not in named]
    noun = _MEANS[str(rows["measure"].iloc[0])][0]
    return f"{noun} against what the same types of request give in the whole city: {'; '.join(parts)}."
