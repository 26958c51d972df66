"""What may reach Dagster's webserver: whoever is on this machine, and no web page of somebody else's that runs in their browser.

Dagster's webserver has no log-in and carries out every mutation, by GET, too, whatever Host and Origin a request names. A foreign
page could launch runs and wipe assets with it (cross-site request forgery), or read it all under a name that it points at this
machine (DNS rebinding). What belongs here: which requests are refused, and the sentence that says why. What does not: who may
use the UI; a proxy in front of it decides that.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})
_POLICY_VIOLATION = 1008  # RFC 6455


class Guard:
    """Dagster's webserver, as an ASGI application, for requests that name it rightly and come from its own pages or from no page."""

    def __init__(self, app: ASGIApp, *, host: str, ui_url: str | None) -> None:
        """
        Args:
            host: where the server listens; an address that stands for every interface is nobody's name.
            ui_url: where people reach it, if a proxy stands in front of it.
        """
        public = urlsplit(ui_url or "")
        self._app = app
        self._origin = f"{public.scheme}://{public.netloc}".lower() if ui_url else None
        self._hosts = (_LOOPBACK | {host.lower()} | {public.hostname or ""}) - _EVERY_INTERFACE - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = None if scope["type"] == "lifespan" else self._refusal(HTTPConnection(scope))
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, request: HTTPConnection) -> ASGIApp | None:
        """The answer to a request that is refused."""
        headers, host = request.headers, request.headers.get("host", "")
        if _hostname(host) not in self._hosts:
            return _refuse(
                request,
                421,
                f"Dagster's UI is not known as {host!r}. Open it as one of {', '.join(sorted(self._hosts))}, or set VANC311_UI_URL "
                "to the address at which people reach it.",
            )
        if (origin := headers.get("origin")) and not self._is_own(origin, host):
            return _refuse(request, 403, f"A page of {origin} may not use Dagster's UI.")
        if _is_from_another_site(headers, request.scope.get("method")):
            return _refuse(request, 403, "A page of another site may link to Dagster's UI, and nothing else.")
        if request.scope["type"] == "http" and request.scope["path"].endswith("/graphql"):
            return _refuse_graphql(request)
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        return origin.lower() in (self._origin, f"http://{host.lower()}", f"https://{host.lower()}")


def _hostname(host: str) -> str | None:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # a bracket that is not closed
        return None


def _is_from_another_site(headers: Mapping[str, str], method: str | None) -> bool:
    """Whether a browser says that another site's page asks, and not for following a link (W3C's Fetch Metadata)."""
    link = method == "GET" and headers.get("sec-fetch-dest") == "document"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not link


def _refuse_graphql(request: HTTPConnection) -> ASGIApp | None:
    """Queries and mutations come by POST, as JSON: what a page of another site can't send without asking first."""
    if request.scope["method"] != "POST":
        return _refuse(request, 405, "GraphQL is answered to POST only.", {"Allow": "POST"})
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return _refuse(request, 415, "GraphQL is answered to application/json only.")
    return None


def _refuse(request: HTTPConnection, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> ASGIApp:
    if request.scope["type"] == "websocket":
        return WebSocketClose(_POLICY_VIOLATION, sentence)
    return PlainTextResponse(sentence + "\n", status, headers)
