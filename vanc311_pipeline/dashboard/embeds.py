"""Figures on other sites: the page that they may show in a frame, the code for it, and what oEmbed says of it."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fastapi import Request
from fastapi.responses import Response
from markupsafe import Markup

from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts.figure import Figure, Mode
from vanc311_pipeline.dashboard.figure_files import asked_figure, asked_release
from vanc311_pipeline.dashboard.figures import FIGURES, FORMER_NAMES, draw, leading, page_figures
from vanc311_pipeline.dashboard.view import View, asked_view, shown_view, view_of
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.release import Release

WIDTH = 720
_CODE = Markup('<iframe src="{}" title="{}" width="{}" height="{}" loading="lazy" frameborder="0"></iframe>')
_VIEWS = re.compile(r"/(?:speed|areas/(?P<area>[^/]+)(?:/(?P<pair>[^/]+))?|issues/(?P<issue>[^/]+))?")


def _height(figure: Figure) -> int:
    """Pixels that a figure needs in the frame of a phone, where its picture and its words are tallest."""
    return round(1.25 * figure.height + 0.75 * len(figure.description)) + 270


def embed_address(name: str, request: Request) -> str:
    return asked_view(request).embed(name, asked_release(request))


def oembed_address(request: Request) -> str:
    """As it was asked for: whoever asks by rule need not know how we write an address."""
    return "?".join(filter(None, ("/oembed", request.scope["query_string"].decode("latin-1"))))


def framed(name: str, request: Request) -> dict[str, Any]:
    """What the page of a figure alone shows: drawn for a wide frame and for a narrow one, in the colours of the reader."""
    view, figure = asked_figure(name, request)
    pictures: list[tuple[Mode, Markup]] = (
        [] if figure.empty else [(mode, Markup(figure.svg(mode))) for mode in ("wide", "narrow")]
    )
    return {"view": view, "drawn": figure, "pictures": pictures, "pinned": asked_release(request) is not None}


def embed_code(
    view: View,
    figure: Figure,
    site_url: str | None,
    width: int | str = "100%",
    height: int | None = None,
    release: str | None = None,
) -> str:
    """What somebody puts into a page to show the figure, of one release alone if it is named; its title stays true, whatever the
    numbers become.
    """
    title = f"{figure.title}, {view.group_name}: Vancouver 3-1-1"
    return str(
        _CODE.format(
            f"{site_url or ''}{view.embed(figure.name, release)}", printable(title), width, height or _height(figure)
        )
    )


def oembed(request: Request) -> Response:
    """What oEmbed (https://oembed.com) asks of a page of this site, or of a figure: how to show it elsewhere."""
    asked, site_url = request.query_params, request.state.site_url
    if asked.get("format", "json") != "json":
        raise Problem("other-format", "oEmbed is answered in JSON: ask for format=json.")
    view, figure, pinned = _meant(request.state.release, asked.get("url", ""), site_url)
    width, height = (
        min(length, int(most)) if re.fullmatch("[1-9][0-9]{0,5}", most := asked.get(f"max{side}", "")) else length
        for side, length in (("width", WIDTH), ("height", _height(figure)))
    )
    answer: dict[str, Any] = {
        "version": "1.0", "type": "rich", "provider_name": "Vancouver 3-1-1", "provider_url": site_url,
        "title": printable(figure.title if pinned else figure.finding), "width": width, "height": height,
        "html": embed_code(view, figure, site_url, width, height, pinned),
    }  # fmt: skip
    return Response(json.dumps(answer), media_type="application/json")


def _meant(release: Release, url: str, site_url: str | None) -> tuple[View, Figure, str | None]:
    """The view and the figure of an address of this site: the one that it names, else the one that stands for its page; and the only
    release that it allows.
    """
    try:
        address = urlsplit(url)
    except ValueError:
        address = urlsplit("")
    path = _VIEWS.fullmatch(address.path or "/")
    framed, fragment = (
        FORMER_NAMES.get(name, name) for name in (address.path.removeprefix("/embed/"), address.fragment)
    )
    is_ours = site_url is not None and f"{address.scheme}://{address.netloc}" == site_url
    if not is_ours or not (path or framed in FIGURES):
        raise Problem(
            "not-found", "This is no page of this site that has a figure, or the site was not told its own address."
        )
    in_path = {kind: unquote(name) for kind, name in path.groupdict().items() if name} if path else {}
    if "pair" in in_path:
        in_path["issue"] = in_path.pop("pair")
    asked = dict(parse_qsl(address.query)) | in_path
    view = shown_view(release, view_of(release, asked)).but(speed=address.path == "/speed")
    name = fragment if path else framed
    figure = draw(release, view, name) if name in FIGURES else leading(page_figures(release, view))
    if figure is None:
        raise Problem("no-such-group", f"{view.group_name}: there is no such figure.")
    return view, figure, asked.get("release")
