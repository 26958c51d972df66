"""The HTTP server: one request in, one reply out.

Belongs here: listening, reading the request line, choosing between an answer and a failure, and the order in which
quota, faults and answers come. Does not belong here: the portal's state, its answers, the bytes on the wire.
"""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from vanc311_pipeline.portal.standin.endpoints import label, reply_to, route
from vanc311_pipeline.portal.standin.errors import NotImplementedHere, PortalError
from vanc311_pipeline.portal.standin.options import Options
from vanc311_pipeline.portal.standin.portal import PortalState, RequestRecord
from vanc311_pipeline.portal.standin.replies import (
    Headers,
    Reply,
    failure_reply,
    maintenance_reply,
    odd_reply,
    quota_reply,
    refusal,
)
from vanc311_pipeline.portal.standin.wire import rows_sent, send, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from vanc311_pipeline.portal.standin.intake import Source


class StandIn(PortalState):
    """A local portal. Use it as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        requests: Source | None = None,
        archive: Source | None = None,
        areas: str | Path | None = None,
        released_at: datetime | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        options: Options | None = None,
        on_request: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        super().__init__(requests, archive, areas, released_at, options, on_request)
        self.closing = threading.Event()
        self._server = _Server((host, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; stalled and dripping replies end at once."""
        self.closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], portal: StandIn) -> None:
        self.portal = portal
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the portal's own log."""

    def handle_any(self) -> None:
        portal = self.server.portal
        parts = urlsplit(self.path)
        given = parse_qs(parts.query, keep_blank_values=True)
        record = RequestRecord(
            self.command,
            unquote(parts.path),
            {name: values[-1] for name, values in given.items()},
            {name.lower(): value for name, value in self.headers.items()},
            self.path,
        )
        reply, rate = self._reply(record, given)
        if reply is None:
            portal.log(record)
            self._hang_up()
            return
        reply = shortened(reply)
        record.status, record.rows = reply.status, rows_sent(reply)
        portal.log(record)
        accepts_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if not send(reply, self.wfile, portal.now(), rate, accepts_gzip, portal.closing):  # type: ignore[arg-type]
            self._hang_up()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = handle_any

    def _reply(self, record: RequestRecord, given: dict[str, list[str]]) -> tuple[Reply | None, Headers]:
        """The reply with its rate headers; no reply where the connection is refused."""
        portal = self.server.portal
        try:
            if record.method != "GET":
                raise NotImplementedHere(f"the method {record.method}")
            asked = route(record.path)
        except (PortalError, NotImplementedHere) as error:
            # A body that came with another method is not read, so the connection can't go on.
            self.close_connection = True
            return replace(refusal(error), extra=[("connection", "close")]), []
        faults = portal.faults_met(asked.dataset, label(asked, given), unquote(record.url))
        record.faults = [fault.kind for fault in faults]
        if "refused" in record.faults:
            return None, []
        left = portal.count_call(self.client_address[0])
        if left < 0 or "quota_429" in record.faults:
            return quota_reply(portal.now(), portal.options.quota, portal.options.retry_after == "present"), []
        for fault in faults:
            if made := odd_reply(fault, portal.now()):
                return made, []
        for status in (500, 502):
            if f"server_{status}" in record.faults:
                return failure_reply(status), []
        if "maintenance_page" in record.faults:
            return maintenance_reply(), []
        return reply_to(asked, given, portal, faults), portal.rate_headers(left)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
