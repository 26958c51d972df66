"""How a command begins and ends: what asks it to end, what its output may not fail of, and its errors as exit codes.

What belongs here: nothing that takes long to import, because being asked to end while the rest is imported counts, too. What does
not: the commands and their options (`cli`).
"""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from vanc311_pipeline.errors import EXIT_INTEGRITY, EXIT_USAGE, Interrupted, PipelineError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(run: Callable[..., object] | None = None) -> None:
    """Run a command, `vanc311` by default; our own errors become one message and their exit code."""
    asked: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    with _told_of_signals(interrupt):
        try:
            _accept_every_letter()
            spare_loopback(os.environ)
            (run or _command_line())()
        except PipelineError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            sys.exit(EXIT_INTEGRITY)
        except (Exception, KeyboardInterrupt) as error:
            if asked or isinstance(error, KeyboardInterrupt):  # what is interrupted may raise something else instead
                _fail(str(Interrupted()), Interrupted.exit_code)
            from vanc311_pipeline.disk import in_words, refusal  # loads SQLAlchemy

            if (refused := refusal(error)) is None:
                raise
            _fail(in_words(refused), EXIT_USAGE)


def _command_line() -> Callable[..., object]:
    from vanc311_pipeline.cli import vanc311

    return vanc311


@contextmanager
def _told_of_signals(interrupt: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Being told to end, and the terminal that closes, are Ctrl-C.

    A shell starts what runs in its background with SIGINT ignored, and children would inherit that; a SIGHUP that is ignored is
    the wish of `nohup`.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _accept_every_letter() -> None:
    """A terminal without a letter shows a code for it; a good run doesn't fail of that."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def spare_loopback(environment: MutableMapping[str, str]) -> None:
    """Have no proxy asked for what is on this machine, by this process and its children."""
    names = ("no_proxy", "NO_PROXY")
    hosts = [host.strip() for name in names for host in environment.get(name, "").split(",")]
    for name in names:
        environment[name] = ",".join(dict.fromkeys(host for host in (*hosts, *LOOPBACK) if host))


def _fail(message: str, code: int) -> NoReturn:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # it ends already
    from rich.markup import escape

    from vanc311_pipeline.terminal import Terminal

    Terminal(stderr=True).print(f"[bold red]Error:[/] {escape(message)}")
    sys.exit(code)
