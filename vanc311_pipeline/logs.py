"""How our processes tell what happens while nobody looks: on standard error, in colours for people or as JSON lines for collectors.

What belongs here: the form. What does not: what is told. Libraries' records take the same form. Dagster's own processes have
an option of the same name and values: `--log-format`.
"""

import logging
import sys
from typing import Any

import structlog

from vanc311_pipeline.settings import LogFormat


def set_up_logs(form: LogFormat, level: int = logging.WARNING) -> None:
    """Send every record of this process to standard error in one form: instant (UTC), level, logger, event, exception."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Any] = (
        [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
