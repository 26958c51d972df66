"""Claims about the portal's 429: a moment or a day, and never longer than a day, whatever it says."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.errors import QuotaExceeded, TooManyRequests
from vanc311_pipeline.portal.retries import refusal_of_calls

NOW = datetime(2026, 1, 13, 20, tzinfo=UTC)
DATE = {"date": "Tue, 13 Jan 2026 20:00:00 GMT"}
MIDNIGHT, TOMORROW = datetime(2026, 1, 14, tzinfo=UTC), NOW + timedelta(days=1)


def refusal(reset_time=None, unit="day", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"errorcode": 10002, "reset_time": reset_time, "limit_time_unit": unit})
    return refusal_of_calls({**DATE, **named}, body.encode())


@pytest.mark.parametrize(
    ("reset_time", "until"),
    [
        ("2026-01-14T00:00:00Z", MIDNIGHT), ("2026-01-14T00:00:00", MIDNIGHT), ("2026-01-13T17:00:00-07:00", MIDNIGHT),
        ("2126-01-14T00:00:00Z", TOMORROW), ("9999-12-31T23:59:59-08:00", None), ("2026-01-13T19:00:00Z", None),
        ("tomorrow", None), (1_767_225_600, None), (None, None),
    ],
)  # fmt: skip
def test_a_quota_ends_when_the_portal_says_but_within_a_day(reset_time, until):
    error = refusal(reset_time)
    assert isinstance(error, QuotaExceeded)
    assert error.until == until
    assert ("until the next day" in str(error)) == (until is None)


def test_a_clock_after_which_there_is_no_day_is_none():
    assert isinstance(refusal(None, date="Fri, 31 Dec 9999 23:59:59 GMT"), QuotaExceeded)


@pytest.mark.parametrize("header", [{"x_ratelimit_reset": "2026-01-14 00:00:00+00:00"}, {"retry_after": "14400"}])
def test_a_quota_may_also_say_its_end_in_a_header(header):
    assert refusal(**header).until == MIDNIGHT


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"retry_after": "0"}, 0),
        ({"retry_after": "7"}, 7),
        ({"retry_after": "60"}, 60),
        ({"retry_after": "Tue, 13 Jan 2026 20:00:07 GMT"}, 7),
        ({"retry_after": "13 Jan 2026 20:00:07 -0000"}, 7),
        ({"unit": "second", "reset_time": None}, 0),
        ({"unit": "minute", "reset_time": None}, 0),
        ({"unit": "minute"}, 60),
    ],
)
def test_what_ends_within_a_minute_or_is_a_limit_by_the_second_or_minute_is_a_burst_of_a_minute_at_most(said, seconds):
    error = refusal(**{"reset_time": "2026-01-14T00:00:00Z"} | said)
    assert isinstance(error, TooManyRequests)
    assert error.seconds == seconds


@pytest.mark.parametrize("body", [b"", b"slow down", b"[1]", b"[" * 100_000])
@pytest.mark.parametrize("retry_after", ["soon", "-5", "1e9", "9" * 5_000, "Tue, 99 Jan 2026 20:00:07 GMT"])
def test_what_can_not_be_read_is_a_quota_of_unknown_end(body, retry_after):
    assert refusal_of_calls({**DATE, "retry-after": retry_after}, body).until is None


@given(body=st.binary() | st.text().map(str.encode), header=st.text())
def test_whatever_it_says_it_ends_within_a_day(body, header):
    error = refusal_of_calls({**DATE, "retry-after": header, "x-ratelimit-reset": header}, body)
    assert getattr(error, "until", None) is None or NOW <= error.until <= TOMORROW
