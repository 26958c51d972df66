"""The published file in an object store: put there by the pipeline, followed by any number of replicas that serve it.

What belongs here: the store's layout, and that nobody ever sees half of anything in it. What does not: when to ship
(`orchestration`), and what is served (`api`, `dashboard`).

Layout, below the address that is set: `releases/<sha256>.sqlite`, written once and never changed, and `latest.json`, which
names the one that counts. `latest.json` is written last and takes its predecessor's place at once, so a shipment that
breaks off at any point leaves the store as it was for whoever reads it. Any store that fsspec knows will do; credentials
come from the store's own variables, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL, and are none of our settings.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import fsspec

from vanc311_pipeline.errors import IntegrityError, SettingsError, StorageError

LATEST = "latest.json"
KEPT = 3  # releases that stay: who began to fetch one can finish
CHUNK = 4 * 1024 * 1024


class StoreUnavailable(StorageError):
    """The object store can't be reached, or refuses."""


@dataclass(frozen=True)
class Shipment:
    """What `latest.json` says: which file counts, and those before it that are still there."""

    sha256: str
    size: int
    """Bytes."""
    about: dict[str, Any]
    """The file's `release` table: as_of, source, data_processed and the rest."""
    before: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"releases/{self.sha256}.sqlite"

    def write(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()

    @classmethod
    def read(cls, text: bytes) -> "Shipment":
        said = json.loads(text)
        return cls(str(said["sha256"]), int(said["size"]), dict(said["about"]), tuple(said["before"]))


class ObjectStore:
    """The place at an fsspec address.

    Raises:
        SettingsError: no store has such an address, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.address = without_secrets(url)
        try:
            self._files, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise SettingsError(
                f"VANC311_SHIP_URL is {self.address}, which can't be used: {error}. What is published here is not affected. Set it to "
                "an address such as s3://bucket/folder, and install the store's driver: pip install 'vanc311_pipeline[s3]'."
            ) from error
        self._root = root.rstrip("/")

    def latest(self) -> Shipment | None:
        """The shipment that counts; None if there was none yet.

        Raises:
            StoreUnavailable: the store doesn't answer.
            IntegrityError: what it answers is no pointer of ours.
        """
        with self._asked("read"):
            try:
                text = self._files.cat_file(self._at(LATEST))
            except FileNotFoundError:
                return None
        try:
            return Shipment.read(text)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(
                f"{self.address}/{LATEST} is not what `vanc311` writes there. Nothing was taken over."
            ) from error

    def ship(self, file: Path, sha256: str, about: Mapping[str, Any]) -> Shipment:
        """Put a published file there and make it the one that counts; what it holds there is read back first.

        Raises:
            StoreUnavailable: the store doesn't answer, or refuses; what counted before still counts.
            IntegrityError: it holds something else than it was given; what counted before still counts.
        """
        before = self.latest()
        gone = () if before is None else tuple(dict.fromkeys((before.sha256, *before.before)))
        shipment = Shipment(
            sha256, file.stat().st_size, dict(about), tuple(each for each in gone if each != sha256)[: KEPT - 1]
        )
        if before is None or before.sha256 != sha256:
            with self._asked("written"):
                self._files.makedirs(self._at("releases"), exist_ok=True)
                self._files.put_file(str(file), self._at(shipment.name))
            self._prove(shipment)
            self._point_at(shipment)
        self._tidy(shipment)
        return shipment

    def fetch(self, shipment: Shipment, target: Path) -> None:
        """Bring a shipment to a file's place, whole and proven, or not at all.

        Raises:
            StoreUnavailable: the store doesn't answer.
            IntegrityError: what came is not what was shipped; the file that was there stays.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:
            file, digest = Path(scratch) / target.name, hashlib.sha256()
            with file.open("wb") as arriving:
                for chunk in self._chunks(shipment):
                    digest.update(chunk)
                    arriving.write(chunk)
            _same(shipment, digest.hexdigest(), file.stat().st_size, f"What came from {self.address}")
            file.replace(target)

    def _prove(self, shipment: Shipment) -> None:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(shipment):
            digest.update(chunk)
            size += len(chunk)
        _same(shipment, digest.hexdigest(), size, f"What {self.address} holds")

    def _chunks(self, shipment: Shipment) -> Iterator[bytes]:
        try:
            with (
                self._asked("read"),
                self._files.open(self._at(shipment.name), "rb", block_size=CHUNK, cache_type="none") as there,
            ):
                while chunk := there.read(CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise IntegrityError(
                f"{self.address}/{LATEST} names {shipment.name}, which isn't there. What was there before still counts."
            ) from error

    def _point_at(self, shipment: Shipment) -> None:
        """Written beside and moved: not every store replaces a file at once when it is written."""
        beside = self._at(f".{LATEST}.{shipment.sha256[:16]}")
        with self._asked("written"):
            self._files.pipe_file(beside, shipment.write())
            self._files.mv(beside, self._at(LATEST))

    def _tidy(self, shipment: Shipment) -> None:
        """Remove releases of ours that are no longer kept; whatever else lies there is none of our business."""
        kept = {shipment.sha256, *shipment.before}
        with self._asked("written"):
            for entry in self._files.ls(self._at("releases"), detail=True, refresh=True):
                ours = re.fullmatch(r"([0-9a-f]{64})\.sqlite", Path(entry["name"]).name)
                if ours and entry["type"] == "file" and ours[1] not in kept:
                    self._files.rm_file(entry["name"])

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _asked(self, how: str) -> Iterator[None]:
        """Whatever the store's driver raises, in words; drivers have no common error."""
        try:
            yield
        except (FileNotFoundError, IntegrityError):
            raise
        except Exception as error:
            raise StoreUnavailable(
                f"{self.address} can't be {how}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}. What is "
                "published here is not affected, and what the store held before still counts there. It is tried again with the next "
                "slot; check the store, its credentials and VANC311_SHIP_URL."
            ) from error


def without_secrets(url: str) -> str:
    """An address without a user and a password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")


def _same(shipment: Shipment, sha256: str, size: int, what: str) -> None:
    if (sha256, size) != (shipment.sha256, shipment.size):
        raise IntegrityError(
            f"{what} is not what was published: {size:,} bytes with SHA-256 {sha256[:12]}…, not {shipment.size:,} with "
            f"{shipment.sha256[:12]}…. It was not taken over; what was there before still counts."
        )
