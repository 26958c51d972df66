"""Claims about signs of life: a run whose process is gone is known to be dead, and nobody else is."""

import os
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, EngineEventData

from vanc311_pipeline.orchestration.alive import BEGINS_WITHIN_SECONDS, LAST_WORDS, alive, is_dead, report_dead

RUN = "0123456789abcdef"
STARTED, MADE = dg.DagsterEventType.RUN_START, dg.DagsterEventType.RESOURCE_INIT_SUCCESS
LIVING = """
import sys, time
from pathlib import Path
from vanc311_pipeline.orchestration.alive import alive
with alive(Path(sys.argv[1]), sys.argv[2]):
    print("alive", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def instance():
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def living(tmp_path):
    """Another process that holds a run's lock until it is killed or its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVING, str(tmp_path), RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "alive\n"
        yield process
        process.kill()


def test_a_living_run_is_not_dead(living, instance, tmp_path):
    assert not is_dead(instance, tmp_path, RUN)


def test_a_killed_run_is_dead(living, instance, tmp_path):
    living.send_signal(signal.SIGKILL)
    living.wait()
    assert is_dead(instance, tmp_path, RUN)
    assert is_dead(instance, tmp_path, RUN), "to ask is not to bury"


def test_a_run_that_ended_by_itself_leaves_nothing(living, instance, tmp_path):
    living.communicate()
    assert living.returncode == 0
    assert not is_dead(instance, tmp_path, RUN)
    assert os.listdir(tmp_path) == []


def test_a_run_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), alive(tmp_path, RUN):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []


def test_of_a_run_that_never_began_here_nothing_is_known(instance, tmp_path):
    assert not is_dead(instance, tmp_path, RUN)
    assert not is_dead(instance, tmp_path / "nowhere", RUN)


def started(instance, seconds_ago, *events):
    """A run that was started some time ago, and what it told since."""
    instance.add_run(dg.DagsterRun(job_name="sync", run_id=RUN))
    for event in (STARTED, *events):
        data = EngineEventData() if event == MADE else None
        told = DagsterEvent(event_type_value=event.value, job_name="sync", event_specific_data=data)
        at = time.time() - seconds_ago
        instance.handle_new_event(
            dg.EventLogEntry(None, "debug", "", RUN, timestamp=at, job_name="sync", dagster_event=told)
        )


@pytest.mark.parametrize(
    ("seconds_ago", "events", "dead"),
    [
        (BEGINS_WITHIN_SECONDS + 1, [], True),  # killed in the moment before it held its lock
        (BEGINS_WITHIN_SECONDS - 30, [], False),
        (BEGINS_WITHIN_SECONDS + 1, [MADE], False),  # it holds its lock on another machine
    ],
)
def test_a_run_that_has_done_nothing_for_minutes_after_its_start_is_dead(instance, tmp_path, seconds_ago, events, dead):
    started(instance, seconds_ago, *events)
    assert is_dead(instance, tmp_path, RUN) == dead


def test_a_run_that_holds_its_lock_is_not_dead_however_little_it_told(living, instance, tmp_path):
    started(instance, BEGINS_WITHIN_SECONDS * 10)
    assert not is_dead(instance, tmp_path, RUN)


def test_a_dead_run_is_a_failed_one_for_dagster(instance, tmp_path):
    (tmp_path / f"{RUN}.lock").touch()
    instance.add_run(dg.DagsterRun(job_name="sync", run_id=RUN, status=dg.DagsterRunStatus.STARTED))
    report_dead(instance, tmp_path, instance.get_run_by_id(RUN))
    assert instance.get_run_by_id(RUN).status == dg.DagsterRunStatus.FAILURE
    assert LAST_WORDS in [entry.message for entry in instance.all_logs(RUN)][-1]
    assert not is_dead(instance, tmp_path, RUN)
