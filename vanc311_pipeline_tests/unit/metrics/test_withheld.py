"""Claims about withheld numbers: of all reasons that hold, the first is given, and a value only where the state is ok."""

import numpy as np
import pytest

from vanc311_pipeline.metrics.withheld import enough_state, maturing_state, only, share_state, timing_state


@pytest.mark.parametrize(
    ("volume", "n", "value", "state"),
    [
        (0, 0, np.nan, "no_requests"),
        (3, 0, np.nan, "no_usable_timing"),
        (40, 29, np.nan, "too_few"),
        (40, 29, 7.0, "too_few"),
        (40, 30, np.nan, "not_reached"),
        (40, 30, 0.0, "ok"),
    ],
)
def test_a_statistic_of_time_says_the_first_reason(volume, n, value, state):
    assert timing_state(np.array([volume]), np.array([n]), np.array([value])).tolist() == [state]


def test_a_statistic_that_is_always_reached_is_ok_with_enough_requests():
    assert timing_state(np.array([0, 1, 1, 30]), np.array([0, 0, 1, 30])).tolist() == [
        "no_requests", "no_usable_timing", "too_few", "ok",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "n", "matured", "mature", "state"),
    [
        (0, 0, 0, False, "no_requests"),
        (1, 0, 0, False, "no_usable_timing"),
        (40, 40, 40, False, "immature"),
        (29, 29, 29, False, "immature"),
        (40, 40, 29, True, "too_few"),
        (40, 30, 30, True, "ok"),
    ],
)
def test_a_share_within_some_days_says_the_first_reason(volume, n, matured, mature, state):
    given = (np.array([number]) for number in (volume, n, matured, mature))
    assert maturing_state(*given).tolist() == [state]


def test_a_share_needs_30_of_at_least_one_request():
    assert share_state(np.array([0, 40, 40]), np.array([0, 29, 30])).tolist() == ["no_requests", "too_few", "ok"]


def test_what_is_not_reached_is_told_only_where_there_is_enough():
    enough, value = np.array([False, False, True, True]), np.array([np.nan, 1, np.nan, 1])
    assert enough_state(enough, value).tolist() == ["too_few", "too_few", "not_reached", "ok"]


def test_a_value_stands_only_where_the_state_is_ok():
    state = np.array(["ok", "too_few", "immature", "ok"], dtype=object)
    assert only(state, [1, 2, 3, 0]) == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)
