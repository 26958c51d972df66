"""Figures as files, each at an address of its own: pictures, numbers, what they mean, and all of it together.

The bytes follow from the release and the address alone.
"""

import base64
import io
import json
import re
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from fastapi import Request
from fastapi.responses import Response
from markupsafe import Markup

from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, Mode, everywhere
from vanc311_pipeline.dashboard.figures import FIGURES, draw, placed
from vanc311_pipeline.dashboard.spreadsheets import harmless
from vanc311_pipeline.dashboard.view import LAST_12_MONTHS, View, asked_view, shown_view
from vanc311_pipeline.errors import printable
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, METRICS
from vanc311_pipeline.reading.groups import Group, coverage
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import LICENCE, LICENCE_PAGE

KINDS = {
    "svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8", "json": "application/json",
    "metadata.json": "application/json", "html": "text/html; charset=utf-8", "zip": "application/zip",
}  # fmt: skip
_SAVED = ("html", "zip")
"""Kinds that a browser keeps and does not show."""
_MODES: dict[str, tuple[Mode, ...]] = {
    "svg": ("dark", "full", "wide", "narrow"), "png": ("dark", "card", "square"), "json": ("dark",)
}  # fmt: skip
"""In which forms there is a file other than light."""
ALONE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}
"""A picture asks for nothing and runs nothing, also where it is opened by itself."""


def figure_address(name: str, kind: str, request: Request) -> str:
    mode = _mode(kind, request)
    return asked_view(request).figure(name, kind, None if mode == "light" else mode, asked_release(request))


def figure_file(name: str, kind: str, request: Request) -> Response:
    view, figure = asked_figure(name, request)
    release, mode, site_url = request.state.release, _mode(kind, request), request.state.site_url
    contents: dict[str, Callable[[], str | bytes]] = {
        "svg": lambda: figure.svg(mode),
        "png": lambda: figure.png(mode),
        "csv": lambda: _csv(figure),
        "json": lambda: json.dumps(figure.specification(mode)),
        "metadata.json": lambda: _json(metadata(release, view, figure, site_url)),
        "html": lambda: _picture_within(view, figure, site_url),
        "zip": lambda: _together(release, view, figure, site_url),
    }
    how = "attachment" if kind in _SAVED else "inline"
    headers = {"Content-Disposition": f'{how}; filename="{_file_name(view, figure)}.{kind}"', **ALONE}
    return Response(contents[kind](), media_type=KINDS[kind], headers=headers)


def asked_figure(name: str, request: Request) -> tuple[View, Figure]:
    """The figure that an address means, and the page on which it stands; a Problem if it means another release, of which nothing is
    kept but the latest.
    """
    release, pinned = request.state.release, asked_release(request)
    if pinned not in (None, release.id):
        raise Problem(
            "other-release",
            f"This figure was asked for as release {printable(str(pinned))[:40]} has it. The release that is served now is "
            f"{release.id}, as of {words.day(release.about['as_of'])}, and its numbers may differ: they are not shown in its place.",
        )
    view = placed(shown_view(release, asked_view(request)), name)
    figure = draw(release, view, name)
    if figure is None:
        raise Problem("no-such-group", f"{view.group_name}: there are no rows to draw the figure {name} from.")
    return view, figure


def asked_release(request: Request) -> str | None:
    """The only release whose numbers an address may show; None stands for whichever is current."""
    return request.query_params.get("release") or None


def citation(release: Release) -> str:
    sample = " (a sample, not a picture of the city)" * release.is_sample
    return (
        f"City of Vancouver, 3-1-1 service requests{sample}, as of {words.day(release.about['as_of'])}; statistics by vanc311_pipeline "
        f"{version('vanc311_pipeline')}, release {release.id}. {LICENCE}"
    )


