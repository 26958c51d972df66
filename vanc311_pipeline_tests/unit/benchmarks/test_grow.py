"""Claims of the grown benchmark table: its size and span, and the oddities of the real data that it keeps."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from benchmarks.grow import apportion, to_utc
from benchmarks.grow import grow as grown_table
from vanc311_pipeline.standin.releases import SAMPLE_REQUESTS
from vanc311_pipeline.timezone import VANCOUVER

ROWS = 20_000
KEY = ["department", "service_request_type", "service_request_open_timestamp"]
NULLABLE = ["address", "local_area", "latitude", "longitude"]


def grow(rows, **options):
    return grown_table(rows, **options).to_pandas()


@pytest.fixture(scope="module")
def grown():
    return grow(ROWS)


@pytest.fixture(scope="module")
def sample():
    return pd.read_parquet(SAMPLE_REQUESTS)


@pytest.fixture(scope="module")
def opened(grown):
    return local(grown["service_request_open_timestamp"])


def local(instants):
    return instants.dt.tz_convert(VANCOUVER).dt.tz_localize(None)


def day_numbers(days):
    return days.to_numpy().astype("datetime64[D]").astype(np.int64)


def is_open(frame):
    return frame["status"] == "Open"


def others(frame):
    return [column for column in frame if column != "last_modified_timestamp"]


@pytest.mark.parametrize("rows", [1, 3, 57, 1_000])
def test_it_makes_exactly_the_rows_asked_for(rows):
    assert len(grow(rows)) == rows


def test_it_has_the_columns_and_types_of_the_sample(grown, sample):
    assert len(grown) == ROWS
    pd.testing.assert_series_equal(grown.dtypes, sample.dtypes)


def test_it_covers_57_local_months_up_to_the_last_day_which_follow_the_published_profile(opened):
    volumes = opened.dt.to_period("M").value_counts()
    assert len(volumes) == 57
    assert (str(volumes.index.min()), opened.max().date()) == ("2022-01", date(2026, 9, 27))
    assert volumes["2025-07"] / volumes["2025-12"] == pytest.approx(26_742 / 19_517, rel=0.02)
    assert volumes["2025-07"] > volumes["2022-07"]


def test_the_span_can_be_chosen():
    opened = local(grow(500, first_month="2024-02", last_day=date(2024, 3, 10))["service_request_open_timestamp"])
    assert opened.between("2024-02-01", "2024-03-10 23:59:59").all()


def test_no_row_is_twice_there_or_changed_before_it_is_opened_or_after_the_evening_of_the_last_day(
    grown,
):
    changed = grown["last_modified_timestamp"]
    assert not grown.duplicated().any()
    assert (changed >= grown[KEY[2]]).all()
    assert local(changed).max() <= pd.Timestamp("2026-09-27 21:52:00")


def test_nine_in_a_thousand_rows_are_twins_but_for_last_modified(grown):
    twins = grown[grown.duplicated(others(grown), keep=False)]
    sizes = twins.groupby(others(grown), dropna=False).size()
    assert len(twins) / ROWS == pytest.approx(0.009, abs=0.001)
    assert set(sizes) == {2, 4}
    assert (sizes == 2).mean() > 0.9
    assert twins["service_request_type"].str.contains("Bin Request").mean() > 0.5


def test_keys_collide_as_often_as_in_the_real_samples(grown):
    colliding = grown.duplicated(KEY, keep=False)
    assert 0.012 < colliding.mean() < 0.024
    assert (grown.loc[colliding, KEY[2]].dt.second == 0).mean() > 0.7


def test_nulls_are_as_frequent_as_in_the_sample_and_old_types_are_there(grown, sample):
    assert grown["service_request_type"].str.startswith("ZZ OLD - ").any()
    difference = (grown[NULLABLE].isna().mean() - sample[NULLABLE].isna().mean()).abs()
    assert difference.max() < 0.02
    assert (grown["latitude"].isna() == grown["longitude"].isna()).all()
    assert grown.drop(columns=[*NULLABLE, "service_request_close_date"]).notna().all(axis=None)


def test_a_close_date_belongs_to_closed_rows_only(grown):
    assert set(grown["status"]) == {"Open", "Close"}
    assert (grown["service_request_close_date"].isna() == is_open(grown)).all()


def test_one_in_a_hundred_is_open_and_mostly_recent(grown, opened):
    share = is_open(grown).groupby(opened.dt.year).mean()
    assert is_open(grown).mean() == pytest.approx(0.01, abs=0.003)
    assert share.is_monotonic_increasing
    assert share[2026] > 10 * share[2022]


def test_closure_reason_of_open_rows_is_nearly_always_the_text_na():
    larger = grow(3 * ROWS)  # one open row in a hundred has a reason: too rare to be sure of in 20,000 rows
    no_reason = larger["closure_reason"] == "N/A"
    assert 0.95 < no_reason[is_open(larger)].mean() < 1
    assert not no_reason[~is_open(larger)].any()


def test_closings_before_opening_are_one_day_and_rare(grown, opened):
    closed = ~is_open(grown)
    days = day_numbers(grown.loc[closed, "service_request_close_date"]) - day_numbers(opened[closed])
    backward = grown[closed][days < 0]
    assert days.min() == -1
    assert len(backward) == 1
    assert set(backward["closure_reason"]) == {"Referred to another service group"}
    assert np.median(days) == pytest.approx(3, abs=1)
    assert days.max() > 500


def test_some_rows_change_long_after_closing_and_some_that_are_open_long_after_opening(grown):
    closed, waiting = grown[~is_open(grown)], grown[is_open(grown)]
    late = day_numbers(local(closed["last_modified_timestamp"])) - day_numbers(closed["service_request_close_date"])
    assert 0.01 < (late > 0).mean() < 0.03
    assert 100 < late.max() <= 681
    assert (waiting["last_modified_timestamp"] - waiting[KEY[2]]).max() > pd.Timedelta(days=100)


def test_local_times_keep_their_profile(opened, sample):
    real = local(sample[KEY[2]])
    assert (opened.dt.second == 0).mean() == pytest.approx((real.dt.second == 0).mean(), abs=0.015)
    assert opened.dt.hour.between(9, 16).mean() == pytest.approx(real.dt.hour.between(9, 16).mean(), abs=0.02)
    assert (opened.dt.day_of_week >= 5).mean() == pytest.approx((real.dt.day_of_week >= 5).mean(), abs=0.02)


def test_a_seed_makes_one_table_and_another_seed_another(grown):
    pd.testing.assert_frame_equal(grown, grow(ROWS))
    assert not grown.equals(grow(ROWS, seed=312))


def test_local_clock_changes_are_respected():
    wall = np.array(["2025-07-01T12", "2025-11-02T01", "2025-11-02T01", "2025-12-01T12"], "M8[s]").astype(np.int64)
    utc = to_utc(wall, np.array([False, False, True, False])).astype("M8[s]").astype("M8[h]")
    assert utc.astype(str).tolist() == ["2025-07-01T19", "2025-11-02T08", "2025-11-02T09", "2025-12-01T20"]


def test_apportioning_loses_nothing():
    assert apportion(np.array([1.0, 1.0, 1.0]), 100).tolist() == [34, 33, 33]


@pytest.mark.parametrize(("rows", "first", "words"), [(0, "2022-01", "at least 1"), (10, "2026-10", "begins after")])
def test_an_impossible_request_is_refused(rows, first, words):
    with pytest.raises(ValueError, match=words):
        grow(rows, first_month=first)
