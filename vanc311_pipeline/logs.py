"""How our processes and the libraries in them tell what happens while nobody looks: on standard error, in colours or as JSON lines."""

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.tracebacks import ExceptionDictTransformer

from vanc311_pipeline.settings import LogFormat

_FRAMES = 4

# A frame's variables hold what a reader or the portal sent: addresses, cookies, keys.
_without_locals = ExceptionDictTransformer(show_locals=False)


class Sparing(logging.Filter):
    """Lets so many records of a minute through; the first of a later minute says how many it kept back."""

    def __init__(self, at_most: int) -> None:
        super().__init__()
        self._at_most = at_most
        self._minute, self._seen = 0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        minute = int(record.created // 60)
        if minute != self._minute:
            kept_back = self._seen - self._at_most
            if kept_back > 0:
                record.msg = f"{record.msg} (and {kept_back} more like it in an earlier minute, not logged)"
            self._minute, self._seen = minute, 0
        self._seen += 1
        return self._seen <= self._at_most


def in_a_line(error: BaseException) -> str:
    """An unexpected error, short: what it says, and its way through our code, from where it was raised."""
    own_frames = [
        f"{frame.f_code.co_name} ({file.name}:{line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if "vanc311_pipeline" in (file := Path(frame.f_code.co_filename)).parts
    ]
    return f"{error!r:.200} in {' < '.join(own_frames[: -_FRAMES - 1 : -1])}"


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
