"""The server: what it remembers (releases, clock, calls, faults, requests), and its replies as bytes on the wire, with their faults."""

import json
import socket
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import pandas as pd

from vanc311_pipeline.standin.answers import JSON, Headers, PortalError, Reply, question, reply_to
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import Fault
from vanc311_pipeline.standin.releases import (
    ARCHIVE,
    LIVE,
    PORTAL,
    SCHEMA,
    Body,
    Release,
    Source,
    request_table,
    sample_table,
)

RELEASED_AT = datetime(2026, 1, 13, 14, 6, 58, tzinfo=UTC)  # the day after the sample's newest change
ARCHIVED_AT = datetime(2024, 4, 24, 22, 32, 28, tzinfo=UTC)

_CUT = ("cut_mid_row", "cut_at_row", "stall")
_GZIP = ("corrupt_gzip", "truncated_gzip")
_MORE = {"endless": 1 << 62, "gzip_bomb": 2_100_000_000}


@dataclass
class RequestRecord:
    """One request: what was asked, the status that was answered, and the faults that were met."""

    path: str
    headers: dict[str, str] = field(repr=False)
    status: int | None = None
    faults: list[str] = field(default_factory=list)


class StandIn(ThreadingHTTPServer):
    """A local portal. Use it as a context manager, or call `start` and `stop`.

    Args:
        requests: the live rows; the bundled sample by default.
        archive: the rows of 2009 to 2021; none by default.
        released_at: data_processed of the live dataset.
        quota: the calls of a day.
        export_during_publish: whether an export that a publication overtakes is of one release or mixes two.
        on_request: called with each request as it is logged, before it is answered.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        requests: Source | None = None,
        archive: Source | None = None,
        released_at: datetime = RELEASED_AT,
        host: str = "127.0.0.1",
        port: int = 0,
        quota: int = 15_000,
        export_during_publish: Literal["one_release", "mix"] = "one_release",
        on_request: Callable[[RequestRecord], object] = lambda record: None,
    ) -> None:
        self.quota = quota
        self.export_during_publish = export_during_publish
        self.requests_log: list[RequestRecord] = []
        self.faults: list[Fault] = []
        self.closing = threading.Event()
        self.on_request = on_request
        self._clock: datetime | None = None
        self._calls: Counter[date] = Counter()
        self.lock = threading.RLock()
        live = sample_table() if requests is None else request_table(requests)
        frozen = Release(ARCHIVE, request_table(archive), ARCHIVED_AT)
        self.datasets = {LIVE: Release(LIVE, live, released_at.astimezone(UTC)), ARCHIVE: frozen}
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; stalled and dripping replies end at once."""
        self.closing.set()
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def frame(self) -> pd.DataFrame:
        """The live rows as a frame: text, UTC instants, Python dates, floats; no geom."""
        return pd.DataFrame(self.datasets[LIVE].table.select(SCHEMA.names).to_pandas())

    @property
    def released_at(self) -> datetime:
        """data_processed of the live dataset."""
        return self.datasets[LIVE].data_processed

    def publish(self, requests: Source, released_at: datetime | None = None) -> None:
        """Replace the live rows; data_processed moves to the given moment, or by one day."""
        table = request_table(requests)
        with self.lock:
            moment = (released_at or self.released_at + timedelta(days=1)).astimezone(UTC)
            self.datasets[LIVE] = Release(LIVE, table, moment)

    def publish_edit(self, edit: str | None) -> None:
        """Publish the live rows again, one day later, changed by the named edit if there is one."""
        self.publish(EDITS[edit].function(self.frame) if edit else self.frame)

    def play(self, fault: Fault) -> None:
        self.faults.append(fault)

    def clear_faults(self) -> None:
        self.faults.clear()

    def set_clock(self, moment: datetime | None) -> None:
        """Stop the clock at a moment; None lets it run with the computer's again."""
        self._clock = moment and moment.astimezone(UTC)

    def now(self) -> datetime:
        return self._clock or datetime.now(UTC)

    def clear_log(self) -> None:
        self.requests_log.clear()

    def reply(self, record: RequestRecord, query: str) -> tuple[Reply | None, Headers]:
        """The reply with its rate headers; no reply where the connection is refused."""
        try:
            asked = question(record.path, dict(parse_qsl(query, keep_blank_values=True)))
            with self.lock:
                self._calls[self.now().date()] += 1
                left = self.quota - self._calls[self.now().date()]
                faults = [fault for fault in list(self.faults) if fault.strikes(asked.dataset, asked.on)]
            record.faults = [fault.kind for fault in faults]
            if "refused" in record.faults:
                return None, []
            midnight = self.now() + timedelta(days=1)
            if left < 0 or "quota_429" in record.faults:
                return _too_many_calls(f"{midnight:%Y-%m-%dT00:00:00Z}", self.quota), []
            for fault in faults:
                if reply := _instead_of_an_answer(fault, self.now()):
                    return reply, []
            rate = {"remaining": left, "limit": self.quota, "reset": f"{midnight:%Y-%m-%d 00:00:00+00:00}"}
            return reply_to(asked, self, faults), [(f"x-ratelimit-{name}", str(value)) for name, value in rate.items()]
        except PortalError as error:
            # Only the 404 is seen compressed.
            return Reply(error.status, "application/json", Body(error.body), zips=error.status == 404), []


