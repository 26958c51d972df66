"""The asset checks: Dagster's side of the audits, which are declared where they stand (`warehouse.audits`).

A problem (our data is wrong or not proven) fails with ERROR and, where the check is blocking, stops what comes after. A note (the
city's own data is odd) fails with WARN. An audit that raises is a broken audit, not a failed check, and is left to raise. Checks are
unpartitioned: on Dagster 1.13 a partitioned check that runs over a range leaves its months planned for ever. They look at the months
that the run loaded, or, launched alone, at everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.orchestration.failures import portal_of
from vanc311_pipeline.orchestration.metadata import STATISTICS
from vanc311_pipeline.orchestration.resources import WarehouseParam
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import Run, check_result
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.audits.questions import Audit, Finding
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import CheckResult

SHOWN = 100  # problems in its table


def spec_of(audit: Audit) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(audit.name, asset=audit.asset, blocking=audit.blocking, description=audit.description)


def step_of(audit: Audit) -> str:
    """What an audit is run with: the others of its asset, or of all statistics; alone, if it asks the portal."""
    if audit.asks_portal:
        return audit.name
    return "statistics" if audit.asset in STATISTICS else audit.asset


def result(audit: Audit, finding: Finding) -> dg.AssetCheckResult:
    """A finding as Dagster's verdict: problems are errors, notes are warnings, counts are always shown."""
    lines = [{"what": what, "row": ""} for what in (*finding.problems, *finding.notes)]
    rows = [{"what": what, "row": row} for what, row in finding.offending]
    return dg.AssetCheckResult(
        passed=finding.result == "passed",
        check_name=audit.name,
        asset_key=audit.asset,
        severity=dg.AssetCheckSeverity.ERROR if finding.problems else dg.AssetCheckSeverity.WARN,
        description=finding.sentence,
        metadata={
            "problems": len(finding.problems),
            "notes": len(finding.notes),
            **finding.counts,
            **_table("compared", finding.table),
            **_table("offending", [*lines[:SHOWN], *rows]),
        },
    )


def _table(name: str, lines: Sequence[Mapping[str, int | str]]) -> dict[str, dg.TableMetadataValue]:
    records = [dg.TableRecord(dict(line)) for line in lines]
    return {name: dg.MetadataValue.table(records)} if records else {}


def _run_of(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Run | None:
    """The run whose months are checked; None, which means all, when a check was launched alone."""
    step = context.op_execution_context
    if plan := plan_of(context.run, warehouse):
        return Run(context.run.run_id, plan)
    if step.has_partition_key or step.has_partition_key_range:
        return Run(context.run.run_id, months=step.partition_keys)
    return None


def checks_of(step: str, audits: Sequence[Audit]) -> dg.AssetChecksDefinition:
    """All checks of one asset, or of all statistics, as one step with one connection."""

    @dg.multi_asset_check(name=f"check_{step}", specs=[spec_of(audit) for audit in audits], can_subset=True)
    def run_checks(context: dg.AssetCheckExecutionContext, warehouse: WarehouseParam) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        chosen = [audit for audit in audits if audit.name in selected]
        with portal_of(context.op_execution_context, warehouse.settings) as client:
            for audit, finding in pipeline.audit(client, warehouse, _run_of(context, warehouse), chosen):
                yield result(audit, finding)

    return run_checks


def audits_for(settings: Settings) -> list[Audit]:
    """The audits of the assets that there are: a shipment has one only where something ships."""
    return [audit for audit in AUDITS if settings.ship_url or audit.asset != "shipped_database"]


def asset_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    steps: dict[str, list[Audit]] = {}
    for audit in audits_for(settings):
        steps.setdefault(step_of(audit), []).append(audit)
    return [checks_of(step, audits) for step, audits in steps.items()]


def last_results(instance: dg.DagsterInstance, audits: Sequence[Audit]) -> list[CheckResult]:
    """What each check last found."""
    checks = {spec_of(check).key: check for check in audits}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    results: list[CheckResult] = []
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        evaluation = event.event_specific_data if event else None
        if record.event and isinstance(evaluation, dg.AssetCheckEvaluation):
            at = datetime.fromtimestamp(record.event.timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            failed = "failed" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warned"
            verdict = "passed" if evaluation.passed else failed
            results.append(check_result(checks[key], verdict, evaluation.description, at, record.run_id))
    return results
