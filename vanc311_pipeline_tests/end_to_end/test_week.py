"""Claims about two days of releases under Dagster's own scheduler: what each slot costs, and what is published when.

The days are lived through once, by the functions that `make week` uses for a whole week of 1.3 million rows: the real
scheduler, queue, launcher and code server, with a simulated clock. Between releases only the first heartbeat of each slot
happens.
"""

import os
import re
import shutil
from datetime import UTC, datetime, time, timedelta
from unittest.mock import patch

import pytest

from benchmarks.city_days import CUT, RECOVERY, City, Trouble
from benchmarks.clockwork import HEARTBEAT, Beat, Clockwork
from benchmarks.week import (
    Chronicle,
    Witness,
    all_beats,
    broken_slot,
    is_quiet,
    live_through,
    slots_of,
    violations,
)
from vanc311_pipeline.orchestration.schedules import slot_of
from vanc311_pipeline.orchestration.tags import RELEASE_TAG
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline_tests.end_to_end.city import settings_in

FIRST = datetime(2026, 1, 14, tzinfo=UTC)
DOWN = CUT._replace(name="truncated release after an outage", troubles=(Trouble("refused", time(14), time(15, 10)),))
DAYS = (DOWN, RECOVERY)


@pytest.fixture(scope="session")
def days(city, loaded, tmp_path_factory) -> list[Chronicle]:
    """The two days, one after the other."""
    home = tmp_path_factory.mktemp("week")
    shutil.copytree(loaded, home, dirs_exist_ok=True)
    lived = []
    with StandIn(requests=city) as portal, patch.dict(os.environ):
        settings = settings_in(home, portal.url).changed(read_timeout_seconds=10.0)
        records, witness = City(portal, seed=1), Witness(settings.published_path, portal, home)
        with Clockwork(settings, lambda: len(portal.requests_log), home / "processes.log") as clockwork:
            clockwork.look(FIRST - timedelta(minutes=1))
            for number, day in enumerate(DAYS):
                began = FIRST + timedelta(days=number)
                lived.append(live_through(day, began, records, clockwork, witness, every_beat=False))
    return lived


@pytest.mark.rehearsal
def test_nothing_that_must_hold_is_violated(days):
    """A quiet slot costs one question, a run no more than its months explain; who publishes what is compared row by row."""
    assert violations(days) == []
    assert [day.compared for day in days] == [0, 1]
    assert sum(is_quiet(slot) for slot in slots_of(all_beats(days))) > 50


@pytest.mark.rehearsal
def test_a_portal_that_is_down_fails_each_tick_in_one_sentence_until_it_answers(days):
    down = [beat for beat in all_beats(days) if beat.failed]
    assert [f"{beat.at:%d. %H:%M}" for beat in down] == ["14. 14:30", "14. 14:40", "14. 14:50", "14. 15:00"]
    for beat in down:
        assert re.search(
            r"TickFailed: Slot 2026-01-14T14:30Z: .* Asking again in ten minutes\.$", beat.reason.splitlines()[0]
        )
        assert "caused by" not in beat.reason
        assert beat.requests == 1


@pytest.mark.rehearsal
def test_a_release_that_lost_too_much_is_taken_by_the_first_heartbeat_after_an_outage_and_held(days):
    [(beat, run)] = days[0].runs
    assert f"{beat.at:%H:%M}" == "15:10"
    assert run.tags[RELEASE_TAG].startswith("2026-01-14T14:06:58Z")
    assert (run.succeeded, run.stale) == (False, frozenset())
    later = [each for each in days[0].beats if each.at > beat.at and each.requests]
    assert later
    assert all("Held: the release of 2026-01-14T14:06:58Z" in each.reason for each in later)


@pytest.mark.rehearsal
def test_what_a_failed_run_left_stale_is_taken_by_the_next_slot(days):
    (failed, first), (mended, second) = days[1].runs
    assert (first.succeeded, second.succeeded) == (False, True)
    assert slot_of(mended.at) - slot_of(failed.at) == timedelta(minutes=50)
    assert first.stale == second.stale != frozenset()


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
