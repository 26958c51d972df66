"""HTTP, as each of our processes answers it: a port, uvicorn in one configuration, bounds for connections."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vanc311_pipeline.errors import SettingsError

_GRACE_SECONDS = 10
"""How long an answer under way may still take when we are asked to stop."""

_UNSENT_BYTES = 65_536


def address(host: str, port: int) -> str:
    """Where people on this machine reach a server; one that listens everywhere, by loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def refuse_taken_port(what: str, host: str, port: int, advice: str) -> None:
    """Raise SettingsError if a server can't listen: the port is taken, or the address is not one of this machine."""
    try:
        _bound(host, port).close()
    except OSError as error:
        raise SettingsError(
            f"{what} can't listen on {host}:{port} ({error.strerror}). Nothing was started. Choose another port: {advice}."
        ) from error


def answer(
    make: Callable[[], ASGIApp],
    host: str,
    port: int,
    protocol: type[asyncio.Protocol] | None = None,
    shared: bool = False,
) -> None:
    """Answer until we are asked to stop; uvicorn then raises the signal once more, for whoever handled it before. If the port is shared, each
    process has a socket of its own, among which the system spreads connections: of one that uvicorn's own workers share, the first to wake
    takes all that wait, of two one was seen with 63 of 64.
    """
    config = uvicorn.Config(
        make,
        factory=True,
        http=protocol or "auto",
        log_config=None,
        log_level="error",  # its warnings are about clients, who could fill a disk with them
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with _bound(host, port, *[socket.SO_REUSEPORT] * shared) as listening:
        uvicorn.Server(config).run([listening])


def _bound(host: str, port: int, *options: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        for option in (socket.SO_REUSEADDR, *options):
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, within bounds, so that no proxy need stand before it. A connection more than are answered takes the
    place of the one on which nothing has been asked for longest; while answers are under way on all of them, it gets a 503.
    """

    connections_answered = 256
    request_bytes = 32_768
    """Of a whole request: nobody has to send us a body."""
    request_seconds = 10.0
    taking_seconds = 60.0
    """How long a client may take over what was handed to its connection: a page, or a megabyte of a download."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.limit_concurrency = self.connections_answered
        self._bytes = 0
        self._idle_since = 0.0
        self._limits: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(_UNSENT_BYTES, 0)
        self._limit("asking", self.request_seconds)
        self._idle_since = self.loop.time()
        if len(self.connections) >= self.connections_answered:
            self._take_a_place()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self.request_bytes:
            self.send_400_response("The request is too long.")
            return
        super().data_received(data)
        if self._bytes:
            self._limit("asking", self.request_seconds)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._bytes = 0
        self._lift("asking")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit("taking", self.taking_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._lift("taking")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()
        self._close_in_time()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close_in_time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for name in list(self._limits):
            self._lift(name)

    def _take_a_place(self) -> None:
        others = [each for each in self.connections if isinstance(each, BoundedProtocol) and each is not self]
        idle = [each for each in others if each.cycle is None or each.cycle.response_complete]
        if idle:
            longest = min(idle, key=lambda each: each._idle_since)
            longest.transport.abort()
            # Now: the loop may take in the request of the new one before it tells of this end.
            self.connections.discard(longest)

    def _close_in_time(self) -> None:
        """A connection is closed when the rest was taken, which may be never."""
        if self.transport.is_closing():
            self._limit("taking", self.taking_seconds)

    def _limit(self, name: str, seconds: float) -> None:
        """Abort the connection after so long, unless that is lifted; a limit that stands already counts from when it was set."""
        if name not in self._limits:
            self._limits[name] = self.loop.call_later(seconds, self.transport.abort)

    def _lift(self, name: str) -> None:
        if name in self._limits:
            self._limits.pop(name).cancel()
