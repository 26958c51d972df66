"""Claims about the monthly series: which months there are, what is open at their ends, and which are too young for a share.

What is counted in a month is computed again in `end_to_end/recompute.py`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import Status, day_number, month_texts
from vanc311_pipeline.metrics.monthly import SHORT_DAYS, monthly_series, months
from vanc311_pipeline.metrics.time_to_close import follow, time_to_close

MEDIAN = ["median_days", "median_low", "median_high", "median_state"]


@pytest.fixture(scope="module")
def series(grouped):
    """The table of one grouping, the city if none is named, whose usual median is not given."""

    def run(city, *which):
        grouping = grouped(city, *which)
        return monthly_series(grouping, np.full(len(grouping), np.nan))

    return run


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([{"opened": "2025-04-30"}], ["2025-04", "2025-05", "2025-06"]),
        ([{"opened": "2025-06-01"}, {"opened": "2025-08-01"}], ["2025-06", "2025-07", "2025-08"]),
        ([{"opened": "2025-06-01", "closed": "2025-09-01"}], ["2025-06", "2025-09"]),
        ([{"opened": "2025-06-01", "closed": "2025-05-01"}], ["2025-06"]),
        ([{"opened": "2025-06-01", "closed": "2025-09-01", "status": Status.OPEN}], ["2025-06"]),
    ],
)
def test_the_record_has_every_month_to_the_later_of_as_of_and_the_last_opening_and_later_ones_with_a_closing(
    facts, rows, expected
):
    assert month_texts(months(facts(*rows))).tolist() == expected


AS_OF = day_number("2025-06-30")
any_requests = st.lists(
    st.fixed_dictionaries(
        {
            "ago": st.integers(-40, 100),
            "took": st.none() | st.integers(-3, 120),
            "area": st.sampled_from(["Marpole", None]),
            "status": st.sampled_from(Status),
        }
    ),
    max_size=20,
)


@given(rows=any_requests)
def test_what_is_open_at_the_end_of_a_month_is_a_plain_count(facts, series, rows):
    city = facts(*rows)
    pile = [
        (AS_OF - row["ago"], AS_OF - row["ago"] + max(row["took"] or 0, 0) if row["status"] == Status.CLOSE else None)
        for row in rows
        if row["area"] and (row["status"] == Status.OPEN or (row["status"] == Status.CLOSE and row["took"] is not None))
    ]
    for line in series(city, "neighbourhood", "located").to_dict("records"):
        year, month = (int(part) for part in line["month"].split("-"))
        end = min(day_number(f"{year + month // 12}-{month % 12 + 1:02d}-01") - 1, AS_OF)
        expected = sum(came <= end and (went is None or went > end) for came, went in pile)
        if line["local_area"] == "Sunset":
            expected = 0
        begun = day_number(f"{line['month']}-01") <= AS_OF
        assert line["open_at_end"] == pytest.approx(expected if begun else float("nan"), nan_ok=True)


def test_a_share_is_withheld_until_the_months_last_day_is_old_enough_but_its_counts_are_given(facts, series, rows_of):
    rows = [{"opened": "2025-05-01", "took": 3, "times": 30}, {"opened": "2025-05-31", "times": 10}]
    columns = ["n_30", "within_30", "share_30", "share_30_state"]
    late, early = (rows_of(series(facts(*rows, as_of=day)), *columns)[0] for day in ("2025-06-30", "2025-06-29"))
    assert late == (40, 30, 0.75, "ok")
    assert early == (30, 30, None, "immature")


def test_a_month_that_reaches_into_the_last_seven_days_is_provisional(facts, series, rows_of):
    rows = {"opened": "2025-06-01"}
    assert rows_of(series(facts(rows, as_of="2025-07-06")), "month", "provisional") == [
        ("2025-06", "yes"),
        ("2025-07", "yes"),
    ]
    assert rows_of(series(facts(rows, as_of="2025-07-07")), "month", "provisional") == [
        ("2025-06", "no"),
        ("2025-07", "yes"),
    ]


@pytest.fixture(scope="module")
def median_alone(facts, cohort_of, rows_of):
    """The median of requests that are the only ones, from their whole curve."""

    def run(*rows):
        cohort = cohort_of(facts(*rows))
        return rows_of(time_to_close(cohort, list(follow(cohort))), *MEDIAN)[0]

    return run


# Of 60 requests, some closed on the first number of days, and the others on the second.
@pytest.mark.parametrize(
    ("quick", "short", "long", "expected"),
    [
        (60, 5, 5, (5, 5, 5, "ok")),
        (40, 5, 200, (5, 5, 5, "ok")),
        (32, 5, 200, (5, 5, 200, "ok")),  # only the upper limit lies beyond the cut
        (28, 5, 200, (200, 5, 200, "ok")),  # all but the lower limit
        (0, 5, 200, (200, 200, 200, "ok")),
        (0, 5, SHORT_DAYS - 1, (119, 119, 119, "ok")),
        (0, 5, SHORT_DAYS, (120, 120, 120, "ok")),
        (0, 5, SHORT_DAYS + 1, (121, 121, 121, "ok")),
        (28, 5, None, (None, 5, None, "not_reached")),
    ],
)
def test_a_months_median_is_that_of_the_whole_curve_however_far_out_it_lies(
    facts, series, rows_of, median_alone, quick, short, long, expected
):
    rows = [{"opened": "2024-09-10", "took": took, "times": n} for took, n in ((short, quick), (long, 60 - quick))]
    other_months = {"opened": "2025-01-10", "took": 1, "times": 40}
    assert rows_of(series(facts(*rows, other_months)), *MEDIAN)[0] == expected == median_alone(*rows)
