"""The site measured, for Prometheus: answers by kind and status, how long they took, and which release they are of. At `/metrics`.

What belongs here: what is counted of every answer, and how it is told. What does not: the pipeline's own measures, which it
leaves in a file (`orchestration.measures`); here that file is passed on as it is.

Several processes answer on one port, so each writes its numbers into one directory, PROMETHEUS_MULTIPROC_DIR, from which
whoever is asked adds them up. It must be set before this module is imported; without it, a process tells its own.
"""

import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import anyio.to_thread
import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vanc311_pipeline import schema
from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.published import PublishedFile

log = logging.getLogger(__name__)

PATH = "/metrics"
_SEVERAL = "PROMETHEUS_MULTIPROC_DIR" in os.environ

_API_KINDS = frozenset({"areas", "issues", "metrics", "requests", "changes", "downloads"})

_site = CollectorRegistry()
ANSWER_SECONDS = Histogram(
    "vanc311_answer_seconds",
    "Seconds from a question to the last byte of its answer, by kind of address and status.",
    ["kind", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_site,
)
REPLICA_LOOKED = Gauge(
    "vanc311_replica_looked_timestamp_seconds",
    "When a replica last found out which release counts in the object store; 0 if it serves what is published here.",
    registry=_site,
    multiprocess_mode="mostrecent",
)


class Measured:
    """The layer around all others: it times every answer, and answers at `/metrics` itself."""

    def __init__(self, app: ASGIApp, published: PublishedFile, beside: Path | None = None) -> None:
        """Args:
        beside: the file that the pipeline leaves its own measures in, if it runs where we see it.
        """
        self._app, self._published, self._beside = app, published, beside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == PATH and scope["method"] == "GET":
            await _tell(send, await anyio.to_thread.run_sync(self._exposition))
            return
        status, started = 500, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - started
            ANSWER_SECONDS.labels(kind_of(scope["path"]), str(status)).observe(seconds)
            if log.isEnabledFor(logging.INFO):  # without what was asked about: it may be somebody's address
                log.info("answered", extra={"method": scope["method"], "path": scope["path"], "status": status,
                                            "seconds": round(seconds, 6)})  # fmt: skip

    def _exposition(self) -> bytes:
        answers, release = _site, CollectorRegistry()
        if _SEVERAL:
            answers = CollectorRegistry()
            MultiProcessCollector(answers)  # type: ignore[no-untyped-call]
        release.register(OfRelease(self._published))
        pipeline = self._beside.read_bytes() if self._beside and self._beside.exists() else b""
        return generate_latest(answers) + generate_latest(release) + pipeline


class OfRelease(Collector):
    """What is served now. Without a release, only that there is none."""

    def __init__(self, published: PublishedFile) -> None:
        self._published = published

    def collect(self) -> Iterator[Metric]:
        try:
            with self._published.reading() as release:
                about = release.about
                results = release.rows(
                    sa.select(schema.check_results.c.result, sa.func.count()).group_by(schema.check_results.c.result)
                )
        except SettingsError:
            yield GaugeMetricFamily("vanc311_release_served", "1 if a release is served, else 0.", value=0)
            return
        yield GaugeMetricFamily("vanc311_release_served", "1 if a release is served, else 0.", value=1)
        yield _labelled("vanc311_release_info", "The release that is served.", ["as_of", "source", "complete"],
                        {(about["as_of"], about["source"], about["complete"]): 1})  # fmt: skip
        for name, meaning in (
            ("data_processed", "When the city published the data that is served."),
            ("published_at", "When the file that is served was made."),
        ):
            instant = datetime.fromisoformat(about[name]).timestamp()
            yield GaugeMetricFamily(f"vanc311_release_{name}_timestamp_seconds", meaning, value=instant)
        for name, meaning in (
            ("rows_stored", "Requests in the file that is served."),
            ("rows_quarantined", "Rows of the portal that could not be keyed, in the file that is served."),
        ):
            yield GaugeMetricFamily(f"vanc311_release_{name}", meaning, value=about[name])
        yield _labelled("vanc311_release_checks", "Checks of the data by what they found before the file was made.",
                        ["result"], {(result,): count for result, count in results})  # fmt: skip


def kind_of(path: str) -> str:
    """Which family an address is of: few enough for a label, whatever is asked for."""
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        family = path.removeprefix(PREFIX).lstrip("/").partition("/")[0].partition(".")[0]
        return f"api/{family}" if family in _API_KINDS else "api"
    return "static" if path.startswith("/static/") else "page"


def _labelled(name: str, meaning: str, labels: list[str], values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


async def _tell(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", CONTENT_TYPE_LATEST.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
