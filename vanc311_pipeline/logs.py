"""How our processes tell what happens while nobody looks: on standard error, in colours for people or as JSON lines for collectors.

What belongs here: the form. What does not: what is told. Libraries' records take the same form; how Dagster's do is in
`orchestration.logs`.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.tracebacks import ExceptionDictTransformer

from vanc311_pipeline.settings import LogFormat

# A frame's variables hold what a reader or the portal sent: addresses, cookies, keys.
_without_locals = ExceptionDictTransformer(show_locals=False)


def set_up_logs(form: LogFormat, level: int = logging.WARNING) -> None:
    """Send every record of this process to standard error in one form: instant (UTC), level, logger, event, exception."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Any] = (
        [ExceptionRenderer(_without_locals), JSONRenderer(ensure_ascii=False)]
        if form == "json"
        else [ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
