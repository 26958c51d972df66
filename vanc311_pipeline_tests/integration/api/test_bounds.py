"""What one client may take of the site: a request is short and comes in time, an answer is taken, and there is a last connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from vanc311_pipeline.commands.http import BoundedProtocol
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.api.conftest import Api, change, serving
from vanc311_pipeline_tests.integration.api.test_serve import started

WHOLE = b"GET /api/v1/status HTTP/1.1\r\nHost: site\r\n\r\n"


class LosesPatience(BoundedProtocol):
    """With who asks."""

    request_seconds = 0.1


class WantsRid(BoundedProtocol):
    """Of what was handed over."""

    taking_seconds = 0.1
    lost = threading.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


class Narrow(BoundedProtocol):
    connections_answered = 8


def connect(url: str, *, receive_buffer: int = 0) -> socket.socket:
    place = urlsplit(url)
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect((place.hostname, place.port))
    return connection


def answered(connection: socket.socket, *, method: str = "GET") -> HTTPResponse:
    response = HTTPResponse(connection, method=method)
    response.begin()
    return response


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"\r\n\r\n", WHOLE[:-2], WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n") + b"body"],
)
def test_who_does_not_finish_a_request_is_left(own_file: Path, sent: bytes) -> None:
    with serving(own_file, LosesPatience) as api:
        for before in (b"", WHOLE):
            with connect(api.url) as connection:
                connection.sendall(before + sent)
                with suppress(ConnectionResetError):
                    while connection.recv(65_536):
                        pass


def test_who_does_not_take_an_answer_lets_go_of_its_release(own_file: Path) -> None:
    with serving(own_file, WantsRid) as api, connect(api.url, receive_buffer=4_096) as connection:
        connection.sendall(WHOLE.replace(b"status", b"downloads/vanc311.sqlite"))
        assert answered(connection).status == 200
        change(own_file, "UPDATE release SET as_of = '2099-01-01'")
        assert WantsRid.lost.wait(60)
        while deleted(own_file):
            assert api.answer("/status")["meta"]["as_of"] == "2099-01-01"


def deleted(file: Path) -> list[Path]:
    """What this process holds of files that were at a path."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link for link in links if str(link.readlink()) == f"{file} (deleted)"]


def test_who_asks_for_nothing_keeps_nobody_out(own_file: Path) -> None:
    with serving(own_file, Narrow) as api, ExitStack() as open_ones:
        for _ in range(5 * Narrow.connections_answered):
            open_ones.enter_context(connect(api.url))
        assert api.get("/status").status_code == 200


def test_while_all_are_being_answered_others_are_refused(own_file: Path) -> None:
    download = WHOLE.replace(b"status", b"downloads/vanc311.sqlite")
    with serving(own_file, Narrow) as api, ExitStack() as open_ones:
        states = []
        for _ in range(Narrow.connections_answered):
            connection = open_ones.enter_context(connect(api.url, receive_buffer=4_096))
            connection.sendall(download)
            states.append(answered(connection).status)
        assert states == [*[200] * (Narrow.connections_answered - 1), 503]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 40_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 8_000,
        b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + b"a" * 40_000,
    ],
)
def test_a_request_that_is_too_long_is_refused(site_process: str, sent: bytes) -> None:
    with connect(site_process) as connection:
        connection.sendall(sent)
        assert answered(connection).status == 400


@pytest.fixture(scope="module")
def site_process(synced: Settings) -> Iterator[str]:
    """`vanc311 serve`, as it is."""
    with started(synced) as (_, url):
        yield url


def test_http_1_0_never_gets_chunks(api: Api) -> None:
    for path in ("status", "requests?format=csv", "downloads/vanc311.sqlite", "metrics/issues"):
        with connect(api.url) as connection:
            connection.sendall(f"GET /api/v1/{path} HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            answer = answered(connection)
            assert "chunked" not in answer.headers.get("Transfer-Encoding", "")
            assert len(answer.read()) == int(answer.headers["Content-Length"])
            assert answer.status == (505 if "csv" in path else 200)
