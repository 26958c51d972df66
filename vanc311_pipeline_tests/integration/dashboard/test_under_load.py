"""Claims about many askers at once: equal questions are drawn once, a full queue says so, and what is cheap never waits for what is not."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from threading import Event
from urllib.parse import urlsplit

import pytest
import requests

from vanc311_pipeline.dashboard.figures import FIGURES
from vanc311_pipeline.reading.labels import slug
from vanc311_pipeline_tests.integration.dashboard.conftest import served

FIGURE = "backlog"
DRAWN_AT_ONCE, WAITING = 2, 16
KITSILANO, ISSUE = "/areas/kitsilano", "/issues/street-light-out"


@dataclass
class Gate:
    """Drawings of a figure, which wait until they may go on."""

    views: list[object] = field(default_factory=list)
    open: Event = field(default_factory=Event)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    draw, *rest = FIGURES[FIGURE]
    gate = Gate()

    def gated(release, view, table):
        gate.views.append(view)
        assert gate.open.wait(60)
        return draw(release, view, table)

    monkeypatch.setitem(FIGURES, FIGURE, (gated, *rest))
    yield gate
    gate.open.set()


@pytest.fixture
def fresh(own_file, gate) -> Iterator[str]:
    """A site that has drawn nothing yet; it ends after the gate was opened."""
    with served(own_file) as address:
        yield address
        gate.open.set()


@pytest.fixture
def ask(fresh) -> Iterator[Callable[[str], socket.socket]]:
    """Sends a question and does not wait for its answer."""
    with ExitStack() as connections:

        def asked(path: str, coding: str = "identity") -> socket.socket:
            place = urlsplit(fresh)
            connection = connections.enter_context(socket.create_connection((place.hostname, place.port), 60))
            head = f"GET {path} HTTP/1.1\r\nHost: site\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            return connection

        yield asked


def answer(connection: socket.socket) -> tuple[int, bytes]:
    with HTTPResponse(connection) as response:
        response.begin()
        return response.status, response.read()


def test_equal_questions_at_once_are_drawn_once(fresh, gate, ask):
    waiting = [ask(KITSILANO, ("identity", "gzip")[number % 2]) for number in range(64)]
    assert requests.get(f"{fresh}/api/v1/metrics/citywide", timeout=60).status_code == 200
    gate.open.set()
    answers = [answer(connection) for connection in waiting]
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 2
    assert len(gate.views) == 1


def test_a_full_queue_says_so_and_what_is_cheap_does_not_wait_in_it(fresh, gate, ask):
    assert requests.get(f"{fresh}/areas/Kitsilanoo", timeout=60).status_code == 404
    areas = [
        slug("area", row["local_area"])
        for row in requests.get(f"{fresh}/api/v1/metrics/areas", timeout=60).json()["data"]
    ]
    address = f"/figures/{FIGURE}.csv?area="
    waiting = [ask(address + area) for area in areas[: DRAWN_AT_ONCE + WAITING]]
    [late], _, _ = select.select([*waiting, refused := ask(address + areas[-1])], [], [], 60)
    with HTTPResponse(late) as response:
        response.begin()
        assert (response.status, response.headers["Retry-After"]) == (503, "10")
    assert {requests.get(fresh + page, timeout=60).status_code for page in (ISSUE, "/quality")} == {503}
    assert requests.get(f"{fresh}/api/v1/requests?limit=50", timeout=60).status_code == 200
    assert requests.get(f"{fresh}/requests.xlsx?area=shaughnessy&status=open", timeout=60).status_code == 200
    assert requests.get(f"{fresh}/methods", timeout=60).headers["Content-Encoding"] == "gzip"
    assert requests.get(f"{fresh}/?fbclid=1", timeout=60, allow_redirects=False).status_code == 308
    assert len(gate.views) == DRAWN_AT_ONCE
    gate.open.set()
    assert {answer(connection)[0] for connection in {*waiting, refused} - {late}} == {200}


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("/?n=1", "/"),
        ("/?period=2024&fbclid=a%26b", "/?period=2024"),
        ("/?period=last_12_months&scope=all&area=", "/"),
        ("/?area=Kitsilano", KITSILANO),
        ("/?area=Kitsilano&issue=&period=2024&scope=all", f"{KITSILANO}?period=2024"),
        ("/?issue=Street+Light+Out+Case&scope=located", f"{ISSUE}?scope=located"),
        ("/?issue=Street%20Light%20Out%20Case&area=Kitsilano", f"{KITSILANO}/street-light-out"),
        ("/areas/kitsil%61no?scope=located", KITSILANO),
        ("/areas/Kitsilano", KITSILANO),
        ("/areas/KITSILANO?period=2024", f"{KITSILANO}?period=2024"),
        ("/issues/Street%20Light%20Out%20Case", ISSUE),
        ("/issues/Street_Light+out", ISSUE),
        ("/areas/kitsilano/Street%20Light%20Out%20Case?issue=none", f"{KITSILANO}/street-light-out"),
        ("/areas/kitsilano?issue=street-light-out", f"{KITSILANO}/street-light-out"),
        ("/areas/kitsilano/?period=2024", "/areas/kitsilano?period=2024"),
        ("/Areas//Kitsilano/", KITSILANO),
        ("/?without=all&area=kitsilano", KITSILANO),
        ("/?without=batch-days&scope=located", "/?scope=located&without=batch-days"),
        ("/?period=2024&without=both", "/?period=2024"),
        ("/areas/kitsilano/street-light-out?without=internal", f"{KITSILANO}/street-light-out"),
        ("/speed?issue=Street+Light+Out+Case&area=Kitsilano&period=last_12_months", "/speed?area=kitsilano&issue=street-light-out"),
        ("/Speed/?scope=located&without=both&reported=2025-01-01", "/speed?scope=located&without=both&reported=2025-01-01"),
        ("/speed?scope=located&without=both&reported=2025-01-01", "/speed?scope=located"),
        ("/METHODS", "/methods"),
        ("/quality?utm_source=a", "/quality"),
        ("/figures/backlog.svg?scope=all&mode=light", "/figures/backlog.svg"),
        ("/figures/backlog.png?mode=anything&period=2024&area=Kitsilano", "/figures/backlog.png?area=kitsilano&period=2024"),
        ("/figures/backlog.csv?mode=dark", "/figures/backlog.csv"),
        ("/figures/backlog.json?period=2024&mode=dark&mode=dark", "/figures/backlog.json?period=2024&mode=dark"),
    ],
)  # fmt: skip
def test_what_means_the_same_leads_to_one_address(site, address, canonical):
    leading = requests.get(site + address, timeout=60, allow_redirects=False)
    assert (leading.status_code, leading.headers["Location"]) == (308, canonical)


@pytest.mark.parametrize(
    "address",
    ["//example.org", "//example.org/", "//example.org/areas", "/%2F/example.org/", "/\\example.org/", "/%5Cexample.org/",
     "//example.org/%2e%2e/areas/kitsilano", "/areas/%2F%2Fexample.org"],
)  # fmt: skip
def test_no_address_leads_to_another_site(site, address):
    with closing(HTTPConnection(urlsplit(site).netloc, timeout=60)) as connection:  # sends a path as it is
        connection.request("GET", address)
        assert connection.getresponse().status == 404
