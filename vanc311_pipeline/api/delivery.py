"""How every answer leaves, the API's and the pages': once made, it is kept and sent again for as long as its release is current.

What belongs here: the methods, HEAD, conditional requests, compression, the headers that all answers carry. What does not: making
an answer, and keeping it (`kept`). An answer depends on the address, the format wanted and the release alone.

Starlette's GZip compresses each answer anew, small ones on the event loop, and leaves the plain answer's ETag; its CORS allows only
those who send Origin, which nothing that keeps answers would know; its file responses open a path that may lead to another release.

The path is handed on with its `%2F` as they came, so that a name may hold a slash; parameters decode it.
"""

import asyncio
import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.api.kept import Answer, Begun, Headers, Kept, Key
from vanc311_pipeline.api.negotiation import (
    PROBLEM,
    accepts_gzip,
    gzipped,
    http_date,
    not_modified,
    prefers_csv,
    prefers_html,
)
from vanc311_pipeline.api.problems import METHODS, problem
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.logs import Sparing, in_a_line
from vanc311_pipeline.reading.published import PublishedFile
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import LICENCE_PAGE

log = logging.getLogger(__name__)
log.addFilter(Sparing(at_most=10))  # whoever has found a fault could fill a disk with it

_WORTH_COMPRESSING = 500
_COMPRESSING_THREADS = 2  # of their own, so that no drawing is before them
_LEVEL = 5
_GZIP_WINDOW = 31  # zlib's word for: the largest window, in gzip's wrapping
_COMPRESSIBLE = (b"application/json", b"application/geo+json", b"application/problem+json", b"image/svg+xml", b"text/")

