"""Claims about estimates: published intervals, scipy's answer for any counts, and the first reason why a value is withheld."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vanc311_pipeline.metrics.estimates import (
    Z_95,
    enough_state,
    false_discovery,
    maturing_state,
    only,
    poisson,
    poisson_p,
    share,
    share_effect,
    share_state,
    t_p,
    timing_state,
    wilson,
)


# Newcombe 1998, Stat. Med. 17:857, table I, method 3.
@given(whole=st.integers(1, 10_000), data=st.data())
def test_wilsons_interval_of_any_share_is_scipys(whole, data):
    part = data.draw(st.integers(0, whole))
    expected = stats.binomtest(part, whole).proportion_ci(0.95, method="wilson")
    low, high = wilson(part, whole)
    assert (low, high) == pytest.approx(tuple(expected), abs=1e-12)
    assert 0 <= low <= part / whole <= high <= 1


def test_the_limit_where_none_or_all_are_counted_is_exact():
    low, high = wilson([0, 30], [30, 30])
    assert (low[0], high[1]) == (0, 1)


def test_a_share_of_nothing_is_not_a_number():
    assert share([1, 0, 0], [4, 3, 0]) == pytest.approx([0.25, 0, np.nan], nan_ok=True)
    assert np.isnan(wilson(0, 0)).all()


@given(count=st.integers(0, 100_000))
def test_the_interval_of_any_count_is_that_of_the_chi_squared_distribution(count):
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0
    high = stats.chi2.ppf(0.975, 2 * count + 2) / 2
    assert poisson(count) == pytest.approx((low, high), rel=1e-9)


def test_the_normal_quantile_and_the_two_sided_probabilities_are_those_of_scipys_distributions():
    assert stats.norm.ppf(0.975) == pytest.approx(Z_95, abs=1e-14)
    assert t_p([0, 1.5, -1.5, 9], 11) == pytest.approx(2 * stats.t.sf([0, 1.5, 1.5, 9], 11), rel=1e-12)


@given(count=st.integers(0, 500), mean=st.floats(0.01, 500))
def test_the_probability_of_a_count_is_twice_the_smaller_tail_and_agrees_with_the_interval(count, mean):
    tails = stats.poisson.cdf(count, mean), stats.poisson.sf(count - 1, mean)
    assert poisson_p(count, mean) == pytest.approx(min(1, 2 * min(tails)), rel=1e-9, abs=1e-300)
    low, high = poisson(count)
    if not np.isclose(mean, [low, high], rtol=1e-9).any():
        assert (poisson_p(count, mean) > 0.05) == (low < mean < high)


@given(p=st.lists(st.floats(0, 1), max_size=30).map(np.array))
def test_q_values_are_those_of_benjamini_and_hochberg(p):
    expected = stats.false_discovery_control(p) if len(p) else []
    assert false_discovery(p) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("volume", "n", "value", "state"),
    [
        (0, 0, np.nan, "no_requests"), (3, 0, np.nan, "no_usable_timing"), (40, 29, np.nan, "too_few"),
        (40, 29, 7.0, "too_few"), (40, 30, np.nan, "not_reached"), (40, 30, 0.0, "ok"),
    ],
)  # fmt: skip
def test_a_statistic_of_time_says_the_first_reason(volume, n, value, state):
    assert timing_state(np.array([volume]), np.array([n]), np.array([value])).tolist() == [state]


def test_a_statistic_that_is_always_reached_is_ok_with_enough_requests():
    assert timing_state(np.array([0, 1, 1, 30]), np.array([0, 0, 1, 30])).tolist() == [
        "no_requests", "no_usable_timing", "too_few", "ok",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "n", "matured", "mature", "state"),
    [
        (0, 0, 0, False, "no_requests"), (1, 0, 0, False, "no_usable_timing"), (40, 40, 40, False, "immature"),
        (29, 29, 29, False, "immature"), (40, 40, 29, True, "too_few"), (40, 30, 30, True, "ok"),
    ],
)  # fmt: skip
def test_a_share_within_some_days_says_the_first_reason(volume, n, matured, mature, state):
    columns = (np.array([number]) for number in (volume, n, matured, mature))
    assert maturing_state(*columns).tolist() == [state]


def test_a_share_needs_30_of_at_least_one_request():
    assert share_state(np.array([0, 40, 40]), np.array([0, 29, 30])).tolist() == ["no_requests", "too_few", "ok"]


def test_what_is_not_reached_is_told_only_where_there_is_enough():
    enough, value = np.array([False, False, True, True]), np.array([np.nan, 1, np.nan, 1])
    assert enough_state(enough, value).tolist() == ["too_few", "too_few", "not_reached", "ok"]


def test_a_value_stands_only_where_the_state_is_ok():
    state = np.array(["ok", "too_few", "immature", "ok"], dtype=object)
    assert only(state, [1, 2, 3, 0]) == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)


def test_the_design_effect_of_a_share_is_that_of_its_blocks():
    alike = np.array([[5, 5, 5, 5], [0, 0, 0, 0], [10, 10, 10, 10]]), np.full((3, 4), 10)
    assert share_effect(*alike).tolist() == [1, 1, 1]
    # Blocks of 10 that are all closed or not at all are as good as one request each.
    enlarged = (stats.t.ppf(0.975, 3) / Z_95) ** 2
    assert share_effect(np.array([[10, 0, 10, 0]]), np.full((1, 4), 10)) == pytest.approx([10 * 4 / 3 * enlarged])
    assert share_effect(np.array([[4]]), np.array([[10]])).tolist() == [1]
    assert share_effect(np.array([[0, 0]]), np.array([[0, 0]])).tolist() == [1]


def test_nineteen_in_twenty_intervals_of_a_share_hold_the_truth_where_weeks_are_quick_or_slow():
    rng, worlds = np.random.default_rng(311), 2_000
    whole = np.full((worlds, 26), 80)
    part = rng.binomial(whole, rng.beta(6, 4, whole.shape))
    effect = share_effect(part, whole)
    low, high = wilson(part.sum(axis=1) / effect, whole.sum(axis=1) / effect)
    assert 0.92 <= np.mean((low <= 0.6) & (high >= 0.6)) <= 0.98
