"""Claims about waiting: what requests that waited as long took further, and what is said of each open one."""

import pytest

from vanc311_pipeline.metrics.time_to_close import follow
from vanc311_pipeline.metrics.waiting import open_request_standing, waiting_times

COLUMNS = ["waited_days", "followed", "open_share", "further_median", "further_median_state"]
STANDING = ["row", "days_open", "period", "n", "followed", "closed_sooner_share", "further_median", "state"]


@pytest.fixture(scope="module")
def waited(cohort_of):
    """The table of waiting times of the issue types, over all years."""

    def run(city):
        return waiting_times(*follow(cohort_of(city, "issue", "all")))

    return run


@pytest.fixture(scope="module")
def standing(cohort_of, rows_of):
    """What is said of each open request."""

    def run(city):
        cohorts = [cohort_of(city, "issue", "all", period) for period in ("all", "last_12_months")]
        return rows_of(open_request_standing(city, [some for cohort in cohorts for some in follow(cohort)]), *STANDING)

    return run


def test_the_longer_a_request_has_waited_the_fewer_it_is_held_against(facts, waited, rows_of):
    city = facts(
        {"ago": 50, "took": 0, "times": 60},
        {"ago": 50, "took": 3, "times": 30},
        {"ago": 50, "took": 20, "times": 15},
        {"ago": 50, "times": 15},
    )
    assert rows_of(waited(city), *COLUMNS) == [
        (-1, 120, 1, 0, "ok"),  # just opened: half of all were closed on the same day
        (0, 60, 0.5, 3, "ok"),  # of the 60 still open, half by day 3
        (1, 60, 0.5, 2, "ok"),
        (3, 30, 0.25, 17, "ok"),
        (7, 30, 0.25, 13, "ok"),
        (14, 30, 0.25, 6, "ok"),
        (30, 15, 0.125, None, "too_few"),
    ]
    further = ["further_p75", "further_p75_state", "further_p90", "further_p90_state"]
    assert rows_of(waited(city), *further)[1:4] == [
        (20, "ok", None, "too_few"),
        (19, "ok", None, "too_few"),
        (None, "too_few", None, "too_few"),
    ]


def test_what_is_still_open_is_asked_of_enough_or_not_at_all(facts, waited, rows_of):
    columns = ["followed", "further_median_state", "further_p75_state", "further_p90_state"]
    for n, states in ((99, ("ok", "ok", "too_few")), (100, ("ok", "ok", "ok")), (39, ("ok", "too_few", "too_few"))):
        city = facts({"ago": 50, "took": 0, "times": 60}, {"ago": 50, "took": 9, "times": n})
        assert rows_of(waited(city), *columns)[1] == (n, *states)


def test_an_answer_has_the_limits_of_those_who_waited_as_long(facts, waited, rows_of):
    city = facts({"ago": 50, "took": 0, "times": 60}, *({"ago": 50, "took": days} for days in range(1, 41)))
    columns = ["waited_days", "further_median", "further_median_low", "further_median_high"]
    alone = facts(*({"ago": 50, "took": days - 1} for days in range(1, 41)))  # as if they had been opened a day later
    assert rows_of(waited(city), *columns)[:2] == [(-1, 0, 0, 0), (0, 20, 14, 26)]
    assert rows_of(waited(alone), *columns)[0] == (-1, 19, 13, 25)


def test_waiting_times_go_on_while_anybody_was_followed_beyond_the_days_waited(facts, waited, rows_of):
    city = facts({"ago": 50, "took": 5, "times": 30}, {"ago": 8, "times": 1})
    assert rows_of(waited(city), "waited_days", "followed") == [(-1, 31), (0, 31), (1, 31), (3, 31), (7, 1)]


def test_if_all_were_closed_on_the_day_of_opening_there_is_nobody_to_wait_with(facts, waited, rows_of):
    assert rows_of(waited(facts({"ago": 50, "took": 0, "times": 30})), *COLUMNS) == [(-1, 30, 1, 0, "ok")]


LONG_AGO = {"opened": "2023-06-01"}


def test_an_open_request_stands_against_its_type_in_the_last_12_months_if_30_waited_as_long_in_them(facts, standing):
    recent = [{"ago": 100, "took": took, "times": times} for took, times in ((2, 29), (12, 16), (20, 14))]
    city = facts({"ago": 10}, *recent, LONG_AGO | {"took": 90, "times": 50})
    assert standing(city) == [(0, 10, "last_12_months", 60, 30, pytest.approx(29 / 60), 2, "ok")]


def test_and_else_against_its_type_in_all_years(facts, standing):
    recent = [{"ago": 100, "took": 2, "times": 30}, {"ago": 100, "took": 12, "times": 29}]
    city = facts({"ago": 10}, *recent, LONG_AGO | {"took": 90, "times": 50})
    assert standing(city) == [(0, 10, "all", 110, 79, pytest.approx(30 / 110), 80, "ok")]


def test_it_is_not_foretold_when_the_others_are_open_too(facts, standing):
    city = facts({"ago": 10}, {"ago": 40, "times": 30})
    assert standing(city)[0] == (0, 10, "last_12_months", 31, 30, 0, None, "not_reached")


@pytest.mark.parametrize("others", [(), ({"issue": "Noise", "ago": 60, "took": 1, "times": 30},)])
def test_an_open_request_of_a_rare_type_says_how_many_there_are_and_nothing_of_them(facts, standing, others):
    city = facts(
        {"ago": 10, "times": 2}, {"ago": 30, "took": 1, "times": 20}, {"ago": 40, "took": 11, "times": 7}, *others
    )
    assert standing(city) == [(row, 10, "all", 29, 7, None, None, "too_few") for row in (0, 1)]


def test_of_a_request_that_waited_longer_than_most_only_the_share_that_was_quicker_is_told(facts, standing):
    city = facts({"ago": 100}, {"ago": 100, "took": 1, "times": 29}, {"ago": 100, "took": 100})
    assert standing(city) == [(0, 100, "all", 31, 0, pytest.approx(30 / 31), None, "too_few")]


def test_a_request_that_is_not_usable_or_not_open_has_no_standing(facts, standing):
    city = facts({"ago": -1}, {"opened": "2022-08-16"}, {"ago": 3, "took": 1}, {"ago": 3})
    assert [line[0] for line in standing(city)] == [3]
