"""The routes of the site: which address leads to which page or file, and the one address that each has."""

import json
from collections.abc import Callable
from functools import partial
from itertools import chain
from urllib.parse import quote, unquote, urlencode

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match

from vanc311_pipeline import schema
from vanc311_pipeline.api.listing import streamed
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.api.routing import Queue
from vanc311_pipeline.charts.renderer import NotDrawn
from vanc311_pipeline.dashboard import briefs, compare, departments, dossier, feeds, index, requests
from vanc311_pipeline.dashboard.embeds import embed_address, framed, oembed, oembed_address
from vanc311_pipeline.dashboard.figure_files import ALONE, KINDS, figure_address, figure_file
from vanc311_pipeline.dashboard.figures import FIGURES, FORMER_NAMES
from vanc311_pipeline.dashboard.requests import RequestFilters
from vanc311_pipeline.dashboard.spreadsheets import BYTE_ORDER_MARK, XLSX, csv_lines, workbook
from vanc311_pipeline.dashboard.templating import STATIC_KINDS, assets, page, sheet, static, templates
from vanc311_pipeline.dashboard.view import SCOPES, View, asked_view, shown_view, view_of
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.find import LONGEST, Hit, find, has_postal_code
from vanc311_pipeline.reading.labels import branches_of, label_of, slug
from vanc311_pipeline.reading.release import Release

PAGES = {"citywide": "city", "neighbourhood": "area", "issue": "issue", "hyper_local": "pair"}
"""Each level has its own questions, in its own order."""
SUGGESTED = 8
KINDS_OF_HITS = {
    "pair": "problem in an area", "on_street": "problem on a street", "area": "area", "issue": "problem", "department": "department",
    "group": "departments", "bia": "business improvement area", "street": "street", "address": "address",
}  # fmt: skip
ROBOTS = "User-agent: *\nDisallow: /api/v1/\nDisallow: /embed/\nDisallow: /figures/\nDisallow: /*?\nAllow: /figures/*mode=card\n"
"""The pages may be found, and shown with a picture where they are linked; the thousands of combinations, pictures and rows behind
them are dear, and some name addresses."""


