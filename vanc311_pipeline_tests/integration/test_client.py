"""Claims about the portal's client, against the stand-in over real HTTP: usable answers, or a clear error, never rows.

That the stand-in's faults give either is claimed of whole syncs: end_to_end/test_fault_matrix.
"""

import gzip
import json
import math
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vanc311_pipeline.errors import CountMismatch, PortalError, PortalRefused, PortalUnavailable, QuotaExceeded
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.fingerprint import fingerprints
from vanc311_pipeline.portal.landing import describe_landed, land, landed_path, read_landed
from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, PORTAL_FIELDS
from vanc311_pipeline.settings import ARCHIVE, LIVE, PORTAL_ATTEMPTS
from vanc311_pipeline.standin import Fault
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline_tests.conftest import hasty, without_end

JANUARY = Window(LIVE, "2024-01")
ROWS = 2446  # of the sample, opened in that UTC month


@pytest.fixture
def client(portal, ask):
    return ask(portal, attempts=3)


def error_of(
    url: str, kind: type[PortalError], words: str, attempts: int = 1, seconds: float = math.inf, **settings
) -> PortalError:
    """What a client raises that asks, once unless told otherwise, for a release."""
    client = Portal(hasty(url, **settings), attempts=attempts, seconds=seconds)
    with client, pytest.raises(kind, match=words) as caught:
        client.release(LIVE)
    return caught.value


def landing(client: Portal, raw: Path, window: Window = JANUARY):
    return land(client, client.release(window.dataset), window, raw)


def test_a_month_lands_exactly_as_served_with_every_column_and_its_proof(client, portal, tmp_path):
    landed = landing(client, tmp_path)
    table = pq.read_table(landed_path(tmp_path, JANUARY))
    assert table.num_rows == landed.rows == landed.total_count_before == landed.total_count_after == ROWS
    assert table.column_names == [*PORTAL_FIELDS, *KNOWN_EXTRA_FIELDS]
    assert {str(field.type) for field in table.schema} <= {"string", "large_string"}
    assert set(table["closure_reason"].to_pylist()) >= {"N/A", "Service provided"}
    assert describe_landed(landed_path(tmp_path, JANUARY)) == landed
    assert landed.query == (
        'service_request_open_timestamp >= "2024-01-01T00:00:00+00:00" and service_request_open_timestamp < "2024-02-01T00:00:00+00:00"'
    )
    assert landed.data_processed == "2026-01-13T14:06:58Z"


def test_a_month_costs_two_counts_one_export_and_one_look_at_the_release(client, portal, tmp_path):
    release = client.release(LIVE)
    assert release.drift() == []
    portal.clear_log()
    land(client, release, JANUARY, tmp_path)
    assert [entry.path.rsplit("/", 1)[-1] for entry in portal.requests_log] == ["records", "csv", "records", LIVE]


def test_the_client_says_who_it_is(client, portal):
    client.release(LIVE)
    assert portal.requests_log[-1].headers["user-agent"].startswith("vanc311_pipeline/")


OK = b"HTTP/1.1 200 OK\r\n"
JSON = OK + b"content-type: application/json\r\n"
CHUNKED = JSON + b"transfer-encoding: chunked\r\n\r\n"
GZIP = JSON + b"content-encoding: gzip\r\n\r\n"


def zipped(size):
    return gzip.compress(b" " * size)


