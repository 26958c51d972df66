"""Claims about waiting where a record has little: nobody left to wait with, and no type that is common enough for a curve.

What is told of those who waited as long is computed again in `end_to_end/recompute.py`.
"""

import pytest

from vanc311_pipeline.metrics.time_to_close import follow
from vanc311_pipeline.metrics.waiting import open_request_standing, waiting_times


def test_if_all_were_closed_on_the_day_of_opening_there_is_nobody_to_wait_with(facts, cohort_of, rows_of):
    (some,) = follow(cohort_of(facts({"ago": 50, "took": 0, "times": 30}), "issue", "all"))
    columns = ["waited_days", "followed", "open_share", "further_median", "further_median_state"]
    assert rows_of(waiting_times(some), *columns) == [(-1, 30, 1, 0, "ok")]


@pytest.mark.parametrize("others", [(), ({"issue": "Noise", "ago": 60, "took": 1, "times": 30},)])
def test_an_open_request_of_a_rare_type_says_how_many_there_are_and_nothing_of_them(facts, cohort_of, rows_of, others):
    city = facts(
        {"ago": 10, "times": 2}, {"ago": 30, "took": 1, "times": 20}, {"ago": 40, "took": 11, "times": 7}, *others
    )
    cohorts = [cohort_of(city, "issue", "all", period) for period in ("all", "last_12_months")]
    standing = open_request_standing(city, [some for cohort in cohorts for some in follow(cohort)])
    columns = ["row", "days_open", "period", "n", "followed", "closed_sooner_share", "further_median", "state"]
    assert rows_of(standing, *columns) == [(row, 10, "all", 29, 7, None, None, "too_few") for row in (0, 1)]
