"""`vanc311 sync` and `verify`: a job of Dagster's, run in this process with its progress drawn; it is in the UI afterwards.

If the city publishes anew while we sync, the plan is made again. With `verify --deep` every row is read from the portal again.
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
from vanc311_pipeline.errors import EXIT_INTEGRITY, IntegrityFailed, Interrupted, SettingsError
from vanc311_pipeline.months import parse_months
from vanc311_pipeline.orchestration.failures import Failed, failed_checks, reason_of_failure
from vanc311_pipeline.orchestration.jobs import compare_with_portal, verify_deep
from vanc311_pipeline.orchestration.jobs import sync as sync_job
from vanc311_pipeline.orchestration.jobs import verify as verify_job
from vanc311_pipeline.orchestration.operations.logs import without_lost_events
from vanc311_pipeline.orchestration.operations.prometheus import write_measures
from vanc311_pipeline.orchestration.operations.run_lock import at_work
from vanc311_pipeline.orchestration.tags import keep_plan, range_tags
from vanc311_pipeline.pipeline import Progress
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import ARCHIVE, FIRST_LIVE_MONTH, LIVE, UNDATED, Settings
from vanc311_pipeline.warehouse import changelog, ledger
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.ledger import WHOLE

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
            work = _work(warehouse, span, archive, consent)
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


def _work(warehouse: Warehouse, months: list[str], archive: bool, consent: list[str]) -> Work:
    if months:
        why = f"Told to fetch {'..'.join(dict.fromkeys((months[0], months[-1])))}."
        return Work(range_tags(months[0], months[-1]), len(months), None, why, months[0] < FIRST_LIVE_MONTH)
    datasets = (LIVE, ARCHIVE) if archive else (LIVE,)
    with Portal(warehouse.settings) as client:
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
        _succeeded(in_process(job, instance, work.tags, config if consent else None))


def _succeeded(result: dg.ExecuteInProcessResult) -> None:
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


def run_verify(settings: Settings, console: Console, *, deep: bool = False, months: str | None = None) -> None:
    """Audit everything; print each check's verdict, and with `deep` each month's."""
    if months is not None and not deep:
        raise SettingsError("--months names the months to compare row by row: it goes with --deep.")
    span = [] if months is None else parse_months(months)
    warehouse = Warehouse(settings)
    with warehouse.read() as connection:
        stored = {window.month for window in ledger.months(connection)}
    if not stored:
        with Portal(settings) as client:
            client.release(LIVE)
        raise SettingsError("Nothing is stored yet, so there is nothing to verify. Run `vanc311 sync` first.")
    with (
        open_instance(settings) as instance,
        at_work(warehouse, instance, "`vanc311 verify`", None, partial(console.print, markup=False)),
    ):
        _audit(settings, instance, console)
        if deep:
            _compare(settings, instance, console, span, len(stored))


def _audit(settings: Settings, instance: dg.DagsterInstance, console: Console) -> None:
    result = in_process(build_definitions(settings).resolve_job_def(verify_job.name), instance, {})
    checks = result.get_asset_check_evaluations()
    for check in checks:
        verdict = "passed" if check.passed else "warns " if check.severity == dg.AssetCheckSeverity.WARN else "FAILED"
        words = f": {check.description}" if check.description else ""
        console.print(f"{verdict}  {check.asset_key.to_user_string()} · {check.check_name}{words}", markup=False)
    if wrong := [check.check_name for check in failed_checks(checks)]:
        raise IntegrityFailed(
            f"{len(wrong)} of {len(checks)} checks failed: {', '.join(wrong)}. Fetch the months that they name again with "
            "`vanc311 sync --months FROM..TO`; the raw files and the published file are untouched by this command."
        )
    _succeeded(result)
    console.print(f"All {len(checks)} checks hold.")


def _compare(
    settings: Settings, instance: dg.DagsterInstance, console: Console, months: list[str], stored: int
) -> None:
    bars = ProgressBars(console, len(months) or stored)
    with bars.drawn:
        job = build_definitions(settings, bars).resolve_job_def(verify_deep.name)
        _succeeded(in_process(job, instance, {}, {compare_with_portal.name: {"months": months}}))
    which = ", ".join(months) or "every month"
    console.print(f"Read from the portal again, and every row equal in every field: {which}.")
