"""Pages as HTML: what all templates know, the files that pages bring along, and what a browser may do with a page."""

from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vanc311_pipeline import calibration, metric_definitions
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard import (
    briefs,
    compare,
    departments,
    estimator,
    feeds,
    maps,
    numbers,
    quality,
    requests,
    tables,
)
from vanc311_pipeline.dashboard.embeds import embed_code
from vanc311_pipeline.dashboard.figure_files import citation
from vanc311_pipeline.dashboard.figures import leading, page_figures
from vanc311_pipeline.dashboard.requests import RequestFilters
from vanc311_pipeline.dashboard.view import address_of, days_of, periods
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.find import LONGEST, MOST_PLACES
from vanc311_pipeline.reading.integrity import summary
from vanc311_pipeline.reading.labels import group_name, plain, to_choose
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.release import STALE_HOURS, Release
from vanc311_pipeline.settings import LICENCE

STATIC, PACKAGE = files("vanc311_pipeline.dashboard").joinpath("static"), files("vanc311_pipeline")
SUFFIXES = {"css": "text/css", "js": "text/javascript", "mjs": "text/javascript", "geojson": "application/geo+json"}
STATIC_KINDS = {
    file: f"{SUFFIXES[file.rpartition('.')[2]]}; charset=utf-8"
    for file in (
        *("style.css", "brief.css", "page.js", "suggest.js", "map.js"),
        *(f"vendor/maplibre-gl{part}" for part in (".mjs", "-worker.mjs", ".css")),
        *(f"layers/{layer}.geojson" for layer in ("streets", "shoreline", "parks")),
    )
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline."""
FRAMED_POLICY = "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors *"
"""Of what other sites may show in a frame: no script and no form either."""
LIGHT = (
    ":root { --ink: #1b1f24; --quiet: #4a535c; --rule: #d8dee4; --paper: #ffffff; --note: #fff4ce; --mark: #0072b2; } "
    "* { box-sizing: border-box; }"
)
"""The colours of a document by itself."""


@cache
def templates(site_url: str | None) -> Environment:
    """All of them, loaded: another version of the program may be put in this one's place while it serves."""
    environment = Environment(
        loader=PackageLoader("vanc311_pipeline.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        # Not Markup: what it holds was seen here.
        finalize=lambda shown: printable(shown) if type(shown) is str else shown,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    in_words = ("whole", "day", "last_days", "instant", "listed", "month", "period")
    environment.filters |= {name: getattr(words, name) for name in in_words}
    environment.filters |= {"cell": tables.cell_of, "group_name": group_name}
    environment.filters |= {f"plain_{kind}": partial(plain, kind) for kind in ("issue", "department")}
    named: tuple[Any, ...] = (
        briefs, compare, departments, estimator, feeds, maps, metric_definitions, numbers, quality, requests, tables,
        address_of, citation, days_of, leading, names, page_figures, periods, plain, summary, to_choose,
    )  # fmt: skip
    environment.globals |= {each.__name__.rpartition(".")[2]: each for each in named}
    environment.globals |= {
        "calibration": calibration.read(),
        "calibration_head": calibration.HEAD,
        "calibration_explanation": calibration.EXPLANATION,
        "request_filters": RequestFilters,
        "embed_code": partial(embed_code, site_url=site_url),
        "site_url": site_url,
        "most_places": MOST_PLACES,
        "longest_search": LONGEST,
        "licence": LICENCE,
        "assets": assets(),
        "stale_hours": STALE_HOURS,
    }
    for template in environment.list_templates():
        environment.get_template(template)
    return environment


@cache
def static(file: str) -> bytes:
    return (PACKAGE if file.startswith("layers/") else STATIC).joinpath(file).read_bytes()


@cache
def assets() -> dict[str, str]:
    """The addresses of the static files: another content has another address."""
    return {file: f"/static/{file}?{sha256(static(file)).hexdigest()[:12]}" for file in STATIC_KINDS}


def page(request: Request, template: str, **context: Any) -> HTMLResponse:
    """A page of the release that is current when it is asked for, at its one address."""
    of = request.state
    return _html(of.release, template, of.site_url, canonical=of.canonical, **context)


def problem_page(release: Release | None, problem: dict[str, Any], address: str) -> Response:
    """Why there is no answer (`api.problems`), for who came with a browser, whether there is a release or not: in a frame, where
    that is what was asked for.
    """
    path, _, query = address.partition("?")
    asked = parse_qsl(query)
    rest = [(name, value) for name, value in asked if name != "release"]
    live = f"{path}?{urlencode(rest)}" if rest != asked else None
    return _html(
        release, "problem.html", None, canonical=None, problem=problem, live=live, framed=path.startswith("/embed/")
    )


def _html(
    release: Release | None, template: str, site_url: str | None, *, framed: bool = False, **context: Any
) -> HTMLResponse:
    context |= {
        "release": release,
        "about": release and release.about,
        "frame": "framed.html" if framed else "base.html",
    }
    text = templates(site_url).get_template(template).render(context)
    return HTMLResponse(text, headers={"Content-Security-Policy": FRAMED_POLICY if framed else POLICY})


def sheet(release: Release, brief: briefs.Brief, site_url: str | None) -> str:
    """A brief as one document by itself, which needs nothing beside it and leads to nothing."""
    style = Markup(f"{LIGHT} {static('brief.css').decode()}")
    context = {"layout": "sheet.html", "brief": brief, "style": style}
    return templates(site_url).get_template("brief.html").render(release=release, about=release.about, **context)
