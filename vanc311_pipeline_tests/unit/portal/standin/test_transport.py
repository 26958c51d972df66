"""Claims about headers, compression, quota and refusals, whatever is asked."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest
import requests

from vanc311_pipeline.portal.standin import Options


def test_a_200_is_chunked_and_has_no_length_no_etag_and_no_modification_date(ask):
    headers = ask("/records", limit=1).headers
    assert headers["transfer-encoding"] == "chunked"
    assert not {"content-length", "etag", "last-modified", "accept-ranges"} & {name.lower() for name in headers}


def test_a_200_names_its_server_and_forbids_caching(ask):
    headers = ask().headers
    assert headers["server"] == "openresty"
    assert headers["cache-control"] == "no-cache, no-store, max-age=0, must-revalidate"
    assert headers["vary"] == "Accept-Language, Cookie, Host"


def test_text_is_gzipped_only_when_the_client_accepts_it(ask):
    assert ask("/exports/csv", limit=1).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in ask("/exports/csv", limit=1, headers={"Accept-Encoding": "identity"}).headers


def test_parquet_is_never_gzipped(ask):
    assert "content-encoding" not in ask("/exports/parquet", limit=1).headers


def test_an_export_is_an_attachment_named_after_the_dataset(ask):
    disposition = ask("/exports/json", limit=1).headers["content-disposition"]
    assert disposition == 'attachment; filename="3-1-1-service-requests.json"'


@pytest.mark.parametrize(
    ("format_name", "content_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("json", "application/json; charset=utf-8"),
        ("jsonl", "application/jsonl; charset=utf-8"),
        ("parquet", "application/vnd.apache.parquet"),
        ("geojson", "application/geo+json"),
    ],
)
def test_each_format_has_its_content_type(ask, format_name, content_type):
    assert ask(f"/exports/{format_name}", limit=1).headers["content-type"] == content_type


def test_the_date_is_that_of_the_settable_clock(opened):
    portal, ask = opened()
    portal.set_clock(datetime(2026, 8, 17, 2, 40, 36, tzinfo=UTC))
    assert ask().headers["date"] == "Mon, 17 Aug 2026 02:40:36 GMT"


def test_the_rate_headers_count_down_and_name_the_next_midnight_with_a_space(opened):
    portal, ask = opened()
    portal.set_clock(datetime(2026, 8, 17, 2, 40, 36, tzinfo=UTC))
    first, second = ask().headers, ask("/records").headers
    assert (first["x-ratelimit-remaining"], second["x-ratelimit-remaining"]) == ("14999", "14998")
    assert first["x-ratelimit-limit"] == "15000"
    assert first["x-ratelimit-reset"] == "2026-08-18 00:00:00+00:00"


def test_a_used_up_quota_is_a_429_with_the_documented_body(opened):
    portal, ask = opened(options=Options(quota=1))
    portal.set_clock(datetime(2021, 1, 25, 9, tzinfo=UTC))
    ask()
    refused = ask()
    assert refused.status_code == 429
    assert refused.text == (
        '{"errorcode": 10002, "reset_time": "2021-01-26T00:00:00Z", "limit_time_unit": "day", "call_limit": 1, '
        '"error": "Too many requests on the domain. Please contact the domain administrator."}'
    )
    assert "retry-after" not in refused.headers
    assert "x-ratelimit-remaining" not in refused.headers


def test_the_quota_comes_back_at_midnight_utc(opened):
    portal, ask = opened(options=Options(quota=1))
    portal.set_clock(datetime(2026, 1, 7, 23, 59, 59, tzinfo=UTC))
    assert [ask().status_code, ask().status_code] == [200, 429]
    portal.set_clock(datetime(2026, 1, 8, tzinfo=UTC))
    assert ask().status_code == 200


def test_an_unknown_field_is_a_clean_400_byte_for_byte(ask):
    refused = ask("/exports/csv", select="no_such_field")
    assert refused.status_code == 400
    assert refused.content == (
        b'{\n  "error_code": "ODSQLError",\n  "message": "ODSQL query is malformed: Unknown field: no_such_field. '
        b'Clause(s) containing the error(s): select."\n}'
    )
    assert refused.headers["content-length"] == "147"
    assert refused.headers["content-type"] == "application/json"


def test_a_400_has_no_gzip_no_cache_control_and_no_rate_headers(ask):
    headers = ask("/records", where="nope = 1").headers
    assert not {"content-encoding", "cache-control", "x-ratelimit-remaining"} & {name.lower() for name in headers}


def test_an_unknown_dataset_is_a_gzipped_404_byte_for_byte(sample_portal):
    url = f"{sample_portal.url}/api/explore/v2.1/catalog/datasets/does-not-exist"
    with requests.get(url, timeout=5, stream=True) as refused:
        raw = refused.raw.read(decode_content=False)
    assert refused.status_code == 404
    assert refused.headers["content-encoding"] == "gzip"
    assert "cache-control" in refused.headers
    assert "x-ratelimit-remaining" not in refused.headers
    assert gzip.decompress(raw) == (
        b'{\n  "error_code": "NotFoundResource",\n'
        b'  "message": "The requested dataset does-not-exist does not exist."\n}'
    )


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/records", {"where": 'address like "MAIN"'}),
        ("/records", {"where": '"MAIN"'}),
        ("/records", {"where": 'search(address, "MAIN")'}),
        ("/records", {"where": "within_distance(geom, geom'POINT(1 1)', 1km)"}),
        ("/records", {"where": 'address > "A"'}),
        ("/records", {"group_by": "range(latitude, 1)"}),
        ("/records", {"group_by": "date_format(service_request_open_timestamp, 'E')"}),
        ("/records", {"select": "latitude + 1"}),
        ("/records", {"include_links": "true"}),
        ("/records", {"page": "2"}),
        ("/exports/xlsx", {}),
        ("/exports/csv", {"compressed": "true"}),
        ("/records/0123abc", {}),
        ("/attachments", {}),
    ],
)
def test_what_is_not_implemented_is_refused_with_501_and_named(ask, path, query):
    refused = ask(path, **query)
    assert refused.status_code == 501
    assert "The stand-in does not implement" in refused.json()["message"]


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE"])
def test_only_get_is_answered(sample_portal, method):
    url = f"{sample_portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests"
    assert requests.request(method, url, data=b"x", timeout=5).status_code == 501


def test_the_aggregates_endpoint_is_gone(ask):
    assert ask("/aggregates").status_code == 410


def test_conditional_and_range_requests_get_a_full_200(ask):
    headers = {"If-None-Match": '"x"', "Range": "bytes=0-9", "If-Modified-Since": "Mon, 17 Aug 2026 02:40:36 GMT"}
    assert ask("/records", limit=1, headers=headers).content == ask("/records", limit=1).content


def test_every_request_is_logged_in_order_with_status_and_rows(opened):
    portal, ask = opened()
    ask()
    ask("/records", limit=7)
    ask("/exports/csv", select="nope")
    assert [(each.method, each.status, each.rows) for each in portal.requests_log] == [
        ("GET", 200, 0),
        ("GET", 200, 7),
        ("GET", 400, 0),
    ]
    assert portal.requests_log[1].query == {"limit": "7"}
    portal.clear_log()
    assert portal.requests_log == []


def test_a_logged_record_keeps_no_api_key(opened):
    portal, ask = opened()
    ask("/records", limit=0, apikey="secret", headers={"Authorization": "Apikey secret"})
    assert portal.requests_log[0].headers["authorization"] == "Apikey secret"
    assert "secret" not in str(portal.requests_log[0].as_dict())
