"""Two areas side by side, or an area and the city: the same rows on one axis, and a difference only where it is beyond chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.waits import is_longer
from vanc311_pipeline.dashboard.numbers import Card, against_a_year_before, open_now, year_on_year
from vanc311_pipeline.dashboard.tables import Cell, Row
from vanc311_pipeline.dashboard.view import View, horizon_of, records_of, summary_of
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.labels import slug
from vanc311_pipeline.reading.release import Release

UNTOLD = "can’t be told apart"
TICKS, STEPS = 6, (1, 2, 5)

Sides = tuple[View, View]


def address(sides: Sides) -> str:
    """The one address of a comparison: that with the city names one area."""
    asked = {side: slug("area", view.area) for side, view in zip(("left", "right"), sides, strict=True) if view.area}
    issue = {"issue": slug("issue", sides[0].issue)} if sides[0].issue else {}
    return f"/compare?{urlencode(asked | issue)}"


def compared(release: Release, sides: Sides) -> list[Row]:
    """Each row with what stands on the left, on the right, and how far they can be told apart."""
    counts = [Cell(words.whole(open_now(release, view))) for view in sides]
    weeks = [year_on_year(release, view, "opened") for view in sides]
    reported = [Cell(words.whole(row["requests"])) for row in weeks]
    on_year = [Cell(against_a_year_before(row, when=""), number=False) for row in weeks]
    days = words.days_between(weeks[0]["days_from"], weeks[0]["days_to"])
    return [
        _row("open now", counts, words.NOTHING),
        _row(f"reported, {days}", reported, words.NOTHING),
        _row("against the same four weeks a year before", on_year, words.NOTHING),
        *(_timed(release, sides, label, name) for label, name in (("half", "median"), ("nine in ten", "p90"))),
        _closed(release, sides),
    ]


@dataclass(frozen=True)
class Dot:
    """A number of days on a line, with its 95 % interval; no upper limit where it was not reached."""

    name: str
    url: str
    days: int
    low: int
    high: int | None
    text: str


@dataclass(frozen=True)
class Axis:
    """Dots below each other on one axis, which ends beyond what is known."""

    dots: tuple[Dot, ...]

    @property
    def ticks(self) -> list[int]:
        most = max(max(dot.days, dot.high or 0) for dot in self.dots) or 1
        steps = (step * 10**power for power in range(6) for step in STEPS)
        step = next(step for step in steps if most <= step * TICKS)
        return list(range(0, most + step, step))

    @property
    def top(self) -> int:
        return self.ticks[-1]


def axis(release: Release, sides: Sides) -> Axis | None:
    """The usual times of both; None where one is not known."""
    rows = [summary_of(release, view) for view in sides]
    if any(row["median_state"] != State.OK for row in rows):
        return None
    limits = [(row["median_days"], row["median_low"], row["median_high"], _text(row, "median")) for row in rows]
    return Axis(tuple(Dot(view.place, view.url, *each) for view, each in zip(sides, limits, strict=True)))


def card(release: Release, sides: Sides) -> Card:
    """The usual times of both, as they can be quoted."""
    row = _timed(release, sides, "half", "median")
    note = f"{sides[1].place}: {row['right'].text}; {row['difference']}; opened {words.period(sides[0].period)}"
    return Card(row["label"], row["left"].text, note, "median_days")


def _row(label: str, cells: Sequence[Cell], difference: str) -> Row:
    return {"label": label, "left": cells[0], "right": cells[1], "difference": difference}


def _timed(release: Release, sides: Sides, label: str, name: str) -> Row:
    rows = [summary_of(release, view) for view in sides]
    known = [row[f"{name}_state"] == State.OK for row in rows]
    cells = [Cell(_text(row, name), number=False, quiet=not ok) for row, ok in zip(rows, known, strict=True)]
    difference = words.NOTHING
    if all(known):
        (left, right), (here, there) = rows, sides
        longer = here if is_longer(left, right, name) else there if is_longer(right, left, name) else None
        difference = f"longer in {longer.place}, beyond chance" if longer else UNTOLD
    return _row(f"{label} closed within", cells, difference)


def _text(row: Row, name: str) -> str:
    """A quantile with its interval and its n, or why there is none."""
    days, low, high = (row[f"{name}_{end}"] for end in ("days", "low", "high"))
    interval = "" if low == high else f", 95 % interval {words.interval(low, high)}"
    return f"{words.days_or_why(days, row[f'{name}_state'])}{interval}, n = {words.whole(row['n'])}"


def _closed(release: Release, sides: Sides) -> Row:
    """The share closed within the days that suit the speed of the problem."""
    day = horizon_of(release, sides[0])
    rows = [_on(release, view, day) for view in sides]
    cells = [Cell(_share(row), number=False, quiet=row is None) for row in rows]
    left, right = rows
    difference = words.NOTHING
    if left and right:
        more = (
            sides[0]
            if left["open_share_high"] < right["open_share_low"]
            else sides[1]
            if right["open_share_high"] < left["open_share_low"]
            else None
        )
        difference = f"more in {more.place}, beyond chance" if more else UNTOLD
    return _row(f"closed within {words.days(day)}", cells, difference)


def _on(release: Release, view: View, day: int) -> dict[str, Any] | None:
    """The curve's point on a day."""
    rows = sorted(records_of(release, view, schema.time_to_close_curves), key=lambda row: row["day"])
    until = [row for row in rows if row["day"] <= day]
    reached = until and (
        until[-1]["day"] == day or until[-1]["open_share"] == 0
    )  # nobody is followed once all are closed
    return until[-1] | {"n": until[0]["at_risk"]} if reached else None


def _share(row: dict[str, Any] | None) -> str:
    if row is None:
        return "too few were followed so long"
    share, low, high = (words.percent(1 - row[f"open_share{end}"]) for end in ("", "_high", "_low"))
    return f"{share}, 95 % interval {low} to {high}, n = {words.whole(row['n'])}"
