"""Outcomes: how closed requests were closed. From `outcomes`."""

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import figure, words
from vanc311_pipeline.charts.figure import Figure, tip
from vanc311_pipeline.registry import METRICS, MINIMUM_N, State


def shares(rows: pd.DataFrame, group: str) -> Figure:
    """The share of each outcome group among the closed requests, with its interval.

    Args:
        rows: of `outcomes`, of one group and period.
    """
    rows = rows.sort_values("outcome_order", ignore_index=True)
    known = rows[rows["state"] == State.OK]
    base = alt.Chart(known).encode(
        alt.Y("outcome:N", sort=list(rows["outcome"]), title=None),
        tooltip=["outcome:N", tip("outcome_share:Q", ".1%", "share"), tip("closed_as:Q", ",", "closed so")],
    )
    longest = 1.2 * known["outcome_share_high"].max()  # with room for its label
    scale = alt.Scale(domain=[0, longest], nice=False)
    share = alt.X("outcome_share:Q", title="share of the closed requests", axis=figure.shares(), scale=scale)
    limits = base.mark_rule(strokeWidth=1.5).encode(alt.X("outcome_share_low:Q"), alt.X2("outcome_share_high:Q"))
    label = base.mark_text(align="left", dx=6).encode(
        alt.X("outcome_share_high:Q"), alt.Text("outcome_share:Q", format=".1%")
    )
    closed, still_open = (int(rows[name].max()) if len(rows) else 0 for name in ("closed", "open_requests"))
    return Figure(
        "outcomes",
        _largest(known, closed),
        f"{group}, opened {words.period(str(rows['period'].iloc[0]))}; n = {words.requests(closed)} closed, "
        f"{words.whole(still_open)} still open. 95 % intervals. {words.as_of(rows)}",
        f"{METRICS['outcome_share'].definition} Closed does not mean fixed; the groups are our "
        "reading of the city's reasons.",
        rows[["outcome", "closed_as", "closed", "outcome_share", "outcome_share_low", "outcome_share_high", "state"]],
        alt.layer(base.mark_bar().encode(share), limits, label),
        height=200,
        empty=known.empty,
    )


def _largest(known: pd.DataFrame, closed: int) -> str:
    if known.empty:
        return f"Fewer than {MINIMUM_N} closed requests (n = {words.whole(closed)}): no share is given."
    most = known.sort_values("outcome_share").iloc[-1]
    return f"{words.percent(most['outcome_share'])} of the closed requests were closed as “{most['outcome']}”."
