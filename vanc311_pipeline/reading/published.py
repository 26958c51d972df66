"""The published file at its path, whichever release it is by now, and the files that were made beside it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.errors import PipelineError, SettingsError
from vanc311_pipeline.reading.release import Identity, Overwritten, Release, identity_of

log = logging.getLogger(__name__)

_FILE, _WRITTEN = 2, 3  # of an identity: the part that names the file, and the instant of the last write
_QUIET_NS = 1_000_000_000
"""A file that is overwritten in place is taken as whole when nobody has written to it for so long."""
_UNREADABLE = (
    "The published file can't be read. Check its permissions and the disk, then run `vanc311 sync` to publish it again."
)
SQLITE, PARQUET, PACKAGE, CHECKSUMS = "vanc311.sqlite", "requests.parquet", "datapackage.json", "checksums.txt"


class PublishedFile:
    """The current release of a published file. One `stat` per question tells whether another took its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._current: Release | None = None
        self._refused: tuple[Identity, SettingsError] | None = None
        self._overwritten: tuple[int, ...] | None = None

    @contextmanager
    def reading(self) -> Iterator[Release]:
        """The release that is current now; it stays open and the same until the block ends."""
        identity = identity_of(self.path)
        with self._lock:
            if self._current is None or self._current.identity != identity:
                self._replace(identity)
            release = self._current
            assert release is not None
            release.enter()
        try:
            yield release
        finally:
            release.leave()

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _replace(self, identity: Identity | None) -> None:
        if identity is None:
            self._forget()
            raise SettingsError(
                "Nothing is published yet. Run `vanc311 sync` and ask again; what serves this needs no restart."
            )
        if self._current is not None and self._current.identity[:_FILE] == identity[:_FILE]:
            self._overwritten = identity[:_FILE]
            self._forget()
        if self._overwritten == identity[:_FILE] and time.time_ns() - identity[_WRITTEN] < _QUIET_NS:
            raise Overwritten
        if self._refused is None or self._refused[0] != identity:
            try:
                fresh = Release(self.path)
            except (PipelineError, OSError, sa.exc.DBAPIError) as error:
                log.error("The published file can't be used: %s", error)
                message = str(error) if isinstance(error, PipelineError) else _UNREADABLE
                self._refused = identity, SettingsError(message)
            else:
                self._forget()
                self._current, self._refused, self._overwritten = fresh, None, None
                return
        if self._current is None:
            raise self._refused[1]

    def _forget(self) -> None:
        if self._current is not None:
            self._current.leave()
        self._current = None


@contextmanager
def reading(path: Path) -> Iterator[Release]:
    """The release that a file holds now, read once: nothing of it stays open."""
    with closing(PublishedFile(path)) as published, published.reading() as release:
        yield release


def folder_of(published: Path, release_id: str) -> Path:
    """Where the files beside a published file are, once it is in its place: each release has a folder of its own."""
    return published.parent / "downloads" / release_id


def beside(release: Release, name: str) -> Path:
    """A file that was made with a release."""
    path = folder_of(release.path, release.id) / name
    if not path.exists():
        raise SettingsError(
            f"{name} isn't beside the published file: an older version of this program made the release, or the file was copied "
            "alone. Nothing is wrong with the data. Run `vanc311 sync` to publish it again."
        )
    return path


def digests(release: Release) -> dict[str, str]:
    """SHA-256 of each file of a release but that of the checksums, as hex."""
    lines = beside(release, CHECKSUMS).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}
