"""Claims about `/records`: pages, limits, order, facets."""

from __future__ import annotations

import pytest

OPENED = "service_request_open_timestamp"


def test_the_body_is_one_line_with_spaced_separators(ask):
    assert ask("/records", limit=1, select="count(*) as total").text == (
        '{"total_count": 11024, "results": [{"total": 11024}]}'
    )


def test_a_page_has_ten_rows_unless_asked_otherwise(ask):
    assert len(ask("/records").json()["results"]) == 10


def test_limit_0_gives_the_total_and_no_rows(ask):
    assert ask("/records", limit=0).text == '{"total_count": 11024, "results": []}'


def test_limit_minus_1_means_100(ask):
    assert len(ask("/records", limit=-1).json()["results"]) == 100


def test_limit_101_is_refused_in_the_portals_words(ask):
    refused = ask("/records", limit=101)
    assert refused.status_code == 400
    assert refused.json() == {
        "error_code": "InvalidRESTParameterError",
        "message": "Invalid value for limit API parameter: 101 was found but -1 <= limit <= 100 is expected.",
    }


def test_the_window_ends_at_10000_exactly(ask):
    assert ask("/records", offset=9900, limit=100).status_code == 200
    assert ask("/records", offset=10000).status_code == 400


def test_a_page_past_the_window_is_refused_in_the_portals_words(ask):
    assert ask("/records", offset=9950, limit=100).json()["message"] == (
        "Invalid value for sum of offset + limit API parameter: 10050 was found but <= 10000 is expected."
    )


def test_the_order_is_arbitrary_and_repeatable(ask):
    first = ask("/records", limit=100).json()["results"]
    opened = [row[OPENED] for row in first]
    assert opened != sorted(opened)
    assert first == ask("/records", limit=100).json()["results"]


def test_pages_of_one_release_do_not_overlap(ask):
    pages = [ask("/records", limit=100, offset=offset).json()["results"] for offset in (0, 100)]
    assert not [row for row in pages[0] if row in pages[1]]


def test_nulls_are_present_and_keys_come_in_schema_order(ask):
    row = ask("/records", where="geom is null", limit=1).json()["results"][0]
    assert list(row)[-3:] == ["latitude", "longitude", "geom"]
    assert row["geom"] is None


def test_an_aggregate_without_group_by_comes_back_once_per_record(ask):
    assert ask("/records", select="count(*)", limit=3).json()["results"] == [{"count(*)": 11024}] * 3


def test_order_by_puts_nulls_lowest(ask):
    rising = ask("/records", order_by="latitude", limit=1).json()["results"][0]
    falling = ask("/records", order_by="latitude desc", limit=1).json()["results"][0]
    assert rising["latitude"] is None
    assert falling["latitude"] > 49.2


def test_select_takes_names_aliases_and_patterns(ask):
    assert list(ask("/records", select="status, channel as via", limit=1).json()["results"][0]) == ["status", "via"]
    assert list(ask("/records", select="include(l*)", limit=1).json()["results"][0]) == [
        *["last_modified_timestamp", "local_area", "latitude", "longitude"]
    ]
    assert "geom" not in ask("/records", select="*, exclude(geom)", limit=1).json()["results"][0]


def test_facets_are_counted_most_frequent_first_without_nulls(ask, sample):
    facet = ask("/facets", facet="local_area").json()["facets"][0]
    counts = sample["local_area"].value_counts()
    assert facet["name"] == "local_area"
    assert facet["facets"][0] == {
        "name": counts.index[0],
        "count": int(counts.iloc[0]),
        "state": "displayed",
        "value": counts.index[0],
    }
    assert len(facet["facets"]) == 22


def test_facets_are_cut_at_100_values(ask, sample):
    assert sample["service_request_type"].nunique() > 100
    assert len(ask("/facets", facet="service_request_type").json()["facets"][0]["facets"]) == 100


@pytest.mark.parametrize(("name", "value"), [("limit", "ten"), ("offset", "-1"), ("timezone", "Mars/Olympus")])
def test_senseless_parameters_are_400(ask, name, value):
    assert ask("/records", **{name: value}).status_code == 400
