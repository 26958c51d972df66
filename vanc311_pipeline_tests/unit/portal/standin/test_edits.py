"""Claims about changes of the rows: each does what it says, purely, and the seed decides on which rows."""

from __future__ import annotations

import pandas as pd
import pytest

from vanc311_pipeline.portal.standin import edits
from vanc311_pipeline.portal.standin.edits import EDITS, KEY
from vanc311_pipeline.portal.standin.tables import CLOSED, MODIFIED, OPENED


def changed_cells(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, int]:
    """How many values differ per column, null being equal to null."""
    differs = (before != after) & ~(before.isna() & after.isna())
    return {name: int(n) for name, n in differs.sum().items() if n}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_leaves_its_input_alone_and_repeats_itself(sample, name):
    before = sample.copy(deep=True)
    first, second = EDITS[name].function(sample), EDITS[name].function(sample)
    pd.testing.assert_frame_equal(sample, before)
    pd.testing.assert_frame_equal(first, second)
    assert list(first.columns) == list(before.columns)


def test_another_seed_picks_other_rows(sample):
    first, second = (edits.delete(sample, rows=5, seed=seed) for seed in (1, 2))
    assert len(first) == len(second) == len(sample) - 5
    assert not first.equals(second)


def test_an_edit_with_modified_moves_last_modified_past_everything(sample):
    after = edits.edit_with_modified(sample, rows=3)
    assert changed_cells(sample, after) == {"closure_reason": 3, MODIFIED: 3}
    assert after[MODIFIED].max() > sample[MODIFIED].max()


def test_a_silent_edit_leaves_last_modified(sample):
    assert changed_cells(sample, edits.edit_silently(sample, rows=3)) == {"closure_reason": 3}


def test_a_touch_moves_last_modified_only(sample):
    assert changed_cells(sample, edits.touch(sample, rows=3)) == {MODIFIED: 3}


def test_closing_and_reopening_set_status_reason_and_close_date_together(sample):
    closed = edits.close(sample, rows=4)
    assert changed_cells(sample, closed)["status"] == 4
    assert (closed[CLOSED].notna() == (closed["status"] == "Close")).all()
    reopened = edits.reopen(sample, rows=4)
    assert (reopened["status"] == "Open").sum() == (sample["status"] == "Open").sum() + 4
    assert (reopened[CLOSED].isna() == (reopened["status"] == "Open")).all()


def test_an_old_row_appears_long_before(sample):
    after = edits.insert_old(sample, rows=2, opened="2022-05-01T12:00:00+00:00")
    assert (after[OPENED] < pd.Timestamp("2023-01-01", tz="UTC")).sum() == 2
    assert len(after) == len(sample) + 2


def test_a_twin_shares_the_key_and_a_removed_twin_leaves_the_other(sample):
    twins = edits.add_twin(sample, rows=3)
    assert twins.duplicated(KEY).sum() == sample.duplicated(KEY).sum() + 3
    assert not twins.duplicated().any()
    assert edits.add_twin(sample, seconds=0).duplicated().sum() == 1
    assert edits.remove_twin(sample).duplicated(KEY).sum() == sample.duplicated(KEY).sum() - 1


@pytest.mark.parametrize(
    ("name", "field"),
    [("new_closure_reason", "closure_reason"), ("new_channel", "channel"), ("new_area", "local_area")],
)
def test_a_new_value_was_never_there_before(sample, name, field):
    new = set(EDITS[name].function(sample, rows=3)[field].dropna()) - set(sample[field].dropna())
    assert len(new) == 1


def test_relabelling_renames_a_type_over_all_history(sample):
    after = edits.relabel_type(sample, old="Garbage Bin Request Case")
    renamed = after["service_request_type"] == "ZZ OLD - Garbage Bin Request Case"
    assert renamed.sum() == (sample["service_request_type"] == "Garbage Bin Request Case").sum() > 0
    assert "Garbage Bin Request Case" not in set(after["service_request_type"])


def test_truncation_loses_the_beginning_and_about_half_of_the_end(sample):
    after = edits.truncate(sample, before="2023-12-01", halved_from="2024-06-01")
    late, late_before = ((frame[OPENED] >= pd.Timestamp("2024-06-01", tz="UTC")).sum() for frame in (after, sample))
    assert after[OPENED].min() >= pd.Timestamp("2023-12-01", tz="UTC")
    assert 0.4 < late / late_before < 0.6


@pytest.mark.parametrize("field", KEY)
def test_each_key_field_can_be_null_and_is_served_as_null(opened, sample, field):
    portal, ask = opened(requests=edits.null_key(sample.head(50), field=field, rows=2))
    assert ask("/records", where=f"{field} is null").json()["total_count"] == 2
    assert portal.frame[field].isna().sum() == 2


def test_an_impossible_year_is_served(opened, sample):
    _, ask = opened(requests=edits.impossible_opened(sample.head(50)))
    row = ask("/exports/json", where=f'{OPENED} < "1900-01-01T00:00:00+00:00"').json()[0]
    assert row[OPENED] == "0025-08-25T15:03:00+00:00"


def test_coordinates_outside_the_city_and_close_dates_before_open(sample):
    away = edits.outside_city(sample, rows=2)
    assert ((away["latitude"] < 49).sum(), (away["longitude"] < -123.3).sum()) == (2, 2)
    early = edits.close_before_open(sample, rows=2)
    local = early[OPENED].dt.tz_convert("America/Vancouver").dt.tz_localize(None).dt.normalize()
    assert (pd.to_datetime(early[CLOSED]) < local).sum() == 2


def test_a_month_or_everything_can_be_empty(opened, sample):
    month = edits.empty_month(sample, month="2024-03")
    assert "2024-03" not in set(month[OPENED].dt.strftime("%Y-%m"))
    _, ask = opened(requests=edits.empty(sample))
    assert ask("/exports/json").text == "[]"
    assert ask("/exports/json", group_by="status", select="count(*)").text == "[]"
    assert ask().json()["metas"]["default"]["records_count"] == 0


def test_what_can_not_be_changed_is_a_sentence(sample):
    with pytest.raises(ValueError, match="Only 424 rows can be changed in this way, 500 were asked for"):
        edits.close(sample, rows=500)


def test_a_truncated_release_recovers_with_the_next(opened, sample):
    portal, ask = opened(requests=sample)
    portal.publish(edits.truncate(sample, before="2024-03-01"))
    assert ask("/records", limit=0).json()["total_count"] < len(sample)
    portal.publish(sample)
    assert ask("/records", limit=0).json()["total_count"] == len(sample)
