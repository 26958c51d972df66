"""Laws that hold for any rows and any question."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OPENED = "service_request_open_timestamp"
LAW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ZONES = st.sampled_from(["UTC", "America/Vancouver", "Europe/Paris", "Asia/Kolkata"])
CONDITIONS = st.sampled_from(
    ['status = "Open"', "local_area is null", 'channel in ("WEB", "Chat")', "latitude > 49.25", f"hour({OPENED}) < 9"]
)
KEYS = st.sampled_from(
    ["department", "local_area", "service_request_close_date", f"year({OPENED})", f"date_format({OPENED},'yyyy-MM')"]
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)


def total(ask, where, **more):
    return ask("/records", limit=0, where=where, **more).json()["total_count"]


@LAW
@given(where=CONDITIONS, keys=st.lists(KEYS, min_size=1, max_size=2, unique=True), zone=ZONES)
def test_grouped_counts_add_up_to_the_total_count(ask, where, keys, zone):
    query = {"where": where, "timezone": zone}
    groups = ask("/exports/json", select="count(*) as n", group_by=", ".join(keys), **query).json()
    assert sum(group["n"] for group in groups) == total(ask, **query)


@LAW
@given(left=CONDITIONS, right=CONDITIONS)
def test_either_plus_both_is_left_plus_right(ask, left, right):
    either, both = total(ask, f"{left} or {right}"), total(ask, f"{left} and {right}")
    assert either + both == total(ask, left) + total(ask, right)


@LAW
@given(where=CONDITIONS)
def test_a_condition_and_its_negation_split_the_rows(ask, where):
    assert total(ask, where) + total(ask, f"not ({where})") == 11024


@LAW
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=8))
def test_csv_json_and_jsonl_carry_any_text(opened, sample, rows):
    portal, ask = opened(
        requests=sample.head(len(rows)).assign(
            service_request_type=[text for text, _ in rows], address=pd.array([text for _, text in rows], dtype="str")
        )
    )
    query = {"select": "service_request_type, address", "order_by": OPENED}
    from_json = [tuple(row.values()) for row in ask("/exports/json", **query).json()]
    lines = csv.reader(io.StringIO(ask("/exports/csv", **query).content.decode("utf-8-sig"), newline=""), delimiter=";")
    from_csv = [(name, address or None) for name, address in list(lines)[1:]]
    assert from_json == from_csv
    assert sorted(map(str, from_json)) == sorted(map(str, rows))
    portal.stop()


@pytest.fixture(scope="module")
def hard_times(sample):
    """Rows opened at the very edges of months, some without an open timestamp."""
    edges = [datetime(2025, month, 1, tzinfo=UTC) + timedelta(seconds=s) for month in range(1, 13) for s in (-1, 0, 1)]
    frame = sample.head(40).copy()
    frame[OPENED] = pd.Series([*edges, None, None, None, None], dtype="datetime64[ms, UTC]")
    return frame


def test_the_half_open_months_and_null_hold_every_row_once(opened, hard_times):
    _, ask = opened(requests=hard_times)
    bounds = pd.date_range("2024-12-01", "2026-01-01", freq="MS", tz="UTC")
    ranges = [
        total(ask, f'{OPENED} >= "{low:%Y-%m-%dT%H:%M:%S}+00:00" and {OPENED} < "{high:%Y-%m-%dT%H:%M:%S}+00:00"')
        for low, high in pairwise(bounds)
    ]
    assert sum(ranges) == 36
    assert sum(ranges) + total(ask, f"{OPENED} is null") == len(hard_times)


@LAW
@given(zone=ZONES)
def test_no_timezone_changes_the_instants(ask, zone):
    rows = ask("/exports/json", select=OPENED, where='channel = "Chat"', timezone=zone).json()
    plain = ask("/exports/json", select=OPENED, where='channel = "Chat"').json()
    assert [datetime.fromisoformat(row[OPENED]) for row in rows] == [
        datetime.fromisoformat(row[OPENED]) for row in plain
    ]
