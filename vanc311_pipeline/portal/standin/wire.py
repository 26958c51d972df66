"""Writing a reply to a socket, exactly: chunks by hand, gzip, and the faults of the wire.

Belongs here: everything between a finished reply and the bytes that the client receives. Does not belong here:
what the reply says.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from threading import Event
from typing import BinaryIO

from vanc311_pipeline.portal.standin.replies import Body, Headers, Reply

_CUT = ("cut_mid_row", "cut_at_row", "stall")
_GZIP = ("corrupt_gzip", "truncated_gzip")
_MORE = {"endless": 1 << 62, "gzip_bomb": 2_100_000_000}
INTERRUPTED = "An internal error occurred. (error_code: InternalError)"


def shortened(reply: Reply) -> Reply:
    """The reply with the fault `short` applied: fewer rows, well-formed."""
    fault = reply.fault("short")
    if fault is None:
        return reply
    return replace(reply, body=reply.body.shortened(_kept_rows(reply.body, fault.details.get("rows"))))


def rows_sent(reply: Reply) -> int:
    """The whole rows that the reply will carry."""
    fault = reply.fault(*_CUT, "interrupted")
    return _kept_rows(reply.body, fault.details.get("rows")) if fault else reply.body.row_count


def send(reply: Reply, out: BinaryIO, now: datetime, rate: Headers, accepts_gzip: bool, closing: Event) -> bool:
    """Write the reply. False if the connection has to be cut afterwards."""
    headers = reply.headers(now, rate)
    if drip := reply.fault("dripping_headers"):
        _drip(out, drip.details.get("seconds", 0.1), closing)
        return False
    zipped = reply.compressible and (accepts_gzip or reply.fault(*_GZIP, "gzip_bomb") is not None)
    if zipped:
        headers.append(("content-encoding", "gzip"))
    if not reply.streamed:
        content = b"".join(reply.body.whole())
        content = zlib.compress(content, wbits=31) if zipped else content
        _head(out, reply.status, [*headers, ("content-length", str(len(content)))])
        out.write(content)
        out.flush()
        return True
    _head(out, reply.status, [*headers, ("transfer-encoding", "chunked")])
    complete = reply.fault(*_CUT) is None
    pieces = _with_more(_with_midway(_pieces(reply), reply), reply, closing)
    if zipped:
        pieces = _gzipped(pieces, complete)
    pieces = _slowed(_damaged(pieces, reply), reply, closing)
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
    out.flush()
    while not closing.wait(seconds):
        out.write(b"x")
        out.flush()


def _head(out: BinaryIO, status: int, headers: Headers) -> None:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
    out.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _kept_rows(body: Body, asked: int | None) -> int:
    """How many rows come before the break: as asked, or half."""
    return body.row_count // 2 if asked is None else min(asked, body.row_count)


def _pieces(reply: Reply) -> Iterator[bytes]:
    fault = reply.fault(*_CUT, "interrupted")
    if fault is None:
        yield from reply.body.whole()
        return
    yield from reply.body.broken(_kept_rows(reply.body, fault.details.get("rows")), fault.kind == "cut_mid_row")
    if fault.kind == "interrupted":
        message = fault.details.get("message", INTERRUPTED)
        yield f"Streaming interrupted due to the following error: {message}".encode()


def _with_midway(pieces: Iterator[bytes], reply: Reply) -> Iterator[bytes]:
    """Do what the reply wants done while it is under way: after its first piece."""
    first = True
    for piece in pieces:
        yield piece
        if first and reply.midway:
            reply.midway()
        first = False


def _with_more(pieces: Iterator[bytes], reply: Reply, closing: Event) -> Iterator[bytes]:
    """The body, and line ends after its end."""
    yield from pieces
    if fault := reply.fault(*_MORE):
        left = fault.details.get("bytes", _MORE[fault.kind])
        while left > 0 and not closing.is_set():
            yield b"\n" * min(left, 65_536)
            left -= 65_536


def _gzipped(pieces: Iterator[bytes], complete: bool) -> Iterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        yield packer.compress(piece)
    # A stream that will be cut still hands over what it holds, so that the cut is where the fault says.
    yield packer.flush(zlib.Z_FINISH if complete else zlib.Z_SYNC_FLUSH)


def _damaged(pieces: Iterator[bytes], reply: Reply) -> Iterator[bytes]:
    fault = reply.fault(*_GZIP)
    if fault is None:
        yield from pieces
        return
    stream = b"".join(pieces)
    middle = len(stream) // 2
    if fault.kind == "truncated_gzip":
        yield stream[:middle]
        return
    # 0xFF bytes make no valid deflate block, and the checksum at the end would tell in any case.
    yield stream[:middle] + b"\xff" * min(64, len(stream) - middle) + stream[middle + 64 :]


def _slowed(pieces: Iterator[bytes], reply: Reply, closing: Event) -> Iterator[bytes]:
    fault = reply.fault("slow_drip")
    if fault is None:
        yield from pieces
        return
    size, seconds = fault.details.get("bytes", 1024), fault.details.get("seconds", 0.1)
    for piece in pieces:
        for start in range(0, len(piece), size):
            if closing.wait(seconds):
                return
            yield piece[start : start + size]