def _instead_of_an_answer(fault: Fault, now: datetime) -> Reply | None:
    """The reply of a fault that answers in the portal's place; None for any other fault."""
    details = fault.details
    if page := PORTAL["pages"].get(fault.kind):
        return Reply(page["status"], page["type"], Body(page["body"]), zips=page["status"] == 200)
    if fault.kind == "redirect":
        location = details.get("location", "http://elsewhere.invalid/")
        return Reply(302, "text/html", Body(""), extra=[("location", location)])
    if fault.kind == "malformed":
        return Reply(200, JSON, Body(details.get("text", "[" * 100_000)))
    if fault.kind == "odd_429":
        reset = details.get("reset_time", f"{now + timedelta(days=36_500):%Y-%m-%dT%H:%M:%S}")
        extra = [("retry-after", details["retry_after"])] if "retry_after" in details else []
        return _too_many_calls(reset, 10_000, details.get("unit", "day"), extra)
    return None


def _too_many_calls(reset: str, quota: int, unit: str = "day", extra: Headers | None = None) -> Reply:
    body = {"errorcode": 10002, "reset_time": reset, "limit_time_unit": unit, "call_limit": quota, **PORTAL["quota"]}
    return Reply(429, "application/json", Body(json.dumps(body)), extra=extra or [], zips=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the portal's own log."""

    def do_GET(self) -> None:
        portal, parts = self.server, urlsplit(self.path)
        record = RequestRecord(unquote(parts.path), {name.lower(): value for name, value in self.headers.items()})
        reply, rate = portal.reply(record, parts.query)
        record.status = reply.status if reply else None
        with portal.lock:
            portal.requests_log.append(record)
            portal.on_request(record)
        if not reply or not self._send(reply, rate, "gzip" in record.headers.get("accept-encoding", "")):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply, rate: Headers, accepts_gzip: bool) -> bool:
        """Write the reply. False if the connection has to be cut afterwards."""
        closing = self.server.closing
        if drip := reply.fault("dripping_headers"):
            # A status line, and then a header byte by byte until the client hangs up or the portal closes.
            self._write(b"HTTP/1.1 200 OK\r\nx: ")
            while not closing.wait(drip.details.get("seconds", 0.1)):
                self._write(b"x")
            return False
        zipped = reply.zips and (accepts_gzip or reply.fault(*_GZIP, "gzip_bomb") is not None)
        if reply.status != 200:
            content = reply.body.head.encode()
            content = zlib.compress(content, wbits=31) if zipped else content
            self._write(self._head(reply, rate, zipped, ("content-length", str(len(content)))) + content)
            return True
        self._write(self._head(reply, rate, zipped, ("transfer-encoding", "chunked")))
        complete = reply.fault(*_CUT) is None
        pieces = self._pieces(reply)
        if zipped:
            pieces = _gzipped(pieces, complete)
        if damage := reply.fault(*_GZIP):
            pieces = _damaged(b"".join(pieces), damage)
        if drip := reply.fault("slow_drip"):
            pieces = self._slowed(pieces, drip)
        for piece in filter(None, pieces):
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if stall := reply.fault("stall"):
            closing.wait(stall.details.get("seconds", 3600))
        if complete:
            self._write(b"0\r\n\r\n")
        return complete

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()

    def _head(self, reply: Reply, rate: Headers, zipped: bool, length: tuple[str, str]) -> bytes:
        headers = [("server", "openresty"), ("date", format_datetime(self.server.now(), usegmt=True))]
        headers += [("content-type", reply.content_type), *reply.extra]
        if reply.status in (200, 404):
            headers.append(("cache-control", "no-cache, no-store, max-age=0, must-revalidate"))
        if reply.status == 200 and not reply.fault("rate_headers_absent"):
            headers += rate
        headers += [*PORTAL["headers"].items(), *[("content-encoding", "gzip")] * zipped, length]
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}", *map(": ".join, headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _pieces(self, reply: Reply) -> Iterator[bytes]:
        """The body, as far as the faults let it come, and what comes after its end."""
        body, fault = reply.body, reply.fault(*_CUT, "interrupted", "short")
        rows = int(fault.details.get("rows", len(body.rows) // 2)) if fault else len(body.rows)
        whole = not fault or fault.kind == "short"
        yield from body.printed(rows, whole, half_row=reply.fault("cut_mid_row") is not None)
        if fault and fault.kind == "interrupted":
            message = fault.details.get("message", "An internal error occurred. (error_code: InternalError)")
            yield f"Streaming interrupted due to the following error: {message}".encode()
        if more := reply.fault(*_MORE):
            left = more.details.get("bytes", _MORE[more.kind])
            while left > 0 and not self.server.closing.is_set():
                yield b"\n" * min(left, 65_536)
                left -= 65_536

    def _slowed(self, pieces: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
        size, seconds = fault.details.get("bytes", 1024), fault.details.get("seconds", 0.1)
        for piece in pieces:
            for start in range(0, len(piece), size):
                if self.server.closing.wait(seconds):
                    return
                yield piece[start : start + size]


def _gzipped(pieces: Iterator[bytes], complete: bool) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        yield packer.compress(piece)
    # A stream that will be cut still hands over what it holds, so that the cut is where the fault says.
    yield packer.flush(zlib.Z_FINISH if complete else zlib.Z_SYNC_FLUSH)


def _damaged(stream: bytes, fault: Fault) -> Iterator[bytes]:
    middle = len(stream) // 2
    yield stream[:middle]
    if fault.kind == "corrupt_gzip":
        # 0xFF bytes make no valid deflate block, and the checksum at the end would tell in any case.
        yield b"\xff" * min(64, len(stream) - middle) + stream[middle + 64 :]
