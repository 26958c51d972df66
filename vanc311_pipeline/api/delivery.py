"""How every answer leaves, the API's and the pages': once made, it is kept and sent again for as long as its release is current.

An answer depends on the address, the format wanted and the release alone.

Starlette's GZip compresses each answer anew, small ones on the event loop, and leaves the plain answer's ETag; its CORS allows only
those who send Origin, which nothing that keeps answers would know; its file responses open a path that may lead to another release.

The path is handed on with its `%2F` as they came, so that a name may hold a slash; parameters decode it.
"""

import asyncio
import gzip
import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import unquote

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vanc311_pipeline.api import PREFIX, negotiation
from vanc311_pipeline.api.problems import METHODS, Problem
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.logs import Sparing, in_a_line
from vanc311_pipeline.reading.published import PublishedFile
from vanc311_pipeline.reading.release import Identity, Release
from vanc311_pipeline.settings import LICENCE_PAGE

log = logging.getLogger(__name__)
log.addFilter(Sparing(at_most=10))  # whoever has found a fault could fill a disk with it

BYTES_KEPT = 64_000_000
BYTES_KEPT_OF_ONE = 4_000_000
_OVERHEAD = 3_000  # what keeping an answer costs beside its body and its address

Headers = list[tuple[bytes, bytes]]

Key = tuple[Identity | None, bytes, bytes, bool, bool]
"""The release, the path, what stands after the question mark, whether CSV is wanted, and whether it is compressed."""

_WORTH_COMPRESSING = 500
_COMPRESSIBLE = (
    *(f"application/{kind}" for kind in ("json", "geo+json", "problem+json", "atom+xml", "feed+json")),
    "image/svg+xml",
    "text/",
)

