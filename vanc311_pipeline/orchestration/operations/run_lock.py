"""Who is at work on the warehouse, in Dagster's terms: a run waits for its turn (`warehouse.lock`), and a run that died is ended.

Dagster's launcher can't ask after a run's process, and would count a killed run as at work for two hours (`max_runtime_seconds`), with
every slot waiting for it. A run that died at work left its turn behind; each Dagster ends its own runs only. One that was killed
before its turn is known by its silence: a run that waits tells so every minute.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from vanc311_pipeline.warehouse import lock
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.lock import Turn

SILENT_SECONDS = 2 * lock.TELL_SECONDS
LAST_WORDS = "Its process ended without a word: it was killed, or the machine stopped."


@contextmanager
def at_work(
    warehouse: Warehouse, instance: dg.DagsterInstance, job: str, run_id: str | None, waiting: Callable[[str], None]
) -> Iterator[None]:
    """Work on the warehouse alone, as `lock.turn`; runs of this Dagster that died at it are ended first."""
    with lock.turn(warehouse, job, run_id, lambda turn: waiting(f"Waiting: at work on this warehouse is {turn}.")):
        end_dead_runs(instance, warehouse)
        yield


def end_dead_runs(instance: dg.DagsterInstance, warehouse: Warehouse) -> tuple[Turn | None, list[str]]:
    """End the runs of this Dagster whose process is gone; who is at work now, and the runs that were ended."""
    working, left = lock.look(warehouse)
    dead = {}
    for turn in left:
        run = instance.get_run_by_id(turn.run_id) if turn.run_id else None
        if run and not run.is_finished:
            dead[run.run_id] = run
        if run or not turn.run_id:  # unlike a run of another Dagster, which has still to end it
            lock.forget(warehouse, turn.number)
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    dead |= {run.run_id: run for run in started if _never_began(instance, run)}
    for run in dead.values():
        instance.report_run_failed(run, LAST_WORDS)
    return working, list(dead)


def _never_began(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run that has started never made its resources, its turn among them, and doesn't say that it waits for it."""
    if instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RESOURCE_INIT_SUCCESS, limit=1).records:
        return False
    newest = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(newest) and time.time() - newest[0].timestamp > SILENT_SECONDS
