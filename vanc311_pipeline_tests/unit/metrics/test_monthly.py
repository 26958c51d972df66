"""Claims about the monthly series: what is counted in which month, and which months are too young for which question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import Status, day_number, month_texts
from vanc311_pipeline.metrics.monthly import SHORT_DAYS, monthly_series, months
from vanc311_pipeline.metrics.time_to_close import follow, time_to_close

COUNTS = ["month", "opened", "closed_in", "open_at_end", "n", "closed"]
MEDIAN = ["median_days", "median_low", "median_high", "median_state"]


@pytest.fixture(scope="module")
def series(grouped):
    """The table of one grouping, the city if none is named."""
    return lambda city, *which: monthly_series(grouped(city, *which))


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


def test_opened_in_a_month_and_closed_in_a_month_are_different_requests(facts, series, rows_of):
    city = facts(
        {"opened": "2025-03-31", "closed": "2025-05-02"},
        {"opened": "2025-04-01", "closed": "2025-04-01"},
        {"opened": "2025-04-01"},
        {"opened": "2025-05-01", "closed": "2025-04-30"},  # leaves the pile when it comes
        {"opened": "2025-05-01", "status": Status.CLOSE},
        {"opened": "2025-05-01", "status": Status.OTHER},
        {"opened": "2025-06-10", "closed": "2025-07-10"},
        {"opened": "2025-07-01"},
    )
    assert rows_of(series(city), *COUNTS) == [
        ("2025-03", 1, 0, 1, 1, 1), ("2025-04", 2, 1, 2, 2, 1), ("2025-05", 3, 2, 1, 1, 0), ("2025-06", 1, 0, 2, 1, 0),
        ("2025-07", 1, 1, None, 0, 0),
    ]  # fmt: skip


def test_the_month_of_as_of_ends_for_the_pile_with_as_of(facts, series, rows_of):
    city = facts({"opened": "2025-06-01"}, {"opened": "2025-06-10", "closed": "2025-06-16"}, as_of="2025-06-15")
    assert rows_of(series(city), "month", "closed_in", "open_at_end") == [("2025-06", 1, 2)]


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


def test_every_group_has_every_month_of_the_record_those_in_which_nothing_came_or_went_too(facts, series, rows_of):
    city = facts(
        {"opened": "2025-01-10", "closed": "2025-03-01"},
        {"opened": "2025-05-10", "status": Status.OTHER},
        {"opened": "2025-01-10", "issue": "Noise", "closed": "2025-01-10"},
    )
    columns = ["month", "opened", "closed_in", "open_at_end", "share_7_state"]
    for which in (("hyper_local", "located"), ("issue", "all")):
        table = series(city, *which)
        assert rows_of(table[table["issue_type"] == "Noise"], *columns) == [
            ("2025-01", 1, 1, 0, "too_few"),
            *((f"2025-0{month}", 0, 0, 0, "no_requests") for month in range(2, 7)),
        ]
        assert len(table) == 2 * 6


def test_a_share_is_withheld_until_the_months_last_day_is_old_enough_but_its_counts_are_given(facts, series, rows_of):
    rows = [{"opened": "2025-05-01", "took": 3, "times": 30}, {"opened": "2025-05-31", "times": 10}]
    columns = ["n_30", "within_30", "share_30", "share_30_state"]
    late, early = (rows_of(series(facts(*rows, as_of=day)), *columns)[0] for day in ("2025-06-30", "2025-06-29"))
    assert late == (40, 30, 0.75, "ok")
    assert early == (30, 30, None, "immature")


def test_each_share_has_its_own_horizon_and_says_the_first_reason_why_it_is_missing(facts, series, rows_of):
    city = facts(
        {"opened": "2025-02-01", "took": -1},
        {"opened": "2025-03-01", "took": 8, "times": 30},
        {"opened": "2025-04-01", "took": 60, "times": 29},
        {"opened": "2025-06-01", "took": -1},
    )
    assert rows_of(series(city), "month", *(f"share_{days}_state" for days in (7, 30, 90))) == [
        ("2025-02", *["no_usable_timing"] * 3), ("2025-03", *["ok"] * 3), ("2025-04", "too_few", "too_few", "immature"),
        ("2025-05", *["no_requests"] * 3), ("2025-06", *["no_usable_timing"] * 3),
    ]  # fmt: skip
    assert rows_of(series(city), "share_7", "share_30")[1] == (0, 1)


def test_closed_within_7_days_is_closed_on_the_seventh_day_at_the_latest_and_by_as_of(facts, series, rows_of):
    city = facts(
        {"opened": "2025-06-20", "took": 7},
        {"opened": "2025-06-20", "took": 8},
        {"opened": "2025-06-23", "took": 7},
        {"opened": "2025-06-24", "took": 7},  # not yet 7 days old, and closed after as_of
        {"opened": "2025-06-24", "took": 0},
    )
    assert rows_of(series(city), "n_7", "within_7", "n", "closed")[0] == (3, 2, 5, 4)


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


def test_the_months_of_each_group_are_worked_out_by_themselves(facts, series, rows_of):
    city = facts(
        {"opened": "2024-09-10", "took": 3, "times": 30},
        {"opened": "2024-09-10", "took": 150, "times": 30, "area": "Sunset"},
        {"opened": "2024-10-10", "took": 130, "times": 30, "area": "Sunset"},
        {"opened": "2024-10-10", "took": 7, "times": 30, "area": None},
    )
    table = series(city, "neighbourhood", "located")
    assert rows_of(table[table["month"] < "2024-11"], "local_area", "month", "median_days", "median_state") == [
        ("Marpole", "2024-09", 3, "ok"),
        ("Marpole", "2024-10", None, "no_requests"),
        ("Sunset", "2024-09", 150, "ok"),
        ("Sunset", "2024-10", 130, "ok"),
    ]
