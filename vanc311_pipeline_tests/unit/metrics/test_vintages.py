"""Claims about figures with a fixed reference period: what they count, from when on they are given, and that they add up."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from vanc311_pipeline.metrics.backlog import backlog_daily
from vanc311_pipeline.metrics.facts import NONE, day_number
from vanc311_pipeline.metrics.groups import WHOLE_CITY
from vanc311_pipeline.metrics.monthly import monthly_series
from vanc311_pipeline.metrics.vintages import COUNTING, KEY, LARGEST_TYPES, TRACKED, counts, figures, references

AS_OF = "2025-08-24"  # a Sunday


def values(city, figure, level="citywide", **names):
    table = figures(city)
    chosen = (table["figure"] == figure) & (table["level"] == level)
    for name, value in names.items():
        chosen &= table[name] == value
    return table[chosen].set_index("reference")["value"]


def test_a_weeks_figures_are_what_came_what_went_and_what_was_open_at_its_end(facts):
    city = facts(
        {"opened": "2025-08-18", "closed": "2025-08-19"},
        {"opened": "2025-08-17", "closed": "2025-08-24"},
        {"opened": "2025-08-24"},
        {"opened": "2025-08-18", "closed": "2025-08-12"},
        {"opened": "2025-08-20", "status": 1},
        {"opened": "2024-01-05"},
        as_of=AS_OF,
    )
    weeks = ["2025-08-11", "2025-08-18"]
    assert values(city, "opened")[weeks].tolist() == [1, 4]
    assert values(city, "closed_in")[weeks].tolist() == [0, 3]
    assert values(city, "pile")[weeks].tolist() == [2, 2]
    assert len(values(city, "pile")) == 27
    assert values(city, "pile").iloc[0] == 1


def test_a_figure_is_given_once_its_period_is_over_and_can_only_be_revised(facts):
    city = facts({"ago": 400}, {"ago": 0}, as_of="2025-08-23")
    assert {name: references(name, city.as_of)[-1] for name in ("opened", "within_30", "median_30", "median_365")} == {
        "opened": "2025-08-11",
        "within_30": "2025-06",
        "median_30": "2025-06",
        "median_365": "2024-07",
    }
    assert references("within_30", day_number("2025-08-30"))[-1] == "2025-07"


def test_a_months_median_is_what_was_known_so_many_days_after_its_end(facts):
    """Of 60 requests 31 were closed, most of them long after: at first sight the median is not reached."""
    city = facts(
        {"opened": "2024-07-01", "closed": "2024-07-03", "times": 20},
        {"opened": "2024-07-31", "closed": "2024-09-15", "times": 20},
        {"opened": "2024-07-31", "times": 20},
        as_of=AS_OF,
    )
    medians = {name: values(city, name).get("2024-07") for name in ("median_30", "median_90", "median_365")}
    assert np.isnan(medians.pop("median_30"))
    assert medians == {"median_90": 46, "median_365": 46}
    assert values(city, "within_30")["2024-07"] == 20


def test_a_close_date_that_lay_ahead_of_its_release_counts_in_its_week_whenever_the_row_is_read_again(facts):
    before = facts({"opened": "2025-08-05", "closed": "2025-08-20"}, as_of=AS_OF)
    unread = replace(before, closed=np.array([NONE], dtype=np.int32))
    pd.testing.assert_frame_equal(counted(unread), counted(before))
    assert values(before, "pile")[["2025-08-11", "2025-08-18"]].tolist() == [1, 0]


def counted(city):
    table = figures(city)
    return table[table["figure"].isin(COUNTING)]


def test_the_20_types_with_the_most_requests_of_the_last_year_are_followed(facts):
    few = ({"ago": 10, "issue": f"Type {number:02d}", "times": 2} for number in range(LARGEST_TYPES))
    city = facts(*few, {"ago": 10, "issue": "Rare"}, {"ago": 400, "issue": "Of old", "times": 9})
    table = figures(city)
    assert set(table.loc[table["level"] == "issue", "issue_type"]) == {f"Type {number:02d}" for number in range(20)}
    assert not table.duplicated(list(KEY)).any()


def test_a_city_without_a_request_and_its_areas_have_figures_of_0(facts):
    """Else what was published before all requests vanished would stand."""
    table = figures(facts())
    assert set(table["level"]) == {"citywide", "neighbourhood"}
    assert (table.loc[table["figure"].isin(COUNTING), "value"] == 0).all()
    assert table.loc[~table["figure"].isin(COUNTING), "value"].isna().all()


def test_they_are_those_of_the_published_tables(sample, grouped):
    facts, city = sample.facts, grouped(sample.facts)
    daily = backlog_daily(city).set_index("day")["backlog"]
    months = monthly_series(city, np.array([np.nan])).set_index("month")
    pile, within = values(facts, "pile"), values(facts, "within_30")
    sundays = (pd.to_datetime(pile.index) + pd.Timedelta(days=6)).strftime("%Y-%m-%d")
    assert pile.tolist() == daily[sundays].tolist()
    known = within.index.intersection(months.index)
    assert within[known].tolist() == months.loc[known, "within_30"].tolist()
    assert len(known) > 10
    assert within.sum() > 0


@pytest.mark.parametrize("kind", TRACKED)
def test_they_add_up_over_requests(sample, kind):
    facts = sample.facts
    odd = np.arange(len(facts)) % 3 == 0
    parts = [
        replace(
            facts, **{each.name: getattr(facts, each.name)[some] for each in fields(facts) if of_requests(facts, each)}
        )
        for some in (odd, ~odd)
    ]
    for figure, whole in counts(facts, kind).items():
        assert (sum(counts(part, kind)[figure] for part in parts) == whole).all(), figure
    assert counts(facts, WHOLE_CITY)["pile"].sum() > 0


def of_requests(facts, field):
    return isinstance(getattr(facts, field.name), np.ndarray)
