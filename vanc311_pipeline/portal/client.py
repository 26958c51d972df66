"""The one client of the city's portal (Opendatasoft Explore API v2.1), over HTTP/1.1: how it is asked, and asked again.

Every unusable answer is an error from `vanc311_pipeline.errors`, never rows: a cut or corrupt body, a maintenance page with status
200, the text `Streaming interrupted` at the end of an export, a body that is not what was asked for.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import requests
import urllib3

from vanc311_pipeline import settings as limits
from vanc311_pipeline.errors import PortalRefused, PortalUnavailable
from vanc311_pipeline.portal import documents
from vanc311_pipeline.portal.contract import Release
from vanc311_pipeline.portal.retries import moment, refusal_of_calls, retrying
from vanc311_pipeline.portal.transport import PortalSession
from vanc311_pipeline.schema import MODIFIED, OPENED
from vanc311_pipeline.settings import AREAS, Settings, revealed

Answer = TypeVar("Answer")

_BROKEN = b"Streaming interrupted"
_TAIL_BYTES = 4_096
_NOT_IMPLEMENTED = 501
_MOVED_FOR_GOOD = (301, 308)


class Portal(AbstractContextManager["Portal"]):
    """Ask the portal that the settings name. Use it as a context manager.

    Args:
        attempts: how often a request is tried before `PortalUnavailable`.
        seconds: how long the client may be at work altogether, from now on; for ever by default.
    """

    def __init__(
        self, settings: Settings, *, attempts: int = limits.PORTAL_ATTEMPTS, seconds: float = math.inf
    ) -> None:
        self.url = settings.portal_url
        self._base = f"{self.url}/api/explore/v2.1/catalog/datasets"
        self._read_timeout = settings.read_timeout_seconds
        self._seconds, self._ends = seconds, time.monotonic() + seconds
        self._persisting = False
        self._api_key = revealed(settings.api_key)
        self._session = PortalSession(self._api_key)
        self._retrying = retrying(attempts, settings.retry_wait_seconds)

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def persist(self, ask: Callable[[], Answer]) -> Answer:
        """Call `ask` until its answer is usable, with growing pauses; a refusal or a spent quota ends it. Attempts within it don't multiply."""
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
        def read(body: bytes, headers: Mapping[str, str]) -> Release:
            return documents.release_of(dataset, body, moment(parsedate_to_datetime, headers.get("date")))

        return self._document(dataset, {}, read)

    def total_count(self, dataset: str, where: str) -> int:
        """How many rows match, by the portal's own count."""
        query = {"where": where, "limit": "1", "timezone": "UTC"}
        return self._document(f"{dataset}/records", query, lambda body, _: documents.total_count_of(dataset, body))

    def cells(self, dataset: str) -> list[documents.Cell]:
        """The grouped question: per UTC month, department and issue type, what `Cell` holds. No sum: of floats it flaps."""
        query = {
            "select": (
                "count(*) as n, count(service_request_close_date) as closed, count(latitude) as points, "
                f"min({OPENED}) as first_opened, max({OPENED}) as last_opened, "
                f"min({MODIFIED}) as earliest, max({MODIFIED}) as latest"
            ),
            "group_by": f"date_format({OPENED},'yyyy-MM') as month, department, service_request_type",
            "timezone": "UTC",
        }
        return self._document(f"{dataset}/exports/json", query, lambda body, _: documents.cells_of(dataset, body))

    def instants(self, dataset: str, where: str) -> Counter[documents.Instants]:
        """How many of the matching rows were opened and last changed at the same two instants, by the portal's own count."""
        query = {"select": "count(*) as n", "group_by": f"{OPENED}, {MODIFIED}", "where": where, "timezone": "UTC"}
        return self._document(f"{dataset}/exports/json", query, lambda body, _: documents.instants_of(dataset, body))

    def areas(self) -> list[documents.Area]:
        return self._document(f"{AREAS}/exports/geojson", {}, lambda body, _: documents.areas_of(body))

    def download(self, dataset: str, where: str, to: Path, rows: int) -> None:
        """Stream one export into a file, once, as only the caller can count what came; far beyond the size of so many rows it is not read on."""
        query = {"where": where, "timezone": "UTC", "delimiter": ";", "with_bom": "false", "use_labels": "false"}
        most = min(limits.EXPORT_BYTES_AT_LEAST + rows * limits.EXPORT_BYTES_PER_ROW, limits.ANSWER_BYTES)
        with self._get(f"{dataset}/exports/csv", query) as response, to.open("wb") as file:
            tail = b""
            for chunk in self._chunks(response, most):
                file.write(chunk)
                tail = (tail + chunk)[-_TAIL_BYTES:]
        if _BROKEN in tail:
            words = self._quoted(tail[tail.rindex(_BROKEN) :])
            raise PortalUnavailable(f"The portal broke off an export of {dataset} and said: {words!r}.")
        if not tail.endswith(b"\n"):
            raise PortalUnavailable(f"An export of {dataset} ends in the middle of a row: the connection was cut.")

    def _document(self, path: str, query: dict[str, str], read: Callable[[bytes, Mapping[str, str]], Answer]) -> Answer:
        """What `read` makes of a body and its headers, asked for until it can be read."""

        def ask() -> Answer:
            with self._get(path, query) as response:
                return read(b"".join(self._chunks(response, limits.JSON_BYTES)), response.headers)

        return self.persist(ask)

    @contextmanager
    def _get(self, path: str, query: dict[str, str]) -> Iterator[requests.Response]:
        """One GET whose status and type are checked; connection errors anywhere inside become PortalUnavailable."""
        silence = min(self._read_timeout, self._left())
        timeout = (min(limits.CONNECT_TIMEOUT_SECONDS, silence), silence)
        try:
            with self._session.get(f"{self._base}/{path}", params=query, stream=True, timeout=timeout) as response:
                self._refuse(response, path)
                yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # Without the libraries' errors themselves: they quote the portal as it is.
            words = self._quoted(_innermost(error))
            raise PortalUnavailable(f"{self.url} did not answer {path} usably: {words}.") from None

    def _refuse(self, response: requests.Response, path: str) -> None:
        """Raise what an answer that has no data means."""
        status = response.status_code
        if status == 429:
            raise refusal_of_calls(response.headers, self._words(response))
        if status == 408 or (status >= 500 and status != _NOT_IMPLEMENTED):
            raise PortalUnavailable(f"The portal answered {path} with status {status}.")
        if status >= 400:
            raise PortalRefused(
                f"The portal refused {path} with status {status}: {self._quoted(self._words(response))} "
                "Nothing was loaded. Asking again won't help; check VANC311_PORTAL_URL, the dataset's name and the API key."
            )
        if 300 <= status < 400:
            kind = PortalRefused if status in _MOVED_FOR_GOOD else PortalUnavailable
            raise kind(
                f"The portal answered {path} with status {status} and the address "
                f"{self._quoted(response.headers.get('location', 'of nothing'))}, which is not followed: the API key would go "
                "along. If the portal has moved, set VANC311_PORTAL_URL."
            )
        if status != 200:
            raise PortalUnavailable(f"The portal answered {path} with the unexpected status {status}.")
        if "text/html" in response.headers.get("content-type", ""):
            raise PortalUnavailable(
                f"The portal answered {path} with a web page instead of data: probably maintenance."
            )

    def _words(self, response: requests.Response) -> bytes:
        """The beginning of a refusal's body; the status counts without it, so one that can't be read is none."""
        words = b""
        try:
            for chunk in self._chunks(response, limits.ANSWER_BYTES):
                words += chunk
                if len(words) >= limits.REFUSAL_BYTES:
                    break
        except (PortalUnavailable, urllib3.exceptions.HTTPError):
            return b""
        return words[: limits.REFUSAL_BYTES]

    def _quoted(self, words: bytes | str) -> str:
        """The portal's own words for a message: their beginning, and never our key, which it might repeat."""
        text = words.decode(errors="replace") if isinstance(words, bytes) else words
        return (text.replace(self._api_key, "…") if self._api_key else text)[:300].strip()

    def _chunks(self, response: requests.Response, most: int) -> Iterator[bytes]:
        """The body, decompressed piece by piece as it arrives, up to `most` bytes."""
        received = 0
        while chunk := response.raw.read1(65_536, decode_content=True):
            self._left()
            received += len(chunk)
            if received > most:
                raise PortalUnavailable(
                    f"{self.url} sent more than {most:,} bytes, far more than what was asked for can have: it was not read on."
                )
            yield chunk

    def _left(self) -> float:
        """The seconds that are left of those that the client may take; none left is an error."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise PortalUnavailable(f"{self.url} did not answer in full within {self._seconds:g} s.")
        return left


def _innermost(error: BaseException) -> str:
    wrapped = [getattr(error, "reason", None), *error.args]
    inner = next((part for part in wrapped if isinstance(part, BaseException)), None)
    return _innermost(inner) if inner else f"{type(error).__name__}: {error}"
