"""`vanc311 …` as processes of their own, forked from one that has imported everything: a moment each instead of seconds.

Belongs here: starting them. Does not belong here: tests of the start itself, which need a fresh interpreter.
"""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from vanc311_pipeline_tests.end_to_end.city import Ended, Pipeline

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["pytest", "vanc311_pipeline.cli", "vanc311_pipeline.commands.sync", "vanc311_pipeline.commands.sync"]
)


class Child:
    """A command at work; what it says goes to files."""

    def __init__(self, pipeline: Pipeline, folder: Path, *arguments: str) -> None:
        self._out, self._err = folder / "out", folder / "err"
        environment = {**os.environ, **pipeline.settings.to_environment()}
        self.process: ForkServerProcess = FORKING.Process(
            target=command, args=(arguments, environment, self._out, self._err)
        )
        self.process.start()

    def end(self) -> Ended:
        """How it ended, and what it said."""
        self.process.join(120)
        code = self.process.exitcode
        assert code is not None, "it hangs"
        return Ended(code, self._out.read_text(), self._err.read_text())


def command(arguments: tuple[str, ...], environment: dict[str, str], out: Path, err: Path) -> None:
    """In the child: the command as the console script calls it."""
    from vanc311_pipeline.cli import vanc311
    from vanc311_pipeline.entry import main

    os.environ.clear()
    os.environ.update(environment)
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    main(lambda: vanc311(args=list(arguments), prog_name="vanc311"))


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Whoever starts children asks for it: the server ends with the tests, and its processor seconds count."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
