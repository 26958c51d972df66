"""When and in which ways the requests of a view were reported: the hours of the week, and the channels."""

import calendar
from collections import Counter
from dataclasses import dataclass
from math import ceil

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Row
from vanc311_pipeline.dashboard.view import View, records_of
from vanc311_pipeline.metric_definitions import MINIMUM_N, State
from vanc311_pipeline.reading.release import Release

DAY_HOURS, BLOCK_HOURS = 24, 3
BLOCKS = [f"{hour:02} to {hour + BLOCK_HOURS:02}" for hour in range(0, DAY_HOURS, BLOCK_HOURS)]
DARKEST = 4


@dataclass(frozen=True)
class Day:
    """A weekday: of each block of hours the number of requests, and its shade, from 0, none, to the darkest."""

    name: str
    blocks: tuple[tuple[int, int], ...]


def days(release: Release, view: View) -> list[Day]:
    """The seven days, from Monday; none where nothing was reported in the last 12 months."""
    counts = Counter[tuple[int, int]]()
    for row in records_of(release, view, schema.reporting_times):
        counts[row["weekday"], row["hour"] // BLOCK_HOURS] += row["requests"]
    most = max(counts.values(), default=0)

    def block(weekday: int, place: int) -> tuple[int, int]:
        number = counts[weekday, place]
        return number, ceil(DARKEST * number / most)

    return [
        Day(calendar.day_name[weekday - 1], tuple(block(weekday, place) for place in range(len(BLOCKS))))
        for weekday in (range(1, 8) if most else ())
    ]


def channels(release: Release, view: View) -> list[Row]:
    """The channels, the most used first, each with its share where there are enough requests."""
    rows = sorted(records_of(release, view, schema.channels), key=lambda row: (-row["requests"], row["channel"]))
    few = Cell(words.WITHHELD[State.TOO_FEW], quiet=True)
    return [
        row | {"share": few if row["volume"] < MINIMUM_N else Cell(words.percent(row["requests"] / row["volume"]))}
        for row in rows
    ]
