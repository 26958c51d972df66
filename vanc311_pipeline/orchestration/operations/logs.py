"""What Dagster's processes say in which our code runs: in the one form of all our processes (`vanc311_pipeline.logs`), and no more
than is worth a look. What a run keeps of itself for the UI, in every detail, is not touched.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO, cast

import dagster as dg

from vanc311_pipeline.logs import set_up_logs
from vanc311_pipeline.orchestration.dagster_private import (
    LOG_RECORD_EVENT_ATTR,
    LOG_RECORD_EVENT_BATCH_METADATA_ATTR,
    LOG_RECORD_METADATA_ATTR,
    context_creation_job,
)
from vanc311_pipeline.settings import LogFormat


def set_up_location_logs(form: LogFormat) -> None:
    """Have this process, which has loaded our code for Dagster, and the runs in it speak in one form."""
    set_up_logs(form)
    logging.getLogger("dagster").handlers.clear()  # they would say everything a second time, in a form of their own
    # A logger of our Definitions would serve only those runs whose configuration names it; this serves all, also those from the UI.
    vars(context_creation_job)["default_system_loggers"] = lambda _: [(dg.LoggerDefinition(_run_logger), {})]


def _run_logger(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("vanc311_pipeline.run")
    logger.setLevel(logging.INFO)  # Dagster's events are DEBUG, unless something failed
    logger.addFilter(_without_objects)
    return logger


def _without_objects(record: logging.LogRecord) -> bool:
    """Leave out what Dagster attaches; its message says it in words."""
    for name in (LOG_RECORD_EVENT_ATTR, LOG_RECORD_EVENT_BATCH_METADATA_ATTR, LOG_RECORD_METADATA_ATTR):
        record.__dict__.pop(name, None)
    return True


@contextmanager
def without_lost_events() -> Iterator[None]:
    """Leave out the page of SQL that Dagster writes to standard error of an event that it could not keep."""
    with redirect_stderr(cast(TextIO, _WithoutLostEvents(sys.stderr))):
        yield


class _WithoutLostEvents:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        lost_event = text.startswith("Exception while writing logger call to event log")
        return len(text) if lost_event else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
