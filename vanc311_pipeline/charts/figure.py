"""A figure: a chart with its sentence, its note, its definition and its rows; its specification, SVG and PNG.

What a chart looks like is in `pictures.json`, in Vega-Lite's words, and what all of them look like in `look.json`; a `$name` there
stands for what is told here. The colours are Okabe and Ito's (2008), which colour-blind readers can tell apart, and no red against
green; on white only those with a contrast of at least 3:1 are used for lines and marks.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from textwrap import wrap
from typing import Any, Literal

import pandas as pd

from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.errors import printable
from vanc311_pipeline.settings import LICENCE

Mode = Literal["light", "dark"]
Specification = dict[str, Any]

_PICTURES, _LOOK = (
    json.loads(files("vanc311_pipeline.charts").joinpath(f"{name}.json").read_text()) for name in ("pictures", "look")
)
# Ink, quiet ink, rules, paper, marks: blue, vermillion and purple; sky, orange and pink.
_COLOURS = {
    "light": ("#1b1f24", "#59636e", "#d8dee4", "#ffffff", ["#0072B2", "#B34A00", "#8F4E77"]),
    "dark": ("#e8eaed", "#a4acb6", "#3a424c", "#12161b", ["#56B4E9", "#E69F00", "#E7A6CB"]),
}

WIDTH = 720
LINE_CHARACTERS = 108


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
    chart: Specification
    """What of the specification is its own: see `picture`."""
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

    def specification(self, mode: Mode | None = None) -> Specification:
        """The Vega-Lite specification: for a page, which brings the words, the width and the colours; with a mode, of a picture that stands
        alone, with its sentence, its note and the licence, and that leads nowhere, since it does not know where it stands.
        """
        spec = self.chart | {"description": self.description}
        if self.height:
            width = WIDTH if mode else "container"
            spec |= {"width": width, "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        if mode:
            subtitle = [line for text in (self.note, *self.notes, LICENCE) for line in _lines(text)]
            spec |= {"config": config(mode), "title": {"text": _lines(self.finding, 0.75), "subtitle": subtitle}}
        drawable = dict(_everywhere(spec, printable))  # of some other characters a renderer dies
        for part in drawable.get("hconcat", []) if mode else []:
            del part["encoding"]["href"]
        return drawable

    def svg(self, mode: Mode = "light") -> str:
        return str(renderer.draw("vegalite_to_svg", self.specification(mode)))

    def png(self, mode: Mode = "light") -> bytes:
        return bytes(renderer.draw("vegalite_to_png", self.specification(mode), scale=2))


def picture(name: str, rows: pd.DataFrame, **told: Any) -> Specification:
    """A picture of `pictures.json` with its rows, and what only they tell in place of each `$name`."""
    return dict(_filled(_PICTURES[name], told)) | {"datasets": {"rows": records(rows)}}


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as Vega-Lite reads them: null where there is nothing."""
    plain = rows.astype(object).where(rows.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _filled(part: Any, told: Mapping[str, Any]) -> Any:
    """Part of a specification with what is told in place of each `$name`."""
    return _everywhere(part, lambda text: told[text[1:]] if text.startswith("$") else text)


def _everywhere(part: Any, change: Callable[[str], Any]) -> Any:
    """Part of a specification with every text in it changed."""
    if isinstance(part, str):
        return change(part)
    if isinstance(part, list):
        return [_everywhere(each, change) for each in part]
    if isinstance(part, dict):
        return {name: _everywhere(each, change) for name, each in part.items()}
    return part


def _lines(text: str, share: float = 1) -> list[str]:
    """A text in lines that fit the picture."""
    return wrap(text, int(LINE_CHARACTERS * share), break_long_words=False, break_on_hyphens=False) or [""]


def config(mode: Mode) -> Specification:
    """The `config` of a Vega-Lite specification; the charts themselves name no colour."""
    ink, quiet, rule, paper, marks = _COLOURS[mode]
    return dict(
        _filled(_LOOK, {"ink": ink, "quiet": quiet, "rule": rule, "paper": paper, "marks": marks, "mark": marks[0]})
    )
