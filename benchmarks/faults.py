"""The fault harness: real `vanc311 sync` processes that are killed, starved, locked out, doubled and lied to.

What belongs here: the scenarios, each a function that mistreats the pipeline so many times and returns a tally, and the
printed table. What does not: the process itself and the proofs of wholeness (`rig`). After every mistreatment the
published file must be the one from before or a whole new one, and the next undisturbed sync must bring everything into
step. Everything random follows from one seed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import markdown
from benchmarks.grow import grow
from benchmarks.rig import (
    OPENED,
    City,
    Home,
    Rig,
    Tally,
    converged,
    digest_of,
    edited,
    phase,
    unclear,
    whole,
)
from vanc311_pipeline.shipping import KEPT, LATEST
from vanc311_pipeline.standin import EDITS, Fault
from vanc311_pipeline.standin.faults import KINDS

MONTHS_FROM, MONTHS_TO = "2025-01", date(2025, 6, 30)


# -- kills -------------------------------------------------------------------------------------------------------------


def kills(rig: Rig, count: int, every: int = 4) -> Tally:
    """SIGKILL at moments spread evenly over a load; after `every` kills, and after the last, an undisturbed sync.

    The kills come in batches that end with that sync; every second batch begins with an empty directory. Before each
    kill the portal publishes a new release in which every month was edited.
    """
    tally = Tally("kills")
    lengths: dict[bool, float] = {}
    spread = rig.random.permutation(count) + rig.random.random(count)
    for first in range(0, count, every):
        loaded = (first // every) % 2 == 0
        lengths[loaded] = lengths.get(loaded) or _undisturbed(rig, loaded)
        with rig.city() as city, rig.home(city, loaded=loaded) as home:
            for moment in spread[first : first + every]:
                _kill_once(rig, tally, city, home, float(moment) / count * lengths[loaded])
            tally.converge("the kills", home, city)
    return tally


def _undisturbed(rig: Rig, loaded: bool) -> float:
    """The seconds of a sync that is left alone."""
    with rig.city() as city, rig.home(city, loaded=loaded) as home:
        if loaded:
            city.publish(edited(city.frame, rig.seed()))
        ended = home.start().end()
        if ended.code:
            raise SystemExit(f"An undisturbed sync ended with {ended.code}:\n{ended.out}{ended.err}")
        return ended.seconds


def _kill_once(rig: Rig, tally: Tally, city: City, home: Home, seconds: float) -> None:
    tally.begin_round()
    city.publish(edited(city.frame, rig.seed()))
    before = digest_of(home.published)
    ended = home.start().kill_after(seconds)
    tally.figures[f"in {ended.phase}" if ended.code < 0 else "ended before its kill"] += 1
    tally.figures["published file already new"] += ended.code < 0 and digest_of(home.published) != before
    what = f"a kill after {seconds:.2f} s, in {ended.phase}"
    tally.note(what, whole(home, before, city))
    if ended.code > 0:
        tally.note(what, [f"it ended with {ended.code} before it was killed: {ended.err[-600:]}"])


Sight = Callable[[Home, str], bool]

SIGHTS: dict[str, tuple[bool, Sight]] = {
    "Dagster's storage is being made": (False, lambda home, _: any(home.dagster.glob(".initialise.lock"))),
    "Dagster's first tables are there": (False, lambda home, _: any(home.dagster.glob("history/runs*.db*"))),
    "the warehouse is being made": (False, lambda home, _: home.warehouse.exists()),
    "a month is being landed": (True, lambda home, _: any(home.raw.glob(".*"))),
    "a first month is landed": (False, lambda _, printed: " landed: " in printed),
    "all months are landed": (True, lambda _, printed: phase(printed) == "storing"),
    "a first month is stored": (True, lambda _, printed: " stored: " in printed),
    "a first month was ever stored": (False, lambda _, printed: " stored: " in printed),
    "the statistics are being made": (True, lambda _, printed: phase(printed) == "statistics"),
    "publishing has begun": (True, lambda _, printed: "publishing" in printed),
    "the new file is being written": (True, lambda home, _: any(home.published.parent.glob(".publishing-*/*.sqlite"))),
    "a first file is being written": (False, lambda home, _: any(home.published.parent.glob(".publishing-*/*.sqlite"))),
    "a first file is in place": (False, lambda home, _: home.published.exists()),
    "the sync is done": (True, lambda _, printed: "Done in" in printed),
}


def kills_by_phase(rig: Rig, times: int, names: Sequence[str] = tuple(SIGHTS)) -> Tally:
    """SIGKILL as soon as a phase is seen; an undisturbed sync after each."""
    tally = Tally("kills by phase")
    for name in [*names] * times:
        loaded, seen = SIGHTS[name]
        with rig.city() as city, rig.home(city, loaded=loaded) as home:
            tally.begin_round()
            city.publish(edited(city.frame, rig.seed()))
            before = digest_of(home.published)
            ended = home.start().kill_when(partial(seen, home))
            tally.figures["killed" if ended.code < 0 else "ended before its kill"] += 1
            tally.note(f"a kill when {name}", whole(home, before, city))
            tally.converge(f"a kill when {name}", home, city)
    return tally


def interrupts(rig: Rig, count: int) -> Tally:
    """SIGINT and SIGTERM by turns at random moments: a sync that has begun its work ends without a traceback."""
    tally = Tally("interrupts")
    length = _undisturbed(rig, False)
    for number in range(count):
        seconds = (number + float(rig.random.random())) / count * length
        told = signal.SIGTERM if number % 2 else signal.SIGINT
        with rig.city() as city, rig.home(city, loaded=False) as home:
            tally.begin_round()
            moment = time.monotonic() + seconds
            ended = home.start().told_to_end(told, lambda _, moment=moment: time.monotonic() > moment)  # type: ignore[misc]
            what = f"{told.name} after {seconds:.2f} s, in {ended.phase}"
            tally.figures[f"exit code {ended.code} in {ended.phase}"] += 1
            if "Traceback" in ended.err and ended.phase != "starting":
                tally.note(what, [f"it showed a traceback: {ended.err[-600:]}"])
            tally.note(what, whole(home, None, city))
            tally.converge(what, home, city)
    return tally


# -- a disk that is full -----------------------------------------------------------------------------------------------

DISK = r"disk|space|too large"


class SmallDisk:
    """A tmpfs whose free space can be set."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> SmallDisk:
        self.place.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", "size=2g", "tmpfs", str(self.place))
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)

    def leave(self, free: int) -> None:
        """Let so many bytes be free, in whole pages."""
        space = os.statvfs(self.place)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        _mount("-o", f"remount,size={used + max(free, 4_096)}", str(self.place))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def may_mount(folder: Path) -> bool:
    try:
        with SmallDisk(folder / "probe"):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


