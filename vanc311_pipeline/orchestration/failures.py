"""Failures: an error of ours in Dagster's terms, and back: with the words for the user and the exit code for the command line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from vanc311_pipeline import errors
from vanc311_pipeline.disk import in_words, is_refusal
from vanc311_pipeline.errors import EXIT_INTEGRITY, Interrupted, PipelineError, PortalUnavailable, StorageRefused
from vanc311_pipeline.orchestration.dagster_private import SerializableErrorInfo
from vanc311_pipeline.pipeline import failed_in_words
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import Settings

_INTERRUPTIONS = (dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__)
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
    """The portal, for a step that asks to be tried once more if it can't be reached: a retry policy would also take Ctrl-C for a
    failure and begin anew, and would replace our words by its own when it gives up.
    """
    with in_our_words():
        try:
            with Portal(settings) as client:
                yield client
        except PortalUnavailable as error:
            if context.retry_number >= STEP_RETRIES:
                raise
            raise dg.RetryRequested(STEP_RETRIES, 2 * settings.retry_wait_seconds) from error


class Failed(PipelineError):
    """A run that ended badly, with the exit code of what ended it."""

    def __init__(self, message: str, exit_code: int, kind: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.kind = kind


def reason_of_failure(events: Sequence[dg.DagsterEvent]) -> Failed | RuntimeError:
    """Why a run failed: the error of ours that a step raised, else its failed checks, else every other error, with its trace."""
    raised = [(event.step_key, event.step_failure_data.error) for event in events if event.is_step_failure]
    for _, error in raised:
        if reason := _reason(error):
            return reason
    checks = [event.event_specific_data for event in events]
    if wrong := failed_checks([check for check in checks if isinstance(check, dg.AssetCheckEvaluation)]):
        lines = [f"  {check.asset_key.to_user_string()} · {check.check_name}: {check.description}" for check in wrong]
        return Failed(failed_in_words(lines, {check.asset_key.to_user_string() for check in wrong}), EXIT_INTEGRITY)
    causes = {step: error.cause or error for step, error in raised if error}
    unexpected = RuntimeError("\n".join(f"{step}: {error.message.strip()}" for step, error in causes.items()))
    unexpected.add_note("\n".join(error.to_string() for _, error in raised if error))
    return unexpected


def failed_checks(checks: Sequence[dg.AssetCheckEvaluation]) -> list[dg.AssetCheckEvaluation]:
    return [check for check in checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]


def _reason(error: SerializableErrorInfo | None) -> Failed | None:
    """The error of ours, or the disk's refusal, behind what a step or a check raised: Dagster keeps names and words."""
    while error is not None:
        name, message = error.cls_name or "", error.message.strip().partition(": ")[2]
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, PipelineError):
            return Failed(message, kind.exit_code, name)
        if name in _INTERRUPTIONS:
            return Failed(str(Interrupted()), Interrupted.exit_code)
        if is_refusal(name, message):
            return Failed(in_words(message), StorageRefused.exit_code, StorageRefused.__name__)
        error = error.cause
    return None
