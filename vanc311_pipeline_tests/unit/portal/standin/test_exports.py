"""Claims about the layouts of exports, byte for byte where the portal's bytes are known."""

from __future__ import annotations

import io
import json
import struct

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vanc311_pipeline.portal.standin import Options
from vanc311_pipeline.portal.standin.intake import SAMPLE_AREAS

OPENED = "service_request_open_timestamp"
R1 = (
    '{"department": "DBL - Property Use Inspections", "service_request_type": "Noise on Private Property Case", '
    '"status": "Close", "closure_reason": "Assigned to inspector", '
    '"service_request_open_timestamp": "2025-08-25T15:03:00+00:00", "service_request_close_date": "2025-08-27", '
    '"last_modified_timestamp": "2025-08-27T18:56:08+00:00", "address": null, "local_area": "Marpole", '
    '"channel": "WEB", "latitude": null, "longitude": null, "geom": null}'
)
R2 = (
    '{"department": "ENG - Traffic and Electrical Operations and Design", '
    '"service_request_type": "Street Light Out Case", "status": "Close", "closure_reason": "Service provided", '
    '"service_request_open_timestamp": "2023-12-11T14:48:14+00:00", "service_request_close_date": "2023-12-21", '
    '"last_modified_timestamp": "2023-12-21T16:09:07+00:00", "address": "4375 ROSS ST", '
    '"local_area": "Kensington-Cedar Cottage", "channel": "Mobile App", "latitude": 49.24588847779, '
    '"longitude": -123.08183124972, "geom": {"lon": -123.08183124972, "lat": 49.24588847779}}'
)


@pytest.fixture
def ask_three(opened, three_rows):
    return opened(requests=three_rows)[1]


def test_json_is_one_bare_array_on_one_line(ask_three):
    body = ask_three("/exports/json", where='status = "Close"', order_by=f"{OPENED} desc").text
    assert body == f"[{R1},{R2}]"


def test_jsonl_is_one_object_a_line_with_a_newline_after_the_last(ask_three):
    body = ask_three("/exports/jsonl", where='status = "Close"', order_by=f"{OPENED} desc").text
    assert body == f"{R1}\n{R2}\n"


def test_an_export_of_no_rows_is_an_empty_array_or_a_header(ask_three):
    assert ask_three("/exports/json", where='status = "x"').text == "[]"
    assert ask_three("/exports/jsonl", where='status = "x"').text == ""
    assert ask_three("/exports/csv", where='status = "x"').text.count("\r\n") == 1


def test_csv_comes_back_as_it_went_in(ask_three, three_rows):
    lines = ask_three("/exports/csv", with_bom="false").content.split(b"\r\n")
    assert lines[-1] == b""
    assert sorted(lines) == sorted(three_rows.read_bytes().split(b"\r\n"))
    assert lines[0] == three_rows.read_bytes().split(b"\r\n")[0]


def test_csv_has_a_byte_order_mark_unless_told_otherwise(ask_three):
    assert ask_three("/exports/csv").content.startswith(b"\xef\xbb\xbfdepartment;")
    assert ask_three("/exports/csv", with_bom="false").content.startswith(b"department;")


def test_csv_with_labels(ask_three):
    assert ask_three("/exports/csv", use_labels="true", with_bom="false").text.split("\r\n")[0] == (
        "Department;Service request type;Status;Closure reason;Service request open timestamp;"
        "Service request close date;Last modified timestamp;Address;Local area;Channel;Latitude;Longitude;geom"
    )


def test_csv_quotes_only_what_contains_the_delimiter(ask_three):
    body = ask_three("/exports/csv", delimiter=",", where="geom is not null", select="latitude, geom", limit=1).text
    assert body.split("\r\n")[1].count('"') == 2
    assert '"' not in ask_three("/exports/csv", delimiter=";").text


def test_csv_doubles_quotes(opened, sample):
    frame = sample.head(1).assign(address='5 "A"; B ST')
    _, ask = opened(requests=frame)
    assert ask("/exports/csv", select="address").content.endswith(b'\r\n"5 ""A""; B ST"\r\n')


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_csv_knows_four_delimiters(ask_three, delimiter):
    assert ask_three("/exports/csv", delimiter=delimiter, with_bom="false").text.startswith(
        f"department{delimiter}service_request_type{delimiter}"
    )


def test_a_fifth_delimiter_is_400(ask_three):
    assert ask_three("/exports/csv", delimiter="#").status_code == 400


