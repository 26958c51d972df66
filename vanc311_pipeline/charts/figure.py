"""A figure: a chart with its sentence, its note, its definition and its rows; its specification, SVG and PNG; and what all charts look
like, in light and dark: colours that colour-blind readers can tell apart, and no red against green.

The colours are Okabe and Ito's (2008); on white only those with a contrast of at least 3:1 are used for lines and marks.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from textwrap import wrap
from typing import Any, Literal

import altair as alt
import pandas as pd

from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.errors import printable
from vanc311_pipeline.settings import LICENCE

Mode = Literal["light", "dark"]

_LOOK = Template(files("vanc311_pipeline.charts").joinpath("look.json").read_text())
_NAMES = ("ink", "quiet", "rule", "paper", "first", "second", "third")
"""Ink, quiet ink, rules, paper, and three marks: blue, vermillion and purple, or sky, orange and pink."""
_COLOURS = {
    "light": dict(
        zip(_NAMES, ("#1b1f24", "#59636e", "#d8dee4", "#ffffff", "#0072B2", "#B34A00", "#8F4E77"), strict=True)
    ),
    "dark": dict(
        zip(_NAMES, ("#e8eaed", "#a4acb6", "#3a424c", "#12161b", "#56B4E9", "#E69F00", "#E7A6CB"), strict=True)
    ),
}

WIDTH = 720
LINE_CHARACTERS = 108
COUNTS, SHARES = alt.Axis(format=",d", tickCount=5), alt.Axis(format="%", tickCount=5)
"""Axes of whole numbers, and of percentages."""


@dataclass(frozen=True)
class Figure:
    """A picture that can be quoted: it says what it shows, of whom, as of when and from how many."""

    name: str
    finding: str
    """One sentence: what the reader sees."""
    note: str
    """Whom it is about, period, n, as_of."""
    meaning: str
    """The definition in plain language."""
    rows: pd.DataFrame
    """The numbers that are drawn, as columns of the published table."""
    chart: alt.LayerChart | alt.FacetChart | alt.HConcatChart
    height: int | None = 260
    """Pixels; None for a chart that brings its own size."""
    empty: bool = False
    """There is nothing to draw: the sentence says why."""
    notes: tuple[str, ...] = ()
    """What else a reader must know, such as what is provisional."""

    @property
    def description(self) -> str:
        """The picture in words, for who can't see it."""
        return " ".join((self.finding, self.note, *self.notes))

    @property
    def columns(self) -> dict[str, str]:
        """Of the rows as a table: each stands below its own name."""
        return {str(name): str(name) for name in self.rows.columns}

    def specification(self, mode: Mode | None = None) -> dict[str, Any]:
        """The Vega-Lite specification: for a page, which brings the words, the width and the colours.

        With a mode it is that of a picture that stands alone, with its sentence, its note and the licence; it leads nowhere, since
        it does not know where it stands.
        """
        # Checking it against the schema takes longer than making it; the tests draw every figure.
        spec: dict[str, Any] = self.chart.to_dict(format="vega-lite", validate=False)
        spec.pop("config", None)
        spec.pop("$schema", None)  # an address of another host
        spec["description"] = self.description
        if self.height:
            width = WIDTH if mode else "container"
            spec |= {"width": width, "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        if mode:
            subtitle = [line for text in (self.note, *self.notes, LICENCE) for line in _lines(text)]
            spec |= {"config": config(mode), "title": {"text": _lines(self.finding, 0.75), "subtitle": subtitle}}
            for part in spec.get("hconcat", []):
                part["encoding"].pop("href", None)
        return dict(_drawable(spec))

    def svg(self, mode: Mode = "light") -> str:
        return str(renderer.draw("vegalite_to_svg", self.specification(mode)))

    def png(self, mode: Mode = "light") -> bytes:
        return bytes(renderer.draw("vegalite_to_png", self.specification(mode), scale=2))


def _drawable(part: Any) -> Any:
    """Part of a specification in which every character can be shown: of some others a renderer dies."""
    if isinstance(part, str):
        return printable(part)
    if isinstance(part, list):
        return [_drawable(each) for each in part]
    if isinstance(part, dict):
        return {name: _drawable(each) for name, each in part.items()}
    return part


def _lines(text: str, share: float = 1) -> list[str]:
    """A text in lines that fit the picture."""
    return wrap(text, int(LINE_CHARACTERS * share), break_long_words=False, break_on_hyphens=False) or [""]


def tip(shorthand: str, format: Any = alt.Undefined, title: Any = alt.Undefined) -> alt.Tooltip:
    """A line of what is shown when a mark is pointed at."""
    return alt.Tooltip(shorthand, format=format, title=title)


def config(mode: Mode) -> dict[str, Any]:
    """The `config` of a Vega-Lite specification; the charts themselves name no colour."""
    return dict(json.loads(_LOOK.substitute(_COLOURS[mode])))
