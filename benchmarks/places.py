"""Where a benchmark works: a directory, and a port that nobody listens on."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