def metadata(release: Release, view: View, figure: Figure, site_url: str | None) -> dict[str, Any]:
    """What it takes to use the numbers of a figure: what they are, of whom, of how many, as of when, whose, and how to cite them."""
    metric, table = METRICS[figure.metric], FIGURES[figure.name][1]
    group = Group(view.level, area=view.area, issue=view.issue)
    files = {kind: view.figure(figure.name, kind) for kind in KINDS}
    links = {"page": f"{view.url}#{figure.name}", "definition": f"/methods#{metric.name}", **files}
    return {
        "figure": figure.name,
        "finding": figure.finding,
        "description": figure.description,
        "alternative_text": figure.alternative,
        "about": {
            "group": view.group_name, "level": view.level, "scope": view.counted, "local_area": view.area,
            "issue_type": view.issue, "period": view.period,
        },
        "definition": {
            "metric": metric.name, "title": metric.title, "meaning": metric.meaning, "formula": metric.formula,
            "unit": metric.unit, "which_requests": metric.scope, "minimum_n": metric.minimum_n, "source": metric.source,
            "definitions_version": DEFINITIONS_VERSION,
        },
        "n": figure.n,
        "n_counts": figure.counted,
        "coverage": coverage(release, group, view.period).model_dump(),
        "as_of": figure.as_of,
        "release": {"id": release.id, **{name: release.about[name] for name in ("source", "data_processed", "published_at")}},
        "citation": citation(release),
        "licence": {"text": LICENCE, "url": LICENCE_PAGE},
        "table": table.name,
        "rows": len(figure.rows),
        "columns": [
            {"name": name, "meaning": str(table.c[name].comment), "unit": table.c[name].info["unit"]}
            for name in figure.rows.columns
        ],
        "links": {name: f"{site_url or ''}{address}" for name, address in links.items()},
    }  # fmt: skip


def _mode(kind: str, request: Request) -> Mode:
    return next((mode for mode in _MODES.get(kind, ()) if mode == request.query_params.get("mode")), "light")


def _file_name(view: View, figure: Figure) -> str:
    """What it is, of whom, opened when, and as of when: opened-and-closed-kitsilano-2026-01-07."""
    period = "" if view.period == LAST_12_MONTHS else view.period
    named = "-".join(re.findall("[a-z0-9]+", f"{figure.name} {view.group_name} {period}".lower()))
    return f"{named[:120]}-{figure.as_of}"


def _csv(figure: Figure) -> bytes:
    """The rows, for whoever opens them with a double click: Excel takes them for UTF-8 by their mark, and no name for a formula."""
    rows = figure.rows.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell)
    return rows.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def _json(about: dict[str, Any]) -> str:
    return json.dumps(everywhere(about, printable), indent=1)


def _picture_within(view: View, figure: Figure, site_url: str | None) -> bytes:
    """The figure as a piece of HTML that asks nobody for anything, so that it shows these very numbers for ever, wherever it is put."""
    picture = base64.b64encode(figure.svg().encode()).decode()
    image = Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" width="720" style="max-width:100%;height:auto">')
    shown = image.format(picture, printable(figure.alternative))
    page = f"{site_url}{view.url}#{figure.name}"
    linked = Markup('<a href="{}">{}</a>').format(page, shown) if site_url else shown
    return f"<figure>{linked}</figure>\n".encode("ascii", "xmlcharrefreplace")


def _together(release: Release, view: View, figure: Figure, site_url: str | None) -> bytes:
    """All that is needed to quote the figure, and to check it, in one folder."""
    name = _file_name(view, figure)
    contents: dict[str, str | bytes] = {
        "README.txt": _read_me(release, figure, name),
        f"{name}.csv": _csv(figure),
        f"{name}.svg": figure.svg(),
        f"{name}.png": figure.png(),
        f"{name}.html": _picture_within(view, figure, site_url),
        f"{name}.metadata.json": _json(metadata(release, view, figure, site_url)),
    }
    file, made = io.BytesIO(), datetime.fromisoformat(release.about["published_at"])
    with ZipFile(file, "w") as archive:
        for part, content in contents.items():
            archive.writestr(ZipInfo(f"{name}/{part}", made.timetuple()[:6]), content, ZIP_DEFLATED)
    return file.getvalue()


def _read_me(release: Release, figure: Figure, name: str) -> str:
    paragraphs = (
        figure.finding,
        " ".join((figure.note, *figure.notes)),
        f"n = {words.whole(figure.n)} {figure.counted}.",
        figure.meaning,
        f"{figure.source} {figure.release}",
        f"{name}.csv: the numbers that are drawn. {name}.metadata.json: what each column means. {name}.svg and {name}.png: the "
        f"picture. {name}.html: the picture as a piece of HTML that can be put into a page.",
        f"Cite as: {citation(release)} {LICENCE_PAGE}",
    )
    return "\n\n".join(map(printable, paragraphs)) + "\n"
