"""A week of daily releases through Dagster's own scheduler, with the requests of each slot counted at the portal.

The days happen heartbeat by heartbeat. What the city does is in `city_days`, how a heartbeat is made to happen in
`clockwork`, and when a published file is right in `compare`.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console

from benchmarks import markdown
from benchmarks.city_days import RELEASE_TIME, WEEK, City, Day
from benchmarks.clockwork import HEARTBEAT, Beat, Clockwork, Run
from benchmarks.compare import differences
from benchmarks.grow import grow
from benchmarks.places import command_line, workplace
from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.orchestration.schedules import slot_name, slot_of
from vanc311_pipeline.settings import SLOT_SECONDS, Settings
from vanc311_pipeline.standin import StandIn

ALLOWED = (2, 3)  # the requests that a slot with a run may cost: so many, and so many per stale month
QUOTA_SAYS = "The portal's calls for the day are used up"


@dataclass
class Chronicle:
    """What happened on a day, and what should not have."""

    day: Day
    date: datetime
    beats: list[Beat] = field(default_factory=list)
    compared: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[tuple[Beat, Run]]:
        return runs_of(self.beats)


class Witness:
    """Looks at the published file: what it must equal, and whether it was touched."""

    def __init__(self, published: Path, portal: StandIn, scratch: Path) -> None:
        self._published, self._portal, self._source = published, portal, scratch / "portal.parquet"
        self._seen, self._release = self._stamp(), portal.released_at

    def problems(self, beat: Beat) -> Iterator[str]:
        """What is wrong with the file after a heartbeat: unless a run succeeded, nobody may have touched it."""
        if beat.run and beat.run.succeeded:
            self._portal.frame.to_parquet(self._source)
            yield from differences(self._source, self._published)
            self._release = self._portal.released_at
        elif self._stamp() != self._seen:
            yield "the published file changed without a run that succeeded"
        self._seen = self._stamp()

    @property
    def in_step(self) -> bool:
        return self._release == self._portal.released_at

    def _stamp(self) -> tuple[int, int, int]:
        stat = self._published.stat()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def live_through(
    day: Day, began: datetime, city: City, clockwork: Clockwork, witness: Witness, every_beat: bool = True
) -> Chronicle:
    """One day, heartbeat by heartbeat; or, if not every one, the first of each slot and all in lively hours."""
    chronicle = Chronicle(day, began)
    release = datetime.combine(began, RELEASE_TIME, UTC) if day.releases else None
    for at in heartbeats(began):
        if not (every_beat or lively(day, at)):
            continue
        if release and at >= release:
            city.publish(day, release)
            release = None
        city.trouble(day, at)
        chronicle.beats.append(beat := clockwork.beat(at))
        chronicle.compared += bool(beat.run and beat.run.succeeded)
        chronicle.problems += [f"{at:%a %H:%M}: {problem}" for problem in witness.problems(beat)]
    chronicle.problems += broken_promises(chronicle, witness.in_step)
    return chronicle


def heartbeats(began: datetime) -> list[datetime]:
    return [began + HEARTBEAT * number for number in range(timedelta(days=1) // HEARTBEAT)]


def lively(day: Day, at: datetime) -> bool:
    """Whether a heartbeat is worth its time where time is short."""
    troubled = any(trouble.at(at) or trouble.at(at - HEARTBEAT) for trouble in day.troubles)
    return slot_of(at) == at or at.hour in (14, 15) or troubled


def violations(chronicles: Sequence[Chronicle]) -> list[str]:
    """All that did not hold: on a day, in the requests of a slot, and after a failure."""
    beats = all_beats(chronicles)
    problems = [problem for chronicle in chronicles for problem in chronicle.problems]
    for slot in slots_of(beats):
        problems += [f"slot {slot_name(slot_of(slot[0].at))}: {problem}" for problem in broken_slot(slot)]
    for beat, following in pairwise(beats):
        if beat.failed and not following.requests:
            problems.append(f"{beat.at:%a %H:%M}: failed, but the next heartbeat did not ask again")
    for (_, run), (following, next_run) in pairwise(runs_of(beats)):
        if not run.succeeded and not run.stale <= next_run.stale:
            problems.append(f"{following.at:%a %H:%M}: leaves months alone that the failed run before it left stale")
    return problems


def all_beats(chronicles: Sequence[Chronicle]) -> list[Beat]:
    """The heartbeats of all days: slots know no midnight."""
    return [beat for chronicle in chronicles for beat in chronicle.beats]


def runs_of(beats: Iterable[Beat]) -> list[tuple[Beat, Run]]:
    """The heartbeats that launched a run, with the run."""
    return [(beat, beat.run) for beat in beats if beat.run]


def slots_of(beats: Iterable[Beat]) -> list[list[Beat]]:
    return [list(members) for _, members in groupby(beats, key=lambda beat: slot_of(beat.at))]


def is_quiet(slot: Iterable[Beat]) -> bool:
    return not any(beat.run or beat.failed or QUOTA_SAYS in beat.reason for beat in slot)


def broken_slot(beats: Sequence[Beat]) -> Iterator[str]:
    """What is wrong with the requests of one slot."""
    answered = [beat for beat in beats if beat.requests and not beat.failed]
    if len(answered) > 1:
        yield f"asked {len(answered)} times although it was answered"
    for beat in beats:
        if beat.failed and beat.requests > 1:
            yield f"a failed question cost {beat.requests} requests"
        if beat.failed and "TickFailed: Slot" not in beat.reason.splitlines()[0]:
            yield f"a failure begins {beat.reason.splitlines()[0]!r}"
        if beat.run and beat.run.succeeded and beat.requests > price(beat.run):
            yield f"cost {beat.requests} requests for {len(beat.run.stale)} stale months"
        if not beat.run and not beat.failed and beat.requests > 1:
            yield f"a quiet heartbeat cost {beat.requests} requests"
    if is_quiet(beats) and (cost := sum(beat.requests for beat in beats)) != 1:
        yield f"was quiet and cost {cost} requests"


def broken_promises(chronicle: Chronicle, in_step: bool) -> Iterator[str]:
    """What is wrong with a day: how it ends, how soon its release was taken, and whether it says that it is held."""
    day = chronicle.day
    if in_step != day.ends_in_step:
        yield f"{chronicle.date:%a}: ends {'in' if in_step else 'out of'} step with the portal"
    settled = day.settled_by(chronicle.date)
    taken = [beat.at for beat, run in chronicle.runs if run.succeeded and settled and beat.at >= settled]
    if settled and in_step and not (taken and taken[0] < settled + timedelta(seconds=SLOT_SECONDS) + HEARTBEAT):
        yield f"{chronicle.date:%a}: the release could be had at {settled:%H:%M}, but was not taken in the next slot"
    if day.cuts and not any("Held:" in beat.reason for beat in chronicle.beats):
        yield f"{chronicle.date:%a}: no tick says that the release is held"


def price(run: Run) -> int:
    """The requests that a heartbeat with this run may cost."""
    return ALLOWED[0] + ALLOWED[1] * len(run.stale)


def decision(chronicle: Chronicle) -> str:
    """What the schedule decided on a day."""
    beats = chronicle.beats
    decided = [
        f"{beat.at:%H:%M} {'loaded' if run.succeeded else 'failed or held'} {len(run.stale)}"
        for beat, run in chronicle.runs
    ]
    for number, what in (
        (sum(beat.failed for beat in beats), "{} failed ticks"),
        (sum("Held:" in beat.reason for beat in beats if beat.requests), "held in {} slots"),
        (sum(QUOTA_SAYS in beat.reason for beat in beats), "{} beats without quota"),
    ):
        decided += [what.format(number)] if number else []
    return ", ".join(decided) or "nothing to do"


def requests_of(chronicle: Chronicle) -> str:
    """The requests of a day: of its ticks without a run, and of each run."""
    costs = [f"{sum(beat.requests for beat in chronicle.beats if not beat.run)}"]
    for beat, run in chronicle.runs:
        exceeded = f" (allowed {price(run)})" if beat.requests > price(run) else ""
        costs.append(f"{beat.requests}{exceeded if run.succeeded else ' (failed)'}")
    return " + ".join(costs)


def table(chronicles: Sequence[Chronicle]) -> str:
    """All days as a Markdown table."""
    columns: dict[str, Callable[[Chronicle], str]] = {
        "day": lambda chronicle: f"{chronicle.date:%a %d %b}",
        "release": lambda chronicle: chronicle.day.name,
        "decision (months)": decision,
        "stale months": lambda chronicle: f"{sum(len(run.stale) for _, run in chronicle.runs)}",
        "requests: ticks + runs": requests_of,
        "seconds of runs": lambda chronicle: f"{sum(run.seconds for _, run in chronicle.runs):,.0f}",
        "published": lambda chronicle: (
            "**no**" if chronicle.problems else "rows equal" if chronicle.compared else "file untouched"
        ),
    }
    rows = [[cell(chronicle) for cell in columns.values()] for chronicle in chronicles]
    return markdown.table(list(columns), rows, words=(0, 1, 2, 4, 6))


def totals(chronicles: Sequence[Chronicle], seconds: float) -> list[str]:
    """The week in four lines."""
    beats = all_beats(chronicles)
    runs, slots = runs_of(beats), slots_of(beats)
    done = [(beat, run) for beat, run in runs if run.succeeded]
    quiet = [slot for slot in slots if is_quiet(slot)]
    over = sum(beat.requests > price(run) for beat, run in done)
    return [
        f"{len(beats):,} heartbeats in {len(slots)} slots, {sum(beat.failed for beat in beats)} of them failed; {seconds:,.0f} s",
        f"{len(quiet)} quiet slots: {sum(beat.requests for slot in quiet for beat in slot)} requests",
        f"{len(runs)} runs, {len(done)} successful: {sum(beat.requests for beat, _ in done)} requests for "
        f"{sum(len(run.stale) for _, run in done)} stale months; {over} above {ALLOWED[0]} + {ALLOWED[1]} per stale month",
        f"{sum(beat.requests for beat in beats):,} requests in all",
    ]


@contextmanager
def before_first_day(
    folder: Path, rows: int, seed: int, began: datetime
) -> Iterator[tuple[Clockwork, Callable[..., Chronicle]]]:
    """A pipeline that holds the grown data, its clock a minute before the first day; and `live_through` its days."""
    source = folder / "source.parquet"
    pq.write_table(grow(rows, last_day=began.date() - timedelta(days=1), seed=seed), source)
    with StandIn(source, released_at=datetime.combine(began, RELEASE_TIME, UTC) - timedelta(days=1)) as portal:
        places = {"data_dir": folder / "data", "dagster_home": folder / "dagster"}
        settings = Settings.from_environment({}).changed(portal_url=portal.url, retry_wait_seconds=0.05, **places)
        say("loading everything once")
        run_sync(settings, Console(quiet=True))
        city, witness = City(portal, seed), Witness(settings.published_path, portal, folder)
        with Clockwork(settings, lambda: len(portal.requests_log), folder / "processes.log") as clockwork:
            clockwork.look(began - timedelta(minutes=1))
            yield clockwork, partial(live_through, city=city, clockwork=clockwork, witness=witness)


def run_week(folder: Path, rows: int, days: int, seed: int) -> list[Chronicle]:
    """Load the grown data once, then live through the latest days that are over and have a month's turn in their middle."""
    latest = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
    began = (latest + timedelta(days=3)).replace(day=1) - timedelta(days=3)
    chronicles = []
    with before_first_day(folder, rows, seed, began) as (_, live):
        for number in range(days):
            chronicles.append(live(WEEK[number % len(WEEK)], began + timedelta(days=number)))
            say(table(chronicles[-1:]).splitlines()[-1])
    return chronicles


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Live through the week and print it; exit with 1 if something did not hold."""
    parser = command_line("week", "A simulated week of releases.", rows=1_300_000, days=len(WEEK), seed=311)
    options = parser.parse_args()
    began = time.monotonic()
    with workplace("week", options.keep) as folder:
        chronicles = run_week(folder, options.rows, options.days, options.seed)
    print(table(chronicles))
    problems = violations(chronicles)
    print("", *totals(chronicles, time.monotonic() - began), *(f"VIOLATED: {each}" for each in problems), sep="\n")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
