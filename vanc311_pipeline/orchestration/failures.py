"""Failures: an error of ours in Dagster's terms, with the words for the user and the exit code for the command line."""

import dagster as dg

from vanc311_pipeline.errors import PipelineError, PortalUnavailable
from vanc311_pipeline.orchestration.resources import PortalResource

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
