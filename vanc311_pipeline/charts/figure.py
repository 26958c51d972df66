"""A figure: a chart with its sentence, its note, its definition and its rows; and its specification, SVG and PNG."""

from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal

import altair as alt
import pandas as pd

from vanc311_pipeline.charts import theme
from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.errors import printable
from vanc311_pipeline.settings import LICENCE

Width = int | Literal["container"]
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
    chart: alt.Chart | alt.LayerChart | alt.FacetChart | alt.HConcatChart
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

    def specification(
        self, *, width: Width = 640, mode: theme.Mode | None = "light", title: bool = True
    ) -> dict[str, Any]:
        """The Vega-Lite specification.

        Args:
            mode: light or dark; None leaves the colours to whoever draws it.
            title: with the sentence, the note and the licence in the picture, for a picture that stands alone.
        """
        # Checking it against the schema takes longer than making it; the tests draw every figure.
        spec: dict[str, Any] = self.chart.to_dict(format="vega-lite", validate=False)
        spec.pop("config", None)
        spec.pop("$schema", None)  # an address of another host
        spec["description"] = self.description
        if self.height:
            spec |= {"width": width, "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        if mode:
            spec["config"] = theme.config(mode)
        if title:
            subtitle = [*_lines(self.note), *(line for note in self.notes for line in _lines(note)), LICENCE]
            spec["title"] = {"text": _lines(self.finding, 0.75), "subtitle": subtitle}
        return dict(_drawable(spec))

    def svg(self, mode: theme.Mode = "light", width: int = 720) -> str:
        """
        Raises:
            NotDrawn: it can't be drawn.
        """
        return str(renderer.draw("vegalite_to_svg", self._alone(mode, width)))

    def png(self, mode: theme.Mode = "light", width: int = 720, scale: float = 1) -> bytes:
        """
        Raises:
            NotDrawn: it can't be drawn.
        """
        return bytes(renderer.draw("vegalite_to_png", self._alone(mode, width), scale=scale))

    def _alone(self, mode: theme.Mode, width: int) -> dict[str, Any]:
        """The specification of a picture that stands alone: it leads nowhere, since it does not know where it stands."""
        spec = self.specification(mode=mode, width=width)
        for part in (spec, *spec.get("hconcat", [])):
            part.get("encoding", {}).pop("href", None)
        return spec


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


def tip(shorthand: str, format: str | None = None, title: str | None = None) -> alt.Tooltip:
    """A line of what is shown when a mark is pointed at."""
    given = {"format": format, "title": title}
    return alt.Tooltip(shorthand, **{name: value for name, value in given.items() if value})  # type: ignore[arg-type]


def counts() -> alt.Axis:
    """An axis of whole numbers."""
    return alt.Axis(format=",d", tickCount=5)


def shares() -> alt.Axis:
    """An axis of percentages."""
    return alt.Axis(format="%", tickCount=5)
