"""Claims about the curves of time to close: a worked example, and for any counts what lifelines says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.utils import qth_survival_time, restricted_mean_survival_time
from scipy import stats

from vanc311_pipeline.metrics.survival import (
    cumulative_incidence,
    days_until,
    design_effect,
    kaplan_meier,
    mean_days_within,
    risk_set,
)

# Day: at risk, closed, censored, S(t), lower and upper limit; n = 62, of which 47 closed.
GOLDEN = {
    0: (62, 20, 2, 0.677419354839, 0.545882346089, 0.778357248264),
    1: (40, 10, 1, 0.508064516129, 0.376555996718, 0.625332400015),
    3: (29, 6, 0, 0.402947719689, 0.278508114377, 0.523974047484),
    7: (23, 8, 3, 0.262791991101, 0.158178891155, 0.379651457745),
    14: (12, 2, 5, 0.218993325918, 0.121274418822, 0.335115485679),
    30: (5, 1, 4, 0.175194660734, 0.078039334606, 0.304349813336),
}


def counts(closed, censored, days=None):
    """One group's closings by day and those at risk, as rows of one."""
    length = days or max([*closed, *censored, 0]) + 1
    by_day = (np.array([[each.get(day, 0) for day in range(length)]], dtype=np.int64) for each in (closed, censored))
    closed, censored = by_day
    return closed, risk_set(closed + censored)


@pytest.fixture
def golden():
    return kaplan_meier(
        *counts({day: line[1] for day, line in GOLDEN.items()}, {day: line[2] for day, line in GOLDEN.items()})
    )


def test_the_worked_example_is_met_in_every_figure(golden):
    for day, (at_risk, closed, _, share, low, high) in GOLDEN.items():
        assert (golden.at_risk[0, day], golden.closed[0, day]) == (at_risk, closed)
        assert golden.open_share[0, day] == pytest.approx(share, abs=1e-12)
        assert (golden.low[0, day], golden.high[0, day]) == pytest.approx((low, high), abs=1e-12)


def test_the_worked_examples_quantiles_say_what_is_not_reached(golden):
    curves = {share: days_until(golden, share)[0] for share in (0.5, 0.75, 0.9)}
    quantiles = {share: tuple(days[:, 0].tolist()) for share, days in curves.items()}
    assert quantiles[0.5] == (3, 1, 7)
    assert quantiles[0.75] == pytest.approx((14, 7, np.nan), nan_ok=True)
    assert quantiles[0.9] == pytest.approx((np.nan, 30, np.nan), nan_ok=True)


def test_the_worked_examples_restricted_means(golden):
    """The standard errors are those of R 4.2, survival 3.5: `summary(survfit(Surv(t, e) ~ 1), rmean = 7)`."""
    for days, mean, error in ((7, 3.305339265850945, 0.405992933551355), (30, 8.64877641824249, 1.55109485186602)):
        spread = 1.959963984540054 * error
        assert mean_days_within(golden, days)[:, 0] == pytest.approx([mean, mean - spread, mean + spread], abs=1e-12)
    assert np.isnan(mean_days_within(golden, 31)).all()  # nobody was followed so long


R_SHARES = (
    (0.193548387096774, 0.244354838709677, 0.314432703003337, 0.331952169076752, 0.375750834260289, 0.375750834260289),
    (0.106703614878458, 0.145692384753364, 0.202310624732841, 0.217006133676406, 0.252257168364777, 0.252257168364777),
    (0.299627299923983, 0.356708202367912, 0.432701567067146, 0.451148514790755, 0.498756234878422, 0.498756234878422),
)  # fmt: skip
"""The shares closed in one way after 0, 1, 3, 7, 14 and 30 days, and their limits, as R gives them."""


