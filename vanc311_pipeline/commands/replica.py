"""A replica's file: brought from the object store whenever another one counts there, beside whatever serves it.

What belongs here: when to look, what is said of it, and that one failure is followed by the next look. What does not: how a
file is fetched and proven (`shipping`), and how a new one is noticed (`reading.published`).
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vanc311_pipeline.disk import on_disk
from vanc311_pipeline.errors import PipelineError, SettingsError
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse.publishing import file_digest

log = logging.getLogger(__name__)


class Replica:
    """A file that follows a store."""

    def __init__(self, store: ObjectStore, target: Path) -> None:
        self._store, self._target = store, target
        self._here = file_digest(target) if target.exists() else None
        self.problem: str | None = None
        """Why the last look failed."""

    def follow(self) -> bool:
        """Look once, and fetch what counts now if it is another file; whether it was. A failure is said once, and kept."""
        try:
            with on_disk(self._target):
                shipment = self._store.latest()
                news = shipment is not None and shipment.sha256 != self._here
                if news and shipment is not None:
                    self._store.fetch(shipment, self._target)
                    self._here = shipment.sha256
                    log.warning(
                        "Serving the release as of %s from %s", shipment.about.get("as_of"), self._store.address
                    )
        except PipelineError as error:
            if str(error) != self.problem:
                log.error("%s Serving what was fetched before.", error)
            self.problem = str(error)
            return False
        self.problem = None
        return news


@contextmanager
def following(settings: Settings) -> Iterator[Replica]:
    """Follow the store that is set for as long as the block lasts: once at once, then every so many seconds.

    Raises:
        SettingsError: no store is set, or its address can't be used.
    """
    if not settings.ship_url:
        raise SettingsError(
            "A replica serves from an object store, but VANC311_SHIP_URL isn't set. Nothing was started. Set it to the address to "
            "which the pipeline ships, or leave out --replica."
        )
    from vanc311_pipeline.api.measures import REPLICA_LOOKED  # begins to measure when it is imported

    replica, stop = Replica(ObjectStore(settings.ship_url), settings.published_path), threading.Event()

    def look() -> None:
        replica.follow()
        if replica.problem is None:
            REPLICA_LOOKED.set_to_current_time()

    def follow_on() -> None:
        while not stop.wait(settings.replica_seconds):
            look()

    look()
    thread = threading.Thread(target=follow_on, name="vanc311 replica", daemon=True)
    thread.start()
    try:
        yield replica
    finally:
        stop.set()
        thread.join()
