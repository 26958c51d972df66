"""What is sent back: status, content type, body, and the headers around it.

Belongs here: the reply and the headers that the portal sends with each kind of status.
Does not belong here: making the answer, and writing it to a socket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from vanc311_pipeline.portal.standin.errors import NotImplementedHere, PortalError
from vanc311_pipeline.portal.standin.faults import Fault
from vanc311_pipeline.portal.standin.parquet import ParquetBody
from vanc311_pipeline.portal.standin.render import RowBody

Headers = list[tuple[str, str]]

JSON = "application/json; charset=utf-8"
CACHE = ("cache-control", "no-cache, no-store, max-age=0, must-revalidate")
_ALWAYS: Headers = [
    ("vary", "Accept-Language, Cookie, Host"),
    ("content-language", "en-us"),
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "POST, GET, OPTIONS"),
    ("access-control-max-age", "1000"),
    (
        "access-control-allow-headers",
        "Authorization, X-Requested-With, Origin, ODS-API-Analytics-App, ODS-API-Analytics-Embed-Type, "
        "ODS-API-Analytics-Embed-Referrer, ODS-Widgets-Version, Accept",
    ),
    (
        "access-control-expose-headers",
        "ODS-Explore-API-Deprecation, Link, X-RateLimit-Remaining, X-RateLimit-Limit, X-RateLimit-Reset, "
        "X-RateLimit-dataset-Remaining, X-RateLimit-dataset-Limit, X-RateLimit-dataset-Reset",
    ),
    ("strict-transport-security", "max-age=31536000;includeSubdomains"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-ua-compatible", "IE=edge"),
    (
        "permissions-policy",
        "midi=(),microphone=(),camera=(),magnetometer=(),gyroscope=(),fullscreen=(self),payment=()",
    ),
]


@dataclass(frozen=True)
class Document:
    """A body that is one piece: metadata, errors, pages."""

    content: bytes
    row_count: int = 0

    def whole(self) -> Iterator[bytes]:
        yield self.content

    def broken(self, rows: int, half_row: bool = False) -> Iterator[bytes]:
        yield self.content[: len(self.content) // 2]

    def shortened(self, rows: int) -> Document:
        return self

    def check(self) -> None:
        """A finished text has nothing left to refuse."""


Body = Document | RowBody | ParquetBody


@dataclass(frozen=True)
class Reply:
    """An answer ready to be sent, with the faults to play while sending."""

    status: int
    content_type: str
    body: Body
    faults: list[Fault] = field(default_factory=list)
    extra: Headers = field(default_factory=list)
    compressible: bool = True
    midway: Callable[[], None] | None = None

    @property
    def streamed(self) -> bool:
        return self.status == 200

    def fault(self, *kinds: str) -> Fault | None:
        return next((each for each in self.faults if each.kind in kinds), None)

    def headers(self, now: datetime, rate: Headers) -> Headers:
        """All headers but those of the transfer itself (length, chunking, compression)."""
        headers: Headers = [("server", "openresty"), ("date", format_datetime(now, usegmt=True))]
        headers += [("content-type", self.content_type), *self.extra]
        if self.status in (200, 404):
            headers.append(CACHE)
        if self.status == 200 and not self.fault("rate_headers_absent"):
            headers += rate
        return headers + _ALWAYS


def json_document(content: Any) -> Document:
    return Document(json.dumps(content, ensure_ascii=False).encode())


def refusal(error: PortalError | NotImplementedHere) -> Reply:
    """The reply to a question that is refused. Only the 404 is seen compressed."""
    if isinstance(error, NotImplementedHere):
        return Reply(501, "application/json", Document(error.body()), compressible=False)
    return Reply(error.status, "application/json", Document(error.body()), compressible=error.status == 404)


def quota_reply(now: datetime, limit: int, with_retry_after: bool) -> Reply:
    """The 429 of a used-up quota, which lasts until the next midnight UTC."""
    reset = next_midnight(now)
    body = {
        "errorcode": 10002,
        "reset_time": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "limit_time_unit": "day",
        "call_limit": limit,
        "error": "Too many requests on the domain. Please contact the domain administrator.",
    }
    extra = [("retry-after", str(int((reset - now).total_seconds())))] if with_retry_after else []
    return Reply(429, "application/json", json_document(body), extra=extra, compressible=False)


def odd_reply(fault: Fault, now: datetime) -> Reply | None:
    """The reply of a fault that answers in place of the portal, in its own way; None for any other fault."""
    details = fault.details
    if fault.kind == "redirect":
        return Reply(
            302, "text/html", Document(b""), extra=[("location", details.get("location", "http://elsewhere.invalid/"))]
        )
    if fault.kind == "malformed":
        return Reply(200, JSON, Document(details.get("text", "[" * 100_000).encode()))
    if fault.kind == "odd_429":
        body = {
            "errorcode": 10002,
            "reset_time": details.get("reset_time", f"{now + timedelta(days=36_500):%Y-%m-%dT%H:%M:%S}"),
            "limit_time_unit": details.get("unit", "day"),
            "call_limit": 10000,
            "error": "Too many requests on the domain. Please contact the domain administrator.",
        }
        extra = [("retry-after", details["retry_after"])] if "retry_after" in details else []
        return Reply(429, "application/json", json_document(body), extra=extra, compressible=False)
    return None


def failure_reply(status: int) -> Reply:
    if status == 502:
        page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
        page += b"</center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n"
        return Reply(502, "text/html", Document(page), compressible=False)
    error = PortalError(500, "InternalError", "An unexpected error occurred.")
    return Reply(500, "application/json", Document(error.body()), compressible=False)


def maintenance_reply() -> Reply:
    page = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head>\n"
    page += b"<body><h1>This site is under maintenance</h1><p>Please come back later.</p></body></html>\n"
    return Reply(200, "text/html; charset=utf-8", Document(page))


def next_midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
