"""Failures: an error of ours in Dagster's terms, with the words for the user and the exit code for the command line."""

from collections.abc import Sequence

import dagster as dg

from vanc311_pipeline.errors import PipelineError, PortalUnavailable
from vanc311_pipeline.orchestration.resources import PortalResource
from vanc311_pipeline.pipeline import failed_in_words

STEP_RETRIES = 1
"""The portal answers slowly or not at all now and then: after the client gave up, the step is tried once more."""


def failure(error: PipelineError) -> dg.Failure:
    """An error of ours as Dagster's: the same words, and the exit code."""
    return dg.Failure(
        description=str(error),
        metadata={"error": type(error).__name__, "exit_code": error.exit_code},
        allow_retries=False,
    )


def failure_or_retry(
    error: PipelineError, context: dg.OpExecutionContext, portal: PortalResource
) -> dg.Failure | dg.RetryRequested:
    """`failure`, but an unreachable portal is asked once more.

    The step itself asks for the retry: a retry policy would also take Ctrl-C for a failure and begin anew, and would
    replace our words by its own when it gives up.
    """
    if isinstance(error, PortalUnavailable) and context.retry_number < STEP_RETRIES:
        return dg.RetryRequested(max_retries=STEP_RETRIES, seconds_to_wait=2 * portal.retry_wait_seconds)
    return failure(error)


def words_of_failure(logs: Sequence[dg.EventLogEntry], failed: dg.EventLogEntry) -> str:
    """Why a run failed, in the words of whoever knows best: its failed checks, else its steps' errors, else Dagster."""
    events = [entry.dagster_event for entry in logs if entry.dagster_event]
    checks = [
        event.event_specific_data for event in events if isinstance(event.event_specific_data, dg.AssetCheckEvaluation)
    ]
    wrong = [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
    if wrong:
        return words_of_checks(wrong)
    raised = [_words_of_step(event) for event in events if event.is_step_failure]
    return "\n".join(raised) or failed.message


def words_of_checks(wrong: Sequence[dg.AssetCheckEvaluation]) -> str:
    """What failed checks found, and what that means for the data."""
    lines = [f"  {check.asset_key.to_user_string()} · {check.check_name}: {check.description}" for check in wrong]
    return failed_in_words(lines, {check.asset_key.to_user_string() for check in wrong})


def _words_of_step(event: dg.DagsterEvent) -> str:
    """A failed step's error: ours as we said it, any other by its name and its message."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error.cause if data.error and data.error.cause else data.error
    return f"{event.step_key}: {error.message.strip() if error else event.message}"
