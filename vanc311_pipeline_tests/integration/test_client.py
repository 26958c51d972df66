"""Claims about the portal's client, against the stand-in over real HTTP: usable answers, or a clear error, never rows."""

import socketserver
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from vanc311_pipeline.errors import (
    CountMismatch,
    PortalRefused,
    PortalUnavailable,
    QuotaExceeded,
    ReleaseMoved,
    SchemaMismatch,
)
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.landing import describe_landed, land, landed_path
from vanc311_pipeline.portal.standin import Fault, StandIn
from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, PORTAL_FIELDS
from vanc311_pipeline.settings import ARCHIVE, LIVE, UNDATED

JANUARY = Window(LIVE, "2024-01")
ROWS = 2446  # of the sample, opened in that UTC month
LAST = "2026-11"


@pytest.fixture
def standin():
    with StandIn() as portal:
        yield portal


@pytest.fixture
def client(standin):
    with Portal(standin.url, read_timeout=1.0, attempts=3, retry_wait=0.001) as portal:
        yield portal


def landing(client: Portal, raw: Path, window: Window = JANUARY):
    return land(client, client.release(window.dataset), window, LAST, raw)


def test_a_month_lands_exactly_as_served_with_every_column_and_its_proof(client, standin, tmp_path):
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


def test_a_month_costs_two_counts_one_export_and_one_look_at_the_release(client, standin, tmp_path):
    release = client.release(LIVE)
    standin.clear_log()
    land(client, release, JANUARY, LAST, tmp_path)
    assert [entry.path.rsplit("/", 1)[-1] for entry in standin.requests_log] == ["records", "csv", "records", LIVE]


def test_the_client_says_who_it_is_and_sends_the_key_if_there_is_one(standin):
    with Portal(standin.url, api_key="secret", read_timeout=5, retry_wait=0.001) as client:
        client.release(LIVE)
    headers = {name.lower(): value for name, value in standin.requests_log[-1].headers.items()}
    assert headers["user-agent"].startswith("vanc311_pipeline/")
    assert headers["authorization"] == "Apikey secret"


BROKEN_BODIES = [
    "cut_mid_row", "cut_at_row", "short", "interrupted", "stall", "corrupt_gzip", "truncated_gzip",
    "server_500", "server_502", "refused", "maintenance_page",
]  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN_BODIES)
def test_a_broken_export_is_asked_for_again_until_it_is_whole(client, standin, tmp_path, kind):
    standin.play(Fault(kind, on="export", times=2))
    assert landing(client, tmp_path).rows == ROWS


@pytest.mark.parametrize("kind", BROKEN_BODIES)
def test_an_export_that_stays_broken_is_an_error_and_never_rows(client, standin, tmp_path, kind):
    standin.play(Fault(kind, on="export", times=None))
    with pytest.raises((PortalUnavailable, CountMismatch)):
        landing(client, tmp_path)
    assert list((tmp_path / LIVE).iterdir()) == []


def test_a_download_that_drips_counts_as_stalled(client, standin, tmp_path):
    standin.play(Fault("slow_drip", on="export", times=None, bytes=2, seconds=0.05))
    with pytest.raises(PortalUnavailable, match=r"stalled|time"):
        landing(client, tmp_path)


class DrippingBody(socketserver.BaseRequestHandler):
    """States a length and sends the body byte by byte, each in time."""

    def handle(self):
        self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
        with suppress(OSError):
            while not self.server.closing.wait(0.02):
                self.request.sendall(b" ")


