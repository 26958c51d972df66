"""HTTP with a portal that may misbehave: a session that can't be kept waiting, filled up, led elsewhere or made to tell.

- `http.client` limits the silence between two bytes, so a byte now and then keeps it waiting for ever, in a header or in
  the size of a chunk. Here every byte that comes in is counted against a least speed, a longest time and a largest size.
- A redirect is never followed: it would take the API key along, and its body would be read without a limit.
- The key is ours or none: what `~/.netrc` has for the portal's host is not sent. Proxies from the environment are used.
"""

import io
import time
from http.client import HTTPResponse
from importlib.metadata import version
from socket import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from vanc311_pipeline.errors import PortalUnavailable
from vanc311_pipeline.settings import ANSWER_BYTES, ANSWER_SECONDS, SLOWEST_BYTES_PER_SECOND


class PortalSession(requests.Session):
    """A session for the portal, with its API key if there is one."""

    def __init__(self, api_key: str | None) -> None:
        super().__init__()
        self.headers["User-Agent"] = (
            f"vanc311_pipeline/{version('vanc311_pipeline')} (mirror of Vancouver's 3-1-1 open data)"
        )
        if api_key:
            self.headers["Authorization"] = f"Apikey {api_key}"  # the portal's own scheme
        self.auth = lambda request: request  # with any, requests doesn't look into `~/.netrc`
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Adapter(HTTPAdapter):
    """Makes connections whose answers are read through `_Watched`, whatever kind they are of (TLS, a proxy's)."""

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> HTTPConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **options)
        assert isinstance(pool, HTTPConnectionPool)
        kind = type(pool).ConnectionCls
        pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": _Response})
        return pool


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Watched(self.fp.detach(), sock.gettimeout()))


class _Watched(io.RawIOBase):
    """The bytes of one answer, headers included, as they come off the line."""

    def __init__(self, raw: io.RawIOBase, patience: float | None) -> None:
        self._raw = raw
        self._patience = patience or ANSWER_SECONDS
        self._began = self._window_began = 0.0
        self._received = self._window_received = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: Any) -> int | None:
        size = self._raw.readinto(buffer)
        now = time.monotonic()
        if not self._received:  # the clock starts with the first byte; before it, the socket's own time-out holds
            self._began = self._window_began = now
        if size:
            self._received += size
            self._window_received += size
            self._judge(now)
        return size

    def _judge(self, now: float) -> None:
        if self._received > ANSWER_BYTES:
            raise PortalUnavailable(f"An answer of the portal goes on after {ANSWER_BYTES:,} bytes: it has no end.")
        if now - self._began > ANSWER_SECONDS:
            raise PortalUnavailable(f"An answer of the portal goes on after {ANSWER_SECONDS:g} s: it has no end.")
        elapsed = now - self._window_began
        if elapsed <= self._patience:
            return
        if self._window_received < elapsed * SLOWEST_BYTES_PER_SECOND:
            raise PortalUnavailable(
                f"The portal sent only {self._window_received:,} bytes in {elapsed:.0f} s: the download stalled."
            )
        self._window_began, self._window_received = now, 0
