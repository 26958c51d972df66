"""Where and how a benchmark works: its options, its directory, a port that nobody listens on, a process for a while."""

import argparse
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path


def command_line(name: str, description: str, **numbers: int) -> argparse.ArgumentParser:
    """The options of a benchmark: its whole numbers with their defaults, and the directory that is kept."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    for number, default in numbers.items():
        parser.add_argument(f"--{number}", type=int, default=default, help=f"{default} if not given")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave everything for a look")
    return parser


@contextmanager
def workplace(name: str, keep: Path | None = None) -> Iterator[Path]:
    """A directory for the time of the block, or the one that is to be kept."""
    with tempfile.TemporaryDirectory(prefix=f"vanc311-{name}-") as scratch:
        folder = (keep or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def comes(holds: Callable[[], object], within: float, every: float) -> bool:
    """Wait until it holds; whether that came in time."""
    until = time.monotonic() + within
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True


@contextmanager
def running(
    command: Sequence[str], log: Path, answer: Callable[[], str], environment: Mapping[str, str] = {}
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that prints to a log, from its first answer to the end of the block."""
    with log.open("w+") as output:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while not (answered := answer()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{' '.join(command)} does not answer:\n{log.read_text()}")
                time.sleep(0.1)
            yield process, answered
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def in_background(seconds: float, *works: Callable[[], None]) -> Iterator[None]:
    """Do each again and again, with so much time between, until the block ends."""
    stop = threading.Event()

    def again(work: Callable[[], None]) -> None:
        work()
        while not stop.wait(seconds):
            work()

    with ThreadPoolExecutor(len(works)) as pool:
        done = [pool.submit(again, work) for work in works]
        try:
            yield
        finally:
            stop.set()
    for each in done:
        each.result()
