"""Claims about the rehearsed day: its clock is fast and nothing else is changed, and who looks on sees what is wrong."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

from benchmarks.day import SLOT_SECONDS, Account, Watcher
from benchmarks.rig import released
from benchmarks.topology import ROOT
from vanc311_pipeline.standin import EDITS
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


def test_a_file_of_no_release_a_changed_row_and_no_file_are_seen(synced, portal, tmp_path):
    account, file = Account(), shutil.copy(synced.published_path, tmp_path / "vanc311.sqlite")
    other, city = (
        SimpleNamespace(releases=[released(frame)])
        for frame in (EDITS["close"].function(portal.frame, rows=3), portal.frame)
    )
    Watcher(file, other, account).look()
    assert "holds" in account.violations.pop()
    watcher = Watcher(file, city, account)
    watcher.look()
    assert not account.violations
    change(file, "UPDATE service_requests SET address = 'ELSEWHERE' WHERE rowid = 1")
    watcher.look()
    assert "rows that were never released" in account.violations.pop()
    file.unlink()
    watcher.look()
    assert account.violations == ["the published file was absent"]
