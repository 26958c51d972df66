"""What others wait meanwhile: addresses asked at an even pace by a process of its own, until its input ends.

A server that does nothing is asked, too: its waits are the machine's own. It imports little, so that it starts at once and
takes little of the processors.

    python -m benchmarks.probe NAME=http://127.0.0.1:PORT/PATH …     prints {"NAME": {"waits": [ms, …], "failed": {…}}, …}
    python -m benchmarks.probe --floor                               prints its address, and answers
"""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.clients import exchange, get

EVERY_SECONDS = 0.025
PATIENCE_SECONDS = 30
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Waits:
    """How long the answers from one address took, in ms, and what came in place of some."""

    waits: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """The wait that this share of the answers did not exceed, in ms."""
        return sorted(self.waits)[math.ceil(share * len(self.waits)) - 1] if self.waits else math.inf


async def _ask(url: str, waits: Waits) -> None:
    began = time.perf_counter()
    reply = await exchange(url, get(urlsplit(url).path), patience=PATIENCE_SECONDS)
    if reply.status > 0:
        waits.waits.append((reply.at - began) * 1_000)
    if reply.status != 200:
        waits.failed[reply.kind] += 1


async def _keep_asking(addresses: dict[str, str]) -> dict[str, Waits]:
    """Ask whether or not what was asked before is answered: whoever waits for that sees no queue."""
    measured = {name: Waits() for name in addresses}
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    async with asyncio.TaskGroup() as asking:
        while not stopped.done():
            for name, url in addresses.items():
                asking.create_task(_ask(url, measured[name]))
                await asyncio.sleep(EVERY_SECONDS / len(addresses))
    return measured


async def _floor() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NOTHING)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def probing(addresses: dict[str, str]) -> Iterator[dict[str, Waits]]:
    """Ask these addresses, and one that does nothing, named `floor`, during the block; after it, the waits are there."""
    measured: dict[str, Waits] = {}
    with _process("--floor") as floor:
        assert floor.stdout
        addresses = {**addresses, "floor": floor.stdout.readline().strip()}
        with _process(*(f"{name}={url}" for name, url in addresses.items())) as probe:
            yield measured
            output, _ = probe.communicate()
    measured |= {name: Waits(each["waits"], Counter(each["failed"])) for name, each in json.loads(output).items()}


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.probe", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def main(words: Sequence[str]) -> None:
    if words[0] == "--floor":
        asyncio.run(_floor())
        return
    measured = asyncio.run(_keep_asking(dict(word.split("=", 1) for word in words)))
    print(json.dumps({name: {"waits": waits.waits, "failed": waits.failed} for name, waits in measured.items()}))


if __name__ == "__main__":
    main(sys.argv[1:])