def dashboard(site_url: str | None = None) -> APIRouter:
    """The routes of the pages. Each answers from `request.state.release`, the release that is current when it is asked.

    Each has one address, to which all others that mean the same lead, whatever was added to it: so it is made and kept once.
    Where people reach the site, a page says its whole address, too.
    """
    router = APIRouter(include_in_schema=False)
    for root in {site_url, None}:  # a problem has none
        templates(root)
    icon = static("icon.svg")

    def route(
        path: str,
        fill: Callable[..., Response],
        address: Callable[..., str] | None = None,
        queue: str | None = None,
    ) -> None:
        """A page that is made at once, or waits for its turn in one of the queues: `drawing`, `asking` or `writing`. No other site may
        show it in a frame, unless it says so itself.
        """

        async def answer(request: Request) -> Response:
            raw_path, query = request.scope["raw_path"], request.scope["query_string"]
            only = await anyio.to_thread.run_sync(address, request) if address else path
            if only.encode("latin-1") != raw_path + (b"?" + query if query else b""):
                return RedirectResponse(only, 308, {"Cache-Control": "no-cache"})
            request.state.site_url, request.state.canonical = site_url, site_url and f"{site_url}{only}"
            make = partial(fill, request)
            try:
                waiting: Queue | None = getattr(request.app.state, queue) if queue else None
                response = await (waiting.run(request, make) if waiting else anyio.to_thread.run_sync(make))
            except NotDrawn as error:
                raise Problem("not-drawn", str(error)) from error
            response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
            return response

        router.add_route(path, answer, methods=["GET"])

    route("/areas/{area}/brief", _newest_brief, _same_path)
    for path in ("/", "/speed", "/areas/{area}", "/areas/{area}/{issue}", "/issues/{issue}"):
        route(path, _view, lambda request: asked_view(request).url, queue="drawing")
    route("/find", _find, partial(_find_address, ""), queue="asking")
    route("/find.json", _suggestions, partial(_find_address, ".json"), queue="asking")
    for kind in index.KINDS:
        route(f"/{kind}", partial(_index, kind), partial(_index_address, kind))
    route("/departments/{department}.xlsx", _department_xlsx, partial(_department_address, ".xlsx"), queue="writing")
    route("/departments/{department}", _department, partial(_department_address, ""))
    lists = {"": _requests, ".csv": _requests_csv, ".xlsx": _requests_xlsx, ".geojson": _requests_geojson}
    for kind, fill in lists.items():
        listed = partial(_list_address, kind)
        route(f"/requests{kind}", fill, listed, queue="writing" if kind == ".xlsx" else "asking")
    route("/requests/{request_id}", _request, _request_address)
    route("/briefs", lambda request: page(request, "briefs.html"))
    feed = partial(briefs.feed, site=site_url or "")
    route("/briefs.atom", lambda request: Response(feed(request.state.release), media_type=feeds.TYPES[".atom"]))
    route("/briefs/{month}/{brief}.pdf", _brief_pdf, _brief_pdf_address, queue="drawing")
    route("/briefs/{month}/{brief}", _brief, _same_path)
    for kind in feeds.TYPES:
        route(f"/feed{kind}", partial(_feed, kind), partial(_feed_address, kind), queue="asking")
    route("/compare", _compare, _compare_address)
    route("/quality", lambda request: page(request, "quality.html"), queue="drawing")
    route("/methods", lambda request: page(request, "methods.html"))
    route("/methods/simulated", lambda request: page(request, "simulated.html"))
    route("/data", lambda request: page(request, "data.html"))
    route("/api", _api)
    route("/healthz", _healthy)
    route("/robots.txt", lambda _: Response(ROBOTS, media_type="text/plain"))
    route("/favicon.ico", lambda _: Response(icon, 200, ALONE, KINDS["svg"]))
    for spelled, name in ({name: name for name in FIGURES} | FORMER_NAMES).items():
        route(f"/embed/{spelled}", partial(_embed, name), partial(embed_address, name), queue="drawing")
        for kind in KINDS:
            address = partial(figure_address, name, kind)
            route(f"/figures/{spelled}.{kind}", partial(figure_file, name, kind), address, queue="drawing")
    route("/oembed", oembed, oembed_address, queue="drawing")
    for file, only in assets().items():
        route(f"/static/{file}", partial(_static_file, file), lambda _, only=only: only)
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


def _same_path(request: Request) -> str:
    """The address without its parameters, in the one way to spell it."""
    return quote(request.url.path)


def _view(request: Request) -> Response:
    release = request.state.release
    view = shown_view(release, asked_view(request))
    return page(request, f"{'speed' if view.speed else PAGES[view.level]}.html", view=view, scopes=SCOPES)


def _embed(name: str, request: Request) -> Response:
    return _unlisted(page(request, "embed.html", framed=True, **framed(name, request)))


def _sought(request: Request) -> str:
    return " ".join(request.query_params.get("q", "").split())[:LONGEST]


def _find_address(kind: str, request: Request) -> str:
    text = _sought(request)
    return f"/find{kind}" + (f"?{urlencode({'q': text})}" if text else "")


def _address_of_hit(hit: Hit) -> str:
    if hit.kind == "on_street":
        issue, _, street = hit.key.partition("/")
        return f"/requests?{urlencode({'issue': issue, 'street': street}, quote_via=quote)}"
    room = {"area": "areas", "pair": "areas", "issue": "issues", "department": "departments", "group": "departments"}
    return f"/{room[hit.kind]}/{hit.key}" if hit.kind in room else RequestFilters().but(**{hit.kind: hit.key}).url


def _find(request: Request) -> Response:
    """What was found; the one thing that has all the words, at once."""
    text, release = _sought(request), request.state.release
    finding = find(release, text)
    if len(finding.hits) == 1 and not (finding.instead or finding.house_numbers):
        return RedirectResponse(_address_of_hit(finding.hits[0]), 303, {"Cache-Control": "no-cache"})
    context = {"sought": text, "finding": finding, "has_postal_code": has_postal_code(text)}
    return _unlisted(page(request, "find.html", address_of_hit=_address_of_hit, **context))


