"""`vanc311 verify`: every asset check over everything that is stored, as a Dagster run of checks alone."""

import dagster as dg
from rich.console import Console

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.sync import in_process, reason_of_failure
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.errors import IntegrityError
from vanc311_pipeline.orchestration.job import verify as verify_job
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse


def run_verify(settings: Settings, console: Console) -> None:
    """Audit all months; print each check's verdict.

    Raises:
        SettingsError: there is nothing to verify yet.
        IntegrityError: a check found our data wrong.
    """
    with Warehouse.of(settings).read():
        pass
    with open_instance(settings) as instance:
        result = in_process(build_definitions(settings).resolve_job_def(verify_job.name), instance, {})
    checks = result.get_asset_check_evaluations()
    if not checks:
        raise reason_of_failure(result)
    for check in checks:
        verdict = "passed" if check.passed else "warns " if check.severity == dg.AssetCheckSeverity.WARN else "FAILED"
        said = f": {check.description}" if check.description else ""
        console.print(f"{verdict}  {check.asset_key.to_user_string()} · {check.check_name}{said}", markup=False)
    wrong = [check.check_name for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} of {len(checks)} checks failed: {', '.join(wrong)}. Fetch the months that they name again with "
            "`vanc311 sync --months FROM..TO`; the raw files and the published file are untouched by this command."
        )
    if not result.success:
        raise reason_of_failure(result)
    console.print(f"All {len(checks)} checks hold.")
