"""The fault harness: real `vanc311 sync` processes that are killed, starved, locked out, doubled and lied to.

Each scenario is a function that mistreats the pipeline so many times and keeps a tally. After every mistreatment the
published file must be the one from before or a whole new one, and the next undisturbed sync must bring everything into
step: `rig` has the proofs. Everything random follows from one seed.
"""

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import markdown
from benchmarks.grow import grow
from benchmarks.places import command_line, workplace
from benchmarks.rig import OPENED, City, Home, Rig, Scene, Tally, converged, digest_of, edited, phase, unclear
from vanc311_pipeline.shipping import KEPT, LATEST
from vanc311_pipeline.standin import EDITS, Fault
from vanc311_pipeline.standin.faults import KINDS
from vanc311_pipeline.standin.server import RELEASED_AT

FIRST_MONTH, LAST_DAY = "2025-08", RELEASED_AT.date() - timedelta(days=1)
KILLS_AT_A_TIME = 4
IMPATIENT = {"VANC311_READ_TIMEOUT_SECONDS": "2"}


def up_to(size: int) -> list[str]:
    """No file may grow beyond this size: writing then fails as on a disk that is full, without any right to mount one."""
    return ["prlimit", f"--fsize={size}", "--"]


# The modes of files hold for root, too, without these two rights; for everybody else they hold anyway.
OBEYING_MODES = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


# -- kills -------------------------------------------------------------------------------------------------------------


