"""Signs of life: while a run works it holds a lock of the operating system's, which ends with its process, however that ends.

What belongs here: the lock, the question after it, and what is done with a run whose process is gone. What does not: who
asks. Dagster's launcher can't ask after a run's process, and would count a killed run as at work for two hours
(`max_runtime_seconds`), with every slot waiting for it.

A run that works on another machine, without a directory in common, is not known to be dead; there it is run monitoring that
ends it. One that was killed in the moment before it held its lock is known by what it did not do since.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

BEGINS_WITHIN_SECONDS = 120.0
"""A run that has started makes its resources, the lock among them, in a second or two, wherever it works."""
LAST_WORDS = "Its process ended without a word: it was killed, or the machine stopped."


@contextmanager
def alive(folder: Path, run_id: str) -> Iterator[None]:
    """Hold a run's lock. The file gets its name once it is locked, so that nobody finds it unlocked by a living run."""
    folder.mkdir(parents=True, exist_ok=True)
    unnamed = folder / f".{run_id}"
    with FileLock(unnamed):
        unnamed.rename(_lock(folder, run_id))
        try:
            yield
        finally:
            _lock(folder, run_id).unlink(missing_ok=True)


def is_dead(instance: dg.DagsterInstance, folder: Path, run_id: str) -> bool:
    """Whether a run's process is known to be gone: its lock is there and nobody holds it, or it never came so far."""
    file = _lock(folder, run_id)
    if not file.exists():
        return _never_began(instance, run_id)
    try:
        with FileLock(file, timeout=0):
            return os.path.exists(file)  # unlike a file that its run removed a moment ago
    except Timeout:
        return False


def _never_began(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_record_by_id(run_id)
    if run is None or run.dagster_run.status != dg.DagsterRunStatus.STARTED or run.start_time is None:
        return False
    if time.time() - run.start_time < BEGINS_WITHIN_SECONDS:
        return False
    return not instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RESOURCE_INIT_SUCCESS, limit=1).records


def report_dead(instance: dg.DagsterInstance, folder: Path, run: dg.DagsterRun) -> None:
    """Tell Dagster that a run's process is gone, and give back its places in the pools."""
    instance.report_run_failed(run, LAST_WORDS)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    _lock(folder, run.run_id).unlink(missing_ok=True)


def _lock(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"
