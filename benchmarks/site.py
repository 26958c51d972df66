"""The site that is mistreated: its files, its server, what that answered, and what its processes took.

What is asked is in `abuse`, and how in `clients`.
"""

import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import bench, load
from benchmarks.clients import Reply, Sent, exchange, get, together
from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.reading.published import folder_of
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse.downloads import make_downloads
from vanc311_pipeline.warehouse.publishing import release_row

API = "/api/v1"
WORKERS = 2  # as in docker-compose.yml
REPLICA_SECONDS = 0.5
ODD = "\x01\x08\x0b\x1a\x1b\x7f\x85\u2028\ufeff\uffff"


@dataclass
class Site:
    """A server for one scenario, what it answered, and what was wrong with that."""

    server: load.Server
    published: Path
    small: Path  # a published file of SMALL_ROWS, for whoever needs many
    store: Path
    names: dict[str, list[str]]
    seconds: float
    random: random.Random
    answers: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    unavailable: bool = False  # whether there was no whole file to answer from, so that 503 is the right answer to all
    late: list[str] = field(default_factory=list)  # what took longer than it may
    notes: list[str] = field(default_factory=list)
    peak: int = 0  # bytes that the processes took at most

    def flood(
        self, asked: Iterable[Sent], connections: int = 64, good: Sequence[int] = (), may_be_cut: bool = False,
        beside: Iterable[Coroutine[Any, Any, Any]] = (),
    ) -> list[Reply]:  # fmt: skip
        """Ask, so many at once, until there is no more or the time is up; answers that aren't good are wrong."""
        replies, until, questions = list[Reply](), time.monotonic() + self.seconds, iter(asked)

        async def client() -> None:
            for sent in questions:
                replies.append(await exchange(self.server.url, sent))
                self.judge(replies[-1], good, may_be_cut)
                if time.monotonic() > until:
                    return

        together(*beside, *(client() for _ in range(connections)))
        return replies

    def judge(self, reply: Reply, good: Sequence[int] = (), may_be_cut: bool = False) -> None:
        self.answers[reply.kind] += 1
        if (fault := reply.fault(good)) and not (may_be_cut and not reply.status):
            self.wrong.setdefault(fault, []).append(reply.sent.line)

    def page(self, path: str) -> Reply:
        reply: Reply = together(exchange(self.server.url, get(path), kept=10_000_000))[0]
        self.judge(reply)
        return reply

    def fail(self, what: str) -> None:
        self.wrong.setdefault(what, []).append("")

    def any(self, name: str) -> str:
        return self.random.choice(self.names[name])

    def day(self) -> str:
        first, last = map(date.fromisoformat, self.names["day"])
        return str(first + timedelta(self.random.randrange((last - first).days)))

    def publish(self, number: int) -> None:
        """Publish another release, as the pipeline does: a new file takes the place of the old one."""
        file = another_release(self.small, self.published.with_name(f".{number}"), number)
        file.replace(self.published)

    @property
    def release(self) -> str:
        return self.page(f"{API}/status").header("vanc311-release")

    def processes(self) -> list[psutil.Process]:
        """The server's: the one that watches, those that answer, and theirs."""
        watching = psutil.Process(self.server.pid)
        return [watching, *watching.children(recursive=True)]

    def workers(self) -> set[psutil.Process]:
        """The processes that answer."""
        return set(psutil.Process(self.server.pid).children())

    def deleted_bytes(self) -> int:
        """The size of all published files that are gone from their directory and held open all the same."""
        held = {}
        for process in self.processes():
            for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    if os.readlink(descriptor).endswith(".sqlite (deleted)"):
                        held[os.stat(descriptor).st_ino] = os.stat(descriptor).st_size
        return sum(held.values())

    def look(self) -> None:
        """Note what the processes take, if it is the most: their memory, and their files in /tmp, which is memory in the container."""
        taken = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                taken += process.memory_info().rss
        for path in self.store.with_name("tmp").rglob("*"):
            with suppress(FileNotFoundError):
                taken += path.stat().st_size
        self.peak = max(self.peak, taken)

    def processor_seconds(self) -> float:
        """That the processes took so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())


@contextmanager
def served(folder: Path, name: str, big: Path, small: Path, seconds: float, seed: int) -> Iterator[Site]:
    """A site for a scenario, which may replace the file that it serves."""
    published, store, scratch = Settings(data_dir=folder / "data").published_path, folder / "store", folder / "tmp"
    for directory in (published.parent, store, scratch):
        directory.mkdir(parents=True)
    words, environment = ["--workers", str(WORKERS)], {"TMPDIR": str(scratch)}
    if name == "replica":
        ObjectStore(store.as_uri()).ship(small, file_digest(small), release_row(small))
        words.append("--replica")
        environment |= {"VANC311_SHIP_URL": store.as_uri(), "VANC311_REPLICA_SECONDS": str(REPLICA_SECONDS)}
    else:
        published.symlink_to(big)
        folder_of(published, "").symlink_to(folder_of(big, ""))
    with load.serving(folder / "data", *words, **environment) as server:
        names = load.names_in(published)
        names["odd"] = [issue for issue in names["issue"] if issue[-1] in ODD]
        names["issue"] = [issue for issue in names["issue"] if issue[-1] not in ODD]
        yield Site(server, published, small, store, names, seconds, random.Random(f"{seed} {name}"))


def city_file(folder: Path, rows: int) -> Path:
    """A published file of so many requests, as the pipeline makes it, with a log to match; some names hold control characters."""
    target = folder / "published" / "vanc311.sqlite"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        bench.stage("grow", folder, rows=rows)
        with bench.stand_in(folder / "source.parquet", bench.RELEASED, folder / "standin.log") as url:
            for name in ("land", "store", "log", "statistics", "publish"):
                bench.say(bench.stage(name, folder, url, rows * 6 // 13))
        plant_odd_names(target)
        shutil.rmtree(folder_of(target, ""))  # they are of the file as it was
        make_downloads(target)
    return target


def plant_odd_names(file: Path) -> None:
    """Put a control character at the end of the names of some types, wherever they stand."""
    with closing(sqlite3.connect(file)) as connection, connection:
        tables = connection.execute(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND c.name IN ('issue_type', 'name', 'key')"
        ).fetchall()
        usual = connection.execute(
            "SELECT issue_type FROM metrics_by_issue WHERE scope = 'all' ORDER BY volume DESC LIMIT ? OFFSET 40",
            [len(ODD)],
        )
        names = [(issue + sign, issue) for (issue,), sign in zip(usual, ODD, strict=False)]
        for table, column in tables:
            connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", names)


def another_release(file: Path, target: Path, hours: int) -> Path:
    """A copy of a file that says it was published so many hours later."""
    shutil.copyfile(file, target)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute(
            "UPDATE release SET published_at = strftime('%Y-%m-%dT%H:%M:%SZ', published_at, ?)", [f"{hours} hours"]
        )
    return target
