"""Writing a reply to a socket, exactly: headers, chunks by hand, gzip; the faults of the wire, and those without an answer."""

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from threading import Event
from typing import BinaryIO

from vanc311_pipeline.standin.answers import JSON, Headers, Reply
from vanc311_pipeline.standin.bodies import Body
from vanc311_pipeline.standin.faults import PORTAL, Fault

_CUT = ("cut_mid_row", "cut_at_row", "stall")
_GZIP = ("corrupt_gzip", "truncated_gzip")
_MORE = {"endless": 1 << 62, "gzip_bomb": 2_100_000_000}


def instead_of_an_answer(fault: Fault, now: datetime) -> Reply | None:
    """The reply of a fault that answers in the portal's place; None for any other fault."""
    kind, details = fault.kind, fault.details
    if page := PORTAL["pages"].get(kind):
        return Reply(page["status"], page["type"], Body(page["body"]), zips=page["status"] == 200)
    if kind == "redirect":
        return Reply(
            302, "text/html", Body(""), extra=[("location", details.get("location", "http://elsewhere.invalid/"))]
        )
    if kind == "malformed":
        return Reply(200, JSON, Body(details.get("text", "[" * 100_000)))
    if kind == "odd_429":
        reset = details.get("reset_time", f"{now + timedelta(days=36_500):%Y-%m-%dT%H:%M:%S}")
        extra = [("retry-after", details["retry_after"])] if "retry_after" in details else []
        return too_many_calls(reset, 10_000, details.get("unit", "day"), extra)
    return None


def too_many_calls(reset: str, quota: int, unit: str = "day", extra: Headers | None = None) -> Reply:
    body = {"errorcode": 10002, "reset_time": reset, "limit_time_unit": unit, "call_limit": quota, **PORTAL["quota"]}
    return Reply(429, "application/json", Body(json.dumps(body)), extra=extra or [], zips=False)


def send(reply: Reply, out: BinaryIO, now: datetime, rate: Headers, accepts_gzip: bool, closing: Event) -> bool:
    """Write the reply. False if the connection has to be cut afterwards."""
    if drip := reply.fault("dripping_headers"):
        _drip(out, drip.details.get("seconds", 0.1), closing)
        return False
    zipped = reply.zips and (accepts_gzip or reply.fault(*_GZIP, "gzip_bomb") is not None)
    headers = _headers(reply, now, rate, zipped)
    if reply.status != 200:
        content = b"".join(reply.body.whole())
        content = zlib.compress(content, wbits=31) if zipped else content
        _head(out, reply.status, [*headers, ("content-length", str(len(content)))])
        out.write(content)
        out.flush()
        return True
    _head(out, reply.status, [*headers, ("transfer-encoding", "chunked")])
    complete = reply.fault(*_CUT) is None
    pieces = _pieces(reply, closing)
    if zipped:
        pieces = _gzipped(pieces, complete)
    if damage := reply.fault(*_GZIP):
        pieces = _damaged(b"".join(pieces), damage)
    if drip := reply.fault("slow_drip"):
        pieces = _slowed(pieces, drip, closing)
    for piece in pieces:
        if piece:
            out.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            out.flush()
    if stall := reply.fault("stall"):
        closing.wait(stall.details.get("seconds", 3600))
    if complete:
        out.write(b"0\r\n\r\n")
        out.flush()
    return complete


def _drip(out: BinaryIO, seconds: float, closing: Event) -> None:
    """A status line, and then a header byte by byte until the client hangs up or the portal closes."""
    out.write(b"HTTP/1.1 200 OK\r\nx: ")
    while not closing.wait(seconds):
        out.write(b"x")
        out.flush()


def _headers(reply: Reply, now: datetime, rate: Headers, zipped: bool) -> Headers:
    headers: Headers = [("server", "openresty"), ("date", format_datetime(now, usegmt=True))]
    headers += [("content-type", reply.content_type), *reply.extra]
    if reply.status in (200, 404):
        headers.append(("cache-control", "no-cache, no-store, max-age=0, must-revalidate"))
    if reply.status == 200 and not reply.fault("rate_headers_absent"):
        headers += rate
    return headers + list(PORTAL["headers"].items()) + [("content-encoding", "gzip")] * zipped


def _head(out: BinaryIO, status: int, headers: Headers) -> None:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(": ".join(header) for header in headers), "", ""]
    out.write("\r\n".join(lines).encode("latin-1"))


def _pieces(reply: Reply, closing: Event) -> Iterator[bytes]:
    """The body, as far as the faults let it come, and what comes after its end."""
    body, fault = reply.body, reply.fault(*_CUT, "interrupted", "short")
    rows = min(int(fault.details.get("rows", body.count // 2)), body.count) if fault else body.count
    pieces = replace(body, count=rows).whole()
    if fault and fault.kind != "short":
        pieces = body.broken(rows, half_row=fault.kind == "cut_mid_row")
    yield next(pieces)
    if reply.midway:
        reply.midway()
    yield from pieces
    if fault and fault.kind == "interrupted":
        message = fault.details.get("message", "An internal error occurred. (error_code: InternalError)")
        yield f"Streaming interrupted due to the following error: {message}".encode()
    if more := reply.fault(*_MORE):
        left = more.details.get("bytes", _MORE[more.kind])
        while left > 0 and not closing.is_set():
            yield b"\n" * min(left, 65_536)
            left -= 65_536


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


def _slowed(pieces: Iterator[bytes], fault: Fault, closing: Event) -> Iterator[bytes]:
    size, seconds = fault.details.get("bytes", 1024), fault.details.get("seconds", 0.1)
    for piece in pieces:
        for start in range(0, len(piece), size):
            if closing.wait(seconds):
                return
            yield piece[start : start + size]
