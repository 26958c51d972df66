"""Claims about time to close: what holds for any requests, and the edges that no city meets.

What is counted, withheld and read off a curve is computed again in `end_to_end/recompute.py`.
"""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics import spells
from vanc311_pipeline.metrics.groups import BLOCKS
from vanc311_pipeline.metrics.outcomes import outcome_codes, outcome_incidence
from vanc311_pipeline.metrics.time_to_close import (
    by_weekday,
    follow,
    time_to_close,
    time_to_close_curves,
    time_to_close_without,
)


@pytest.fixture(scope="module")
def timed(cohort_of):
    """The table of one grouping and period."""

    def run(city, *which):
        cohort = cohort_of(city, *which)
        return time_to_close(cohort, list(follow(cohort)))

    return run


def test_the_restricted_mean_is_given_if_somebody_was_followed_that_long(facts, timed, rows_of):
    quick = {"ago": 200, "took": 1, "times": 30}
    for longest, expected in ((29, None), (30, 60 / 31)):
        city = facts(quick, {"ago": longest})
        assert rows_of(timed(city), "mean_within_30", "mean_within_90") == [(pytest.approx(expected), None)]


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