def _suggestions(request: Request) -> Response:
    """The best of what is found, for a script to show while words are typed."""
    hits = find(request.state.release, _sought(request)).hits[:SUGGESTED]
    shown = [
        {"name": printable(hit.name), "kind": KINDS_OF_HITS[hit.kind], "url": _address_of_hit(hit)} for hit in hits
    ]
    return _unlisted(Response(json.dumps(shown), media_type="application/json"))


def _sort(kind: str, request: Request) -> str:
    sorts, asked = index.KINDS[kind].sorts, request.query_params.get("sort")
    return asked if asked in sorts else sorts[0]


def _index_address(kind: str, request: Request) -> str:
    return index.KINDS[kind].address(_of_period(request), _sort(kind, request))


def _index(kind: str, request: Request) -> Response:
    release, sort = request.state.release, _sort(kind, request)
    view = shown_view(release, _of_period(request))
    return page(
        request,
        "index.html",
        kind=kind,
        index=index.KINDS[kind],
        sort=sort,
        rows=index.rows(release, kind, view, sort),
        view=view,
        groups=index.whole_groups(release, view) if kind == "departments" else [],
    )


def _departments(request: Request) -> tuple[str, list[str]]:
    """What a department's address calls it, and the labels that are meant: one, or all of a group."""
    release, text = request.state.release, unquote(request.path_params["department"])
    group = list(branches_of(release, text))
    label = None if group else label_of(release, "department", text)
    return (slug("department", label), [label]) if label else (text.lower(), group)


def _of_period(request: Request) -> View:
    """All that was opened in the period that an address names."""
    return view_of(request.state.release, {"period": request.query_params.get("period", "")})


def _month(request: Request) -> str | None:
    """The month that a department's address names, if it is a whole one of the record."""
    month = request.query_params.get("month")
    return month if month in departments.months(request.state.release) else None


def _department_address(kind: str, request: Request) -> str:
    month = _month(request)
    return f"/departments/{_departments(request)[0]}{kind}" + (
        f"?month={month}" if month else _of_period(request).query
    )


def _report(request: Request) -> departments.Report:
    release, (called, labels) = request.state.release, _departments(request)
    return departments.report(release, called, labels, shown_view(release, _of_period(request)), _month(request))


def _department(request: Request) -> Response:
    return page(request, "department.html", report=_report(request))


def _department_xlsx(request: Request) -> Response:
    release, report = request.state.release, _report(request)
    book = workbook([*report.columns], [report.cells], report.notes(release), "Types")
    return Response(book, headers=_attached(release, "xlsx", report.called), media_type=XLSX)


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
    return page(request, "compare.html", sides=_sides(request))


def _list(request: Request) -> RequestFilters:
    return requests.filters_of(request.state.release, request.query_params)


def _list_address(kind: str, request: Request) -> str:
    return _list(request).file(kind)


