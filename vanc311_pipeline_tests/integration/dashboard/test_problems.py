"""What there is instead of an answer: a page for browsers, problem details for programs, and a line in the log if it is our fault."""

import os
import re
import signal
from collections.abc import Callable

import pytest
import requests

from vanc311_pipeline.api import delivery
from vanc311_pipeline.api.app import create_app
from vanc311_pipeline.api.negotiation import PROBLEM
from vanc311_pipeline.charts.renderer import renderer
from vanc311_pipeline.dashboard.figures import FIGURES
from vanc311_pipeline.dashboard.site import dashboard
from vanc311_pipeline.dashboard.templating import POLICY
from vanc311_pipeline.logs import Sparing
from vanc311_pipeline_tests.integration.api.conftest import site_of
from vanc311_pipeline_tests.integration.dashboard.conftest import served

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
REFUSED = [
    ("GET", "/nowhere", 404), ("GET", "/areas/Kitsilanoo", 404), ("GET", "/figures/none.svg", 404),
    ("GET", "/figures/areas-closings.svg?area=Kitsilano", 404), ("GET", "/figures/backlog.gif", 404), ("GET", "/static/passwd", 404),
    ("GET", "/?issue=Street+Lite+Out&area=Kitsilano", 404), ("GET", "/?period=1066", 404),
    ("GET", "/api/v1/nowhere", 404), ("GET", "/api/v1/requests?limit=0", 422), ("POST", "/", 405),
    ("DELETE", "/api/v1/requests", 405),
]  # fmt: skip


@pytest.fixture
def faults(caplog, monkeypatch) -> Callable[[], list[str]]:
    """What was logged of faults, with nothing kept back on account of an earlier test."""
    monkeypatch.setattr(delivery.log, "filters", [Sparing(at_most=10)])
    return lambda: [record.getMessage() for record in caplog.records if record.name == delivery.__name__]


@pytest.mark.parametrize(("method", "path", "status"), REFUSED)
def test_a_browser_is_refused_with_a_page_and_a_program_with_problem_details(site, method, path, status):
    page, details = (requests.request(method, site + path, headers=who, timeout=60) for who in (BROWSER, {}))
    assert (page.status_code, details.status_code) == (status, status)
    assert (details.headers["Content-Type"], details.json()["status"]) == (PROBLEM, status)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.raw.headers.getlist("Content-Security-Policy") == [POLICY]
    assert "/static/style.css" in page.text
    assert f"<h1>{details.json()['title'].replace(chr(39), '&#39;')}</h1>" in page.text
    assert "Accept" in page.headers["Vary"]


def test_a_name_of_bytes_that_are_no_text_is_unknown_in_every_address(site):
    named = {re.sub(r"\{[^}]*\}", "%FF", route.path) for route in dashboard().routes if "{" in route.path}
    assert len(named) > 8
    for path in named:
        assert requests.get(site + path, headers=BROWSER, timeout=60).status_code == 404, path


def test_an_unknown_name_leads_to_those_that_may_be_meant(site):
    page = requests.get(f"{site}/areas/Kitsilanoo", headers=BROWSER, timeout=60).text
    assert "This release has no area" in page
    assert '<a href="/areas/kitsilano" title="Kitsilano">Kitsilano</a>' in page
    page = requests.get(f"{site}/areas/kitsilano/street-lite-out", headers=BROWSER, timeout=60).text
    assert '<a href="/issues/street-light-out" title="Street Light Out Case">Street light out</a>' in page


def test_before_anything_is_published_a_browser_is_told_so(tmp_path):
    with served(tmp_path / "none.sqlite") as address:
        for path in ("/", "/quality", "/figures/backlog.svg", "/api/v1/status"):
            answer = requests.get(address + path, headers=BROWSER, timeout=60)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
            assert "Nothing is published yet" in answer.text
        assert requests.get(f"{address}/static/style.css", timeout=60).status_code == 200


def test_a_fault_of_ours_costs_a_short_line_and_not_one_for_each_who_finds_it(own_file, monkeypatch, faults):
    def fail(release, view, table):
        raise KeyError("what is missing")

    monkeypatch.setitem(FIGURES, "backlog", (fail, *FIGURES["backlog"][1:]))
    with served(own_file) as address:
        answer = requests.get(f"{address}/", headers=BROWSER, timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        [line] = faults()
        assert line.startswith("No answer to /: KeyError('what is missing') in draw (figures.py:")
        assert len(line.splitlines()) == 1
        for _ in range(40):
            assert requests.get(f"{address}/figures/backlog.csv", timeout=60).status_code == 500
    assert len(faults()) <= 20


def test_a_fault_in_saying_what_is_wrong_is_one_of_ours_too(own_file, faults):
    def fail(release, problem, address):
        raise ValueError("no page")

    with site_of(create_app(own_file, problem_page=fail)) as address:
        answer = requests.get(f"{address}/nowhere", headers=BROWSER, timeout=60)
        assert (answer.status_code, answer.headers["Content-Type"]) == (500, PROBLEM)
    [line] = faults()
    assert line.startswith("No answer to /nowhere: ValueError('no page') in _on_page (delivery.py:")


@pytest.mark.rehearsal
def test_a_renderer_that_dies_costs_one_answer(site, own_file):
    with served(own_file) as address:
        assert requests.get(f"{address}/figures/outcomes.svg", timeout=60).status_code == 200
        os.kill(renderer.process.pid, signal.SIGKILL)
        lost = requests.get(f"{address}/figures/backlog.svg", headers=BROWSER, timeout=60)
        assert (lost.status_code, "Its numbers are whole" in lost.text) == (503, True)
        assert requests.get(f"{address}/figures/backlog.svg", timeout=60).status_code == 200
