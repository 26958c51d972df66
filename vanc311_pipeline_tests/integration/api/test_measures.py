"""The site measured: every answer is counted once, whichever process gave it, and what is served is told."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from vanc311_pipeline.api.measures import kind_of, telling
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.api.conftest import Api, change
from vanc311_pipeline_tests.integration.api.test_serve import free_port, started

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def measured(published: Path, beside: Path | None = None) -> Samples:
    """What Prometheus's own parser reads of this process, and of a file that it serves."""
    with telling("127.0.0.1", 0, published, beside or published.with_name("none")) as port:
        return read(port)


def read(port: int) -> Samples:
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"vanc311_{name}", frozenset(labels.items())))


def answers(samples: Samples, kind: str, status: int) -> float:
    return value(samples, "answer_seconds_count", kind=kind, status=str(status)) or 0


def test_every_answer_is_counted_by_kind_and_status(api: Api) -> None:
    before = measured(api.file)
    for path, times in (("/metrics/citywide", 3), ("/requests?limit=1", 1), ("/requests?limit=0", 2), ("/nowhere", 1)):
        for _ in range(times):
            api.get(path)
    api.session.get(f"{api.url}/requests")
    after = measured(api.file)
    for kind, status, times in (
        ("api/metrics", 200, 3), ("api/requests", 200, 1), ("api/requests", 422, 2), ("api", 404, 1), ("page", 404, 1),
    ):  # fmt: skip
        assert answers(after, kind, status) - answers(before, kind, status) == times, (kind, status)


def test_what_is_served_is_told(api: Api) -> None:
    samples, about = measured(api.file), api.select("SELECT * FROM release")[0]
    assert value(samples, "release_served") == 1
    labels = {name: about[name] for name in ("as_of", "source", "complete")}
    assert value(samples, "release_info", **labels) == 1
    assert value(samples, "release_rows_stored") == about["rows_stored"]
    assert value(samples, "release_data_processed_timestamp_seconds") == api.value(
        "SELECT CAST(strftime('%s', data_processed) AS INTEGER) FROM release"
    )
    for row in api.select("SELECT result, count(*) AS checks FROM check_results GROUP BY result"):
        assert value(samples, "release_checks", result=row["result"]) == row["checks"]


def test_a_release_that_takes_its_place_is_told_at_once(own_file: Path, serve: Callable[[Path], Api]) -> None:
    api = serve(own_file)
    change(own_file, "UPDATE release SET rows_stored = 7")
    assert value(measured(api.file), "release_rows_stored") == 7


def test_that_nothing_is_served_is_told(tmp_path: Path, serve: Callable[[Path], Api]) -> None:
    samples = measured(serve(tmp_path / "none.sqlite").file)
    assert value(samples, "release_served") == 0
    assert value(samples, "release_rows_stored") is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "page"), ("/areas/Kitsilano", "page"), ("/static/style.css", "static"), ("/api/v1", "api"),
        ("/api/v1/areas.geojson", "api/areas"), ("/api/v1/areas/x/y/z", "api/areas"), ("/api/v1/%00", "api"),
        ("/api/v1/anything-at-all", "api"), ("/api/v12/requests", "page"),
    ],
)  # fmt: skip
def test_addresses_are_of_few_kinds_whatever_is_asked_for(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_several_processes_count_together_and_the_pipelines_file_is_passed_on(synced: Settings) -> None:
    port = free_port()
    with started(synced.changed(metrics_address=f"127.0.0.1:{port}"), "--workers", "2") as (process, url):
        for _ in range(20):  # a connection each, so that both are asked
            requests.get(f"{url}/metrics/citywide", timeout=30)
        samples = read(port)
        process.terminate()
        process.communicate(timeout=30)
    assert answers(samples, "api/metrics", 200) == 20
    assert value(samples, "pipeline_sync_succeeded") == 1
    assert value(samples, "pipeline_live_rows", where="here") == value(samples, "pipeline_live_rows", where="portal")


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/%6detrics", "/%6Detrics", "/metrics/", "//metrics", "/./metrics", "/static/../metrics", "/metrics?x=1",
     "/static/%2e%2e/metrics", "/metrics%00", "/METRICS", "http://127.0.0.1/metrics"],
)  # fmt: skip
def test_no_address_of_the_site_leads_to_what_is_measured(api: Api, path: str) -> None:
    with closing(HTTPConnection(urlsplit(api.url).netloc, timeout=30)) as connection:  # sends a path as it is
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 404
        assert b"vanc311_answer_seconds" not in answer.read()


def test_for_collectors_each_answer_is_a_line_without_what_was_asked_about(synced: Settings) -> None:
    with started(synced.changed(log_format="json"), "--workers", "1") as (process, url):
        requests.get(f"{url}/requests?issue=SOMEBODYS+ST", timeout=30)
        process.terminate()
        output, _ = process.communicate(timeout=30)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    answered = next(line for line in lines if line.get("path") == "/api/v1/requests")
    assert (answered["event"], answered["level"], answered["method"], answered["status"]) == (
        "answered", "info", "GET", 404,
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", answered["timestamp"])
    assert "SOMEBODYS" not in output
