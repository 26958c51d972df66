"""Bars: how old the open requests are, and how closed ones were closed. From `backlog_by_age` and `outcomes`."""

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import COUNTS, SHARES, Figure, tip
from vanc311_pipeline.registry import METRICS, MINIMUM_N, State


def by_age(rows: pd.DataFrame, group: str) -> Figure:
    """The open requests of a group in bands of age."""
    rows = rows.sort_values("band_order", ignore_index=True)
    shown = rows[(rows["band_order"] < len(rows)) | (rows["open_requests"] > 0)]
    domain = [0, max(1.0, 1.15 * shown["open_requests"].max())]  # with room for the longest one's label
    base = alt.Chart(shown).encode(
        alt.Y("age_band:N", sort=list(shown["age_band"]), title="days open"),
        alt.X("open_requests:Q", title="open requests", axis=COUNTS, scale=alt.Scale(domain=domain, nice=False)),
        tooltip=["age_band:N", tip("open_requests:Q", ","), tip("share_of_open:Q", ".1%")],
    )
    label = base.mark_text(align="left", dx=4).encode(alt.Text("open_requests:Q", format=","))
    total, static = int(rows["open_requests"].sum()), int(rows["n_static"].sum())
    oldest = rows.loc[rows["age_band"] == "over 365", "open_requests"].sum()
    finding = "No request is open."
    if total:
        share = words.percent(oldest / total)
        finding = (
            f"Of {words.requests(total)} that {words.be(total)} open, {words.whole(oldest)} ({share}) "
            f"{words.be(oldest, 'has', 'have')} been open for over a year."
        )
    note = f"{words.whole(static)} of them were opened before 2022-08-17: whether they are still open is not known."
    return Figure(
        "backlog-by-age",
        finding,
        f"{group}. n = {words.requests(total)} with status Open. {words.as_of(rows)}",
        METRICS["open_requests"].definition,
        rows[["age_band", "open_requests", "located", "n_static", "share_of_open"]],
        alt.layer(base.mark_bar(), label),
        height=190,
        notes=(note,) if static else (),
    )


def outcomes(rows: pd.DataFrame, group: str) -> Figure:
    """The share of each outcome group among the closed requests of a group and period, with its interval."""
    rows = rows.sort_values("outcome_order", ignore_index=True)
    known = rows[rows["state"] == State.OK]
    base = alt.Chart(known).encode(
        alt.Y("outcome:N", sort=list(rows["outcome"]), title=None),
        tooltip=["outcome:N", tip("outcome_share:Q", ".1%", "share"), tip("closed_as:Q", ",", "closed so")],
    )
    scale = alt.Scale(domain=[0, 1.2 * known["outcome_share_high"].max()], nice=False)
    share = alt.X("outcome_share:Q", title="share of the closed requests", axis=SHARES, scale=scale)
    limits = base.mark_rule(strokeWidth=1.5).encode(alt.X("outcome_share_low:Q"), alt.X2("outcome_share_high:Q"))
    label = base.mark_text(align="left", dx=6).encode(
        alt.X("outcome_share_high:Q"), alt.Text("outcome_share:Q", format=".1%")
    )
    closed, still_open = int(rows["closed"].max()), int(rows["open_requests"].max())
    finding = f"Fewer than {MINIMUM_N} closed requests (n = {words.whole(closed)}): no share is given."
    if len(known):
        most = known.sort_values("outcome_share").iloc[-1]
        finding = f"{words.percent(most['outcome_share'])} of the closed requests were closed as “{most['outcome']}”."
    return Figure(
        "outcomes",
        finding,
        f"{group}, opened {words.period(str(rows['period'].iloc[0]))}; n = {words.requests(closed)} closed, "
        f"{words.whole(still_open)} still open. 95 % intervals. {words.as_of(rows)}",
        f"{METRICS['outcome_share'].definition} Closed does not mean fixed; the groups are our "
        "reading of the city's reasons.",
        rows[["outcome", "closed_as", "closed", "outcome_share", "outcome_share_low", "outcome_share_high", "state"]],
        alt.layer(base.mark_bar().encode(share), limits, label),
        height=200,
        empty=known.empty,
    )
