"""The pipeline under mistreatment: a portal that remembers its releases, and `vanc311 sync` as a process of its own.

The proofs that what it left is whole are written down again, without the pipeline's help. What is done to it is in `faults`.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.compare import COLUMNS, Row, expected_rows
from vanc311_pipeline.cli import vanc311
from vanc311_pipeline.disk import file_digest, sqlite_uri
from vanc311_pipeline.entry import main
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.standin import EDITS, StandIn
from vanc311_pipeline.standin.releases import request_table

ROOT = Path(__file__).parent.parent
LIVE = "3-1-1-service-requests"
OPENED = "service_request_open_timestamp"
FIRST_YEAR = "2009"  # rows opened earlier can't be keyed
HANGS_SECONDS = 600  # far beyond any sync of these sizes: only a process that hangs meets it


class Contents(NamedTuple):
    """The rows of a release, or of a file: a digest for each UTC month, and how many rows can't be keyed."""

    months: dict[str, str]
    rows: int
    unkeyed: int

    def is_mix_of(self, releases: Sequence[Contents]) -> bool:
        """Whether each month is as in one of the releases, though perhaps not in the same one."""
        return all(any(digest == each.months.get(month) for each in releases) for month, digest in self.months.items())


def released(frame: pd.DataFrame) -> Contents:
    """What must be stored for the portal's rows."""
    keyed = list(keyed_rows(frame))
    return Contents(digests(keyed), len(keyed), len(frame) - len(keyed))


def keyed_rows(frame: pd.DataFrame) -> Iterator[Row]:
    """What must be stored for each of the portal's rows that can be keyed, in the order of COLUMNS."""
    table = request_table(frame)
    for row in expected_rows(table.filter(table[OPENED].is_valid())):
        if all(row[:2]) and row[4] >= FIRST_YEAR:
            yield row


def digests(rows: Iterable[Row]) -> dict[str, str]:
    """A digest of each UTC month's rows, whatever their order."""
    months: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        months[row[4][:7]].append(repr(row))
    return {month: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() for month, lines in months.items()}


def stored(file: Path) -> Contents:
    """What a SQLite file of ours holds."""
    with closing(sqlite3.connect(sqlite_uri(file, mode="ro"), uri=True)) as connection:
        rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM service_requests").fetchall()
        (unkeyed,) = connection.execute("SELECT count(*) FROM quarantined_requests").fetchone()
    return Contents(digests(rows), len(rows), unkeyed)


class City(StandIn):
    """A portal that remembers what it published, so that a release can be told from a mix of two.

    It publishes on the day after its newest change, however often, as a record that stands still for days isn't published from.
    """

    def __init__(self, requests: pd.DataFrame) -> None:
        self.on_question: Callable[[], object] = lambda: None
        super().__init__(requests, on_request=lambda _: self.on_question())
        self.releases = [released(self.frame)]

    def publish(self, requests: Any, released_at: datetime | None = None) -> None:
        newest = requests["last_modified_timestamp"].max()
        super().publish(requests, max(self.released_at + timedelta(minutes=1), newest + timedelta(hours=16)))
        self.releases.append(released(self.frame))

    @property
    def newest(self) -> Contents:
        return self.releases[-1]

    def forget(self) -> None:
        """All releases but the newest are over: nothing may be of them any more."""
        del self.releases[:-1]


