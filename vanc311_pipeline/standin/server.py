"""The server and what it remembers (releases, clock, calls, faults, requests), not its answers and the bytes on the wire."""

import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import pandas as pd

from vanc311_pipeline.standin.answers import Headers, Question, Reply, question, reply_to
from vanc311_pipeline.standin.bodies import Body
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import Fault
from vanc311_pipeline.standin.questions import PortalError
from vanc311_pipeline.standin.releases import ARCHIVE, LIVE, SCHEMA, Release, Source, request_table, sample_table
from vanc311_pipeline.standin.wire import instead_of_an_answer, send, too_many_calls

RELEASED_AT = datetime(2026, 1, 13, 14, 6, 58, tzinfo=UTC)  # the day after the sample's newest change
ARCHIVED_AT = datetime(2024, 4, 24, 22, 32, 28, tzinfo=UTC)


@dataclass(frozen=True)
class Options:
    """The calls of a day, and whether an export that a publication overtakes is of one release or mixes two."""

    quota: int = 15_000
    export_during_publish: Literal["one_release", "mix"] = "one_release"


@dataclass
class RequestRecord:
    """One request: what was asked, the status that was answered, and the faults that were met."""

    path: str
    headers: dict[str, str] = field(repr=False)
    status: int | None = None
    faults: list[str] = field(default_factory=list)


class StandIn:
    """A local portal. Use it as a context manager, or call `start` and `stop`.

    Args:
        requests: the live rows; the bundled sample by default.
        archive: the rows of 2009 to 2021; none by default.
        released_at: data_processed of the live dataset.
        on_request: called with each request as it is logged, before it is answered.
    """

    def __init__(
        self,
        requests: Source | None = None,
        archive: Source | None = None,
        released_at: datetime = RELEASED_AT,
        host: str = "127.0.0.1",
        port: int = 0,
        options: Options | None = None,
        on_request: Callable[[RequestRecord], object] = lambda record: None,
    ) -> None:
        self.options = options or Options()
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
        self._server = _Server((host, port), _Handler)
        self._server.portal = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self._server.server_address)

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

    def count(self, asked: Question) -> tuple[int, list[Fault]]:
        """Count a call: how many of the day's are left, negative when they are used up, and the faults that it meets."""
        with self.lock:
            self._calls[self.now().date()] += 1
            left = self.options.quota - self._calls[self.now().date()]
            return left, [fault for fault in list(self.faults) if fault.strikes(asked.dataset, asked.on)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    portal: StandIn

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

    def do_GET(self) -> None:
        portal, parts = self.server.portal, urlsplit(self.path)
        record = RequestRecord(unquote(parts.path), {name.lower(): value for name, value in self.headers.items()})
        reply, rate = self._reply(record, parts.query)
        record.status = reply.status if reply else None
        with portal.lock:
            portal.requests_log.append(record)
            portal.on_request(record)
        zips = "gzip" in record.headers.get("accept-encoding", "")
        if not reply or not send(reply, self.wfile, portal.now(), rate, zips, portal.closing):  # type: ignore[arg-type]
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def _reply(self, record: RequestRecord, query: str) -> tuple[Reply | None, Headers]:
        """The reply with its rate headers; no reply where the connection is refused."""
        portal = self.server.portal
        try:
            asked = question(record.path, dict(parse_qsl(query, keep_blank_values=True)))
            left, faults = portal.count(asked)
            record.faults = [fault.kind for fault in faults]
            if "refused" in record.faults:
                return None, []
            quota, midnight = portal.options.quota, portal.now() + timedelta(days=1)
            if left < 0 or "quota_429" in record.faults:
                return too_many_calls(f"{midnight:%Y-%m-%dT00:00:00Z}", quota), []
            for fault in faults:
                if reply := instead_of_an_answer(fault, portal.now()):
                    return reply, []
            rate = [("remaining", str(left)), ("limit", str(quota)), ("reset", f"{midnight:%Y-%m-%d 00:00:00+00:00}")]
            return reply_to(asked, portal, faults), [(f"x-ratelimit-{name}", value) for name, value in rate]
        except PortalError as error:
            # Only the 404 is seen compressed.
            return Reply(error.status, "application/json", Body(error.body), zips=error.status == 404), []
