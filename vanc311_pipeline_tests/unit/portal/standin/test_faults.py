"""Claims about faults: each kind does what it says, on the requests it is meant for, as often as it is meant to."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import urllib3

from vanc311_pipeline.portal.standin import Fault, Options

OPENED, CLOSED = "service_request_open_timestamp", "service_request_close_date"


@pytest.fixture
def live(opened, sample):
    return opened(requests=sample.head(100))


def fetched_before_the_cut(portal, path="/exports/csv", **query):
    """What arrives until the connection breaks, and whether it broke."""
    url = f"{portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests{path}"
    content = b""
    try:
        with requests.get(url, params=query, stream=True, timeout=0.4) as answer:
            assert answer.status_code == 200
            for piece in answer.raw.stream(decode_content=True):
                content += piece
    except urllib3.exceptions.HTTPError:
        return content, True
    return content, False


def test_a_cut_at_a_row_boundary_leaves_whole_rows_only(live):
    portal, _ = live
    portal.play(Fault("cut_at_row", rows=30))
    content, broke = fetched_before_the_cut(portal)
    assert broke
    assert content.endswith(b"\r\n")
    assert content.count(b"\r\n") == 31


def test_a_cut_mid_row_leaves_half_a_row(live):
    portal, _ = live
    portal.play(Fault("cut_mid_row", rows=30))
    content, broke = fetched_before_the_cut(portal)
    assert broke
    assert not content.endswith(b"\r\n")
    assert content.count(b"\r\n") == 31


@pytest.mark.parametrize("format_name", ["json", "jsonl", "geojson", "parquet"])
def test_every_format_can_be_cut(live, format_name):
    portal, _ = live
    portal.play(Fault("cut_mid_row"))
    assert fetched_before_the_cut(portal, f"/exports/{format_name}")[1]


def test_a_cut_reaches_a_client_as_an_error(live):
    portal, ask = live
    portal.play(Fault("cut_at_row"))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask("/exports/csv")
    assert ask("/exports/csv").status_code == 200


@pytest.mark.parametrize("format_name", ["csv", "json", "jsonl", "geojson", "parquet"])
def test_a_short_answer_is_well_formed(live, format_name):
    portal, ask = live
    portal.play(Fault("short", rows=99))
    content = ask(f"/exports/{format_name}").content
    rows = {
        "csv": lambda: content.count(b"\r\n") - 1,
        "json": lambda: len(json.loads(content)),
        "jsonl": lambda: content.count(b"\n"),
        "geojson": lambda: len(json.loads(content)["features"]),
        "parquet": lambda: pq.read_metadata(io.BytesIO(content)).num_rows,
    }
    assert rows[format_name]() == 99


def test_an_interrupted_export_ends_in_the_portals_words(live):
    portal, ask = live
    portal.play(Fault("interrupted", rows=5, message="shard failed (error_code: X)"))
    answer = ask("/exports/csv")
    assert answer.status_code == 200
    assert answer.text.endswith("\r\nStreaming interrupted due to the following error: shard failed (error_code: X)")
    assert answer.text.count("\r\n") == 6


def test_a_quota_429_lasts_until_it_is_cleared(live):
    portal, ask = live
    portal.play(Fault("quota_429"))
    assert [ask().status_code, ask("/records").status_code] == [429, 429]
    assert ask().json()["errorcode"] == 10002
    portal.clear_faults()
    assert ask().status_code == 200


def test_an_odd_429_says_what_it_is_told_to(live):
    portal, ask = live
    portal.play(Fault("odd_429", times=1))
    portal.play(Fault("odd_429", reset_time="soon", unit="second", retry_after="1", after=1))
    assert datetime.fromisoformat(ask().json()["reset_time"]).replace(tzinfo=UTC).year > 2100
    odd = ask()
    assert (odd.status_code, odd.headers["retry-after"]) == (429, "1")
    assert (odd.json()["reset_time"], odd.json()["limit_time_unit"]) == ("soon", "second")
    assert ask().status_code == 200


@pytest.mark.parametrize("kind", ["endless", "gzip_bomb"])
def test_a_body_can_go_on_after_its_end(live, kind):
    portal, ask = live
    whole = ask("/exports/csv").content
    portal.play(Fault(kind, bytes=300_000))
    assert ask("/exports/csv").content == whole + b"\n" * 300_000


def test_headers_can_drip(live):
    portal, ask = live
    portal.play(Fault("dripping_headers", seconds=9))
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests", timeout=0.1)
    assert ask().status_code == 200


def test_an_answer_can_be_a_redirect_or_something_else(live):
    portal, ask = live
    portal.play(Fault("redirect", location="http://127.0.0.1:9/"))
    portal.play(Fault("malformed", text="[null]", after=1))
    with pytest.raises(requests.ConnectionError, match="port=9"):
        ask()
    assert ask().json() == [None]


@pytest.mark.parametrize("status", [500, 502])
def test_a_failing_server_recovers_after_n_times(live, status):
    portal, ask = live
    portal.play(Fault(f"server_{status}", times=2))
    assert [ask().status_code for _ in range(3)] == [status, status, 200]


def test_a_failing_server_can_fail_for_ever(live):
    portal, ask = live
    portal.play(Fault("server_500", times=None))
    assert {ask().status_code for _ in range(10)} == {500}


def test_a_slow_drip_comes_a_few_bytes_at_a_time(live):
    portal, _ = live
    portal.play(Fault("slow_drip", bytes=500, seconds=0.001))
    url = f"{portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests/exports/csv"
    with requests.get(url, stream=True, timeout=5, headers={"Accept-Encoding": "identity"}) as answer:
        sizes = [len(piece) for piece in answer.raw.read_chunked()]
    assert max(sizes) == 500
    assert len(sizes) > 20


def test_a_stall_runs_into_the_clients_timeout(live):
    portal, _ = live
    portal.play(Fault("stall"))
    content, broke = fetched_before_the_cut(portal)
    assert broke
    assert content.count(b"\r\n") == 51


def test_a_refused_connection_gives_no_answer(live):
    portal, ask = live
    portal.play(Fault("refused"))
    with pytest.raises(requests.ConnectionError):
        ask()
    assert ask().status_code == 200


def test_a_maintenance_page_is_html_with_status_200(live):
    portal, ask = live
    portal.play(Fault("maintenance_page"))
    answer = ask("/exports/csv")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<html>" in answer.text


def processed(ask):
    return ask().json()["metas"]["default"]["data_processed"]


def test_a_release_during_an_export_leaves_that_export_of_one_release(live):
    portal, ask = live
    healthy, before = ask("/exports/csv").content, processed(ask)
    portal.play(Fault("release_moves_during_export", edit="delete"))
    assert ask("/exports/csv").content == healthy
    assert processed(ask) > before
    assert ask("/records", limit=0).json()["total_count"] == 99


def test_a_release_during_an_export_can_mix_two_releases(opened, sample):
    portal, ask = opened(requests=sample.head(100), options=Options(export_during_publish="mix"))
    portal.play(Fault("release_moves_during_export", edit="relabel_type"))
    mixed = {row["service_request_type"] for row in ask("/exports/json").json()}
    old, new = ({*portal_types} for portal_types in (sample.head(100)["service_request_type"], portal.frame.iloc[:, 1]))
    assert mixed & (old - new)
    assert mixed & (new - old)


def test_data_processed_can_move_with_nothing_changed(live):
    portal, ask = live
    before, healthy = processed(ask), ask("/exports/csv").content
    portal.play(Fault("release_moves_unchanged"))
    assert processed(ask) > before
    assert ask("/exports/csv").content == healthy


@pytest.mark.parametrize("by", [-3, 3])
def test_counts_can_disagree_with_the_export(live, by):
    portal, ask = live
    portal.play(Fault("records_count_off", by=by))
    portal.play(Fault("total_count_off", by=by))
    assert ask().json()["metas"]["default"]["records_count"] == 100 + by
    assert ask("/records", limit=0).json()["total_count"] == 100 + by
    assert len(ask("/exports/json").json()) == 100


def test_the_order_of_pages_can_change_between_requests(live):
    portal, ask = live
    portal.play(Fault("page_order_changes"))
    first, second = (ask("/exports/csv").text.split("\r\n") for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


def names_everywhere(ask):
    """Field names in metadata, a page, and three exports; they agree whatever the fault."""
    metadata = [field["name"] for field in ask().json()["fields"]]
    places = [
        list(ask("/records", limit=1).json()["results"][0]),
        list(ask("/exports/json", limit=1).json()[0]),
        ask("/exports/csv", with_bom="false").text.split("\r\n")[0].split(";"),
        pq.read_schema(io.BytesIO(ask("/exports/parquet").content)).names,
    ]
    assert all(names == metadata for names in places)
    return metadata


def test_a_field_can_be_added_at_the_end_or_at_the_front(live):
    portal, ask = live
    healthy = names_everywhere(ask)
    portal.play(Fault("field_added", field="ward", value="7", type="int"))
    assert names_everywhere(ask) == [*healthy, "ward"]
    assert ask("/exports/json", limit=1).json()[0]["ward"] == 7
    portal.clear_faults()
    portal.play(Fault("field_added", field="ward", first=True))
    assert names_everywhere(ask) == ["ward", *healthy]


def test_a_field_can_be_dropped(live):
    portal, ask = live
    portal.play(Fault("field_dropped", field="channel"))
    assert "channel" not in names_everywhere(ask)
    assert ask("/exports/csv", select="channel").status_code == 400


def test_fields_can_be_reordered(live):
    portal, ask = live
    healthy = names_everywhere(ask)
    portal.play(Fault("field_reordered", field="longitude"))
    assert names_everywhere(ask) == ["longitude", *[name for name in healthy if name != "longitude"]]


def test_a_field_can_be_retyped_in_metadata_and_exports(live):
    portal, ask = live
    portal.play(Fault("field_retyped", field=CLOSED, type="datetime"))
    assert {field["name"]: field["type"] for field in ask().json()["fields"]}[CLOSED] == "datetime"
    assert ask("/exports/json", limit=1).json()[0][CLOSED].endswith("T00:00:00+00:00")
    assert pq.read_schema(io.BytesIO(ask("/exports/parquet").content)).field(CLOSED).type == pa.timestamp(
        "ms", tz="UTC"
    )


def test_a_garbled_field_is_in_the_export_but_not_in_the_metadata(live):
    portal, ask = live
    portal.play(Fault("garbled_field", field=OPENED, value="25/08/2025", rows=2))
    values = [row[OPENED] for row in ask("/exports/json").json()]
    assert values.count("25/08/2025") == 2
    assert {field["name"]: field["type"] for field in ask().json()["fields"]}[OPENED] == "datetime"


def test_the_parquet_layout_can_change(live):
    portal, ask = live
    portal.play(Fault("parquet_layout"))
    schema = pq.read_schema(io.BytesIO(ask("/exports/parquet").content))
    assert schema.field(OPENED).type == pa.timestamp("us")
    assert schema.field(CLOSED).type == pa.string()
    assert "geom" not in schema.names


def test_rate_headers_can_be_absent(live):
    portal, ask = live
    portal.play(Fault("rate_headers_absent"))
    assert not [name for name in ask().headers if name.lower().startswith("x-ratelimit")]


def test_a_dataset_can_be_gone(live):
    portal, ask = live
    portal.play(Fault("dataset_gone", dataset="local-area-boundary"))
    assert ask(dataset="local-area-boundary").json()["error_code"] == "NotFoundResource"
    assert ask().status_code == 200


def raw_gzip(portal):
    url = f"{portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests/exports/csv"
    with requests.get(url, stream=True, timeout=5) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        return answer.raw.read(decode_content=False)


def test_a_corrupt_gzip_stream_can_not_be_unpacked(live):
    portal, ask = live
    portal.play(Fault("corrupt_gzip", times=2))
    with pytest.raises((zlib.error, gzip.BadGzipFile, EOFError)):
        gzip.decompress(raw_gzip(portal))
    with pytest.raises(requests.exceptions.ContentDecodingError):
        ask("/exports/csv")


def test_a_truncated_gzip_stream_ends_cleanly_without_its_end(live):
    portal, _ = live
    portal.play(Fault("truncated_gzip"))
    with pytest.raises(EOFError):
        gzip.decompress(raw_gzip(portal))


def test_a_fault_spares_the_first_requests_and_strikes_a_number_of_times(live):
    portal, ask = live
    portal.play(Fault("server_500", on="records", after=1, times=2))
    ask()
    assert [ask("/records").status_code for _ in range(4)] == [200, 500, 500, 200]


def test_a_fault_strikes_only_the_requests_it_is_on(live):
    portal, ask = live
    portal.play(Fault("server_500", on="grouped", times=None))
    assert ask("/exports/json", limit=1).status_code == 200
    assert ask("/exports/json", group_by="status").status_code == 500
    assert ask("/records", group_by="status").status_code == 500


def test_a_fault_can_be_aimed_at_one_request_by_a_text_in_its_address(live):
    portal, ask = live
    portal.play(Fault("server_500", match="2024-03-01", times=None))
    statuses = [ask("/exports/csv", where=f'{OPENED} < "{day}"').status_code for day in ("2024-02-01", "2024-03-01")]
    assert statuses == [200, 500]


def test_faults_can_be_in_play_together(live):
    portal, ask = live
    portal.play(Fault("field_dropped", field="geom"))
    portal.play(Fault("short", rows=1))
    assert [len(row) for row in ask("/exports/json").json()] == [12]


def test_the_log_names_the_faults_that_a_request_met(live):
    portal, ask = live
    portal.play(Fault("short", rows=1))
    ask("/exports/csv")
    assert (portal.requests_log[-1].faults, portal.requests_log[-1].rows) == (["short"], 1)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("earthquake", {}),
        ("short", {"lines": 3}),
        ("short", {"rows": "many"}),
        ("short", {"on": "mondays"}),
    ],
)
def test_a_fault_that_does_not_exist_can_not_be_made(kind, settings):
    with pytest.raises(ValueError, match=r"."):
        Fault(kind, **settings)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("field_dropped", field="ward"),
        Fault("field_retyped", field="status", type="date"),
        Fault("field_added", type="geo_shape"),
        Fault("release_moves_during_export", edit="nothing"),
        Fault("short", dataset="parking-tickets"),
    ],
)
def test_a_fault_that_does_not_fit_the_dataset_can_not_be_played(live, fault):
    with pytest.raises(ValueError, match=r"\."):
        live[0].play(fault)
