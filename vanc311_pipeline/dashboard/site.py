"""The pages as routes: what all templates know, figures as files, the styles and the scripts."""

import json
import re
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote, urlencode

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.routing import BaseRoute, Match

from vanc311_pipeline import calibration, metric_definitions, schema
from vanc311_pipeline.api.listing import streamed
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure, Mode
from vanc311_pipeline.charts.renderer import NotDrawn
from vanc311_pipeline.dashboard import (
    compare,
    departments,
    dossier,
    estimator,
    index,
    maps,
    numbers,
    reporting,
    requests,
    tables,
)
from vanc311_pipeline.dashboard.figures import FIGURES, all_figures, draw
from vanc311_pipeline.dashboard.requests import RequestFilters
from vanc311_pipeline.dashboard.spread import areas_by_wait
from vanc311_pipeline.dashboard.spreadsheets import BYTE_ORDER_MARK, XLSX, csv_lines, harmless, workbook
from vanc311_pipeline.dashboard.view import LAST_12_MONTHS, SCOPES, View, address_of, periods, shown_view, view_of
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.find import LONGEST, MOST_PLACES, Hit, find
from vanc311_pipeline.reading.integrity import summary
from vanc311_pipeline.reading.labels import group_name, group_of, label_of, plain, slug
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.release import STALE_HOURS, Release
from vanc311_pipeline.settings import LICENCE

STATIC, PACKAGE = files("vanc311_pipeline.dashboard").joinpath("static"), files("vanc311_pipeline")
SUFFIXES = {"css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "geojson": "application/geo+json"}
STATIC_KINDS = {
    file: f"{SUFFIXES[file.rpartition('.')[2]]}; charset=utf-8"
    for file in (
        *("style.css", "page.js", "map.js"),
        *(f"vendor/maplibre-gl{part}" for part in (".mjs", "-worker.mjs", ".css")),
        *(f"layers/{layer}.geojson" for layer in ("streets", "shoreline", "parks")),
    )
}
KINDS = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv; charset=utf-8", "json": "application/json"}
PAGES = {"citywide": "city", "neighbourhood": "area", "issue": "issue", "hyper_local": "pair"}
"""Each level has its own questions, in its own order."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline."""

ALONE = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}
"""A picture asks for nothing and runs nothing, also where it is opened by itself."""

