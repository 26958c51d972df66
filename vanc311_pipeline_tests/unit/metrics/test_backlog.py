"""Claims about the backlog: how old it is, how it was made day by day, and when it is said to grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vanc311_pipeline.metrics.backlog import AGE_BANDS, backlog_by_age, backlog_daily, flow, last_sunday
from vanc311_pipeline.metrics.facts import Status, day_number, day_texts

LABEL = ["opened", "closed_in", "net", "backlog_start", "backlog_end", "t_statistic", "flow"]


@pytest.fixture(scope="module")
def aged(grouped):
    return lambda made, *which: backlog_by_age(grouped(made, *which))


@pytest.fixture(scope="module")
def daily(grouped):
    return lambda made, *which: backlog_daily(grouped(made, *which))


@pytest.fixture(scope="module")
def flowing(grouped):
    return lambda made: flow(grouped(made))


def test_a_band_holds_its_first_and_its_last_day(facts, aged, rows_of):
    made = facts(*({"ago": ago} for ago in (0, 7, 8, 30, 31, 90, 91, 365, 366, 1500, -1)))
    assert rows_of(aged(made), "band_order", "age_band", "open_requests") == [
        (1, "0-7", 2), (2, "8-30", 2), (3, "31-90", 2), (4, "91-365", 2), (5, "over 365", 2), (6, "opened after as_of", 1),
    ]  # fmt: skip


def test_only_open_requests_are_aged_and_every_group_has_every_band(facts, aged, rows_of):
    made = facts(
        {"ago": 3, "times": 3},
        {"ago": 3, "area": None},
        {"ago": 3, "took": 1},
        {"ago": 3, "status": Status.OTHER},
        {"opened": "2022-08-16"},
        {"ago": 3, "took": 1, "issue": "Noise"},
    )
    found = aged(made, "issue", "all")
    assert rows_of(found, "issue_type", "age_band") == [
        (kind, band) for kind in ("Graffiti", "Noise") for band in AGE_BANDS
    ]
    assert rows_of(found, "open_requests", "located", "n_static", "share_of_open") == [
        (4, 3, 0, 0.8), *[(0, 0, 0, 0)] * 3, (1, 1, 1, 0.2), (0, 0, 0, 0), *[(0, 0, 0, None)] * 6,
    ]  # fmt: skip


def test_the_pile_of_a_day_is_that_of_the_day_before_and_what_came_less_what_went(facts, daily, rows_of):
    made = facts(
        {"opened": "2025-06-10", "closed": "2025-06-12", "times": 2},
        {"opened": "2025-06-11", "closed": "2025-06-11"},
        {"opened": "2025-06-11", "closed": "2025-06-14"},  # after as_of: still open
        {"opened": "2025-06-12", "closed": "2025-06-09"},  # closed before it came: leaves on the day of opening
        {"opened": "2025-06-12", "status": Status.OTHER, "closed": "2025-06-12"},
        {"opened": "2025-06-12", "status": Status.CLOSE},
        {"opened": "2025-06-13"},
        {"opened": "2025-06-14"},
        as_of="2025-06-13",
    )
    assert rows_of(daily(made), "day", "opened", "closed_in", "backlog") == [
        ("2025-06-10", 2, 0, 2),
        ("2025-06-11", 2, 1, 3),
        ("2025-06-12", 1, 3, 1),
        ("2025-06-13", 1, 0, 2),
    ]


any_requests = st.lists(
    st.fixed_dictionaries(
        {
            "ago": st.integers(-3, 20),
            "took": st.none() | st.integers(-3, 25),
            "area": st.sampled_from(["Marpole", "Sunset", None]),
            "status": st.sampled_from(Status),
        }
    ),
    max_size=20,
)


@given(rows=any_requests)
def test_the_pile_of_any_day_is_a_plain_count_and_as_of_it_is_what_is_open(facts, daily, rows):
    pile = [
        (row["area"], -row["ago"], max(row["took"], 0) - row["ago"] if row["status"] == Status.CLOSE else 1_000)
        for row in rows
        if row["status"] == Status.OPEN or (row["status"] == Status.CLOSE and row["took"] is not None)
    ]
    found = daily(facts(*rows), "neighbourhood", "located")
    as_of = day_number("2025-06-30")
    for line in found.to_dict("records"):
        day = day_number(line["day"]) - as_of
        pairs = [(came, went) for area, came, went in pile if area == line["local_area"]]
        assert line["backlog"] == sum(came <= day < went for came, went in pairs)
    if len(found):
        opens = [row["ago"] for row in rows if row["area"] and row["status"] == Status.OPEN]
        later = [(came, went) for area, came, went in pile if area and came <= 0 < went < 1_000]
        law = len(opens) - sum(ago < 0 for ago in opens) + len(later)
        assert found.loc[found["day"] == "2025-06-30", "backlog"].sum() == law
    else:
        assert all(row["ago"] < 0 for row in rows)


def test_every_day_to_as_of_has_a_line_for_every_area(facts, daily, rows_of):
    made = facts({"opened": "2025-06-29", "area": "Sunset"})
    assert rows_of(daily(made, "neighbourhood", "located"), "local_area", "day", "backlog") == [
        ("Marpole", "2025-06-29", 0),
        ("Marpole", "2025-06-30", 0),
        ("Sunset", "2025-06-29", 1),
        ("Sunset", "2025-06-30", 1),
    ]


def test_without_a_request_by_as_of_there_is_no_day(facts, daily, flowing):
    assert len(daily(facts())) == len(daily(facts({"ago": -1}))) == len(flowing(facts())) == 0


def test_the_pile_is_understated_until_a_year_after_the_first_refreshed_request_and_provisional_for_seven_days(
    facts, daily
):
    found = daily(facts({"opened": "2023-08-15"})).set_index("day")
    assert found.index[found["understated"] == "yes"].tolist() == ["2023-08-15", "2023-08-16"]
    assert found.index[found["provisional"] == "yes"].tolist() == [f"2025-06-{day}" for day in range(24, 31)]


@pytest.mark.parametrize(
    ("as_of", "sunday"),
    [
        ("2025-06-28", "2025-06-22"),
        ("2025-06-29", "2025-06-29"),
        ("2025-06-30", "2025-06-29"),
        ("1970-01-03", "1969-12-28"),
    ],
)
def test_the_last_complete_iso_week_ends_on_a_sunday_by_as_of(as_of, sunday):
    assert day_texts([last_sunday(day_number(as_of))]).tolist() == [sunday]


def weeks(nets, base=0, last="2025-06-29"):
    """Requests that give the 13 weeks up to a Sunday such nets, by openings or by closings of what lay there before."""
    ends = [day_number(last) - 7 * (12 - week) for week in range(13)]
    made = []
    for end, net in zip(ends, nets, strict=True):
        monday = day_texts([end - 6])[0]
        made.append({"opened": monday, "times": max(net, 0)})
        made.append({"opened": "2023-01-01", "closed": day_texts([end])[0], "times": max(-net, 0)})
    return [*made, {"opened": "2023-01-01", "times": base}]


@pytest.mark.parametrize(
    ("nets", "base", "expected"),
    [
        ([3] * 13, 0, "growing"),
        ([4] * 11 + [3] * 2, 1000, "growing"),  # 50 is just 5 % of 1000
        ([4] * 11 + [3] * 2, 1001, "stable"),
        ([39] + [0] * 12, 0, "stable"),  # by one week alone
        ([-3] * 13, 0, "shrinking"),
        ([-4] * 11 + [-3] * 2, 950, "shrinking"),  # start: 950 and the 50 that went
        ([-4] * 11 + [-3] * 2, 951, "stable"),
        ([-39] + [0] * 12, 0, "stable"),
        ([9, -9] * 6 + [0], 0, "stable"),
        ([2] * 13, 0, "too_few"),
        ([3] * 9 + [2] + [0] * 3, 0, "too_few"),
        ([3] * 10 + [0] * 3, 0, "growing"),
    ],
)
def test_the_label_needs_a_net_of_10_and_of_5_per_cent_and_weeks_that_agree(
    facts, flowing, rows_of, nets, base, expected
):
    assert rows_of(flowing(facts(*weeks(nets, base))), "net", "flow") == [(sum(nets), expected)]


def test_a_net_of_less_than_10_is_stable_however_sure(facts, flowing, rows_of):
    both = [{"opened": "2025-06-23", "took": 0, "times": 40}]
    nine, ten = [1] * 9 + [0] * 4, [1] * 10 + [0] * 3
    assert rows_of(flowing(facts(*weeks(nine), *both)), "net", "flow") == [(9, "stable")]
    assert rows_of(flowing(facts(*weeks(ten), *both)), "net", "flow") == [(10, "growing")]


def test_weeks_that_are_all_alike_are_certain(facts, flowing, rows_of):
    still = {"opened": "2025-06-23", "took": 0, "times": 30}
    found = [rows_of(flowing(facts(*weeks([net] * 13), still)), *LABEL)[0] for net in (3, 0, -3)]
    assert found == [
        (69, 30, 39, 0, 39, 1e9, "growing"),
        (30, 30, 0, 0, 0, 0, "stable"),
        (30, 69, -39, 39, 0, -1e9, "shrinking"),
    ]


@given(nets=st.lists(st.integers(-9, 9), min_size=13, max_size=13).filter(lambda nets: len(set(nets)) > 1))
def test_t_is_that_of_the_textbook_and_the_net_is_what_the_pile_gained(facts, flowing, rows_of, nets):
    ((opened, closed, net, start, end, t, label),) = rows_of(flowing(facts(*weeks(nets, 5))), *LABEL)
    assert (opened - closed, end - start) == (net, net) == (sum(nets), sum(nets))
    if opened + closed < 30:
        assert (t, label) == (None, "too_few")
    else:
        assert t == pytest.approx(stats.ttest_1samp(nets, 0).statistic, abs=1e-9)


def test_only_the_13_weeks_count_and_the_same_weeks_a_year_before_stand_beside_them(facts, flowing, rows_of):
    made = facts(
        {"opened": "2025-03-30", "closed": "2025-03-30", "times": 50},  # the Sunday before
        {"opened": "2025-03-31", "times": 20},
        {"opened": "2025-06-29", "times": 20},
        {"opened": "2025-06-30", "times": 50},  # the week that has begun
        {"opened": "2024-03-31", "times": 5},  # before the weeks of the year before
        {"opened": "2024-04-01", "times": 7},
        {"opened": "2024-06-30", "closed": "2024-07-01", "times": 2},
    )
    assert rows_of(flowing(made), "weeks_from", "weeks_to", *LABEL[:5], "net_year_before") == [
        ("2025-03-31", "2025-06-29", 40, 0, 40, 12, 52, 9)
    ]


def test_the_label_leaves_out_what_is_not_refreshed_what_has_no_close_date_and_what_has_no_known_status(
    facts, flowing, rows_of
):
    made = facts(
        {"opened": "2022-08-16", "times": 50},
        {"opened": "2022-08-16", "closed": "2025-06-02", "times": 50},
        {"opened": "2025-06-02", "status": Status.CLOSE, "times": 50},
        {"opened": "2025-06-02", "status": Status.OTHER, "times": 50},
        {"opened": "2022-08-17"},
        {"opened": "2025-06-02", "took": -9},
    )
    assert rows_of(flowing(made), *LABEL) == [(1, 1, 0, 1, 1, None, "too_few")]
