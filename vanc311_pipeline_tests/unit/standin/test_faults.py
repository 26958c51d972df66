"""Claims about faults: each kind does what it says, on the requests it is meant for, as often as it is meant to."""

import gzip
import json
import zlib

import pytest
import requests
import urllib3

from vanc311_pipeline.standin import Fault

OPENED, CLOSED = "service_request_open_timestamp", "service_request_close_date"
PATH = "/api/explore/v2.1/catalog/datasets/3-1-1-service-requests"


@pytest.fixture
def live(opened, sample):
    return opened(requests=sample.head(100))


def fetched(portal, path="/exports/csv"):
    """What arrives until the connection breaks, and whether it broke."""
    content = b""
    try:
        with requests.get(f"{portal.url}{PATH}{path}", stream=True, timeout=0.4) as answer:
            assert answer.status_code == 200
            for piece in answer.raw.stream(decode_content=True):
                content += piece
    except urllib3.exceptions.HTTPError:
        return content, True
    return content, False


@pytest.mark.parametrize(("kind", "rows"), [("cut_at_row", 30), ("cut_mid_row", 30), ("stall", 50)])
def test_a_body_breaks_off_where_it_is_told_to(live, kind, rows):
    portal, ask = live
    portal.play(Fault(kind) if kind == "stall" else Fault(kind, rows=rows))
    content, broke = fetched(portal)
    assert broke
    assert content.count(b"\r\n") == rows + 1
    assert content.endswith(b"\r\n") == (kind != "cut_mid_row")
    assert ask("/exports/csv").status_code == 200


def test_a_short_answer_is_well_formed_and_an_interrupted_one_ends_in_the_portals_words(live):
    portal, ask = live
    portal.play(Fault("short", rows=99))
    portal.play(Fault("interrupted", rows=5, message="shard failed (error_code: X)", after=1))
    assert len(ask("/exports/json").json()) == 99
    answer = ask("/exports/csv")
    assert answer.status_code == 200
    assert answer.text.endswith("\r\nStreaming interrupted due to the following error: shard failed (error_code: X)")
    assert answer.text.count("\r\n") == 6


@pytest.mark.parametrize("kind", ["endless", "gzip_bomb"])
def test_a_body_can_go_on_after_its_end(live, kind):
    portal, ask = live
    whole = ask("/exports/csv").content
    portal.play(Fault(kind, bytes=300_000))
    assert ask("/exports/csv").content == whole + b"\n" * 300_000


@pytest.mark.parametrize(
    ("kind", "error"), [("corrupt_gzip", (zlib.error, gzip.BadGzipFile, EOFError)), ("truncated_gzip", EOFError)]
)
def test_a_gzip_stream_can_be_damaged_or_lack_its_end_though_the_response_ends_cleanly(live, kind, error):
    portal, _ = live
    portal.play(Fault(kind))
    with requests.get(f"{portal.url}{PATH}/exports/csv", stream=True, timeout=5) as answer:
        content = answer.raw.read(decode_content=False)
    with pytest.raises(error):
        gzip.decompress(content)


def test_an_answer_can_be_a_redirect_a_web_page_or_something_else(live):
    portal, ask = live
    for turn, fault in enumerate(("redirect", "maintenance_page", "malformed", "server_500", "server_502")):
        details = {"redirect": {"location": "http://127.0.0.1:9/"}, "malformed": {"text": "[null]"}}.get(fault, {})
        portal.play(Fault(fault, after=turn, **details))
    with pytest.raises(requests.ConnectionError, match="port=9"):
        ask()
    page = ask()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "maintenance" in page.text
    assert ask().json() == [None]
    assert [ask().status_code for _ in range(3)] == [500, 502, 200]


def test_a_lasting_fault_ends_when_it_is_cleared(live):
    portal, ask = live
    portal.play(Fault("rate_headers_absent"))
    assert not [name for name in ask().headers if name.startswith("x-ratelimit")]
    portal.play(Fault("dataset_gone", dataset="local-area-boundary"))
    areas = {"path": "/exports/geojson", "dataset": "local-area-boundary"}
    assert [ask(**areas).status_code, ask().status_code] == [404, 200]
    portal.play(Fault("quota_429"))
    assert [ask().status_code, ask("/records").json()["errorcode"]] == [429, 10002]
    portal.clear_faults()
    assert [ask(**areas).status_code, "x-ratelimit-limit" in ask().headers] == [200, True]


