"""A rehearsed day of the containers: all services of docker-compose.yml as processes, with a portal that changes and things that break.

A day has 29 slots of 50 minutes; here a slot takes a minute (`day_location`), everything else is as it will be. A service that
ends is started again, as `restart: unless-stopped` says. Two look on all the time: one opens the published file five times a
second, and holds every new one against the releases of the portal, row by row; one asks the site.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from benchmarks.places import comes, command_line, in_background, workplace
from benchmarks.postgres import Postgres, running_postgres
from benchmarks.rig import City, damage, disagreement, edited, strangeness
from benchmarks.topology import ROOT, Topology
from vanc311_pipeline.orchestration.schedules import SLOT_TAG
from vanc311_pipeline.orchestration.tags import RELEASE_TAG
from vanc311_pipeline.settings import MAY_MOVE_SHARE
from vanc311_pipeline.standin import EDITS, Fault, StandIn

SLOTS = 29
SLOT_SECONDS = 60  # as the code location has it: `day_location`
LASTING = ("code", "webserver", "daemon", "site")
BACK_WITHIN_SECONDS = 120.0
RUN_BEGINS_WITHIN_SECONDS = 150.0
SETTLES_WITHIN_SLOTS = 6
ANSWERS_WITHIN_ATTEMPTS = 60
RUNS = '{runsOrError(filter: {pipelineName: "sync"}) {... on Runs {results {runId status tags {key value}}}}}'
FAILED, HELD = " of sync failed", "newly held"  # as alerts put it


@dataclass
class Account:
    """What was seen, told in the order of seeing, and what should not have been."""

    began: float = field(default_factory=time.monotonic)
    violations: list[str] = field(default_factory=list)
    looks: int = 0
    files: int = 0
    asked: int = 0
    unanswered: int = 0

    def say(self, what: str) -> None:
        seconds = int(time.monotonic() - self.began)
        print(f"{seconds // 60:3d}:{seconds % 60:02d}  {what}", flush=True)

    def violated(self, what: str) -> None:
        self.violations.append(what)
        self.say(f"VIOLATED: {what}")


@contextmanager
def receiving() -> Iterator[tuple[str, list[str]]]:
    """The webhook's receiver: its address, and the alerts that arrive."""
    alerts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts.append(str(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/rehearsal", alerts
        server.shutdown()


@dataclass
class Watcher:
    """Whoever reads the published file."""

    file: Path
    city: City
    account: Account
    seen: tuple[int, int] | None = None

    def look(self) -> None:
        self.account.looks += 1
        try:
            stat = self.file.stat()
        except FileNotFoundError:
            self.account.violated("the published file was absent")
            return
        if (stat.st_ino, stat.st_mtime_ns) == self.seen:
            return
        self.seen = (stat.st_ino, stat.st_mtime_ns)
        held = self.file.with_name("held-by-the-watcher.sqlite")
        held.hardlink_to(self.file)  # so that it is one file for as long as we look
        try:
            problems = damage(held) or [*disagreement(held), *strangeness(held, list(self.city.releases))]
        finally:
            held.unlink()
        self.account.files += 1
        for problem in problems:
            self.account.violated(problem)


@dataclass
class Keeper:
    """Docker's part: a service that ended is started again."""

    services: Topology
    account: Account
    restarts: int = 0

    def keep(self) -> None:
        for name in LASTING:
            process = self.services.running.get(name)
            if process is not None and process.poll() is not None:
                self.account.say(f"{name} ended with {process.returncode} and is started again")
                self.services.kill_and_leave(name)
                self.services.start(name)
                self.restarts += 1


@dataclass
class Day:
    """All that plays a part."""

    services: Topology
    postgres: Postgres
    city: City
    received: list[str]
    account: Account
    seed: int
    may_be_away: bool = False  # the site, only while it is being brought back

    def ask(self) -> None:
        """Ask the site, as anybody does."""
        self.account.asked += 1
        answered = 0
        with suppress(requests.RequestException):
            answered = requests.get(f"{self.services.url('site')}/api/v1/metrics/citywide", timeout=30).status_code
        if answered != 200:
            self.account.unanswered += 1
            if not self.may_be_away:
                self.account.violated(f"the site answered with {answered or 'nothing'}")

    def release(self, frame: Any = None) -> None:
        """The city publishes: a day's work, or the rows given."""
        self.seed += 1
        self.city.publish(edited(self.city.frame, self.seed) if frame is None else frame)
        self.account.say(f"the city publishes: {self.city.newest.rows:,} rows")

    @property
    def data_processed(self) -> str:
        """Of the newest release, as the portal says it."""
        return f"{self.city.released_at:%Y-%m-%dT%H:%M:%SZ}"

    def runs(self) -> list[dict[str, Any]]:
        """The runs of sync, newest first. Asked again if need be: Dagster's first answer after its database was away may be an error."""
        address = f"{self.services.url('webserver')}/graphql"
        for _ in range(ANSWERS_WITHIN_ATTEMPTS):
            with suppress(requests.RequestException, KeyError, TypeError, ValueError):
                answer = requests.post(address, json={"query": RUNS}, timeout=30)
                return list(answer.json()["data"]["runsOrError"]["results"])
            time.sleep(1.0)
        self.account.violated("Dagster can't be asked for its runs")
        return []

    def slots_with_runs(self) -> set[str]:
        """The slots that launched a run. One that Dagster launches again in place of a lost one belongs to the same slot."""
        return {tag["value"] for run in self.runs() for tag in run["tags"] if tag["key"] == SLOT_TAG}

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float) -> None:
        """Until it holds; how long it took is told, and a violation if it took too long."""
        began = time.monotonic()
        if comes(holds, seconds, 0.2):
            self.account.say(f"{what} after {time.monotonic() - began:,.1f} s")
        else:
            self.account.violated(f"{what}: not within {seconds:,.0f} s")

    def is_at_work(self) -> bool:
        """Whether the run of the newest release has begun."""
        release = {"key": RELEASE_TAG, "value": f"{self.data_processed} {self.city.newest.rows}"}
        return any(run["status"] == "STARTED" and release in run["tags"] for run in self.runs())

    def is_published(self) -> bool:
        """Whether what is served is the city's newest release."""
        with suppress(requests.RequestException, KeyError, ValueError):
            answer = requests.get(f"{self.services.url('site')}/api/v1/status", timeout=10)
            return bool(answer.json()["data"]["data_processed"] == self.data_processed)
        return False

    def follows(self) -> None:
        """Until the city's newest release is what the site serves."""
        self.wait_for("published", self.is_published, SETTLES_WITHIN_SLOTS * SLOT_SECONDS)

    def comes_back(self, name: str) -> None:
        """Until a service is healthy again by its own health check."""
        self.wait_for(f"{name} is healthy again", lambda: self.services.is_healthy(name), BACK_WITHIN_SECONDS)

    def alerts(self, word: str) -> int:
        return sum(text.count(word) for text in self.received)


def quiet_slot(day: Day) -> None:
    before = day.slots_with_runs()
    time.sleep(SLOT_SECONDS)
    if day.slots_with_runs() != before:
        day.account.violated("a quiet slot launched a run")
    day.account.say("a quiet slot: no run")


def ordinary_release(day: Day) -> None:
    day.release()
    day.follows()


def befall(day: Day, what: str, harm: Callable[[Day], None], when: str) -> None:
    """Something happens: in mid-run or before a release, which is followed all the same, or without one."""
    if when == "in mid-run":
        day.release()
        day.wait_for("its run is at work", day.is_at_work, RUN_BEGINS_WITHIN_SECONDS)
    day.account.say(what)
    harm(day)
    if when == "before a release":
        day.release()
    if when != "without a release":
        day.follows()


def kill(day: Day, name: str) -> None:
    """A service dies, and all that it started; somebody brings it back."""
    day.services.kill_and_leave(name)
    day.comes_back(name)


def code_server_dies_alone(day: Day) -> None:
    restarted = day.services.running["code"]
    day.services.kill_worker("code", "grpc")
    day.wait_for("it is started again", lambda: day.services.running["code"] is not restarted, BACK_WITHIN_SECONDS)
    day.comes_back("code")


def database_goes_down(day: Day) -> None:
    day.postgres.stop()
    time.sleep(5)
    day.postgres.start()
    for name in LASTING:
        day.comes_back(name)


def portal_goes_down(day: Day) -> None:
    day.city.play(Fault("server_502", times=None))
    time.sleep(2 * SLOT_SECONDS)
    day.city.clear_faults()
    day.account.say(f"the portal is back; {day.city.newest.rows:,} rows are still served")


def code_server_killed_in_mid_run(day: Day) -> None:
    before = day.alerts(FAILED)
    befall(day, "the code server is killed in mid-run, and the run with it", partial(kill, name="code"), "in mid-run")
    day.wait_for("the alert of the lost run arrived", lambda: day.alerts(FAILED) > before, 2 * 60 + SLOT_SECONDS)


def month_held_and_recovered(day: Day) -> None:
    before, whole = day.alerts(HELD), day.city.frame
    months = whole["service_request_open_timestamp"].dt.strftime("%Y-%m").value_counts()
    # The largest whose loss is not one of the whole portal, which would be held before anything is fetched.
    month = str(months[months < len(whole) * MAY_MOVE_SHARE].idxmax())
    day.release(EDITS["empty_month"].function(whole, month=month))
    day.wait_for("the alert of the held month arrived", lambda: day.alerts(HELD) > before, 4 * SLOT_SECONDS)
    if day.is_published():
        day.account.violated("a month that was lost at the portal was lost here, too")
    day.release(whole)
    day.follows()


def site_replaced(day: Day) -> None:
    day.may_be_away = True
    day.account.say("the site is asked to end, as when a new version comes")
    code = day.services.stop("site")
    if code not in (0, -15, 143):
        day.account.violated(f"the site ended with {code}")
    day.services.start("site")
    day.comes_back("site")
    day.may_be_away = False


GONE = "PostgreSQL goes down {}, and comes up again"
EVENTS: tuple[Callable[[Day], None], ...] = (
    quiet_slot,
    ordinary_release,
    partial(befall, what="the webserver is killed", harm=partial(kill, name="webserver"), when="without a release"),
    partial(befall, what="the daemon is killed in mid-run", harm=partial(kill, name="daemon"), when="in mid-run"),
    code_server_killed_in_mid_run,
    partial(befall, what="the process that answers for the code is killed, and nothing else", harm=code_server_dies_alone,
            when="before a release"),
    partial(befall, what=GONE.format("at once"), harm=database_goes_down, when="before a release"),
    partial(befall, what="the portal answers 502", harm=portal_goes_down, when="before a release"),
    month_held_and_recovered,
    partial(befall, what=GONE.format("in mid-run"), harm=database_goes_down, when="in mid-run"),
    site_replaced,
    ordinary_release,
)  # fmt: skip


def live_through(day: Day, slots: int) -> None:
    """All events, each given the time that it takes, and quiet slots until the day is over."""
    for event in EVENTS:
        event(day)
    while time.monotonic() - day.account.began < slots * SLOT_SECONDS:
        quiet_slot(day)
    for name in LASTING:
        if not day.services.is_healthy(name):
            day.account.violated(f"{name} is not healthy at the end of the day")
    ended = {status: sum(run["status"] == status for run in day.runs()) for status in ("SUCCESS", "FAILURE")}
    failed_told = day.alerts(FAILED)
    if failed_told != ended["FAILURE"]:
        day.account.violated(f"{ended['FAILURE']} runs failed, {failed_told} alerts arrived")
    day.account.say(
        f"runs: {ended['SUCCESS']} succeeded, {ended['FAILURE']} failed; alerts: {failed_told} of failed runs, "
        f"{day.alerts(HELD)} of held months"
    )


def run_day(folder: Path, slots: int, seed: int) -> Account:
    """Start everything, live through the day, end everything."""
    with StandIn() as source:
        frame = source.frame
    with running_postgres() as postgres, City(frame) as city, receiving() as (webhook, alerts):
        environment = {
            "VANC311_PORTAL_URL": city.url, "VANC311_ALERT_WEBHOOK": webhook, "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore", "VANC311_RETRY_WAIT_SECONDS": "0.5",
        }  # fmt: skip
        url = postgres.url(postgres.make("dagster"), "postgresql+psycopg2")
        with closing(Topology(folder, url, environment)) as services:
            code = services.services["code"].command
            code[code.index("vanc311_pipeline.definitions")] = "benchmarks.day_location"
            for name in services.order:
                if name in ("init", "seed"):
                    if services.run(name):
                        raise SystemExit(f"{name} failed:\n{services.log(name).read_text()[-3_000:]}")
                elif name in LASTING:
                    services.start(name)
                    services.wait_until_healthy(name)
            account = Account()
            account.say("all services are healthy; the day begins")
            watcher = Watcher(folder / "data" / "published" / "vanc311.sqlite", city, account)
            keeper = Keeper(services, account)
            day = Day(services, postgres, city, alerts, account, seed)
            with in_background(0.2, watcher.look, day.ask, keeper.keep):
                live_through(day, slots)
            account.say(
                f"{account.looks:,} looks at the published file, {account.files} different ones, each compared with the city's "
                f"releases; {account.asked:,} questions to the site, {account.unanswered} unanswered; {keeper.restarts} restarts"
            )
    return account


def main() -> None:
    """Rehearse the day and print it; exit with 1 if something did not hold."""
    options = command_line("day", "A rehearsed day of the containers.", slots=SLOTS, seed=311).parse_args()
    with workplace("day", options.keep) as folder:
        account = run_day(folder, options.slots, options.seed)
    print(f"{len(account.violations)} violations")
    sys.exit(bool(account.violations))


if __name__ == "__main__":
    main()
