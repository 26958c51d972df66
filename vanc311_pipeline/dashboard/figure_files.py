"""Figures as files: pictures, their numbers and their specification, each at an address of its own."""

import json
import re
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts.figure import Figure, Mode
from vanc311_pipeline.dashboard.figures import draw
from vanc311_pipeline.dashboard.spreadsheets import harmless
from vanc311_pipeline.dashboard.view import LAST_12_MONTHS, View, asked_view, shown_view

KINDS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8", "json": "application/json"}
ALONE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}
"""A picture asks for nothing and runs nothing, also where it is opened by itself."""
MODES: dict[str, tuple[Mode, ...]] = {"svg": ("dark", "wide", "narrow"), "png": ("dark",), "json": ("dark",), "csv": ()}
"""In which forms there is a file other than light."""


def _mode(request: Request, kind: str) -> Mode:
    return next((mode for mode in MODES[kind] if mode == request.query_params.get("mode")), "light")


def figure_address(name: str, kind: str, request: Request) -> str:
    mode = _mode(request, kind)
    return asked_view(request).figure(name, kind, None if mode == "light" else mode)


def figure_file(name: str, kind: str, request: Request) -> Response:
    mode, release = _mode(request, kind), request.state.release
    view = shown_view(release, asked_view(request))
    figure = draw(release, view, name)
    if figure is None:
        raise Problem("no-such-group", f"{view.group_name}: there are no rows to draw the figure {name} from.")
    contents: dict[str, Callable[[], str | bytes]] = {
        "svg": lambda: figure.svg(mode),
        "png": lambda: figure.png(mode),
        "csv": lambda: _csv(figure),
        "json": lambda: json.dumps(figure.specification(mode)),
    }
    file = f"{_file_name(name, view, figure.as_of)}.{kind}"
    headers = {"Content-Disposition": f'inline; filename="{file}"', **ALONE}
    return Response(contents[kind](), media_type=KINDS[kind], headers=headers)


def _file_name(figure: str, view: View, as_of: str) -> str:
    """What it is, of whom, opened when, and as of when: opened-and-closed-kitsilano-2026-01-07."""
    period = "" if view.period == LAST_12_MONTHS else view.period
    return "-".join(re.findall("[a-z0-9]+", f"{figure} {view.group_name} {period}".lower()))[:120] + f"-{as_of}"


def _csv(figure: Figure) -> bytes:
    """The rows, for whoever opens them with a double click: Excel takes them for UTF-8 by their mark, and no name for a formula."""
    rows = figure.rows.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    return rows.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")
