"""Claims about the guard before Dagster's own webserver: a foreign page launches, changes and reads nothing."""

from urllib.parse import urlsplit

import dagster as dg
import pytest
import requests
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver.app import create_app_from_workspace_process_context
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from vanc311_pipeline.commands.ui import Guard
from vanc311_pipeline_tests.integration.api.conftest import site_of

MUTATION = 'mutation {setConcurrencyLimit(concurrencyKey: "key", limit: 7)}'
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def instance():
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture(scope="module")
def url(instance):
    """Dagster's webserver, guarded, as it is behind a proxy."""
    with WorkspaceProcessContext(instance, None) as context:
        app = create_app_from_workspace_process_context(context)
        with site_of(Guard(app, host="0.0.0.0", ui_url="https://dagster.example")) as address:
            yield address


@pytest.fixture
def port(url, instance):
    yield urlsplit(url).port
    instance.event_log_storage.delete_concurrency_limit("key")


def limits(instance) -> set[str]:
    return instance.event_log_storage.get_concurrency_keys()


def post(port: int, headers: dict[str, str], **options) -> requests.Response:
    headers = JSON | {name: value.format(port=port) for name, value in headers.items()}
    return requests.post(f"http://127.0.0.1:{port}/graphql", json={"query": MUTATION}, headers=headers, **options)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:{port}", "sec-fetch-site": "same-origin"},
        {"host": "localhost:{port}", "origin": "http://localhost:{port}"},
        {"host": "[::1]:{port}", "origin": "http://[::1]:{port}"},
        {"host": "dagster.example", "origin": "https://dagster.example"},
        {"origin": "https://dagster.example"},
        {"content-type": "application/json; charset=utf-8"},
    ],
    ids=["no page", "own page", "by name", "IPv6", "proxy", "proxy that names us by address", "charset"],
)
def test_its_own_pages_and_programs_on_this_machine_may_do_everything(port, instance, headers):
    answer = post(port, headers)
    assert answer.status_code == 200, answer.text
    assert limits(instance) == {"key"}


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"host": "evil.example"}, 421, "not known as 'evil.example'"),
        ({"host": "127.0.0.1.evil.example:3000"}, 421, "VANC311_UI_URL"),
        ({"host": "0.0.0.0:3000"}, 421, "not known as"),
        ({"host": "[::1"}, 421, "not known as"),
        ({"origin": "http://evil.example"}, 403, "http://evil.example may not use"),
        ({"origin": "http://127.0.0.1:8311"}, 403, "may not use"),
        ({"origin": "null"}, 403, "may not use"),
        ({"sec-fetch-site": "cross-site"}, 403, "another site"),
        ({"sec-fetch-site": "same-site", "sec-fetch-dest": "document"}, 403, "another site"),
        ({"content-type": "text/plain"}, 415, "application/json only"),
        ({"content-type": "text/plain; x=application/json"}, 415, "application/json only"),
        ({"content-type": "application/graphql"}, 415, "application/json only"),
    ],
)
def test_a_foreign_page_changes_nothing_by_post(port, instance, headers, status, reason):
    answer = post(port, headers, params={"query": MUTATION})
    assert (answer.status_code, reason in answer.text) == (status, True), answer.text
    assert limits(instance) == set()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_nothing_changes_by_another_method_than_post(port, instance, method):
    answer = requests.request(method, f"http://127.0.0.1:{port}/graphql", params={"query": MUTATION})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert limits(instance) == set()


def test_a_link_from_elsewhere_is_followed_and_a_frame_is_not_filled(url):
    foreign = {"sec-fetch-site": "cross-site"}
    assert requests.get(f"{url}/runs", headers=foreign | {"sec-fetch-dest": "document"}).status_code == 200
    assert requests.get(f"{url}/runs", headers=foreign | {"sec-fetch-dest": "iframe"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/server_info", "/logs/x", "/report_asset_materialization/x"])
def test_under_a_foreign_name_nothing_at_all_is_answered(url, path):
    assert requests.get(url + path, headers={"host": "evil.example"}).status_code == 421


def test_live_news_go_to_its_own_pages_only(url):
    address = url.replace("http:", "ws:") + "/graphql"
    with connect(address, origin=url, subprotocols=["graphql-ws"]) as socket:
        socket.send('{"type": "connection_init"}')
        assert socket.recv() == '{"type":"connection_ack"}'
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin="http://evil.example", subprotocols=["graphql-ws"])
