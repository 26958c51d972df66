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
from dataclasses import replace
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
from benchmarks.rig import LIVE, OPENED, Home, Rig, Scene, Tally, converged, digest_of, edited, phase, unclear
from vanc311_pipeline.shipping import KEPT, LATEST
from vanc311_pipeline.standin import EDITS, Fault
from vanc311_pipeline.standin.faults import KINDS
from vanc311_pipeline.standin.server import RELEASED_AT

FIRST_MONTH, LAST_DAY = "2025-08", RELEASED_AT.date() - timedelta(days=1)
KILLS_AT_A_TIME = 4
IMPATIENT = {"VANC311_READ_TIMEOUT_SECONDS": "2"}


# The modes of files hold for root, too, without these two rights; for everybody else they hold anyway.
OBEYING_MODES = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


# -- kills -------------------------------------------------------------------------------------------------------------


def kills(rig: Rig, count: int) -> None:
    """SIGKILL at moments spread evenly over a load, each after a release with edits in every month; then an undisturbed sync.

    That comes after each batch of kills. Every second batch begins with an empty directory.
    """
    lengths: dict[bool, float] = {}
    spread = rig.random.permutation(count) + rig.random.random(count)
    for first in range(0, count, KILLS_AT_A_TIME):
        loaded = (first // KILLS_AT_A_TIME) % 2 == 0
        lengths[loaded] = lengths.get(loaded) or _undisturbed(rig, loaded)
        with rig.scene(loaded=loaded) as scene:
            for moment in spread[first : first + KILLS_AT_A_TIME]:
                scene.begin_with_release()
                ended = scene.home.start().end(seconds := float(moment) / count * lengths[loaded])
                rig.tally.figures[f"in {ended.phase}" if ended.code < 0 else "ended before its kill"] += 1
                rig.tally.figures["published file already new"] += ended.code < 0 and bool(scene.replaced())
                what = f"a kill after {seconds:.2f} s, in {ended.phase}"
                scene.left_whole(what)
                if ended.code > 0:
                    rig.tally.note(what, [f"it ended with {ended.code} before it was killed: {ended.err[-600:]}"])
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
    for place in range(count):
        seconds, number = (place + rig.share()) / count * length, (signal.SIGINT, signal.SIGTERM)[place % 2]
        with rig.scene(loaded=False) as scene:
            scene.begin_round()
            ended = scene.home.start().end(seconds, number)
            what = f"{number.name} after {seconds:.2f} s, in {ended.phase}"
            rig.tally.figures[f"exit code {ended.code} in {ended.phase}"] += 1
            if "Traceback" in ended.err and ended.phase != "starting":
                rig.tally.note(what, [f"it showed a traceback: {ended.err[-600:]}"])
            scene.left_whole(what)
            scene.converge(what)


# -- a disk that is full -----------------------------------------------------------------------------------------------


@contextmanager
def disk_of_its_own(place: Path) -> Iterator[None]:
    """A tmpfs in the place of a directory, with all that is in it."""
    place.mkdir(exist_ok=True)
    aside = shutil.copytree(place, place.with_name(f"{place.name}-aside"))
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
        rig.tally.figures["no round: a tmpfs can't be mounted here, see file-limit"] = 0
        return
    steps = (sizes + 1) // 2
    for step, loaded in product(range(steps), (True, False)):
        with rig.scene(loaded=True) as scene:  # a load needs about what is there once more
            files = (scene.home.folder / where).rglob("*")
            free = int((step + rig.share()) / steps * sum(file.stat().st_size for file in files if file.is_file()))
        with rig.scene(loaded=loaded) as scene, disk_of_its_own(disk := scene.home.folder / where):
            leave_free(disk, free)
            what = f"{free / 1e6:.1f} MB free"
            _starve(scene, what)
            leave_free(disk, 1 << 31)
            scene.converge(what)


def file_limit(rig: Rig, sizes: int) -> None:
    """No file may grow beyond a size: what a full disk does, where no disk can be mounted."""
    with rig.scene(loaded=True) as scene:
        largest = scene.home.warehouse.stat().st_size
    for number in range(sizes):
        with rig.scene(loaded=number % 2 == 0) as scene:
            size = max(65_536, int((number + rig.share()) / sizes * largest))
            what = f"files up to {size / 1e6:.1f} MB"
            _starve(scene, what, ["prlimit", f"--fsize={size}", "--"])
            scene.converge(what)


def _starve(scene: Scene, what: str, confined: Sequence[str] = ()) -> None:
    """A sync with too little room."""
    scene.begin_with_release()
    ended = scene.home.sync(confined=confined)
    scene.rig.tally.figures[f"full in {ended.phase}" if ended.code else "room enough"] += 1
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
            before = stat.S_IMODE(place.stat().st_mode)
            place.chmod(mode)
            ended = scene.home.sync(confined=OBEYING_MODES)
            place.chmod(before)
            rig.tally.figures["refused" if ended.code else "not needed"] += 1
            scene.judge(name, ended, (1, 2), r"permission|read-?only|denied|can't be (written|read)")
            scene.converge(name)


RACES = tuple(product((2, 3), (True, False), (False, True)))


def at_once(rig: Rig, races: Sequence[tuple[int, bool, bool]] = RACES) -> None:
    """Several syncs started together on one data directory: how many, whether it is loaded, whether each has a Dagster home."""
    for count, loaded, apart in races:
        what = f"{count} at once, {'a home each' if apart else 'one home'}, {'loaded' if loaded else 'empty'}"
        with rig.scene(loaded=loaded) as scene:
            home, city = scene.home, scene.city
            scene.begin_with_release()
            scene.before = None  # one of them publishes
            city.clear_log()
            homes = [str(home.folder / f"dagster-{number}") for number in range(count)]
            runners = [replace(home, settings={"DAGSTER_HOME": each}) if apart else home for each in homes]
            for ended in [running.end() for running in [runner.start() for runner in runners]]:
                rig.tally.note(what, [f"one ended with {ended.code}: {ended.err[-600:]}"] if ended.code else [])
            answered = [entry.path for entry in city.requests_log if entry.status == 200]
            asked, months = sum(path.endswith(f"{LIVE}/exports/csv") for path in answered), len(city.newest.months)
            rig.tally.figures["syncs"] += count
            rig.tally.figures["months fetched twice"] += max(0, asked - months)
            rig.tally.note(what, [f"{asked} months were fetched of {months}"] if asked > months else [])
            rig.tally.note(what, [] if home.published.exists() else ["nothing was published"])
            scene.left_whole(what)
            scene.converge(what)


# -- faults and edits at random ----------------------------------------------------------------------------------------


UNSEEN = {"edit_silently", "new_closure_reason", "new_channel", "new_area", "outside_city", "close_before_open"}
SHRINKING = {"truncate", "empty", "empty_month"}
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
            edit, frame = _random_edit(rig, scene.city.frame)
            _play_round(scene, edit, frame, [_random_fault(rig) for _ in range(int(rig.random.integers(1, 4)))])


def _random_edit(rig: Rig, frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Its name, and the rows after it."""
    name = str(rig.random.choice(list(EDITS)))
    months = sorted(frame[OPENED].dropna().dt.strftime("%Y-%m").loc[lambda each: each > "2009"].unique())
    middle = months[len(months) // 2]
    details = {"rows": int(rig.random.integers(1, 9)), "seed": rig.seed()}
    of_some = {
        "relabel_type": {},
        "empty": {},
        "empty_month": {"month": middle},
        "truncate": {"halved_from": f"{middle}-01", "seed": details["seed"]},
        "insert_old": details | {"opened": f"{middle}-05T19:30:00+00:00"},
        "remove_twin": details | {"rows": 1},
    }
    return name, EDITS[name].function(frame, **of_some.get(name, details))


def _random_fault(rig: Rig) -> Fault:
    kind = str(rig.random.choice(list(KINDS)))
    times = None if rig.share() < 0.3 else int(rig.random.integers(1, 7))
    details = DETAILS[kind](rig) if kind in DETAILS else {}
    return Fault(kind, times=times, after=int(rig.random.integers(0, 8)), **details)


def _play_round(scene: Scene, edit: str, frame: pd.DataFrame, faults: list[Fault]) -> None:
    """Publish the edit and sync while the faults are in play; when they are over, a loss is followed with consent only."""
    what = f"{edit} with {', '.join(map(repr, faults))}"
    spoilt = any(
        fault.kind == "garbled_field" for fault in faults
    )  # rows wait in quarantine until their month is read again
    scene.begin_with_release(frame)
    months = scene.city.newest.months or [FIRST_MONTH]
    every_month = ("--months", f"{min(months)}..{max(months)}")
    words = every_month if edit in UNSEEN else ()
    for fault in faults:
        scene.city.play(fault)
    ended = replace(scene.home, settings=IMPATIENT).sync(*words)
    scene.rig.tally.figures[f"exit code {ended.code}"] += 1
    scene.judge(what, ended, (1, 3), ".", spoilt)
    scene.city.clear_faults()
    if edit not in SHRINKING:
        scene.converge(what, *(every_month if spoilt else words))
        return
    scene.before = digest_of(scene.home.published)
    scene.rig.tally.note(what, unclear(scene.home.sync(), (1,), "--accept-shrink"))
    scene.rig.tally.note(what, ["a loss was followed without consent"] if scene.replaced() else [])
    scene.converge(what, "--accept-shrink", "all")
    scene.publish(scene.rig.source)
    scene.converge(f"{edit}, taken back")


UNBOUNDED = ("gzip_bomb", "odd_429", "endless", "malformed", "redirect", "dripping_headers")
MOST_MEMORY = 1_000_000  # kB; a load of these cities takes half of it


def unbounded_answers(rig: Rig) -> None:
    """Every answer to one kind of question has no end, or no sense: that is said, and neither disk nor memory fills up."""
    for kind, on in product(UNBOUNDED, ("export", "metadata", "grouped")):
        with rig.scene(loaded=True) as scene:
            scene.begin_with_release()
            scene.city.play(Fault(kind, on=on, times=None))
            ended = replace(scene.home, settings=IMPATIENT).sync(confined=["prlimit", "--fsize=100000000", "--"])
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
    with rig.scene(loaded=bool((rig.tally.rounds + 1) % 4)) as scene:
        city = scene.city

        def publish_now() -> None:
            if len(city.requests_log) in moments:
                city.publish(edited(city.frame, rig.seed()))

        scene.begin_with_release()
        city.on_question = publish_now
        ended = scene.home.sync()
        city.on_question = lambda: None
        what = f"a release at question {', '.join(map(str, sorted(moments)))} of the portal"
        rig.tally.figures[f"exit code {ended.code}"] += 1
        rig.tally.figures["planned again"] += ended.out.count("Planning again")
        scene.judge(what, ended, (1,), "published")
        if not ended.code and not scene.replaced():
            rig.tally.note(what, ["it ended well, but nothing new was published"])
        scene.converge(what)


def scenarios(kill_count: int, rounds: int) -> dict[str, Callable[[Rig], None]]:
    """How every scenario is played, by the name that `--only` takes."""
    return {
        "kills": partial(kills, count=kill_count),
        "kills-by-phase": kills_by_phase,
        "interrupts": partial(interrupts, count=rounds),
        "full-disk": partial(full_disk, sizes=rounds),
        "full-dagster-disk": partial(full_disk, sizes=rounds, where="dagster"),
        "file-limit": partial(file_limit, sizes=rounds),
        "no-permission": no_permission,
        "several-at-once": at_once,
        "faults-at-random": partial(random_faults, rounds=2 * rounds),
        "unbounded-answers": unbounded_answers,
        "odd-names": odd_names,
        "shared-bucket": shared_bucket,
        "moving-release": partial(moving_release, rounds=rounds),
    }


def table(tallies: Sequence[Tally]) -> str:
    """The tallies as a Markdown table."""
    rows = []
    for tally in tallies:
        happened = ", ".join(f"{times} {what}" for what, times in sorted(tally.figures.items()))
        each = f"{'1' if tally.convergences else ''} ({tally.convergences} times)"
        rows.append((tally.scenario, tally.rounds, happened, each, f"{tally.seconds:,.0f}", len(tally.problems)))
    head = ("scenario", "rounds", "what happened", "syncs to converge", "seconds", "failures")
    return markdown.table(head, rows, words=(0, 2))


def main() -> None:
    """Play the scenarios, print the table, and end with 1 if anything did not hold."""
    parser = command_line("faults", "Mistreat the pipeline.", kills=200, rounds=12, rows=60_000, seed=int(time.time()))
    parser.add_argument("--only", choices=scenarios(0, 0), action="append", help="this scenario alone; may be repeated")
    options = parser.parse_args()
    tallies = []
    with workplace("faults", options.keep) as folder:
        source = grow(options.rows, first_month=FIRST_MONTH, last_day=LAST_DAY).to_pandas()
        rig = Rig(source, folder, np.random.default_rng(options.seed))
        for number, (name, play) in enumerate(scenarios(options.kills, options.rounds).items()):
            if options.only and name not in options.only:
                continue
            print(f"{name} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            # A generator for each, so that a scenario alone does what it does among the others.
            rig.random, rig.tally = np.random.default_rng([options.seed, number]), Tally(name)
            play(rig)
            rig.tally.seconds = time.monotonic() - began
            tallies.append(rig.tally)
            print(table(tallies[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    problems = [problem for tally in tallies for problem in tally.problems]
    again = f"--seed {options.seed} --rows {options.rows} --kills {options.kills}"
    print(table(tallies), "", f"{len(problems)} failures; to repeat: python -m benchmarks.faults {again}", sep="\n")
    print(*(f"  {problem}" for problem in problems), sep="\n")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
