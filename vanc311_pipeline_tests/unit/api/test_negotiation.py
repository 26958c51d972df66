"""Claims about what clients say that they take and have."""

from datetime import UTC, datetime

import pytest

from vanc311_pipeline.api.delivery import BYTES_KEPT_OF_ONE, Answer, Kept
from vanc311_pipeline.api.negotiation import accepts_gzip, gzipped, not_modified, prefers_csv


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("", False),
        ("*/*", False),
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv", True),
        ("text/csv;q=0.9, */*;q=0.1", True),
        ("text/csv;q=0", False),
        ("text/csv;q=much", False),
    ],
)
def test_csv_is_sent_to_those_who_want_it_more_than_json(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv


@pytest.mark.parametrize(
    ("header", "takes"),
    [("gzip", True), ("br, gzip;q=0.1", True), ("*", True), ("gzip;q=0, *", False), ("identity", False), ("", False)],
)
def test_answers_are_compressed_for_those_who_can_read_them(header: str, takes: bool) -> None:
    assert accepts_gzip(header) is takes


def test_an_etag_is_known_in_any_coding_and_outweighs_the_date() -> None:
    published = datetime(2026, 1, 13, 15, tzinfo=UTC)
    assert not_modified('"a"', published, 'W/"x", "a"', "")
    assert not_modified(gzipped('"a"'), published, '"a"', "")
    assert not not_modified('"a"', published, '"b"', "Tue, 13 Jan 2026 15:00:00 GMT")
    assert not_modified('"a"', published, "", "Tue, 13 Jan 2026 15:00:00 GMT")
    assert not not_modified('"a"', published, "", "Tue, 13 Jan 2026 14:59:59 GMT")
    assert not not_modified('"a"', None, "", "Tue, 13 Jan 2026 15:00:00 GMT")
    assert not not_modified('"a"', published, "", "yesterday")


def answer(size: int) -> Answer:
    return Answer([], b"x" * size, '"x"')


def test_the_longest_unused_answers_are_forgotten_first() -> None:
    kept = Kept(bytes_at_most=3 * answer(1000).size)
    keys = [(None, name, b"", False) for name in (b"a", b"b", b"c", b"d")]
    for key in keys[:3]:
        kept.keep(key, answer(1000))
    assert kept.get(keys[0])
    kept.keep(keys[3], answer(1000))
    assert [bool(kept.get(key)) for key in keys] == [True, False, True, True]
    kept.keep(keys[3], answer(2000))
    assert [bool(kept.get(key)) for key in keys] == [False, False, True, True]


def test_an_answer_that_would_crowd_out_the_others_is_not_kept() -> None:
    kept = Kept()
    kept.keep((None, b"", b"", False), answer(BYTES_KEPT_OF_ONE))
    assert kept.get((None, b"", b"", False)) is None
