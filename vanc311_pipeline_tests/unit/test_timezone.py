"""Claims about the time-zone rules: the pinned ones win over an older system's, everywhere in the process."""

import json
import os
import struct
import subprocess
import sys
import zoneinfo

import pytest

from vanc311_pipeline import timezone

OLD_RULE = b"PST8PDT,M3.2.0,M11.1.0"  # clocks go back each November, as they did until 2025

ASK = """
import json, zoneinfo
from datetime import UTC, datetime

instant = datetime(2026, 12, 1, 20, tzinfo=UTC)
hours = {"plain zoneinfo": instant.astimezone(zoneinfo.ZoneInfo("America/Vancouver")).hour}

import vanc311_pipeline
import os, subprocess, sys
import dagster as dg
import pandas as pd

hours["zoneinfo"] = instant.astimezone(zoneinfo.ZoneInfo("America/Vancouver")).hour
hours["pandas"] = int(pd.Series([pd.Timestamp(instant)]).dt.tz_convert("America/Vancouver").dt.hour.item())
partitions = dg.HourlyPartitionsDefinition(start_date="2026-12-01-00:00", timezone="America/Vancouver")
window = next(
    key for key in (f"2026-12-01-{hour:02d}:00" for hour in range(24))
    if partitions.time_window_for_partition_key(key).start.astimezone(UTC) == instant
)
hours["dagster"] = int(window[-5:-3])
child = (
    "import zoneinfo, datetime as d;"
    "instant = d.datetime(2026, 12, 1, 20, tzinfo=d.UTC);"
    "print(instant.astimezone(zoneinfo.ZoneInfo('America/Vancouver')).hour)"
)
answer = subprocess.run([sys.executable, "-c", child], check=True, capture_output=True, text=True)
hours["a child process"] = int(answer.stdout)
print(json.dumps(hours))
"""


def stale_zone_file() -> bytes:
    """A minimal TZif file, version 2: no transitions, one type, and the rule that held until 2026 as its footer."""
    header = b"TZif" + b"2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    block = header + struct.pack(">lbB", -8 * 3600, 0, 0) + b"PST\0"
    return block + block + b"\n" + OLD_RULE + b"\n"


@pytest.fixture
def stale_system(tmp_path):
    """The directory of an operating system whose zone files are from before 2026."""
    (tmp_path / "America").mkdir()
    (tmp_path / "America" / "Vancouver").write_bytes(stale_zone_file())
    return tmp_path


def test_importing_the_package_frees_the_whole_process_from_an_old_systems_rules(stale_system):
    environment = {**os.environ, "PYTHONTZPATH": str(stale_system), "PYTHONWARNINGS": "ignore"}
    answer = subprocess.run([sys.executable, "-c", ASK], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(answer.stdout) == {
        "plain zoneinfo": 12,  # the trap is set: without the package, Vancouver is an hour behind
        "zoneinfo": 13,
        "pandas": 13,
        "dagster": 13,
        "a child process": 13,
    }


@pytest.fixture
def tzdata_from(monkeypatch):
    """Makes `zoneinfo` read one directory and nothing else, and puts everything back."""
    real = zoneinfo.reset_tzpath

    def use(directory):
        monkeypatch.setattr(zoneinfo, "reset_tzpath", lambda to: real(to=[str(directory)]))

    yield use
    monkeypatch.undo()
    timezone.use_pinned_timezone_rules()


def test_old_rules_are_refused_in_words_that_say_what_to_do(stale_system, tzdata_from):
    tzdata_from(stale_system)
    with pytest.raises(
        RuntimeError, match=r"2026-12-01T20:00Z is 12:00 in Vancouver by them, 13:00 in fact.*pip install"
    ):
        timezone.use_pinned_timezone_rules()


def test_this_process_has_the_current_rules():
    assert zoneinfo.TZPATH == ()
    assert os.environ["PYTHONTZPATH"] == ""
