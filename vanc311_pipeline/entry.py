"""How a command begins and ends: what asks it to end, what its output may not fail of, and its errors as exit codes.

It imports nothing that takes long, because a request to end counts during the import of the rest, too, and it knows no command.
"""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import NoReturn

from vanc311_pipeline.errors import EXIT_INTEGRITY, EXIT_INTERRUPTED, EXIT_USAGE, Interrupted, PipelineError, printable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_asked: set[int] = set()
_received, _receiving = os.pipe()  # Python writes each signal's number there, whoever handles it
for _end in (_received, _receiving):
    os.set_blocking(_end, False)


def main(run: Callable[[], object]) -> None:
    """Run a command; our own errors become one message and their exit code."""
    with _told_of_signals():
        try:
            _accept_every_letter()
            spare_loopback(os.environ)
            with _ended_as_asked():
                run()
        except PipelineError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            sys.exit(EXIT_INTEGRITY)
        except KeyboardInterrupt:
            _fail(str(Interrupted()), EXIT_INTERRUPTED)
        except Exception as error:
            from vanc311_pipeline.disk import in_words, refusal  # loads SQLAlchemy

            if (refused := refusal(error)) is None:
                raise
            _fail(in_words(refused), EXIT_USAGE)


def asked_to_end() -> bool:
    """Whether a signal asked this command to end, also where Dagster handles it, or Python dropped in a finalizer what was raised."""
    with suppress(BlockingIOError):
        _asked.update(os.read(_received, 65_536))
    return not _asked.isdisjoint(ENDING)


@contextmanager
def lasting() -> Iterator[None]:
    """Around work that lasts until it is asked to end: its end is no interruption, and the command goes on."""
    with suppress(KeyboardInterrupt):
        yield
    _forget()


def _forget() -> None:
    asked_to_end()
    _asked.clear()


@contextmanager
def _ended_as_asked() -> Iterator[None]:
    """Whatever ends the block, or nothing, is an interruption if a signal came; a child that said so is not repeated."""
    code: object = None
    try:
        yield
    except SystemExit as error:
        code = error.code
        raise
    finally:
        if asked_to_end() and code != EXIT_INTERRUPTED:
            raise Interrupted


@contextmanager
def _told_of_signals() -> Iterator[None]:
    """Being told to end, and the terminal that closes, are Ctrl-C, even if the shell, for its background, had SIGINT ignored; a SIGHUP
    that is ignored is the wish of `nohup`.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]
    sys.unraisablehook = _say_what_was_dropped
    fd_before = signal.set_wakeup_fd(_receiving, warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        sys.unraisablehook = sys.__unraisablehook__
        _forget()


def _say_what_was_dropped(dropped: "sys.UnraisableHookArgs") -> None:
    if not asked_to_end():
        sys.__unraisablehook__(dropped)


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
    import click

    click.echo(f"{click.style('Error:', fg='red', bold=True)} {printable(message)}", err=True)
    sys.exit(code)