def _requests(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    rows, following = shown = requests.page(release, filters)
    context = {
        "filters": filters, "rows": rows, "next": following, "order": requests.ORDERS[filters.order_or_usual],
        "counts": requests.counts(release, filters, shown), "unaddressed": requests.unaddressed(release, filters),
        "choices": requests.choices(release, filters), "around": requests.around(release, filters), "chips": requests.chips,
        "rows_of_a_page": requests.ROWS, "rows_of_a_file": requests.ROWS_OF_A_FILE,
    }  # fmt: skip
    return _unlisted(page(request, "requests.html", **context))


def _requests_csv(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    head = BYTE_ORDER_MARK.encode() + csv_lines([requests.FILE_COLUMNS])
    pieces = (csv_lines(rows) for rows in requests.file_rows(release, filters))
    return _unlisted(
        streamed(request, lambda: chain([head], pieces), _attached(release, "csv"), filters.file(".csv"), KINDS["csv"])
    )


def _requests_xlsx(request: Request) -> Response:
    release, filters = request.state.release, _list(request)
    book = workbook(
        requests.FILE_COLUMNS, requests.file_rows(release, filters), requests.notes(release, filters), "Requests"
    )
    return _unlisted(Response(book, headers=_attached(release, "xlsx"), media_type=XLSX))


def _requests_geojson(request: Request) -> Response:
    points = requests.points(request.state.release, _list(request))
    return _unlisted(Response(json.dumps(points), media_type="application/geo+json"))


def _attached(release: Release, kind: str, what: str = "requests") -> dict[str, str]:
    name = f"vanc311-{'sample-' * release.is_sample}{what}-{release.about['as_of']}.{kind}"
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _unlisted(response: Response) -> Response:
    """Left out by search engines: it names addresses, or stands on another page."""
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _request_address(request: Request) -> str:
    return dossier.address(request.state.release, request.path_params["request_id"])


def _request(request: Request) -> Response:
    release = request.state.release
    of = dossier.dossier_of(release, request.path_params["request_id"])
    return _unlisted(page(request, "request.html", of=of))


def _brief_of(request: Request) -> briefs.Brief:
    month, address = (unquote(request.path_params[name]) for name in ("month", "brief"))
    if brief := briefs.brief_of(request.state.release, month, address):
        return brief
    raise Problem("no-such-brief", f"There is no brief {address!r} of {month!r}. /briefs lists all that there are.")


def _brief(request: Request) -> Response:
    return page(request, "brief.html", brief=_brief_of(request), layout="base.html")


def _paper(request: Request) -> str:
    return "a4" if request.query_params.get("paper") == "a4" else "letter"


def _brief_pdf_address(request: Request) -> str:
    return _same_path(request) + ("?paper=a4" if _paper(request) == "a4" else "")


def _brief_pdf(request: Request) -> Response:
    brief = _brief_of(request)
    try:
        content = briefs.pdf(sheet(request.state.release, brief, request.state.site_url), _paper(request))
    except briefs.NoPdf as error:
        raise Problem("no-pdf", f"{error} The brief itself is at {brief.url}, and can be printed.") from error
    name = f"vanc311-brief-{brief.about['month']}-{brief.about['address']}.pdf"
    # In a sandbox, or where nothing may be loaded, browsers don't show a PDF; and there is nothing in it to run.
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Content-Security-Policy": "frame-ancestors 'none'"}
    return Response(content, media_type="application/pdf", headers=headers)


def _newest_brief(request: Request) -> Response:
    """Leads to an area's newest brief."""
    release = request.state.release
    area = label_of(release, "area", unquote(request.path_params["area"]))
    if url := briefs.newest(release, "area", area):
        return RedirectResponse(url, 303, {"Cache-Control": "no-cache"})
    raise Problem("no-such-brief", f"{area} has no brief yet: the first is made when a whole month has settled.")


def _feed_of(request: Request) -> feeds.Feed:
    asked = request.query_params
    return feeds.feed_of(request.state.release, {**asked, "kind": ",".join(asked.getlist("kind"))})


def _feed_address(kind: str, request: Request) -> str:
    return _feed_of(request).url(kind)


def _feed(kind: str, request: Request) -> Response:
    """A page of a feed. Where people reach the site is in its addresses, if that is known."""
    feed, whole = _feed_of(request), request.state.canonical or ""
    page_of_feed = feeds.document(request.state.release, feed)
    written = feeds.WRITTEN[kind](page_of_feed, whole.removesuffix(feed.url(kind)))
    return _unlisted(Response(written, headers=ALONE, media_type=f"{feeds.TYPES[kind]}; charset=utf-8"))


def _api(request: Request) -> Response:
    document = request.app.openapi()
    questions = [{"path": path, **methods["get"]} for path, methods in document["paths"].items() if "get" in methods]
    return page(request, "api.html", about_api=document["info"]["description"], questions=questions)


def _healthy(request: Request) -> Response:
    """That there is a release, and it can be read; where it can't, the answer is a problem."""
    request.state.release.scalars(sa.select(schema.release.c.as_of))
    return Response("ok\n", headers={"Cache-Control": "no-store"}, media_type="text/plain")


def _static_file(file: str, _: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(static(file), headers=headers, media_type=STATIC_KINDS[file])
