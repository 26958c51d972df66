"""What a connection to the site may take of it, so that no proxy need stand before it: uvicorn bounds none of this.

What belongs here: bytes and time of a request, time to take an answer, and how many connections there are. What does not: what
an answer costs to make (`api.routing.Queue`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_UNSENT_BYTES = 65_536


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, within bounds. Where there are `connections_answered`, a new one takes the place of the one on
    which nothing has been asked for longest; while answers are under way on all of them, it is answered with 503."""

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
