"""What all charts look like, in light and dark: colours that colour-blind readers can tell apart, and no red against green.

The colours are Okabe and Ito's (2008); on white only those with a contrast of at least 3:1 are used for lines and marks.
"""

from typing import Any, Literal

Mode = Literal["light", "dark"]

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"

# Ink, quiet ink, rules, paper, marks: blue, vermillion and purple; sky, orange and pink.
_COLOURS = {
    "light": ("#1b1f24", "#59636e", "#d8dee4", "#ffffff", ["#0072B2", "#B34A00", "#8F4E77"]),
    "dark": ("#e8eaed", "#a4acb6", "#3a424c", "#12161b", ["#56B4E9", "#E69F00", "#E7A6CB"]),
}


def config(mode: Mode) -> dict[str, Any]:
    """The `config` of a Vega-Lite specification; the charts themselves name no colour."""
    ink, quiet, rule, paper, marks = _COLOURS[mode]
    return {
        "background": paper,
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
        "range": {"category": marks},
        "mark": {"color": marks[0]},
        "line": {"strokeWidth": 2},
        "point": {"size": 45},
        "rule": {"color": quiet},
        "text": {"color": ink, "fontSize": 12},
        "style": {"band": {"opacity": 0.25}},
    }