_COMMON: Headers = [
    (b"vary", b"Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_OF_PAGES: Headers = [*_COMMON, (b"cross-origin-resource-policy", b"same-origin")]
_OF_API: Headers = [
    *_COMMON,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"Content-Disposition, ETag, Link, Retry-After, Vanc311-As-Of, Vanc311-Release, Vanc311-Source",
    ),
    (b"link", f'<{LICENCE_PAGE}>; rel="license"'.encode()),
    (b"link", f'<{PREFIX}/openapi.json>; rel="service-desc"'.encode()),
]
_WITHOUT_RELEASE = (f"{PREFIX}/openapi.json", "/static/", "/robots.txt", "/favicon.ico")
_PREFLIGHT: Headers = [
    (b"allow", METHODS.encode()),
    (b"access-control-allow-methods", METHODS.encode()),
    (b"access-control-allow-headers", b"Accept, If-Modified-Since, If-None-Match, If-Range, Range"),
    (b"access-control-max-age", b"86400"),
]
_REVALIDATE = (b"cache-control", b"public, no-cache")  # may be kept, and is to be asked for again: see the ETag

Page = Callable[[Release | None, dict[str, Any]], Response]
"""Makes a page of problem details, for a browser."""


class Delivery:
    """The app's outermost layer. Pages set their own policy."""

    def __init__(self, app: ASGIApp, published: PublishedFile, problem_page: Page | None = None) -> None:
        self._app = app
        self._published = published
        self._problem_page = problem_page
        self._kept = Kept()
        self._compressors = anyio.CapacityLimiter(_COMPRESSING_THREADS)
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope)
        if request.method == "OPTIONS":
            await _send(send, 204, [*request.always, *_PREFLIGHT])
        elif request.method not in ("GET", "HEAD"):
            refusal = _refusal(request, None, "method-not-allowed", f"Use one of {METHODS}.")
            await self._send_answer(request, None, refusal, send)
        else:
            await self._answer(request, receive, send)

    async def _answer(self, request: "_Request", receive: Receive, send: Send) -> None:
        """Deliver, whatever is wrong with us."""
        begun = False

        async def begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._deliver(request, receive, begin)
        except Exception as error:
            refusal = _fault(request, None, error)
            if not begun:
                await _send(send, refusal.status, refusal.headers, b"" if request.is_head else refusal.body)

    async def _deliver(self, request: "_Request", receive: Receive, send: Send) -> None:
        release: Release | None = None
        try:
            release = self._published.enter()
        except SettingsError as error:
            if not request.path.startswith(_WITHOUT_RELEASE):
                await self._send_answer(request, None, _refusal(request, None, "not-published", str(error)), send)
                return
        try:
            answer = await self._kept.once(request.key(release), partial(self._make, request, release, receive, send))
            if answer is not None and request.takes_gzip and _is_worth_compressing(answer):
                answer = await self._kept.once(request.key(release, compressed=True), partial(self._compress, answer))
            if answer is not None:
                await self._send_answer(request, release, answer, send)
        finally:
            if release is not None:
                release.leave()

    async def _make(
        self, request: "_Request", release: Release | None, receive: Receive, send: Send, begun: Begun
    ) -> Answer | None:
        """Let the app make the answer; a stream is passed on as it comes. None, too, if the client went before there was one."""
        async with self._turn:
            # Between two answers that are made, the event loop takes in what came: whatever is kept overtakes those that wait here.
            await asyncio.sleep(0)
        exchange = _Exchange(request, release, send, begun, self._compressors)
        try:
            await self._app(request.inner_scope(release), receive, exchange.send)
        except Exception as error:
            refusal = _fault(request, release, error)
            return None if exchange.streaming else refusal
        return None if exchange.body is None else _answer(exchange.status, exchange.headers, exchange.body)

    async def _compress(self, plain: Answer, _: Begun) -> Answer:
        compress = partial(zlib.compress, plain.body, _LEVEL, _GZIP_WINDOW)
        body = await anyio.to_thread.run_sync(compress, limiter=self._compressors)
        headers = [*_without(plain.headers, b"content-length"), (b"content-encoding", b"gzip"),
                   (b"content-length", str(len(body)).encode())]  # fmt: skip
        return Answer(plain.status, headers, body, gzipped(plain.etag))

    async def _send_answer(self, request: "_Request", release: Release | None, answer: Answer, send: Send) -> None:
        if answer.status >= 400 and self._problem_page and request.is_of_browser:
            answer = _on_page(answer, self._problem_page, release)
        status, headers, body = answer.status, answer.headers, b"" if request.is_head else answer.body
        if status == 200:
            changed = release.published_at if release and answer.lasts else None
            headers = [*headers, (b"etag", answer.etag.encode())]
            if not _has(headers, b"cache-control"):
                headers.append(_REVALIDATE)
            if changed:
                headers.append((b"last-modified", http_date(changed).encode()))
            if not_modified(answer.etag, changed, *map(request.header, (b"if-none-match", b"if-modified-since"))):
                status, headers, body = 304, _without(headers, *_OF_BODY), b""
        await _send(send, status, headers, body)


