"""Calibration: how often the rules are wrong in simulated worlds, as `make calibration` stored it in `calibration.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from vanc311_pipeline.metric_definitions import Family

FILE = Path(__file__).with_suffix(".toml")
ERRORS = 2
"""A target counts as missed if the share is so many Monte-Carlo errors beyond it."""


@dataclass(frozen=True)
class Line:
    """What one rule says of one world."""

    table: str
    """The table that the rule is about."""
    world: str
    measure: str
    share: float
    """The share of the looks: of false labels, of true ones (power), or of intervals that hold the truth (coverage)."""
    error: float
    """Its Monte-Carlo standard error."""
    looks: int
    least: float = 0
    """The target: from `least` to `most`; 0 to 1 if it has none, as power has."""
    most: float = 1

    @property
    def target(self) -> str:
        least, most = f"{100 * self.least:.4g}", f"{100 * self.most:.4g}"
        if self.least and self.most < 1:
            return f"{least} to {most}"
        return f"at least {least}" if self.least else f"at most {most}" if self.most < 1 else "–"

    @property
    def missed(self) -> bool:
        return max(self.least - self.share, self.share - self.most) > ERRORS * self.error

    @property
    def judgement(self) -> str:
        if self.target == "–":
            return "–"
        is_met = self.least <= self.share <= self.most
        return "met" if is_met else "missed" if self.missed else "within error"

    @property
    def cells(self) -> tuple[str, ...]:
        """As a row of a table, in percent."""
        shares = f"{100 * self.share:.1f}", f"{100 * self.error:.1f}"
        return self.world, self.measure, *shares, f"{self.looks:,}", self.target, self.judgement


HEAD = ("world", "what", "%", "± (Monte Carlo)", "looks", "target, %", "judgement")
EXPLANATION = """\
False labels: how often a label is given where nothing changes, at most 1.5 times as often as the rule says. Coverage: how often a 95 % \
interval holds the truth, from 92 to 98 in a hundred times, and at least 88 where a crew closes many requests on a day; limits in \
whole days may hold it more often, unless a day is little beside them. Power: how often a change of a fifth is seen; it has no target. ± is \
one standard error of the simulation; missed: by more than two of them."""


@dataclass(frozen=True)
class Calibration:
    """All that one run of the command said."""

    made_on: str
    size: int
    """Requests a year of the city's world."""
    definitions_version: str
    lines: tuple[Line, ...]

    def about(self, family: Family) -> list[Line]:
        """The lines about the tables of a family of statistics."""
        return [line for line in self.lines if line.table in family.tables]


def read() -> Calibration:
    """The stored result."""
    return TypeAdapter(Calibration).validate_python(tomllib.loads(FILE.read_text(encoding="utf-8")))
