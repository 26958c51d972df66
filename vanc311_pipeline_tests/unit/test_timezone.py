"""Claims about the time-zone rules: the pinned ones win over an older system's, everywhere in the process."""

import json
import os
import subprocess
import sys
import zoneinfo
from importlib.resources import files

import pytest

from vanc311_pipeline import timezone

PLAIN = """
import zoneinfo
from datetime import UTC, datetime

print(datetime(2026, 12, 1, 20, tzinfo=UTC).astimezone(zoneinfo.ZoneInfo("America/Vancouver")).hour)
"""
ASK = """
import vanc311_pipeline
import json, subprocess, sys, zoneinfo
from datetime import UTC, datetime
import dagster as dg
import pandas as pd

instant = datetime(2026, 12, 1, 20, tzinfo=UTC)
partitions = dg.HourlyPartitionsDefinition(start_date="2026-12-01-00:00", timezone="America/Vancouver")
child = subprocess.run([sys.executable, "-c", sys.argv[1]], check=True, capture_output=True, text=True)
hours = {
    "zoneinfo": instant.astimezone(zoneinfo.ZoneInfo("America/Vancouver")).hour,
    "pandas": int(pd.Series([pd.Timestamp(instant)]).dt.tz_convert("America/Vancouver").dt.hour.item()),
    "dagster": int(partitions.get_partition_key_for_timestamp(instant.timestamp())[-5:-3]),
    "a child process": int(child.stdout),
}
print(json.dumps(hours))
"""


@pytest.fixture
def stale_system(tmp_path):
    """The directory of an operating system that sets Vancouver's clocks back each November, as California still does."""
    (tmp_path / "America").mkdir()
    california = files("tzdata") / "zoneinfo" / "America" / "Los_Angeles"
    (tmp_path / "America" / "Vancouver").write_bytes(california.read_bytes())
    return tmp_path


def test_importing_the_package_frees_the_whole_process_from_an_old_systems_rules(stale_system):
    environment = {**os.environ, "PYTHONTZPATH": str(stale_system), "PYTHONWARNINGS": "ignore"}

    def answer(*program):
        command = [sys.executable, "-c", *program]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    assert answer(PLAIN) == 12  # the trap is set: without the package, Vancouver is an hour behind
    assert answer(ASK, PLAIN) == dict.fromkeys(("zoneinfo", "pandas", "dagster", "a child process"), 13)


def test_old_rules_are_refused_in_words_that_say_what_to_do(stale_system, monkeypatch):
    words = r"2026-12-01T20:00Z is 12:00 in Vancouver by them, 13:00 in fact.*pip install"
    real = zoneinfo.reset_tzpath
    monkeypatch.setattr(zoneinfo, "reset_tzpath", lambda to: real(to=[str(stale_system)]))
    try:
        with pytest.raises(RuntimeError, match=words):
            timezone.use_pinned_timezone_rules()
    finally:
        monkeypatch.undo()
        timezone.use_pinned_timezone_rules()


def test_this_process_has_the_current_rules():
    assert zoneinfo.TZPATH == ()
    assert os.environ["PYTHONTZPATH"] == ""
