"""Time to close: the curve. From `time_to_close_curves` and the row of `time_to_close` that it belongs to."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, shares, tip
from vanc311_pipeline.registry import METRICS, MINIMUM_N, STATES, State

SHOWN_DAYS = 365
THIN_BELOW = 10


def curve(rows: pd.DataFrame, summary: Mapping[str, Any], group: str) -> Figure:
    """The share still open after each day, as steps with its 95 % interval; thin where fewer than 10 are followed.

    Args:
        rows: of `time_to_close_curves`, of one group and period.
        summary: the row of `time_to_close` of the same group and period.
    """
    rows = rows[rows["day"] <= SHOWN_DAYS].sort_values("day", ignore_index=True)
    day = alt.X(
        "day:Q",
        title="days after opening",
        scale=alt.Scale(type="sqrt", nice=False),
        axis=alt.Axis(values=[0, 1, 3, 7, 14, 30, 60, 90, 180, 365], grid=False, labelOverlap=True, format="d"),
    )
    base = alt.Chart(rows).encode(
        day,
        tooltip=[
            tip("day:Q", title="days after opening"),
            tip("open_share:Q", ".1%", "still open"),
            tip("at_risk:Q", ",", "followed so long"),
        ],
    )
    band = base.mark_area(style="band", interpolate="step-after").encode(
        alt.Y("open_share_low:Q", title="still open", axis=shares(), scale=alt.Scale(domain=[0, 1])),
        alt.Y2("open_share_high:Q"),
    )
    thin = base.mark_line(interpolate="step-after", strokeWidth=1, strokeDash=[3, 3]).encode(alt.Y("open_share:Q"))
    line = thin.mark_line(interpolate="step-after").transform_filter(alt.datum.at_risk >= THIN_BELOW)
    return Figure(
        "time-to-close",
        finding(summary),
        f"{group}, opened {words.period(summary['period'])}; n = {words.whole(summary['n'])}, of which "
        f"{words.whole(summary['still_open'])} are still open. 95 % interval. As of {words.day(summary['as_of'])}.",
        f"{METRICS['open_share'].definition} Closed does not mean fixed.",
        rows[["day", "at_risk", "closed_by", "open_share", "open_share_low", "open_share_high"]],
        alt.layer(band, thin, line),
        notes=_notes(summary),
    )


def finding(summary: Mapping[str, Any]) -> str:
    """The median and p90 in one sentence, or why there is none."""
    state = summary["median_state"]
    if state == State.TOO_FEW:
        return f"Fewer than {MINIMUM_N} requests (n = {words.whole(summary['n'])}): no statistic is given."
    if state == State.NOT_REACHED:
        return f"More than half are still open; they were followed for up to {words.days(summary['followed_days'])}."
    if state != State.OK:
        return STATES[State(state)]
    half = f"Half are closed within {words.days(summary['median_days'])}"
    if summary["p90_state"] != State.OK:
        return f"{half}; more than a tenth are still open after {words.days(summary['followed_days'])}, the longest followed."
    return f"{half}, nine in ten within {words.days(summary['p90_days'])}, counting those still open."


def _notes(summary: Mapping[str, Any]) -> tuple[str, ...]:
    left_out = {
        "opened before 2022-08-17": summary["n_static"],
        "opened after the last whole day": summary["n_after_as_of"],
        "closed before they were opened": summary["n_negative"],
        "closed without a date": summary["n_closed_without_date"],
    }
    reasons = [f"{words.whole(number)} {why}" for why, number in left_out.items() if number]
    return (f"Left out: {', '.join(reasons)}.",) if reasons else ()
