"""What is a secret, or may hold one, is not said by what carries it: a traceback, a log or a shell would show it."""

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse

SECRET = "hunter2"


def test_no_settings_client_or_resource_shows_a_secret():
    settings = Settings(
        api_key=SECRET,
        database_url=f"postgresql+psycopg://user:{SECRET}@host/name",
        dagster_database_url=f"postgresql+psycopg2://user:{SECRET}@host/name",
        alert_webhook=f"https://host/{SECRET} json://user:{SECRET}@host",
        ship_url=f"s3://key:{SECRET}@bucket",
        ship_key=SECRET * 5,
    )
    with Portal(settings) as portal:
        session = vars(portal)["_session"]
        resources = build_definitions(settings).resources
        carriers = [settings, portal, session, session.auth, Warehouse(settings), *resources.values()]
        for carrier in carriers:
            assert SECRET not in f"{carrier!r} {carrier}", type(carrier)
