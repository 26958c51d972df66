"""Whole files, with their checksums, which the pipeline has made: a release is not in its place before they are (`warehouse.downloads`)."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

from fastapi import Request
from pydantic import Field
from starlette.responses import Response

from vanc311_pipeline.api import PREFIX, models
from vanc311_pipeline.api.listing import etag_of, streamed
from vanc311_pipeline.api.negotiation import JSON
from vanc311_pipeline.api.problems import Problem, documented
from vanc311_pipeline.api.routing import Question, Questions
from vanc311_pipeline.reading.published import CHECKSUMS, PACKAGE, PARQUET, SQLITE, beside, digests
from vanc311_pipeline.reading.release import Release

router = Questions(quick=False, prefix="/downloads", tags=["downloads"])

PIECE = 1 << 20
FILES = {
    SQLITE: ("application/vnd.sqlite3", "the published file itself: everything"),
    PARQUET: ("application/vnd.apache.parquet", "the table service_requests"),
    PACKAGE: (JSON, "what every table and column is: a Frictionless data package"),
    CHECKSUMS: ("text/plain", "the SHA-256 of these files, for sha256sum --check"),
}
"""Each file's media type, and what is in it."""


class Download(models.Model):
    """A file."""

    name: str = Field(description="its name")
    meaning: str = Field(description="what is in it")
    url: str = Field(description="where it is")
    media_type: str = Field(description="its media type")
    bytes: int = Field(description="its size")
    sha256: str | None = Field(description="its digest, hex; null of the checksums")


@router.finds("", "Files to download", list[Download])
def downloads(release: Release) -> list[dict[str, Any]]:
    """Every file, its size and its SHA-256."""
    sums = digests(release)
    return [
        {
            "name": name,
            "meaning": meaning,
            "url": f"{PREFIX}/downloads/{name}",
            "media_type": media_type,
            "bytes": release.size if name == SQLITE else beside(release, name).stat().st_size,
            "sha256": sums.get(name),
        }
        for name, (media_type, meaning) in FILES.items()
    ]


def _at(name: str, *, in_parts: bool = False) -> Callable[[Question], Question]:
    """The file at its address, whole, or also the part that is asked for."""
    media_type, meaning = FILES[name]
    binary = {"type": "string", "contentEncoding": "binary"}
    content = {"content": {media_type: {"schema": {"type": "object"} if media_type == JSON else binary}}}
    described = documented(meaning, content)
    if in_parts:
        described = documented("Whole, or the part that the header Range asks for.", content, 416)
        described["responses"][206] = {"description": "The part that the header Range asked for.", **content}
    return lambda send: router.answer(
        f"/{name}",
        send,
        summary=meaning[0].upper() + meaning[1:],
        response_class=type("File", (Response,), {"media_type": media_type}),
        **described,
    )


@_at(SQLITE, in_parts=True)
def sqlite_file(request: Request, release: Release) -> Response:
    return _sent(request, SQLITE, release.size, partial(_pieces_of_release, release))


@_at(PARQUET, in_parts=True)
def parquet_file(request: Request, release: Release) -> Response:
    path, version = beside(release, PARQUET), digests(release)[PARQUET]
    return _sent(request, PARQUET, path.stat().st_size, lambda *part: _pieces_of_file(path.open("rb"), *part), version)


@_at(PACKAGE)
def package_file(release: Release) -> Response:
    return Response(beside(release, PACKAGE).read_bytes(), media_type=FILES[PACKAGE][0])


@_at(CHECKSUMS)
def checksums_file(release: Release) -> Response:
    return Response(beside(release, CHECKSUMS).read_bytes(), media_type=FILES[CHECKSUMS][0])


def _pieces_of_release(release: Release, start: int, end: int) -> Iterator[bytes]:
    """The published file's bytes from start to end, whatever its path leads to by now."""
    while start < end:
        piece = release.bytes_at(start, min(PIECE, end - start))
        start += len(piece)
        yield piece


def _pieces_of_file(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """A file's bytes from start to end; it is open, and may go from its place before they are read."""
    with file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            start += len(piece)
            yield piece


def _sent(
    request: Request, name: str, size: int, pieces: Callable[[int, int], Iterator[bytes]], version: str = ""
) -> Response:
    """A file, or the part of it that is asked for; `version` tells it from others of its name and release."""
    part = f"{name} {version}"
    headers = {"accept-ranges": "bytes", "content-disposition": f'attachment; filename="{name}"'}
    start, end = _range(request, part, size) or (0, size)
    headers["content-length"] = str(end - start)
    whole = (start, end) == (0, size)
    if not whole:
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return streamed(request, lambda: pieces(start, end), headers, part, FILES[name][0], status=200 if whole else 206)


def _range(request: Request, part: str, size: int) -> tuple[int, int] | None:
    """The part that is asked for, if it is of this release and one part only; the header means nothing otherwise. Problem, if the
    file is shorter.
    """
    bounds = re.fullmatch(r"bytes=(?!-$)([0-9]{0,18})-([0-9]{0,18})", request.headers.get("range", ""))
    is_another = request.headers.get("if-range") not in (None, etag_of(request.state.release, part))
    if not bounds or request.state.head_only or is_another:
        return None
    first, last = bounds.groups()
    if first == "":
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= end:
        if first and last and int(last) < int(first):
            return None  # no range at all
        beyond = {"content-range": f"bytes */{size}"}
        raise Problem("range-not-satisfiable", f"The file has {size:,} bytes.", headers=beyond)
    return start, end
