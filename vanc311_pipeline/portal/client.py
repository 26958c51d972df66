"""The one client of the city's portal (Opendatasoft Explore API v2.1), over HTTP/1.1.

What belongs here: requests, retries, and telling a usable answer from an unusable one. What does not: deciding what to
ask (`vanc311_pipeline.plan`) and keeping what was answered (`portal.landing`).

Every unusable answer is an error from `vanc311_pipeline.errors`, never rows: a cut or corrupt body, a maintenance page
with status 200, the text `Streaming interrupted` at the end of an export, a body that is not what was asked for.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
import tenacity
import urllib3

from vanc311_pipeline.errors import CountMismatch, PortalRefused, PortalUnavailable, QuotaExceeded
from vanc311_pipeline.portal.contract import Cell, Release, canonical_instant, required
from vanc311_pipeline.schema import OPENED
from vanc311_pipeline.settings import (
    AREAS,
    CONNECT_TIMEOUT_SECONDS,
    PORTAL_ATTEMPTS,
    RETRY_WAIT_MAX_SECONDS,
    SLOWEST_BYTES_PER_SECOND,
)

Answer = TypeVar("Answer")

_BROKEN = b"Streaming interrupted"
_TAIL_BYTES = 4_096


class Portal:
    """Ask the portal. Use it as a context manager, or call `close`.

    Args:
        url: the portal's root, such as https://opendata.vancouver.ca.
        api_key: sent with every request if given.
        read_timeout: seconds of silence after which a request has failed.
        attempts: how often a request is tried before `PortalUnavailable`.
        retry_wait: seconds before the second attempt; doubles from there, with jitter.
        seconds: how long the client may be at work altogether, from now on; for ever by default.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        read_timeout: float,
        attempts: int = PORTAL_ATTEMPTS,
        retry_wait: float,
        seconds: float | None = None,
    ) -> None:
        self.url = url
        self._seconds = seconds
        self._opened = time.monotonic()
        self._base = f"{url}/api/explore/v2.1/catalog/datasets"
        self._read_timeout = read_timeout
        self._persisting = False
        self._session = requests.Session()
        self._session.headers["User-Agent"] = (
            f"vanc311_pipeline/{version('vanc311_pipeline')} (mirror of Vancouver's 3-1-1 open data)"
        )
        if api_key:
            self._session.headers["Authorization"] = f"Apikey {api_key}"
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((PortalUnavailable, CountMismatch)),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential_jitter(multiplier=retry_wait, max=RETRY_WAIT_MAX_SECONDS, jitter=retry_wait),
            reraise=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    def persist(self, ask: Callable[[], Answer]) -> Answer:
        """Call `ask` until it gives a usable answer, with growing pauses; a refusal or a spent quota ends it at once.

        What is asked within `ask` is asked once each time: attempts don't multiply.
        """
        if self._persisting:
            return ask()
        self._persisting = True
        try:
            return self._retrying(ask)
        except PortalUnavailable as error:
            raise PortalUnavailable(
                f"{error} What was published before stays as it was. Try again later with `vanc311 sync`."
            ) from error
        finally:
            self._persisting = False

    def release(self, dataset: str) -> Release:
        """The dataset's current release, from its metadata."""
        return self.persist(lambda: self._release(dataset))

    def total_count(self, dataset: str, where: str) -> int:
        """How many rows match, by the portal's own count."""
        return self.persist(lambda: self._total_count(dataset, where))

    def cells(self, dataset: str) -> list[Cell]:
        """The grouped question: per UTC month, department and issue type, rows, closed rows and latest change."""
        return self.persist(lambda: self._cells(dataset))

    def areas(self) -> dict[str, Any]:
        """The 22 local areas as a GeoJSON FeatureCollection."""
        return self.persist(lambda: self._areas())

    def download(self, dataset: str, where: str, to: Path) -> None:
        """Stream one export into a file, once; no retry, because only the caller can count what came.

        Raises:
            PortalUnavailable: the connection, the status or the body shows that the export is not whole.
        """
        query = {"where": where, "timezone": "UTC", "delimiter": ";", "with_bom": "false", "use_labels": "false"}
        with self._get(f"{dataset}/exports/csv", query) as response, to.open("wb") as file:
            tail = b""
            for chunk in self._chunks(response):
                file.write(chunk)
                tail = (tail + chunk)[-_TAIL_BYTES:]
        if _BROKEN in tail:
            said = tail[tail.rindex(_BROKEN) :].decode(errors="replace").strip()
            raise PortalUnavailable(f"The portal broke off an export of {dataset} and said: {said[:300]!r}.")
        if not tail.endswith(b"\n"):
            raise PortalUnavailable(f"An export of {dataset} ends in the middle of a row: the connection was cut.")

    def _release(self, dataset: str) -> Release:
        document = self._json(dataset, {})
        try:
            default = required(document, "metas", "default")
            return Release(
                dataset=dataset,
                data_processed=canonical_instant(required(default, "data_processed")),
                records_count=int(required(default, "records_count")),
                fields=tuple((str(field["name"]), str(field["type"])) for field in required(document, "fields")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PortalUnavailable(f"The portal's metadata of {dataset} can't be read: {error!r}.") from error

    def _total_count(self, dataset: str, where: str) -> int:
        document = self._json(f"{dataset}/records", {"where": where, "limit": "1", "timezone": "UTC"})
        count = document.get("total_count") if isinstance(document, dict) else None
        if not isinstance(count, int) or count < 0:
            raise PortalUnavailable(f"The portal's count of {dataset} has no total_count: {str(document)[:200]}")
        return count

    def _cells(self, dataset: str) -> list[Cell]:
        lines = self._json(
            f"{dataset}/exports/json",
            {
                "select": "count(*) as n, count(service_request_close_date) as closed, max(last_modified_timestamp) as latest",
                "group_by": f"date_format({OPENED},'yyyy-MM') as month, department, service_request_type",
                "timezone": "UTC",
            },
        )
        try:
            return [
                Cell(
                    month=line.get("month"),
                    department=line.get("department"),
                    issue_type=line.get("service_request_type"),
                    rows=int(line["n"]),
                    closed=int(line["closed"]),
                    latest=canonical_instant(line["latest"]) if line.get("latest") else None,
                )
                for line in lines
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise PortalUnavailable(
                f"The portal's answer to the grouped question on {dataset} can't be read: {error!r}."
            ) from error

    def _areas(self) -> dict[str, Any]:
        document = self._json(f"{AREAS}/exports/geojson", {})
        if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
            raise PortalUnavailable(f"The portal's {AREAS} is not a GeoJSON FeatureCollection: {str(document)[:200]}")
        return document

    def _json(self, path: str, query: dict[str, str]) -> Any:
        with self._get(path, query) as response:
            body = b"".join(self._chunks(response))
        try:
            return json.loads(body)
        except ValueError as error:
            raise PortalUnavailable(
                f"The portal's answer for {path} is not whole JSON; it ends {body[-200:]!r}."
            ) from error

    @contextmanager
    def _get(self, path: str, query: dict[str, str]) -> Iterator[requests.Response]:
        """One GET whose status and type are checked; connection errors anywhere inside become PortalUnavailable."""
        silence = min(self._read_timeout, self._left())
        timeout = (min(CONNECT_TIMEOUT_SECONDS, silence), silence)
        try:
            with self._session.get(f"{self._base}/{path}", params=query, stream=True, timeout=timeout) as response:
                _refuse(response, path)
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise PortalUnavailable(f"{self.url} did not answer {path} usably: {_plain(error)}.") from error

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The body, as long as it flows: a drip slower than any real line counts as a stall.

        Each piece is taken as it arrives: waiting for a full one would wait for a drip for ever.
        """
        started, received = time.monotonic(), 0
        while chunk := response.raw.read1(65_536, decode_content=True):
            self._left()
            yield chunk
            received += len(chunk)
            elapsed = time.monotonic() - started
            if elapsed > self._read_timeout:
                if received < elapsed * SLOWEST_BYTES_PER_SECOND:
                    raise PortalUnavailable(
                        f"{self.url} sent only {received:,} bytes in {elapsed:.0f} s: the download stalled."
                    )
                started, received = time.monotonic(), 0

    def _left(self) -> float:
        """The seconds that are left of those that the client may take; none left is an error."""
        if self._seconds is None:
            return self._read_timeout
        left = self._seconds - (time.monotonic() - self._opened)
        if left <= 0:
            raise PortalUnavailable(f"{self.url} did not answer in full within {self._seconds:g} s.")
        return left


def _refuse(response: requests.Response, path: str) -> None:
    status = response.status_code
    if status == 429:
        raise _quota(response)
    if status >= 500 or status == 408:
        raise PortalUnavailable(f"The portal answered {path} with status {status}.")
    if status >= 400:
        raise PortalRefused(
            f"The portal refused {path} with status {status}: {response.text[:500].strip()} "
            "Nothing was loaded. Asking again won't help; check VANC311_PORTAL_URL, the dataset's name and the API key."
        )
    if status != 200:
        raise PortalUnavailable(f"The portal answered {path} with the unexpected status {status}.")
    if "text/html" in response.headers.get("content-type", ""):
        raise PortalUnavailable(f"The portal answered {path} with a web page instead of data: probably maintenance.")


def _quota(response: requests.Response) -> QuotaExceeded:
    until = _reset_time(response)
    when = f"until {until:%Y-%m-%d %H:%M} UTC" if until else "until the next day (00:00 UTC)"
    return QuotaExceeded(
        f"The portal's calls for the day are used up, {when}. Nothing was lost; what was loaded before stays. "
        "Run `vanc311 sync` again after that, or set VANC311_API_KEY to have a quota of your own.",
        until,
    )


def _reset_time(response: requests.Response) -> datetime | None:
    """When the quota starts anew: from the body, else from the header, else unknown."""
    try:
        return datetime.fromisoformat(response.json()["reset_time"])
    except (ValueError, KeyError, TypeError):
        try:
            return datetime.fromisoformat(response.headers["x-ratelimit-reset"])
        except (ValueError, KeyError):
            return None


def _plain(error: BaseException) -> str:
    """The innermost reason, without the library's wrapping."""
    reason: Any = error
    while getattr(reason, "reason", None) is not None or (reason.args and isinstance(reason.args[0], BaseException)):
        reason = getattr(reason, "reason", None) or reason.args[0]
    return f"{type(reason).__name__}: {reason}"