NEVER_WHOLE = {
    "a drip in the headers": (without_end(JSON, then=b"x", pause=0.02), "the download stalled"),
    "a drip in a chunk's size": (without_end(CHUNKED, then=b"0", pause=0.02), "the download stalled"),
    "a drip in a body": (without_end(JSON + b"\r\n", then=b" ", pause=0.02), "the download stalled"),
    "a body without an end": (without_end(JSON + b"\r\n"), "sent more than 100,000 bytes"),
    "trailers without an end": (without_end(CHUNKED, b"0\r\n", then=b"x: y\r\n" * 5_000), "goes on after 1,000,000 bytes"),
    "interim answers without an end": (without_end(then=b"HTTP/1.1 100 Continue\r\n\r\n" * 999), "goes on after 1,000,000 bytes"),
    "2 kB of gzip that are 2 MB": (([GZIP, zipped(2_000_000)],), "sent more than 100,000 bytes"),
    "gzip in gzip": (([GZIP.replace(b"gzip", b"gzip, gzip"), gzip.compress(zipped(50_000_000))],), "sent more than 100,000 bytes"),
    "gzip that ends early": (([GZIP, zipped(1_000)[:-20]],), "not whole JSON"),
    "gzip that is none": (([GZIP, b"not gzip"],), "did not answer"),
    "an encoding that is none": (([GZIP.replace(b"gzip", b"gzip, \x1b[2J"), b"not zipped"],), "did not answer"),
    "a header of 70,000 bytes": (([JSON, b"x: " + b"y" * 70_000],), "did not answer"),
    "101 headers": (([JSON + b"x: y\r\n" * 101 + b"\r\n"],), "more than 100 headers"),
    "no HTTP at all": (([b"\x1b[2JSSH-2.0-\x9bOpenSSH\r\n"],), "BadStatusLine"),
    "a status that is none": (([b"HTTP/1.1 abc OK\r\n\r\n"],), "BadStatusLine"),
    "nothing": (([],), "did not answer"),
    "no content": (([b"HTTP/1.1 204 No Content\r\n\r\n"],), "status 204"),
    "a part": (([b"HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\n{}"],), "status 206"),
    "a length that is none": (([JSON + b"content-length: -7\r\n\r\n{}"],), "can't be read"),
    "a charset that is none": (([OK + b"content-type: application/json; charset=x\r\n\r\n{}"],), "can't be read"),
    "a redirect to itself": (without_end(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n"), "which is not followed"),
}  # fmt: skip


@pytest.mark.parametrize("what", NEVER_WHOLE)
def test_an_answer_that_is_never_whole_ends_in_a_sentence(answering, monkeypatch, what):
    monkeypatch.setattr("vanc311_pipeline.settings.JSON_BYTES", 100_000)
    monkeypatch.setattr("vanc311_pipeline.portal.transport.ANSWER_BYTES", 1_000_000)
    answer, words = NEVER_WHOLE[what]
    server = answering(*answer)
    refused = error_of(server.url, PortalUnavailable, words, read_timeout_seconds=0.3)
    assert "\x1b" not in "".join(traceback.format_exception(refused))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "status", ["404 Not Found", "501 Not Implemented", "301 Moved\r\nlocation: https://else.example/", "308 Moved"]
)
def test_what_stays_so_however_often_it_is_asked_is_asked_once_and_leads_to_the_setting(answering, status):
    server = answering([f"HTTP/1.1 {status}\r\n\r\n".encode()])
    error_of(server.url, PortalRefused, "VANC311_PORTAL_URL", attempts=PORTAL_ATTEMPTS)
    assert len(server.asked) == 1


def test_a_failed_handshake_is_told_in_a_sentence(answering):
    server = answering([b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    error_of(server.url.replace("http:", "https:"), PortalUnavailable, "usably: SSLError")


def test_an_answer_that_flows_but_never_ends_is_given_up_in_time(answering, monkeypatch):
    monkeypatch.setattr("vanc311_pipeline.portal.transport.ANSWER_SECONDS", 0.2)
    server = answering(*without_end(JSON, then=b"x: y\r\n", pause=0.01))
    error_of(server.url, PortalUnavailable, r"goes on after 0\.2 s")


def test_an_export_is_read_no_further_than_its_rows_can_go(answering, tmp_path):
    server = answering(*without_end(OK + b"\r\n", then=b"a;row;without;an;end\n" * 3_000))
    with (
        Portal(hasty(server.url), attempts=1) as client,
        pytest.raises(PortalUnavailable, match="sent more than 1,008,000 bytes"),
    ):
        client.download(LIVE, "", tmp_path / "export.csv", rows=2)
    assert (tmp_path / "export.csv").stat().st_size <= 1_008_000


@pytest.mark.parametrize(("key", "sent"), [("secret", "Apikey secret"), (None, None)])
def test_the_portal_gets_our_key_or_none_whatever_netrc_says(portal, tmp_path, monkeypatch, key, sent):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Portal(hasty(portal.url, api_key=key)) as client:
        client.release(LIVE)
    assert portal.requests_log[-1].headers.get("authorization") == sent


def test_a_refusal_that_repeats_the_key_is_told_without_it(answering):
    server = answering([b"HTTP/1.1 401 Unauthorized\r\n\r\nNo such key: secret\x1b[2J"])
    error_of(server.url, PortalRefused, r"status 401: No such key: …\\x1b\[2J Nothing was loaded", api_key="secret")


def test_a_refusal_without_an_end_is_told_by_its_status(answering):
    server = answering(*without_end(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    error_of(server.url, PortalRefused, "status 403: xxx")


def test_a_burst_is_waited_for_and_the_question_asked_again(answering):
    server = answering([b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"])
    error_of(server.url, PortalUnavailable, "so many questions at once", attempts=3)
    assert len(server.asked) == 3


def test_a_client_with_little_time_asks_nothing_after_it(portal):
    error_of(portal.url, PortalUnavailable, "did not answer in full within 0 s", seconds=0.0)
    assert portal.requests_log == []


@pytest.fixture
def altered(client, monkeypatch):
    """Has exports come with some of their lines changed, the first so many times."""

    def alter(change, times=99):
        download, left = client.download, [times]

        def changed(dataset, where, to, rows):
            download(dataset, where, to, rows)
            if left[0]:
                left[0] -= 1
                head, *lines = to.read_bytes().splitlines(keepends=True)
                to.write_bytes(b"".join([head, *change(lines)]))

        monkeypatch.setattr(client, "download", changed)

    return alter


def repeat_one_for_another(lines):
    return [lines[1], *lines[1:]]


def another_type(lines):
    kind = lines[0].split(b";")[1]
    return [lines[0].replace(kind, b"Noise Case"), *lines[1:]]


def invalid_byte(lines):
    return [lines[0].replace(b";", b"\xe9;", 1), *lines[1:]]


def test_an_export_that_repeats_one_row_for_another_is_asked_for_again(client, tmp_path, altered):
    altered(repeat_one_for_another, times=2)
    landed = landing(client, tmp_path)
    assert (landed.rows, landed.doubled) == (ROWS, 0)


def test_rows_that_the_portal_itself_has_twice_are_landed_and_counted(client, portal, tmp_path):
    portal.publish(EDITS["add_twin"].function(portal.frame, rows=9, seconds=0))
    windows = [Window(LIVE, month) for month in fingerprints(client.cells(LIVE), client.release(LIVE).last_month)]
    assert sum(landing(client, tmp_path, window).doubled for window in windows) == 9


@pytest.fixture
def described(client):
    """What the portal says of the month's rows."""
    return fingerprints(client.cells(LIVE), JANUARY.month)[JANUARY.month]


@pytest.mark.parametrize(
    ("change", "words"), [(repeat_one_for_another, "others are missing"), (another_type, "not the same")]
)
def test_an_export_that_goes_on_being_another_one_is_never_landed(client, tmp_path, altered, described, change, words):
    altered(change)
    with pytest.raises(CountMismatch, match=words):
        land(client, client.release(LIVE), JANUARY, tmp_path, described if change is another_type else None)
    assert list((tmp_path / LIVE).iterdir()) == []


def test_a_byte_that_is_no_utf_8_costs_its_row_and_not_the_month(client, tmp_path, altered, described):
    altered(invalid_byte)
    assert land(client, client.release(LIVE), JANUARY, tmp_path, described).rows == ROWS
    departments = read_landed(landed_path(tmp_path, JANUARY))["department"]
    assert departments.str.endswith("\ufffd").sum() == 1


@pytest.mark.parametrize(
    ("change", "doubled"),
    [({"of_a_newer_version": 1, "doubled": 3}, 3), ({"doubled": None}, 0)],
    ids=["of a newer version", "of an older version"],
)
def test_a_landed_file_of_another_version_is_read(client, tmp_path, change, doubled):
    landed, path = landing(client, tmp_path), landed_path(tmp_path, JANUARY)
    table = pq.read_table(path)
    described = json.loads(table.schema.metadata[b"vanc311"]) | change
    described = {name: value for name, value in described.items() if value is not None}
    pq.write_table(table.replace_schema_metadata({b"vanc311": json.dumps(described)}), path)
    assert describe_landed(path) == replace(landed, doubled=doubled)


def test_a_spent_quota_is_asked_once_and_says_until_when(client, portal):
    portal.set_clock(datetime(2026, 1, 13, 20, tzinfo=UTC))
    portal.play(Fault("quota_429", times=None))
    with pytest.raises(QuotaExceeded, match="2026-01-14 00:00 UTC") as caught:
        client.release(LIVE)
    assert caught.value.until == datetime(2026, 1, 14, tzinfo=UTC)
    assert len(portal.requests_log) == 1


@pytest.mark.parametrize(("kind", "note"), [("field_added", "new field"), ("field_reordered", "another order")])
def test_a_new_or_reordered_field_is_said_and_kept(client, portal, tmp_path, kind, note):
    portal.play(Fault(kind, times=None))
    assert any(note in line for line in client.release(LIVE).drift())
    assert landing(client, tmp_path).rows == ROWS


def test_an_empty_month_lands_as_an_empty_file(client, tmp_path):
    assert landing(client, tmp_path, Window(LIVE, "2022-01")).rows == 0
    assert landing(client, tmp_path, Window(ARCHIVE, "2010-01")).rows == 0