_COMMON: Headers = [
    (b"vary", b"Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_OF_PAGES: Headers = [*_COMMON, (b"cross-origin-resource-policy", b"same-origin")]
_SHARED: Headers = [
    *_COMMON,
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
]
_OF_API: Headers = [
    *_SHARED,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
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
_REVALIDATE = "public, no-cache"  # may be kept, and is to be asked for again: see the ETag

Page = Callable[[Release | None, dict[str, Any], str], Response]
"""Makes a page of problem details, for a browser that asked for an address."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes
    etag: str

    @property
    def lasts(self) -> bool:
        """Whether it stays the answer for as long as the release is current."""
        return self.status == 200 and (b"cache-control", b"no-store") not in self.headers


Begun = asyncio.Future[Answer | None]
"""What those who ask for the same wait for: the answer, or None if it proves to be a stream, which each must have for himself."""


class Kept:
    """The answers made so far, the longest unused forgotten first."""

    def __init__(self, bytes_at_most: int = BYTES_KEPT) -> None:
        self._limit = bytes_at_most
        self._bytes = 0
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._under_way: dict[Key, Begun] = {}

    async def once(self, key: Key, make: Callable[[Begun], Awaitable[Answer | None]]) -> Answer | None:
        """The answer, as it was kept, or made once for all who ask for it meanwhile; None if it was a stream, which is sent."""
        if (answer := self.get(key)) is not None:
            return answer
        begun: Begun = asyncio.get_running_loop().create_future()
        if (before := self._under_way.get(key)) is not None:
            return await asyncio.shield(before) or await make(begun)
        self._under_way[key] = begun
        answer = None
        try:
            answer = await make(begun)
        finally:
            del self._under_way[key]
            if not begun.done():
                begun.set_result(answer)
        if answer is not None and answer.lasts:
            self.keep(key, answer)
        return answer

    def get(self, key: Key) -> Answer | None:
        if (answer := self._answers.get(key)) is not None:
            self._answers.move_to_end(key)
        return answer

    def keep(self, key: Key, answer: Answer) -> None:
        if len(answer.body) > BYTES_KEPT_OF_ONE:
            return
        self._answers[key] = answer
        self._bytes += _size(key, answer)
        while self._bytes > self._limit:
            self._bytes -= _size(*self._answers.popitem(last=False))


def _size(key: Key, answer: Answer) -> int:
    _, path, query, *_ = key
    return len(path) + len(query) + len(answer.body) + _OVERHEAD


class Delivery:
    """The app's outermost layer. Pages set their own policy."""

    def __init__(
        self,
        app: ASGIApp,
        published: PublishedFile,
        compressing: anyio.CapacityLimiter,
        problem_page: Page | None = None,
    ) -> None:
        self._app = app
        self._published = published
        self._compressing = compressing
        self._problem_page = problem_page
        self._kept = Kept()
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, begun = _Request(scope), False

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
        if request.method == "OPTIONS":
            await _send(send, 204, [*request.always, *_PREFLIGHT])
            return
        if request.method not in ("GET", "HEAD"):
            refusal = _refusal(request, None, "method-not-allowed", f"Use one of {METHODS}.")
            await self._send_answer(request, None, refusal, send)
            return
        with ExitStack() as reading:
            release: Release | None = None
            try:
                release = reading.enter_context(self._published.reading())
            except SettingsError as error:
                if not request.path.startswith(_WITHOUT_RELEASE):
                    await self._send_answer(request, None, _refusal(request, None, "not-published", str(error)), send)
                    return
            answer = await self._kept.once(request.key(release), partial(self._make, request, release, receive, send))
            if answer is not None and request.takes_gzip and _is_worth_compressing(answer):
                answer = await self._kept.once(request.key(release, compressed=True), partial(self._compress, answer))
            if answer is not None:
                await self._send_answer(request, release, answer, send)

    async def _make(
        self, request: "_Request", release: Release | None, receive: Receive, send: Send, begun: Begun
    ) -> Answer | None:
        """Let the app make the answer; a stream is passed on as it comes. None, too, if the client went before there was one."""
        async with self._turn:
            # Between two answers that are made, the event loop takes in what came: whatever is kept overtakes those that wait here.
            await asyncio.sleep(0)
        status, headers, body = 500, [], None

        async def take(message: Message) -> None:
            """Take down what the app sends, until it proves to be a stream: it comes in pieces, or brings its ETag."""
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], [*message["headers"], *headers_of(request, release)]
                return
            if not begun.done() and (message.get("more_body") or "etag" in MutableHeaders(raw=headers)):
                begun.set_result(None)
                headers.append((b"cache-control", _REVALIDATE.encode()))
                await send({"type": "http.response.start", "status": status, "headers": headers})
            if begun.done():
                await send(message)
            else:
                body = message.get("body", b"")

        try:
            await self._app(request.inner_scope(release), receive, take)
        except ClientDisconnect:
            return None
        except Exception as error:
            refusal = _fault(request, release, error)
            return None if begun.done() else refusal
        return None if body is None else _whole(status, headers, body)

    async def _compress(self, plain: Answer, _: Begun) -> Answer:
        compress = partial(gzip.compress, plain.body, negotiation.GZIP_LEVEL, mtime=0)
        body = await anyio.to_thread.run_sync(compress, limiter=self._compressing)
        headers = MutableHeaders(raw=[*plain.headers])
        headers.update({"content-encoding": "gzip", "content-length": str(len(body))})
        return Answer(plain.status, headers.raw, body, negotiation.gzipped(plain.etag))

    async def _send_answer(self, request: "_Request", release: Release | None, answer: Answer, send: Send) -> None:
        if answer.status >= 400 and self._problem_page and negotiation.prefers_html(request.accept):
            answer = _on_page(answer, partial(self._problem_page, release), request)
        status, body = answer.status, b"" if request.is_head else answer.body
        headers = MutableHeaders(raw=[*answer.headers])
        if status == 200:
            changed = release.published_at if release and answer.lasts else None
            headers["etag"] = answer.etag
            headers.setdefault("cache-control", _REVALIDATE)
            if changed:
                headers["last-modified"] = negotiation.http_date(changed)
            if negotiation.not_modified(answer.etag, changed, request.headers):
                status, body = 304, b""
                for name in _OF_BODY:
                    del headers[name]
        await _send(send, status, headers.raw, body)


_OF_BODY = ("content-length", "content-type", "content-disposition", "content-encoding")


class _Request(Request):
    """What delivery needs to know of a request."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self.accept = self.headers.get("accept", "")
        self.is_head = self.method == "HEAD"
        self.address = b"?".join(filter(None, (self.raw_path, scope["query_string"]))).decode("latin-1")
        self.always = _always(self.path)
        self.takes_gzip = negotiation.accepts_gzip(self.headers.get("accept-encoding", ""))

    def key(self, release: Release | None, compressed: bool = False) -> Key:
        identity = release.identity if release else None
        return identity, self.raw_path, self.scope["query_string"], negotiation.prefers_csv(self.accept), compressed

    def inner_scope(self, release: Release | None) -> Scope:
        """A HEAD is answered as a GET; the slashes and percent signs within a name stay encoded."""
        segments = self.raw_path.decode("latin-1").split("/")
        path = "/".join(unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in segments)
        state = {**self.scope.get("state", {}), "release": release, "head_only": self.is_head}
        return {**self.scope, "method": "GET", "path": path, "raw_path": self.raw_path, "state": state}


def _always(path: str) -> Headers:
    """What stands on other sites may be taken by them."""
    if f"{path}/".startswith(f"{PREFIX}/"):
        return _OF_API
    return _SHARED if path.startswith(("/figures/", "/embed/", "/oembed", "/feed.", "/briefs.atom")) else _OF_PAGES


def _whole(status: int, headers: Headers, body: bytes) -> Answer:
    return Answer(status, headers, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _refusal(request: _Request, release: Release | None, kind: str, detail: str) -> Answer:
    response = Problem(kind, detail).response()
    return _whole(response.status_code, [*response.raw_headers, *headers_of(request, release)], bytes(response.body))


def _fault(request: _Request, release: Release | None, error: Exception) -> Answer:
    """What there is to say of an unexpected error, here and in the log."""
    address = request.raw_path[:200].decode("latin-1").encode("unicode_escape").decode()
    log.error("No answer to %s: %s", address, in_a_line(error))
    return _refusal(request, release, "internal-error", "The log of the server says more.")


def _on_page(answer: Answer, page: Callable[[dict[str, Any], str], Response], request: _Request) -> Answer:
    """A problem as a page."""
    headers = MutableHeaders(raw=[*answer.headers])
    if headers["content-type"] != negotiation.PROBLEM:
        return answer
    response = page({"errors": [], **json.loads(answer.body)}, request.address)
    headers.update(response.headers)
    return replace(answer, headers=headers.raw, body=bytes(response.body))


def headers_of(request: _Request, release: Release | None) -> Headers:
    """The headers that every answer carries, and those that name its release."""
    if release is None:
        return request.always
    named = {"release": release.id, "as-of": release.about["as_of"], "source": release.about["source"]}
    return [*request.always, *((f"vanc311-{name}".encode(), value.encode()) for name, value in named.items())]


def _is_worth_compressing(answer: Answer) -> bool:
    kind = MutableHeaders(raw=answer.headers).get("content-type", "")
    return answer.status == 200 and len(answer.body) >= _WORTH_COMPRESSING and kind.startswith(_COMPRESSIBLE)


async def _send(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
