"""Claims about the backlog: how old it is, how it was made day by day, and when it is said to grow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import worlds
from vanc311_pipeline.metrics.backlog import AGE_BANDS, backlog_by_age, backlog_daily, flow, last_sunday
from vanc311_pipeline.metrics.facts import Status, day_number, day_texts


@pytest.fixture(scope="module")
def aged(grouped):
    return lambda city, *which: backlog_by_age(grouped(city, *which))


@pytest.fixture(scope="module")
def daily(grouped):
    return lambda city, *which: backlog_daily(grouped(city, *which))


@pytest.fixture(scope="module")
def flowing(grouped):
    return lambda city, *which: flow(grouped(city, *which))


def test_a_band_holds_its_first_and_its_last_day(facts, aged, rows_of):
    city = facts(*({"ago": ago} for ago in (0, 7, 8, 30, 31, 90, 91, 365, 366, 1500, -1)))
    assert rows_of(aged(city), "band_order", "age_band", "open_requests") == [
        (1, "0-7", 2), (2, "8-30", 2), (3, "31-90", 2), (4, "91-365", 2), (5, "over 365", 2), (6, "opened after as_of", 1),
    ]  # fmt: skip


def test_only_open_requests_are_aged_and_every_group_has_every_band(facts, aged, rows_of):
    city = facts(
        {"ago": 3, "times": 3},
        {"ago": 3, "area": None},
        {"ago": 3, "took": 1},
        {"ago": 3, "status": Status.OTHER},
        {"opened": "2022-08-16"},
        {"ago": 3, "took": 1, "issue": "Noise"},
    )
    table = aged(city, "issue", "all")
    assert rows_of(table, "issue_type", "age_band") == [
        (kind, band) for kind in ("Graffiti", "Noise") for band in AGE_BANDS
    ]
    assert rows_of(table, "open_requests", "located", "n_static", "share_of_open") == [
        (4, 3, 0, 0.8), *[(0, 0, 0, 0)] * 3, (1, 1, 1, 0.2), (0, 0, 0, 0), *[(0, 0, 0, None)] * 6,
    ]  # fmt: skip


def test_the_pile_of_a_day_is_that_of_the_day_before_and_what_came_less_what_went(facts, daily, rows_of):
    city = facts(
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
    assert rows_of(daily(city), "day", "opened", "closed_in", "backlog") == [
        ("2025-06-10", 2, 0, 2), ("2025-06-11", 2, 1, 3), ("2025-06-12", 1, 3, 1), ("2025-06-13", 1, 0, 2),
    ]  # fmt: skip


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
    table = daily(facts(*rows), "neighbourhood", "located")
    as_of = day_number("2025-06-30")
    for line in table.to_dict("records"):
        day = day_number(line["day"]) - as_of
        pairs = [(came, went) for area, came, went in pile if area == line["local_area"]]
        assert line["backlog"] == sum(came <= day < went for came, went in pairs)
    if len(table):
        opens = [row["ago"] for row in rows if row["area"] and row["status"] == Status.OPEN]
        later = [(came, went) for area, came, went in pile if area and came <= 0 < went < 1_000]
        law = len(opens) - sum(ago < 0 for ago in opens) + len(later)
        assert table.loc[table["day"] == "2025-06-30", "backlog"].sum() == law
    else:
        assert all(row["ago"] < 0 for row in rows)


def test_every_day_to_as_of_has_a_line_for_every_area(facts, daily, rows_of):
    city = facts({"opened": "2025-06-29", "area": "Sunset"})
    assert rows_of(daily(city, "neighbourhood", "located"), "local_area", "day", "backlog") == [
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
    table = daily(facts({"opened": "2023-08-15"})).set_index("day")
    assert table.index[table["understated"] == "yes"].tolist() == ["2023-08-15", "2023-08-16"]
    assert table.index[table["provisional"] == "yes"].tolist() == [f"2025-06-{day}" for day in range(24, 31)]


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


SUNDAYS = range(day_number("2023-08-20"), day_number("2025-06-22") + 1, 7)  # all that the record knows by AS_OF
SEASON = np.random.default_rng(311).integers(-15, 16, len(SUNDAYS))


def piles(of_each_sunday):
    """Requests that make such piles at the ends of these Sundays."""
    steps = list(zip(SUNDAYS[1:], np.diff(of_each_sunday).tolist(), strict=True))
    gone = [{"opened": "2022-08-17", "closed": day_texts([day])[0], "times": -step} for day, step in steps if step < 0]
    come = [{"opened": day_texts([day])[0], "times": step} for day, step in steps if step > 0]
    left = int(of_each_sunday[0]) - sum(row["times"] for row in gone)
    assert left >= 0
    return [*gone, *come, {"opened": "2022-08-17", "times": left}]


def ending(changes, level=3000):
    """Piles of an ordinary record, whose last 13 weeks added so much, and the same weeks a year before, for a while."""
    pile = np.full(len(SUNDAYS), level) + SEASON
    for weeks_ago, change in changes.items():
        pile[len(pile) - 13 - weeks_ago : len(pile) - weeks_ago] += np.linspace(change / 13, change, 13).astype(int)
        pile[len(pile) - weeks_ago :][:13] += change
    return piles(pile)


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "stable"),
        ({0: 600}, "growing"),
        ({0: -600}, "shrinking"),
        ({0: 600, 52: 600}, "stable"),  # the season does that
        ({0: -600, 52: -600}, "stable"),
    ],
)
def test_the_label_is_of_what_the_season_does_not_explain(facts, flowing, rows_of, changes, label):
    assert rows_of(flowing(facts(*ending(changes))), "flow", "years", "weeks_in_backtest") == [(label, 1, 7)]


@pytest.mark.parametrize(
    ("level", "grown", "label"),
    [(1000, 49, "stable"), (1000, 51, "growing"), (100, 9, "stable"), (100, 11, "growing")],
)
def test_a_label_needs_5_per_cent_and_10_requests_however_sure(facts, flowing, rows_of, level, grown, label):
    still = [{"opened": "2025-06-16", "took": 0, "times": 30}]
    city = facts(*piles([level] * (len(SUNDAYS) - 1) + [level + grown]), *still)
    assert rows_of(flowing(city), "flow", "distance_from_usual") == [(label, 1e9)]


def test_the_row_says_what_the_label_rests_on(facts, flowing, rows_of):
    pile = np.full(len(SUNDAYS), 100)
    pile[-66 + 13 :] += 20  # a year before, in the same 13 weeks
    pile[-1] += 50
    city = facts(*piles(pile))
    assert rows_of(
        flowing(city), "weeks_from", "weeks_to", "opened", "closed_in", "net", "backlog_start", "backlog_end",
        "backlog_year_before", "net_low", "net_high",
    ) == [("2025-03-24", "2025-06-22", 50, 0, 50, 120, 170, 120, 20, 20)]  # fmt: skip
    ((usual, beyond, often),) = rows_of(flowing(city), "usual_change", "change_beyond_usual", "labels_in_backtest")
    assert usual == pytest.approx(121 / 101 - 1)
    assert beyond == pytest.approx((171 / 121) / (121 / 101) - 1)
    assert often == pytest.approx(1 / 7)


def test_what_may_still_change_is_in_no_label(facts, flowing, rows_of):
    """E14: the week that ends less than seven days before as_of is left out."""
    city = ending({0: 30})
    late = {"opened": "2025-06-23", "times": 500}
    columns = ["weeks_to", "flow", "net", "backlog_end", "distance_from_usual"]
    assert rows_of(flowing(facts(*city, late)), *columns) == rows_of(flowing(facts(*city)), *columns)
    assert rows_of(flowing(facts(*city, as_of="2025-06-28")), "weeks_to") == ["2025-06-15"]
    assert rows_of(flowing(facts(*city, as_of="2025-06-29")), "weeks_to") == ["2025-06-22"]


def test_a_record_without_an_earlier_year_is_too_short_and_few_requests_are_too_few(facts, flowing, rows_of):
    young = facts({"opened": "2024-01-01", "times": 100}, {"opened": "2025-05-05", "times": 100})
    few = facts(*piles([5] * len(SUNDAYS)))
    columns = ["flow", "years", "net_low", "distance_from_usual", "backlog_year_before"]
    assert rows_of(flowing(young), *columns) == [("too_short", 0, None, None, None)]
    assert rows_of(flowing(few), *columns) == [("too_few", 1, 0, None, 5)]


def test_the_label_leaves_out_what_is_not_refreshed_what_has_no_close_date_and_what_has_no_known_status(
    facts, flowing, rows_of
):
    city = facts(
        {"opened": "2022-08-16", "times": 50},
        {"opened": "2022-08-16", "closed": "2025-06-02", "times": 50},
        {"opened": "2025-06-02", "status": Status.CLOSE, "times": 50},
        {"opened": "2025-06-02", "status": Status.OTHER, "times": 50},
        {"opened": "2022-08-17"},
        {"opened": "2025-06-02", "took": -9},
    )
    assert rows_of(flowing(city), "opened", "closed_in", "net", "backlog_start", "backlog_end", "flow") == [
        (1, 1, 0, 1, 1, "too_few")
    ]


# -- known truth: what the rule says of worlds in which it is known what happens -------------------------------------------


@pytest.mark.parametrize("season", [0, 0.15], ids=["without a season", "with a season of 15 %"])
@pytest.mark.parametrize(("a_week", "groups"), [(190, 40), (26, 100)], ids=["areas", "types"])
def test_a_service_that_never_changes_gets_a_label_in_at_most_5_of_100_looks(flowing, a_week, groups, season):
    table = flowing(worlds.city(a_week, groups, season=season), "neighbourhood", "located")
    assert set(table["weeks_in_backtest"]) == {98}
    assert table["labels_in_backtest"].mean() <= 0.05
    assert table["flow"].isin(["growing", "shrinking"]).mean() <= 0.05


@pytest.mark.parametrize(
    ("a_week", "groups", "speed", "least"), [(190, 40, 0.8, 0.75), (190, 40, 0.6, 1), (26, 100, 0.6, 0.3)]
)
def test_a_service_that_slows_down_is_found(flowing, a_week, groups, speed, least):
    table = flowing(worlds.city(a_week, groups, season=0.15, speed=speed), "neighbourhood", "located")
    assert (table["flow"] == "growing").mean() >= least
    assert not (table["flow"] == "shrinking").any()
