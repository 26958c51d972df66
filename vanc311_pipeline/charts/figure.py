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

from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.errors import printable
from vanc311_pipeline.settings import LICENCE

Mode = Literal["light", "dark", "wide", "narrow"]
"""A picture that stands alone, light or dark, or one in a page, which brings the words and the colours and has room, or little."""

Specification = dict[str, Any]

_PICTURES, _LOOK = (
    json.loads(files("vanc311_pipeline.charts").joinpath(f"{name}.json").read_text()) for name in ("pictures", "look")
)
_WIDTHS: dict[Mode, int] = {"light": 720, "dark": 720, "wide": 560, "narrow": 320}
# Marks are blue, vermillion and purple; in the dark sky, orange and pink. In a page they have the page's colours, by these names.
_LIGHT = {
    "ink": "#1b1f24", "quiet": "#59636e", "rule": "#d8dee4", "paper": "#ffffff", "mark": "#0072b2", "mark-2": "#b34a00", "mark-3": "#8f4e77",
}  # fmt: skip
_DARK = {
    "ink": "#e8eaed", "quiet": "#a4acb6", "rule": "#3a424c", "paper": "#12161b", "mark": "#56b4e9", "mark-2": "#e69f00", "mark-3": "#e7a6cb",
}  # fmt: skip
_PAGE = {name: f"var(--{name}, {colour})" for name, colour in _LIGHT.items()}
_COLOURS: dict[Mode, dict[str, str]] = {"light": _LIGHT, "dark": _DARK, "wide": _PAGE, "narrow": _PAGE}

LINE_CHARACTERS = 108
TABLE_ROWS = 24


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
    meaning: str
    """The definition in plain language."""
    rows: pd.DataFrame
    """The numbers that are drawn, as columns of the published table."""
    table: pd.DataFrame
    """The same for reading: the newest first, under plain headings, and of a long series only a part."""
    chart: Callable[[], Specification]
    """What of the specification is its own: see `picture`. A page, which draws nothing, does not make it."""
    height: int = 260
    empty: bool = False
    """There is nothing to draw: the sentence says why."""
    notes: tuple[str, ...] = ()
    """What else a reader must know, such as what is provisional."""

    @property
    def title(self) -> str:
        """What it is called where several are listed."""
        return self.name.replace("-", " ").capitalize()

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

    def specification(self, mode: Mode) -> Specification:
        """The Vega-Lite specification. A picture that stands alone has its sentence, its note, its source and the licence with it."""
        size = {"width": _WIDTHS[mode], "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        spec = self.chart() | size | {"description": self.description, "config": config(mode)}
        if mode in ("light", "dark"):
            lines = [line for text in (self.note, *self.notes, self.source, LICENCE) for line in _lines(text)]
            spec |= {"title": {"text": _lines(self.finding, 0.75), "subtitle": lines}}
        return dict(_everywhere(spec, printable))  # of some other characters a renderer dies

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


def newest(rows: pd.DataFrame, headings: Mapping[str, Any]) -> pd.DataFrame:
    """Rows in the order of time, for reading: the newest first, and no more than fit a table."""
    return for_reading(rows.iloc[: -TABLE_ROWS - 1 : -1], headings)


def for_reading(rows: pd.DataFrame, headings: Mapping[str, Any]) -> pd.DataFrame:
    """Rows below plain headings, each with the name of its column or with what stands in it."""
    columns = {heading: rows[column] if isinstance(column, str) else column for heading, column in headings.items()}
    return pd.DataFrame(columns, index=rows.index)


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
    colours = _COLOURS[mode]
    marks = [colour for name, colour in colours.items() if name.startswith("mark")]
    return dict(_filled(_LOOK, {**colours, "marks": marks}))
