"""Claims about the pipeline's own measures: they tell the last look, the last sync, what is held and what waits, and nothing stale."""

import dagster as dg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.errors import PortalUnavailable
from vanc311_pipeline.orchestration.operations import prometheus as module
from vanc311_pipeline.orchestration.operations.prometheus import measures, write_measures
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.integration.planting import hold, sql


def gauges(settings):
    text = settings.measures_path.read_text()
    return {
        (sample.name.removeprefix("vanc311_pipeline_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_sync_leaves_what_it_did(synced):
    figures = gauges(synced)
    assert figures["sync_succeeded",] == 1
    assert 0 < figures["sync_seconds",] < 600
    assert figures["live_rows", "here"] == figures["live_rows", "portal"] == 11_024
    assert figures["months_held",] == figures["shipment_waiting",] == 0
    assert figures["published_timestamp_seconds",] <= figures["measured_timestamp_seconds",]


@pytest.fixture
def quietly(copied, tmp_path):
    """The synced directory, with a Dagster home of its own."""
    return copied.changed(dagster_home=tmp_path / "home", retry_wait_seconds=0.001)


def test_a_sync_that_fails_is_told_too(quietly):
    down = quietly.changed(portal_url="http://127.0.0.1:1")
    with pytest.raises(PortalUnavailable):
        run_sync(down, Console(quiet=True))
    figures = gauges(down)
    assert figures["measured_timestamp_seconds",] > figures["published_timestamp_seconds",]


def test_what_is_held_and_what_waits_to_be_shipped_is_counted(quietly, instance, tmp_path):
    sql(hold())(quietly)
    write_measures(instance, quietly.changed(ship_url=f"file://{tmp_path}/store"))
    figures = gauges(quietly)
    assert (figures["months_held",], figures["shipment_waiting",]) == (1, 1)


def test_ticks_that_fail_in_a_row_are_counted(instance, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "failed_ticks", lambda _: {"every_50_minutes": ["The portal is away."] * 3})
    settings = Settings(data_dir=tmp_path / "data")
    write_measures(instance, settings)
    assert gauges(settings)["failed_ticks", "every_50_minutes"] == 3


def test_the_sensor_writes_them_and_launches_nothing(quietly, instance):
    quietly.measures_path.unlink()
    with dg.build_sensor_context(instance=instance, resources={"settings": quietly}) as context:
        result = measures.evaluate_tick(context)
    assert not result.run_requests
    figures = gauges(quietly)
    assert ("sync_succeeded",) not in figures
    assert figures["live_rows", "here"] == 11_024


def test_before_there_is_a_warehouse_only_the_runs_are_told(instance, tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    write_measures(instance, settings)
    assert list(gauges(settings)) == [("measured_timestamp_seconds",)]
    assert not Warehouse(settings).exists()
