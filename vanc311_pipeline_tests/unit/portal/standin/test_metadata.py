"""Claims about the metadata of the three datasets and about releases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

FIELDS = {
    "department": "text",
    "service_request_type": "text",
    "status": "text",
    "closure_reason": "text",
    "service_request_open_timestamp": "datetime",
    "service_request_close_date": "date",
    "last_modified_timestamp": "datetime",
    "address": "text",
    "local_area": "text",
    "channel": "text",
    "latitude": "double",
    "longitude": "double",
    "geom": "geo_point_2d",
}


def test_the_top_level_keys_come_in_the_portals_order(ask):
    assert list(ask().json()) == [
        *["visibility", "fields", "dataset_id", "dataset_uid", "has_records", "features", "attachments"],
        *["alternative_exports", "data_visible", "metas"],
    ]


@pytest.mark.parametrize("dataset", ["3-1-1-service-requests", "3-1-1-service-requests-2009-2021"])
def test_both_request_datasets_have_the_same_13_fields_in_order(ask, dataset):
    fields = ask(dataset=dataset).json()["fields"]
    assert {field["name"]: field["type"] for field in fields} == FIELDS
    assert [field["name"] for field in fields] == list(FIELDS)
    assert fields[4]["label"] == "Service request open timestamp"


def test_the_areas_have_a_name_a_shape_and_a_point(ask):
    fields = ask(dataset="local-area-boundary").json()["fields"]
    assert [(f["name"], f["type"]) for f in fields] == [
        ("name", "text"),
        ("geom", "geo_shape"),
        ("geo_point_2d", "geo_point_2d"),
    ]


def test_the_live_dataset_was_processed_when_it_was_modified(ask):
    metas = ask().json()["metas"]["default"]
    assert metas["data_processed"] == metas["modified"] == "2026-01-13T14:06:58+00:00"
    assert metas["records_count"] == 11024


def test_the_archive_was_modified_before_it_was_processed_and_is_frozen(ask):
    metas = ask(dataset="3-1-1-service-requests-2009-2021").json()["metas"]["default"]
    assert (metas["modified"], metas["data_processed"]) == ("2024-04-24T20:08:41+00:00", "2024-04-24T22:32:28+00:00")
    assert metas["modified_updates_on_data_change"] is False


def test_metadata_processed_moves_every_night_and_has_fractional_seconds(opened):
    portal, ask = opened()
    seen = []
    for day in (19, 20):
        portal.set_clock(datetime(2026, 1, day, 20, tzinfo=UTC))
        seen.append(ask().json()["metas"]["default"])
    assert seen[0]["metadata_processed"] < seen[1]["metadata_processed"]
    assert "." in seen[0]["metadata_processed"]
    assert seen[0]["data_processed"] == seen[1]["data_processed"]


def test_a_release_moves_contents_and_data_processed_by_a_day(opened):
    portal, ask = opened()
    portal.publish(portal.frame.head(10))
    metas = ask().json()["metas"]["default"]
    assert (metas["records_count"], metas["data_processed"]) == (10, "2026-01-14T14:06:58+00:00")


def test_a_release_may_name_its_moment(opened):
    portal, ask = opened()
    portal.publish(portal.frame, released_at=datetime(2026, 2, 1, 14, 21, 52, tzinfo=UTC))
    assert ask().json()["metas"]["default"]["data_processed"] == "2026-02-01T14:21:52+00:00"
