"""The API under load: `vanc311 serve` at 64 connections, side by side with Datasette on the same file, on loopback.

The file is of any sync, or of `bench --keep DIR`, which has a log of 600,000 changes. The load comes from this process,
which takes a part of the processors itself. Metrics are asked for again and again, as a dashboard does; pages of requests
are all different, so that none is answered from what was kept of an earlier one.
"""

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode
from urllib.request import urlopen

from benchmarks.clients import place_of, together
from benchmarks.places import command_line, free_port, running, workplace
from vanc311_pipeline.disk import sqlite_uri
from vanc311_pipeline.settings import Settings

METRICS_RATE_AIM, METRICS_P99_AIM_MS, PAGES_P99_AIM_MS = 1_500, 60, 100
PAGE_ROWS = 50
DIFFERENT_PAGES = 60_000  # more than any server answers in the time
OUR_NAMES = {"local_area": "area", "issue_type": "issue"}
DATASETTES_OPTIONS = {
    "_sort_desc": "opened_on", "_size": f"{PAGE_ROWS}", "_nocount": "1", "_nofacet": "1", "_shape": "objects"
}  # fmt: skip
HEADERS = "Host: 127.0.0.1\r\nAccept-Encoding: identity\r\nUser-Agent: load"
NAMES = {
    "area": "SELECT local_area FROM local_areas",
    "issue": "SELECT DISTINCT issue_type FROM metrics_by_issue",
    "department": "SELECT DISTINCT department FROM time_to_close WHERE department IS NOT NULL",
    "channel": "SELECT DISTINCT channel FROM service_requests WHERE channel IS NOT NULL",
    "closure_reason": "SELECT DISTINCT closure_reason FROM closure_reasons WHERE closure_reason IS NOT NULL",
    "outcome": "SELECT DISTINCT outcome FROM outcome_mapping WHERE outcome IS NOT NULL",
    "id": "SELECT request_id FROM request_changes LIMIT 5000",
    "day": "SELECT opened_from FROM periods WHERE period = 'all' UNION ALL SELECT opened_to FROM periods WHERE period = 'all'",
}
"""What can be asked for in a file; of the days the first and the last."""


def names_in(file: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(sqlite_uri(file, mode="ro", immutable="1"), uri=True)) as connection:
        return {name: [value for (value,) in connection.execute(query)] for name, query in NAMES.items()}


class Served(NamedTuple):
    """What a server did under one kind of questions."""

    rate: float
    p50: float
    p99: float
    failed: int


Questions = dict[str, tuple[list[str], list[str]]]  # each kind as our API and as Datasette takes it


def questions(file: Path) -> Questions:
    """The questions, from the names in the file."""
    names = names_in(file)
    areas, issues = names["area"], names["issue"]
    first, last = map(date.fromisoformat, names["day"])
    dice = random.Random(311)
    narrowed = {
        "pages of an area": [{"local_area": area} for area in areas],
        "pages by area, type, department or status": [
            *({"local_area": area, "issue_type": dice.choice(issues)} for area in areas for _ in range(5)),
            *({"issue_type": issue} for issue in issues),
            *({"department": department} for department in names["department"]),
            *({"status": "Open", "local_area": area} for area in areas),
        ],
    }
    kinds = {"metrics": _metrics(areas, issues)}
    for name, choices in narrowed.items():
        ours, datasettes = kinds[name] = [], []
        for _ in range(DIFFERENT_PAGES):
            start = first + timedelta(dice.randrange((last - first).days))
            filters, end = dice.choice(choices), start + timedelta(dice.randrange(30, 400))
            named = {OUR_NAMES.get(column, column): value for column, value in filters.items()}
            named |= {"opened_from": f"{start}", "opened_to": f"{end}", "limit": f"{PAGE_ROWS}"}
            ours.append(f"/api/v1/requests?{urlencode(named)}")
            theirs = filters | {"opened_on__gte": f"{start}", "opened_on__lte": f"{end}"} | DATASETTES_OPTIONS
            datasettes.append(f"/vanc311/service_requests.json?{urlencode(theirs)}")
    return kinds


def _metrics(areas: list[str], issues: list[str]) -> tuple[list[str], list[str]]:
    """Of each question our path, and Datasette's table and filters."""
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("metrics/citywide", "metrics_citywide", {"scope": "all"}),
        ("metrics/areas", "metrics_by_neighbourhood", {}),
        *((f"metrics/areas/{quote(area)}", "metrics_by_neighbourhood", {"local_area": area}) for area in areas),
        *(
            (f"metrics/issues/{quote(issue, safe='')}", "metrics_by_issue", {"issue_type": issue, "scope": "all"})
            for issue in issues
        ),
    ]
    for area in areas:
        filters = {"local_area": area, "level": "neighbourhood"}
        asked.append((f"time-to-close?{urlencode({'area': area})}", "time_to_close", filters))
    return (
        [f"/api/v1/{path}" for path, _, _ in asked],
        [f"/vanc311/{table}.json?{urlencode({**filters, '_shape': 'objects'})}" for _, table, filters in asked],
    )


class Server(NamedTuple):
    """A server that answers."""

    url: str
    pid: int
    log: Path  # what it prints


