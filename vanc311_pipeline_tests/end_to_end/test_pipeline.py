"""Claims about the way from the portal to the published file, made without Dagster: `pipeline.sync` is the same way."""

import sqlite3
import sys
from contextlib import closing
from subprocess import run as command

import pytest

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import holds
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.places import Places
from vanc311_pipeline_tests.end_to_end.city import OPENED, settings_in


@pytest.fixture
def settings(portal, tmp_path) -> Settings:
    return settings_in(tmp_path, portal.url)


def sync(settings: Settings, **how) -> dict:
    """By a plan, unless months are named."""
    places = Places.of(settings)
    places.open()
    with pipeline.open_portal(settings) as client:
        plan = None if how.get("months") else pipeline.plan(client, places, consent=how.get("consent", ()))
        return pipeline.sync(client, places, Run("a run", plan, **how))


def ask(settings: Settings, query: str) -> list[tuple]:
    with closing(sqlite3.connect(settings.published_path)) as connection:
        return connection.execute(query).fetchall()


def test_a_whole_sync_publishes_every_row_with_what_the_checks_found_and_then_nothing_is_left_to_do(settings, city):
    about = sync(settings)
    assert (about["rows_stored"], about["complete"], about["months"]) == (len(city), "yes", 3)
    assert ask(settings, "SELECT count(*) FROM service_requests") == [(len(city),)]
    found = dict(ask(settings, "SELECT check_name, result FROM check_results"))
    assert set(found) == {each.name for each in AUDITS if each.asset not in pipeline.AFTER_PUBLICATION}
    assert set(found.values()) == {"passed", "warned"}
    with pipeline.open_portal(settings) as client:
        assert pipeline.plan(client, Places.of(settings)).action == "skip"
        assert all(each.equal for each in pipeline.compare(client, Places.of(settings)))


def test_an_edit_is_followed_and_a_month_that_is_named_is_read_again(settings, portal, city):
    sync(settings)
    portal.publish(EDITS["close"].function(portal.frame, rows=7))
    assert sync(settings)["complete"] == "yes"
    assert ask(settings, "SELECT count(*) FROM request_changes WHERE kind = 'closed'") == [(7,)]
    assert sync(settings, months=["2024-06"])["rows_stored"] == len(city)


def test_what_is_lost_is_held_until_somebody_agrees_and_meanwhile_the_old_file_stays(settings, portal, city):
    sync(settings)
    before = settings.published_path.read_bytes()
    gone = portal.frame[OPENED].dt.strftime("%Y-%m") == "2024-06"
    portal.publish(portal.frame[~gone].reset_index(drop=True))
    with pytest.raises(IntegrityFailed, match="nothing was published; what was published before stays"):
        sync(settings)
    assert settings.published_path.read_bytes() == before
    with Places.of(settings).warehouse.read() as connection:
        assert [line.month for line in holds.held(connection)] == ["2024-06"]
    assert sync(settings, consent=["2024-06"])["rows_stored"] == len(city) - gone.sum()


def test_dagster_is_not_even_imported():
    code = "import sys, vanc311_pipeline.pipeline; sys.exit('dagster' in sys.modules)"
    assert command([sys.executable, "-c", code], check=False).returncode == 0