def test_the_worked_examples_share_closed_in_one_way_is_that_of_r(golden):
    """R 4.2, survival 3.5: `survfit(Surv(t + 1, factor(e)) ~ 1, conf.type = "log-log")`, of a part of each day's closings."""
    provided, _ = counts({0: 12, 1: 3, 3: 4, 7: 1, 14: 2}, {}, days=31)
    curves = np.stack(cumulative_incidence(golden, provided))[:, 0, [0, 1, 3, 7, 14, 30]]
    for part, shares in zip(curves, R_SHARES, strict=True):
        assert part == pytest.approx(shares)


days_and_counts = st.dictionaries(st.integers(0, 12), st.integers(1, 9), max_size=8)


@given(closed=days_and_counts.filter(bool), censored=days_and_counts.filter(bool))
def test_any_counts_give_the_curve_the_interval_and_the_restricted_mean_of_lifelines(closed, censored):
    lines = [(day, event, n) for event, group in ((1, closed), (0, censored)) for day, n in group.items()]
    days, events, weights = zip(*lines, strict=True)
    fit = KaplanMeierFitter().fit(days, events, weights=weights)
    curves = kaplan_meier(*counts(closed, censored))
    frame = pd.concat([fit.survival_function_, fit.confidence_interval_], axis=1)
    curve, low, high = frame.reindex(range(max(days) + 1), method="ffill").to_numpy().T
    assert curves.open_share[0] == pytest.approx(curve, abs=1e-9)
    inside = (curve > 1e-9) & (curve < 1 - 1e-9)  # elsewhere lifelines gives an interval without width
    assert curves.low[0, inside] == pytest.approx(low[inside], abs=1e-9)
    assert curves.high[0, inside] == pytest.approx(high[inside], abs=1e-9)
    for tau in range(max(days) + 1):
        assert mean_days_within(curves, tau)[0, 0] == pytest.approx(restricted_mean_survival_time(fit, t=tau), abs=1e-9)
    for closed_share in (0.5, 0.75, 0.9):
        if np.abs(curve - (1 - closed_share)).min() > 1e-9:  # a tie is decided by a rounding there
            expected = qth_survival_time(1 - closed_share, pd.Series(curve))
            quantile = days_until(curves, closed_share)[0][0, 0]
            assert quantile == expected or (np.isnan(quantile) and np.isinf(expected))


def test_where_all_are_open_or_all_closed_the_interval_is_that_of_none_among_those_followed():
    curves = kaplan_meier(*counts({2: 10, 4: 15}, {3: 5}))
    assert curves.low[0, :2] == pytest.approx(0.025 ** (1 / 30))
    assert curves.high[0, :2].tolist() == [1, 1]
    # Of 30, 20 were open after day 2, so S = 2/3; 15 were followed to day 4, who stand for 22.5, and none is left.
    assert (curves.open_share[0, 4], curves.low[0, 4]) == (0, 0)
    assert curves.high[0, 4] == pytest.approx(1 - 0.025 ** (1 / 22.5))
    assert kaplan_meier(*counts({0: 30}, {}, days=3)).high[0] == pytest.approx([1 - 0.025 ** (1 / 30)] * 3)


def test_nineteen_in_twenty_intervals_hold_the_truth_where_a_service_is_so_quick_or_so_slow_that_few_groups_say_otherwise():
    rng, groups, n = np.random.default_rng(311), 2_000, 30
    for truth in (0.98, 0.05, 0.02):  # open after day 0; the intervals without width covered 45 to 79 % of these
        closed = rng.binomial(n, 1 - truth, groups)[:, None]
        curves = kaplan_meier(np.hstack([closed, 0 * closed]), np.hstack([0 * closed + n, n - closed]))
        covered = np.mean((curves.low[:, 0] <= truth) & (truth <= curves.high[:, 0]))
        assert covered >= 0.90, truth


@pytest.mark.parametrize(("closed_share", "n"), [(0.5, 20), (0.75, 40), (0.9, 100)])
def test_a_quantile_needs_ten_requests_expected_beyond_it(closed_share, n):
    enough, fewer = (days_until(kaplan_meier(*counts({3: size}, {})), closed_share) for size in (n, n - 1))
    assert (enough[0][0, 0], fewer[0][0, 0]) == (3, 3)
    assert (enough[1].tolist(), fewer[1].tolist()) == ([True], [False])