ROBOTS = "User-agent: *\nDisallow: /api/v1/\nDisallow: /figures/\nDisallow: /*?\n"
"""The pages may be found; the thousands of combinations, pictures and rows behind them are dear, and some name addresses."""


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("vanc311_pipeline.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Not Markup: what it holds was seen here.
        finalize=lambda shown: printable(shown) if type(shown) is str else shown,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    in_words = ("whole", "day", "last_days", "instant", "listed", "period")
    environment.filters |= {name: getattr(words, name) for name in in_words}
    environment.filters |= {"cell": tables.cell_of}
    environment.filters |= {f"plain_{kind}": partial(plain, kind) for kind in ("issue", "department")}
    environment.globals |= {
        "metric_definitions": metric_definitions,
        "calibration": calibration.read(),
        "calibration_head": calibration.HEAD,
        "calibration_explanation": calibration.EXPLANATION,
        "compare": compare,
        "departments": departments,
        "requests": requests,
        "request_filters": RequestFilters,
        "estimator": estimator,
        "maps": maps,
        "numbers": numbers,
        "reporting": reporting,
        "tables": tables,
        "figures_of": all_figures,
        "names": names,
        "periods": periods,
        "spread_of": areas_by_wait,
        "plain": plain,
        "address_of": address_of,
        "address_of_hit": _address_of_hit,
        "most_places": MOST_PLACES,
        "longest_search": LONGEST,
        "summary": summary,
        "licence": LICENCE,
        "program": version("vanc311_pipeline"),
        "assets": _assets(),
        "stale_hours": STALE_HOURS,
    }
    return environment


@cache
def _static(file: str) -> bytes:
    return (PACKAGE if file.startswith("layers/") else STATIC).joinpath(file).read_bytes()


@cache
def _assets() -> dict[str, str]:
    """The addresses of the static files: another content has another address."""
    return {file: f"/static/{file}?{sha256(_static(file)).hexdigest()[:12]}" for file in STATIC_KINDS}


def dashboard() -> APIRouter:
    """The routes of the pages. Each answers from `request.state.release`, the release that is current when it is asked.

    Each has one address, to which all others that mean the same lead, whatever was added to it: so it is made and kept once.
    """
    router = APIRouter(include_in_schema=False)

    def page(
        path: str,
        fill: Callable[..., Response],
        address: Callable[..., str] | None = None,
        drawn: bool = False,
        asked: bool = False,
    ) -> None:
        """A page that is made at once, or waits for its turn among those that are drawn, or among questions that may take long."""

        async def answer(request: Request) -> Response:
            raw_path, query = request.scope["raw_path"], request.scope["query_string"]
            only = await anyio.to_thread.run_sync(address, request) if address else path
            if only.encode() != raw_path + (b"?" + query if query else b""):
                return RedirectResponse(only, 308, {"Cache-Control": "no-cache"})
            make = partial(fill, request)
            try:
                queue = request.app.state.drawing if drawn else request.app.state.asking if asked else None
                return await (queue.run(request, make) if queue else anyio.to_thread.run_sync(make))
            except NotDrawn as error:
                raise Problem("not-drawn", str(error)) from error

        router.add_route(path, answer, methods=["GET"])

    for path in ("/", "/areas/{area}", "/areas/{area}/{issue}", "/issues/{issue}"):
        page(path, _view, lambda request: _asked(request).url, drawn=True)
    page("/find", _find, _find_address, asked=True)
    for kind in index.KINDS:
        page(f"/{kind}", partial(_index, kind), partial(_index_address, kind))
    page("/departments/{department}", _department, _department_address)
    lists = {"": _requests, ".csv": _requests_csv, ".xlsx": _requests_xlsx, ".geojson": _requests_geojson}
    for kind, fill in lists.items():
        listed = partial(_list_address, kind)
        page(f"/requests{kind}", fill, listed, drawn=kind == ".xlsx", asked=kind != ".xlsx")
    page("/requests/{request_id}", _request, _request_address)
    page("/compare", _compare, _compare_address)
    page("/quality", lambda request: _page(request.state.release, "quality.html"), drawn=True)
    page("/methods", lambda request: _page(request.state.release, "methods.html"))
    page("/data", lambda request: _page(request.state.release, "data.html"))
    page("/api", _api)
    page("/healthz", _healthy)
    page("/robots.txt", lambda _: Response(ROBOTS, media_type="text/plain"))
    page("/favicon.ico", lambda _: Response(STATIC.joinpath("icon.svg").read_bytes(), 200, ALONE, KINDS["svg"]))
    for name in FIGURES:
        for kind in KINDS:
            path = f"/figures/{name}.{kind}"
            page(path, partial(_figure_file, name, kind), partial(_figure_address, name, kind), drawn=True)
    for file, address in _assets().items():
        page(f"/static/{file}", partial(_static_file, file), lambda _, address=address: address)
    router.add_route("/{path:path}", partial(_spelled_otherwise, [*router.routes]), methods=["GET"])
    return router


def _spelled_otherwise(routes: list[BaseRoute], request: Request) -> Response:
    """Where an address leads that has capitals, or slashes at its end or doubled, if a page has it without them."""
    words = request.scope["path"].lower().split("/")
    path = f"/{'/'.join(word for word in words if word)}"
    if path == request.scope["path"] or not any(
        route.matches({**request.scope, "path": path})[0] is Match.FULL for route in routes
    ):
        raise HTTPException(404)
    query = request.url.query
    return RedirectResponse(quote(path, safe="/%") + (f"?{query}" if query else ""), 308, {"Cache-Control": "no-cache"})


def _asked(request: Request) -> View:
    """The view that an address means, in the names of the release."""
    in_path = {name: unquote(text) for name, text in request.path_params.items()}
    return view_of(request.state.release, {**request.query_params, **in_path})


def _page(release: Release | None, template: str, **context: Any) -> Response:
    about = release and release.about
    text = _templates().get_template(template).render(release=release, about=about, **context)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


def problem_page(release: Release | None, problem: dict[str, Any]) -> Response:
    """Why there is no answer (`api.problems`), for who came with a browser, whether there is a release or not."""
    return _page(release, "problem.html", problem=problem)


def _view(request: Request) -> Response:
    release = request.state.release
    view = shown_view(release, _asked(request))
    return _page(release, f"{PAGES[view.level]}.html", view=view, scopes=SCOPES)


def _sought(request: Request) -> str:
    return " ".join(request.query_params.get("q", "").split())[:LONGEST]


def _find_address(request: Request) -> str:
    text = _sought(request)
    return f"/find?{urlencode({'q': text})}" if text else "/find"


def _address_of_hit(hit: Hit) -> str:
    room = {"area": "areas", "pair": "areas", "issue": "issues", "department": "departments", "group": "departments"}
    return f"/{room[hit.kind]}/{hit.key}" if hit.kind in room else RequestFilters().but(**{hit.kind: hit.key}).url


def _find(request: Request) -> Response:
    """What was found; the one thing that has all the words, at once."""
    text, release = _sought(request), request.state.release
    finding = find(release, text)
    if len(finding.hits) == 1 and not finding.instead:
        return RedirectResponse(_address_of_hit(finding.hits[0]), 303, {"Cache-Control": "no-cache"})
    return _page(release, "find.html", sought=text, finding=finding)


def _index_address(kind: str, request: Request) -> str:
    sort = request.query_params.get("sort")
    return f"/{kind}" + (f"?sort={sort}" if sort in index.KINDS[kind].sorts[1:] else "")


def _index(kind: str, request: Request) -> Response:
    release, shown = request.state.release, index.KINDS[kind]
    sort = request.query_params.get("sort", shown.sorts[0])
    return _page(release, "index.html", kind=kind, index=shown, sort=sort, rows=index.rows(release, kind, sort))


def _departments(request: Request) -> tuple[str, list[str]]:
    """What a department's address calls it, and the labels that are meant: one, or all of a group."""
    release, text = request.state.release, unquote(request.path_params["department"])
    group = [label for label in names(release, "department") if group_of(label) == text.lower()]
    label = None if group else label_of(release, "department", text)
    return (slug("department", label), [label]) if label else (text.lower(), group)


def _of_period(request: Request) -> View:
    """All that was opened in the period that an address names."""
    return view_of(request.state.release, {"period": request.query_params.get("period", "")})


def _department_address(request: Request) -> str:
    return f"/departments/{_departments(request)[0]}{_of_period(request).query}"


def _department(request: Request) -> Response:
    release, (called, labels) = request.state.release, _departments(request)
    name = group_name(called) if called == group_of(labels[0]) else plain("department", labels[0])
    view = shown_view(release, _of_period(request))
    return _page(release, "department.html", name=name, called=called, labels=labels, view=view)


def _sides(request: Request) -> tuple[View, View] | None:
    """What is to be compared: an area, and another or the city, of the same issue type; None if no area is named."""
    release, asked = request.state.release, request.query_params
    areas = [label_of(release, "area", asked[side]) for side in ("left", "right") if asked.get(side)]
    issue = label_of(release, "issue", asked["issue"]) if asked.get("issue") else None
    left, right = [View(area, issue) for area in dict.fromkeys(areas)], View(None, issue)
    return (left[0], left[1] if len(left) > 1 else right) if left else None


def _compare_address(request: Request) -> str:
    sides = _sides(request)
    return compare.address(sides) if sides else "/compare"


def _compare(request: Request) -> Response:
    return _page(request.state.release, "compare.html", sides=_sides(request))


def _list(request: Request) -> RequestFilters:
    return requests.filters_of(request.state.release, request.query_params)


def _list_address(kind: str, request: Request) -> str:
    return _list(request).file(kind)


def _requests(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    rows, following = requests.page(release, filters)
    context = {
        "filters": filters, "rows": rows, "next": following, "order": requests.ORDERS[filters.order or "newest"],
        "counts": requests.counts(release, filters), "unaddressed": requests.unaddressed(release, filters),
        "choices": requests.choices(release, filters), "chips": requests.chips,
        "rows_of_a_page": requests.ROWS, "rows_of_a_file": requests.ROWS_OF_A_FILE,
    }  # fmt: skip
    return _unlisted(_page(release, "requests.html", **context))


def _requests_csv(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    head = BYTE_ORDER_MARK.encode() + csv_lines([requests.FILE_COLUMNS])
    pieces = (csv_lines(rows) for rows in requests.file_rows(release, filters))
    return _unlisted(
        streamed(request, lambda: chain([head], pieces), _attached(release, "csv"), filters.file(".csv"), KINDS["csv"])
    )


def _requests_xlsx(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    rows = chain.from_iterable(requests.file_rows(release, filters))
    book = workbook(requests.FILE_COLUMNS, rows, requests.notes(release, filters), "Requests")
    return _unlisted(Response(book, headers=_attached(release, "xlsx"), media_type=XLSX))


def _requests_geojson(request: Request) -> Response:
    points = requests.points(request.state.release, _list(request))
    return _unlisted(Response(json.dumps(points), media_type="application/geo+json"))


def _attached(release: Release, kind: str) -> dict[str, str]:
    name = f"vanc311-{'sample-' * release.is_sample}requests-{release.about['as_of']}.{kind}"
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _unlisted(response: Response) -> Response:
    """Left out by search engines: it names addresses."""
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _request_address(request: Request) -> str:
    return dossier.address(request.state.release, request.path_params["request_id"])


def _request(request: Request) -> Response:
    release = request.state.release
    of = dossier.dossier_of(release, request.path_params["request_id"])
    return _unlisted(_page(release, "request.html", of=of))


def _api(request: Request) -> Response:
    document = request.app.openapi()
    questions = [{"path": path, **methods["get"]} for path, methods in document["paths"].items() if "get" in methods]
    return _page(request.state.release, "api.html", about_api=document["info"]["description"], questions=questions)


def _healthy(request: Request) -> Response:
    """That there is a release, and it can be read; where it can't, the answer is a problem."""
    request.state.release.scalars(sa.select(schema.release.c.as_of))
    return Response("ok\n", headers={"Cache-Control": "no-store"}, media_type="text/plain")


def _static_file(file: str, _: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_static(file), headers=headers, media_type=STATIC_KINDS[file])


MODES: dict[str, tuple[Mode, ...]] = {"svg": ("dark", "wide", "narrow"), "png": ("dark",), "json": ("dark",), "csv": ()}
"""In which forms there is a file other than light."""


def _mode(kind: str, request: Request) -> Mode:
    return next((mode for mode in MODES[kind] if mode == request.query_params.get("mode")), "light")


def _figure_address(name: str, kind: str, request: Request) -> str:
    mode = _mode(kind, request)
    return _asked(request).figure(name, kind, None if mode == "light" else mode)


def _figure_file(name: str, kind: str, request: Request) -> Response:
    mode, release = _mode(kind, request), request.state.release
    view = shown_view(release, _asked(request))
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
