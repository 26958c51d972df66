"""The published file in an object store: put there by the pipeline, followed by any number of replicas that serve it.

Layout, below the address that is set: `releases/<sha256>.sqlite`, written once and never changed, and `latest.json`, which names
the one that counts. `latest.json` is written last and takes its predecessor's place at once, so a shipment that breaks off at any
point leaves the store as it was for whoever reads it. Any store that fsspec knows will do; credentials come from the store's own
variables, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL, and are none of our settings.

Nothing in a store is trusted: no more bytes are taken than were announced, and with a key `latest.json` counts only if whoever
wrote it had the key, too. Not here: when to ship (`orchestration`), and what is served (`api`, `dashboard`).
"""

import hashlib
import hmac
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import fsspec
from fsspec.callbacks import Callback
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, Field, PositiveInt

from vanc311_pipeline.disk import file_digest, scratch_in
from vanc311_pipeline.errors import IntegrityFailed, SettingsError, StorageRefused
from vanc311_pipeline.settings import Settings, revealed

LATEST = "latest.json"
KEPT = 3  # releases that stay: who began to fetch one can finish
INDEX_BYTES = 65_536  # of latest.json, which has about a thousand
SPARE_BYTES = 200_000_000  # that a file which is fetched leaves free on the disk

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Shipment(BaseModel, frozen=True, strict=True):
    """What `latest.json` says: which file counts, and those before it that are still there."""

    sha256: Digest
    size: PositiveInt
    """Bytes."""
    about: dict[str, str | int | None]
    """The file's `release` table: as_of, source, data_processed and the rest."""
    before: tuple[Digest, ...] = ()
    signature: str = ""
    """HMAC-SHA256 of all of this without the signature, by the operator's key; empty if there is none."""

    @property
    def name(self) -> str:
        return f"releases/{self.sha256}.sqlite"

    def write(self) -> bytes:
        return self.model_dump_json(indent=1).encode()

    def signed(self, key: str | None) -> "Shipment":
        bare = self.model_copy(update={"signature": ""})
        signature = hmac.new(key.encode(), bare.write(), hashlib.sha256).hexdigest() if key else ""
        return bare.model_copy(update={"signature": signature})

    def is_signed(self, key: str) -> bool:
        return hmac.compare_digest(self.signature.encode(), self.signed(key).signature.encode())


class ObjectStore:
    """The place at an fsspec address. What is shipped is signed with the operator's key, and what is not is refused."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.address, self._key = without_secrets(url), key
        self._files, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        self._root = root.rstrip("/")

    @classmethod
    def of(cls, settings: Settings) -> "ObjectStore":
        if settings.ship_url is None:
            raise SettingsError(
                "VANC311_SHIP_URL isn't set, so there is no object store. Nothing was started. Set it to the address to which the "
                "pipeline ships, or leave out --replica."
            )
        return cls(settings.ship_url.get_secret_value(), revealed(settings.ship_key))

    def latest(self) -> Shipment | None:
        """The shipment that counts, signed with the key if there is one; None if nothing was shipped yet."""
        shipment = self._index()
        if shipment and self._key and not shipment.is_signed(self._key):
            raise IntegrityFailed(
                f"{self.address}/{LATEST} is not signed with VANC311_SHIP_KEY. Nothing was taken over. If the key is the one with "
                "which the pipeline ships, somebody else wrote there."
            )
        return shipment

    def ship(self, file: Path, sha256: str, about: Mapping[str, Any]) -> Shipment:
        """Put a published file there and make it the one that counts, once it was read back; until then its predecessor counts."""
        before = self._index()
        earlier = () if before is None else tuple(dict.fromkeys((before.sha256, *before.before)))
        kept = tuple(each for each in earlier if each != sha256)[: KEPT - 1]
        unsigned = Shipment(sha256=sha256, size=file.stat().st_size, about=dict(about), before=kept)
        shipment = unsigned.signed(self._key)
        if before is None or before.sha256 != sha256:
            with self._asked("written"):
                self._files.makedirs(self._at("releases"), exist_ok=True)
                self._files.put_file(str(file), self._at(shipment.name))
            with self.fetched(shipment, file.parent):
                pass
        if before != shipment:
            self._point_at(shipment)
        self._tidy(shipment)
        return shipment

    @contextmanager
    def fetched(self, shipment: Shipment, directory: Path) -> Iterator[Path]:
        """A shipment's file, whole and with its digest, in a folder of its own in a directory, for as long as the block lasts; it may
        be moved from there.
        """
        with scratch_in(directory, ".fetching-") as scratch:
            if shutil.disk_usage(directory).free < shipment.size + SPARE_BYTES:
                raise StorageRefused(
                    f"{self.address} names a file of {shipment.size:,} bytes, for which the disk at {directory} has no room. "
                    "It was not fetched; what was there before still counts. Make room."
                )
            try:
                file = self._copy(shipment.name, scratch, shipment.size)
            except FileNotFoundError as error:
                raise IntegrityFailed(
                    f"{self.address}/{LATEST} names {shipment.name}, which isn't there. What was there before still counts."
                ) from error
            digest, size = file_digest(file), file.stat().st_size
            if (digest, size) != (shipment.sha256, shipment.size):
                raise IntegrityFailed(
                    f"What {self.address} holds is not what was published: {size:,} bytes with SHA-256 {digest[:12]}…, not "
                    f"{shipment.size:,} with {shipment.sha256[:12]}…. It was not taken over; what was there before still counts."
                )
            yield file

    def _index(self) -> Shipment | None:
        """What `latest.json` says, whoever wrote it."""
        try:
            with tempfile.TemporaryDirectory(prefix="vanc311-index-") as scratch:
                return Shipment.model_validate_json(self._copy(LATEST, Path(scratch), INDEX_BYTES).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise IntegrityFailed(
                f"{self.address}/{LATEST} is not what `vanc311` writes there. Nothing was taken over."
            ) from error

    def _copy(self, name: str, folder: Path, most: int) -> Path:
        """Copy an object into a folder, as it comes: not all at once, and of one that is larger than `most` bytes no more."""
        source, target = self._at(name), folder / Path(name).name
        counting = _at_most(most, f"{self.address}/{name}")
        with self._asked("read"):
            if isinstance(self._files, LocalFileSystem):  # it doesn't tell what it copies
                counting.set_size(self._files.size(source))
            self._files.get_file(source, str(target), callback=counting)
        return target

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
                release = re.fullmatch(r"([0-9a-f]{64})\.sqlite", Path(entry["name"]).name)
                if release and entry["type"] == "file" and release[1] not in kept:
                    self._files.rm_file(entry["name"])

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _asked(self, how: str) -> Iterator[None]:
        """Whatever the store's driver raises, in words; drivers have no common error."""
        try:
            yield
        except (FileNotFoundError, IntegrityFailed):
            raise
        except Exception as error:
            why = str(error).partition("\n")[0]
            raise StorageRefused(
                f"{self.address} can't be {how}: {type(error).__name__}: {why}. What is "
                "published here is not affected, and what the store held before still counts there. It is tried again with the next "
                "slot; check the store, its credentials and VANC311_SHIP_URL."
            ) from error


def without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")).rstrip("/")


def _at_most(most: int, what: str) -> Callback:
    """Ends a copy that brings, or announces, more bytes."""

    def limit(size: int | None, value: int, **_: Any) -> None:
        if max(size or 0, value) > most:
            raise IntegrityFailed(
                f"{what} is larger than the {most:,} bytes that it may have. It was not taken over; what was there before still counts."
            )

    return Callback(hooks={"limit": limit})
