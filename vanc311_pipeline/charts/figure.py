"""A figure: a chart with its sentence, its note, its definition and its rows; its specification, SVG and PNG.

What a chart looks like is in `pictures.json`, in Vega-Lite's words, and what all of them look like in `look.json`; a `$name` there
stands for what is told here. The colours are Okabe and Ito's (2008), which colour-blind readers can tell apart, and no red against
green; on white only those with a contrast of at least 3:1 are used for lines and marks.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from textwrap import wrap
from typing import Any, Literal

import pandas as pd

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.errors import printable
from vanc311_pipeline.metric_definitions import METRICS
from vanc311_pipeline.settings import LICENCE

Mode = Literal["light", "dark", "card", "square", "full", "wide", "narrow"]
"""A picture that stands alone, light or dark, or in a size that other sites show; or one in a page, which brings the words and the
colours: as wide as it, half, or a phone."""

Specification = dict[str, Any]

_PICTURES, _LOOK = (
    json.loads(files("vanc311_pipeline.charts").joinpath(f"{name}.json").read_text()) for name in ("pictures", "look")
)
_WIDTHS: dict[Mode, int] = {"light": 720, "dark": 720, "full": 1120, "wide": 560, "narrow": 320}
SIZES: dict[Mode, tuple[int, int]] = {"card": (1200, 630), "square": (1080, 1080)}
"""Pixels of the pictures that have a fixed size; what does not fit is cut short there."""
_LEGEND_COLUMNS: dict[Mode, int] = {"light": 4, "dark": 4, "card": 6, "square": 5, "full": 6, "wide": 3, "narrow": 1}
# Marks are blue, vermillion and purple; in the dark sky, orange and pink. In a page they have the page's colours, by these names.
_LIGHT = {
    "ink": "#1b1f24", "quiet": "#59636e", "rule": "#d8dee4", "paper": "#ffffff", "mark": "#0072b2", "mark-2": "#b34a00", "mark-3": "#8f4e77",
}  # fmt: skip
_DARK = {
    "ink": "#e8eaed", "quiet": "#a4acb6", "rule": "#3a424c", "paper": "#12161b", "mark": "#56b4e9", "mark-2": "#e69f00", "mark-3": "#e7a6cb",
}  # fmt: skip
_PAGE = {name: f"var(--{name}, {colour})" for name, colour in _LIGHT.items()}
_COLOURS: dict[Mode, dict[str, str]] = {
    "light": _LIGHT, "dark": _DARK, "card": _LIGHT, "square": _LIGHT, "full": _PAGE, "wide": _PAGE, "narrow": _PAGE,
}  # fmt: skip

CHARACTERS = 0.15
"""Of the notes above a picture, to a unit of its width."""
_MOST_LINES, _TALL = 3, 300
TABLE_ROWS = 13
"""So many stand on a page, of months a year and the one before; all of them are in the CSV."""


@dataclass(frozen=True)
class Figure:
    """A picture that can be quoted: it says what it shows, of whom, as of when and from how many."""

    name: str
    finding: str
    """One sentence: what the reader sees."""
    note: str
    """Whom it is about, period, n."""
    as_of: str
    """The day that it is as of."""
    metric: str
    """The metric that it shows, by whose definition it is to be understood."""
    n: int
    """From how many it is drawn."""
    counted: str
    """What these are: requests opened in the months that are drawn."""
    rows: pd.DataFrame
    """The numbers that are drawn, as columns of the published table."""
    table: pd.DataFrame
    """The same for reading: the newest first, under plain headings, and of a long series only a part."""
    drawn: pd.DataFrame
    """The rows of its picture."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What only they tell, in place of each `$name` of the picture."""
    caveat: str = ""
    """What a reader must know beside the definition."""
    picture: str = ""
    """The picture's name, where it is not the figure's own."""
    height: int = 260
    empty: bool = False
    """There is nothing to draw: the sentence says why."""
    notes: tuple[str, ...] = ()
    """What else a reader must know, such as what is provisional."""
    release: str = ""
    """The release that it was drawn from; where it stands alone it says so."""

    @property
    def title(self) -> str:
        """What it is called where several are listed."""
        return self.name.replace("-", " ").capitalize()

    @property
    def meaning(self) -> str:
        """The definition in plain language."""
        return f"{METRICS[self.metric].definition} {self.caveat}".rstrip()

    @property
    def headings(self) -> dict[str, str]:
        """Of the table: each column stands below its own name."""
        return {str(name): str(name) for name in self.table.columns}

    @property
    def source(self) -> str:
        return f"Source: City of Vancouver, 3-1-1 · as of {words.day(self.as_of)}."

    @property
    def description(self) -> str:
        """The picture in words, for who can't see it, and for who quotes it."""
        return " ".join((self.finding, self.note, *self.notes, self.source))

    @property
    def alternative(self) -> str:
        """The picture in words, for who can't see it, where its source stands beside it."""
        return f"Chart: {self.finding} {self.note}"

    def chart(self) -> Specification:
        """What of the specification is its own: a picture of `pictures.json` with its rows. A page, which draws nothing, does not make it."""
        return dict(_filled(_PICTURES[self.picture or self.name], self.told)) | {
            "datasets": {"rows": records(self.drawn)}
        }

    def specification(self, mode: Mode) -> Specification:
        """The Vega-Lite specification. A picture that stands alone has its sentence, its note, its source and the licence with it."""
        spec = self.chart() | self._size(mode) | {"description": self.description, "config": config(mode)}
        if mode not in ("full", "wide", "narrow"):
            spec |= {"title": self._title(spec["width"], _MOST_LINES if mode in SIZES else None)}
        return dict(everywhere(spec, printable))  # of some other characters a renderer dies

    def _size(self, mode: Mode) -> Specification:
        if mode in SIZES:
            width, height = (round(side / self._scale(mode)) for side in SIZES[mode])
            return {"width": width, "height": height, "padding": 16, "autosize": {"type": "fit", "contains": "padding"}}
        return {"width": _WIDTHS[mode], "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}

    def _title(self, width: int, most: int | None) -> Specification:
        """What stands above a picture: its sentence and its notes, each in so many lines at most, and where it comes from."""
        notes = _lines(" ".join((self.note, *self.notes)), width, most)
        ending = [line for text in (self.source, self.release, LICENCE) if text for line in _lines(text, width)]
        return {"text": _lines(self.finding, 0.7 * width, most), "subtitle": [*notes, *ending]}

    def svg(self, mode: Mode = "light") -> str:
        return str(renderer.draw("vegalite_to_svg", self.specification(mode)))

    def png(self, mode: Mode = "light") -> bytes:
        return bytes(renderer.draw("vegalite_to_png", self.specification(mode), scale=self._scale(mode)))

    def _scale(self, mode: Mode) -> float:
        """Pixels to a unit of the drawing. A tall figure needs room more than large letters."""
        return 1.25 if mode in SIZES and self.height > _TALL else 2


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as Vega-Lite reads them: null where there is nothing."""
    plain = rows.astype(object).where(rows.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def newest(rows: pd.DataFrame, headings: Mapping[str, Any]) -> pd.DataFrame:
    """Rows in the order of time, for reading: the newest first, and no more than fit a table."""
    return for_reading(rows.iloc[: -TABLE_ROWS - 1 : -1], headings)


def for_reading(rows: pd.DataFrame, headings: Mapping[str, Any]) -> pd.DataFrame:
    """Rows below plain headings, each with the name of its column or with what stands in it."""
    columns = {heading: rows[column] if isinstance(column, str) else column for heading, column in headings.items()}
    return pd.DataFrame(columns, index=rows.index)


def _filled(part: Any, told: Mapping[str, Any]) -> Any:
    """Part of a specification with what is told in place of each `$name`."""
    return everywhere(part, lambda text: told[text[1:]] if text.startswith("$") else text)


def everywhere(part: Any, change: Callable[[str], Any]) -> Any:
    """Part of a specification with every text in it changed."""
    if isinstance(part, str):
        return change(part)
    if isinstance(part, list):
        return [everywhere(each, change) for each in part]
    if isinstance(part, dict):
        return {name: everywhere(each, change) for name, each in part.items()}
    return part


def _lines(text: str, width: float, most: int | None = None) -> list[str]:
    """A text in lines that fit a width; of one that has more lines than it may, the end is left out."""
    characters = int(width * CHARACTERS)
    return wrap(
        text, characters, max_lines=most, placeholder=" …", break_long_words=most is not None, break_on_hyphens=False
    ) or [""]


def config(mode: Mode) -> Specification:
    """The `config` of a Vega-Lite specification; the charts themselves name no colour."""
    colours = _COLOURS[mode]
    marks = [colour for name, colour in colours.items() if name.startswith("mark")]
    return dict(_filled(_LOOK, {**colours, "marks": marks, "columns": _LEGEND_COLUMNS[mode]}))
