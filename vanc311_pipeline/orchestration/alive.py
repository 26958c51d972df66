"""Signs of life: while a run works it holds a lock of the operating system's, which ends with its process, however that ends.

What belongs here: the lock, the question after it, and what is done with a run whose process is gone. What does not: who
asks. Dagster's launcher can't ask after a run's process, and would count a killed run as at work for two hours
(`max_runtime_seconds`), with every slot waiting for it.

A run that was killed before it held its lock, or that works on another machine, is not known to be dead; there it is run
monitoring that ends it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

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


def is_dead(folder: Path, run_id: str) -> bool:
    """Whether a run's process is known to be gone: its lock is there and nobody holds it."""
    file = _lock(folder, run_id)
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return os.path.exists(file)  # unlike a file that its run removed a moment ago
    except Timeout:
        return False


def report_dead(instance: dg.DagsterInstance, folder: Path, run: dg.DagsterRun) -> None:
    """Tell Dagster that a run's process is gone, and give back its places in the pools."""
    instance.report_run_failed(run, LAST_WORDS)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    _lock(folder, run.run_id).unlink(missing_ok=True)


def _lock(folder: Path, run_id: str) -> Path:
    return folder / f"{run_id}.lock"
