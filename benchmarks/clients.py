"""Clients that ask in raw bytes, well or ill: a question with its whole answer, connections that are held, readers who hardly read.

Each question has a connection of its own, so that whichever process takes it has taken that one alone. It imports little, so
that the process that asks for others (`probing`) starts at once and takes little of the processors.
"""

import asyncio
import json
import math
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html import unescape
from itertools import repeat
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PATIENCE_SECONDS = 60
EVERY_SECONDS, PROBES_PATIENCE_SECONDS = 0.025, 30
NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PIECE = 1 << 18
KEPT_BYTES = 2_000
CUT, LATE = 0, -1


class Sent(NamedTuple):
    """A question, as it goes out."""

    raw: bytes
    follow: bool = False  # whether to go where it is sent on to

    @property
    def line(self) -> str:
        """Its first line, shortened."""
        return self.raw.partition(b"\r\n")[0][:120].decode("latin-1").removesuffix(" HTTP/1.1")


def get(
    path: str, method: str = "GET", *, headers: Mapping[str, str] = {}, follow: bool = False, version: str = "1.1"
) -> Sent:
    """A question for a path."""
    fields = {"Host": "127.0.0.1", "Connection": "close", **headers}
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items())]
    return Sent("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"), follow)


class Reply(NamedTuple):
    """What came back: CUT if the connection ended without a status, LATE if nothing came in PATIENCE_SECONDS."""

    sent: Sent
    status: int
    head: str
    body: bytes  # the first bytes of it
    length: int  # bytes of the whole body, as they came
    at: float

    @property
    def kind(self) -> str:
        return {CUT: "cut", LATE: "late"}.get(self.status, str(self.status))

    def header(self, name: str) -> str:
        """The value of a header; empty if it isn't there."""
        match = re.search(rf"^{name}: *(.*?)\r?$", self.head, re.I | re.M)
        return match[1] if match else ""

    def fault(self, good: Sequence[int] = ()) -> str | None:
        """What no client deserves: an internal error, no answer, half of one, or a 503 that doesn't say when to come again."""
        if self.status == LATE:
            return f"no answer within {PATIENCE_SECONDS} s"
        if self.status == CUT:
            return "no answer"
        if self.status == 503 and not self.header("retry-after"):
            return "503 without Retry-After"
        if self.status not in good and (good or self.status >= 500) and self.status != 503:
            return f"answered {self.status}"
        promised = self.header("content-length")
        if self.sent.raw.startswith(b"GET ") and self.status == 200 and promised and self.length != int(promised):
            return "the answer broke off"
        return None


async def exchange(url: str, sent: Sent, kept: int = KEPT_BYTES, patience: float = PATIENCE_SECONDS) -> Reply:
    """One question over a connection of its own, and its whole answer."""
    status, head, body, length, writer = CUT, "", b"", 0, None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(*place_of(url), limit=PIECE)
            writer.write(sent.raw)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            while piece := await reader.read(PIECE):
                length += len(piece)
                body += piece[: max(0, kept - len(body))]
    except TimeoutError:
        status = LATE
    except (OSError, asyncio.IncompleteReadError):
        pass  # what came before says enough
    finally:
        if writer:
            writer.close()
    reply = Reply(sent, status, head, body, length, time.perf_counter())
    if sent.follow and status in (301, 302, 307, 308) and (place := reply.header("location")).startswith("/"):
        return await exchange(url, get(place), kept)
    return reply


def together(*asked: Coroutine[Any, Any, Any]) -> list[Any]:
    """What comes of all of these, at the same time."""

    async def gathered() -> list[Any]:
        return await asyncio.gather(*asked)

    return asyncio.run(gathered())


def links(page: Reply) -> list[str]:
    """The addresses of figures on a page."""
    return [unescape(link) for link in re.findall(r'"(/figures/[^"]+)"', page.body.decode())]


def hold(url: str, connections: int, beginning: bytes, piece: bytes, seconds: float) -> int:
    """Open connections, send a beginning, then a piece each half second; how many are still open when that has gone on for so long."""

    async def client() -> bool:
        try:
            reader, writer = await asyncio.open_connection(*place_of(url))
            until = time.monotonic() + seconds
            writer.write(beginning)
            ended = _end_of(reader)
            while time.monotonic() < until and not ended.done():
                writer.write(piece)
                await asyncio.wait([ended], timeout=0.5)
            is_open = not ended.done()
            ended.cancel()
            writer.close()
        except OSError:
            return False
        return is_open

    return sum(together(*(client() for _ in range(connections))))


async def stream(url: str, beginning: bytes, piece: bytes, at_most: int) -> int:
    """Send a beginning and then pieces until the other side ends it or `at_most` bytes are sent; how many bytes it took."""
    taken, writer = 0, None
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(*place_of(url))
            ended = _end_of(reader)
            for each in (beginning, *repeat(piece, at_most // len(piece))):
                if ended.done():
                    break
                writer.write(each)
                await writer.drain()
                taken += len(each)
    if writer:
        writer.close()
    return taken


async def read_slowly(url: str, sent: Sent, seconds: float) -> None:
    """Ask, read a few bytes now and then, and go in the middle of the answer."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection, suppress(OSError, TimeoutError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        async with asyncio.timeout(seconds):
            await loop.sock_connect(connection, place_of(url))
            await loop.sock_sendall(connection, sent.raw)
            while await loop.sock_recv(connection, 1_000):
                await asyncio.sleep(0.2)


def _end_of(reader: asyncio.StreamReader) -> asyncio.Task[bytes]:
    """Done when the other side ended the connection, be it with an error, which is none of ours."""
    ended = asyncio.create_task(reader.read())
    ended.add_done_callback(lambda task: task.cancelled() or task.exception())
    return ended


def place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


@dataclass
class Waits:
    """How long the answers from one address took, in ms, and what came in place of some."""

    waits: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """The wait that this share of the answers did not exceed, in ms."""
        return sorted(self.waits)[math.ceil(share * len(self.waits)) - 1] if self.waits else math.inf


async def _keep_asking(addresses: dict[str, str]) -> dict[str, Waits]:
    """Ask whether or not what was asked before is answered: whoever waits for that sees no queue."""
    measured = {name: Waits() for name in addresses}
    stopped = asyncio.create_task(asyncio.to_thread(sys.stdin.read))

    async def ask(url: str, waits: Waits) -> None:
        began = time.perf_counter()
        reply = await exchange(url, get(urlsplit(url).path), patience=PROBES_PATIENCE_SECONDS)
        if reply.status > 0:
            waits.waits.append((reply.at - began) * 1_000)
        if reply.status != 200:
            waits.failed[reply.kind] += 1

    async with asyncio.TaskGroup() as asking:
        while not stopped.done():
            for name, url in addresses.items():
                asking.create_task(ask(url, measured[name]))
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
    measured |= {name: Waits(**each) for name, each in json.loads(output).items()}


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.clients", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def main() -> None:
    """What others wait, asked by a process of its own until its input ends: `NAME=URL …` prints {"NAME": {"waits": [ms, …], …}, …}.

    `--floor` prints its address and answers with nothing: its waits are the machine's own.
    """
    if sys.argv[1] == "--floor":
        asyncio.run(_floor())
        return
    measured = asyncio.run(_keep_asking(dict(word.split("=", 1) for word in sys.argv[1:])))
    print(json.dumps({name: vars(waits) for name, waits in measured.items()}))


if __name__ == "__main__":
    main()
