"""Claims about outcomes: which reasons are mapped, and that the ways of ending add up.

The shares and the counts by reason are computed again in `end_to_end/recompute.py`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import Status
from vanc311_pipeline.metrics.outcomes import (
    outcome_codes,
    outcome_incidence,
    outcome_mapping,
)
from vanc311_pipeline.metrics.time_to_close import follow


def test_a_reason_that_nobody_has_mapped_is_unmapped_until_somebody_does(facts, rows_of):
    city = facts(
        {"took": 1, "reason": "Closed by a robot"},
        {"took": 1, "reason": "Another new one"},
        {"took": 1, "reason": "Unknown"},
        {"reason": "Never seen on a closed request"},
    )
    mapping = outcome_mapping(city)
    assert rows_of(mapping, "closure_reason", "outcome", "outcome_order")[17:] == [
        ("Another new one", "Unmapped", 7),
        ("Closed by a robot", "Unmapped", 7),
    ]
    assert mapping.loc[mapping["seen"] == "yes", "closure_reason"].tolist() == [
        "Unknown", "Another new one", "Closed by a robot",
    ]  # fmt: skip


def test_an_open_request_alone_does_not_make_a_reason_seen(facts):
    assert set(outcome_mapping(facts({}, {"reason": "Unknown"}))["seen"]) == {"no"}


any_requests = st.lists(
    st.fixed_dictionaries(
        {
            "ago": st.integers(-2, 20),
            "took": st.none() | st.integers(-1, 25),
            "reason": st.sampled_from(["Service provided", "Unknown", "Dispatched to Crew", "New", None]),
            "status": st.sampled_from(Status),
        }
    ),
    min_size=1,
    max_size=12,
)


@given(rows=any_requests)
def test_the_ways_of_ending_add_up_to_the_share_closed_on_every_day(facts, cohort_of, rows):
    city = facts(*({**row, "times": 30} for row in rows))
    if city.used.any():
        (some,) = follow(cohort_of(city))
        table = outcome_incidence(some, outcome_codes(city))
        closed = table.groupby("day")["closed_share"].sum()
        assert closed.tolist() == pytest.approx((1 - some.curves.open_share[0, closed.index]).tolist(), abs=1e-12)
        assert set(table["n"]) == {int(city.used.sum())}
        assert table.groupby("outcome")["closed_share"].apply(lambda share: share.is_monotonic_increasing).all()


def test_the_ways_of_ending_end_with_their_own_group_however_long_another_was_followed(facts, cohort_of, rows_of):
    city = facts({"ago": 13, "took": 13, "times": 30}, {"ago": 40, "area": "Sunset", "times": 30})
    (some,) = follow(cohort_of(city, "neighbourhood", "located"))
    table = rows_of(outcome_incidence(some, outcome_codes(city)), "local_area", "day")
    assert [max(day for area, day in table if area == name) for name in ("Marpole", "Sunset")] == [7, 30]