@pytest.fixture
def dripping():
    """The address of a portal whose answers hardly flow."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), DrippingBody) as server:
        server.daemon_threads, server.closing = True, threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.closing.set()
        server.shutdown()


def test_an_answer_of_stated_length_that_drips_counts_as_stalled(dripping):
    with (
        Portal(dripping, read_timeout=0.3, attempts=1, retry_wait=0.001) as client,
        pytest.raises(PortalUnavailable, match="the download stalled"),
    ):
        client.release(LIVE)


def test_a_client_with_little_time_asks_nothing_after_it(standin):
    with (
        Portal(standin.url, read_timeout=5, attempts=1, retry_wait=0.001, seconds=0.0) as client,
        pytest.raises(PortalUnavailable, match="did not answer in full within 0 s"),
    ):
        client.release(LIVE)
    assert standin.requests_log == []


def test_a_failed_export_leaves_the_month_that_was_there(client, standin, tmp_path):
    before = landing(client, tmp_path)
    standin.play(Fault("short", on="export", times=None))
    with pytest.raises(CountMismatch, match="left as it was"):
        landing(client, tmp_path)
    assert describe_landed(landed_path(tmp_path, JANUARY)) == before


def test_a_release_that_moves_during_an_export_ends_the_month_and_asks_for_a_new_plan(client, standin, tmp_path):
    standin.play(Fault("release_moves_during_export", on="export", times=1))
    with pytest.raises(ReleaseMoved, match="plan again"):
        landing(client, tmp_path)
    assert landing(client, tmp_path).rows == ROWS


def test_a_spent_quota_is_asked_once_and_says_until_when(client, standin):
    standin.set_clock(datetime(2026, 1, 13, 20, tzinfo=UTC))
    standin.play(Fault("quota_429", times=None))
    with pytest.raises(QuotaExceeded, match="2026-01-14 00:00 UTC") as caught:
        client.release(LIVE)
    assert caught.value.until == datetime(2026, 1, 14, tzinfo=UTC)
    assert len(standin.requests_log) == 1


def test_a_dataset_that_is_gone_is_refused_at_once(client, standin):
    standin.play(Fault("dataset_gone", dataset=LIVE, times=None))
    with pytest.raises(PortalRefused, match="404"):
        client.release(LIVE)
    assert len(standin.requests_log) == 1


def test_nobody_there_is_unavailable():
    nobody = Portal("http://127.0.0.1:9", read_timeout=1, attempts=2, retry_wait=0.001)
    with nobody as client, pytest.raises(PortalUnavailable, match=r"127\.0\.0\.1:9"):
        client.release(LIVE)


@pytest.mark.parametrize(
    ("kind", "said"), [("field_dropped", "is missing"), ("field_retyped", "is text, not|is datetime, not")]
)
def test_a_missing_or_retyped_field_stops_the_load(client, standin, kind, said):
    standin.play(Fault(kind, times=None))
    with pytest.raises(SchemaMismatch, match=said):
        client.release(LIVE).drift()


@pytest.mark.parametrize(("kind", "said"), [("field_added", "new field"), ("field_reordered", "another order")])
def test_a_new_or_reordered_field_is_said_and_kept(client, standin, tmp_path, kind, said):
    standin.play(Fault(kind, times=None))
    assert any(said in note for note in client.release(LIVE).drift())
    assert landing(client, tmp_path).rows == ROWS


def test_no_drift_is_found_where_there_is_none(client):
    assert client.release(LIVE).drift() == []


def test_an_empty_month_lands_as_an_empty_file(client, tmp_path):
    assert landing(client, tmp_path, Window(LIVE, "2022-01")).rows == 0
    assert landing(client, tmp_path, Window(ARCHIVE, "2010-01")).rows == 0


def test_rows_without_an_opening_instant_have_a_window_of_their_own(tmp_path):
    with StandIn() as source:
        frame = source.frame
    frame.loc[frame.index[:3], "service_request_open_timestamp"] = None
    with StandIn(requests=frame) as standin, Portal(standin.url, read_timeout=5, retry_wait=0.001) as client:
        assert landing(client, tmp_path, Window(LIVE, UNDATED)).rows == 3


def test_metadata_that_lacks_what_we_need_is_no_release():
    release = Release(LIVE, "2026-01-13T14:06:58Z", 1, (("department", "text"),))
    with pytest.raises(SchemaMismatch, match="latitude is missing"):
        release.drift()