def processed(ask):
    return ask().json()["metas"]["default"]["data_processed"]


def test_a_release_during_an_export_leaves_that_export_of_one_release(live):
    portal, ask = live
    healthy, before = ask("/exports/csv").content, processed(ask)
    portal.play(Fault("release_moves_during_export", edit="delete"))
    assert ask("/exports/csv").content == healthy
    assert processed(ask) > before
    assert ask("/records").json()["total_count"] == 99


def test_a_release_during_an_export_can_mix_two_releases(opened, sample):
    portal, ask = opened(requests=sample.head(100), export_during_publish="mix")
    portal.play(Fault("release_moves_during_export", edit="relabel_type"))
    rows = ask("/exports/json").json()
    old, new = (set(frame["service_request_type"]) for frame in (sample.head(100), portal.frame))
    assert len(rows) == 100
    assert {row["service_request_type"] for row in rows} > (old - new) | (new - old)


@pytest.mark.parametrize("by", [-3, 3])
def test_counts_can_disagree_with_the_export(live, by):
    portal, ask = live
    portal.play(Fault("records_count_off", by=by))
    portal.play(Fault("total_count_off", by=by))
    assert ask().json()["metas"]["default"]["records_count"] == 100 + by
    assert ask("/records").json()["total_count"] == 100 + by
    assert len(ask("/exports/json").json()) == 100


def test_a_count_can_flap_while_the_rows_stay(live):
    portal, ask = live
    portal.play(Fault("count_flaps"))
    answers = [ask("/records").json() for _ in range(7)]
    assert [answer["total_count"] for answer in answers] == [0, 0, 100, 100, 100, 0, 0]
    assert {len(answer["results"]) for answer in answers} == {10}


def test_the_order_of_rows_can_change_between_requests(live):
    portal, ask = live
    portal.play(Fault("page_order_changes"))
    first, second = (ask("/exports/csv").text.split("\r\n") for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


def names_everywhere(ask):
    """Field names in metadata, a page and two exports; they agree whatever the fault."""
    metadata = [field["name"] for field in ask().json()["fields"]]
    places = [
        list(ask("/records").json()["results"][0]),
        list(ask("/exports/json").json()[0]),
        ask("/exports/csv", with_bom="false").text.split("\r\n")[0].split(";"),
    ]
    assert all(names == metadata for names in places)
    return metadata


def test_a_field_can_be_added_dropped_moved_and_retyped(live):
    portal, ask = live
    healthy = names_everywhere(ask)
    for fault in ("field_added", "field_dropped", "field_reordered"):
        portal.play(Fault(fault, **({} if fault == "field_added" else {"field": "longitude"})))
        fields = names_everywhere(ask)
        expected = {"field_added": [*healthy, "ward"], "field_dropped": [n for n in healthy if n != "longitude"]}
        assert fields == expected.get(fault, ["longitude", *[n for n in healthy if n != "longitude"]])
        portal.clear_faults()
    portal.play(Fault("field_retyped", field="latitude"))
    assert {field["name"]: field["type"] for field in ask().json()["fields"]}["latitude"] == "text"
    latitudes = {row["latitude"] for row in ask("/exports/json").json()} - {None}
    assert {type(latitude) for latitude in latitudes} == {str}


def test_a_garbled_field_is_in_the_export_but_not_in_the_metadata(live):
    portal, ask = live
    portal.play(Fault("garbled_field", field=OPENED, value="25/08/2025", rows=2))
    assert [row[OPENED] for row in ask("/exports/json").json()].count("25/08/2025") == 2
    assert {field["name"]: field["type"] for field in ask().json()["fields"]}[OPENED] == "datetime"


def test_a_fault_strikes_only_what_it_is_on_spares_the_first_and_comes_a_number_of_times(live):
    portal, ask = live
    portal.play(Fault("server_500", on="grouped", after=1, times=2))
    assert ask("/exports/json").status_code == 200
    asked = [ask("/exports/json", group_by="status", select="count(*) as n").status_code for _ in range(4)]
    assert asked == [200, 500, 500, 200]


def test_faults_can_be_in_play_together_and_the_log_names_them(live):
    portal, ask = live
    portal.play(Fault("field_dropped", field="geom"))
    portal.play(Fault("short", rows=1))
    assert [len(row) for row in json.loads(ask("/exports/json").content)] == [12]
    assert portal.requests_log[-1].faults == ["field_dropped", "short"]
