"""Claims about code versions: Dagster calls stale exactly what new rules or definitions left behind, and nothing for ever."""

import shutil

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.orchestration import metadata
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.settings import LIVE, Settings

REQUESTS = dg.AssetKey("service_requests")
MONTHS = ("2025-07", "2026-01")  # an earlier month of the sample, and its newest


@pytest.fixture
def instance(synced, tmp_path):
    """The instance of a real load, once more."""
    shutil.copytree(synced.dagster_home, tmp_path / "home")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as home:
        yield home


def stale(instance) -> set[dg.AssetKey]:
    """What the UI calls unsynced: of a partitioned asset, in one of two months."""
    graph = build_definitions(Settings()).resolve_asset_graph()
    seen = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {
        key
        for key in graph.get_all_asset_keys()
        for month in (MONTHS if graph.get(key).is_partitioned else (None,))
        if seen.get_status(key, month) != StaleStatus.FRESH
    }


def following(key: dg.AssetKey) -> set[dg.AssetKey]:
    """An asset and all that is made from it."""
    return set(dg.AssetSelection.assets(key).downstream().resolve(build_definitions(Settings()).resolve_asset_graph()))


def test_every_asset_that_is_made_has_a_version():
    specs = build_definitions(Settings(ship_url="s3://bucket/folder")).resolve_all_asset_specs()
    assert all(spec.code_version for spec in specs if spec.group_name != "portal")


@pytest.mark.parametrize(
    ("name", "concerned"),
    [("CODE_VERSION", following(REQUESTS)), ("DEFINITIONS_VERSION", following(REQUESTS) - {REQUESTS})],
)
def test_new_rules_or_definitions_make_exactly_what_follows_from_them_stale(instance, monkeypatch, name, concerned):
    monkeypatch.setattr(metadata, name, "another")
    assert stale(instance) == concerned


def test_after_a_sync_and_quiet_slots_nothing_is_stale(instance):
    instance.report_runless_asset_event(dg.AssetObservation(portal_key(LIVE), description="nothing new"))
    assert stale(instance) == set()


@pytest.mark.parametrize("name", ["raw_service_requests", "local_areas"])
def test_what_was_fetched_again_is_another_version_of_it(instance, name):
    """Not the code's version: the same code fetches other rows."""
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event.asset_materialization.tags["dagster/data_version"] == event.run_id
