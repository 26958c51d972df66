"""Claims about the questions that the pipeline asks: which rows and groups answer them, in which bytes, and what is refused."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vanc311_pipeline.standin.releases import SAMPLE_AREAS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
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

CSV = b"""\
department;service_request_type;status;closure_reason;service_request_open_timestamp;service_request_close_date;\
last_modified_timestamp;address;local_area;channel;latitude;longitude;geom\r
DBL - Property Use Inspections;Noise on Private Property Case;Close;Assigned to inspector;2025-08-25T15:03:00+00:00;\
2025-08-27;2025-08-27T18:56:08+00:00;;Marpole;WEB;;;\r
ENG - Traffic and Electrical Operations and Design;Street Light Out Case;Close;Service provided;\
2023-12-11T14:48:14+00:00;2023-12-21;2023-12-21T16:09:07+00:00;4375 ROSS ST;Kensington-Cedar Cottage;Mobile App;\
49.24588847779;-123.08183124972;49.24588847779, -123.08183124972\r
"""


@pytest.fixture
def two_rows():
    """The portal's own rows, one without a location."""
    frame = pd.DataFrame([json.loads(R1), json.loads(R2)]).drop(columns="geom")
    instants = {name: pd.to_datetime(frame[name]) for name in (OPENED, MODIFIED)}
    return frame.assign(**instants, **{CLOSED: pd.to_datetime(frame[CLOSED]).dt.date})


def between(low, high):
    return f'{OPENED} >= "{low}T00:00:00+00:00" and {OPENED} < "{high}T00:00:00+00:00"'


def counted(ask, where):
    answer = ask("/records", limit=1, where=where, timezone="UTC")
    assert answer.status_code == 200, answer.text
    return answer.json()["total_count"]


def test_the_half_open_months_and_null_hold_every_row_once(opened, sample):
    edges = [datetime(2025, month, 1, tzinfo=UTC) + timedelta(seconds=s) for month in range(1, 13) for s in (-1, 0, 1)]
    frame = sample.head(40).copy()
    frame[OPENED] = pd.Series([*edges, None, None, None, None], dtype="datetime64[ms, UTC]")
    _, ask = opened(requests=frame)
    firsts = [f"{first:%Y-%m-%d}" for first in pd.date_range("2024-12-01", "2026-01-01", freq="MS")]
    counts = [counted(ask, between(low, high)) for low, high in pairwise(firsts)]
    assert counts == [1, *[3] * 11, 2]
    assert counted(ask, f"{OPENED} is null") == 4
    outside = f'{OPENED} is null or {OPENED} < "2025-02-01T00:00:00+00:00" or {OPENED} >= "2025-12-01T00:00:00+00:00"'
    assert counted(ask, outside) == 4 + 4 + 2
    both = f"{OPENED} is null or {between('2025-03-01', '2025-04-01')}"
    assert counted(ask, both) == 4 + 3


def test_the_order_is_arbitrary_and_repeatable(ask):
    rows = ask("/records", limit=100).json()["results"]
    instants = [row[OPENED] for row in rows]
    assert instants != sorted(instants)
    assert rows == ask("/records", limit=100).json()["results"]


@pytest.mark.parametrize(("query", "rows"), [({}, 10), ({"limit": 0}, 0), ({"limit": 100}, 100)])
def test_a_page_has_ten_rows_unless_asked_otherwise(ask, query, rows):
    body = ask("/records", **query).json()
    assert (body["total_count"], len(body["results"])) == (11_024, rows)


def test_the_question_of_all_months_is_answered_as_pandas_would(ask, sample):
    groups = ask(
        "/exports/json",
        select=f"count(*) as n, count({CLOSED}) as closed, min({OPENED}) as first, max({MODIFIED}) as latest",
        group_by=f"date_format({OPENED},'yyyy-MM') as month, department, service_request_type",
        timezone="UTC",
    ).json()
    texts = {name: sample[name].dt.strftime("%Y-%m-%dT%H:%M:%S+00:00") for name in (OPENED, MODIFIED)}
    by_cell = sample.assign(month=texts[OPENED].str[:7], **texts).groupby(
        ["month", "department", "service_request_type"]
    )
    expected = by_cell.agg(
        n=("status", "size"), closed=(CLOSED, "count"), first=(OPENED, "min"), latest=(MODIFIED, "max")
    )
    assert [list(group.items()) for group in groups] == [
        list(group.items()) for group in expected.reset_index().to_dict("records")
    ]


def test_null_keys_are_groups_of_their_own_and_come_first(opened, sample):
    frame = sample.head(30).assign(local_area=None)
    frame.loc[4, OPENED] = None
    _, ask = opened(requests=frame)
    groups = ask(
        "/exports/json", select="count(*) as n", group_by=f"local_area, date_format({OPENED},'yyyy-MM') as m"
    ).json()
    assert groups[0] == {"local_area": None, "m": None, "n": 1}
    assert [group["m"] for group in groups[1:]] == sorted(group["m"] for group in groups[1:])
    assert sum(group["n"] for group in groups) == 30


