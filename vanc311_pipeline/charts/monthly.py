"""Month by month: what was opened and closed, and how fast each month's requests were closed. From `monthly_series`."""

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, counts, shares, tip
from vanc311_pipeline.registry import METRICS, MINIMUM_N, State

PROVISIONAL = "Dashed, with hollow points: the last days may still change."
_LABELS = 8
_STEPS = (1, 2, 3, 6, 12, 24)


def opened_and_closed(rows: pd.DataFrame, group: str) -> Figure:
    """Two lines: requests opened, and requests closed, in each month.

    Args:
        rows: of `monthly_series`, of one group.
    """
    rows = rows.sort_values("month", ignore_index=True)
    complete = rows[rows["provisional"] == "no"]
    long = rows.melt(["month", "provisional"], ["opened", "closed_in"], "which", "requests")
    long["which"] = long["which"].map({"opened": "opened", "closed_in": "closed"})
    base = alt.Chart(long).encode(
        _month(len(rows)),
        alt.Y("requests:Q", title="requests a month", axis=counts()),
        alt.Color("which:N", sort=["opened", "closed"], title=None),
        tooltip=[tip("month:T", "%B %Y"), "which:N", tip("requests:Q", ",")],
    )
    layers = [base.transform_filter(alt.datum.provisional == "no").mark_line()] * bool(len(complete))
    if len(complete) < len(rows):
        hollow = base.mark_point(filled=False, fill=None, size=30)
        layers = [
            base.mark_line(strokeDash=[3, 3], strokeWidth=1.5),
            *layers,
            hollow.transform_filter(alt.datum.provisional == "yes"),
        ]
    return Figure(
        "opened-and-closed",
        _of_last_month(complete),
        f"{group}. Opened and closed in a month are different requests. {words.as_of(rows)}",
        f"{METRICS['opened'].definition} {METRICS['closed_in'].definition}",
        rows[["month", "opened", "closed_in", "open_at_end", "provisional"]],
        alt.layer(*layers) if layers else base.mark_line(),
        notes=(PROVISIONAL,) if len(complete) < len(rows) else (),
    )


def closed_within(rows: pd.DataFrame, group: str, days: int = 30) -> Figure:
    """The share of each month's requests closed within so many days, with its interval; only of months that had the time."""
    share, n, state = f"share_{days}", f"n_{days}", f"share_{days}_state"
    rows = rows.sort_values("month", ignore_index=True)
    known = rows[rows[state] == State.OK]
    drawn = rows[(rows["month"] >= known["month"].min()) & (rows["month"] <= known["month"].max())]
    base = alt.Chart(drawn).encode(
        _month(len(drawn)),
        tooltip=[
            tip("month:T", "%B %Y"),
            tip(f"{share}:Q", ".1%", f"closed within {days} days"),
            tip(f"{n}:Q", ",", "n"),
        ],
    )
    scale = alt.Scale(domain=_domain(known, share), nice=False, zero=False)
    limits = {
        "y": alt.Y(f"{share}_low:Q", title=f"closed within {days} days", axis=shares(), scale=scale),
        "y2": f"{share}_high:Q",
    }
    line = alt.Y(f"{share}:Q", scale=scale)
    chart = alt.layer(base.mark_area(style="band").encode(**limits), base.mark_line(point=True).encode(line))
    waiting, few = ((rows[state] == withheld).sum() for withheld in (State.IMMATURE, State.TOO_FEW))
    notes = [f"Not shown: {waiting} months whose youngest requests are not yet {days} days old"] * bool(waiting)
    notes += [f"{few} months with fewer than {MINIMUM_N} requests"] * bool(few)
    finding = f"No month has {MINIMUM_N} requests that are {days} days old."
    if len(known):
        last = known.iloc[-1]
        finding = (
            f"{words.percent(last[share])} of the requests opened in {words.month(last['month'])} were closed within "
            f"{days} days (n = {words.whole(last[n])})."
        )
    return Figure(
        f"closed-within-{days}-days",
        finding,
        f"{group}, by month of opening, with 95 % intervals. {words.as_of(rows)}",
        METRICS[share].definition,
        rows[["month", n, f"within_{days}", share, f"{share}_low", f"{share}_high", state]],
        chart,
        empty=known.empty,
        notes=(f"{'; '.join(notes)}.",) if notes else (),
    )


def _month(months: int) -> alt.X:
    """An axis with a label for each month, or as many as fit; left to itself Vega labels days, some months twice."""
    step = next((step for step in _STEPS if months <= _LABELS * step), _STEPS[-1])
    each = alt.TimeIntervalStep(interval="month", step=step)
    return alt.X("month:T", title=None, axis=alt.Axis(format="%b %Y", labelOverlap=True, tickCount=each, grid=False))


def _domain(known: pd.DataFrame, share: str) -> list[float]:
    """With five points to spare on each side, so that a wobble does not look like a crash."""
    if known.empty:
        return [0, 1]
    return [max(0.0, float(known[f"{share}_low"].min()) - 0.05), min(1.0, float(known[f"{share}_high"].max()) + 0.05)]


def _of_last_month(complete: pd.DataFrame) -> str:
    if complete.empty:
        return "No whole month is settled yet."
    last = complete.iloc[-1]
    return (
        f"In {words.month(last['month'])}, {words.requests(last['opened'])} were opened and "
        f"{words.whole(last['closed_in'])} closed."
    )
