"""`vanc311 verify`: is what is stored right, and is it what the portal has? As Dagster runs, which the UI shows.

Every asset check over everything, one of which asks the portal month by month; with `--deep` every row is read from the
portal again and compared in every field.
"""

from functools import partial

import dagster as dg
from rich.console import Console

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.sync import ProgressBars, in_process
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.errors import IntegrityFailed, SettingsError
from vanc311_pipeline.months import parse_months
from vanc311_pipeline.orchestration.failures import failed_checks, reason_of_failure
from vanc311_pipeline.orchestration.jobs import compare_with_portal, verify_deep
from vanc311_pipeline.orchestration.jobs import verify as verify_job
from vanc311_pipeline.orchestration.operations.run_lock import at_work
from vanc311_pipeline.pipeline import open_portal
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse


def run_verify(settings: Settings, console: Console, *, deep: bool = False, months: str | None = None) -> None:
    """Audit everything; print each check's verdict, and with `deep` each month's."""
    if months is not None and not deep:
        raise SettingsError("--months names the months to compare row by row: it goes with --deep.")
    span = [] if months is None else parse_months(months)
    warehouse = Warehouse(settings)
    with warehouse.read() as connection:
        stored = {window.month for window in ledger.months(connection)}
    if not stored:
        with open_portal(settings) as client:
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
    if not checks:
        raise reason_of_failure(result.all_events)
    for check in checks:
        verdict = "passed" if check.passed else "warns " if check.severity == dg.AssetCheckSeverity.WARN else "FAILED"
        words = f": {check.description}" if check.description else ""
        console.print(f"{verdict}  {check.asset_key.to_user_string()} · {check.check_name}{words}", markup=False)
    if wrong := [check.check_name for check in failed_checks(checks)]:
        raise IntegrityFailed(
            f"{len(wrong)} of {len(checks)} checks failed: {', '.join(wrong)}. Fetch the months that they name again with "
            "`vanc311 sync --months FROM..TO`; the raw files and the published file are untouched by this command."
        )
    if not result.success:
        raise reason_of_failure(result.all_events)
    console.print(f"All {len(checks)} checks hold.")


def _compare(
    settings: Settings, instance: dg.DagsterInstance, console: Console, months: list[str], stored: int
) -> None:
    bars = ProgressBars(console, len(months) or stored)
    with bars.drawn:
        job = build_definitions(settings, bars).resolve_job_def(verify_deep.name)
        result = in_process(job, instance, {}, {compare_with_portal.name: {"months": months}})
    if not result.success:
        raise reason_of_failure(result.all_events)
    console.print(
        f"Read from the portal again, and every row equal in every field: {', '.join(months) or 'every month'}."
    )