class _Request:
    """What delivery needs to know of a request."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.method: str = scope["method"]
        self.is_head = self.method == "HEAD"
        self._raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self._headers = dict(scope["headers"])
        self.takes_gzip = accepts_gzip(self.header(b"accept-encoding"))

    @property
    def is_api(self) -> bool:
        return f"{self.path}/".startswith(f"{PREFIX}/")

    @property
    def always(self) -> Headers:
        return _OF_API if self.is_api else _OF_PAGES

    @property
    def address(self) -> str:
        """As it was asked for, or its beginning; to be logged."""
        return self._raw_path[:200].decode("latin-1").encode("unicode_escape").decode()

    @property
    def is_of_browser(self) -> bool:
        return prefers_html(self.header(b"accept"))

    def header(self, name: bytes) -> str:
        found: bytes = self._headers.get(name, b"")
        return found.decode("latin-1")

    @property
    def path(self) -> str:
        return str(self._scope["path"])

    def key(self, release: Release | None, compressed: bool = False) -> Key:
        identity, wants_csv = release.identity if release else None, prefers_csv(self.header(b"accept"))
        return identity, self._raw_path, self._scope["query_string"], wants_csv, compressed

    def inner_scope(self, release: Release | None) -> Scope:
        state = {**self._scope.get("state", {}), "release": release, "head_only": self.is_head}
        return {
            **self._scope,
            "method": "GET",
            "path": _kept_apart(self._raw_path),
            "raw_path": self._raw_path,
            "state": state,
        }


class _Exchange:
    """Takes down what the app sends, until it proves to be a stream, which passes on."""

    def __init__(
        self,
        request: _Request,
        release: Release | None,
        send: Send,
        begun: Begun,
        compressors: anyio.CapacityLimiter,
    ) -> None:
        self._request, self._send, self._begun, self._compressors = request, send, begun, compressors
        self._of_all = headers_of(request, release)
        self._gzip: zlib._Compress | None = None
        self.status = 500
        self.headers: Headers = []
        self.body: bytes | None = None
        """The whole of it; None while there is none, and of a stream."""
        self.streaming = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [*message["headers"], *self._of_all]
        elif self.streaming:
            await self._pass_on(message.get("body", b""), message.get("more_body", False))
        elif message.get("more_body", False) or _has(self.headers, b"etag"):
            self.streaming = True
            self._begun.set_result(None)
            await self._begin()
            await self._pass_on(message.get("body", b""), message.get("more_body", False))
        else:
            self.body = message.get("body", b"")

    async def _begin(self) -> None:
        if self.status == 200 and self._request.takes_gzip and _is_compressible(self.headers):
            self._gzip = zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW)
            self.headers = [*_without(self.headers, b"content-length"), (b"content-encoding", b"gzip")]
        self.headers.append(_REVALIDATE)
        await self._send({"type": "http.response.start", "status": self.status, "headers": self.headers})

    async def _pass_on(self, body: bytes, more: bool) -> None:
        if self._gzip and not self._request.is_head:
            compress = partial(_compressed, self._gzip, body, more)
            body = await anyio.to_thread.run_sync(compress, limiter=self._compressors)
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})


_OF_BODY = (b"content-length", b"content-type", b"content-disposition", b"content-encoding")


def _compressed(gzip: "zlib._Compress", body: bytes, more: bool) -> bytes:
    return gzip.compress(body) + (b"" if more else gzip.flush())


def _answer(status: int, headers: Headers, body: bytes) -> Answer:
    return Answer(status, headers, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _refusal(request: _Request, release: Release | None, kind: str, detail: str) -> Answer:
    response = problem(kind, detail)
    return _answer(response.status_code, [*response.raw_headers, *headers_of(request, release)], bytes(response.body))


def _fault(request: _Request, release: Release | None, error: Exception) -> Answer:
    """What there is to say of an unexpected error, here and in the log."""
    log.error("No answer to %s: %s", request.address, in_a_line(error))
    return _refusal(request, release, "internal-error", "The log of the server says more.")


def _on_page(answer: Answer, page: Page, release: Release | None) -> Answer:
    """A problem as a page."""
    if (b"content-type", PROBLEM.encode()) not in answer.headers:
        return answer
    made = page(release, {"errors": [], **json.loads(answer.body)})
    replaced = {name for name, _ in made.raw_headers}
    return replace(answer, headers=[*_without(answer.headers, *replaced), *made.raw_headers], body=bytes(made.body))


def headers_of(request: _Request, release: Release | None) -> Headers:
    """The headers that every answer carries, and those that name its release."""
    if release is None:
        return request.always
    named = {"Release": release.id, "As-Of": release.about["as_of"], "Source": release.about["source"]}
    return [*request.always, *((f"vanc311-{name}".lower().encode(), value.encode()) for name, value in named.items())]


def _kept_apart(raw_path: bytes) -> str:
    """The path decoded, but for the slashes and percent signs within a name."""
    segments = raw_path.decode("latin-1").split("/")
    return "/".join(unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in segments)


def _is_worth_compressing(answer: Answer) -> bool:
    return answer.status == 200 and len(answer.body) >= _WORTH_COMPRESSING and _is_compressible(answer.headers)


def _is_compressible(headers: Headers) -> bool:
    return any(name == b"content-type" and value.startswith(_COMPRESSIBLE) for name, value in headers)


def _has(headers: Headers, wanted: bytes) -> bool:
    return any(name == wanted for name, _ in headers)


def _without(headers: Headers, *names: bytes) -> Headers:
    return [header for header in headers if header[0] not in names]


async def _send(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
