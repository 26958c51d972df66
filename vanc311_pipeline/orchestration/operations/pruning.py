"""The job `prune`: deletes old runs with their events and logs, once a day. Dagster itself keeps them for ever.

What belongs here: which runs are old and needed by nobody, and their deletion. What does not: the ticks of schedules and
sensors, whose retention is in `dagster.yaml`, and the data, which no run holds.

A run stays, however old, while the UI still answers from it: it made the newest materialization of an asset or of one of
its months, the newest observation, the newest result of a check, or is its job's newest success. Without it a month that
was loaded long ago would look as if it had never been. Runs that are queued or at work are never touched.

What stays for ever, because Dagster has no way to delete it: the observations of quiet slots and the results of the checks.
How much that is, `make history` prints.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from vanc311_pipeline.orchestration.asset_checks import spec_of
from vanc311_pipeline.orchestration.dagster_private import SqliteEventLogStorage
from vanc311_pipeline.settings import MOST_DAYS, Settings
from vanc311_pipeline.warehouse.audits import AUDITS

PRUNE = "prune"
MOST_SECONDS = 600  # it holds no lock that would tell that it died, and nothing else runs meanwhile
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_NEWEST = {
    dg.DagsterEventType.ASSET_MATERIALIZATION: dg.DagsterInstance.fetch_materializations,
    dg.DagsterEventType.ASSET_OBSERVATION: dg.DagsterInstance.fetch_observations,
}


class Age(dg.Config):
    """How old a run may become."""

    days: int = Field(default=Settings().keep_runs_days, ge=1, le=MOST_DAYS)


@dg.op(description="Deletes finished runs that are older than `days` and that the UI answers nothing from any more.")
def delete_old_runs(context: dg.OpExecutionContext, config: Age) -> None:
    deleted, kept = delete_runs_before(context.instance, datetime.now(UTC) - timedelta(days=config.days))
    context.log.info(
        f"Deleted {deleted:,} finished runs older than {config.days} days; {kept:,} others that old stay, "
        "because the UI still answers from them."
    )
    context.add_output_metadata({"runs deleted": deleted, "old runs kept": kept})


def prune_job(settings: Settings) -> dg.JobDefinition:
    """The job; its launchpad shows the age that is set."""

    @dg.job(
        name=PRUNE,
        description="Deletes old runs with their events and logs. The data is not touched.",
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(MOST_SECONDS)},
        config=dg.RunConfig(ops={delete_old_runs.name: Age(days=settings.keep_runs_days)}),
    )
    def prune() -> None:
        delete_old_runs()

    return prune


def prune_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="prune_every_day",
        job=job,
        cron_schedule="20 9 * * *",  # night in Vancouver, hours before the city publishes
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Once a day, deletes finished runs that are older than VANC311_KEEP_RUNS_DAYS.",
    )


def delete_runs_before(instance: dg.DagsterInstance, before: datetime) -> tuple[int, int]:
    """Delete the finished runs that were made before an instant and that the UI needs no more; how many, and how many stay."""
    old = old_runs(instance, before)
    needed = needed_runs(instance, {run.job_name for run in old}) if old else set()
    doomed = [run.run_id for run in old if run.run_id not in needed]
    for run_id in doomed:
        delete(instance, run_id)
    return len(doomed), len(old) - len(doomed)


def old_runs(instance: dg.DagsterInstance, before: datetime) -> list[dg.DagsterRun]:
    """The finished runs that were made before an instant."""
    return list(instance.get_runs(dg.RunsFilter(statuses=_FINISHED, created_before=before)))


def needed_runs(instance: dg.DagsterInstance, jobs: Iterable[str]) -> set[str]:
    """The runs that the UI still answers from."""
    needed = {run_id for key in instance.all_asset_keys() for run_id in _newest_of_asset(instance, key)}
    needed |= set(_newest_of_checks(instance))
    for job in jobs:
        succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
        needed |= {run.run_id for run in instance.get_runs(succeeded, limit=1)}
    return needed


def _newest_of_asset(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[str]:
    """The runs that made the newest event of each kind, of the asset as a whole and of each partition."""
    for kind, fetch in _NEWEST.items():
        newest = fetch(instance, key, limit=1).records
        ids = sorted(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind).values())
        if ids:
            of_partitions = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
            newest = [*newest, *fetch(instance, of_partitions, limit=len(ids)).records]
        yield from (record.run_id for record in newest)


def _newest_of_checks(instance: dg.DagsterInstance) -> Iterator[str]:
    """The runs that last evaluated each check."""
    keys = [spec_of(audit).key for audit in AUDITS]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    yield from (record.run_id for record in records.values())


def delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a run, its events, and what its steps printed."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):  # each run has a file of its own there, emptied but not removed
        for ending in ("", "-wal", "-shm"):
            Path(f"{storage.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)
