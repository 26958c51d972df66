"""What all charts look like, in light and dark: colours that colour-blind readers can tell apart, and no red against green.

The colours are Okabe and Ito's (2008); on white only those with a contrast of at least 3:1 are used for lines and marks.
"""

from typing import Any, Literal

Mode = Literal["light", "dark"]

BLUE, VERMILLION, PURPLE, SKY, ORANGE, PINK = "#0072B2", "#B34A00", "#8F4E77", "#56B4E9", "#E69F00", "#E7A6CB"
SEQUENCE = ["#eff3ff", "#bdd7e7", "#6baed6", "#3182bd", "#08519c"]
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

_INK = {"light": "#1b1f24", "dark": "#e8eaed"}
_QUIET = {"light": "#59636e", "dark": "#a4acb6"}
_RULE = {"light": "#d8dee4", "dark": "#3a424c"}
_PAPER = {"light": "#ffffff", "dark": "#12161b"}
_MARKS = {"light": [BLUE, VERMILLION, PURPLE], "dark": [SKY, ORANGE, PINK]}


def config(mode: Mode = "light") -> dict[str, Any]:
    """The `config` of a Vega-Lite specification; the charts themselves name no colour."""
    ink, quiet, rule, marks = _INK[mode], _QUIET[mode], _RULE[mode], _MARKS[mode]
    return {
        "background": _PAPER[mode],
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": quiet,
            "titleColor": quiet,
            "titleFontWeight": "normal",
            "gridColor": rule,
            "domainColor": rule,
            "tickColor": rule,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "labelLimit": 230,
        },
        "legend": {"labelColor": ink, "titleColor": quiet, "labelFontSize": 12, "orient": "top", "title": None},
        "title": {
            "color": ink,
            "subtitleColor": quiet,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "anchor": "start",
            "frame": "bounds",
            "offset": 12,
        },
        "range": {"category": marks, "ramp": SEQUENCE, "heatmap": SEQUENCE, "ordinal": SEQUENCE},
        "mark": {"color": marks[0]},
        "bar": {"color": marks[0]},
        "line": {"color": marks[0], "strokeWidth": 2},
        "area": {"color": marks[0]},
        "point": {"color": marks[0], "size": 45},
        "rule": {"color": quiet},
        "text": {"color": ink, "fontSize": 12},
        "style": {
            "quiet": {"color": quiet, "stroke": quiet},
            "band": {"opacity": 0.25},
            "paper": {"fill": _PAPER[mode]},
        },
    }