def edited(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A day's work in every month: requests closed, edited, joined by a twin, and a few removed."""
    many = max(12, len(frame) // 300)
    work = {"edit_with_modified": many, "touch": many, "close": 3, "reopen": 3, "add_twin": 4, "delete": 4}
    for number, (name, rows) in enumerate(work.items()):
        frame = EDITS[name].function(frame, rows=rows, seed=seed + number)
    return frame


class Ended(NamedTuple):
    """How a sync ended: negative codes are signals."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def phase(self) -> str:
        return phase(self.out)


def phase(printed: str) -> str:
    """How far a sync had come, by what it had printed."""
    for name in ("Done in", "publishing", "statistics"):
        if name in printed:
            return "done" if name == "Done in" else name
    if stale := re.search(r"(\d+) stale month", printed):
        return "storing" if printed.count(" landed: ") >= int(stale.group(1)) else "landing"
    return "planning" if "Portal: " in printed else "starting"


class Sync:
    """A `vanc311 sync` that is running."""

    def __init__(self, home: Home, words: Sequence[str], confined: Sequence[str]) -> None:
        self._began = time.monotonic()
        log = Path(tempfile.mkdtemp(prefix="log-", dir=home.folder))
        self._out, self._err = log / "out", log / "err"
        command = [*confined, sys.executable, "-m", "vanc311_pipeline", "sync", *words]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=home.environment, stdout=out, stderr=err, start_new_session=True
            )

    @property
    def printed(self) -> str:
        return self._out.read_text()

    def end(self, limit: float = HANGS_SECONDS, number: signal.Signals = signal.SIGKILL) -> Ended:
        """Wait for its end; one that takes longer gets a signal, and SIGKILL goes to all that it started, too."""
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            if number != signal.SIGKILL:  # as Ctrl-C and `docker stop` do
                self.process.send_signal(number)
                return self.end()
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return Ended(self.process.returncode, self.printed, self._err.read_text(), time.monotonic() - self._began)

    def ended_by(self, number: signal.Signals, when: Callable[[str], bool]) -> Ended:
        """Send a signal as soon as `when` says so of what was printed; it may have ended by itself before."""
        while self.process.poll() is None and not when(self.printed):
            time.sleep(0.002)
        return self.end(0, number)


@dataclass
class Home:
    """A data directory and a Dagster home, and the portal that they follow. `confined` is a command that runs another one."""

    folder: Path
    url: str
    settings: dict[str, str] = field(default_factory=dict)
    here: bool = False  # run syncs that are not killed in this process, which spares them the start

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data, self.dagster = self.folder / "data", self.folder / "dagster"
        self.warehouse, self.published = self.data / "warehouse.sqlite", self.data / "published" / "vanc311.sqlite"
        self.raw = self.data / "raw" / LIVE

    @property
    def environment(self) -> dict[str, str]:
        places = Settings(portal_url=self.url, data_dir=self.data, dagster_home=self.dagster, retry_wait_seconds=0.01)
        quiet = {"NO_PROGRESS": "1", "PYTHONUNBUFFERED": "1"}
        return os.environ | places.to_environment() | quiet | self.settings

    def start(self, *words: str, confined: Sequence[str] = ()) -> Sync:
        return Sync(self, words, confined)

    def sync(self, *words: str, confined: Sequence[str] = ()) -> Ended:
        return run_here(self, words) if self.here and not confined else self.start(*words, confined=confined).end()


def run_here(home: Home, words: Sequence[str]) -> Ended:
    """A sync in this process, to its end."""
    out, err, began, code = io.StringIO(), io.StringIO(), time.monotonic(), 0
    with patch.dict(os.environ, home.environment), redirect_stdout(out), redirect_stderr(err):
        try:
            main(lambda: vanc311(["sync", *words], prog_name="vanc311"))
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue(), time.monotonic() - began)


@dataclass
class Tally:
    """What a scenario did, and what it found wrong."""

    scenario: str
    rounds: int = 0
    convergences: int = 0
    seconds: float = 0
    figures: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def note(self, what: str, problems: Iterable[str]) -> None:
        """Remember problems, with the round in which they came."""
        for problem in problems:
            self.problems.append(f"{self.scenario}, round {self.rounds}, {what}: {problem}")
            print(f"  VIOLATED {self.problems[-1]}", file=sys.stderr, flush=True)


@dataclass
class Rig:
    """Makes portals and homes, each to be used for a while and thrown away."""

    source: pd.DataFrame
    folder: Path
    random: np.random.Generator
    loaded: Path | None = None  # a home into which the source was loaded, to be copied
    here: bool = False  # whether syncs that are not killed may run in this process
    tally: Tally = field(default_factory=lambda: Tally("a scenario"))

    def seed(self) -> int:
        return int(self.random.integers(1 << 31))

    def share(self) -> float:
        return float(self.random.random())

    @contextmanager
    def scene(self, *, loaded: bool) -> Iterator[Scene]:
        """A city, and a home of its own that follows it, empty or with the source loaded."""
        place = tempfile.TemporaryDirectory(prefix="home-", dir=self.folder, ignore_cleanup_errors=True)
        with place as folder, City(self.source) as city:
            if loaded:
                shutil.copytree(self._loaded(), folder, dirs_exist_ok=True)
            yield Scene(self, city, Home(Path(folder), city.url, here=self.here))

    def _loaded(self) -> Path:
        if self.loaded is None:
            self.loaded = self.folder / "loaded"
            with City(self.source) as city:
                ended = Home(self.loaded, city.url).sync()
            if ended.code:
                raise SystemExit(f"The first load ended with {ended.code}:\n{ended.out}{ended.err}")
        return self.loaded


def digest_of(file: Path) -> str | None:
    """Of a file that may not be there yet."""
    return file_digest(file) if file.exists() else None


def damage(file: Path, mode: str = "ro", check: str = "integrity_check") -> list[str]:
    """What SQLite finds wrong with a file, its indexes included."""
    try:
        with closing(sqlite3.connect(sqlite_uri(file, mode=mode), uri=True)) as connection:
            lines = [line for (line,) in connection.execute(f"PRAGMA {check}(3)")]
    except sqlite3.Error as error:
        lines = [str(error)]
    return [f"{file.name} is damaged: {line}" for line in lines if line != "ok"]


def published_problems(home: Home, before: str | None, releases: Sequence[Contents]) -> list[str]:
    """The published file is the one that was there before, or a whole one of one of the releases."""
    after = digest_of(home.published)
    if after == before:
        return []
    if after is None:
        return ["the published file is gone"]
    return damage(home.published) or [*disagreement(home.published), *strangeness(home.published, releases)]


def strangeness(file: Path, releases: Sequence[Contents]) -> list[str]:
    """Whether a file holds something else than one of the releases."""
    contents = stored(file)
    if contents in releases:
        return []
    what = "a mix of releases" if contents.is_mix_of(releases) else "rows that were never released"
    return [f"{file.name} holds {what} ({contents.rows:,} rows; {len(releases)} releases may be in it)"]


def disagreement(file: Path) -> list[str]:
    """Whether the tables of a published file tell different numbers of requests."""
    with closing(sqlite3.connect(sqlite_uri(file, mode="ro"), uri=True)) as connection:
        numbers = connection.execute(
            "SELECT (SELECT count(*) FROM service_requests), (SELECT rows_stored FROM release),"
            " (SELECT sum(rows_stored) FROM month_ledger), (SELECT sum(volume) FROM metrics_hyper_local)"
            " + (SELECT sum(volume) FROM metrics_unlocated)"
        ).fetchone()
    return [] if len({each or 0 for each in numbers}) == 1 else [f"the tables of {file.name} disagree: {numbers}"]


def warehouse_problems(home: Home, releases: Sequence[Contents]) -> list[str]:
    """The warehouse opens, is undamaged, and each of its months is wholly of one release. Looked at in a copy, so that
    it is the next sync that meets what was left behind, not we."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in home.data.glob("warehouse.sqlite*"):
            shutil.copy(file, scratch)
        copy = Path(scratch) / home.warehouse.name
        if not copy.exists():
            return []
        if problems := damage(copy, "rw", "quick_check"):
            return problems
        with closing(sqlite3.connect(copy)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"quarantined_requests", "service_requests"} <= tables:
            return []
        return [] if stored(copy).is_mix_of(releases) else ["a month of the warehouse is of no release"]


def landed_problems(home: Home) -> list[str]:
    """Every landed file can be read."""
    problems = []
    for file in home.raw.glob("*.parquet"):
        try:
            pq.read_table(file)
        except (OSError, ValueError) as error:
            problems.append(f"{file.name} can't be read: {error}")
    return problems


def converged(home: Home, city: City, *words: str) -> list[str]:
    """What is wrong after one undisturbed sync: it must end well, with the newest release and nothing left over."""
    ended = home.sync(*words)
    if ended.code:
        return [f"the next sync ended with {ended.code} in {ended.phase}: {ended.err[-600:] or ended.out[-600:]}"]
    problems = [*damage(home.published), *disagreement(home.published), *strangeness(home.published, [city.newest])]
    left = sorted(str(path.relative_to(home.data)) for path in home.data.rglob(".*"))
    city.forget()
    return problems + ([f"left over in the data directory: {', '.join(left)}"] if left else [])


def unclear(ended: Ended, codes: Sequence[int], words: str) -> list[str]:
    """What is wrong with how a sync failed: it must end with one of the codes, and say so in one message with the words."""
    problems = []
    if ended.code not in codes:
        problems.append(f"it ended with {ended.code}, not with one of {codes}")
    if "Traceback" in ended.err + ended.out:
        problems.append("it showed a traceback")
    if ended.err.count("Error:") != 1 or not ended.err.startswith("Error:"):
        problems.append("it did not say one message on the error stream, and nothing else")
    if not re.search(words, ended.err, re.IGNORECASE):
        problems.append(f"its message has none of {words!r}")
    return [f"{'; '.join(problems)} ({ended.phase}): {ended.err[:300]!r} … {ended.err[-300:]!r}"] if problems else []


@dataclass
class Scene:
    """Where rounds are played: each begins with a release, and asks in its end what became of the home."""

    rig: Rig
    city: City
    home: Home
    before: str | None = None  # the published file when the round began

    def begin_round(self) -> None:
        self.rig.tally.rounds += 1
        print(f"  {self.rig.tally.scenario}, round {self.rig.tally.rounds}", file=sys.stderr, flush=True)
        self.before = digest_of(self.home.published)

    def publish(self, frame: pd.DataFrame | None = None) -> None:
        """The city publishes these rows, or the last ones after a day's work."""
        self.city.publish(edited(self.city.frame, self.rig.seed()) if frame is None else frame)

    def begin_with_release(self, frame: pd.DataFrame | None = None) -> None:
        self.begin_round()
        self.publish(frame)

    def replaced(self) -> list[str]:
        return [] if digest_of(self.home.published) == self.before else ["the published file is another one"]

    def judge(self, what: str, ended: Ended, codes: Sequence[int], words: str, spoilt: bool = False) -> None:
        """All is whole; a sync that failed says so, and leaves alone what was published unless it had come to publishing."""
        if ended.code:
            self.rig.tally.note(what, unclear(ended, codes, words))
            if ended.phase not in ("publishing", "done"):
                self.rig.tally.note(what, self.replaced())
        self.left_whole(what, spoilt)

    def left_whole(self, what: str, spoilt: bool = False) -> None:
        """What a sync left that did not end well is whole; if rows are spoilt, they wait in quarantine: it is of no release."""
        problems = [
            *published_problems(self.home, self.before, self.city.releases),
            *warehouse_problems(self.home, self.city.releases),
            *landed_problems(self.home),
        ]
        excused = ("never released", "of no release") if spoilt else ()
        self.rig.tally.note(what, [line for line in problems if not any(words in line for words in excused)])

    def converge(self, what: str, *words: str) -> None:
        """The next sync is undisturbed."""
        self.rig.tally.convergences += 1
        self.rig.tally.note(f"after {what}", converged(self.home, self.city, *words))