def full_disk(rig: Rig, sizes: int, where: str = "data") -> Tally:
    """The data directory (or Dagster's) on a disk with less and less room; after each failure there is room again."""
    tally = Tally(f"full disk: {where}")
    if not may_mount(rig.folder):
        tally.figures["no round: a tmpfs can't be mounted here, see `file limit`"] = 0
        return tally
    for number, loaded in enumerate([True, False] * ((sizes + 1) // 2)):
        share = (number // 2 + float(rig.random.random())) / max(1, (sizes + 1) // 2)
        with rig.city() as city, rig.home(city, loaded=loaded) as home, _on_small_disk(home, where) as disk:
            free = int(share * _needed(rig, where))
            disk.leave(free)
            _starve(rig, tally, city, home, f"{free / 1e6:.1f} MB free", (), partial(disk.leave, 1 << 31))
    return tally


@contextmanager
def _on_small_disk(home: Home, where: str) -> Iterator[SmallDisk]:
    """Move a part of a home to a disk of its own."""
    place, aside = home.folder / where, home.folder / f"{where}-aside"
    if place.exists():
        place.rename(aside)
    with SmallDisk(place) as disk:
        if aside.exists():
            shutil.copytree(aside, place, dirs_exist_ok=True)
            shutil.rmtree(aside)
        yield disk


def _needed(rig: Rig, where: str) -> int:
    """About what a load needs on top of what is there: once more all that a loaded directory holds."""
    with rig.city() as city, rig.home(city, loaded=True) as home:
        return sum(file.stat().st_size for file in (home.folder / where).rglob("*") if file.is_file())


def file_limit(rig: Rig, sizes: int) -> Tally:
    """No file may grow beyond a size: what a full disk does, where no disk can be mounted."""
    tally = Tally("file limit")
    with rig.city() as city, rig.home(city, loaded=True) as home:
        largest = home.warehouse.stat().st_size
    for number in range(sizes):
        loaded = number % 2 == 0
        share = (number + float(rig.random.random())) / sizes
        with rig.city() as city, rig.home(city, loaded=loaded) as home:
            size = max(65_536, int(share * largest))
            _starve(rig, tally, city, home, f"files up to {size / 1e6:.1f} MB", ("--file-bytes", str(size)), None)
    return tally


def _starve(
    rig: Rig,
    tally: Tally,
    city: City,
    home: Home,
    what: str,
    confined: Sequence[str],
    relieve: Callable[[], None] | None,
) -> None:
    """A sync with too little room, and one with enough."""
    tally.begin_round()
    city.publish(edited(city.frame, rig.seed()))
    before = digest_of(home.published)
    ended = home.sync(confined=confined)
    tally.figures[f"full in {ended.phase}" if ended.code else "room enough"] += 1
    if ended.code:
        tally.note(what, unclear(ended, (1, 2), DISK))
        if ended.phase not in ("publishing", "done") and digest_of(home.published) != before:
            tally.note(what, ["the published file is another one"])
    tally.note(what, whole(home, before, city))
    if relieve:
        relieve()
    tally.converge(what, home, city)


# -- no permission -----------------------------------------------------------------------------------------------------

LOCKED: dict[str, tuple[bool, str, int]] = {
    "an empty data directory": (False, "data", 0o555),
    "an empty Dagster home": (False, "dagster", 0o555),
    "the data directory": (True, "data", 0o555),
    "the data directory, not even to be looked into": (True, "data", 0o000),
    "the warehouse": (True, "data/warehouse.sqlite", 0o444),
    "the landed months": (True, "data/raw/3-1-1-service-requests", 0o555),
    "the raw directory": (True, "data/raw", 0o000),
    "a landed month": (True, "data/raw/3-1-1-service-requests/{month}.parquet", 0o000),
    "the published directory": (True, "data/published", 0o555),
    "the published file": (True, "data/published/vanc311.sqlite", 0o000),
    "Dagster's home": (True, "dagster", 0o555),
    "Dagster's settings": (True, "dagster/dagster.yaml", 0o000),
    "Dagster's history": (True, "dagster/history", 0o555),
    "Dagster's storage": (True, "dagster/storage", 0o555),
}


def no_permission(rig: Rig, names: Sequence[str] = tuple(LOCKED)) -> Tally:
    """The right to write, or even to read, is taken away from one place after another, and given back."""
    tally = Tally("no permission")
    for name in names:
        loaded, path, mode = LOCKED[name]
        with rig.city() as city, rig.home(city, loaded=loaded) as home:
            tally.begin_round()
            place = home.folder / path.format(month=f"{rig.source[OPENED].min():%Y-%m}")
            if not loaded:
                place.mkdir(parents=True)
            city.publish(edited(city.frame, rig.seed()))
            before = digest_of(home.published)
            with _mode(place, mode):
                ended = home.sync(confined=("--obey-modes",))
            tally.figures["refused" if ended.code else "not needed"] += 1
            if ended.code:
                tally.note(name, unclear(ended, (1, 2), r"permission|read-?only|denied|can't be (written|read)"))
            tally.note(name, whole(home, before, city))
            tally.converge(name, home, city)
    return tally


@contextmanager
def _mode(place: Path, mode: int) -> Iterator[None]:
    old = stat.S_IMODE(place.stat().st_mode)
    place.chmod(mode)
    try:
        yield
    finally:
        place.chmod(old)


# -- several at once ---------------------------------------------------------------------------------------------------


def at_once(
    rig: Rig,
    counts: Sequence[int] = (2, 3),
    loaded: Sequence[bool] = (True, False),
    homes: Sequence[str] = ("one home", "a home each"),
) -> Tally:
    """Several syncs started together on one data directory, empty or loaded, with one Dagster home or one each."""
    tally = Tally("several at once")
    for each in product(counts, loaded, homes):
        _race(rig, tally, *each)
    return tally


def _race(rig: Rig, tally: Tally, count: int, loaded: bool, homes: str) -> None:
    what = f"{count} at once, {homes}, {'loaded' if loaded else 'empty'}"
    with rig.city() as city, rig.home(city, loaded=loaded) as home:
        tally.begin_round()
        city.publish(edited(city.frame, rig.seed()))
        city.clear_log()
        runners = [home] * count
        if homes != "one home":
            runners = [
                replace(home, settings={"DAGSTER_HOME": str(home.folder / f"dagster-{number}")})
                for number in range(count)
            ]
        running = [runner.start() for runner in runners]
        for ended in [each.end() for each in running]:
            tally.note(what, [f"one ended with {ended.code}: {ended.err[-600:]}"] if ended.code else [])
        asked, months = city.exports(), len(city.newest.months)
        tally.figures["syncs"] += count
        tally.figures["months fetched twice"] += max(0, asked - months)
        if asked > months:
            tally.note(what, [f"{asked} months were fetched, though there are {months}"])
        tally.note(what, whole(home, None, city) if home.published.exists() else ["nothing was published"])
        tally.converge(what, home, city)


# -- faults and edits at random ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """A release with one edit, and what it takes to follow it."""

    edit: str
    frame: pd.DataFrame
    words: tuple[str, ...]
    """Of a sync that must notice the edit."""
    held: bool
    """Followed with consent only."""


UNSEEN = {"edit_silently", "new_closure_reason", "new_channel", "new_area", "outside_city", "close_before_open"}
SHRINKING = {"truncate", "empty", "empty_month"}
WHOLE = {"relabel_type", *SHRINKING}  # edits that choose no rows
SPOILING = {"garbled_field"}  # rows are quarantined until their month is read again
DETAILS: dict[str, Callable[[Rig], dict[str, Any]]] = {
    "release_moves_during_export": lambda rig: {"edit": str(rig.random.choice(["touch", "add_twin", "delete"]))},
    "records_count_off": lambda rig: {"by": int(rig.random.integers(-40, 40)) or 1},
    "total_count_off": lambda rig: {"by": int(rig.random.integers(-40, 40)) or 1},
    "short": lambda rig: {"rows": int(rig.random.integers(1, 100))},
    "cut_at_row": lambda rig: {"rows": int(rig.random.integers(1, 100))},
    "slow_drip": lambda _: {"bytes": 3, "seconds": 0.05},
    "field_dropped": lambda rig: {"field": str(rig.random.choice(["channel", "status", "geom", "address"]))},
    "garbled_field": lambda rig: {"field": str(rig.random.choice([OPENED, "latitude"]))},
}


def random_faults(rig: Rig, rounds: int) -> Tally:
    """A random edit, and a sync into random faults of the contract; then the faults are over."""
    tally = Tally("faults at random")
    with rig.city() as city, rig.home(city, loaded=True) as home:
        for _ in range(rounds):
            tally.begin_round()
            drawn = _draw_edit(rig, city.frame)
            faults = [_draw_fault(rig) for _ in range(int(rig.random.integers(1, 4)))]
            _play_round(tally, city, home, drawn, faults)
            city.clear_faults()
            _follow(tally, city, home, drawn, faults)
            if drawn.held:
                city.publish(rig.source)
                tally.converge(f"{drawn.edit}, taken back", home, city)
    return tally


def _draw_edit(rig: Rig, frame: pd.DataFrame) -> Draw:
    name = str(rig.random.choice(list(EDITS)))
    months = sorted(frame[OPENED].dropna().dt.strftime("%Y-%m").loc[lambda each: each > "2009"].unique())
    middle = months[len(months) // 2]
    details: dict[str, object] = {"rows": int(rig.random.integers(1, 9)), "seed": rig.seed()}
    if name in WHOLE:
        details = {
            "empty_month": {"month": middle},
            "truncate": {"halved_from": f"{middle}-01", "seed": rig.seed()},
        }.get(name, {})
    if name == "insert_old":
        details["opened"] = f"{middle}-05T19:30:00+00:00"
    if name == "remove_twin":
        details["rows"] = 1
    words = ("--months", f"{months[0]}..{months[-1]}") if name in UNSEEN else ()
    return Draw(name, EDITS[name].function(frame, **details), words, name in SHRINKING)


def _draw_fault(rig: Rig) -> Fault:
    kind = str(rig.random.choice(list(KINDS)))
    times = None if rig.random.random() < 0.3 else int(rig.random.integers(1, 7))
    details = DETAILS[kind](rig) if kind in DETAILS else {}
    return Fault(kind, times=times, after=int(rig.random.integers(0, 8)), **details)


def _play_round(tally: Tally, city: City, home: Home, drawn: Draw, faults: Sequence[Fault]) -> None:
    """Publish the edit, and sync while the faults are in play."""
    city.publish(drawn.frame)
    for fault in faults:
        city.play(fault)
    before = digest_of(home.published)
    impatient = replace(home, settings={"VANC311_READ_TIMEOUT_SECONDS": "2"})
    ended = impatient.sync(*drawn.words)
    tally.figures[f"exit code {ended.code}"] += 1
    what = f"{drawn.edit} with {', '.join(map(repr, faults))}"
    if ended.code:
        tally.note(what, unclear(ended, (1, 3), "."))
        if ended.phase not in ("publishing", "done") and digest_of(home.published) != before:
            tally.note(what, ["the published file is another one"])
    spoilt = any(fault.kind in SPOILING for fault in faults)
    problems = whole(home, before, city)
    if spoilt:  # what was garbled waits in quarantine, so the rows are those of no release
        problems = [line for line in problems if "never released" not in line and "of no release" not in line]
    tally.note(what, problems)


def _follow(tally: Tally, city: City, home: Home, drawn: Draw, faults: Sequence[Fault]) -> None:
    """The faults are over: the edit is followed; if it takes away too much, only with consent."""
    what = f"{drawn.edit} with {', '.join(map(repr, faults))}"
    if drawn.held:
        before = digest_of(home.published)
        held = home.sync()
        tally.note(what, unclear(held, (1,), "--accept-shrink"))
        tally.note(what, [] if digest_of(home.published) == before else ["a loss was followed without consent"])
        tally.converge(what, home, city, "--accept-shrink", "all")
        return
    words = drawn.words
    if any(fault.kind in SPOILING for fault in faults):
        months = sorted(month for month in city.newest.months)
        words = ("--months", f"{months[0]}..{months[-1]}")
    tally.converge(what, home, city, *words)


# -- answers without bounds --------------------------------------------------------------------------------------------

UNBOUNDED = ("gzip_bomb", "odd_429", "endless", "malformed", "redirect", "dripping_headers")
MOST_MEMORY = 1_000_000  # kB; a load of these cities takes half of it


def unbounded_answers(rig: Rig) -> Tally:
    """Every answer to one kind of question has no end, or no sense: that is said, and neither disk nor memory fills up."""
    tally = Tally("answers without bounds")
    for kind, on in product(UNBOUNDED, ("export", "metadata", "grouped")):
        with rig.city() as city, rig.home(city, loaded=True) as home:
            tally.begin_round()
            city.publish(edited(city.frame, rig.seed()))
            city.play(Fault(kind, on=on, times=None))
            before = digest_of(home.published)
            impatient = replace(home, settings={"VANC311_READ_TIMEOUT_SECONDS": "2"})
            ended = impatient.sync(confined=("--file-bytes", "100000000"))
            what = f"{kind} on {on}"
            tally.figures[f"exit code {ended.code}"] += 1
            tally.note(what, unclear(ended, (3,), "stays"))
            tally.note(what, [] if digest_of(home.published) == before else ["the published file is another one"])
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            tally.note(what, [f"it took {memory:,} kB of memory"] if memory > MOST_MEMORY else [])
            city.clear_faults()
            tally.converge(what, home, city)
    return tally


# -- odd names ---------------------------------------------------------------------------------------------------------

ODD_NAME = "50%25 #1? it's & more"


def odd_names(rig: Rig) -> Tally:
    """The data is in a directory with signs that mean something in addresses: it is used itself, and nothing is written beside it."""
    tally = Tally("odd names")
    with rig.city() as city, rig.home(city, loaded=False) as home:
        tally.begin_round()
        odd = replace(home, folder=home.folder / ODD_NAME, settings={"DAGSTER_HOME": str(home.dagster)})
        tally.converge("a first load", odd, city)
        city.publish(edited(city.frame, rig.seed()))
        tally.converge("a new release", odd, city)
        strays = {*os.listdir(home.folder)} - {ODD_NAME, home.dagster.name}
        tally.note("both", [f"{name} was written beside the directory" for name in strays])
    return tally


# -- a shared bucket ---------------------------------------------------------------------------------------------------

FOREIGN = (
    "elsewhere.sqlite",
    "releases/notes.txt",
    "releases/folder/inside.sqlite",
    f"releases/{'1' * 64}.sqlite/inside",
)


def shared_bucket(rig: Rig, releases: int = KEPT + 2) -> Tally:
    """Others keep files and folders where the published file is shipped to: each release arrives, and theirs stay as they are."""
    tally = Tally("a shared bucket")
    with rig.city() as city, rig.home(city, loaded=False) as home:
        store = home.folder / "store"
        shipping = replace(home, settings={"VANC311_SHIP_URL": f"file://{store}"})
        for name in FOREIGN:
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_text("not ours")
        for number in range(releases):
            tally.begin_round()
            tally.converge(f"release {number}", shipping, city)
            if json.loads((store / LATEST).read_text())["sha256"] != digest_of(home.published):
                tally.note(f"release {number}", ["another file was shipped than was published"])
            city.publish(edited(city.frame, rig.seed()))
        kept = sum(each.is_file() for each in (store / "releases").glob("*.sqlite"))
        tally.note("the end", [] if kept == min(releases, KEPT) else [f"{kept} releases are kept"])
        touched = [name for name in FOREIGN if (store / name).read_text() != "not ours"]
        tally.note("the end", [f"{name} was touched" for name in touched])
    return tally


# -- a release that moves ----------------------------------------------------------------------------------------------


def moving_release(rig: Rig, rounds: int) -> Tally:
    """The city publishes edited rows at one or more random questions of a sync: it ends well or says so, and recovers."""
    tally = Tally("release moves mid-run")
    with rig.city() as city, rig.home(city, loaded=True) as home:
        city.publish(edited(city.frame, rig.seed()))
        city.clear_log()
        tally.note("before the rounds", converged(home, city))
        questions = len(city.requests_log)
    for _ in range(rounds):
        tally.begin_round()
        _move(rig, tally, 1 + rig.random.integers(questions, size=int(rig.random.integers(1, 4))))
    return tally


def _move(rig: Rig, tally: Tally, moments: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    armed = False

    def publish_now(city: City) -> None:
        if armed and len(city.requests_log) in moments:
            city.publish(edited(city.frame, rig.seed()))

    with rig.city(publish_now) as city, rig.home(city, loaded=bool(tally.rounds % 4)) as home:
        city.publish(edited(city.frame, rig.seed()))
        before, armed = digest_of(home.published), True
        ended = home.sync()
        armed = False
        what = f"a release at question {', '.join(map(str, sorted(moments)))} of the portal"
        tally.figures[f"exit code {ended.code}"] += 1
        tally.figures["planned again"] += ended.out.count("Planning again")
        if ended.code:
            tally.note(what, unclear(ended, (1,), "published"))
        elif digest_of(home.published) == before:
            tally.note(what, ["it ended well, but nothing new was published"])
        tally.note(what, whole(home, before, city))
        tally.converge(what, home, city)


# -- all of it ---------------------------------------------------------------------------------------------------------


def scenarios(kill_count: int, every: int, rounds: int) -> dict[str, Callable[[Rig], Tally]]:
    """Every scenario by the name that `--only` takes."""
    return {
        "kills": partial(kills, count=kill_count, every=every),
        "phases": partial(kills_by_phase, times=1),
        "interrupts": partial(interrupts, count=rounds),
        "disk": partial(full_disk, sizes=rounds),
        "dagster-disk": partial(full_disk, sizes=rounds, where="dagster"),
        "file-limit": partial(file_limit, sizes=rounds),
        "permission": no_permission,
        "at-once": at_once,
        "random": partial(random_faults, rounds=2 * rounds),
        "unbounded": unbounded_answers,
        "names": odd_names,
        "bucket": shared_bucket,
        "moving": partial(moving_release, rounds=rounds),
    }


def table(tallies: Sequence[Tally], seconds: Sequence[float]) -> str:
    """The tallies as a Markdown table."""
    rows = []
    for tally, took in zip(tallies, seconds, strict=True):
        happened = ", ".join(f"{times} {what}" for what, times in sorted(tally.figures.items()))
        each = f"{'1' if tally.convergences else ''} ({tally.convergences} times)"
        rows.append((tally.scenario, tally.rounds, happened, each, f"{took:,.0f}", len(tally.problems)))
    head = ("scenario", "rounds", "what happened", "syncs to converge", "seconds", "failures")
    return markdown.table(head, rows, words=(0, 2))


def main(arguments: list[str] | None = None) -> None:
    """Play the scenarios, print the table, and end with 1 if anything did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Mistreat the pipeline.")
    names = list(scenarios(0, 1, 0))
    parser.add_argument("--kills", type=int, default=200, help="random moments at which a sync is killed")
    parser.add_argument("--every", type=int, default=4, help="kills before an undisturbed sync must mend it all")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of the other scenarios")
    parser.add_argument("--rows", type=int, default=60_000, help="rows of the city, in six months")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats what another run did")
    parser.add_argument("--only", choices=names, action="append", help="this scenario alone; may be repeated")
    parser.add_argument("--dir", type=Path, default=None, help="work here, not in the temporary directory")
    options = parser.parse_args(arguments)
    tallies, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="vanc311-faults-", dir=options.dir) as scratch:
        source = grow(options.rows, first_month=MONTHS_FROM, last_day=MONTHS_TO)
        loaded: Path | None = None
        for number, (name, play) in enumerate(scenarios(options.kills, options.every, options.rounds).items()):
            if options.only and name not in options.only:
                continue
            print(f"{name} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            # A generator for each, so that a scenario alone does what it does among the others.
            rig = Rig(source, Path(scratch), np.random.default_rng([options.seed, number]), loaded)
            tallies.append(play(rig))
            seconds.append(time.monotonic() - began)
            print(table(tallies[-1:], seconds[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
            loaded = rig.loaded
    print(table(tallies, seconds))
    failures = sum(len(tally.problems) for tally in tallies)
    print(
        f"\n{failures} failures; to repeat: python -m benchmarks.faults --seed {options.seed} --rows {options.rows} --kills {options.kills}"
    )
    for tally in tallies:
        for problem in tally.problems:
            print(f"  {problem}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