def test_instants_are_printed_in_the_timezone_and_dates_are_not_shifted(ask_three):
    row = ask_three("/exports/json", where='address = "4375 ROSS ST"', timezone="America/Vancouver").json()[0]
    assert row[OPENED] == "2023-12-11T06:48:14-08:00"
    assert row["last_modified_timestamp"] == "2023-12-21T08:09:07-08:00"
    assert row["service_request_close_date"] == "2023-12-21"


def test_geojson_is_compact_with_geometry_first_and_without_the_geometry_among_the_properties(ask_three):
    body = ask_three("/exports/geojson", where='address = "4375 ROSS ST"').text
    assert body.startswith(
        '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":'
        '{"coordinates":[-123.08183124972,49.24588847779],"type":"Point"},"properties":{"department":"ENG - Traffic'
    )
    assert body.endswith('"latitude":49.24588847779,"longitude":-123.08183124972}}]}')


def test_geojson_without_a_place_has_a_null_geometry(ask_three):
    feature = ask_three("/exports/geojson", where="geom is null").json()["features"][0]
    assert feature["geometry"] is None


def test_the_areas_come_back_byte_for_byte(ask):
    assert ask("/exports/geojson", dataset="local-area-boundary").content == SAMPLE_AREAS.read_bytes()


def test_parquet_has_typed_columns_in_field_order(ask):
    schema = pq.read_schema(io.BytesIO(ask("/exports/parquet", limit=10, timezone="UTC").content))
    assert schema.names[:2] == ["department", "service_request_type"]
    assert schema.names[-1] == "geom"
    assert schema.field(OPENED).type == pa.timestamp("ms", tz="UTC")
    assert schema.field("service_request_close_date").type == pa.date32()
    assert json.loads(schema.metadata[b"geo"])["columns"]["geom"]["encoding"] == "WKB"


def test_parquet_geometry_is_wkb_with_longitude_first(ask_three):
    content = ask_three("/exports/parquet", where='address = "4375 ROSS ST"').content
    geom = pq.read_table(io.BytesIO(content)).column("geom").to_pylist()
    assert geom == [struct.pack("<BIdd", 1, 1, -123.08183124972, 49.24588847779)]
    content = ask_three("/exports/parquet", where="geom is null").content
    assert pq.read_table(io.BytesIO(content)).column("geom").to_pylist() == [None]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("us_utc", pa.timestamp("us", tz="UTC")), ("naive", pa.timestamp("us")), ("string", pa.string())],
)
def test_the_parquet_timestamp_is_an_option(opened, three_rows, setting, expected):
    _, ask = opened(requests=three_rows, options=Options(parquet_timestamp=setting, parquet_geom="absent"))
    schema = pq.read_schema(io.BytesIO(ask("/exports/parquet").content))
    assert schema.field(OPENED).type == expected
    assert "geom" not in schema.names


def test_all_formats_hold_the_same_rows(ask, sample):
    where = 'channel = "Chat"'
    csv = pd.read_csv(io.BytesIO(ask("/exports/csv", where=where).content), sep=";", encoding="utf-8-sig")
    jsonl = ask("/exports/jsonl", where=where).text.splitlines()
    parquet = pq.read_table(io.BytesIO(ask("/exports/parquet", where=where).content))
    counts = {len(csv), len(jsonl), len(ask("/exports/json", where=where).json()), parquet.num_rows}
    assert counts == {(sample["channel"] == "Chat").sum()}


def test_an_export_has_no_cap(ask, sample):
    assert len(ask("/exports/jsonl").text.splitlines()) == len(sample) == 11024


def test_rows_is_an_alias_of_limit(ask):
    assert len(ask("/exports/json", rows=3).json()) == len(ask("/exports/json", limit=3).json()) == 3


def test_offset_on_an_export_fails_as_text_inside_a_200(ask):
    answer = ask("/exports/csv", offset=1)
    assert answer.status_code == 200
    assert answer.text.endswith(
        "Streaming interrupted due to the following error: Invalid value for sum of offset + limit API parameter: "
        "11024 was found but <= 10000 is expected. (error_code: InvalidRESTParameterError)"
    )


def test_shapes_are_refused_before_a_byte_is_sent_where_their_layout_is_unknown(ask):
    for format_name in ("csv", "json", "parquet"):
        assert ask(f"/exports/{format_name}", dataset="local-area-boundary").status_code == 501
    assert ask("/records", dataset="local-area-boundary").status_code == 501
    assert len(ask("/records", dataset="local-area-boundary", select="name", limit=100).json()["results"]) == 22


def test_nulls_can_be_omitted(opened, three_rows):
    _, ask = opened(requests=three_rows, options=Options(nulls="omitted"))
    assert "geom" not in ask("/exports/json", where="geom is null").json()[0]
