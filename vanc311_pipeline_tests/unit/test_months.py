"""Claims about months as text: their order is that of time, ranges have no gaps, and the seam has two datasets."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.errors import EXIT_USAGE, SettingsError
from vanc311_pipeline.months import (
    datasets_that_may_hold,
    months_before,
    months_between,
    next_month,
    parse_months,
    running_month,
)
from vanc311_pipeline.settings import ARCHIVE, FIRST_MONTH, LIVE

a_month = st.builds(lambda year, month: f"{year}-{month:02d}", st.integers(1000, 9998), st.integers(1, 12))


@given(month=a_month)
def test_the_next_month_is_later_and_twelve_of_them_are_a_year(month):
    later = month
    for _ in range(12):
        assert next_month(later) > later
        later = next_month(later)
    assert later == f"{int(month[:4]) + 1}-{month[5:]}"
    assert months_before(later, 12) == month


@given(first=st.integers(0, 400), length=st.integers(0, 60))
def test_a_range_holds_each_month_once_and_both_ends(first, length):
    months = months_between(*(f"{2000 + n // 12}-{n % 12 + 1:02d}" for n in (first, first + length)))
    assert len(months) == length + 1
    assert all(next_month(month) == following for month, following in pairwise(months))


def test_a_range_that_runs_backwards_is_empty():
    assert months_between("2025-09", "2025-08") == []


def test_a_month_or_a_range_can_be_asked_for():
    assert parse_months("2025-08") == ["2025-08"]
    assert parse_months("2024-12..2025-02") == ["2024-12", "2025-01", "2025-02"]
    assert parse_months(f"{FIRST_MONTH}..{running_month()}")[-1] == running_month()


@pytest.mark.parametrize(
    "text",
    [
        "", "2025", "2025-13", "2025-00", "2025-8", "25-08", "2025-08-01", "2025-08..2025-07", "2025-08..", "..2025-08",
        "all", "２０２５-０８",
    ],
)  # fmt: skip
def test_what_is_no_month_is_wrong_usage(text):
    with pytest.raises(SettingsError, match=r"Write 2025-01, or 2025-01\.\.2025-06") as error:
        parse_months(text)
    assert error.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("text", ["2009-05", "2009-05..2010-01", "2025-01..9999-12", "9999-12"])
def test_what_lies_outside_the_record_is_wrong_usage(text):
    with pytest.raises(SettingsError, match="outside the record, which runs from 2009-06"):
        parse_months(text)


@pytest.mark.parametrize(
    ("month", "datasets"),
    [
        ("2009-06", [ARCHIVE]), ("2021-11", [ARCHIVE]), ("2021-12", [ARCHIVE, LIVE]), ("2022-01", [ARCHIVE, LIVE]),
        ("2022-02", [LIVE]), ("2026-01", [LIVE]),
    ],
)  # fmt: skip
def test_only_the_seam_can_have_rows_of_both_datasets(month, datasets):
    assert datasets_that_may_hold(month) == datasets


def test_the_running_month_is_utcs():
    assert running_month(datetime(2026, 1, 1, 0, 30, tzinfo=UTC)) == "2026-01"
    assert running_month(datetime(2025, 12, 31, 23, 59, tzinfo=UTC)) == "2025-12"
