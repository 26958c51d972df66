"""Claims about groups and periods: who is counted where, and which days a period has."""

from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.groups import KINDS, groupings, period_table


def test_there_is_a_grouping_of_each_kind_even_of_no_request(facts):
    assert {grouping.kind: len(grouping) for grouping in groupings(facts())} == dict.fromkeys(KINDS, 0) | {
        ("citywide", "all"): 1,
        ("citywide", "located"): 1,
        ("unlocated", "unlocated"): 1,
        ("neighbourhood", "located"): 2,
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


def test_periods_are_all_days_the_last_30_and_90_settled_ones_the_last_365_and_each_year_with_a_request_within_the_record(
    facts,
):
    assert table(facts({"opened": "2022-03-05"}, {"opened": "2024-01-31"}, {"opened": "2025-06-29"})) == [
        ("all", "2022-03-05", "2025-06-29"),
        ("last_30_days", "2025-05-25", "2025-06-23"),
        ("last_90_days", "2025-03-26", "2025-06-23"),
        ("last_12_months", "2024-07-01", "2025-06-29"),
        ("2022", "2022-03-05", "2022-12-31"),
        ("2024", "2024-01-01", "2024-12-31"),
        ("2025", "2025-01-01", "2025-06-29"),
    ]


def test_a_period_without_a_day_in_the_record_is_left_out(facts):
    assert table(facts({"opened": "2024-06-30"})) == [
        ("all", "2024-06-30", "2024-06-30"),
        ("2024", "2024-06-30", "2024-06-30"),
    ]
    assert table(facts()) == []
