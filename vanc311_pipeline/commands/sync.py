"""`vanc311 sync`: plan, run the job `sync` through Dagster in this process, draw its progress, sum it up.

The run and its checks are in the UI afterwards. If the city publishes anew while we read, the plan is made again.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
from rich import progress as rich
from rich.console import Console

from vanc311_pipeline import pipeline
from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.summary import print_summary
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.entry import asked_to_end
from vanc311_pipeline.errors import EXIT_INTEGRITY, Interrupted, SettingsError
from vanc311_pipeline.months import parse_months
from vanc311_pipeline.orchestration.failures import Failed, reason_of_failure
from vanc311_pipeline.orchestration.jobs import sync as sync_job
from vanc311_pipeline.orchestration.operations.logs import without_lost_events
from vanc311_pipeline.orchestration.operations.prometheus import write_measures
from vanc311_pipeline.orchestration.operations.run_lock import at_work
from vanc311_pipeline.orchestration.tags import keep_plan, range_tags
from vanc311_pipeline.pipeline import Progress
from vanc311_pipeline.settings import ARCHIVE, FIRST_LIVE_MONTH, LIVE, UNDATED, Settings
from vanc311_pipeline.warehouse import changelog
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.holds import WHOLE

REPLANS = 3


@dataclass(frozen=True)
class Work:
    """What a run is to do: its tags, and how much it is, for the progress bar."""

    tags: Mapping[str, str]
    months: int
    rows: int | None
    why: str
    archive: bool = False
    """Whether it loads months before 2022."""


def run_sync(
    settings: Settings,
    console: Console,
    months: str | None = None,
    archive: bool = False,
    accept_shrink: Sequence[str] = (),
) -> None:
    """Bring the data into step with the portal."""
    consent = _consent(accept_shrink)
    span = [] if months is None else parse_months(months)
    if span and archive:
        raise SettingsError(
            "--months and --archive exclude each other: --months names the months, --archive asks for all of 2009 to 2021."
        )
    warehouse = Warehouse(settings)
    warehouse.create()
    began = utc_now()
    console.print(f"Portal: {settings.portal_url}{'  (the bundled sample)' if settings.source == 'sample' else ''}")
    with ExitStack() as stack:
        instance = stack.enter_context(open_instance(settings))
        waiting = partial(console.print, markup=False)
        stack.enter_context(at_work(warehouse, instance, "`vanc311 sync`", None, waiting))
        stack.callback(write_measures, instance, settings)
        for attempt in range(REPLANS):
            work = _of_months(span, months) if span else _plan(warehouse, archive, consent)
            console.print(work.why)
            if not work.tags:
                break
            started = time.monotonic()
            try:
                _run(settings, instance, console, work, consent)
            except Failed as failed:
                if failed.kind != "ReleaseMoved" or attempt == REPLANS - 1:
                    raise
                console.print(f"{failed} Planning again.", markup=False)
                continue
            console.print(f"Done in {time.monotonic() - started:,.1f} s.")
            break
    if consent:
        with warehouse.read() as connection:
            used = changelog.accepted_since(connection, began)
        if unused := [month for month in consent if month not in used and not (month == WHOLE and used)]:
            console.print(f"Consent that was not needed, because nothing of it was held: {', '.join(unused)}.")
    print_summary(settings, console)


def _consent(accept_shrink: Sequence[str]) -> list[str]:
    """The months, each by itself."""
    try:
        ranges = [[text] if text in (WHOLE, UNDATED) else parse_months(text) for text in accept_shrink]
    except SettingsError as error:
        raise SettingsError(f"--accept-shrink: {error} To follow the portal everywhere, write {WHOLE}.") from None
    return [month for months in ranges for month in months]


def _of_months(months: list[str], name: str | None) -> Work:
    why = f"Told to fetch {name}."
    return Work(range_tags(months[0], months[-1]), len(months), None, why, months[0] < FIRST_LIVE_MONTH)


def _plan(warehouse: Warehouse, archive: bool, consent: list[str]) -> Work:
    datasets = (LIVE, ARCHIVE) if archive else (LIVE,)
    with pipeline.open_portal(warehouse.settings) as client:
        plan = pipeline.plan(client, warehouse, datasets, consent)
    if plan.held and plan.action == "skip":
        raise Failed(plan.why, EXIT_INTEGRITY)
    if plan.action == "skip":
        return Work({}, 0, 0, plan.why, archive)
    return Work(keep_plan(warehouse, plan), len(plan.months), plan.rows, plan.why, archive)


def _run(settings: Settings, instance: dg.DagsterInstance, console: Console, work: Work, consent: list[str]) -> None:
    bars = ProgressBars(console, work.months, work.rows)
    with bars.drawn:
        job = build_definitions(settings, bars, work.archive or None).resolve_job_def(sync_job.name)
        config = {name: {"accept_shrink": consent} for name in ("raw_service_requests", "service_requests")}
        result = in_process(job, instance, work.tags, config if consent else None)
    if not result.success:
        raise reason_of_failure(result.all_events)


def in_process(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    tags: Mapping[str, str],
    config: Mapping[str, Mapping[str, Any]] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job here and now; its run is in the UI like any other. The `config` is that of its steps, by name."""
    try:
        with without_lost_events():
            return job.execute_in_process(
                instance=instance,
                tags={**tags, ".dagster/repository": "__repository__@vanc311_pipeline"},
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {step: {"config": values} for step, values in (config or {}).items()},
                },
                raise_on_error=False,
            )
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        raise Interrupted from error


def _go_on() -> None:
    """End the run here if it was asked to end and Python dropped what Dagster's signal handler raised."""
    if asked_to_end():
        raise dg.DagsterExecutionInterruptedError


class ProgressBars(Progress):
    """A progress bar for landing and one for storing: months, rows, rate and time left. Plain lines without a terminal."""

    def __init__(self, console: Console, months: int, rows: int | None = None) -> None:
        self._console, self._months, self._rows = console, months, rows
        self.drawn = rich.Progress(
            rich.TextColumn("{task.description:<8}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("months · {task.fields[rows]:,} rows · {task.fields[rate]:,.0f} rows/s"),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or "NO_PROGRESS" in os.environ,
        )
        self._tasks: dict[str, rich.TaskID] = {}

    def landed(self, month: str, rows: int) -> None:
        self._step("landed", month, rows)

    def stored(self, month: str, rows: int) -> None:
        if rows:
            self._step("stored", month, rows)

    def working(self, what: str) -> None:
        _go_on()
        if self.drawn.disable:
            self._console.print(f"  {what}")

    def _step(self, what: str, month: str, rows: int) -> None:
        _go_on()
        if what not in self._tasks:
            self._tasks[what] = self.drawn.add_task(what, total=self._months, rows=0, rate=0.0)
        task = self.drawn.tasks[self._tasks[what]]
        so_far = task.fields["rows"] + rows
        self.drawn.update(task.id, advance=1, rows=so_far, rate=so_far / max(task.elapsed or 0.0, 1e-3))
        if self.drawn.disable:
            whole = f" of {self._rows:,}" if self._rows else ""
            self._console.print(f"  {month} {what}: {rows:,} rows ({so_far:,}{whole})")
