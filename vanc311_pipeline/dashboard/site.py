"""The pages as routes: what each template gets, figures as files, the styles and the scripts.

What belongs here: addresses, headers of pages. What does not: what stands on a page (the modules beside this one).
"""

import json
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import quote, unquote

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from vanc311_pipeline import schema
from vanc311_pipeline.api.problems import problem
from vanc311_pipeline.charts import theme, words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.charts.renderer import NotDrawn, Renderer
from vanc311_pipeline.dashboard import numbers, quality, tables
from vanc311_pipeline.dashboard.figures import FIGURES, all_figures, draw
from vanc311_pipeline.dashboard.view import SCOPES, View, known_view, view_of
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.release import STALE_HOURS, Release
from vanc311_pipeline.registry import DEFINITIONS_VERSION, FAMILIES, LAWS, STATES
from vanc311_pipeline.settings import LICENCE

STATIC = files("vanc311_pipeline.dashboard").joinpath("static")
KINDS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8", "json": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline."""

ALONE = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""A picture asks for nothing and runs nothing, also where it is opened by itself."""


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("vanc311_pipeline.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda shown: (
            printable(shown) if type(shown) is str else shown
        ),  # not Markup: what it holds was seen here
    )
    made.filters |= {
        "whole": words.whole,
        "day": words.day,
        "in_words": quality.in_words,
        "path": lambda text: quote(text, safe=""),
    }
    made.globals |= {
        "licence": LICENCE,
        "assets": _assets(),
        "stale_hours": STALE_HOURS,
        "themes": {mode: theme.config(mode) for mode in ("light", "dark")},
    }
    return made


BUNDLED = "window.vegaEmbed = vegaEmbed;"
"""All that our own script needs of Vega, Vega-Lite and Vega-Embed."""


@cache
def _static(file: str) -> bytes:
    """A style or a script; Vega's is the one that vl-convert carries."""
    if file == "vega.js":
        bundler = Renderer()  # of its own: what bundling takes of the memory goes with it
        try:
            return str(bundler.draw("javascript_bundle", BUNDLED)).encode()
        finally:
            bundler.end()
    return STATIC.joinpath(file).read_bytes()


STATIC_KINDS = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "vega.js": "text/javascript; charset=utf-8",
}


@cache
def _assets() -> dict[str, str]:
    """The addresses of the static files: another content has another address."""
    fixed = {
        file: f"/static/{file}?{sha256(_static(file)).hexdigest()[:12]}" for file in STATIC_KINDS if file != "vega.js"
    }
    return fixed | {"vega.js": f"/static/vega.js?{version('vl-convert-python')}"}


def dashboard() -> APIRouter:
    """The routes of the pages. Each answers from `request.state.release`, the release that is current when it is asked.

    Each has one address, to which all others that mean the same lead, whatever was added to it: so it is made and kept once.
    """
    router = APIRouter(include_in_schema=False)

    def page(
        path: str,
        fill: Callable[[Request], Response],
        address: Callable[[Request], str] | None = None,
        *,
        drawn: bool = False,
    ) -> None:
        async def answer(request: Request) -> Response:
            raw_path, query = request.scope["raw_path"], request.scope["query_string"]
            only = address(request) if address else path
            if only.encode() != raw_path + (b"?" + query if query else b""):
                return RedirectResponse(only, 308, {"Cache-Control": "no-cache"})
            make = partial(fill, request)
            try:
                return await (request.app.state.drawing.run(request, make) if drawn else anyio.to_thread.run_sync(make))
            except NotDrawn as error:
                return problem("not-drawn", str(error))

        router.add_route(path, answer, methods=["GET"])

    def other(path: str, context: Callable[[Release], dict[str, Any]], *, drawn: bool = False) -> None:
        def fill(request: Request) -> Response:
            release: Release = request.state.release
            return _page(release, f"{path[1:]}.html", context(release))

        page(path, fill, drawn=drawn)

    for path in ("/", "/areas/{area:path}", "/issues/{issue:path}"):
        page(path, _view_page, lambda request: _asked(request).url, drawn=True)
    other("/quality", _quality, drawn=True)
    other("/methods", _methods)
    other("/data", _data)
    page("/api", _api)
    page("/healthz", _healthy)
    page("/robots.txt", _robots)
    page("/favicon.ico", _icon)
    for name in FIGURES:
        for kind in KINDS:
            page(
                f"/figures/{name}.{kind}",
                partial(_figure_file, name, kind),
                partial(_figure_address, name, kind),
                drawn=True,
            )
    for file in STATIC_KINDS:
        page(f"/static/{file}", partial(_static_file, file), partial(_static_address, file))
    return router


def _asked(request: Request) -> View:
    """The view that an address means, whether the release has it or not."""
    return view_of({**request.query_params, **{name: unquote(text) for name, text in request.path_params.items()}})


def _api(request: Request) -> Response:
    """What the API can be asked, from its own OpenAPI document."""
    release = request.state.release
    document = request.app.openapi()
    questions = [{"path": path, **methods["get"]} for path, methods in document["paths"].items() if "get" in methods]
    context = {"page": "data", "title": "API", "about_api": document["info"]["description"], "questions": questions}
    return _page(release, "api.html", context)