def serving(data: Path, *words: str, **environment: str) -> AbstractContextManager[Server]:
    """`vanc311 serve` on a data directory, as a process."""
    command = ["vanc311_pipeline", "serve", *words]
    return _server(command, "/api/v1/status", data / "server.log", VANC311_DATA_DIR=str(data), **environment)


def datasette(file: Path) -> AbstractContextManager[Server]:
    """Datasette on the same file, as a process."""
    command = ["datasette", "serve", "--immutable", str(file), "--host", "127.0.0.1", "--setting", "default_facet_size", "0",
               "--setting", "suggest_facets", "0"]  # fmt: skip
    return _server(command, f"/{file.stem}/metrics_citywide.json", file.with_suffix(".log"))


@contextmanager
def _server(command: Sequence[str], path: str, log: Path, **environment: str) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answer() -> str:
        with suppress(OSError), urlopen(url + path, timeout=60):
            return url
        return ""

    with running([sys.executable, "-m", *command, "--port", str(port)], log, answer, environment) as (process, _):
        yield Server(url, process.pid, log)


def load(url: str, paths: Sequence[str], connections: int, seconds: float) -> Served:
    """Ask for these paths in turn, over so many connections at once, for so long."""
    began, turns, waited, failed = time.perf_counter(), cycle(paths), list[float](), 0

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(*place_of(url))
        while (asked := time.perf_counter()) < began + seconds:
            writer.write(f"GET {next(turns)} HTTP/1.1\r\n{HEADERS}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await _read_body(reader, head)
            waited.append((time.perf_counter() - asked) * 1e3)
            failed += not head.startswith("http/1.1 200")
        writer.close()

    together(*(client() for _ in range(connections)))
    cuts = statistics.quantiles(waited, n=100)
    return Served(len(waited) / (time.perf_counter() - began), cuts[49], cuts[98], failed)


async def _read_body(reader: asyncio.StreamReader, head: str) -> None:
    """Read an answer to its end: of the length that it states, or in chunks, as Datasette sends it."""
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
        return
    [length] = [int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")]
    await reader.readexactly(length)


def same_rows(our_url: str, their_url: str, kinds: Questions) -> None:
    """Make sure that both servers answer the same questions: as many rows to each of some."""
    for ours, datasettes in kinds.values():
        for our_path, their_path in list(zip(ours, datasettes, strict=True))[:5]:
            with urlopen(our_url + our_path) as answer, urlopen(their_url + their_path) as other:
                rows = len(json.load(answer)["data"]), len(json.load(other)["rows"])
            if rows[0] != rows[1]:
                raise SystemExit(f"{our_path} has {rows[0]} rows, {their_path} has {rows[1]}")


def main() -> None:
    """Measure, print, and end with 1 if an aim is missed."""
    parser = command_line("load", "The API under load.", connections=64, seconds=8, workers=2)
    parser.add_argument("--published", type=Path, default=Settings.from_environment().published_path, help="the file")
    options = parser.parse_args()
    if not options.published.is_file():
        raise SystemExit(f"There is no file {options.published}. Run `make sync` first, or give --published.")
    kinds = questions(options.published)
    print(f"{options.connections} connections for {options.seconds} s each, on {os.cpu_count()} processors;")
    size = options.published.stat().st_size / 1e6
    print(f"{size:,.0f} MB; {options.workers} workers of ours, Datasette's one process.")
    with workplace("load", options.keep) as folder:
        file = Settings(data_dir=folder).published_path
        file.parent.mkdir()
        file.symlink_to(options.published.absolute())
        with serving(folder, "--workers", str(options.workers)) as server:
            measured = {name: _measured(server.url, paths, options) for name, (paths, _) in kinds.items()}
        with datasette(file) as server:
            others = {name: _measured(server.url, paths, options) for name, (_, paths) in kinds.items()}
            with serving(folder, "--workers", "1") as our_server:
                same_rows(our_server.url, server.url, kinds)
    print(f"{'':45} {'server':10} {'answers/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7}")
    for name, served in measured.items():
        for who, what in (("ours", served), ("Datasette", others[name])):
            print(f"{name:45} {who:10} {what.rate:10,.0f} {what.p50:8.1f} {what.p99:8.1f} {what.failed:7}")
    missed = list(_missed(measured))
    print("\n".join(f"Missed: {each}" for each in missed) or "Every aim is met.")
    sys.exit(bool(missed))


def _measured(url: str, paths: Sequence[str], options: argparse.Namespace) -> Served:
    """Under load, after a second of it that does not count, with questions that don't come again."""
    first = len(paths) // 10
    load(url, paths[:first], options.connections, 1)
    return load(url, paths[first:], options.connections, options.seconds)


def _missed(measured: dict[str, Served]) -> Iterator[str]:
    for name, served in measured.items():
        if served.failed:
            yield f"{name}: {served.failed} requests failed"
        if name == "metrics" and served.rate < METRICS_RATE_AIM:
            yield f"{name}: {served.rate:,.0f} answers/s, not {METRICS_RATE_AIM:,}"
        if served.p99 > (aim := METRICS_P99_AIM_MS if name == "metrics" else PAGES_P99_AIM_MS):
            yield f"{name}: p99 {served.p99:.0f} ms, not {aim}"


if __name__ == "__main__":
    main()