def test_json_is_one_bare_array_on_one_line(opened, two_rows):
    _, ask = opened(requests=two_rows)
    assert ask("/exports/json").text in (f"[{R1},{R2}]", f"[{R2},{R1}]")
    assert ask("/exports/json", where=f"{OPENED} is null").text == "[]"
    page = ask("/records", limit=1, where=between("2025-01-01", "2026-01-01")).text
    assert page == f'{{"total_count": 1, "results": [{R1}]}}'


def test_csv_comes_as_the_portal_writes_it_with_a_byte_order_mark_unless_told_otherwise(opened, two_rows):
    _, ask = opened(requests=two_rows)
    lines = ask("/exports/csv", delimiter=";", with_bom="false", use_labels="false").content.split(b"\n")
    assert (lines[0], lines[-1]) == (CSV.split(b"\n")[0], b"")
    assert sorted(lines) == sorted(CSV.split(b"\n"))
    assert ask("/exports/csv", where=f"{OPENED} is null").content == b"\xef\xbb\xbf" + lines[0] + b"\n"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)


@settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=8))
def test_csv_and_json_carry_any_text(opened, sample, rows):
    portal, ask = opened(
        requests=sample.head(len(rows)).assign(
            service_request_type=[text for text, _ in rows], address=pd.array([text for _, text in rows], dtype="str")
        )
    )
    from_json = [(row["service_request_type"], row["address"]) for row in ask("/exports/json").json()]
    text = ask("/exports/csv", with_bom="false").content.decode()
    from_csv = [
        (row["service_request_type"], row["address"] or None)
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=";")
    ]
    assert from_json == from_csv
    assert sorted(map(str, from_json)) == sorted(map(str, rows))
    portal.stop()


def test_the_areas_come_byte_for_byte(ask):
    assert ask("/exports/geojson", dataset="local-area-boundary").content == SAMPLE_AREAS.read_bytes()


@pytest.mark.parametrize(
    ("path", "name", "value", "expected"),
    [
        ("/records", "limit", "101", "-1 <= limit <= 100"),
        ("/records", "timezone", "Asia/Tokyo", "UTC"),
        ("/records", "order_by", "1", "none"),
        ("/records", "select", "1", "none"),
        ("/records", "offset", "1", "none"),
        ("/exports/json", "refine", "1", "none"),
        ("", "lang", "1", "none"),
    ],
)
def test_a_parameter_that_is_wrong_or_never_sent_is_refused_in_the_portals_words(ask, path, name, value, expected):
    refused = ask(path, **{name: value})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "InvalidRESTParameterError")
    words = f"Invalid value for {name} API parameter: {value} was found but {expected}"
    assert refused.json()["message"].startswith(words)


@pytest.mark.parametrize(
    ("clause", "text"),
    [
        ("where", 'status = "Open"'), ("where", f'{OPENED} > "2024-01-01T00:00:00+00:00"'),
        ("where", f'{OPENED} >= "2024-01-01"'), ("where", f'{OPENED} >= "2024-13-01T00:00:00+00:00"'),
        ("where", "nope is null"), ("select", "sum(latitude) as s"), ("select", "min(status) as s"),
        ("group_by", f"year({OPENED})"), ("group_by", "nope"),
    ],
)  # fmt: skip
def test_a_query_that_is_wrong_or_never_asked_is_refused_before_a_byte_is_sent(ask, clause, text):
    refused = ask("/exports/json", **{"select": "count(*) as n", "group_by": "status", clause: text})
    assert (refused.status_code, refused.json()["error_code"]) == (400, "ODSQLError")
    assert clause in refused.json()["message"].rpartition("Clause(s) containing the error(s): ")[2]


def test_an_unknown_field_is_a_clean_400_byte_for_byte(ask):
    refused = ask("/exports/json", group_by="status", select="count(no_such_field) as n")
    assert refused.content == (
        b'{\n  "error_code": "ODSQLError",\n  "message": "ODSQL query is malformed: Unknown field: no_such_field. '
        b'Clause(s) containing the error(s): select."\n}'
    )
    assert refused.headers["content-length"] == "147"
    assert refused.headers["content-type"] == "application/json"
    assert not {"content-encoding", "cache-control", "x-ratelimit-remaining"} & {*map(str.lower, refused.headers)}


@pytest.mark.parametrize("path", ["/exports/xlsx", "/exports/geojson", "/records/0123abc", "/facets", "/aggregates"])
def test_an_address_that_the_pipeline_does_not_ask_is_not_there(ask, path):
    assert (ask(path).status_code, ask(path).json()["error_code"]) == (404, "NotFoundResource")