def _static_address(file: str, request: Request) -> str:
    del request
    return _assets()[file]


def _static_file(file: str, request: Request) -> Response:
    del request
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_static(file), headers=headers, media_type=STATIC_KINDS[file])


def _icon(request: Request) -> Response:
    del request
    headers = {"Content-Security-Policy": ALONE}
    return Response(STATIC.joinpath("icon.svg").read_bytes(), headers=headers, media_type=KINDS["svg"])


ROBOTS = "User-agent: *\nDisallow: /api/v1/\nDisallow: /figures/\nDisallow: /*?\n"
"""The pages may be found; the thousands of combinations, pictures and rows behind them are dear, and some name addresses."""


def _robots(request: Request) -> Response:
    del request
    return Response(ROBOTS, media_type="text/plain")


def _healthy(request: Request) -> Response:
    """That there is a release, and it can be read; where it can't, the answer is a problem."""
    request.state.release.scalars(sa.select(schema.release.c.as_of))
    return Response("ok\n", headers={"Cache-Control": "no-store"}, media_type="text/plain")


def problem_page(release: Release | None, problem: dict[str, Any]) -> Response:
    """Why there is no answer (`api.problems`), for who came with a browser, whether there is a release or not."""
    return _page(release, "problem.html", {"problem": problem, "title": problem["title"], "page": ""})


def _page(release: Release | None, template: str, context: dict[str, Any]) -> Response:
    about = release and release.about
    text = _templates().get_template(template).render(release=release, about=about, **context)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


def _view_page(request: Request) -> Response:
    release, asked = request.state.release, _asked(request)
    view = known_view(release, asked)
    if (view.area, view.issue) != (asked.area, asked.issue):  # in another case
        return RedirectResponse(asked.but(area=view.area, issue=view.issue).url, 308)
    return _page(release, "view.html", _view(release, view))


def _view(release: Release, view: View) -> dict[str, Any]:
    figures = [Shown(figure, view) for figure in all_figures(release, view)]
    makers = (
        tables.waiting,
        tables.against_the_city,
        tables.breakdown,
        tables.reported_more_or_less,
        tables.newest_changes,
    )
    return {
        "view": view,
        "title": view.issue or view.area or "Vancouver 3-1-1",
        "lead": numbers.lead(release, view),
        "cards": numbers.cards(release, view),
        "figures": figures,
        "tables": [table for table in (make(release, view) for make in makers) if table],
        "choices": {kind: names(release, kind) for kind in ("area", "issue", "period")},
        "scopes": SCOPES,
        "page": "city",
    }


class Shown:
    """A figure on a page: its words, its specification, its table twin and its files."""

    def __init__(self, figure: Figure, view: View) -> None:
        self.figure = figure
        self.files = {kind: view.figure(figure.name, kind) for kind in KINDS}
        self.twin = tables.twin(figure, self.files["csv"])

    @property
    def specification(self) -> str:
        """As JSON that can stand inside a script element."""
        spec = self.figure.specification(width="container", mode=None, title=False)
        return json.dumps(spec, ensure_ascii=False).replace("<", "\\u003c")


def _mode(request: Request) -> Literal["light", "dark"]:
    return "dark" if request.query_params.get("mode") == "dark" else "light"


def _figure_address(name: str, kind: str, request: Request) -> str:
    return _asked(request).figure(name, kind, "dark" if _mode(request) == "dark" and kind != "csv" else None)


def _figure_file(name: str, kind: str, request: Request) -> Response:
    mode, release = _mode(request), request.state.release
    view = known_view(release, _asked(request))
    figure = draw(release, view, name)
    if figure is None:
        return problem("no-such-group", f"{view.group_name}: there are no rows to draw the figure {name} from.")
    contents: dict[str, Callable[[], str | bytes]] = {
        "svg": lambda: figure.svg(mode),
        "png": lambda: figure.png(mode, scale=2),
        "csv": lambda: _csv(figure),
        "json": lambda: json.dumps(figure.specification(mode=mode)),
    }
    headers = {"Content-Disposition": f'inline; filename="{name}.{kind}"', "Content-Security-Policy": ALONE}
    return Response(contents[kind](), media_type=KINDS[kind], headers=headers)


def _csv(figure: Figure) -> bytes:
    """The rows, for whoever opens them with a double click: Excel takes them for UTF-8 by their mark, and no name for a formula."""
    rows = figure.rows.map(lambda cell: _harmless(printable(cell)) if isinstance(cell, str) else cell)
    return rows.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _quality(release: Release) -> dict[str, Any]:
    makers = (quality.checks, quality.coverage, quality.trend, quality.months, quality.quarantine)
    return {
        "page": "quality",
        "title": "Quality",
        "lines": quality.freshness(release),
        "tables": [table for table in (make(release) for make in makers) if table],
    }


def _methods(release: Release) -> dict[str, Any]:
    del release
    return {
        "page": "methods",
        "title": "Methods",
        "families": FAMILIES,
        "states": STATES,
        "laws": LAWS,
        "version": DEFINITIONS_VERSION,
    }


def _data(release: Release) -> dict[str, Any]:
    del release
    return {"page": "data", "title": "Data", "program": version("vanc311_pipeline")}
