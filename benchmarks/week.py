"""A week of daily releases through Dagster's own scheduler, with the requests of each slot counted at the portal.

What belongs here: letting the days happen heartbeat by heartbeat, what must hold of each slot and each day, and the
printed table. What does not: what the city does (`city_days`), how a heartbeat is made to happen (`clockwork`), and when
a published file is right (`compare`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console

from benchmarks import markdown
from benchmarks.city_days import RELEASE_TIME, WEEK, City, Day
from benchmarks.clockwork import HEARTBEAT, Beat, Clockwork
from benchmarks.compare import differences
from benchmarks.grow import grow_table
from benchmarks.places import workplace
from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.orchestration.schedules import slot_name, slot_of
from vanc311_pipeline.settings import SLOT_SECONDS, Settings
from vanc311_pipeline.standin import StandIn

ALLOWED = (2, 3)
"""The requests that a slot with a run may cost: so many, and so many per stale month. More than allowed is a violation."""
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
    def runs(self) -> list[Beat]:
        return [beat for beat in self.beats if beat.run]


class Witness:
    """Looks at the published file: what it must equal, and whether it was touched."""

    def __init__(self, published: Path, portal: StandIn, scratch: Path) -> None:
        self._published, self._portal, self._scratch = published, portal, scratch
        self._seen = self._stamp()
        self.release = portal.released_at

    def problems(self, beat: Beat) -> Iterator[str]:
        """What is wrong with the file after a heartbeat: unless a run succeeded, nobody may have touched it."""
        if beat.run and beat.run.succeeded:
            yield from self.differences()
            self.release = self._portal.released_at
        elif self._stamp() != self._seen:
            yield "the published file changed without a run that succeeded"
        self._seen = self._stamp()

    def differences(self) -> list[str]:
        """The published file against what the portal serves now, row by row and field by field."""
        source = self._scratch / "portal.parquet"
        self._portal.frame.to_parquet(source)
        return differences(source, self._published)

    @property
    def in_step(self) -> bool:
        return self.release == self._portal.released_at

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
        beat = clockwork.beat(at)
        chronicle.beats.append(beat)
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


# -- what must hold --------------------------------------------------------------------------------------------------


def violations(chronicles: Sequence[Chronicle]) -> list[str]:
    """All that did not hold."""
    problems = [problem for chronicle in chronicles for problem in chronicle.problems]
    return problems + broken_slots(all_beats(chronicles))


def all_beats(chronicles: Sequence[Chronicle]) -> list[Beat]:
    """The heartbeats of all days: slots know no midnight."""
    return [beat for chronicle in chronicles for beat in chronicle.beats]


def broken_slots(beats: Sequence[Beat]) -> list[str]:
    """What is wrong with the requests of the slots, and with what came after a failure."""
    problems = []
    for slot, members in groupby(beats, key=lambda beat: slot_of(beat.at)):
        problems += [f"slot {slot_name(slot)}: {problem}" for problem in broken_slot(list(members))]
    for beat, following in pairwise(beats):
        if beat.failed and not following.requests:
            problems.append(f"{beat.at:%a %H:%M}: failed, but the next heartbeat did not ask again")
    for beat, following in pairwise([beat for beat in beats if beat.run]):
        if beat.run and following.run and not beat.run.succeeded and not beat.run.stale <= following.run.stale:
            problems.append(f"{following.at:%a %H:%M}: leaves months alone that the failed run before it left stale")
    return problems


def broken_slot(beats: Sequence[Beat]) -> Iterator[str]:
    """What is wrong with the requests of one slot."""
    answered = [beat for beat in beats if beat.requests and not beat.failed]
    if len(answered) > 1:
        yield f"asked {len(answered)} times although it was answered"
    for beat in beats:
        if beat.failed and beat.requests > 1:
            yield f"a failed question cost {beat.requests} requests"
        if beat.failed and "TickFailed: Slot" not in beat.said.splitlines()[0]:
            yield f"a failure begins {beat.said.splitlines()[0]!r}"
        if beat.run and beat.run.succeeded and beat.requests > price(beat, ALLOWED):
            yield f"cost {beat.requests} requests for {len(beat.run.stale)} stale months"
        if not beat.run and not beat.failed and beat.requests > 1:
            yield f"a quiet heartbeat cost {beat.requests} requests"
    quiet = not any(beat.run or beat.failed or QUOTA_SAYS in beat.said for beat in beats)
    if quiet and sum(beat.requests for beat in beats) != 1:
        yield f"was quiet and cost {sum(beat.requests for beat in beats)} requests"


def broken_promises(chronicle: Chronicle, in_step: bool) -> Iterator[str]:
    """What is wrong with a day: how it ends, how soon its release was taken, and whether it says that it is held."""
    day = chronicle.day
    if in_step != day.ends_in_step:
        yield f"{chronicle.date:%a}: ends {'in' if in_step else 'out of'} step with the portal"
    settled = day.settled_by(chronicle.date)
    taken = [beat.at for beat in chronicle.runs if beat.run and beat.run.succeeded and settled and beat.at >= settled]
    if settled and in_step and not (taken and taken[0] < settled + timedelta(seconds=SLOT_SECONDS) + HEARTBEAT):
        yield f"{chronicle.date:%a}: the release could be had at {settled:%H:%M}, but was not taken in the next slot"
    if day.cuts and not any("Held:" in beat.said for beat in chronicle.beats):
        yield f"{chronicle.date:%a}: no tick says that the release is held"


def price(beat: Beat, terms: tuple[int, int]) -> int:
    """What a heartbeat with a run may cost."""
    return terms[0] + terms[1] * len(beat.run.stale) if beat.run else 0


# -- what is printed -------------------------------------------------------------------------------------------------


def decision(chronicle: Chronicle) -> str:
    """What the schedule decided on a day."""
    said = [
        f"{beat.at:%H:%M} {'loaded' if beat.run.succeeded else 'failed or held'} {len(beat.run.stale)}"
        for beat in chronicle.runs
        if beat.run
    ]
    failed = sum(beat.failed for beat in chronicle.beats)
    held = sum("Held:" in beat.said for beat in chronicle.beats if beat.requests)
    quota = sum(QUOTA_SAYS in beat.said for beat in chronicle.beats)
    said += [f"{failed} failed ticks"] if failed else []
    said += [f"held in {held} slots"] if held else []
    said += [f"{quota} beats without quota"] if quota else []
    return ", ".join(said) or "nothing to do"


def requests_of(chronicle: Chronicle) -> str:
    """The requests of a day: of its ticks without a run, and of each run."""
    quiet = sum(beat.requests for beat in chronicle.beats if not beat.run)
    runs = [
        f"{beat.requests}{exceeded(beat)}" if beat.run.succeeded else f"{beat.requests} (failed)"
        for beat in chronicle.runs
        if beat.run
    ]
    return " + ".join([f"{quiet}", *runs])


def exceeded(beat: Beat) -> str:
    return f" (allowed {price(beat, ALLOWED)})" if beat.requests > price(beat, ALLOWED) else ""


def agreement(chronicle: Chronicle) -> str:
    if chronicle.problems:
        return "**no**"
    return "rows equal" if chronicle.compared else "file untouched"


def line(chronicle: Chronicle) -> tuple[str, ...]:
    """A day as a line of the table."""
    stale = sum(len(beat.run.stale) for beat in chronicle.runs if beat.run)
    seconds = sum(beat.run.seconds for beat in chronicle.runs if beat.run)
    return (
        f"{chronicle.date:%a %d %b}",
        chronicle.day.name,
        decision(chronicle),
        f"{stale}",
        requests_of(chronicle),
        f"{seconds:,.0f}",
        agreement(chronicle),
    )


def table(chronicles: Sequence[Chronicle]) -> str:
    """All days as a Markdown table."""
    head = (
        "day",
        "release",
        "decision (months)",
        "stale months",
        "requests: ticks + runs",
        "seconds of runs",
        "published",
    )
    return markdown.table(head, map(line, chronicles), words=(0, 1, 2, 4, 6))


def totals(chronicles: Sequence[Chronicle], seconds: float) -> list[str]:
    """The week in four lines."""
    beats = all_beats(chronicles)
    runs = [beat for beat in beats if beat.run]
    done = [beat for beat in runs if beat.run and beat.run.succeeded]
    by_slot = [list(members) for _, members in groupby(beats, key=lambda beat: slot_of(beat.at))]
    quiet = [slot for slot in by_slot if not any(b.run or b.failed or QUOTA_SAYS in b.said for b in slot)]
    over = sum(beat.requests > price(beat, ALLOWED) for beat in done)
    return [
        f"{len(beats):,} heartbeats in {len(by_slot)} slots, {sum(beat.failed for beat in beats)} of them failed; {seconds:,.0f} s",
        f"{len(quiet)} quiet slots: {sum(beat.requests for slot in quiet for beat in slot)} requests",
        f"{len(runs)} runs, {len(done)} successful: {sum(beat.requests for beat in done)} requests for "
        f"{sum(len(beat.run.stale) for beat in done if beat.run)} stale months; {over} above "
        f"{ALLOWED[0]} + {ALLOWED[1]} per stale month",
        f"{sum(beat.requests for beat in beats):,} requests in all",
    ]


# -- the week --------------------------------------------------------------------------------------------------------


@contextmanager
def before_first_day(
    folder: Path, rows: int, seed: int, began: datetime
) -> Iterator[tuple[Clockwork, Callable[..., Chronicle]]]:
    """A pipeline that holds the grown data, its clock a minute before the first day; and `live_through` its days."""
    source = folder / "source.parquet"
    pq.write_table(grow_table(rows, last_day=began.date() - timedelta(days=1), seed=seed), source)
    with StandIn(source, released_at=datetime.combine(began, RELEASE_TIME, UTC) - timedelta(days=1)) as portal:
        settings = replace(
            Settings.from_environment({}),
            portal_url=portal.url,
            data_dir=folder / "data",
            dagster_home=folder / "dagster",
            retry_wait_seconds=0.05,
        )
        say("loading everything once")
        run_sync(settings, Console(quiet=True))
        city, witness = City(portal, seed), Witness(settings.published_path, portal, folder)
        with Clockwork(settings, lambda: len(portal.requests_log), folder / "processes.log") as clockwork:
            clockwork.switch_on(began - timedelta(minutes=1))
            yield clockwork, partial(live_through, city=city, clockwork=clockwork, witness=witness)


def run_week(folder: Path, rows: int, days: int, seed: int, first: date) -> list[Chronicle]:
    """Load the grown data once, then live through the days."""
    began = datetime(first.year, first.month, first.day, tzinfo=UTC)
    chronicles = []
    with before_first_day(folder, rows, seed, began) as (_, live):
        for number in range(days):
            chronicles.append(live(WEEK[number % len(WEEK)], began + timedelta(days=number)))
            say(" · ".join(line(chronicles[-1])))
    return chronicles


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def first_day(days: int, today: date | None = None) -> date:
    """The first day of the latest such week that is over and has a month's turn in its middle."""
    latest = (today or datetime.now(UTC).date()) - timedelta(days=days)
    return (latest + timedelta(days=3)).replace(day=1) - timedelta(days=3)


def main(arguments: list[str] | None = None) -> None:
    """Live through the week and print it; exit with 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.week", description="A simulated week of releases.")
    parser.add_argument("--rows", type=int, default=1_300_000)
    parser.add_argument("--days", type=int, default=len(WEEK))
    parser.add_argument("--seed", type=int, default=311)
    parser.add_argument("--first-day", type=date.fromisoformat, metavar="DATE", help="a day whose week is over")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave everything for a look")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with workplace("week", options.keep) as folder:
        first = options.first_day or first_day(options.days)
        chronicles = run_week(folder, options.rows, options.days, options.seed, first)
    print(table(chronicles))
    problems = violations(chronicles)
    for text in ("", *totals(chronicles, time.monotonic() - began), *(f"VIOLATED: {problem}" for problem in problems)):
        print(text)
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
