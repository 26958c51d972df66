"""Fair comparison of areas: each against the city, never against each other, never ranked. From `area_comparison`."""

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, tip
from vanc311_pipeline.registry import METRICS, State

MEANING = f"{METRICS['ratio'].definition} Areas are compared with the city, not with each other."
SHOWN = ["n", "observed", "expected", "ratio", "ratio_low", "ratio_high", "finding", "state"]
NOTHING_TO_COMPARE = "No area has requests enough for a comparison."
_MEANS = {
    "open_after_30_days": (
        "open after 30 days",
        "more requests still open after 30 days than the same types of request city-wide",
    ),
    "closings": ("closings", "faster than the same types of request city-wide"),
}


def areas(rows: pd.DataFrame) -> Figure:
    """Observed / expected of each area with its interval, by name, and the limits within which chance may move it.

    Args:
        rows: of `area_comparison`, of one measure.
    """
    rows = rows.sort_values("local_area", ignore_index=True)
    measure = str(rows["measure"].iloc[0])
    short, above = _MEANS[measure]
    known = rows[rows["state"] == State.OK]
    scale = alt.Scale(type="log", nice=False, clamp=True, domain=_domain(known))
    names = alt.Y("local_area:N", sort=list(rows["local_area"]), title=None)
    base = alt.Chart(known).encode(
        names,
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
    different = alt.condition(alt.datum.finding != "not distinguishable", alt.value(110), alt.value(45))
    dots = base.mark_point(filled=True, opacity=1).encode(
        alt.X("ratio:Q", scale=scale),
        size=different,
        shape=alt.Shape(
            "finding:N",
            title=None,
            scale=alt.Scale(
                domain=["more", "fewer", "not distinguishable"], range=["triangle-right", "triangle-left", "circle"]
            ),
        ),
    )
    one = alt.Chart(pd.DataFrame({"city": [1.0]})).mark_rule(strokeDash=[4, 3]).encode(alt.X("city:Q", scale=scale))
    withheld = rows.loc[rows["state"] != State.OK, "local_area"].tolist()
    distinct = known[known["finding"] != "not distinguishable"]
    return Figure(
        f"areas-{measure.replace('_', '-')}",
        f"{_those(distinct)} from the city, given what is reported in each." if len(known) else NOTHING_TO_COMPARE,
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


def _those(distinct: pd.DataFrame) -> str:
    if distinct.empty:
        return "No area differs distinguishably"
    ratios = distinct.set_index("local_area")["ratio"]
    names = [f"{area} ({words.ratio(ratio)})" for area, ratio in ratios.items()]
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'}"
