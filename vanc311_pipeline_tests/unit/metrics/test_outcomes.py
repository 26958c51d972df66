"""Claims about outcomes: which reason is in which group, what the shares are of, and that the ways of ending add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import Status
from vanc311_pipeline.metrics.groups import periods
from vanc311_pipeline.metrics.outcomes import (
    closure_reasons,
    outcome_codes,
    outcome_incidence,
    outcome_mapping,
    outcomes,
)
from vanc311_pipeline.metrics.time_to_close import follow

NAMES = (
    "Service recorded as provided", "Handed off or planned", "No service or no action recorded",
    "Insufficient information", "Unknown or N/A", "Other – requires review",
)  # fmt: skip

PROVIDED, UNKNOWN = NAMES[0], NAMES[4]


@pytest.fixture(scope="module")
def shares(cohort_of):
    return lambda city, *which: outcomes(cohort_of(city, *which), outcome_codes(city))


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


def test_a_closed_request_without_a_reason_has_the_reason_n_a(facts, rows_of, shares):
    city = facts({"took": 1, "times": 2}, {"took": 1, "reason": "Unknown"}, {})
    mapping = outcome_mapping(city)
    assert mapping.loc[mapping["seen"] == "yes", "closure_reason"].tolist() == ["Unknown", "N/A"]
    assert rows_of(shares(city), "outcome", "closed_as")[4] == (UNKNOWN, 3)
    assert rows_of(
        closure_reasons(city, periods(city)[:1]), "closure_reason", "outcome", "closed", "open_requests"
    ) == [
        ("Unknown", UNKNOWN, 1, 0),
        ("N/A", UNKNOWN, 2, 1),
    ]


def test_an_open_request_alone_does_not_make_a_reason_seen(facts):
    assert set(outcome_mapping(facts({}, {"reason": "Unknown"}))["seen"]) == {"no"}


def test_shares_are_of_closed_requests_static_ones_included_and_the_status_decides(facts, rows_of, shares):
    city = facts(
        {"took": 1, "reason": "Service provided", "times": 20},
        {"opened": "2022-08-01", "took": 1, "reason": "Service provided", "times": 4},
        {"took": 1, "reason": "Dispatched to Crew", "times": 3},
        {"took": -1, "reason": "Assigned to inspector", "times": 2},
        {"status": Status.CLOSE, "reason": "Unknown"},
        {"reason": "Service provided", "times": 5},
        {"status": Status.OTHER, "reason": "Service provided", "times": 7},
    )
    table = shares(city)
    columns = ["outcome", "outcome_order", "closed_as", "closed", "open_requests", "outcome_share", "state"]
    assert rows_of(table, *columns) == [
        (name, NAMES.index(name) + 1, number, 30, 5, number / 30, "ok")
        for name, number in zip(NAMES, (24, 5, 0, 0, 1, 0), strict=True)
    ]
    limits = rows_of(table, "outcome_share_low", "outcome_share_high")
    assert limits[0] == (pytest.approx(0.627, abs=1e-3), pytest.approx(0.905, abs=1e-3))
    assert limits[2] == (0, pytest.approx(0.114, abs=1e-3))


def test_below_30_closed_the_counts_are_given_but_no_share(facts, rows_of, shares):
    city = facts(
        {"took": 1, "reason": "Unknown", "times": 29}, {}, {"area": "Sunset"}, areas=("Kits", "Marpole", "Sunset")
    )
    columns = ["local_area", "closed_as", "outcome_share", "outcome_share_low", "outcome_share_high", "state"]
    assert rows_of(shares(city, "neighbourhood", "located"), *columns)[4::6] == [
        ("Kits", 0, None, None, None, "no_requests"),
        ("Marpole", 29, None, None, None, "too_few"),
        ("Sunset", 0, None, None, None, "too_few"),
    ]


def test_there_are_rows_for_the_unmapped_only_if_a_closed_request_is(facts, rows_of, shares):
    only_open = facts({"took": 1, "reason": "Unknown"}, {"reason": "New"})
    one_closed = facts({"took": 1, "reason": "Unknown"}, {"took": 1, "reason": "New", "issue": "Noise"})
    assert rows_of(shares(only_open), "outcome") == [*NAMES]
    assert rows_of(shares(one_closed, "issue", "all"), "issue_type", "outcome", "closed_as")[6::7] == [
        ("Graffiti", "Unmapped", 0),
        ("Noise", "Unmapped", 1),
    ]


def test_reasons_are_counted_by_department_and_period_whatever_group_they_are_in(facts, rows_of):
    city = facts(
        {"opened": "2024-02-01", "took": 1, "reason": "New"},
        {"opened": "2025-02-01", "took": 1, "reason": "Unknown", "times": 2},
        {"opened": "2025-02-01", "reason": "Unknown"},
        {"opened": "2025-02-01", "took": 1, "reason": "Unknown", "department": "DBL"},
        {"opened": "2025-02-01", "status": Status.OTHER, "reason": "Insufficient info"},
    )
    chosen = [period for period in periods(city) if period.name in ("all", "2025")]
    assert rows_of(
        closure_reasons(city, chosen), "period", "department", "closure_reason", "outcome", "closed", "open_requests"
    ) == [
        ("all", "DBL", "Unknown", UNKNOWN, 1, 0),
        ("all", "ENG", "New", "Unmapped", 1, 0),
        ("all", "ENG", "Unknown", UNKNOWN, 2, 1),
        ("2025", "DBL", "Unknown", UNKNOWN, 1, 0),
        ("2025", "ENG", "Unknown", UNKNOWN, 2, 1),
    ]


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


def test_a_way_of_ending_is_told_on_the_chosen_days_up_to_the_last_that_anybody_was_followed_to(
    facts, cohort_of, rows_of
):
    city = facts(
        {"ago": 10, "took": 1, "reason": "Service provided", "times": 20},
        {"ago": 10, "took": 5, "reason": "Unknown", "times": 10},
        {"ago": 10, "times": 10},
        {"ago": 60, "area": None},
    )
    (some,) = follow(cohort_of(city, "citywide", "located"))
    table = outcome_incidence(some, outcome_codes(city))
    named = table[table["outcome"].isin([PROVIDED, UNKNOWN])]
    assert rows_of(named, "outcome", "outcome_order", "day", "n", "closed_share") == [
        *((PROVIDED, 1, day, 40, share) for day, share in ((0, 0), (1, 0.5), (3, 0.5), (7, 0.5))),
        *((UNKNOWN, 5, day, 40, share) for day, share in ((0, 0), (1, 0), (3, 0), (7, 0.25))),
    ]


def test_the_ways_of_ending_end_with_their_own_group_however_long_another_was_followed(facts, cohort_of, rows_of):
    city = facts({"ago": 13, "took": 13, "times": 30}, {"ago": 40, "area": "Sunset", "times": 30})
    (some,) = follow(cohort_of(city, "neighbourhood", "located"))
    table = rows_of(outcome_incidence(some, outcome_codes(city)), "local_area", "day")
    assert [max(day for area, day in table if area == name) for name in ("Marpole", "Sunset")] == [7, 30]
