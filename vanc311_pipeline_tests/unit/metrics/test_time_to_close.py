"""Claims about time to close: what is counted and what is withheld, and what holds for any requests."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics import spells
from vanc311_pipeline.metrics.facts import Status
from vanc311_pipeline.metrics.groups import BLOCKS
from vanc311_pipeline.metrics.outcomes import outcome_codes, outcome_incidence
from vanc311_pipeline.metrics.time_to_close import (
    by_weekday,
    follow,
    time_to_close,
    time_to_close_curves,
    time_to_close_without,
)

QUANTILES = ["median_days", "median_low", "median_high", "median_state"]
COUNTS = ["volume", "n", "closed", "still_open", "n_static", "n_after_as_of", "n_negative", "n_closed_without_date"]


@pytest.fixture(scope="module")
def timed(cohort_of):
    """The table of one grouping and period."""

    def run(city, *which):
        cohort = cohort_of(city, *which)
        return time_to_close(cohort, list(follow(cohort)))

    return run


def test_every_request_is_counted_as_closed_as_open_or_as_unused_for_one_reason(facts, timed, rows_of):
    city = facts(
        {"ago": 20, "took": 3, "times": 2},
        {"ago": 20, "took": 21},  # closed after as_of
        {"ago": 20, "times": 3},
        {"ago": 20, "status": Status.OTHER},
        {"opened": "2022-08-16", "times": 4},
        {"ago": -1, "times": 5},
        {"ago": 20, "took": -1, "times": 6},
        {"ago": 20, "status": Status.CLOSE, "times": 7},
    )
    assert rows_of(timed(city), *COUNTS, "followed_days") == [(29, 7, 2, 5, 4, 5, 6, 7, 20)]


def test_below_30_requests_no_statistic_is_given_and_from_30_on_it_is(facts, timed, rows_of):
    columns = ["n", "median_days", "median_state", "mean_within_30", "mean_closed_only", "median_closed_only"]
    row = {"ago": 90, "took": 3}
    assert rows_of(timed(facts(row | {"times": 29})), *columns) == [(29, None, "too_few", None, None, None)]
    assert rows_of(timed(facts(row | {"times": 29}, {"ago": 90})), *columns) == [
        (30, 3, "ok", pytest.approx(3.9), 3, 3)
    ]


def test_areas_without_a_request_or_without_usable_dates_say_so(facts, timed, rows_of):
    city = facts(
        {"ago": 1, "took": 0, "times": 30},
        {"ago": 1, "took": -1, "area": "Sunset"},
        areas=("Kitsilano", "Marpole", "Sunset"),
    )
    assert rows_of(
        timed(city, "neighbourhood", "located"), "local_area", "volume", "n", "followed_days", *QUANTILES
    ) == [
        ("Kitsilano", 0, 0, None, None, None, None, "no_requests"),
        ("Marpole", 30, 30, 0, 0, 0, 0, "ok"),
        ("Sunset", 1, 0, None, None, None, None, "no_usable_timing"),
    ]


def test_a_quantile_is_not_reached_while_too_many_are_open_and_so_may_be_only_its_limits(facts, timed, rows_of):
    city = facts({"ago": 40, "took": 2, "times": 24}, {"ago": 40, "times": 16})
    assert rows_of(timed(city), *QUANTILES, "p75_days", "p75_low", "p75_state") == [
        (2, 2, None, "ok", None, 2, "not_reached")
    ]


def test_three_quarters_need_40_requests_and_nine_in_ten_need_100(facts, timed, rows_of):
    states = ["median_state", "p75_state", "p75_days", "p90_state", "p90_days", "p90_high"]
    row = {"ago": 90, "took": 3}
    assert [rows_of(timed(facts(row | {"times": n})), *states)[0] for n in (30, 40, 99, 100)] == [
        ("ok", "too_few", None, "too_few", None, None),
        ("ok", "ok", 3, "too_few", None, None),
        ("ok", "ok", 3, "too_few", None, None),
        ("ok", "ok", 3, "ok", 3, 3),
    ]


def test_the_restricted_mean_is_given_if_somebody_was_followed_that_long(facts, timed, rows_of):
    quick = {"ago": 200, "took": 1, "times": 30}
    for longest, expected in ((29, None), (30, 60 / 31)):
        city = facts(quick, {"ago": longest})
        assert rows_of(timed(city), "mean_within_30", "mean_within_90") == [(pytest.approx(expected), None)]


def test_the_figures_of_closed_requests_forget_those_still_open(facts, timed, rows_of):
    city = facts({"ago": 60, "took": 2, "times": 20}, {"ago": 60, "took": 50, "times": 19}, {"ago": 60, "times": 21})
    assert rows_of(timed(city), "median_days", "median_closed_only", "mean_closed_only") == [(50, 2, 990 / 39)]


def test_if_nobody_is_closed_the_figures_of_closed_requests_are_missing(facts, timed, rows_of):
    columns = ["n", "closed", "median_state", "median_closed_only", "mean_closed_only", "mean_within_30"]
    assert rows_of(timed(facts({"ago": 60, "times": 30})), *columns) == [(30, 0, "not_reached", None, None, 30)]


@given(took=st.lists(st.integers(0, 20), min_size=1, max_size=12))
def test_where_nothing_is_open_a_quantile_is_the_nearest_rank_and_so_is_the_median_of_the_closed(
    facts, timed, rows_of, took
):
    ordered = sorted(took)
    half, three, nine = (ordered[-(-len(took) * of // 20) - 1] for of in (10, 15, 18))
    city = facts(*({"ago": 30, "took": days, "times": 100} for days in took))
    columns = ["median_days", "median_closed_only", "p75_days", "p90_days", "mean_closed_only"]
    assert rows_of(timed(city), *columns) == [(half, half, three, nine, pytest.approx(sum(took) / len(took)))]


def test_a_period_has_the_requests_that_were_opened_in_it(facts, timed, rows_of):
    city = facts(
        {"opened": "2023-05-01", "took": 9},
        {"opened": "2024-12-31", "took": 4, "times": 30},
        {"opened": "2025-01-01", "took": 2, "times": 30},
    )
    lines = {
        period: rows_of(timed(city, "citywide", "all", period), "period", "volume", "median_days")
        for period in ("all", "last_12_months", "2023", "2024", "2025")
    }
    assert lines == {
        "all": [("all", 61, 4)], "last_12_months": [("last_12_months", 60, 2)], "2023": [("2023", 1, None)],
        "2024": [("2024", 30, 4)], "2025": [("2025", 30, 2)],
    }  # fmt: skip


def test_a_group_that_has_requests_in_other_periods_only_has_a_line_that_says_so(facts, timed, rows_of):
    city = facts({"opened": "2024-05-01", "issue": "Noise"}, {"opened": "2025-05-01"})
    lines = rows_of(timed(city, "issue", "all", "2025"), "issue_type", "volume", "median_state")
    assert lines == [("Graffiti", 1, "too_few"), ("Noise", 0, "no_requests")]


def test_the_points_of_a_curve_are_the_chosen_days_up_to_the_last_that_anybody_was_followed_to(
    facts, cohort_of, rows_of
):
    city = facts(
        {"ago": 25, "took": 2, "times": 20},
        {"ago": 25, "took": 22, "times": 10},
        {"ago": 12, "times": 10},
        {"ago": 90, "area": "Sunset"},
    )
    (some,) = follow(cohort_of(city, "neighbourhood", "located"))
    points = time_to_close_curves(some)
    assert set(rows_of(points, "level", "scope", "local_area", "period")) == {
        ("neighbourhood", "located", "Marpole", "all")
    }
    assert rows_of(points, "day", "at_risk", "closed_by", "open_share") == [
        *((day, 40, 0, 1) for day in (0, 1)),
        (2, 40, 20, 0.5),
        *((day, 20, 20, 0.5) for day in range(3, 13)),
        *((day, 10, 20, 0.5) for day in (13, 14, 21)),
    ]
    limits = points.set_index("day")[["open_share_low", "open_share_high"]]
    assert limits.loc[1].tolist() == pytest.approx([0.025 ** (1 / 40), 1])
    assert limits.loc[2].tolist() == pytest.approx([some.curves.low[0, 2], some.curves.high[0, 2]])


@pytest.mark.parametrize(("longest", "last"), [(20, 14), (21, 21), (29, 21), (30, 30)])
def test_a_curve_ends_with_its_own_group_however_long_another_was_followed(facts, cohort_of, rows_of, longest, last):
    for other in (longest, 400):
        city = facts({"ago": longest, "times": 30}, {"ago": other, "area": "Sunset", "times": 30})
        (some,) = follow(cohort_of(city, "neighbourhood", "located"))
        assert (
            max(day for area, day in rows_of(time_to_close_curves(some), "local_area", "day") if area == "Marpole")
            == last
        )


def test_a_group_of_less_than_30_has_no_curve(facts, cohort_of):
    (some,) = follow(cohort_of(facts({"ago": 5, "took": 1, "times": 29}, {"ago": 5, "took": -1})))
    assert len(some.groups) == len(some.curves.open_share) == len(time_to_close_curves(some)) == 0


def test_working_groups_out_a_few_at_a_time_changes_nothing(sample, cohort_of, monkeypatch):
    cohort = cohort_of(sample.facts, "issue", "all")
    monkeypatch.setattr(spells, "CELLS_AT_ONCE", 10**9)
    whole = list(follow(cohort))
    monkeypatch.setattr(spells, "CELLS_AT_ONCE", 3 * whole[0].length * BLOCKS)
    parts = list(follow(cohort))
    assert (len(whole), {len(part.groups) for part in parts[:-1]}) == (1, {3})
    pd.testing.assert_frame_equal(time_to_close(cohort, parts), time_to_close(cohort, whole))
    pd.testing.assert_frame_equal(
        pd.concat(map(time_to_close_curves, parts), ignore_index=True), time_to_close_curves(whole[0]), check_exact=True
    )
    codes = outcome_codes(cohort.facts)
    pd.testing.assert_frame_equal(
        pd.concat([outcome_incidence(part, codes) for part in parts], ignore_index=True),
        outcome_incidence(whole[0], codes),
        check_exact=True,
    )


MONDAY, THURSDAY = {"opened": "2025-03-03"}, {"opened": "2025-03-06"}


@pytest.mark.parametrize(
    ("on_thursday", "medians", "differ"),
    [
        ({"took": 5, "times": 30}, [2, None, None, 5, None, None, None], "yes"),
        ({"took": 5, "times": 29}, [2, None, None, None, None, None, None], "no"),  # too few to be told
        ({"took": 2, "times": 30}, [2, None, None, 2, None, None, None], "no"),
    ],
)
def test_the_weekday_of_opening_matters_where_the_medians_are_further_apart_than_chance_makes_them(
    facts, cohort_of, rows_of, on_thursday, medians, differ
):
    requests = facts(MONDAY | {"took": 2, "times": 30}, THURSDAY | on_thursday)
    table = by_weekday(cohort_of(requests, "issue", "all", "last_12_months"))
    assert rows_of(table, "weekday", "median_days") == list(enumerate(medians, start=1))
    assert rows_of(table, "n")[:4] == [30, 0, 0, on_thursday["times"]]
    assert set(table["weekdays_differ"]) == {differ}
    assert rows_of(table, "median_state")[4] == "no_requests"


def test_internal_types_and_batch_days_can_be_left_out(facts, cohort_of, rows_of):
    made = facts(
        {"ago": 100, "took": 1, "times": 40},
        {"ago": 100, "took": 9, "times": 50, "issue": "Waste AUDIT Case"},
        {"ago": 90, "took": 30, "times": 60},
        {"ago": 80, "issue": "Transfer Case Request"},
    )
    batch = made.days == 30
    found = time_to_close_without(cohort_of(made, period="last_12_months"), batch)
    assert rows_of(found, "left_out", "period", "n", "still_open", "median_days", "p90_state") == [
        ("internal types", "last_12_months", 100, 0, 30, "ok"),
        ("batch days", "last_12_months", 91, 1, 9, "too_few"),
        ("both", "last_12_months", 40, 0, 1, "too_few"),
    ]
