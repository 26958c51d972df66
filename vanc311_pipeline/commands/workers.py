"""Several processes that answer on one port: started, watched and ended together. What they answer is not known here.

uvicorn can do that too, but its workers share one listening socket, and the first to wake takes every connection that waits:
of two workers, one was seen with 63 of 64. Here each has a socket of its own, among which the system spreads connections.
"""

import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from vanc311_pipeline.errors import SettingsError

_YOUNG_SECONDS = 10
"""A process that dies younger has a fault that a new one would have, too."""

_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 15


def run_workers(work: Callable[[socket.socket], None], host: str, port: int, workers: int) -> None:
    """Run `work` in so many processes until this one is asked to stop; one that dies is replaced.

    Args:
        work: serves what comes in at a listening socket, until its process is asked to stop; a function of a module.

    Raises:
        SettingsError: one ends as soon as it has begun.
    """
    context = multiprocessing.get_context("spawn")
    running: dict[SpawnProcess, float] = {}
    stopping = False

    def start() -> None:
        process = context.Process(target=_listen, args=(work, host, port))
        process.start()
        running[process] = time.monotonic()

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        del number, frame
        stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for _ in range(workers):
            start()
        while not stopping:
            wait([process.sentinel for process in running], timeout=_LOOK_SECONDS)
            for dead in [process for process in running if not process.is_alive() and not stopping]:
                if time.monotonic() - running.pop(dead) < _YOUNG_SECONDS:
                    raise SettingsError(
                        f"A process that answers ended with {dead.exitcode}; what it printed above says why."
                    )
                start()
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join(_GRACE_SECONDS)
            process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(work: Callable[[socket.socket], None], host: str, port: int) -> None:
    # Ctrl-C goes to all processes of a terminal; the first one passes it on in its own way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        work(listening)
