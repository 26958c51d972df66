"""What is a secret, or may hold one, is not said by what carries it: a traceback, a log or a shell would show it."""

from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource, WebhookResource
from vanc311_pipeline.pipeline import open_portal
from vanc311_pipeline.settings import Settings

SECRET = "hunter2"


def test_no_settings_client_or_resource_shows_a_secret():
    settings = Settings(
        api_key=SECRET,
        database_url=f"postgresql+psycopg://user:{SECRET}@host/name",
        alert_webhook=f"https://host/{SECRET}",
        ship_url=f"s3://key:{SECRET}@bucket",
    )
    with open_portal(settings) as portal:
        carriers = [
            settings, portal, vars(portal)["_session"], vars(portal)["_session"].auth,
            PortalResource(url="http://portal", api_key=SECRET, read_timeout_seconds=1, retry_wait_seconds=1),
            WebhookResource(url=settings.alert_webhook.get_secret_value()),
            StoreResource(
                raw_directory="raw", warehouse_url=settings.warehouse_url, published_file="file", measures_file="measures",
                source="portal", portal_url="http://portal", ship_url=settings.store_address, ship_key=SECRET,
            ),
        ]  # fmt: skip
        for carrier in carriers:
            assert SECRET not in f"{carrier!r} {carrier}", type(carrier)
