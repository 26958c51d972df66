"""Claims about rows: the tables' column order, canonical values, and one count for each dataset."""

import hashlib
import json

import pytest

from vanc311_pipeline import schema
from vanc311_pipeline.requests.cleaning import clean
from vanc311_pipeline.requests.rows import month_rows
from vanc311_pipeline.settings import ARCHIVE, LIVE

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


@pytest.fixture(scope="session")
def rows_of(served, areas, released_on):
    def run(*rows, month="2025-08"):
        return month_rows(month, {LIVE: clean(served(*rows), month, areas, released_on)})

    return run


def named(row):
    return dict(zip(schema.service_requests.columns.keys(), row, strict=True))


def test_a_row_has_the_tables_columns_in_the_tables_order(rows_of):
    row = rows_of({OPENED: "2025-08-26T03:03:00+00:00"}).requests[0]
    assert named(row) == {
        "request_id": hashlib.sha256(
            b"ENG - Sanitation Services\x1fMissed Green Bin Pickup Case\x1f2025-08-26T03:03:00Z\x1f0"
        ).hexdigest(),
        "department": "ENG - Sanitation Services",
        "issue_type": "Missed Green Bin Pickup Case",
        "status": "Close",
        "closure_reason": "Service provided",
        "opened_at": "2025-08-26T03:03:00Z",
        "opened_on": "2025-08-25",
        "open_month": "2025-08",
        "closed_on": "2025-08-27",
        "modified_at": "2025-08-27T18:56:08Z",
        "address": "2538 E GEORGIA ST",
        "local_area": "Hastings-Sunrise",
        "channel": "Phone",
        "latitude": 49.278248,
        "longitude": -123.053532,
        "days_to_close": 2,
        "days_to_update": pytest.approx((39 * 3600 + 53 * 60 + 8) / 86_400, rel=1e-15),
        "occurrence": 0,
        "partition_month": "2025-08",
    }


def test_the_month_that_people_read_is_local_and_the_one_that_stores_is_utc(rows_of):
    row = named(rows_of({OPENED: "2025-09-01T03:00:00+00:00"}, month="2025-09").requests[0])
    assert [row[name] for name in ("opened_on", "open_month", "partition_month")] == [
        "2025-08-31",
        "2025-08",
        "2025-09",
    ]


def test_absent_is_none_and_every_other_value_is_plain_python(rows_of):
    absent = ["status", "address", "local_area", "channel", "latitude", "longitude", CLOSED, MODIFIED]
    rows = rows_of({}, dict.fromkeys(absent) | {"closure_reason": "N/A"}).requests
    for row in rows:
        assert {type(value) for value in row} <= {str, int, float, type(None)}
        assert all(value == value for value in row)  # no NaN
    empty = next(row for row in rows if row[3] is None)
    assert sum(value is None for value in empty) == 11


def test_rows_come_by_id_and_a_month_without_rows_gives_none(rows_of):
    ids = [row[0] for row in rows_of(*({"address": str(number)} for number in range(20))).requests]
    assert ids == sorted(ids)
    assert (rows_of().requests, rows_of().quarantined) == ([], [])


def test_a_quarantined_rows_id_is_the_digest_of_dataset_month_row_and_occurrence(rows_of):
    month = rows_of({"department": None}, {"department": None})
    assert len(month.quarantined) == 2
    for number, row in enumerate(month.quarantined):
        raw = row[-1]
        key = f"{LIVE}\x1f2025-08\x1f{raw}\x1f{number}"
        assert row == (hashlib.sha256(key.encode()).hexdigest(), LIVE, "2025-08", "department is missing", raw)
        assert json.loads(raw)["address"] == "2538 E GEORGIA ST"


def test_at_the_seam_two_datasets_share_one_numbering_and_keep_their_own_counts(served, areas, released_on):
    opened = {OPENED: "2022-01-01T05:00:00+00:00"}
    parts = {
        ARCHIVE: clean(served(opened, opened | {"department": None}), "2022-01", areas, released_on),
        LIVE: clean(served(opened, opened), "2022-01", areas, released_on),
    }
    month = month_rows("2022-01", parts)
    assert month.stored_by_dataset == {ARCHIVE: 1, LIVE: 2}
    assert month.quarantined_by_dataset == {ARCHIVE: 1, LIVE: 0}
    assert sorted(named(row)["occurrence"] for row in month.requests) == [0, 1, 2]
    assert month_rows("2022-01", dict(reversed(parts.items()))).requests == month.requests
