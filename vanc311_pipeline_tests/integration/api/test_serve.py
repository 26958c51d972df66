"""`vanc311 serve` as a process: it answers, with one worker or several, ends in peace, and says when it can't begin."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from benchmarks.places import free_port
from vanc311_pipeline.settings import Settings


def command(settings: Settings, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "vanc311_pipeline", "serve", *options],
        env={**os.environ, **settings.to_environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def started(settings: Settings, *options: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    port = free_port()
    with command(settings, "--port", str(port), *options) as process:
        try:
            url = f"http://127.0.0.1:{port}/api/v1"
            deadline = time.monotonic() + 180
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    requests.get(f"{url}/openapi.json", timeout=10)
                    break
                except requests.ConnectionError:
                    time.sleep(0.1)
            yield process, url
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_it_answers_until_it_is_asked_to_stop(synced: Settings, workers: int, number: signal.Signals) -> None:
    with started(synced, "--workers", str(workers)) as (process, url):
        assert requests.get(f"{url}/metrics/citywide", timeout=30).json()["data"]
        sums = requests.get(f"{url}/downloads/checksums.txt", timeout=60).text
        assert all(requests.get(f"{url}/downloads/checksums.txt", timeout=60).text == sums for _ in range(5))
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert (process.returncode, "Traceback" in output) == (0, False), output
        assert url.removesuffix("/v1") in output


def test_it_starts_before_there_is_anything_to_serve(synced: Settings, tmp_path: Path) -> None:
    with started(synced.changed(data_dir=tmp_path)) as (process, url):
        assert requests.get(f"{url}/status", timeout=30).status_code == 503
        process.terminate()
        assert "no published file" in process.communicate(timeout=30)[0]


def test_a_taken_port_is_refused_in_words(synced: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with command(synced, "--port", str(port)) as process:
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"vanc311 serve --port {port + 1}" in output.replace("\n", " ")
