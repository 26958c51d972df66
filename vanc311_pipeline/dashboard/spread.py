"""Which areas wait longest? The usual time of each with its interval, and who can be told apart: only those whose intervals don't overlap."""

from dataclasses import dataclass
from itertools import combinations
from math import inf

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Row
from vanc311_pipeline.dashboard.view import View, summary_of
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.release import Release

TICKS, STEPS = 6, (1, 2, 5)
NAMED = 6


@dataclass(frozen=True)
class Dot:
    """A number of days on a line, with its 95 % interval; no upper limit where it was not reached."""

    name: str
    url: str
    days: int
    low: int
    high: int | None
    n: int

    @property
    def text(self) -> str:
        interval = "" if self.low == self.high else f", 95 % interval {words.interval(self.low, self.high)}"
        return f"{words.days(self.days) if self.days else 'the same day'}{interval}, n = {words.whole(self.n)}"

    def is_above(self, other: "Dot") -> bool:
        """Beyond chance, as far as intervals tell."""
        return self.low > (inf if other.high is None else other.high)


@dataclass(frozen=True)
class Spread:
    """Dots in one order on one axis, the city's first."""

    city: Dot
    areas: tuple[Dot, ...]
    withheld: tuple[str, ...]
    """Areas of which too little is known."""

    @property
    def dots(self) -> tuple[Dot, ...]:
        return (self.city, *self.areas)

    @property
    def finding(self) -> str:
        slower = [dot.name for dot in self.areas if dot.is_above(self.city)]
        faster = [dot.name for dot in self.areas if self.city.is_above(dot)]
        parts = [f"{how} in {_some(names)}" for how, names in (("longer", slower), ("shorter", faster)) if names]
        return (
            f"Clearly {', clearly '.join(parts)} than in the city." if parts else "No area can be told from the city."
        )

    @property
    def ranking(self) -> str:
        """How far the areas can be ranked."""
        pairs = list(combinations(self.areas, 2))
        apart = sum(one.is_above(other) or other.is_above(one) for one, other in pairs)
        if not apart:
            return "Their intervals overlap: the areas cannot be ranked."
        told = f"{words.whole(apart)} of {words.whole(len(pairs))} pairs of areas"
        return f"{told} can be told apart; all others overlap and cannot be ranked."

    @property
    def top(self) -> int:
        """The end of the axis: a whole number of ticks, beyond what is known."""
        return self.ticks[-1]

    @property
    def ticks(self) -> list[int]:
        most = max(max(dot.days, dot.high or 0) for dot in self.dots) or 1
        steps = (step * 10**power for power in range(6) for step in STEPS)
        step = next(step for step in steps if most <= step * TICKS)
        return list(range(0, most + step, step))


def areas_by_wait(release: Release, view: View) -> Spread | None:
    """Of a problem: its areas, the longest wait first; None where not even the city's is known, or no area's."""
    rows = records_of_group(
        release, schema.time_to_close, Group("hyper_local", issue=view.issue), scope="located", period=view.period
    )
    city, known = summary_of(release, view), [row for row in rows if row["median_state"] == State.OK]
    if city["median_state"] != State.OK or not known:
        return None
    areas = [dot_of(row, view.but(area=row["local_area"])) for row in known]
    return Spread(
        dot_of(city, view),
        tuple(sorted(areas, key=lambda dot: (-dot.days, dot.name))),
        tuple(sorted(row["local_area"] for row in rows if row["median_state"] != State.OK)),
    )


def dot_of(row: Row, view: View, quantile: str = "median") -> Dot:
    """A quantile of a row of `time_to_close`, which is of the view."""
    days, low, high = (row[f"{quantile}_{end}"] for end in ("days", "low", "high"))
    return Dot(view.place, view.url, days, low, high, row["n"])


def _some(names: list[str]) -> str:
    """Names, not too many for a sentence."""
    return words.listed(names if len(names) <= NAMED else [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"])
