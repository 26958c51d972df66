"""Claims about two days of releases under Dagster's own scheduler: what each slot costs, and what is published when.

The days are lived through once, by the functions that `make week` uses for a whole week of 1.3 million rows: the real
scheduler, queue, launcher and code server, with a simulated clock. Between releases only the first heartbeat of each slot
happens.
"""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pandas as pd
import pytest

from benchmarks.city_days import CUT, RECOVERY, City, Trouble
from benchmarks.clockwork import HEARTBEAT, Beat, Clockwork
from benchmarks.week import Chronicle, Witness, broken_slot, heartbeats, live_through, slots_of, violations
from vanc311_pipeline.orchestration.schedules import slot_of
from vanc311_pipeline.orchestration.tags import RELEASE_TAG
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline_tests.end_to_end.city import Pipeline, expected, settings_in

FIRST = datetime(2026, 1, 14, tzinfo=UTC)
DOWN = CUT._replace(name="truncated release after an outage", troubles=(Trouble("refused", time(14), time(15, 10)),))
DAYS = (DOWN, RECOVERY)


@dataclass(frozen=True)
class Lived:
    """A day as it was lived, and what was published and served at its end."""

    chronicle: Chronicle
    rows: list[tuple]
    file: bytes
    frame: pd.DataFrame

    @property
    def beats(self) -> list[Beat]:
        return self.chronicle.beats


@pytest.fixture(scope="session")
def days(city, loaded, tmp_path_factory) -> list[Lived]:
    """The two days, one after the other."""
    home = tmp_path_factory.mktemp("week")
    shutil.copytree(loaded, home, dirs_exist_ok=True)
    lived = []
    with StandIn(requests=city) as portal, pytest.MonkeyPatch.context() as environment:
        settings = settings_in(home, portal.url).changed(read_timeout_seconds=10.0)
        for name, value in settings.to_environment().items():
            environment.setenv(name, value)  # so that it is as before afterwards
        pipeline = Pipeline(settings)
        records, witness = City(portal, seed=1), Witness(settings.published_path, portal, home)
        with Clockwork(settings, lambda: len(portal.requests_log), home / "processes.log") as clockwork:
            clockwork.look(FIRST - timedelta(minutes=1))
            for number, day in enumerate(DAYS):
                began = FIRST + timedelta(days=number)
                chronicle = live_through(day, began, records, clockwork, witness, every_beat=False)
                lived.append(Lived(chronicle, pipeline.rows(), pipeline.file(), portal.frame))
    return lived


@pytest.mark.rehearsal
def test_nothing_that_must_hold_is_violated(days):
    assert violations([day.chronicle for day in days]) == []


@pytest.mark.rehearsal
def test_every_slot_of_the_days_was_looked_at(days):
    beats = [at for number in range(len(DAYS)) for at in heartbeats(FIRST + timedelta(days=number))]
    every = [at for at in beats if slot_of(at) == at]
    assert {slot_of(beat.at) for day in days for beat in day.beats} == set(every)
    assert {later - earlier for earlier, later in pairwise(every)} == {timedelta(minutes=50)}


@pytest.mark.rehearsal
def test_a_quiet_slot_costs_one_request_and_its_further_heartbeats_none(days):
    quiet = [slot for day in days for slot in slots_of(day.beats) if not any(beat.run or beat.failed for beat in slot)]
    assert len(quiet) > 50
    assert {slot[0].requests for slot in quiet} == {1}
    assert {beat.requests for slot in quiet for beat in slot[1:]} == {0}


@pytest.mark.rehearsal
def test_a_portal_that_is_down_fails_each_tick_in_one_sentence_until_it_answers(days):
    down = [beat for day in days for beat in day.beats if beat.failed]
    assert [f"{beat.at:%d. %H:%M}" for beat in down] == ["14. 14:30", "14. 14:40", "14. 14:50", "14. 15:00"]
    for beat in down:
        assert re.search(
            r"TickFailed: Slot 2026-01-14T14:30Z: .* Asking again in ten minutes\.$", beat.reason.splitlines()[0]
        )
        assert "caused by" not in beat.reason
        assert beat.requests == 1


@pytest.mark.rehearsal
def test_the_first_heartbeat_after_an_outage_takes_what_came_meanwhile(days):
    [run] = [beat for beat in days[0].beats if beat.run]
    assert f"{run.at:%H:%M}" == "15:10"
    assert run.run.tags[RELEASE_TAG].startswith("2026-01-14T14:06:58Z")


@pytest.mark.rehearsal
def test_a_release_that_lost_too_much_is_held_and_the_published_file_stays(days, loaded):
    [held] = [beat for beat in days[0].beats if beat.run]
    assert (held.run.succeeded, held.run.stale) == (False, frozenset())
    later = [beat for beat in days[0].beats if beat.at > held.at and beat.requests]
    assert later
    assert all("Held: the release of 2026-01-14T14:06:58Z" in beat.reason for beat in later)
    assert days[0].file == settings_in(loaded, "").published_path.read_bytes()
    assert len(days[0].frame) < len(days[0].rows)


@pytest.mark.rehearsal
def test_what_a_failed_run_left_stale_is_taken_by_the_next_slot(days):
    first, second = [beat for beat in days[1].beats if beat.run]
    assert (first.run.succeeded, second.run.succeeded) == (False, True)
    assert slot_of(second.at) - slot_of(first.at) == timedelta(minutes=50)
    assert first.run.stale == second.run.stale != frozenset()


@pytest.mark.rehearsal
def test_the_portals_recovery_is_followed_row_by_row(days):
    assert days[1].rows == expected(days[1].frame)
    assert days[1].rows != days[0].rows


# -- the harness itself -------------------------------------------------------------------------------------------------


def a_day(*requests: int, outcome: str = "SKIPPED", reason: str = "Nothing changed") -> list[Beat]:
    return [Beat(FIRST + HEARTBEAT * number, outcome, reason, None, count) for number, count in enumerate(requests)]


@pytest.mark.parametrize(
    ("beats", "wrong"),
    [
        (a_day(1, 0, 0), []),
        (a_day(0, 0), ["was quiet and cost 0 requests"]),
        (a_day(1, 1), ["asked 2 times although it was answered", "was quiet and cost 2 requests"]),
        (a_day(2), ["a quiet heartbeat cost 2 requests", "was quiet and cost 2 requests"]),
        (a_day(1, outcome="FAILURE", reason="x.TickFailed: Slot y: down."), []),
        (a_day(1, outcome="FAILURE", reason="Error occurred"), ["a failure begins 'Error occurred'"]),
    ],
)
def test_a_slot_that_costs_too_much_is_a_violation(beats, wrong):
    assert list(broken_slot(beats)) == wrong
