"""Claims about identity: an id is the digest of its key, occurrences number the rows that share one, order is nothing."""

import hashlib
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.requests.cleaning import clean
from vanc311_pipeline.requests.identity import KEY, occurrences, request_id
from vanc311_pipeline.requests.rows import month_rows
from vanc311_pipeline.schema import service_requests

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
COLUMNS = [column.name for column in service_requests.columns]

# Few values of each, so that keys collide, twins differ in one field only, and some rows are equal in all.
a_request = st.fixed_dictionaries(
    {
        "department": st.sampled_from(["ENG", "DBL"]),
        "service_request_type": st.sampled_from(["Graffiti Case", "Noise Case"]),
        OPENED: st.sampled_from(
            ["2025-08-25T15:03:00+00:00", "2025-08-25T08:03:00-07:00", "2025-08-25T15:04:00+00:00"]
        ),
        MODIFIED: st.sampled_from([None, "2025-08-26T10:00:00+00:00", "2025-08-26T10:00:01+00:00"]),
        "status": st.sampled_from([None, "Open", "Close"]),
        CLOSED: st.sampled_from([None, "2025-08-24", "2025-08-26"]),
        "address": st.sampled_from([None, "1 MAIN ST"]),
        "local_area": st.sampled_from([None, "Marpole", "Atlantis"]),
        "channel": st.sampled_from([None, "WEB"]),
        "latitude": st.sampled_from([None, "49.2"]),
    }
)
a_bad_row = st.fixed_dictionaries({"department": st.none(), "channel": st.sampled_from(["WEB", "Phone"])})
some_rows = st.lists(a_request | a_bad_row, max_size=25)


def digest(department, issue_type, opened_at, occurrence):
    """The formula of the design, written out once more."""
    key = f"{department}\u001f{issue_type}\u001f{opened_at}\u001f{occurrence}"
    return hashlib.sha256(key.encode("utf-8")).hexdigest()


@pytest.fixture(scope="session")
def rows_of(served, areas, released_on):
    """The rows that a month's served rows become."""
    return lambda rows: month_rows("2025-08", {"live": clean(served(*rows), "2025-08", areas, released_on)})


def as_dicts(rows):
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize("occurrence", [0, 1, 10])
@pytest.mark.parametrize("department", ["ENG - Sanitation Services", "Département été", ""])
def test_an_id_is_the_sha256_of_its_key_joined_by_unit_separators(department, occurrence):
    parts = (department, "Graffiti Case", "2025-08-25T15:03:00Z", occurrence)
    assert request_id(*parts) == digest(*parts)


@given(rows=some_rows)
def test_ids_are_the_digests_of_keys_whose_occurrences_count_from_zero_without_a_gap(rows_of, rows):
    month, numbers = rows_of(rows), {}
    for row in as_dicts(month.requests):
        key = tuple(row[name] for name in KEY)
        assert row["request_id"] == digest(*key, row["occurrence"])
        numbers.setdefault(key, []).append(row["occurrence"])
    assert all(sorted(occurrences) == list(range(len(occurrences))) for occurrences in numbers.values())
    assert len({row[0] for row in month.quarantined}) == len(month.quarantined)


@given(rows=some_rows, data=st.data())
def test_the_order_in_which_rows_are_served_changes_nothing(rows_of, rows, data):
    shuffled = data.draw(st.permutations(rows))
    assert rows_of(shuffled) == rows_of(rows)


@given(rows=some_rows)
def test_no_row_is_merged_dropped_or_invented(rows_of, rows):
    month = rows_of(rows)
    good = [row for row in rows if row["department"]]
    assert len(month.requests) + len(month.quarantined) == len(rows)
    served = Counter(
        (row["department"], row["service_request_type"], row["status"], row["address"], row["channel"]) for row in good
    )
    stored = Counter(
        (row["department"], row["issue_type"], row["status"], row["address"], row["channel"])
        for row in as_dicts(month.requests)
    )
    assert served == stored


def test_the_row_changed_first_is_occurrence_zero(rows_of):
    late, early, never = {MODIFIED: "2025-08-29T00:00:00Z"}, {MODIFIED: "2025-08-28T00:00:00Z"}, {MODIFIED: None}
    numbers = {row["modified_at"]: row["occurrence"] for row in as_dicts(rows_of([late, early, never]).requests)}
    assert numbers == {None: 0, "2025-08-28T00:00:00Z": 1, "2025-08-29T00:00:00Z": 2}


@pytest.mark.parametrize(
    "field", ["status", "closure_reason", CLOSED, "address", "local_area", "channel", "latitude", "longitude"]
)
def test_twins_that_differ_in_one_field_are_told_apart_whatever_their_order(rows_of, field):
    value = {CLOSED: "2025-08-28", "local_area": "Marpole", "latitude": "49.3", "longitude": "-123.2"}.get(
        field, "another"
    )
    one, other = {}, {field: value}
    assert rows_of([one, other]) == rows_of([other, one])


def test_a_request_alone_on_its_key_is_occurrence_zero_whatever_its_index(served, areas, released_on):
    frame = clean(served({}, {"department": "DBL"}), "2025-08", areas, released_on).requests.set_axis([7, 3])
    pd.testing.assert_series_equal(occurrences(frame), pd.Series(0, index=[7, 3], dtype="int64"))


def test_a_request_that_joins_its_key_later_leaves_the_ids_before_it(rows_of):
    """An increment equals a rebuild: the newest change comes last, so its twins keep their ids."""
    before = rows_of([{MODIFIED: "2025-08-28T00:00:00Z"}]).requests
    after = rows_of([{MODIFIED: "2025-08-29T00:00:00Z"}, {MODIFIED: "2025-08-28T00:00:00Z"}]).requests
    assert set(before) < set(after)
