"""The asset checks: Dagster's side of the audits, which are declared where they stand (`warehouse.audits`).

A problem (our data is wrong or not proven) fails with ERROR and, where the check is blocking, stops what comes after.
A note (the city's own data is odd) fails with WARN: counted and said, never stopped. An audit that raises is a broken
audit, not a failed check, and is left to raise.

Checks are unpartitioned: on Dagster 1.13 a partitioned check that runs over a range leaves its months planned for ever.
They look at the months that the run loaded, or, launched alone, at everything.
"""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration.assets.statistics import STATISTICS
from vanc311_pipeline.orchestration.failures import failure_or_retry
from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import Run, audit_context
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.audits.questions import Audit, Finding

SHOWN = 100  # problems in its table


def spec_of(audit: Audit) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(audit.name, asset=audit.asset, blocking=audit.blocking, description=audit.description)


def step_of(audit: Audit) -> str:
    """What an audit is run with: the others of its asset, or of all statistics, which are made in one step, too."""
    return "statistics" if audit.asset in STATISTICS else audit.asset


def result(audit: Audit, finding: Finding) -> dg.AssetCheckResult:
    """A finding as Dagster's verdict: problems are errors, notes are warnings, counts are always shown."""
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
            **_table("offending", _offending(finding)),
        },
    )


def _offending(finding: Finding) -> list[Mapping[str, str]]:
    """All that was found, a line each, and some of the rows."""
    lines = [{"what": what, "row": ""} for what in (*finding.problems, *finding.notes)]
    rows = [{"what": what, "row": row} for what, row in finding.offending]
    return [*lines[:SHOWN], *rows]


def _table(name: str, lines: Sequence[Mapping[str, int | str]]) -> dict[str, dg.TableMetadataValue]:
    records = [dg.TableRecord(dict(line)) for line in lines]
    return {name: dg.MetadataValue.table(records)} if records else {}


def run_of(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Run | None:
    """The run whose months are checked; None, which means all, when a check was launched alone."""
    step = context.op_execution_context
    if plan := plan_of(context.run, store.open()):
        return Run(context.run.run_id, plan)
    return (
        Run(context.run.run_id, months=step.partition_keys)
        if step.has_partition_key or step.has_partition_key_range
        else None
    )


def checks_of(step: str, audits: Sequence[Audit]) -> dg.AssetChecksDefinition:
    """All checks of one asset, or of all statistics, as one step with one connection."""

    @dg.multi_asset_check(name=f"check_{step}", specs=[spec_of(audit) for audit in audits], can_subset=True)
    def run_checks(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Iterator[dg.AssetCheckResult]:
        selected = {key.name for key in context.selected_asset_check_keys}
        with store.open().read() as connection:
            shared = audit_context(store.places, connection, run_of(context, store))
            for audit in (audit for audit in audits if audit.name in selected):
                yield result(audit, audit(shared))

    return run_checks


def check_that_asks(audit: Audit) -> dg.AssetChecksDefinition:
    """A check that compares with the portal, as a step of its own. What a planned run was told by its plan is not asked again."""

    @dg.multi_asset_check(name=f"check_{audit.name}", specs=[spec_of(audit)])
    def run_check(
        context: dg.AssetCheckExecutionContext, portal: PortalResource, store: StoreResource
    ) -> Iterator[dg.AssetCheckResult]:
        try:
            with portal.open() as client:
                findings = list(pipeline.audit(client, store.places, run_of(context, store), [audit]))
        except PipelineError as error:
            raise failure_or_retry(error, context.op_execution_context, portal) from error
        yield from (result(*each) for each in findings)

    return run_check


def audits_for(settings: Settings) -> list[Audit]:
    """The audits of the assets that there are: a shipment has one only where something ships."""
    return [audit for audit in AUDITS if settings.ship_url or audit.asset != "shipped_database"]


def asset_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """`audits_for` as Dagster takes them."""
    steps: dict[str, list[Audit]] = {}
    for audit in audits_for(settings):
        if not audit.asks_portal:
            steps.setdefault(step_of(audit), []).append(audit)
    asking = [audit for audit in audits_for(settings) if audit.asks_portal]
    return [*(checks_of(step, audits) for step, audits in steps.items()), *map(check_that_asks, asking)]
