"""Resources: the portal and the places where data is kept, as Dagster configures them. They hold settings, no state."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import dagster as dg
from pydantic import Field

from vanc311_pipeline.orchestration.operations.run_lock import run_at_work
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import PORTAL_ATTEMPTS, Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.places import Places


class PortalResource(dg.ConfigurableResource[None]):
    """The city's open-data portal, or a stand-in."""

    url: str
    api_key: str | None = Field(default=None, repr=False)
    read_timeout_seconds: float
    retry_wait_seconds: float

    def open(
        self, attempts: int = PORTAL_ATTEMPTS, read_timeout_seconds: float | None = None, seconds: float | None = None
    ) -> Portal:
        """A client; use it as a context manager. It may take `seconds` altogether, if given."""
        return Portal(
            self.url,
            api_key=self.api_key,
            read_timeout=read_timeout_seconds or self.read_timeout_seconds,
            attempts=attempts,
            retry_wait=self.retry_wait_seconds,
            seconds=seconds,
        )


class StoreResource(dg.ConfigurableResource["StoreResource"]):
    """The data directory: landed files, warehouse, published file."""

    raw_directory: str
    warehouse_url: str = Field(repr=False)
    published_file: str
    measures_file: str
    source: str
    portal_url: str
    ship_url: str | None = Field(default=None, repr=False)
    ship_key: str | None = Field(default=None, repr=False)

    @cached_property
    def places(self) -> Places:
        return Places(
            Path(self.raw_directory),
            self.warehouse_url,
            Path(self.published_file),
            "sample" if self.source == "sample" else "portal",
            self.portal_url,
            self.ship_url,
            self.ship_key,
        )

    @property
    def measures_path(self) -> Path:
        return Path(self.measures_file)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["StoreResource"]:
        """For a run: once it is its turn to work on the warehouse. A tick of a schedule or a sensor doesn't wait."""
        if not context.run or not context.instance:
            yield self
            return
        with run_at_work(self.warehouse, context.instance, context.run):
            yield self

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse as it is, for who only looks; it need not be there yet."""
        return self.places.warehouse

    def open(self) -> Warehouse:
        """The warehouse, with its tables made if they are not there yet."""
        return self.places.open()


class WebhookResource(dg.ConfigurableResource[None]):
    """Who is told of failures, and where people then look."""

    url: str | None = Field(default=None, repr=False)
    ui_url: str | None = None


def portal_resource(settings: Settings) -> PortalResource:
    return PortalResource(
        url=settings.portal_url,
        # By name, so that the key itself never shows in the UI.
        api_key=dg.EnvVar("VANC311_API_KEY") if settings.api_key else None,
        read_timeout_seconds=settings.read_timeout_seconds,
        retry_wait_seconds=settings.retry_wait_seconds,
    )


def store_resource(settings: Settings) -> StoreResource:
    return StoreResource(
        raw_directory=str(settings.raw_dir),
        # By name, as below: an address may hold a secret.
        warehouse_url=dg.EnvVar("VANC311_DATABASE_URL") if settings.database_url else settings.warehouse_url,
        published_file=str(settings.published_path),
        measures_file=str(settings.measures_path),
        source=settings.source,
        portal_url=settings.portal_url,
        ship_url=dg.EnvVar("VANC311_SHIP_URL") if settings.ship_url else None,
        ship_key=dg.EnvVar("VANC311_SHIP_KEY") if settings.ship_key else None,
    )


def webhook_resource(settings: Settings) -> WebhookResource:
    # By name, so that the address, which is a secret, never shows in the UI.
    return WebhookResource(
        url=dg.EnvVar("VANC311_ALERT_WEBHOOK") if settings.alert_webhook else None, ui_url=settings.ui_url
    )
