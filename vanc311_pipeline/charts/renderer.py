"""Vega's pictures, made by vl-convert in a process of its own: what it can't bear ends that process, and costs one picture."""

import atexit
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.logs import Sparing

log = logging.getLogger(__name__)
log.addFilter(Sparing(at_most=10))

_SECONDS = 60
_NICENESS = 10
"""Whoever waits for a picture waits longer than whoever waits for a number: on few processors the number comes first."""


class NotDrawn(PipelineError):
    """A picture can't be drawn; its numbers are whole."""


class Renderer:
    """The process that draws. It starts with the first picture, and anew after it has ended; it ends with its parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self._asking: Connection | None = None

    def draw(self, function: str, *arguments: Any, **options: Any) -> Any:
        """What a function of vl-convert makes of these."""
        with self._lock:
            try:
                asking = self._asking or self._start()
                asking.send((function, arguments, options))
                if not asking.poll(_SECONDS):
                    raise TimeoutError(f"nothing came for {_SECONDS} seconds")
                answer = asking.recv()
            except (OSError, EOFError) as error:
                log.error("The process that draws pictures was lost at one (%r); the next has a new one.", error)
                self.end()
                answer = error
        if isinstance(answer, Exception):
            raise NotDrawn("This picture can't be drawn. Its numbers are whole: take them as CSV.") from answer
        return answer

    def _start(self) -> Connection:
        self._asking, answering = Pipe()
        with answering:
            number = answering.fileno()
            command = [sys.executable, "-P", "-m", __name__, str(number)]
            self.process = subprocess.Popen(command, pass_fds=[number], stderr=subprocess.DEVNULL)
        return self._asking

    def end(self) -> None:
        """End the process, if there is one; the next picture starts another."""
        if self._asking is not None and self.process is not None:
            self._asking.close()
            self.process.kill()
            self.process.wait()
        self._asking = None


renderer = Renderer()
atexit.register(renderer.end)


def main() -> None:
    """Answer until whoever asks is gone."""
    import vl_convert

    os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: our parent decides
    with Connection(int(sys.argv[1])) as asking, suppress(EOFError):
        while True:
            function, arguments, options = asking.recv()
            try:
                asking.send(getattr(vl_convert, function)(*arguments, **options))
            except Exception as error:
                asking.send(ValueError(str(error)))


if __name__ == "__main__":
    main()
