"""Failures: an error of ours in Dagster's terms, with the words for the user and the exit code for the command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from vanc311_pipeline.errors import PipelineError, PortalUnavailable
from vanc311_pipeline.pipeline import failed_in_words, open_portal
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import Settings

STEP_RETRIES = 1
"""The portal answers slowly or not at all now and then: after the client gave up, the step is tried once more."""


@contextmanager
def in_our_words() -> Iterator[None]:
    """Have an error of ours end the step as Dagster's own: with the same words, and the exit code."""
    try:
        yield
    except PipelineError as error:
        metadata: dict[str, str | int] = {"error": type(error).__name__, "exit_code": error.exit_code}
        raise dg.Failure(str(error), metadata, allow_retries=False) from error


@contextmanager
def portal_of(context: dg.OpExecutionContext, settings: Settings) -> Iterator[Portal]:
    """The portal, for a step that is tried once more if it can't be reached.

    The step itself asks for that: a retry policy would also take Ctrl-C for a failure and begin anew, and would
    replace our words by its own when it gives up.
    """
    with in_our_words():
        try:
            with open_portal(settings) as client:
                yield client
        except PortalUnavailable as error:
            if context.retry_number >= STEP_RETRIES:
                raise
            raise dg.RetryRequested(STEP_RETRIES, 2 * settings.retry_wait_seconds) from error


def words_of_failure(logs: Sequence[dg.EventLogEntry], failed: dg.EventLogEntry) -> str:
    """Why a run failed, in the words of whoever knows best: its failed checks, else its steps' errors, else Dagster."""
    events = [entry.dagster_event for entry in logs if entry.dagster_event]
    checks = [event.event_specific_data for event in events]
    if wrong := failed_checks([check for check in checks if isinstance(check, dg.AssetCheckEvaluation)]):
        return words_of_checks(wrong)
    return "\n".join(_words_of_step(event) for event in events if event.is_step_failure) or failed.message


def failed_checks(checks: Sequence[dg.AssetCheckEvaluation]) -> list[dg.AssetCheckEvaluation]:
    """Those that found a problem."""
    return [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]


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
