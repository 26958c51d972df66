"""The job `prune`: deletes old runs with their events and logs, once a day. Dagster itself keeps them for ever, ticks but for `retention`.

A run stays, however old, while the UI still answers from it: it made the newest materialization of an asset or of one of
its months, the newest observation, the newest result of a check, or is its job's newest success. The observations of quiet
slots and the results of checks stay for ever: Dagster can't delete them. `make history` prints how much that is.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from vanc311_pipeline.orchestration.asset_checks import spec_of
from vanc311_pipeline.orchestration.dagster_private import SqliteEventLogStorage
from vanc311_pipeline.orchestration.jobs import FINISHED
from vanc311_pipeline.orchestration.resources import SettingsParam
from vanc311_pipeline.settings import MOST_DAYS
from vanc311_pipeline.warehouse.audits import AUDITS

MOST_SECONDS = 600  # it holds no lock that would tell that it died, and nothing else runs meanwhile


class Age(dg.Config):
    """How old a run may become."""

    days: int | None = Field(default=None, ge=1, le=MOST_DAYS, description="VANC311_KEEP_RUNS_DAYS, if not given.")


@dg.op(description="Deletes finished runs that are older than `days` and that the UI answers nothing from any more.")
def delete_old_runs(context: dg.OpExecutionContext, config: Age, settings: SettingsParam) -> None:
    days = config.days or settings.keep_runs_days
    deleted, kept = delete_runs_before(context.instance, datetime.now(UTC) - timedelta(days=days))
    context.log.info(
        f"Deleted {deleted:,} finished runs older than {days} days; {kept:,} others that old stay, "
        "because the UI still answers from them."
    )
    context.add_output_metadata({"runs deleted": deleted, "old runs kept": kept})


@dg.job(
    description="Deletes old runs with their events and logs. The data is not touched.",
    tags={"dagster/max_runtime": str(MOST_SECONDS)},
)
def prune() -> None:
    delete_old_runs()


prune_every_day = dg.ScheduleDefinition(
    name="prune_every_day",
    job=prune,
    cron_schedule="20 9 * * *",  # night in Vancouver, hours before the city publishes
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, deletes finished runs that are older than VANC311_KEEP_RUNS_DAYS.",
)


def delete_runs_before(instance: dg.DagsterInstance, before: datetime) -> tuple[int, int]:
    """Delete the finished runs that were made before an instant and that the UI needs no more; how many, and how many stay."""
    old = instance.get_runs(dg.RunsFilter(statuses=FINISHED, created_before=before))
    needed = set(_needed_runs(instance, {run.job_name for run in old})) if old else set()
    doomed = [run.run_id for run in old if run.run_id not in needed]
    for run_id in doomed:
        _delete(instance, run_id)
    return len(doomed), len(old) - len(doomed)


def _needed_runs(instance: dg.DagsterInstance, jobs: Iterable[str]) -> Iterator[str]:
    for key in instance.all_asset_keys():
        yield from _newest_of_asset(instance, key)
    checks = [spec_of(audit).key for audit in AUDITS]
    for record in instance.event_log_storage.get_latest_asset_check_execution_by_key(checks).values():
        yield record.run_id
    for job in jobs:
        succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
        yield from (run.run_id for run in instance.get_runs(succeeded, limit=1))


def _newest_of_asset(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[str]:
    """The runs that made the newest event of each kind, of the asset as a whole and of each partition."""
    for kind, fetch in (
        (dg.DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
        (dg.DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
    ):
        yield from (record.run_id for record in fetch(key, limit=1).records)
        ids = sorted(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind).values())
        if ids:
            of_partitions = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
            yield from (record.run_id for record in fetch(of_partitions, limit=len(ids)).records)


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):  # each run has a file of its own there, emptied but not removed
        for ending in ("", "-wal", "-shm"):
            Path(f"{storage.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)
