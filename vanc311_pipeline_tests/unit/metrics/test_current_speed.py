"""Claims about the speed of the last 13 settled weeks: a change shows at once, and old requests count with their ages.

Who is followed in these weeks is computed again in `end_to_end/recompute.py`.
"""

import pytest

from vanc311_pipeline.metrics.current_speed import current_speed
from vanc311_pipeline.metrics.time_to_close import follow, time_to_close


@pytest.fixture(scope="module")
def speed(grouped, rows_of):
    """Some columns of the city's row."""

    def run(requests, *columns):
        return rows_of(current_speed(grouped(requests)), *columns)[0]

    return run


def test_a_service_that_became_quicker_is_quick_now_while_the_year_is_not_yet(facts, speed, cohort_of, rows_of):
    requests = facts({"ago": 200, "took": 40, "times": 300}, {"ago": 60, "took": 5, "times": 100})
    assert speed(requests, "median_days", "p90_days", "n", "median_state") == (5, 5, 100, "ok")
    year = cohort_of(requests, period="last_12_months")
    assert rows_of(time_to_close(year, list(follow(year))), "median_days", "n") == [(40, 400)]


def test_old_requests_count_with_the_ages_that_they_had_in_the_window(facts, speed):
    # Of 60 that are opened half are closed at once; at 100 days 40 old ones are met, of which 20 are closed that day, then 10.
    new = [{"ago": 7, "took": 0, "times": 30}, {"ago": 20, "times": 30}]
    old = [{"ago": 120, "took": 100, "times": 20}, {"ago": 120, "took": 101, "times": 10}, {"ago": 120, "times": 10}]
    requests = facts(*new, *old)
    columns = ("followed", "n", "closed", "median_days", "p75_days", "p75_state")
    # The new ones were followed for 13 days at most: between 13 and 23 days of age nobody was.
    assert speed(requests, *columns) == (100, 60, 60, 0, None, "too_few")


@pytest.mark.parametrize(("times", "state"), [(0, "no_requests"), (29, "too_few"), (30, "ok")])
def test_a_median_needs_30_opened_in_the_window(facts, speed, times, state):
    rows = [{"ago": 30, "took": 1, "times": times}] if times else [{"ago": 3}]
    assert speed(facts(*rows), "median_state") == state
