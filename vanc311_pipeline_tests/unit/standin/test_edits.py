"""Claims about changes of the rows: pure, and of what they say. That the pipeline follows each is in end_to_end/test_fault_matrix."""

import pandas as pd
import pytest

from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.releases import CLOSED, MODIFIED, OPENED


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


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("edit_with_modified", {"closure_reason": 3, MODIFIED: 3}),
        ("edit_silently", {"closure_reason": 3}),
        ("touch", {MODIFIED: 3}),
        ("new_closure_reason", {"closure_reason": 3}),
        ("new_channel", {"channel": 3}),
        ("new_area", {"local_area": 3}),
        ("outside_city", {"latitude": 3, "longitude": 3}),
        ("close_before_open", {CLOSED: 3}),
        ("impossible_opened", {OPENED: 3}),
        ("null_key", {OPENED: 3}),
    ],
)
def test_an_edit_changes_its_fields_and_no_other(sample, name, cells):
    assert changed_cells(sample, EDITS[name].function(sample, rows=3)) == cells
