"""Claims about estimates: intervals, tests and q values are those of scipy, whatever is counted.

Why a value is withheld is computed again in `end_to_end/recompute.py`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vanc311_pipeline.metrics.estimates import (
    Z_95,
    false_discovery,
    only,
    poisson,
    poisson_p,
    share,
    share_effect,
    t_p,
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


def test_a_value_stands_only_where_the_state_is_ok():
    state = np.array(["ok", "too_few", "immature", "ok"], dtype=object)
    assert only(state, [1, 2, 3, 0]) == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)


def test_nineteen_in_twenty_intervals_of_a_share_hold_the_truth_where_weeks_are_quick_or_slow():
    rng, worlds = np.random.default_rng(311), 2_000
    whole = np.full((worlds, 26), 80)
    part = rng.binomial(whole, rng.beta(6, 4, whole.shape))
    effect = share_effect(part, whole)
    low, high = wilson(part.sum(axis=1) / effect, whole.sum(axis=1) / effect)
    assert 0.92 <= np.mean((low <= 0.6) & (high >= 0.6)) <= 0.98
