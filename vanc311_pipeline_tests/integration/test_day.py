"""Claims about the rehearsed day: its clock is fast and nothing else is changed, and those who look on see what is wrong."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.day import SLOT_SECONDS, Account, Keeper, Watcher
from benchmarks.rig import released
from benchmarks.topology import ROOT
from vanc311_pipeline.standin import EDITS, StandIn
from vanc311_pipeline_tests.integration.api.conftest import change
from vanc311_pipeline_tests.integration.graph import snapshot

LOCATION = """
import json
from benchmarks.day_location import defs
from vanc311_pipeline.orchestration import schedules
from vanc311_pipeline_tests.integration import graph
graph.build_definitions = lambda _: defs()
print(json.dumps([schedules.SLOT_SECONDS, json.loads(graph.snapshot())]))
"""


def test_its_clock_is_fast_and_all_else_is_as_shipped():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    printed = subprocess.run(
        [sys.executable, "-c", LOCATION], env=environment, capture_output=True, text=True, check=True
    )
    seconds, rehearsed = json.loads(printed.stdout)
    shipped = json.loads(snapshot())
    assert seconds == SLOT_SECONDS == 60
    assert rehearsed["schedules"].pop("every_50_minutes")["cron"] == "* * * * *"
    assert shipped["schedules"].pop("every_50_minutes")["cron"] == "*/10 * * * *"
    assert rehearsed == shipped


def city(frame):
    """What the city released, without a portal."""
    return SimpleNamespace(releases=[released(frame)])


@pytest.fixture(scope="module")
def frame():
    with StandIn() as portal:
        return portal.frame


@pytest.fixture
def file(synced, tmp_path):
    copy = tmp_path / "published" / "vanc311.sqlite"
    copy.parent.mkdir()
    copy.write_bytes(synced.published_path.read_bytes())
    return copy


def test_a_file_of_a_release_is_right_and_is_compared_once(file, frame):
    account = Account()
    watcher = Watcher(file, city(frame), account)
    watcher.look()
    watcher.look()
    assert (account.violations, account.looks, account.files) == ([], 2, 1)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_file_of_no_release_a_changed_row_and_no_file_are_seen(file, frame):
    account = Account()
    other = EDITS["close"].function(frame, rows=3)
    Watcher(file, city(other), account).look()
    assert "holds" in account.violations.pop()
    watcher = Watcher(file, city(frame), account)
    watcher.look()
    assert not account.violations
    change(file, "UPDATE service_requests SET address = 'ELSEWHERE' WHERE rowid = 1")
    watcher.look()
    assert "rows that were never released" in account.violations.pop()
    file.unlink()
    watcher.look()
    assert account.violations == ["the published file was absent"]


def test_a_service_that_ends_is_started_again_and_one_that_was_stopped_is_not():
    running, started = {"site": subprocess.Popen(["true"])}, []

    def start(name):
        started.append(name)
        running[name] = subprocess.Popen(["sleep", "60"])

    running["site"].wait()
    keeper = Keeper(SimpleNamespace(running=running, start=start, kill_and_leave=lambda _: None), Account())
    keeper.keep()
    keeper.keep()
    assert (started, keeper.restarts) == (["site"], 1)
    process = running.pop("site")
    process.kill()
    process.wait()
    keeper.keep()
    assert started == ["site"]
