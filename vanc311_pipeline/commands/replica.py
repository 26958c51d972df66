"""A replica's file: brought from the object store whenever another one counts there, beside whatever serves it.

A release takes the place of one that was published before it. The instant of publication decides, not the city's `data_processed`:
the city may take a release back, and then what shows less is the later word. Not here: how a file is fetched and its digest proven
(`shipping`), and how a new one is noticed (`reading.published`).
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.disk import file_digest, on_disk
from vanc311_pipeline.errors import IntegrityFailed, PipelineError, StorageRefused
from vanc311_pipeline.reading.release import Identity, identity_of
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import ObjectStore, Shipment
from vanc311_pipeline.warehouse.downloads import are_in_place, make_downloads_apart, put_in_place
from vanc311_pipeline.warehouse.publishing import faults, release_row

log = logging.getLogger(__name__)

_CLOCKS_DIFFER = timedelta(days=1)  # at most, between the pipeline and a replica
_END_SECONDS = 5.0  # that a look under way may still take when the replica ends


class Replica:
    def __init__(self, store: ObjectStore, target: Path) -> None:
        self._store, self._target = store, target
        self._held: tuple[Identity | None, str | None] = None, None
        self.problem: str | None = None
        """Why the last look failed."""

    def follow(self) -> bool:
        """Look once, and take over what counts now if it is another file; whether it was. A failure is told in one line, and kept."""
        try:
            with on_disk(self._target):
                is_new = self._look()
        except Exception as error:
            problem = " ".join(f"{'' if isinstance(error, PipelineError) else type(error).__name__} {error}".split())
            if problem != self.problem:
                log.error("%s Serving what was fetched before.", problem)
            self.problem = problem
            return False
        self.problem = None
        return is_new

    def _look(self) -> bool:
        shipment = self._store.latest()
        if shipment is None or (shipment.sha256 == self._digest() and are_in_place(self._target)):
            return False
        self._refuse_older(shipment)
        with self._store.fetched(shipment, self._target.parent) as file:
            if problems := faults(file, shipment.about):
                raise IntegrityFailed(
                    f"What {self._store.address} holds is not a release that this program can serve: {'; '.join(problems)}. It was "
                    "not taken over. If the pipeline is of an older version than this replica, install the same there."
                )
            put_in_place(file, make_downloads_apart(file, self._target), self._target)
        log.warning("Serving the release as of %s from %s", shipment.about.get("as_of"), self._store.address)
        return True

    def _digest(self) -> str | None:
        """Of the file that is held; it is read again if somebody else touched it."""
        identity = identity_of(self._target)
        if identity != self._held[0]:
            self._held = identity, file_digest(self._target) if identity else None
        return self._held[1]

    def _refuse_older(self, shipment: Shipment) -> None:
        published = _published(shipment.about)
        if published > datetime.now(UTC) + _CLOCKS_DIFFER:
            raise IntegrityFailed(
                f"{self._store.address} names a release that is published only at {shipment.about['published_at']}. It was not taken "
                "over, because no later one could follow it. Check the clocks, here and where the pipeline runs."
            )
        try:
            held = release_row(self._target)
        except (StorageRefused, sa.exc.SQLAlchemyError):  # there is none, or it is broken
            return
        if published < _published(held):
            raise IntegrityFailed(
                f"{self._store.address} names a release that was published at {shipment.about['published_at']}, before the one that "
                f"is held, which was at {held['published_at']}. It was not taken over. If it is to count nevertheless, remove "
                f"{self._target}."
            )


def _published(about: Mapping[str, Any]) -> datetime:
    try:
        return datetime.strptime(about["published_at"], "%Y-%m-%dT%H:%M:%S%z")
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityFailed("A release doesn't say when it was published. It was not taken over.") from error


@contextmanager
def following(settings: Settings) -> Iterator[Replica]:
    """Follow the store that is set for as long as the block lasts: at once, then every so many seconds."""
    from vanc311_pipeline.api.measures import REPLICA_LOOKED  # begins to measure when it is imported

    replica, stop = Replica(ObjectStore.of(settings), settings.published_path), threading.Event()

    def follow_on() -> None:
        while not stop.is_set():
            replica.follow()
            if replica.problem is None:
                REPLICA_LOOKED.set_to_current_time()
            stop.wait(settings.replica_seconds)

    thread = threading.Thread(target=follow_on, name="vanc311 replica", daemon=True)
    thread.start()
    try:
        yield replica
    finally:
        stop.set()
        thread.join(_END_SECONDS)
