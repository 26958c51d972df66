"""Claims about `vanc311 up`: dashboard and Dagster run side by side, and end together."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

PATIENCE_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen) -> requests.Response:
    """The answer of an address, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return requests.get(address, timeout=10)
        except requests.ConnectionError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)  # a port can't be waited for in another way


@pytest.fixture
def up(synced, tmp_path):
    """The command over a data directory that is there, and its two ports."""
    ports = free_port(), free_port()
    environment = os.environ | synced.to_environment() | {"DAGSTER_HOME": str(tmp_path / "dagster")}
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
    assert wait_for(f"http://127.0.0.1:{site}/", process).status_code == 200
    assert wait_for(f"http://127.0.0.1:{dagster}/server_info", process).json()["dagster_version"]
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
