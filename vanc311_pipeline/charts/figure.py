"""A figure: a chart with its sentence, its note, its definition and its rows; and its specification, SVG and PNG."""

from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd
import vl_convert

from vanc311_pipeline.charts import theme
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
        spec["description"] = self.description
        if self.height:
            spec |= {"width": width, "height": self.height, "autosize": {"type": "fit-x", "contains": "padding"}}
        if mode:
            spec["config"] = theme.config(mode)
        if title:
            subtitle = [*_lines(self.note), *(line for note in self.notes for line in _lines(note)), LICENCE]
            spec["title"] = {"text": _lines(self.finding, 0.75), "subtitle": subtitle}
        return spec

    def svg(self, mode: theme.Mode = "light", width: int = 720) -> str:
        return str(vl_convert.vegalite_to_svg(self.specification(mode=mode, width=width)))

    def png(self, mode: theme.Mode = "light", width: int = 720, scale: float = 1) -> bytes:
        return bytes(vl_convert.vegalite_to_png(self.specification(mode=mode, width=width), scale=scale))


def _lines(text: str, share: float = 1) -> list[str]:
    """A text in lines that fit the picture."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > LINE_CHARACTERS * share:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
