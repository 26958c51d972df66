"""Claims about the speed against a year before: which horizon is taken, what is withheld, and when a direction is given.

Every row is computed again in `end_to_end/recompute.py`.
"""

import pytest

from benchmarks import worlds
from vanc311_pipeline.metrics.groups import EACH_AREA, grouping_of
from vanc311_pipeline.metrics.speed_on_year import speed_on_year

NOW, BEFORE = 200, 200 + 364


def day(ago, quick, n=30, took=3):
    """So many requests, of which some are closed soon and the others late."""
    return [{"ago": ago, "took": took, "times": quick}, {"ago": ago, "took": 400, "times": n - quick}]


def year(ago, quick, n=20):
    """The same in each fortnight of a year around a day."""
    return [row for fortnight in range(26) for row in day(ago - 190 + 14 * fortnight, quick, n)]


def record(*rows):
    """With a request that makes the record old enough."""
    return ({"ago": 800, "issue": "Old"}, *rows)


@pytest.fixture(scope="module")
def told(facts, grouped, rows_of):
    """Some columns of what is said of the type Graffiti."""

    def columns(rows, *names, level="issue"):
        table = speed_on_year(grouped(facts(*rows), level))
        return rows_of(table[table["issue_type"].isin([None, "Graffiti"])], *names)

    return columns


@pytest.mark.parametrize(
    ("within", "horizon"),
    [((50, 20, 10), 7), ((10, 50, 10), 30), ((5, 5, 60), 90), ((0, 0, 0), 7), ((30, 40, 20), 7), ((29, 40, 20), 30)],
)
def test_the_horizon_is_that_within_which_nearest_to_half_were_closed_in_the_year_before(told, within, horizon):
    took = zip((7, 30, 90), within, strict=True)
    before = [{"ago": BEFORE, "took": days, "times": times} for days, times in took]
    before.append({"ago": BEFORE, "took": 91, "times": 100 - sum(within)})
    assert told(record(*before, *day(NOW, 30)), "horizon_days") == [horizon]


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        (16, 10, "faster"),
        (4, 10, "slower"),
        (11, 10, "unclear"),
        (20, 0, "faster"),
    ],
)
def test_a_direction_needs_more_than_chance(told, now, before, verdict):
    rows = record(*year(NOW, now), *year(BEFORE, before))
    assert told(rows, "share_within", "share_within_year_before", "verdict") == [
        (pytest.approx(now / 20), pytest.approx(before / 20), verdict)
    ]


def test_shares_that_surely_differ_by_less_than_5_points_are_about_the_same(told):
    rows = record(*year(NOW, 210, 400), *year(BEFORE, 200, 400))
    [(low, q, verdict)] = told(rows, "share_change_low", "q_value", "verdict")
    assert low > 0
    assert q < 0.05
    assert verdict == "about the same"


@pytest.mark.parametrize(
    ("rows", "state"),
    [
        (record(*day(NOW, 20), *day(BEFORE, 20)), "ok"),
        (record(*day(NOW, 20, 29), *day(BEFORE, 20)), "too_few"),
        (record(*day(NOW, 20), *day(BEFORE, 20, 29)), "too_few"),
        (record(*day(20, 20), *day(BEFORE, 15, took=60)), "too_few"),  # none is 90 days old
        (record({"ago": 800}), "no_requests"),
        ((*day(NOW, 20), *day(BEFORE, 20)), "too_short"),
    ],
)
def test_what_can_not_be_compared_has_a_state_instead(told, rows, state):
    [(given, verdict, change)] = told(rows, "state", "verdict", "share_change")
    assert given == state
    assert ((verdict, change) == (None, None)) == (state != "ok")


@pytest.mark.parametrize("service", ["weeks of different speed", "a crew about every 14 days"])
def test_without_a_change_a_list_of_100_types_is_empty_though_crews_and_weeks_make_them_differ(service):
    table = speed_on_year(grouping_of(worlds.two_years(service, 300, 100, 1), EACH_AREA))
    assert set(table["verdict"]) <= {"about the same", "unclear"}
