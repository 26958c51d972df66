"""The processes that `vanc311 up` and `vanc311 serve` start: watched, and ended together. What they do is not known here.

Each leads a session of its own, so that Ctrl-C in a terminal reaches it through us alone. None of them imports a module from the
directory in which the command was typed. Each ends when we do: it is `python -m vanc311_pipeline.commands.children MODULE …`, whose
standard input is a pipe that only we hold open. The pipe ends with us, even if we are killed, and on every system; what still works
then is asked to end, with all that it started, and killed if it doesn't.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from vanc311_pipeline.errors import EXIT_INTERRUPTED, HANGS_SECONDS, ProcessEnded
from vanc311_pipeline.settings import Settings

GRACE_SECONDS = 20.0
"""How long a process that was asked to end may take."""
ASK_SECONDS = 60.0
YOUNG_SECONDS = 10.0
"""One that ends younger has a fault that another in its place would have, too."""
_LOOK_SECONDS = 0.2


class Children:
    """The processes of a `with` block; at its end they are ended."""

    def __init__(self) -> None:
        self.held: list[int] = []
        """Descriptors that each holds open as long as it is there."""
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, float] = {}
        self._pipe = os.pipe()
        """Each reads from it, and only this process may write to it."""

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()
        for descriptor in self._pipe:
            os.close(descriptor)

    def start(self, name: str, command: Sequence[str], settings: Settings, folder: Path | None = None) -> None:
        """Start a module with its arguments: it knows these settings alone, and works in Dagster's home if no folder is given."""
        self._began[name] = time.monotonic()
        self._running[name] = subprocess.Popen(
            [sys.executable, "-m", __name__, *command],
            env={**os.environ, **settings.to_environment(), "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "ignore"},
            stdin=self._pipe[0],
            cwd=folder or settings.dagster_home,
            pass_fds=self.held,
            start_new_session=True,
        )

    def run(self, name: str, command: Sequence[str], settings: Settings) -> int:
        """Start one that ends by itself, and wait for that; its exit code. If we are interrupted, so is it."""
        self.start(name, command, settings)
        child = self._running[name]
        try:
            child.wait()
        except KeyboardInterrupt:
            self.end()
            if child.returncode != EXIT_INTERRUPTED:  # it has not said so itself
                raise
        self._running.pop(name, None)
        return child.returncode

    def watch(self, until: Callable[[], bool] = lambda: False, replace: Callable[[str], None] | None = None) -> None:
        """Look on until it holds, or until we are interrupted; raise ProcessEnded if one ends that `replace` doesn't start again."""
        while not until():
            for name, child in list(self._running.items()):
                if child.poll() is not None:
                    if replace is None or time.monotonic() - self._began[name] < YOUNG_SECONDS:
                        raise ProcessEnded(name, child.returncode)
                    replace(name)
            time.sleep(_LOOK_SECONDS)

    def end(self) -> None:
        """Ask all to end, with all that they started; kill what doesn't in time, or as soon as we are interrupted once more."""
        children, self._running = list(self._running.values()), {}
        for child in children:
            _send(child, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
            for child in children:
                child.wait(max(0.0, deadline - time.monotonic()))
        for child in children:
            _send(child, signal.SIGKILL)
            child.wait()


def _send(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """To a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def hangs(code: Path) -> Iterator[bool]:
    """Whether a code server lets a question wait too long, as often as one wants to know: the containers' health check, once a minute."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"unix:{code}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        question = health_pb2.HealthCheckRequest(service="DagsterApi")
        while True:
            answer = check.future(question, timeout=HANGS_SECONDS, wait_for_ready=True)
            while not answer.done():
                yield False
            if answer.exception():
                yield True
            again = time.monotonic() + ASK_SECONDS
            while time.monotonic() < again:
                yield False


def main() -> None:
    """Run the module that the arguments name, as `python -m` would."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
