"""Claims about time zones and date literals."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.portal.standin import Options
from vanc311_pipeline.portal.standin.literals import clock_reading, micros, read_date
from vanc311_pipeline.portal.standin.zones import MICROS, zone_named

OPENED = "service_request_open_timestamp"
MOMENTS = st.datetimes(datetime(1960, 1, 1), datetime(2025, 12, 31)).map(lambda moment: moment.replace(microsecond=0))


@given(moment=MOMENTS, name=st.sampled_from(["America/Vancouver", "Europe/Paris", "Asia/Kathmandu", "UTC"]))
def test_offsets_are_those_of_zoneinfo(moment, name):
    found = zone_named(name).offsets(np.array([micros(moment)]))[0]
    assert found == moment.replace(tzinfo=UTC).astimezone(ZoneInfo(name)).utcoffset().total_seconds()


@given(reading=MOMENTS, name=st.sampled_from(["America/Vancouver", "Europe/Paris", "Australia/Lord_Howe"]))
def test_a_local_reading_is_the_instant_that_zoneinfo_says(reading, name):
    expected = reading.replace(tzinfo=ZoneInfo(name)).astimezone(UTC).replace(tzinfo=None)
    assert zone_named(name).instant(micros(reading)) == micros(expected)


@pytest.mark.parametrize(("setting", "expected"), [("-07:00", "T05:00:00-07:00"), ("-08:00", "T04:00:00-08:00")])
def test_vancouver_keeps_one_offset_from_2026_unless_the_portal_does_not_know(opened, sample, setting, expected):
    frame = sample.head(1).assign(**{OPENED: datetime(2026, 12, 15, 12, tzinfo=UTC)})
    _, ask = opened(requests=frame, options=Options(vancouver_from_2026_11=setting))
    assert ask("/exports/json", timezone="America/Vancouver").json()[0][OPENED].endswith(expected)


@pytest.mark.parametrize("setting", ["-07:00", "-08:00"])
def test_the_summer_of_2026_is_the_same_either_way(setting):
    july = micros(datetime(2026, 7, 1))
    assert zone_named("America/Vancouver", setting).offsets(np.array([july]))[0] == -7 * 3600


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2025", "2025-01-01", "2026-01-01"),
        ("2025/12", "2025-12-01", "2026-01-01"),
        ("2025-02-28", "2025-02-28", "2025-03-01"),
        ("2025-02-28T23:59", "2025-02-28T23:59", "2025-03-01T00:00"),
        ("2025-02-28T23:59:59", "2025-02-28T23:59:59", "2025-03-01T00:00:00"),
        ("2025-02-28T23:59:59Z", "2025-02-28T23:59:59", "2025-03-01T00:00:00"),
        ("2025-02-28T23:59:59-08:00", "2025-03-01T07:59:59", "2025-03-01T08:00:00"),
    ],
)
def test_a_literal_stands_for_its_whole_unit(text, start, end):
    stretch = read_date(text, zone_named("UTC"))
    assert (stretch.start, stretch.end) == (micros(datetime.fromisoformat(start)), micros(datetime.fromisoformat(end)))


@pytest.mark.parametrize("text", ["", "soon", "2025-13", "2025-02-30", "25-01-01", "2025-01-01T25:00"])
def test_what_is_no_date_is_none(text):
    assert read_date(text, zone_named("UTC")) is None


def test_a_local_day_of_the_change_has_23_hours():
    stretch = read_date("2025-03-09", zone_named("America/Vancouver"))
    assert stretch.end - stretch.start == 23 * 3600 * MICROS
    assert clock_reading(stretch.start) == datetime(2025, 3, 9, 8, tzinfo=UTC)


def test_an_offset_inside_a_date_literal_can_be_refused(opened):
    where = f"{OPENED} >= date'2024-03-05T00:00:00+00:00'"
    _, accepting = opened()
    _, refusing = opened(options=Options(date_literal_offset="refused"))
    assert accepting("/records", where=where).status_code == 200
    assert refusing("/records", where=where).status_code == 400
