"""Claims about plans in the warehouse, and about the runs that go by them: nothing but a plan's months is loaded and reported."""

from dataclasses import replace

import dagster as dg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.orchestration.asset_checks import spec_of
from vanc311_pipeline.orchestration.tags import RELEASE_TAG, WHY_TAG
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.schema import plans as table
from vanc311_pipeline.settings import ARCHIVE, LIVE
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Plan
from vanc311_pipeline_tests.end_to_end.conftest import city, loaded, pipeline, portal  # noqa: F401 (fixtures)

A_WINDOW = st.builds(
    Window, st.sampled_from([LIVE, ARCHIVE]), st.sampled_from(["2009-06", "2021-12", "2022-01", "2026-01", "undated"])
)
RELEASES = (
    Release(LIVE, "2026-08-16T14:06:58Z", 1_265_542, fields=()),
    Release(ARCHIVE, "2024-04-24T22:32:28Z", 2_083_091, fields=()),
)


# -- kept --------------------------------------------------------------------------------------------------------------


@given(stale=st.dictionaries(A_WINDOW, st.text("0123456789abcdef", min_size=12, max_size=12)), data=st.data())
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=hypothesis_settings().max_examples // 5
)
def test_a_plan_is_found_as_it_was_written(warehouse, stale, data):
    reread = frozenset(data.draw(st.sets(st.sampled_from(sorted(stale))))) if stale else frozenset()
    plan = Plan("load", "because", RELEASES, stale, reread)
    with warehouse.write() as connection:
        name = ledger.write_plan(connection, plan)
        assert ledger.find_plan(connection, name) == plan
        assert ledger.write_plan(connection, plan) == name  # so the run request of a lost tick is made again as it was


def test_a_plan_has_the_same_name_a_second_later_and_the_month_of_the_portals_clock(warehouse):
    clock = ("2026-09-01T00:00:01Z", "2026-09-01T00:00:02Z")
    planned = [Plan("load", "because", tuple(replace(each, answered_at=at) for each in RELEASES)) for at in clock]
    with warehouse.write() as connection:
        first, second = (ledger.write_plan(connection, plan) for plan in planned)
        assert first == second
        assert {release.last_month for release in ledger.find_plan(connection, first).releases} == {"2026-09"}


def test_plans_of_more_than_a_week_ago_are_forgotten(warehouse):
    with warehouse.write() as connection:
        old = ledger.write_plan(connection, Plan("load", "old", RELEASES[:1]))
        connection.execute(sa.update(table).values(planned_at="2025-01-01T00:00:00Z"))
        new = ledger.write_plan(connection, Plan("load", "new", RELEASES[:1]))
        assert set(connection.scalars(sa.select(table.c.name))) == {new} != {old}


# -- gone by -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def launch(pipeline, tmp_path, monkeypatch):  # noqa: F811
    """Runs the job `sync` as Dagster's UI does from its launchpad; whether it succeeded, the run, and the instance."""
    settings = pipeline.settings.changed(dagster_home=tmp_path / "home")
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    with open_instance(settings) as instance:

        def run(**options):
            job = build_definitions(settings).resolve_job_def("sync")
            result = job.execute_in_process(instance=instance, raise_on_error=False, **options)
            return result.success, instance.get_run_by_id(result.run_id), instance

        yield run


def months_reported(instance, asset):
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def test_a_run_that_was_told_nothing_plans_for_itself_and_reports_the_months_that_it_loaded(portal, pipeline, launch):  # noqa: F811
    frame = EDITS["insert_old"].function(portal.frame, rows=1, opened="2024-05-05T19:30:00+00:00")
    portal.publish(EDITS["insert_old"].function(frame, rows=1, opened="2024-07-05T19:30:00+00:00"))
    succeeded, run, instance = launch()
    assert succeeded
    assert run.tags[RELEASE_TAG] == f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ} {len(portal.frame)}"
    assert "2 stale months" in run.tags[WHY_TAG]
    for asset in ("raw_service_requests", "service_requests"):
        assert months_reported(instance, asset) == {"2024-05", "2024-07"}, asset
    with Warehouse(pipeline.settings).read() as connection:
        assert ledger.last_release(connection, LIVE).state == "settled"
        months = ledger.months(connection)
    released = run.tags[RELEASE_TAG].split()[0]
    anew = {window.month for window, record in months.items() if record.data_processed == released}
    assert anew == {"2024-05", "2024-07"}
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [spec_of(check).key for check in AUDITS if check.asset == "service_requests"]
    )
    assert {record.run_id for record in checks.values()} == {run.run_id}


def test_a_run_that_finds_nothing_to_load_claims_no_month(pipeline, launch):  # noqa: F811
    pipeline.settings.published_path.unlink()
    for why in ("making it again", "Nothing changed"):
        succeeded, run, instance = launch()
        assert succeeded
        assert why in run.tags[WHY_TAG]
        for asset in ("raw_service_requests", "service_requests"):
            assert months_reported(instance, asset) == set(), asset
            assert not instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert instance.get_latest_materialization_event(dg.AssetKey("published_database")).run_id == run.run_id


def test_a_run_that_was_told_a_month_loads_it_whatever_the_portal_says(launch):
    succeeded, _, instance = launch(partition_key="2024-05")
    assert succeeded
    assert months_reported(instance, "service_requests") == {"2024-05"}


def test_a_held_portal_fails_a_run_that_plans_for_itself_with_the_reason(portal, launch):  # noqa: F811
    portal.publish(EDITS["truncate"].function(portal.frame, halved_from="2024-01-01"))
    for _ in range(2):  # the first holds the release, the second finds it held
        succeeded, run, instance = launch()
        assert not succeeded
        assert months_reported(instance, "service_requests") == set()
    [failed, *_] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert failed.dagster_event.step_failure_data.user_failure_data.description.startswith("Held: ")


def test_a_preview_shows_the_newest_rows_once_a_run(synced):
    with dg.DagsterInstance.from_config(str(synced.dagster_home)) as instance:
        events = instance.fetch_materializations(dg.AssetKey("service_requests"), limit=1_000).records
    previews = [
        metadata["preview"] for event in events if "preview" in (metadata := event.asset_materialization.metadata)
    ]
    with Warehouse(synced).read() as connection:
        newest = connection.scalars(
            sa.text("SELECT opened_at FROM service_requests ORDER BY opened_at DESC LIMIT 5")
        ).all()
    assert len(events) > 1
    assert [[row.data["opened_at"] for row in each.records] for each in previews] == [newest]
