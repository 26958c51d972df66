"""Places: where a pipeline keeps what it makes. They hold settings, no state: nothing is opened before it is used."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.settings import CITY_PORTAL, Settings, Source, revealed
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse.engine import Warehouse


@dataclass(frozen=True)
class Places:
    """Landed files, warehouse, published file and object store of one pipeline, and the portal that its rows come from."""

    raw_dir: Path
    warehouse_url: str = field(repr=False)
    published_path: Path
    source: Source
    portal_url: str
    ship_url: str | None = field(default=None, repr=False)
    ship_key: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Places":
        return cls(
            settings.raw_dir,
            settings.warehouse_url,
            settings.published_path,
            settings.source,
            settings.portal_url,
            settings.store_address,
            revealed(settings.ship_key),
        )

    @property
    def is_city_portal(self) -> bool:
        """The rows are the city's own: they come from its portal, not from a stand-in."""
        return self.source == "portal" and urlsplit(self.portal_url).hostname == CITY_PORTAL

    @property
    def ships_to(self) -> ObjectStore:
        """Where the published file is shipped."""
        if not self.ship_url:
            raise SettingsError("VANC311_SHIP_URL isn't set, so there is nowhere to ship the published file to.")
        return ObjectStore(self.ship_url, self.ship_key)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse as it is, for who only looks; it need not be there yet."""
        return Warehouse(self.warehouse_url, self.source)

    def open(self) -> Warehouse:
        """The warehouse, with its tables made if they are not there yet; that is looked at once."""
        return self._opened

    @cached_property
    def _opened(self) -> Warehouse:
        self.warehouse.create()
        return self.warehouse
