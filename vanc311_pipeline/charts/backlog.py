"""Backlog: what was open day by day, and how old the open requests are. From `backlog_daily` and `backlog_by_age`."""

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, counts, tip
from vanc311_pipeline.registry import METRICS

YEAR_DAYS = 365


def through_time(rows: pd.DataFrame, group: str) -> Figure:
    """Requests open at the end of each day, from the day on which the record is long enough.

    Args:
        rows: of `backlog_daily`, of one group.
    """
    whole = rows.sort_values("day", ignore_index=True)
    known = whole[whole["understated"] == "no"]
    base = alt.Chart(known).encode(
        alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", labelOverlap=True, tickCount=8, grid=False)),
        alt.Y("backlog:Q", title="open requests", axis=counts()),
        tooltip=[tip("day:T", "%d %B %Y"), tip("backlog:Q", ",", "open")],
    )
    chart = alt.layer(
        base.mark_line(strokeDash=[3, 3], strokeWidth=1.2),
        base.transform_filter(alt.datum.provisional == "no").mark_line(strokeWidth=1.2),
    )
    notes = ["Made anew from today's record: what the city reopens looks open all along."]
    if len(known) < len(whole):
        notes.append("Days before 2023-08-17 are left out: requests from before the record are missing in them.")
    return Figure(
        "backlog",
        _change(known),
        f"{group}. {METRICS['backlog'].definition}",
        METRICS["backlog"].definition,
        known[["day", "opened", "closed_in", "backlog", "provisional"]],
        chart,
        empty=known.empty,
        notes=tuple(notes),
    )


def _change(known: pd.DataFrame) -> str:
    if known.empty:
        return "The record is too short for a backlog."
    last = known.iloc[-1]
    now = f"{words.requests(last['backlog'])} were open at the end of {words.day(last['day'])}"
    if len(known) <= YEAR_DAYS:
        return f"{now}."
    before = known.iloc[-1 - YEAR_DAYS]["backlog"]
    more = last["backlog"] - before
    if not more:
        return f"{now}, as a year before."
    return f"{now}, {words.whole(abs(more))} {'more' if more > 0 else 'fewer'} than a year before."


def by_age(rows: pd.DataFrame, group: str) -> Figure:
    """The open requests in bands of age.

    Args:
        rows: of `backlog_by_age`, of one group.
    """
    rows = rows.sort_values("band_order", ignore_index=True)
    shown = rows[(rows["band_order"] < len(rows)) | (rows["open_requests"] > 0)]
    longest = 1.15 * shown["open_requests"].max()  # with room for its label
    base = alt.Chart(shown).encode(
        alt.Y("age_band:N", sort=list(shown["age_band"]), title="days open"),
        alt.X(
            "open_requests:Q",
            title="open requests",
            axis=counts(),
            scale=alt.Scale(domain=[0, max(1.0, longest)], nice=False),
        ),
        tooltip=["age_band:N", tip("open_requests:Q", ","), tip("share_of_open:Q", ".1%")],
    )
    label = base.mark_text(align="left", dx=4).encode(alt.Text("open_requests:Q", format=","))
    total = int(rows["open_requests"].sum())
    oldest = rows.loc[rows["age_band"] == "over 365", "open_requests"].sum()
    static = int(rows["n_static"].sum())
    finding = "No request is open."
    if total:
        share = words.percent(oldest / total)
        finding = (
            f"{words.whole(oldest)} of the {words.whole(total)} open requests ({share}) have been open for over a year."
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
