"""Claims about the command: what it says, what it serves, how it refuses."""

import os
import signal
import subprocess
import sys

import pytest
import requests
from click.testing import CliRunner

from vanc311_pipeline.standin import command
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import KINDS

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


def test_it_plays_faults_and_edits_together(run):
    faults = ["--fault", "server_500:on=metadata", "--fault", "delete:rows=24,seed=3"]
    result, (refused, records) = run("--port", "0", *faults, questions=("", "/records?limit=0"))
    assert (refused.status_code, records.json()["total_count"]) == (500, 11_000)
    assert "11,000 rows" in result.output


def test_it_lists_every_fault_with_a_sentence(run):
    result, _ = run("--list-faults")
    assert all(f"{name}: {kind.sentence}" in result.output for name, kind in KINDS.items())
    assert all(f"{name}: {edit.sentence}" in result.output for name, edit in EDITS.items())


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(run, sample_portal):
    result, _ = run("--port", sample_portal.url.rpartition(":")[2])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "Choose another --port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "missing.parquet"], "File 'missing.parquet' does not exist."),
        (["--data", __file__], "The data can't be read"),
        (["--fault", "earthquake"], "There is no fault 'earthquake'"),
        (["--fault", "short:rows"], "This can't be played"),
        (["--fault", "short:lines=3"], "Fault short has no lines; it takes rows."),
        (["--fault", "short:on=mondays"], "A fault can't be on 'mondays'"),
        (["--fault", "field_dropped:field=ward"], "There is no field 'ward'"),
        (["--fault", "release_moves_during_export:edit=nothing"], "There is no edit 'nothing'"),
        (["--fault", "close:rows=9999999"], "Only 424 rows can be changed in this way"),
        (["--fault", "close:lines=3"], "unexpected keyword argument 'lines'"),
    ],
)
def test_what_can_not_be_done_is_said_with_exit_code_2(run, arguments, sentence):
    result, _ = run("--port", "0", *arguments)
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_end(ending, sample, tmp_path):
    sample.head(3).to_parquet(tmp_path / "three.parquet")
    command_line = [sys.executable, "-m", "vanc311_pipeline", "standin", "--port", "0"]
    for option in ("data", "archive"):
        command_line += [f"--{option}", str(tmp_path / "three.parquet")]
    command_line += ["--released-at", "2026-09-28T14:06:58Z", "--log", str(tmp_path / "log.jsonl")]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, env=UNBUFFERED) as process:
        url = process.stdout.readline().split(" on ")[1].split(": ")[0]
        process.stdout.readline()
        for path in (PATH, f"{PATH}-2009-2021"):
            assert requests.get(f"{url}{path}/records?limit=0", timeout=5).json()["total_count"] == 3
        metadata = requests.get(url + PATH, timeout=5).json()["metas"]["default"]
        assert metadata["data_processed"].startswith("2026-09-28T14:06:58")
        process.send_signal(ending)
        assert process.wait(timeout=5) == 0
        assert process.stdout.read() == "Stopped.\n"
    assert (tmp_path / "log.jsonl").read_text().count('"path": "/api/') == 3
