"""When, and in which ways, requests are reported in the last 12 months. From `reporting_times` and `channels`."""

import calendar
from collections.abc import Callable
from typing import Any

import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, for_reading
from vanc311_pipeline.metric_definitions import MINIMUM_N, State

BLOCK_HOURS, BLOCKS = 3, 8
DAYS = list(calendar.day_name)
CAVEAT = "Who reports can't be seen in the data."
COUNTED = "requests reported in the last 12 months"
WHOM = "reported in the last 12 months, whatever period is chosen"


def times(rows: pd.DataFrame, group: str) -> Figure:
    """How many requests came in each hour of the week; the table has blocks of three hours, from Monday, and what they add up to."""
    n = int(rows["requests"].sum())
    rows = rows.assign(day=rows["weekday"].map(lambda weekday: DAYS[weekday - 1]))
    blocks = rows["requests"].groupby([rows["weekday"], rows["hour"] // BLOCK_HOURS]).sum()
    grid = blocks.unstack().reindex(index=range(1, 8), columns=range(BLOCKS)).fillna(0).astype(int)
    weekday, block = divmod(int(grid.to_numpy().argmax()), BLOCKS)
    busiest, by_day = words.whole(grid.to_numpy()[weekday, block]), grid.sum(axis=1)
    with_total = pd.concat([grid, grid.sum().to_frame().T], ignore_index=True)
    hours: dict[str, Any] = {_hours(place): with_total[place] for place in range(BLOCKS)}
    return Figure(
        "reported-when",
        f"The busiest day is {DAYS[by_day.argmax()]} ({words.whole(by_day.max())} of {words.requests(n)}), "
        f"the busiest three hours of the week are {DAYS[weekday]} from {_hours(block)} ({busiest}).",
        f"{group}, {WHOM}, n = {words.whole(n)}. Hours in Vancouver; the stronger the colour, the more.",
        rows["as_of"].iloc[0],
        "opened",
        n,
        COUNTED,
        rows[["weekday", "hour", "requests"]],
        for_reading(with_total, {"day": [*DAYS, "all days"], **hours, "all hours": with_total.sum(axis=1)}),
        rows[["day", "hour", "requests"]],
        {"days": DAYS, "most": int(rows["requests"].max())},
        CAVEAT,
        height=190,
    )


def channels(rows: pd.DataFrame, group: str, plain: Callable[[str], str]) -> Figure:
    """In which ways they were reported, the most used first, each with its share where there are enough requests; `plain` names a channel."""
    rows = rows.sort_values(["requests", "channel"], ascending=[False, True], ignore_index=True)
    names = rows["channel"].map(plain)
    n, most = int(rows["volume"].iloc[0]), rows.iloc[0]
    share = rows["requests"] / n
    told = share.map(words.percent) if n >= MINIMUM_N else pd.Series(words.WITHHELD[State.TOO_FEW], index=rows.index)
    finding = f"Most are reported by {names[0]}: {words.whole(most['requests'])} of {words.requests(n)}"
    return Figure(
        "channels",
        f"{finding} ({told[0]})." if n >= MINIMUM_N else f"{finding}.",
        f"{group}, {WHOM}, n = {words.whole(n)}.",
        rows["as_of"].iloc[0],
        "opened",
        n,
        COUNTED,
        rows[["channel", "requests", "volume"]],
        for_reading(rows.assign(channel=names), {"channel": "channel", "requests": "requests", "share": told}),
        rows[["channel", "requests"]].assign(channel=names, share=told),
        {"channels": list(names), "most": int(most["requests"])},
        CAVEAT,
        height=190,
    )


def _hours(block: int) -> str:
    """`2` is from 06 to 09."""
    return f"{BLOCK_HOURS * block:02} to {BLOCK_HOURS * (block + 1):02}"
