"""Claims about the command: what it says, what it serves, how it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
import requests
from click.testing import CliRunner

from vanc311_pipeline.portal.standin import command
from vanc311_pipeline.portal.standin.catalogue import CATALOGUE

UNBUFFERED = {**os.environ, "PYTHONUNBUFFERED": "1"}
PATH = "/api/explore/v2.1/catalog/datasets/3-1-1-service-requests"


@pytest.fixture
def run(monkeypatch):
    """Runs the command; where it would serve until Ctrl-C, it asks a few questions instead."""

    def run(*arguments, questions=()):
        answers = []

        def serve(portal):
            portal.start()
            answers.extend(requests.get(portal.url + PATH + question, timeout=5) for question in questions)
            raise KeyboardInterrupt

        monkeypatch.setattr(command, "_serve", serve)
        result = CliRunner().invoke(command.standin_command, [*arguments], catch_exceptions=False)
        return result, answers

    return run


def test_it_says_what_it_serves_and_under_which_licence(run):
    result, _ = run("--port", "0")
    assert "Stand-in for opendata.vancouver.ca on http://127.0.0.1:" in result.output
    assert "11,024 rows of 3-1-1-service-requests (bundled real sample)" in result.output
    assert command.LICENCE in result.output
    assert result.exit_code == 0


def test_it_serves_a_file_with_a_clock_a_release_and_options(run, three_rows):
    result, (metadata, records) = run(
        *["--port", "0", "--data", str(three_rows), "--released-at", "2026-08-16T14:06:58Z"],
        *["--clock", "2026-08-17T02:40:36Z", "--option", "nulls=omitted"],
        questions=("", "/records?where=geom is null"),
    )
    assert "3 rows of 3-1-1-service-requests (three.csv)" in result.output
    assert metadata.json()["metas"]["default"]["data_processed"] == "2026-08-16T14:06:58+00:00"
    assert metadata.headers["date"] == "Mon, 17 Aug 2026 02:40:36 GMT"
    assert "geom" not in records.json()["results"][0]


def test_it_plays_faults_and_edits_together(run):
    result, (refused, records) = run(
        *["--port", "0", "--fault", "server_500:on=metadata", "--fault", "delete:rows=24,seed=3"],
        questions=("", "/records?limit=0"),
    )
    assert refused.status_code == 500
    assert records.json()["total_count"] == 11_000
    assert "11,000 rows" in result.output


def test_it_writes_each_request_as_a_line_of_json(run, tmp_path):
    log = tmp_path / "requests.jsonl"
    run("--port", "0", "--log", str(log), questions=("", "/records?limit=3"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["rows"]) for line in lines] == [(200, 0), (200, 3)]
    assert lines[1]["query"] == {"limit": "3"}


def test_it_lists_every_fault_with_a_sentence(run):
    result, _ = run("--list-faults")
    assert all(f"{name}: {entry.sentence}" in result.output for name, entry in CATALOGUE.items())


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result, _ = run("--port", str(taken.getsockname()[1]))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "Choose another --port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "missing.parquet"], "There is no file missing.parquet."),
        (["--fault", "earthquake"], "There is no fault 'earthquake'"),
        (["--fault", "field_dropped:field=ward"], "There is no field 'ward'"),
        (["--fault", "close:rows=9999999"], "The rows can't be changed as asked"),
        (["--option", "nulls=maybe"], "Option nulls can't be 'maybe'"),
        (["--log", "no/such/folder/log"], "can't be written"),
        (["--clock", "noon"], "is no time"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_exit_code_2(run, arguments, sentence):
    result, _ = run("--port", "0", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize("name", ["bad.parquet", "bad.csv", "bad.geojson"])
def test_an_unreadable_file_is_one_sentence_and_exit_code_2(run, tmp_path, name):
    path = tmp_path / name
    path.write_text("not at all")
    result, _ = run("--port", "0", "--areas" if name.endswith("geojson") else "--data", str(path))
    assert result.exit_code == 2
    assert "can't be read" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        (["vanc311_pipeline.portal.standin"], signal.SIGINT),
        (["vanc311_pipeline.portal.standin"], signal.SIGTERM),
        (["vanc311_pipeline.cli", "standin"], signal.SIGTERM),
    ],
)
def test_it_runs_as_a_module_or_a_command_until_it_is_told_to_end(words, ending, three_rows):
    command_line = [sys.executable, "-m", *words, "--port", "0", "--data", str(three_rows)]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, env=UNBUFFERED) as process:
        url = process.stdout.readline().split(" on ")[1].split(": ")[0]
        process.stdout.readline()
        assert requests.get(url + PATH + "/records?limit=0", timeout=5).json()["total_count"] == 3
        process.send_signal(ending)
        assert process.wait(timeout=5) == 0
        assert process.stdout.read() == "Stopped.\n"
