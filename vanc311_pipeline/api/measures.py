"""The site measured, for Prometheus: answers by kind and status, how long they took, and which release they are of.

Several processes answer on one port, so each writes its numbers into one directory, PROMETHEUS_MULTIPROC_DIR, from which whoever is
asked adds them up. It must be set before this module is imported; without it, a process tells its own. Not here: the pipeline's own
measures, which it leaves in a file (`orchestration.operations.prometheus`); here that file is passed on.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Gauge, Histogram, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vanc311_pipeline import schema
from vanc311_pipeline.api import PREFIX
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.published import reading

log = logging.getLogger(__name__)

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


@contextmanager
def telling(host: str, port: int, published: Path, beside: Path) -> Iterator[int]:
    """Tell of the `published` file, and what the pipeline leaves `beside` it, for as long as the block lasts; the port, if it was 0."""
    registry = CollectorRegistry()
    if _SEVERAL:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(_site)
    registry.register(OfFiles(published, beside))
    server, thread = start_http_server(port, host, registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Measured:
    """The layer around all others: it times every answer to a client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope.get("client"):
            await self._app(scope, receive, send)
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


class OfFiles(Collector):
    def __init__(self, published: Path, beside: Path) -> None:
        self._published, self._beside = published, beside

    def collect(self) -> Iterator[Metric]:
        yield from _of_release(self._published)
        if self._beside.exists():
            yield from text_string_to_metric_families(self._beside.read_text())


_OF_RELEASE = {
    "data_processed": "When the city published the data that is served.",
    "published_at": "When the file that is served was made.",
    "rows_stored": "Requests in the file that is served.",
    "rows_quarantined": "Rows of the portal that could not be keyed, in the file that is served.",
}


def _of_release(path: Path) -> Iterator[Metric]:
    """Without a release, only that there is none."""
    result, served = schema.check_results.c.result, "1 if a release is served, else 0."
    try:
        # Open only meanwhile: a release that nobody serves any more goes from the disk.
        with reading(path) as release:
            about = release.about
            results = release.rows(sa.select(result, sa.func.count()).group_by(result))
    except SettingsError:
        yield GaugeMetricFamily("vanc311_release_served", served, value=0)
        return
    yield GaugeMetricFamily("vanc311_release_served", served, value=1)
    names = {name: about[name] for name in ("as_of", "source", "complete")}
    yield InfoMetricFamily("vanc311_release", "The release that is served.", value=names)
    for name, meaning in _OF_RELEASE.items():
        value = about[name]
        if isinstance(value, str):
            name, value = f"{name}_timestamp_seconds", datetime.fromisoformat(value).timestamp()
        yield GaugeMetricFamily(f"vanc311_release_{name}", meaning, value=value)
    checks = GaugeMetricFamily(
        "vanc311_release_checks", "Checks of the data by what they found before the file was made.", labels=["result"]
    )
    for name, times in results:
        checks.add_metric([name], times)
    yield checks


def kind_of(path: str) -> str:
    """Which family an address is of: few enough for a label, whatever is asked for."""
    if path == PREFIX or path.startswith(f"{PREFIX}/"):
        family = path.removeprefix(PREFIX).lstrip("/").partition("/")[0].partition(".")[0]
        return f"api/{family}" if family in _API_KINDS else "api"
    return "static" if path.startswith("/static/") else "page"
