"""Claims about `vanc311 up`: dashboard and Dagster run side by side, and end together."""

import os
import signal
import socket
import subprocess
import sys

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

PATIENCE_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str) -> requests.Response:
    """The answer of an address, as soon as somebody listens there."""
    with requests.Session() as session:
        session.mount(
            "http://", HTTPAdapter(max_retries=Retry(total=PATIENCE_SECONDS * 2, backoff_factor=0.5, backoff_max=0.5))
        )
        return session.get(address, timeout=10)


@pytest.fixture
def up(copied, tmp_path):
    """The command over a data directory that is there, and its two ports."""
    ports = free_port(), free_port()
    environment = os.environ | copied.to_environment() | {"DAGSTER_HOME": str(tmp_path / "dagster")}
    command = [
        sys.executable,
        "-m",
        "vanc311_pipeline.cli",
        "up",
        "--no-sync",
        "--port",
        str(ports[0]),
        "--site-port",
        str(ports[1]),
    ]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    yield process, *ports
    process.kill()
    process.wait()


def test_both_are_served_and_ctrl_c_ends_both_in_peace(up):
    process, dagster, site = up
    assert wait_for(f"http://127.0.0.1:{site}/").status_code == 200
    assert wait_for(f"http://127.0.0.1:{dagster}/server_info").json()["dagster_version"]
    links = {"query": "{ assetNodes { metadataEntries { ... on UrlMetadataEntry { url } } } }"}
    answer = requests.post(f"http://127.0.0.1:{dagster}/graphql", json=links, timeout=PATIENCE_SECONDS)
    assert f"http://127.0.0.1:{site}/quality" in answer.text
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    assert f"Dashboard:  http://127.0.0.1:{site}" in said
    assert f"Dagster UI: http://127.0.0.1:{dagster}" in said
    for port in (dagster, site):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/", timeout=5)


def test_a_taken_port_is_said_before_anything_starts(synced):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "vanc311_pipeline.cli",
            "up",
            "--no-sync",
            "--port",
            str(free_port()),
            "--site-port",
            str(port),
        ]
        ended = subprocess.run(
            command, env=os.environ | synced.to_environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
    assert ended.returncode == 2
    assert f"The site can't listen on 127.0.0.1:{port}" in ended.stderr
    assert f"--site-port {port + 1}" in ended.stderr
