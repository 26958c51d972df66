"""One answer, whatever it is about: its release, its rows as JSON or CSV, what they rest on, and where to go from here."""

import csv
import hashlib
import io
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode

import anyio.to_thread
import sqlalchemy as sa
from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from vanc311_pipeline.api import PREFIX, negotiation
from vanc311_pipeline.api.models import RESTS_ON, Asked, AskedTable, is_object
from vanc311_pipeline.api.negotiation import CSV, JSON
from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, METRICS, State
from vanc311_pipeline.reading import pages
from vanc311_pipeline.reading.groups import Coverage
from vanc311_pipeline.reading.release import Release

CSV_TYPE = f"{CSV}; charset=utf-8; header=present"
SAMPLE_NOTE = "The bundled sample of real requests: these numbers are not a picture of the city."

_GZIP_WINDOW = 31  # zlib's word for: the largest window, in gzip's wrapping


def answered(request: Request, asked: Asked, data: Any, *, table: sa.Table | None = None) -> Response:
    del asked
    meta = _meta(request.state.release, list(data) if isinstance(data, Mapping) else [], table)
    body = {"meta": meta, "data": data, "links": {"self": _address(request)}}
    return Response(to_json(body), media_type=JSON)


@dataclass(frozen=True)
class Selection:
    """Which rows there are, how much of what they are of has a local area, and why there is no row, if there is none."""

    listing: pages.Listing
    coverage: Coverage | None = None
    if_empty: State | None = None


def listed(request: Request, asked: AskedTable, selection: Selection, *, table: sa.Table) -> Response:
    """The selected rows: a page as JSON, or as CSV a page or all."""
    release: Release = request.state.release
    listing, of = selection.listing, asked.listing(request.scope["path"])
    after = pages.place_of(release, listing, of, asked.cursor) if asked.cursor else None
    as_csv = asked.format == "csv" or (
        asked.format is None and negotiation.prefers_csv(request.headers.get("accept", ""))
    )
    page = pages.read_page(release, listing, after, asked.limit or (pages.ROWS_AT_ONCE if as_csv else asked.rows))
    following = _address(request, cursor=pages.cursor_of(release, of, page.after)) if page.after else None
    if as_csv:
        contents = f"{'sample-' * release.is_sample}{table.name.replace('_', '-')}-{release.about['as_of']}"
        headers = {"content-disposition": f'attachment; filename="vanc311-{contents}.csv"'}
        lines = _lines([listing.columns, *page.rows])
        if page.after and not asked.limit:
            rest = (_lines(rows) for rows in pages.read_all(release, listing, page.after))
            return streamed(request, lambda: chain([lines], rest), headers, _address(request, format="csv"), CSV_TYPE)
        if following:
            headers["link"] = f'<{following}>; rel="next"'
        return Response(lines, media_type=CSV_TYPE, headers=headers)
    meta = _meta(release, listing.columns, table, selection.coverage) | {"rows": len(page.rows)}
    if selection.if_empty and not page.rows:
        meta["state"] = selection.if_empty
    if "count" in asked.model_fields_set:
        meta["total"] = pages.count(release, listing)
    links = {"self": _address(request)} | ({"next": following} if following else {})
    links["csv"] = _address(request, format="csv", limit=None, cursor=None)
    data = [dict(zip(listing.columns, row, strict=True)) for row in page.rows]
    for name in {column.name for column in table.columns if is_object(column)} & set(listing.columns):
        for row in data:
            row[name] = row[name] and json.loads(row[name])
    return Response(to_json({"meta": meta, "data": data, "links": links}), media_type=JSON)


def streamed(
    request: Request,
    pieces: Callable[[], Iterator[bytes]],
    headers: Mapping[str, str],
    part: str,
    media_type: str,
    status: int = 200,
) -> Response:
    """An answer that is made while it is sent; its ETag is known before."""
    release, asked = request.state.release, request.headers
    compressed = media_type.startswith("text/") and negotiation.accepts_gzip(asked.get("accept-encoding", ""))
    etag = etag_of(release, part)
    if compressed:
        etag, headers = negotiation.gzipped(etag), {**headers, "content-encoding": "gzip"}
    validators = {"etag": etag, "last-modified": negotiation.http_date(release.published_at)}
    if negotiation.not_modified(etag, release.published_at, asked):
        return Response(status_code=304, headers=validators)
    has_length = "content-length" in headers
    if request.state.head_only:
        head = Response(b"", status, {**headers, **validators}, media_type)
        if not has_length:
            del head.headers["content-length"]
        return head
    if request.scope["http_version"] == "1.0" and not has_length:
        raise Problem("http-version", "Ask by HTTP/1.1, or for a page of it at a time: `limit`.")
    body = _by_turns(pieces(), request.app.state, compressed)
    return StreamingResponse(body, status, {**headers, **validators}, media_type)


async def _by_turns(pieces: Iterator[bytes], threads: Any, compressed: bool) -> AsyncIterator[bytes]:
    """Each piece in its turn: if all streams made theirs at once, every other answer would wait for each of them."""
    gzip = zlib.compressobj(negotiation.GZIP_LEVEL, wbits=_GZIP_WINDOW) if compressed else None
    while (piece := await anyio.to_thread.run_sync(next, pieces, None, limiter=threads.streaming)) is not None:
        if gzip:
            piece = await anyio.to_thread.run_sync(gzip.compress, piece, limiter=threads.compressing)
        if piece:
            yield piece
    if gzip:
        yield gzip.flush()


def etag_of(release: Release, part: str) -> str:
    """A strong ETag without the bytes: they follow from the release, what is asked of it, and this program."""
    text = "\n".join([release.id, version("vanc311_pipeline"), part])
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _meta(
    release: Release, columns: Sequence[str], table: sa.Table | None, coverage: Coverage | None = None
) -> dict[str, Any]:
    about = release.about
    meta: dict[str, Any] = {
        "release": release.id,
        **{name: about[name] for name in RESTS_ON},
        "definitions_version": DEFINITIONS_VERSION,
    }
    if release.is_sample:
        meta["note"] = SAMPLE_NOTE
    if table is not None:
        meta |= {"table": table.name, "meaning": str(table.comment)}
    if defined := {name: f"{PREFIX}/definitions/{name}" for name in columns if name in METRICS}:
        meta["definitions"] = defined
    if coverage is not None:
        meta["coverage"] = coverage.model_dump()
    return meta


def _address(request: Request, **changed: str | None) -> str:
    """The address of this request, with some parameters changed, or left out if None."""
    asked = {**dict(request.query_params), **changed}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    path = quote(request.scope["raw_path"].decode("latin-1"), safe="/%:@!$&'()*+,;=~")
    return f"{path}?{query}" if query else path


_LINES_AT_ONCE = 100
"""While the csv module writes, no other thread runs; 5,000 rows would keep every answer waiting for 25 ms."""


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for first in range(0, len(rows), _LINES_AT_ONCE):
        writer.writerows(rows[first : first + _LINES_AT_ONCE])
    return text.getvalue().encode()
