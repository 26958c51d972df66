"""Claims about pruning: old runs go with all that they left, and none that the UI still answers from, or that is at work."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.orchestration.operations.pruning import prune
from vanc311_pipeline.orchestration.partitions import EVERY, ONE_RUN
from vanc311_pipeline.orchestration.tags import range_tags
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline_tests.conftest import add_run

CHECK = AUDITS[0]


@dg.asset(partitions_def=EVERY, backfill_policy=ONE_RUN)
def by_month() -> None:
    print("read by month")


@dg.asset(key=CHECK.asset)
def whole() -> None:
    """An asset of one piece, under the name of one that has a check."""


@dg.asset_check(name=CHECK.name, asset=whole)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op
def look(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetObservation("by_month", partition="2025-02"))


@dg.op
def work() -> None:
    print("at work")


@dg.op
def break_off() -> None:
    raise ValueError("no")


observe, sync, broken = (
    dg.GraphDefinition(name, node_defs=[op]).to_job()
    for name, op in (("observe", look), ("sync", work), ("sync", break_off))
)


@pytest.fixture
def home(tmp_path) -> Path:
    """A Dagster home that keeps what steps print, as a real one does."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


@pytest.fixture
def instance(home):
    with dg.DagsterInstance.from_config(str(home)) as at_home:
        yield at_home


@pytest.fixture
def run(instance, home):
    """Runs something and makes its run so many days old; its id."""

    def ended(what, days=0, **options) -> str:
        if isinstance(what, list):
            run_id = dg.materialize(what, instance=instance, **options).run_id
        else:
            run_id = what.execute_in_process(instance=instance, raise_on_error=False, **options).run_id
        age(home, run_id, days)
        return run_id

    return ended


def age(home: Path, run_id: str, days: float) -> None:
    born = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(home / "history" / "runs.db")) as runs, runs:
        assert runs.execute("UPDATE runs SET create_timestamp = ? WHERE run_id = ?", (born, run_id)).rowcount == 1


@pytest.fixture
def pruned(instance):
    """Prunes; how many runs were deleted and how many old ones kept, as the run says."""

    def counts(days=30) -> tuple[int, int]:
        resources = {"settings": Settings(keep_runs_days=days)}
        result = prune.execute_in_process(instance=instance, resources=resources)
        [shown] = [event.step_output_data.metadata for event in result.all_node_events if event.is_successful_output]
        return shown["runs deleted"].value, shown["old runs kept"].value

    return counts


def left(instance) -> set[str]:
    return {run.run_id for run in instance.get_runs() if run.job_name != prune.name}


def test_old_runs_go_and_younger_ones_and_the_newest_success_stay(run, pruned, instance):
    run(sync, 50)
    newest_success = run(sync, 40)
    run(broken, 35)
    young = run(broken, 29)
    assert pruned() == (2, 1)
    assert left(instance) == {newest_success, young}
    assert pruned() == (0, 1)


def test_a_deleted_run_leaves_no_events_no_prints_and_no_file(run, pruned, instance, home):
    gone, kept = run(sync, 50), run(sync)
    assert list(home.rglob(f"*{gone}*"))
    assert instance.all_logs(gone)
    pruned()
    assert list(home.rglob(f"*{gone}*")) == []
    assert list(home.rglob(f"*{kept}*"))
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as index:
        assert index.execute("SELECT count(*) FROM event_logs WHERE run_id = ?", (gone,)).fetchone() == (0,)
    assert instance.get_run_by_id(gone) is None
    assert instance.all_logs(kept)


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_that_is_not_finished_is_never_touched(instance, home, pruned, status):
    run_id = add_run(instance, status)
    age(home, run_id, 400)
    assert pruned() == (0, 0)
    assert run_id in left(instance)


def test_the_run_that_loaded_a_month_stays_until_the_month_is_loaded_again(run, pruned, instance):
    both = run([by_month], 90, tags=range_tags("2025-01", "2025-02"))
    later = run([by_month], 60, partition_key="2025-02")
    run([by_month], 1, partition_key="2025-03")
    assert pruned() == (0, 2)
    assert instance.get_materialized_partitions(by_month.key) == {"2025-01", "2025-02", "2025-03"}
    run([by_month], 0, partition_key="2025-01")
    assert pruned() == (1, 1)
    assert both not in left(instance)
    assert later in left(instance)
    assert instance.get_materialized_partitions(by_month.key) == {"2025-01", "2025-02", "2025-03"}


CHECKING = dg.Definitions(
    assets=[whole],
    asset_checks=[holds],
    jobs=[dg.define_asset_job("checking", dg.AssetSelection.checks_for_assets(whole))],
)


@pytest.mark.parametrize(
    "what",
    [[whole], CHECKING.resolve_job_def("checking"), observe],
    ids=["made an asset's newest state", "last checked", "made a month's newest observation"],
)
def test_the_run_stays_that(run, pruned, instance, what):
    run(what, 90)
    newest = run(what, 80)
    dg.materialize([by_month], partition_key="2025-03", instance=instance)  # a newer success of the implicit job, too
    assert pruned() == (1, 1)
    assert left(instance) >= {newest}


def test_the_schedule_prunes_once_a_day_with_the_age_that_is_set(run, instance):
    run(broken, 13)
    definitions = build_definitions(Settings(keep_runs_days=12))
    schedule = definitions.resolve_schedule_def("prune_every_day")
    with dg.build_schedule_context(instance=instance) as context:
        [request] = schedule.evaluate_tick(context).run_requests
    job = definitions.resolve_job_def(schedule.job_name)
    result = job.execute_in_process(instance=instance, run_config=request.run_config or None)
    [words] = [entry.user_message for entry in instance.all_logs(result.run_id) if "Deleted" in entry.user_message]
    assert "Deleted 1 finished runs older than 12 days; 0 others" in words


def test_the_history_of_a_real_load_survives(synced, tmp_path):
    shutil.copytree(synced.dagster_home, tmp_path / "real")
    with dg.DagsterInstance.from_config(str(tmp_path / "real")) as real:
        [loaded] = real.get_runs()
        age(tmp_path / "real", loaded.run_id, 400)
        prune.execute_in_process(instance=real, resources={"settings": synced})
        assert real.get_run_by_id(loaded.run_id)
        assert real.get_materialized_partitions(dg.AssetKey("service_requests"))
