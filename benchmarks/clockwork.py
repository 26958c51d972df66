"""Dagster's own scheduler, run queue and launcher under a simulated clock.

Real: `workspace.yaml`, the code server in a process of its own, the instance in DAGSTER_HOME with the project's
`dagster.yaml`, the scheduler's iteration, the queue's iteration, the launcher, and each run in a process of its own.
Simulated: the instant that scheduler and queue take for now; it stands still while a run is at work. The code server and
the runs see the computer's clock, so a simulated day must lie in the past.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from dagster._core.test_utils import freeze_time
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import create_daemon_grpc_server_registry
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from benchmarks.places import comes
from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.orchestration.jobs import FINISHED
from vanc311_pipeline.orchestration.schedules import every_50_minutes
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse

WORKSPACE = Path(__file__).parents[1] / "workspace.yaml"
LOCATION, REPOSITORY = "vanc311_pipeline", "__repository__"
HEARTBEAT = timedelta(minutes=10)
LATE = timedelta(seconds=5)  # how long after the heartbeat the daemon looks
RUN_ENDS_WITHIN_SECONDS, LOOK_SECONDS = 3_600.0, 0.1
AT_WORK = dg.RunsFilter(statuses=[status for status in dg.DagsterRunStatus if status not in FINISHED])


class Run(NamedTuple):
    """A run that a heartbeat launched, and how it ended."""

    run_id: str
    succeeded: bool
    tags: Mapping[str, str]
    seconds: float
    stale: frozenset[str]  # the months that it was to load


class Beat(NamedTuple):
    """A heartbeat: what the schedule said, the run that came of it, and the requests that both cost."""

    at: datetime
    outcome: str
    reason: str
    run: Run | None
    requests: int

    @property
    def failed(self) -> bool:
        return self.outcome == "FAILURE"


class Clockwork(ExitStack):
    """The daemon's work, one heartbeat at a time. Use it as a context manager.

    `requests` counts those that the portal has had so far; the log takes what the code server and the runs print.
    """

    def __init__(self, settings: Settings, requests: Callable[[], int], log: Path) -> None:
        super().__init__()
        self._requests, self._log, self._warehouse = requests, log, Warehouse(settings)
        self._times: dict[str, ScheduleIterationTimes] = {}
        self._logger = logging.getLogger("dagster.daemon.clockwork")
        self._logger.disabled = True  # what the scheduler says of a tick is read from the tick
        self.instance = self.enter_context(open_instance(settings))
        with _children_print_to(log):
            servers = self.enter_context(create_daemon_grpc_server_registry(self.instance))
            target = WorkspaceFileTarget([str(WORKSPACE)])
            context = WorkspaceProcessContext(self.instance, target, grpc_server_registry=servers)
            self.workspace = self.enter_context(context)
        self._queue = self.enter_context(QueuedRunCoordinatorDaemon(interval_seconds=1))
        logging.getLogger("dagster.daemon.QueuedRunCoordinatorDaemon").setLevel(logging.WARNING)
        location = self.workspace.create_request_context().get_code_location(LOCATION)
        self._schedule = location.get_repository(REPOSITORY).get_schedule(every_50_minutes.name)

    def look(self, now: datetime) -> None:
        """Let the scheduler look at the clock; when it first does, it meets the schedule, which is on by default."""
        with freeze_time(now):
            list(launch_scheduled_runs(self.workspace, self._logger, now, self._times))

    def beat(self, at: datetime) -> Beat:
        """Let one heartbeat happen, and wait for the run that it launches, if it does."""
        before, began = self._requests(), time.monotonic()
        self.look(at + LATE)
        [tick] = self.instance.get_ticks(self._schedule.get_remote_origin_id(), self._schedule.selector_id, limit=1)
        if tick.timestamp != at.timestamp():  # that there is one is the first thing that must hold
            raise RuntimeError(f"The scheduler made no tick at {at:%Y-%m-%d %H:%M}.")
        with freeze_time(at + LATE):
            list(self._queue.run_iteration(self.workspace, fixed_iteration_time=(at + LATE).timestamp()))
        # Any run: one that prunes would keep the next one waiting in the queue, which looks once in a heartbeat.
        if not comes(lambda: not self.instance.get_runs_count(AT_WORK), RUN_ENDS_WITHIN_SECONDS, LOOK_SECONDS):
            raise RuntimeError(f"A run did not end at {at:%Y-%m-%d %H:%M}; {self._log} holds what it printed.")
        run = self._run(tick.run_ids[0], began) if tick.run_ids else None
        reason = tick.error.to_string() if tick.error else tick.skip_reason or ""
        return Beat(at, tick.status.value, reason, run, self._requests() - before)

    def _run(self, run_id: str, began: float) -> Run:
        [run], took = self.instance.get_runs(dg.RunsFilter([run_id])), time.monotonic() - began
        plan = plan_of(run, self._warehouse)
        stale = frozenset(f"{window.dataset} {window.month}" for window in plan.stale) if plan else frozenset()
        return Run(run_id, run.status == dg.DagsterRunStatus.SUCCESS, run.tags, took, stale)


@contextmanager
def _children_print_to(log: Path) -> Iterator[None]:
    """Processes that are started inside print to a file: what a run says is too much for a terminal."""
    saved = [os.dup(1), os.dup(2)]
    try:
        with log.open("ab") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        yield
    finally:
        for stream, kept in zip((1, 2), saved, strict=True):
            os.dup2(kept, stream)
            os.close(kept)
