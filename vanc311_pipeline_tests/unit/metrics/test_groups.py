"""Claims about groups and periods: who is counted where, and which days a period has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.facts import day_number
from vanc311_pipeline.metrics.groups import KEYS, KINDS, Period, groupings, period_table

CITY = [
    {"area": "Sunset", "issue": "Noise", "department": "DBL"},
    {"area": "Sunset", "issue": "Graffiti", "department": "ENG"},
    {"area": "Sunset", "issue": "Graffiti", "department": "ENG"},
    {"area": None, "issue": "Election", "department": "CMO"},
    {"area": None, "issue": "Graffiti", "department": "ENG"},
]


def named(grouping, counts):
    """The keys of each group, without those that the level has not, and a count of each."""
    keys = zip(*grouping.names.values(), strict=True)
    return {tuple(key for key in group if key): count for group, count in zip(keys, counts.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("level", "scope", "counts"),
    [
        ("citywide", "all", {(): 5}),
        ("citywide", "located", {(): 3}),
        ("unlocated", "unlocated", {(): 2}),
        ("neighbourhood", "located", {("Marpole",): 0, ("Sunset",): 3}),
        ("issue", "all", {("Election",): 1, ("Graffiti",): 3, ("Noise",): 1}),
        ("issue", "located", {("Graffiti",): 2, ("Noise",): 1}),
        ("department", "all", {("CMO",): 1, ("DBL",): 1, ("ENG",): 3}),
        ("department", "located", {("DBL",): 1, ("ENG",): 2}),
        ("hyper_local", "located", {("Sunset", "Graffiti"): 2, ("Sunset", "Noise"): 1}),
    ],
)
def test_areas_are_always_groups_and_of_the_rest_what_has_a_request_in_the_scope(facts, grouped, level, scope, counts):
    city = facts(*CITY)
    grouping = grouped(city, level, scope)
    assert named(grouping, grouping.volume) == counts


def test_there_is_a_grouping_of_each_kind_even_of_no_request(facts):
    assert {grouping.kind: len(grouping) for grouping in groupings(facts())} == dict.fromkeys(KINDS, 0) | {
        ("citywide", "all"): 1,
        ("citywide", "located"): 1,
        ("unlocated", "unlocated"): 1,
        ("neighbourhood", "located"): 2,
    }


def test_a_table_names_the_group_of_every_row(facts, grouped):
    table = grouped(facts(*CITY), "hyper_local", "located").table([1, 0], n=[7, 8])
    assert table.to_dict("split", index=False) == {
        "columns": [*KEYS, "n"],
        "data": [
            ["hyper_local", "located", "Sunset", "Noise", None, 7],
            ["hyper_local", "located", "Sunset", "Graffiti", None, 8],
        ],
    }


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"area": st.sampled_from([None, "Marpole"]), "issue": st.sampled_from("AB"), "ago": st.integers(0, 2)}
        )
    )
)
def test_each_request_of_a_scope_is_counted_once_in_each_of_its_levels(facts, rows):
    city = facts(*rows)
    sizes = {"all": len(rows), "located": sum(row["area"] is not None for row in rows)}
    sizes["unlocated"] = sizes["all"] - sizes["located"]
    ago = city.as_of - city.opened
    for grouping in groupings(city):
        by_day = grouping.count_by(city.opened == city.opened, ago, 3)
        assert by_day.sum() == sizes[grouping.scope]
        for day in range(3):
            assert by_day[:, day].tolist() == grouping.count(ago == day).tolist()


def table(city):
    return [tuple(row) for row in period_table(city).itertuples(index=False, name=None)]


def test_periods_are_all_the_last_365_days_and_each_year_with_a_request_within_the_record(facts):
    assert table(facts({"opened": "2022-03-05"}, {"opened": "2024-01-31"}, {"opened": "2025-06-29"})) == [
        ("all", "2022-03-05", "2025-06-29"),
        ("last_12_months", "2024-07-01", "2025-06-29"),
        ("2022", "2022-03-05", "2022-12-31"),
        ("2024", "2024-01-01", "2024-12-31"),
        ("2025", "2025-01-01", "2025-06-29"),
    ]


def test_the_last_12_months_end_with_as_of_but_years_hold_what_was_opened_later(facts):
    assert table(facts({"opened": "2025-06-15"}, {"opened": "2025-07-02"})) == [
        ("all", "2025-06-15", "2025-07-02"),
        ("last_12_months", "2025-06-15", "2025-06-30"),
        ("2025", "2025-06-15", "2025-07-02"),
    ]


def test_a_period_without_a_day_in_the_record_is_left_out(facts):
    assert table(facts({"opened": "2024-06-30"})) == [
        ("all", "2024-06-30", "2024-06-30"),
        ("2024", "2024-06-30", "2024-06-30"),
    ]
    assert table(facts()) == []


def test_a_period_holds_its_first_and_its_last_day(facts):
    city = facts(*({"opened": f"2025-06-{day:02d}"} for day in (9, 10, 11, 12, 13)))
    assert Period("four days", day_number("2025-06-10"), day_number("2025-06-12")).holds(city).tolist() == [
        False, True, True, True, False,
    ]  # fmt: skip