def test_and_ten_followed_to_the_day_on_which_it_is_reached():
    ten, nine = (days_until(kaplan_meier(*counts({5: 8}, {1: 90, 5: left})), 0.5) for left in (2, 1))
    assert (ten[0][0, 0], nine[0][0, 0]) == (5, 5)
    assert (ten[1].tolist(), nine[1].tolist()) == ([True], [False])


def test_nobody_at_all_is_a_curve_that_says_nothing():
    curves = kaplan_meier(*counts({}, {}, days=3))
    assert curves.at_risk.tolist() == [[0, 0, 0]]
    assert np.isnan(days_until(curves, 0.5)[0]).all()
    assert np.isnan(mean_days_within(curves, 2)).all()


YEAR, BLOCKS = 364, 26


def blocked(opened, took, as_of=YEAR):
    """The closings and those at risk by block of opening and day, a group of one."""
    event, days = opened + took <= as_of, np.minimum(took, as_of - opened)
    cell = opened * BLOCKS // YEAR * (as_of + 1) + days
    count = [np.bincount(cell[some], minlength=BLOCKS * (as_of + 1)) for some in (event, event >= 0)]
    closed, left = (each.reshape(1, BLOCKS, as_of + 1) for each in count)
    return closed, risk_set(left)


def independent(rng, opened):
    return np.exp(rng.normal(np.log(4), 1.3, len(opened))).astype(int)


def crew(rng, opened):
    """Closed at the first visit after opening: the crew comes after 7 days, more or less."""
    visits = np.cumsum(rng.exponential(7, 200))
    return np.ceil(visits[np.searchsorted(visits, opened + 1)] - opened - 1).astype(int)


@pytest.mark.parametrize(
    ("world", "least", "most"), [(independent, 0.92, 0.98), (crew, 0.88, 0.98)], ids=["independent", "crew"]
)
def test_nineteen_in_twenty_intervals_hold_the_truth_where_a_crew_closes_many_on_a_day_too(world, least, most):
    rng, worlds, n, days = np.random.default_rng(311), 300, 2_000, [3, 7]
    share, low, high = np.empty((3, worlds, len(days)))
    for number in range(worlds):
        opened = np.sort(rng.integers(0, YEAR, n))
        counted = blocked(opened, world(rng, opened))
        curves = kaplan_meier(*(counts.sum(axis=1) for counts in counted), design_effect(counted))
        share[number], low[number], high[number] = (
            each[0, days] for each in (curves.open_share, curves.low, curves.high)
        )
    truth = share.mean(axis=0)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (covered >= least).all(), covered
    assert (covered <= most).all(), covered


def test_requests_that_go_their_own_ways_have_hardly_a_design_effect_and_one_block_has_none():
    rng = np.random.default_rng(311)
    opened = np.sort(rng.integers(0, YEAR, 20_000))
    counted = blocked(opened, independent(rng, opened))
    assert design_effect(counted)[0, :60].mean() < 1.6
    assert (design_effect(tuple(counts.sum(axis=1, keepdims=True) for counts in counted)) == 1).all()


def test_blocks_that_are_all_alike_but_twice_as_slow_in_turn_have_the_effect_of_their_two_speeds():
    """Of 26 blocks half close all 100 on day 0, half none: V of S(0) is that of 26 numbers, not of 2,600."""
    closed, left = np.zeros((2, 1, BLOCKS, 2), dtype=np.int64)
    closed[0, ::2, 0] = left[0, ::2, 0] = left[0, 1::2, 1] = 100
    counted, enlarged = (closed, risk_set(left)), (stats.t.ppf(0.975, 25) / 1.959963984540054) ** 2
    one_way = 100 * 26 / 25
    assert design_effect(counted)[0] == pytest.approx([enlarged * one_way] * 2)
    assert design_effect(counted, counted)[0] == pytest.approx([enlarged * (2 * one_way - 1)] * 2)
