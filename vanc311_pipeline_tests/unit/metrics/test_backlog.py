"""Claims about the backlog: its ages, the pile of any day, and when it is said to grow.

Weeks and what a label rests on are computed again in `end_to_end/recompute.py`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import worlds
from vanc311_pipeline.metrics.backlog import backlog_by_age, backlog_daily, flow
from vanc311_pipeline.metrics.facts import Status, day_number, day_texts


@pytest.fixture(scope="module")
def daily(grouped):
    return lambda city, *which: backlog_daily(grouped(city, *which))


@pytest.fixture(scope="module")
def flowing(grouped):
    return lambda city, *which: flow(grouped(city, *which))


def test_a_band_of_age_holds_its_first_and_its_last_day(facts, grouped, rows_of):
    city = facts(*({"ago": ago} for ago in (0, 7, 8, 30, 31, 90, 91, 365, 366, 1500, -1)))
    assert rows_of(backlog_by_age(grouped(city)), "band_order", "age_band", "open_requests") == [
        (1, "0-7", 2), (2, "8-30", 2), (3, "31-90", 2), (4, "91-365", 2), (5, "over 365", 2), (6, "opened after as_of", 1),
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


def test_without_a_request_by_as_of_there_is_no_day(facts, daily, flowing):
    assert len(daily(facts())) == len(daily(facts({"ago": -1}))) == len(flowing(facts())) == 0


SUNDAYS = range(day_number("2023-08-20"), day_number("2025-06-22") + 1, 7)  # all that the record knows by AS_OF


def piles(of_each_sunday):
    """Requests that make such piles at the ends of these Sundays."""
    steps = list(zip(SUNDAYS[1:], np.diff(of_each_sunday).tolist(), strict=True))
    gone = [{"opened": "2022-08-17", "closed": day_texts([day])[0], "times": -step} for day, step in steps if step < 0]
    come = [{"opened": day_texts([day])[0], "times": step} for day, step in steps if step > 0]
    left = int(of_each_sunday[0]) - sum(row["times"] for row in gone)
    assert left >= 0
    return [*gone, *come, {"opened": "2022-08-17", "times": left}]


@pytest.mark.parametrize(
    ("level", "grown", "label"),
    [(1000, 49, "stable"), (1000, 51, "growing"), (100, 9, "stable"), (100, 11, "growing")],
)
def test_a_label_needs_5_per_cent_and_10_requests_however_sure(facts, flowing, rows_of, level, grown, label):
    still = [{"opened": "2025-06-16", "took": 0, "times": 30}]
    city = facts(*piles([level] * (len(SUNDAYS) - 1) + [level + grown]), *still)
    assert rows_of(flowing(city), "flow", "distance_from_usual") == [(label, 1e9)]


def test_a_record_without_an_earlier_year_is_too_short_and_few_requests_are_too_few(facts, flowing, rows_of):
    young = facts({"opened": "2024-01-01", "times": 100}, {"opened": "2025-05-05", "times": 100})
    few = facts(*piles([5] * len(SUNDAYS)))
    columns = ["flow", "years", "net_low", "distance_from_usual", "backlog_year_before"]
    assert rows_of(flowing(young), *columns) == [("too_short", 0, None, None, None)]
    assert rows_of(flowing(few), *columns) == [("too_few", 1, 0, None, 5)]


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
