"""The API under load: `vanc311 serve` at 64 connections, side by side with Datasette on the same file, on loopback.

What belongs here: the questions, the two servers, and the printed table. What does not: making the file (any sync, or `bench
--keep DIR`, whose file has a log of 600,000 changes).
The load comes from `wrk` if it is installed, else from a generator in Python, which takes more of the processors itself.

Metrics are asked for again and again, as a dashboard does; pages of requests are all different, so that none is answered from
what was kept of an earlier one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from benchmarks.places import free_port
from vanc311_pipeline.addresses import sqlite_uri
from vanc311_pipeline.settings import Settings

METRICS_RATE_AIM, METRICS_P99_AIM_MS, PAGES_P99_AIM_MS = 1_500, 60, 100
PAGE_ROWS = 50
DIFFERENT_PAGES = 60_000  # more than any server answers in the time
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "load"}

SCRIPT = """
local paths = {}
for line in io.lines(os.getenv("LOAD_PATHS")) do paths[#paths + 1] = line end
local at = 0
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}\\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass(frozen=True)
class Served:
    """What a server did under one kind of questions."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Questions:
    """One kind of questions, as our API and as Datasette takes them."""

    name: str
    ours: list[str]
    datasettes: list[str]


def questions(file: Path) -> list[Questions]:
    """The questions, from the names in the file."""
    with closing(sqlite3.connect(sqlite_uri(file, mode="ro", immutable="1"), uri=True)) as connection:
        areas, issues, departments = (
            [row[0] for row in connection.execute(query)]
            for query in (
                "SELECT local_area FROM local_areas",
                "SELECT DISTINCT issue_type FROM metrics_by_issue",
                "SELECT DISTINCT department FROM time_to_close WHERE department IS NOT NULL",
            )
        )
        first, last = connection.execute("SELECT opened_from, opened_to FROM periods WHERE period = 'all'").fetchone()
    dice = random.Random(311)
    kinds = [_metrics(areas, issues)]
    narrowed = {
        "pages of an area": [{"local_area": area} for area in areas],
        "pages by area, type, department or status": [
            *({"local_area": area, "issue_type": dice.choice(issues)} for area in areas for _ in range(5)),
            *({"issue_type": issue} for issue in issues),
            *({"department": department} for department in departments),
            *({"status": "Open", "local_area": area} for area in areas),
        ],
    }
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days
    for name, filters in narrowed.items():
        chosen = []
        for _ in range(DIFFERENT_PAGES):
            start = date.fromisoformat(first) + timedelta(dice.randrange(days))
            chosen.append((dice.choice(filters), start, start + timedelta(dice.randrange(30, 400))))
        kinds.append(
            Questions(name, [_our_page(*each) for each in chosen], [_datasettes_page(*each) for each in chosen])
        )
    return kinds


def _metrics(areas: list[str], issues: list[str]) -> Questions:
    ours = ["/metrics/citywide", "/metrics/areas", *(f"/metrics/areas/{quote(area)}" for area in areas)]
    ours += [f"/metrics/issues/{quote(issue, safe='')}" for issue in issues]
    ours += [f"/time-to-close?{urlencode({'area': area})}" for area in areas]
    theirs = ["metrics_citywide.json?_shape=objects", "metrics_by_neighbourhood.json?_shape=objects"]
    theirs += [f"metrics_by_neighbourhood.json?{urlencode({'local_area': area})}&_shape=objects" for area in areas]
    theirs += [f"metrics_by_issue.json?{urlencode({'issue_type': issue})}&_shape=objects" for issue in issues]
    theirs += [
        f"time_to_close.json?{urlencode({'local_area': area, 'level': 'neighbourhood'})}&_shape=objects"
        for area in areas
    ]
    return Questions("metrics", [f"/api/v1{path}" for path in ours], [f"/vanc311/{path}" for path in theirs])


OUR_NAMES = {"local_area": "area", "issue_type": "issue"}


def _our_page(filters: dict[str, str], start: date, end: date) -> str:
    asked = {OUR_NAMES.get(column, column): value for column, value in filters.items()}
    days = {"opened_from": start.isoformat(), "opened_to": end.isoformat()}
    return f"/api/v1/requests?{urlencode(asked | days | {'limit': str(PAGE_ROWS)})}"


def _datasettes_page(filters: dict[str, str], start: date, end: date) -> str:
    days = {"opened_on__gte": start.isoformat(), "opened_on__lte": end.isoformat()}
    fixed = {"_sort_desc": "opened_on", "_size": str(PAGE_ROWS), "_nocount": "1", "_nofacet": "1", "_shape": "objects"}
    return f"/vanc311/service_requests.json?{urlencode(filters | days | fixed)}"


# -- the servers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    """What it prints."""


@contextmanager
def ours(file: Path, workers: int) -> Iterator[Server]:
    """`vanc311 serve` on a file, as a process."""
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        published = Settings(data_dir=Path(folder)).published_path
        published.parent.mkdir()
        published.symlink_to(file.absolute())
        with serving(Path(folder), "--workers", str(workers)) as server:
            yield server


@contextmanager
def serving(data: Path, *words: str, **environment: str) -> Iterator[Server]:
    """`vanc311 serve` on a data directory, as a process."""
    port = free_port()
    command = [sys.executable, "-m", "vanc311_pipeline", "serve", "--port", str(port), *words]
    environment |= {"VANC311_DATA_DIR": str(data)}
    with _running(command, f"http://127.0.0.1:{port}", "/api/v1/status", environment) as server:
        yield server


@contextmanager
def datasette(file: Path) -> Iterator[Server]:
    """Datasette on the same file, as a process."""
    port = free_port()
    command = [sys.executable, "-m", "datasette", "serve", "--immutable", str(file), "--host", "127.0.0.1", "--port", str(port),
               "--setting", "default_facet_size", "0", "--setting", "suggest_facets", "0"]  # fmt: skip
    with _running(command, f"http://127.0.0.1:{port}", f"/{file.stem}/metrics_citywide.json") as server:
        yield server


@contextmanager
def _running(command: list[str], url: str, path: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    with tempfile.NamedTemporaryFile(prefix="load-", suffix=".log") as log:
        process = subprocess.Popen(command, env=os.environ | (environment or {}), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    with urlopen(url + path, timeout=60):
                        break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"{command[0]} does not answer:\n{Path(log.name).read_text()}") from None
                    time.sleep(0.2)
            yield Server(url, process, Path(log.name))
        finally:
            process.terminate()
            process.wait()


# -- the load ----------------------------------------------------------------------------------------------------------


def _generator() -> str:
    return "wrk" if shutil.which("wrk") else "Python (install wrk for a fairer one)"


def load(url: str, paths: Sequence[str], connections: int, seconds: int) -> Served:
    """Ask for these paths in turn, over so many connections at once, for so long."""
    if wrk := shutil.which("wrk"):
        return _by_wrk(wrk, url, paths, connections, seconds)
    return asyncio.run(_by_ourselves(url, paths, connections, seconds))


def _by_wrk(wrk: str, url: str, paths: Sequence[str], connections: int, seconds: int) -> Served:
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        listed, script = Path(folder, "paths"), Path(folder, "load.lua")
        listed.write_text("\n".join(paths))
        script.write_text(SCRIPT)
        command = [wrk, "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s", "-s", str(script)]
        for name, value in HEADERS.items():
            command += ["-H", f"{name}: {value}"]
        ended = subprocess.run(
            [*command, url], env=os.environ | {"LOAD_PATHS": str(listed)}, check=True, capture_output=True, text=True
        )
    return Served(**json.loads(ended.stdout.splitlines()[-1]))


async def _by_ourselves(url: str, paths: Sequence[str], connections: int, seconds: int) -> Served:
    host, port = url.removeprefix("http://").split(":")
    more = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    began = time.perf_counter()
    waited: list[float] = []
    failed = 0
    turns = iter(range(sys.maxsize))

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() - began < seconds:
            asked = time.perf_counter()
            path = paths[next(turns) % len(paths)]
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
            await reader.readexactly(length)
            waited.append((time.perf_counter() - asked) * 1e3)
            failed += not head.startswith("http/1.1 200")
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    cuts = statistics.quantiles(waited, n=100)
    return Served(len(waited), time.perf_counter() - began, cuts[49], cuts[98], failed)


# -- the table ---------------------------------------------------------------------------------------------------------


def same_rows(our_url: str, their_url: str, kinds: Sequence[Questions]) -> None:
    """Make sure that both servers answer the same questions: as many rows to each of some."""
    for kind in kinds:
        for our_path, their_path in list(zip(kind.ours, kind.datasettes, strict=True))[:5]:
            with urlopen(our_url + our_path) as answer, urlopen(their_url + their_path) as other:
                mine, theirs = len(json.load(answer)["data"]), len(json.load(other)["rows"])
            if mine != theirs:
                raise SystemExit(f"{our_path} has {mine} rows, {their_path} has {theirs}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and end with 1 if an aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="The API under load.")
    parser.add_argument("--published", type=Path, default=Settings.from_environment().published_path, help="the file")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--workers", type=int, default=2, help="processes of our server")
    options = parser.parse_args(arguments)
    if not options.published.is_file():
        raise SystemExit(f"There is no file {options.published}. Run `make sync` first, or give --published.")
    kinds = questions(options.published)
    print(
        f"{options.connections} connections for {options.seconds} s each, from {_generator()}, on {os.cpu_count()} processors;"
    )
    print(
        f"{options.published.stat().st_size / 1e6:,.0f} MB; {options.workers} workers of ours, Datasette's one process."
    )
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        file = Path(folder, "vanc311.sqlite")
        file.symlink_to(options.published.absolute())
        with ours(file, options.workers) as server:
            measured = {kind.name: _measured(server.url, kind.ours, options) for kind in kinds}
        with datasette(file) as server:
            theirs = {kind.name: _measured(server.url, kind.datasettes, options) for kind in kinds}
            with ours(file, 1) as our_server:
                same_rows(our_server.url, server.url, kinds)
    print(f"{'':45} {'server':10} {'answers/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7}")
    for name, served in measured.items():
        for name_of, what in (("ours", served), ("Datasette", theirs[name])):
            print(f"{name:45} {name_of:10} {what.rate:10,.0f} {what.p50:8.1f} {what.p99:8.1f} {what.failed:7}")
    missed = list(_missed(measured))
    print("\n".join(f"Missed: {each}" for each in missed) or "Every aim is met.")
    if missed:
        sys.exit(1)


def _measured(url: str, paths: Sequence[str], options: argparse.Namespace) -> Served:
    """Under load, after a second of it that does not count, with questions that don't come again."""
    first = len(paths) // 10
    load(url, paths[:first], options.connections, 1)
    return load(url, paths[first:], options.connections, options.seconds)


def _missed(measured: dict[str, Served]) -> Iterator[str]:
    for name, served in measured.items():
        if served.failed:
            yield f"{name}: {served.failed} requests failed"
        if name == "metrics":
            if served.rate < METRICS_RATE_AIM:
                yield f"{name}: {served.rate:,.0f} answers/s, not {METRICS_RATE_AIM:,}"
            if served.p99 > METRICS_P99_AIM_MS:
                yield f"{name}: p99 {served.p99:.0f} ms, not {METRICS_P99_AIM_MS}"
        elif served.p99 > PAGES_P99_AIM_MS:
            yield f"{name}: p99 {served.p99:.0f} ms, not {PAGES_P99_AIM_MS}"


if __name__ == "__main__":
    main()