def kills(rig: Rig, count: int) -> None:
    """SIGKILL at moments spread evenly over a load; after each batch of kills an undisturbed sync.

    Every second batch begins with an empty directory. Before each kill the portal publishes a new release in which every
    month was edited.
    """
    lengths: dict[bool, float] = {}
    spread = rig.random.permutation(count) + rig.random.random(count)
    for first in range(0, count, KILLS_AT_A_TIME):
        loaded = (first // KILLS_AT_A_TIME) % 2 == 0
        lengths[loaded] = lengths.get(loaded) or _undisturbed(rig, loaded)
        with rig.scene(loaded=loaded) as scene:
            for moment in spread[first : first + KILLS_AT_A_TIME]:
                _kill_once(scene, float(moment) / count * lengths[loaded])
            scene.converge("the kills")


def _undisturbed(rig: Rig, loaded: bool) -> float:
    """The seconds of a sync that is left alone."""
    with rig.scene(loaded=loaded) as scene:
        if loaded:
            scene.publish()
        ended = scene.home.start().end()
    if ended.code:
        raise SystemExit(f"An undisturbed sync ended with {ended.code}:\n{ended.out}{ended.err}")
    return ended.seconds


def _kill_once(scene: Scene, seconds: float) -> None:
    scene.begin_with_release()
    ended = scene.home.start().end(seconds)
    figures = scene.tally.figures
    figures[f"in {ended.phase}" if ended.code < 0 else "ended before its kill"] += 1
    figures["published file already new"] += ended.code < 0 and bool(scene.replaced())
    what = f"a kill after {seconds:.2f} s, in {ended.phase}"
    scene.left_whole(what)
    if ended.code > 0:
        scene.tally.note(what, [f"it ended with {ended.code} before it was killed: {ended.err[-600:]}"])


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


def kills_by_phase(rig: Rig, names: Sequence[str] = tuple(SIGHTS)) -> None:
    """SIGKILL as soon as a phase is seen; an undisturbed sync after each."""
    for name in names:
        loaded, seen = SIGHTS[name]
        with rig.scene(loaded=loaded) as scene:
            scene.begin_with_release()
            ended = scene.home.start().ended_by(signal.SIGKILL, partial(seen, scene.home))
            rig.tally.figures["killed" if ended.code < 0 else "ended before its kill"] += 1
            scene.left_whole(f"a kill when {name}")
            scene.converge(f"a kill when {name}")


def interrupts(rig: Rig, count: int) -> None:
    """SIGINT and SIGTERM by turns at random moments: a sync that has begun its work ends without a traceback."""
    length = _undisturbed(rig, False)
    for number in range(count):
        seconds = (number + float(rig.random.random())) / count * length
        with rig.scene(loaded=False) as scene:
            _interrupt_once(scene, signal.SIGTERM if number % 2 else signal.SIGINT, seconds)


def _interrupt_once(scene: Scene, number: signal.Signals, seconds: float) -> None:
    scene.begin_round()
    moment = time.monotonic() + seconds
    ended = scene.home.start().ended_by(number, lambda _: time.monotonic() > moment)
    what = f"{number.name} after {seconds:.2f} s, in {ended.phase}"
    scene.tally.figures[f"exit code {ended.code} in {ended.phase}"] += 1
    if "Traceback" in ended.err and ended.phase != "starting":
        scene.tally.note(what, [f"it showed a traceback: {ended.err[-600:]}"])
    scene.left_whole(what)
    scene.converge(what)


# -- a disk that is full -----------------------------------------------------------------------------------------------


@contextmanager
def disk_of_its_own(place: Path) -> Iterator[None]:
    """A tmpfs in the place of a directory, with all that is in it."""
    aside = place.with_name(f"{place.name}-aside")
    place.mkdir(exist_ok=True)
    shutil.copytree(place, aside)
    _mount("-t", "tmpfs", "-o", "size=2g", "tmpfs", str(place))
    try:
        shutil.copytree(aside, place, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def leave_free(disk: Path, free: int) -> None:
    """Let so many bytes be free, in whole pages."""
    space = os.statvfs(disk)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    _mount("-o", f"remount,size={used + max(free, 4_096)}", str(disk))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def full_disk(rig: Rig, sizes: int, where: str = "data") -> None:
    """The data directory (or Dagster's) on a disk with less and less room; after each failure there is room again."""
    try:
        with disk_of_its_own(rig.folder / "probe"):
            pass
    except (subprocess.CalledProcessError, OSError):
        rig.tally.figures["no round: a tmpfs can't be mounted here, see `file limit`"] = 0
        return
    steps = (sizes + 1) // 2
    for step, loaded in product(range(steps), (True, False)):
        share = (step + float(rig.random.random())) / steps
        with rig.scene(loaded=True) as scene:  # a load needs about what is there once more
            files = (scene.home.folder / where).rglob("*")
            free = int(share * sum(file.stat().st_size for file in files if file.is_file()))
        with rig.scene(loaded=loaded) as scene, disk_of_its_own(disk := scene.home.folder / where):
            leave_free(disk, free)
            what = f"{free / 1e6:.1f} MB free"
            _starve(scene, what, [])
            leave_free(disk, 1 << 31)
            scene.converge(what)


def file_limit(rig: Rig, sizes: int) -> None:
    """No file may grow beyond a size: what a full disk does, where no disk can be mounted."""
    with rig.scene(loaded=True) as scene:
        largest = scene.home.warehouse.stat().st_size
    for number in range(sizes):
        share = (number + float(rig.random.random())) / sizes
        with rig.scene(loaded=number % 2 == 0) as scene:
            size = max(65_536, int(share * largest))
            what = f"files up to {size / 1e6:.1f} MB"
            _starve(scene, what, up_to(size))
            scene.converge(what)


def _starve(scene: Scene, what: str, confined: Sequence[str]) -> None:
    """A sync with too little room."""
    scene.begin_with_release()
    ended = scene.home.sync(confined=confined)
    scene.tally.figures[f"full in {ended.phase}" if ended.code else "room enough"] += 1
    scene.judge(what, ended, (1, 2), r"disk|space|too large")


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


def no_permission(rig: Rig, names: Sequence[str] = tuple(LOCKED)) -> None:
    """The right to write, or even to read, is taken away from one place after another, and given back."""
    for name in names:
        loaded, path, mode = LOCKED[name]
        with rig.scene(loaded=loaded) as scene:
            place = scene.home.folder / path.format(month=f"{rig.source[OPENED].min():%Y-%m}")
            if not loaded:
                place.mkdir(parents=True)
            scene.begin_with_release()
            with _mode(place, mode):
                ended = scene.home.sync(confined=OBEYING_MODES)
            rig.tally.figures["refused" if ended.code else "not needed"] += 1
            scene.judge(name, ended, (1, 2), r"permission|read-?only|denied|can't be (written|read)")
            scene.converge(name)


@contextmanager
def _mode(place: Path, mode: int) -> Iterator[None]:
    old = stat.S_IMODE(place.stat().st_mode)
    place.chmod(mode)
    try:
        yield
    finally:
        place.chmod(old)


RACES = tuple(product((2, 3), (True, False), (False, True)))


def at_once(rig: Rig, races: Sequence[tuple[int, bool, bool]] = RACES) -> None:
    """Several syncs started together on one data directory: how many, whether it is loaded, whether each has a Dagster home."""
    for count, loaded, apart in races:
        with rig.scene(loaded=loaded) as scene:
            _race(scene, count, apart)


def _race(scene: Scene, count: int, apart: bool) -> None:
    home, city, tally = scene.home, scene.city, scene.tally
    loaded = "loaded" if home.published.exists() else "empty"
    what = f"{count} at once, {'a home each' if apart else 'one home'}, {loaded}"
    scene.begin_with_release()
    scene.before = None  # one of them publishes
    city.clear_log()
    runners = [home] * count
    if apart:
        homes = [str(home.folder / f"dagster-{number}") for number in range(count)]
        runners = [replace(home, settings={"DAGSTER_HOME": each}) for each in homes]
    running = [runner.start() for runner in runners]
    for ended in [each.end() for each in running]:
        tally.note(what, [f"one ended with {ended.code}: {ended.err[-600:]}"] if ended.code else [])
    asked, months = city.exports(), len(city.newest.months)
    tally.figures["syncs"] += count
    tally.figures["months fetched twice"] += max(0, asked - months)
    if asked > months:
        tally.note(what, [f"{asked} months were fetched, though there are {months}"])
    tally.note(what, [] if home.published.exists() else ["nothing was published"])
    scene.left_whole(what)
    scene.converge(what)


# -- faults and edits at random ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """A release with one edit, the faults that are met on the way to it, and what it takes to follow it."""

    edit: str
    frame: pd.DataFrame
    faults: list[Fault]
    words: tuple[str, ...]
    """Of a sync that must notice the edit."""

    @property
    def held(self) -> bool:
        """Whether it is followed with consent only."""
        return self.edit in SHRINKING

    @property
    def spoilt(self) -> bool:
        """Whether rows are quarantined until their month is read again."""
        return any(fault.kind == "garbled_field" for fault in self.faults)

    def __str__(self) -> str:
        return f"{self.edit} with {', '.join(map(repr, self.faults))}"


UNSEEN = {"edit_silently", "new_closure_reason", "new_channel", "new_area", "outside_city", "close_before_open"}
SHRINKING = {"truncate", "empty", "empty_month"}
WHOLE = {"relabel_type", *SHRINKING}  # edits that choose no rows
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


def random_faults(rig: Rig, rounds: int) -> None:
    """A random edit, and a sync into random faults of the contract; then the faults are over."""
    with rig.scene(loaded=True) as scene:
        for _ in range(rounds):
            drawn = _draw(rig, scene.city.frame)
            _play_round(scene, drawn)
            scene.city.clear_faults()
            _follow(scene, drawn)
            if drawn.held:
                scene.publish(rig.source)
                scene.converge(f"{drawn.edit}, taken back")


def _draw(rig: Rig, frame: pd.DataFrame) -> Draw:
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
    faults = [_draw_fault(rig) for _ in range(int(rig.random.integers(1, 4)))]
    return Draw(name, EDITS[name].function(frame, **details), faults, words)


def _draw_fault(rig: Rig) -> Fault:
    kind = str(rig.random.choice(list(KINDS)))
    times = None if rig.random.random() < 0.3 else int(rig.random.integers(1, 7))
    details = DETAILS[kind](rig) if kind in DETAILS else {}
    return Fault(kind, times=times, after=int(rig.random.integers(0, 8)), **details)


def _play_round(scene: Scene, drawn: Draw) -> None:
    """Publish the edit, and sync while the faults are in play."""
    scene.begin_with_release(drawn.frame)
    for fault in drawn.faults:
        scene.city.play(fault)
    ended = replace(scene.home, settings=IMPATIENT).sync(*drawn.words)
    scene.tally.figures[f"exit code {ended.code}"] += 1
    scene.judge(f"{drawn}", ended, (1, 3), ".", drawn.spoilt)


def _follow(scene: Scene, drawn: Draw) -> None:
    """The faults are over: the edit is followed; if it takes away too much, only with consent."""
    words = drawn.words
    if drawn.held:
        scene.before = digest_of(scene.home.published)
        scene.tally.note(f"{drawn}", unclear(scene.home.sync(), (1,), "--accept-shrink"))
        scene.tally.note(f"{drawn}", ["a loss was followed without consent"] if scene.replaced() else [])
        words = ("--accept-shrink", "all")
    elif drawn.spoilt:
        words = ("--months", f"{min(scene.city.newest.months)}..{max(scene.city.newest.months)}")
    scene.converge(f"{drawn}", *words)


UNBOUNDED = ("gzip_bomb", "odd_429", "endless", "malformed", "redirect", "dripping_headers")
MOST_MEMORY = 1_000_000  # kB; a load of these cities takes half of it


def unbounded_answers(rig: Rig) -> None:
    """Every answer to one kind of question has no end, or no sense: that is said, and neither disk nor memory fills up."""
    for kind, on in product(UNBOUNDED, ("export", "metadata", "grouped")):
        with rig.scene(loaded=True) as scene:
            scene.begin_with_release()
            scene.city.play(Fault(kind, on=on, times=None))
            ended = replace(scene.home, settings=IMPATIENT).sync(confined=up_to(100_000_000))
            what = f"{kind} on {on}"
            rig.tally.figures[f"exit code {ended.code}"] += 1
            rig.tally.note(what, [*unclear(ended, (3,), "stays"), *scene.replaced()])
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            rig.tally.note(what, [f"it took {memory:,} kB of memory"] if memory > MOST_MEMORY else [])
            scene.city.clear_faults()
            scene.converge(what)


ODD_NAME = "50%25 #1? it's & more"


def odd_names(rig: Rig) -> None:
    """The data is in a directory with signs that mean something in addresses: it is used itself, and nothing is written beside it."""
    with rig.scene(loaded=False) as scene:
        home = scene.home
        scene.home = replace(home, folder=home.folder / ODD_NAME, settings={"DAGSTER_HOME": str(home.dagster)})
        scene.begin_round()
        scene.converge("a first load")
        scene.publish()
        scene.converge("a new release")
        strays = {*os.listdir(home.folder)} - {ODD_NAME, home.dagster.name}
        rig.tally.note("both", [f"{name} was written beside the directory" for name in strays])


FOREIGN = (
    "elsewhere.sqlite",
    "releases/notes.txt",
    "releases/folder/inside.sqlite",
    f"releases/{'1' * 64}.sqlite/inside",
)


def shared_bucket(rig: Rig) -> None:
    """Others keep files and folders where the published file is shipped to: each release arrives, and theirs stay as they are."""
    with rig.scene(loaded=False) as scene:
        store = scene.home.folder / "store"
        scene.home = replace(scene.home, settings={"VANC311_SHIP_URL": f"file://{store}"})
        for name in FOREIGN:
            (store / name).parent.mkdir(parents=True, exist_ok=True)
            (store / name).write_text("not ours")
        for number in range(KEPT + 2):
            scene.begin_round()
            scene.converge(f"release {number}")
            if json.loads((store / LATEST).read_text())["sha256"] != digest_of(scene.home.published):
                rig.tally.note(f"release {number}", ["another file was shipped than was published"])
            scene.publish()
        kept = sum(each.is_file() for each in (store / "releases").glob("*.sqlite"))
        rig.tally.note("the end", [] if kept == KEPT else [f"{kept} releases are kept"])
        touched = [name for name in FOREIGN if (store / name).read_text() != "not ours"]
        rig.tally.note("the end", [f"{name} was touched" for name in touched])


def moving_release(rig: Rig, rounds: int) -> None:
    """The city publishes edited rows at one or more random questions of a sync: it ends well or says so, and recovers."""
    with rig.scene(loaded=True) as scene:
        scene.publish()
        scene.city.clear_log()
        rig.tally.note("before the rounds", converged(scene.home, scene.city))
        questions = len(scene.city.requests_log)
    for _ in range(rounds):
        _move(rig, {*map(int, 1 + rig.random.integers(questions, size=int(rig.random.integers(1, 4))))})


def _move(rig: Rig, moments: set[int]) -> None:
    armed = False

    def publish_now(city: City) -> None:
        if armed and len(city.requests_log) in moments:
            city.publish(edited(city.frame, rig.seed()))

    with rig.scene(loaded=bool((rig.tally.rounds + 1) % 4), on_question=publish_now) as scene:
        scene.begin_with_release()
        armed = True
        ended = scene.home.sync()
        armed = False
        what = f"a release at question {', '.join(map(str, sorted(moments)))} of the portal"
        rig.tally.figures[f"exit code {ended.code}"] += 1
        rig.tally.figures["planned again"] += ended.out.count("Planning again")
        scene.judge(what, ended, (1,), "published")
        if not ended.code and not scene.replaced():
            rig.tally.note(what, ["it ended well, but nothing new was published"])
        scene.converge(what)


def scenarios(kill_count: int, rounds: int) -> dict[str, tuple[str, Callable[[Rig], None]]]:
    """Every scenario by the name that `--only` takes: its title, and how it is played."""
    return {
        "kills": ("kills", partial(kills, count=kill_count)),
        "phases": ("kills by phase", kills_by_phase),
        "interrupts": ("interrupts", partial(interrupts, count=rounds)),
        "disk": ("full disk: data", partial(full_disk, sizes=rounds)),
        "dagster-disk": ("full disk: dagster", partial(full_disk, sizes=rounds, where="dagster")),
        "file-limit": ("file limit", partial(file_limit, sizes=rounds)),
        "permission": ("no permission", no_permission),
        "at-once": ("several at once", at_once),
        "random": ("faults at random", partial(random_faults, rounds=2 * rounds)),
        "unbounded": ("answers without bounds", unbounded_answers),
        "names": ("odd names", odd_names),
        "bucket": ("a shared bucket", shared_bucket),
        "moving": ("release moves mid-run", partial(moving_release, rounds=rounds)),
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


def main() -> None:
    """Play the scenarios, print the table, and end with 1 if anything did not hold."""
    parser = command_line("faults", "Mistreat the pipeline.", kills=200, rounds=12, rows=60_000, seed=int(time.time()))
    parser.add_argument("--only", choices=scenarios(0, 0), action="append", help="this scenario alone; may be repeated")
    options = parser.parse_args()
    tallies, seconds = [], []
    with workplace("faults", options.keep) as folder:
        source = grow(options.rows, first_month=FIRST_MONTH, last_day=LAST_DAY).to_pandas()
        rig = Rig(source, folder, np.random.default_rng(options.seed))
        for number, (name, (title, play)) in enumerate(scenarios(options.kills, options.rounds).items()):
            if options.only and name not in options.only:
                continue
            print(f"{name} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            # A generator for each, so that a scenario alone does what it does among the others.
            rig.random, rig.tally = np.random.default_rng([options.seed, number]), Tally(title)
            play(rig)
            tallies.append(rig.tally)
            seconds.append(time.monotonic() - began)
            print(table(tallies[-1:], seconds[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(tallies, seconds))
    problems = [problem for tally in tallies for problem in tally.problems]
    again = f"--seed {options.seed} --rows {options.rows} --kills {options.kills}"
    print(f"\n{len(problems)} failures; to repeat: python -m benchmarks.faults {again}")
    for problem in problems:
        print(f"  {problem}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
