"""Claims about `vanc311 up`: dashboard and Dagster run side by side, one of them in a home, and end together. See also unit/test_children."""

import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest
import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from urllib3.util import Retry

from benchmarks.places import free_port
from vanc311_pipeline.commands.up import run_up
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline_tests.integration.test_alerts import receiver  # noqa: F401 (fixture)

PATIENCE_SECONDS = 90


def wait_for(address: str) -> requests.Response:
    """The answer of an address, as soon as somebody listens there."""
    with requests.Session() as session:
        session.mount(
            "http://", HTTPAdapter(max_retries=Retry(total=PATIENCE_SECONDS * 2, backoff_factor=0.5, backoff_max=0.5))
        )
        return session.get(address, timeout=10)


@pytest.fixture
def up(copied, tmp_path):
    """Starts the command over a data directory that is there."""
    started = []

    def start(*options: str, **settings: str) -> subprocess.Popen[str]:
        environment = os.environ | copied.to_environment() | {"DAGSTER_HOME": str(tmp_path / "dagster")} | settings
        process = subprocess.Popen(
            [sys.executable, "-m", "vanc311_pipeline", "up", "--no-sync", *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.rehearsal
def test_both_are_served_by_the_only_one_in_its_home_and_ctrl_c_ends_both_in_peace(up):
    dagster, site = free_port(), free_port()
    process = up("--port", str(dagster), "--site-port", str(site))
    assert wait_for(f"http://127.0.0.1:{site}/").status_code == 200
    assert wait_for(f"http://127.0.0.1:{dagster}/server_info").json()["dagster_version"]
    links = {"query": "{ assetNodes { metadataEntries { ... on UrlMetadataEntry { url } } } }"}
    answer = requests.post(f"http://127.0.0.1:{dagster}/graphql", json=links, timeout=PATIENCE_SECONDS)
    assert f"http://127.0.0.1:{site}/quality" in answer.text
    second = up("--port", str(free_port()), "--site-port", str(free_port()))
    output, _ = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 2
    assert f"is in use by `vanc311 up`, process {process.pid} on " in output
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output
    assert f"Dashboard:  http://127.0.0.1:{site}" in output
    assert f"Dagster UI: http://127.0.0.1:{dagster}" in output
    assert "The data stays as it is." in output
    for port in (dagster, site):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/", timeout=5)


@pytest.mark.rehearsal
def test_when_the_code_server_is_killed_everything_ends_as_a_failure_and_the_webhook_is_told(up, receiver):  # noqa: F811
    # A proxy that isn't there: what is on this machine is reached without it.
    proxy = {"http_proxy": "http://127.0.0.1:9", "VANC311_ALERT_WEBHOOK": receiver.url}
    process = up("--port", str(free_port()), "--site-port", str(free_port()), **proxy)
    while "Dashboard:" not in process.stdout.readline():
        assert process.poll() is None
    [code] = [each for each in psutil.Process(process.pid).children() if "grpc" in each.cmdline()]
    code.kill()
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "Error: The code server was ended by SIGKILL, though nobody asked it to" in output
    [message] = receiver.texts
    assert "The code server was ended by SIGKILL" in message


def test_a_taken_port_is_said_before_anything_starts(copied, tmp_path):
    settings = copied.changed(dagster_home=tmp_path / "dagster")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"The site can't listen on 127.0.0.1:{port} .*--site-port {port + 1} "):
            run_up(settings, Console(), host="127.0.0.1", port=free_port(), site_port=port, sync_first=False)
