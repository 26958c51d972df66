"""Claims about headers, compression, quota, metadata and releases, whatever is asked."""

import gzip
from datetime import UTC, datetime

import pytest
import requests

from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, PORTAL_FIELDS


def test_a_200_has_the_portals_headers_and_none_that_it_lacks(opened):
    portal, ask = opened()
    portal.set_clock(datetime(2026, 8, 17, 2, 40, 36, tzinfo=UTC))
    headers = {name.lower(): value for name, value in ask("/exports/csv").headers.items()}
    assert headers["server"] == "openresty"
    assert headers["date"] == "Mon, 17 Aug 2026 02:40:36 GMT"
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="3-1-1-service-requests.csv"'
    assert headers["cache-control"] == "no-cache, no-store, max-age=0, must-revalidate"
    assert headers["x-ratelimit-reset"] == "2026-08-18 00:00:00+00:00"
    assert (headers["transfer-encoding"], headers["content-encoding"]) == ("chunked", "gzip")
    assert not {"content-length", "etag", "last-modified", "accept-ranges", "retry-after"} & set(headers)
    assert ask().headers["x-ratelimit-remaining"] == "14998"


def test_a_used_up_quota_is_a_429_with_the_documented_body_until_midnight_utc(opened):
    portal, ask = opened(quota=1)
    portal.set_clock(datetime(2021, 1, 25, 9, tzinfo=UTC))
    assert ask().status_code == 200
    refused = ask()
    assert refused.status_code == 429
    assert refused.text == (
        '{"errorcode": 10002, "reset_time": "2021-01-26T00:00:00Z", "limit_time_unit": "day", "call_limit": 1, '
        '"error": "Too many requests on the domain. Please contact the domain administrator."}'
    )
    assert not {"retry-after", "x-ratelimit-remaining"} & {name.lower() for name in refused.headers}
    portal.set_clock(datetime(2021, 1, 26, tzinfo=UTC))
    assert ask().status_code == 200


def test_an_unknown_dataset_is_a_gzipped_404_byte_for_byte(sample_portal):
    url = f"{sample_portal.url}/api/explore/v2.1/catalog/datasets/does-not-exist"
    with requests.get(url, timeout=5, stream=True) as refused:
        raw = refused.raw.read(decode_content=False)
    assert (refused.status_code, refused.headers["content-encoding"]) == (404, "gzip")
    assert "cache-control" in refused.headers
    assert "x-ratelimit-remaining" not in refused.headers
    assert gzip.decompress(raw) == (
        b'{\n  "error_code": "NotFoundResource",\n'
        b'  "message": "The requested dataset does-not-exist does not exist."\n}'
    )


@pytest.mark.parametrize("dataset", ["3-1-1-service-requests", "3-1-1-service-requests-2009-2021"])
def test_both_request_datasets_have_the_same_13_fields_in_order(ask, dataset):
    document = ask(dataset=dataset).json()
    assert document["dataset_id"] == dataset
    assert [field["type"] for field in document["fields"]] == [
        *["text"] * 4, "datetime", "date", "datetime", *["text"] * 3, "double", "double", "geo_point_2d",
    ]  # fmt: skip
    assert [field["name"] for field in document["fields"]] == [*PORTAL_FIELDS, *KNOWN_EXTRA_FIELDS]


def test_metadata_processed_moves_every_night_and_data_processed_does_not(opened):
    portal, ask = opened()
    seen = []
    for day in (19, 20):
        portal.set_clock(datetime(2026, 1, day, 20, tzinfo=UTC))
        seen.append(ask().json()["metas"]["default"])
    assert seen[0]["metadata_processed"] < seen[1]["metadata_processed"]
    assert "." in seen[0]["metadata_processed"]
    assert seen[0]["data_processed"] == seen[1]["data_processed"] == "2026-01-13T14:06:58+00:00"
    assert seen[0]["records_count"] == 11_024


def test_a_release_moves_contents_and_data_processed_by_a_day_or_to_its_moment(opened):
    portal, ask = opened()
    portal.publish(portal.frame.head(10))
    metas = ask().json()["metas"]["default"]
    assert (metas["records_count"], metas["data_processed"]) == (10, "2026-01-14T14:06:58+00:00")
    portal.publish(portal.frame, released_at=datetime(2026, 2, 1, 14, 21, 52, tzinfo=UTC))
    assert ask().json()["metas"]["default"]["data_processed"] == "2026-02-01T14:21:52+00:00"
