"""Claims about what clients say that they take and have."""

from datetime import UTC, datetime

import pytest

from vanc311_pipeline.api.negotiation import accepts_gzip, gzipped, not_modified, prefers_csv, prefers_html


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("", False), ("*/*", False), ("text/csv", True), ("TEXT/CSV; charset=utf-8", True),
        ("application/json, text/csv", False), ("application/json;q=0.5, text/csv", True),
        ("text/csv;q=0.9, */*;q=0.1", True), ("text/csv;q=0", False), ("text/csv;q=much", False),
    ],
)  # fmt: skip
def test_csv_is_sent_to_those_who_want_it_more_than_json(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("*/*", False),
        ("application/json, text/html", False),
        ("application/problem+json;q=0.5, text/html", True),
        ("", False),
    ],
)
def test_a_page_is_for_those_who_want_it_more_than_json(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, gzip;q=0.1", True), ("*", True), ("gzip;q=0, *", False), ("identity", False), ("", False)],
)
def test_answers_are_compressed_for_those_who_can_read_them(header: str, takes: bool) -> None:
    assert accepts_gzip(header) is takes


def test_an_etag_is_known_in_any_coding_and_outweighs_the_date() -> None:
    published = datetime(2026, 1, 13, 15, tzinfo=UTC)
    then = {"if-modified-since": "Tue, 13 Jan 2026 15:00:00 GMT"}
    assert not_modified('"a"', published, {"if-none-match": 'W/"x", "a"'})
    assert not_modified(gzipped('"a"'), published, {"if-none-match": '"a"'})
    assert not not_modified('"a"', published, {"if-none-match": '"b"'} | then)
    assert not_modified('"a"', published, then)
    assert not not_modified('"a"', published, {"if-modified-since": "Tue, 13 Jan 2026 14:59:59 GMT"})
    assert not not_modified('"a"', None, then)
    assert not not_modified('"a"', published, {"if-modified-since": "yesterday"})
