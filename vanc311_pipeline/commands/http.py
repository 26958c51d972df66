"""HTTP, as each of our processes answers it: a free port, uvicorn in one configuration, bounds for connections, several workers.

What belongs here: sockets, processes and connections. What does not: what is answered, and what it costs (`api.routing.Queue`).
"""

import asyncio
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vanc311_pipeline.errors import SettingsError

_GRACE_SECONDS = 10
"""How long an answer under way may still take when we are asked to stop."""

_UNSENT_BYTES = 65_536
_YOUNG_SECONDS = 10
"""A worker that dies younger has a fault that a new one would have, too."""

_LOOK_SECONDS = 0.5
_WORKER_GRACE_SECONDS = 15


def address(host: str, port: int) -> str:
    """Where people on this machine reach a server; one that listens everywhere, by loopback."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def refuse_taken_port(what: str, host: str, port: int, advice: str) -> None:
    """Make sure that a server can listen.

    Raises:
        SettingsError: the port is taken, or the address is not one of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"{what} can't listen on {host}:{port} ({error.strerror}). Nothing was started. Choose another port: {advice}."
            ) from error


def answer(
    make: Callable[[], ASGIApp],
    host: str,
    port: int,
    listening: Sequence[socket.socket] | None = None,
    protocol: type[asyncio.Protocol] | None = None,
) -> None:
    """Answer until we are asked to stop; uvicorn then raises the signal once more, for whoever handled it before.

    Args:
        make: makes the application.
        listening: sockets that listen already, instead of one of its own.
        protocol: how a connection is spoken with; uvicorn chooses if not given.
    """
    config = uvicorn.Config(
        make,
        factory=True,
        host=host,
        port=port,
        http=protocol or "auto",
        log_config=None,
        log_level="error",  # its warnings are about clients, who could fill a disk with them
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run(list(listening) if listening else None)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, within bounds, so that no proxy need stand before it.

    Where there are `connections_answered`, a new one takes the place of the one on which nothing has been asked for longest; while
    answers are under way on all of them, it is answered with 503.
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
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(_UNSENT_BYTES, 0)
        self._asking = self._abort_after(self.request_seconds)
        self._idle_since = self.loop.time()
        if len(self.connections) >= self.connections_answered:
            self._take_a_place()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self.request_bytes:
            self.send_400_response("The request is too long.")
            return
        super().data_received(data)
        if self._bytes and self._asking is None:
            self._asking = self._abort_after(self.request_seconds)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._bytes = 0
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self._abort_after(self.taking_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()
        self._close_in_time()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._close_in_time()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._asking, self._taking):
            if timer is not None:
                timer.cancel()

    def _take_a_place(self) -> None:
        idle = [
            each
            for each in self.connections
            if isinstance(each, BoundedProtocol) and each._is_idle and each is not self
        ]
        if idle:
            longest = min(idle, key=lambda each: each._idle_since)
            longest.transport.abort()
            # Now: the loop may take in the request of the new one before it tells of this end.
            self.connections.discard(longest)

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_in_time(self) -> None:
        """A connection is closed when the rest was taken, which may be never."""
        if self.transport.is_closing() and self._taking is None:
            self._taking = self._abort_after(self.taking_seconds)

    def _abort_after(self, seconds: float) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self.transport.abort)


def run_workers(work: Callable[[socket.socket], None], host: str, port: int, workers: int) -> None:
    """Run `work` in so many processes until this one is asked to stop; one that dies is replaced.

    uvicorn's own workers share one listening socket, and the first to wake takes every connection that waits: of two, one was
    seen with 63 of 64. Here each has a socket of its own, among which the system spreads connections.

    Args:
        work: serves what comes in at a listening socket, until its process is asked to stop; a function of a module.

    Raises:
        SettingsError: one ends as soon as it has begun.
    """
    context = multiprocessing.get_context("spawn")
    running: dict[SpawnProcess, float] = {}
    stopping = False

    def start() -> None:
        process = context.Process(target=_listen, args=(work, host, port))
        process.start()
        running[process] = time.monotonic()

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        del number, frame
        stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for _ in range(workers):
            start()
        while not stopping:
            wait([process.sentinel for process in running], timeout=_LOOK_SECONDS)
            for dead in [process for process in running if not process.is_alive() and not stopping]:
                if time.monotonic() - running.pop(dead) < _YOUNG_SECONDS:
                    raise SettingsError(
                        f"A process that answers ended with {dead.exitcode}; what it printed above says why."
                    )
                start()
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join(_WORKER_GRACE_SECONDS)
            process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(work: Callable[[socket.socket], None], host: str, port: int) -> None:
    # Ctrl-C goes to all processes of a terminal; the first one passes it on in its own way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        work(listening)
