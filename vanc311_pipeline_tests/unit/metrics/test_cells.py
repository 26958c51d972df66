"""Claims about cells: each request adds to exactly the counts that its own facts say."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.metrics.cells import cells, flags
from vanc311_pipeline.requests.cleaning import clean
from vanc311_pipeline.schema import COUNTS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
ALWAYS = {"volume": 1}


@pytest.fixture(scope="session")
def counted(served, areas, released_on):
    """The counts that are not 0 of one request."""

    def run(**row):
        frame = clean(served(row), str({OPENED: "2025-08", **row}[OPENED])[:7], areas, released_on).requests
        return {name: int(value) for name, value in flags(frame).iloc[0][COUNTS].items() if value}

    return run


UPDATED = {"n_ttu": 1, "sum_seconds_to_update": 186_788}  # 2 days, 3 h, 53 min, 8 s


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2, **UPDATED}),
        ({CLOSED: "2025-08-25"}, {"closed": 1, "n_ttr": 1, **UPDATED}),
        ({CLOSED: "2025-08-24"}, {"closed": 1, "n_negative": 1, **UPDATED}),
        ({CLOSED: "2026-01-07"}, {"closed": 1, "n_ttr": 1, "sum_days_to_close": 135, **UPDATED}),
        ({CLOSED: "2026-01-08"}, {"closed": 1, "n_closed_without_date": 1, **UPDATED}),
        ({CLOSED: "9999-12-31"}, {"closed": 1, "n_closed_without_date": 1, **UPDATED}),
        ({CLOSED: None}, {"closed": 1, "n_closed_without_date": 1, **UPDATED}),
        ({"status": "Open", CLOSED: None}, {"open_requests": 1, **UPDATED}),
        ({"status": "Open"}, {"open_requests": 1, **UPDATED}),
        ({"status": "Closed"}, {"status_unknown": 1, **UPDATED}),
        ({"status": None}, {"status_unknown": 1, **UPDATED}),
        (
            {MODIFIED: "2025-08-25T15:03:00+00:00"},
            {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2, "n_never_updated": 1},
        ),
        (
            {MODIFIED: "2025-08-25T15:02:59+00:00"},
            {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2, "n_update_negative": 1},
        ),
        ({MODIFIED: None}, {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2, "n_update_missing": 1}),
        (
            {MODIFIED: "2099-01-01T00:00:00+00:00"},
            {"closed": 1, "n_ttr": 1, "sum_days_to_close": 2, "n_update_missing": 1},
        ),
        # Static: open, and opened before 2022-08-17 by the local date; 06:59 UTC on the 17th is still the 16th.
        (
            {"status": "Open", CLOSED: None, OPENED: "2022-08-17T06:59:00+00:00", MODIFIED: None},
            {"open_requests": 1, "n_static_open": 1, "n_update_missing": 1},
        ),
        (
            {"status": "Open", CLOSED: None, OPENED: "2022-08-17T07:00:00+00:00", MODIFIED: None},
            {"open_requests": 1, "n_update_missing": 1},
        ),
        (
            {CLOSED: "2022-08-16", OPENED: "2022-08-16T20:00:00+00:00", MODIFIED: None},
            {"closed": 1, "n_ttr": 1, "n_update_missing": 1},
        ),
    ],
)
def test_a_request_adds_to_exactly_these_counts(counted, row, expected):
    assert counted(**row) == ALWAYS | expected


def test_cells_are_the_groups_of_area_and_type_nulls_included(served, areas, released_on):
    rows = [{"local_area": area, "service_request_type": kind} for area in ("Marpole", None) for kind in ("A", "B")]
    found = cells(clean(served(*rows, rows[0]), "2025-08", areas, released_on).requests)
    groups = zip(
        found["local_area"].astype(object).where(found["local_area"].notna(), None), found["issue_type"], strict=True
    )
    assert dict(zip(groups, found["volume"], strict=True)) == {
        ("Marpole", "A"): 2,
        ("Marpole", "B"): 1,
        (None, "A"): 1,
        (None, "B"): 1,
    }


def test_no_request_gives_no_cell(served, areas, released_on):
    assert len(cells(clean(served(), "2025-08", areas, released_on).requests)) == 0


@given(
    picks=st.lists(
        st.tuples(st.sampled_from(["Marpole", None]), st.sampled_from([None, "2025-08-24", "2025-08-29"])), max_size=20
    )
)
def test_counts_add_up_over_any_split_of_the_rows(served, areas, released_on, picks):
    frame = clean(
        served(*({"local_area": area, CLOSED: closed} for area, closed in picks)), "2025-08", areas, released_on
    ).requests
    half = len(frame) // 2
    parts = pd.concat([cells(frame.iloc[:half]), cells(frame.iloc[half:])])
    assert parts[COUNTS].sum().to_dict() == cells(frame)[COUNTS].sum().to_dict()
    assert (cells(frame)[COUNTS].dtypes == "int64").all()
