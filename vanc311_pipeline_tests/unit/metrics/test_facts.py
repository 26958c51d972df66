"""Claims about facts: which requests a curve can use and why not, and days and months as numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import (
    Status,
    Unused,
    day_number,
    day_texts,
    first_days,
    month_numbers,
    month_texts,
)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"opened": "2025-06-01", "took": 3}, Unused.USED),
        ({"opened": "2025-06-01", "took": 0}, Unused.USED),
        ({"opened": "2025-06-30"}, Unused.USED),
        ({"opened": "2025-06-01", "took": 3, "status": Status.OPEN}, Unused.USED),
        ({"opened": "2025-06-01", "took": -1, "status": Status.OPEN}, Unused.USED),
        ({"opened": "2025-06-01", "status": Status.OTHER}, Unused.USED),
        ({"opened": "2022-08-17"}, Unused.USED),
        ({"opened": "2022-08-16"}, Unused.STATIC),
        ({"opened": "2025-07-01"}, Unused.AFTER_AS_OF),
        ({"opened": "2025-06-01", "took": -1}, Unused.NEGATIVE),
        ({"opened": "2025-06-01", "status": Status.CLOSE}, Unused.WITHOUT_DATE),
        # Where two apply, the first one is given.
        ({"opened": "2022-08-16", "took": -1}, Unused.STATIC),
        ({"opened": "2022-08-16", "status": Status.CLOSE}, Unused.STATIC),
        ({"opened": "2025-07-01", "took": -1}, Unused.AFTER_AS_OF),
        ({"opened": "2025-07-01", "status": Status.CLOSE}, Unused.AFTER_AS_OF),
    ],
)
def test_a_request_is_in_a_curve_unless_one_of_four_things_is_wrong(facts, row, why):
    city = facts(row)
    assert (city.unused.tolist(), city.used.tolist()) == ([why], [why == Unused.USED])


def test_a_request_that_was_static_before_it_is_after_as_of_is_static(facts):
    assert facts({"opened": "2022-08-10"}, as_of="2022-08-01").unused.tolist() == [Unused.STATIC]


def test_days_and_months_are_counted_from_1970():
    assert [day_number(date) for date in ("1969-12-31", "1970-01-01", "2022-08-17")] == [-1, 0, 19_221]
    assert month_numbers([-1, 0, 31, 19_221]).tolist() == [-1, 0, 1, 12 * 52 + 7]
    assert day_texts(first_days([0, 1, 12 * 55 + 1])).tolist() == ["1970-01-01", "1970-02-01", "2025-02-01"]


@given(dates=st.lists(st.dates()))
def test_a_day_number_is_the_day_that_it_was_made_of(dates):
    texts = [date.isoformat() for date in dates]
    numbers = [day_number(text) for text in texts]
    assert day_texts(numbers).tolist() == texts
    assert month_texts(month_numbers(numbers)).tolist() == [text[:7] for text in texts]
    assert day_texts(first_days(month_numbers(numbers))).tolist() == [f"{text[:7]}-01" for text in texts]
