"""Claims about the processes of `vanc311 up`, with others in their place: what they are told, how they are watched, how they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import psutil
import pytest
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from vanc311_pipeline.commands import children as module
from vanc311_pipeline.commands.children import Children
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.errors import ProcessEnded
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.unit.test_settings import EVERY_SETTING

PATIENCE_SECONDS = 30

LASTING = (
    "import subprocess, sys, time\nsubprocess.Popen(['sleep', '600'])\nprint('ready', flush=True)\ntime.sleep(600)\n"
)
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("ready", flush=True)
while True:
    time.sleep(600)
"""
PARENT = """
import signal, sys
from pathlib import Path
from vanc311_pipeline.commands.children import Children
from vanc311_pipeline.entry import main
from vanc311_pipeline.settings import Settings

def work():
    with Children() as children:
        children.start("It", [sys.argv[2]], Settings(dagster_home=Path(sys.argv[1])))
        children.watch()

main(work)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings whose Dagster home has modules to run, which are found by a path that children are told of, not by where they work."""
    library = tmp_path / "library"
    library.mkdir()
    for name, text in {"lasting": LASTING, "deaf": DEAF, "failing": "raise SystemExit(7)"}.items():
        (library / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(library))
    home = tmp_path / "home"
    home.mkdir()
    for name in ("calendar", "queue", "random"):
        (home / f"{name}.py").write_text("raise SystemExit('a file of the working directory was imported')")
    return Settings(dagster_home=home)


@pytest.fixture
def parent(settings):
    """Starts a process that starts one, as in the background of a shell, and waits until that one is at work."""
    started = []

    def start(name):
        process = subprocess.Popen(
            ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", PARENT, str(settings.dagster_home), name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process, psutil.Process(process.pid).children(recursive=True)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def alive(family):
    """Those that still run; one that has ended may be left unreaped where nobody is init."""
    return [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)], ids=["told to end", "killed"]
)
def test_all_that_it_started_ends_with_one_that_was_started_in_the_background(parent, number, code):
    process, family = parent("lasting")
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == code
    if number == signal.SIGKILL:  # who was told to end has waited for them
        psutil.wait_procs(family, PATIENCE_SECONDS)
    assert len(family) == 2
    assert not alive(family)


def test_asked_twice_nobody_waits_for_a_child_that_does_not_listen(parent):
    process, [child] = parent("deaf")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 130
    assert psutil.wait_procs([child], PATIENCE_SECONDS)[1] == []


def test_a_child_that_does_not_end_in_time_is_killed(settings, monkeypatch, capfd):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1)
    with Children() as children:
        children.start("It", ["deaf"], settings)
        children.watch(until=lambda: capfd.readouterr().out == "ready\n")
        child = children._running["It"]
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("name", "number", "how"), [("failing", 0, "with status 7"), ("lasting", signal.SIGKILL, "by SIGKILL")]
)
def test_an_end_that_nobody_asked_for_is_told_with_its_name_and_status(settings, name, number, how):
    with Children() as children:
        children.start("It", [name], settings)
        os.kill(children._running["It"].pid, number)
        with pytest.raises(ProcessEnded, match=rf"^It .*ended {how}, though nobody asked"):
            children.watch()


def test_one_that_ends_is_replaced_unless_it_is_young(settings, monkeypatch):
    replaced = []

    def replace(name: str) -> None:
        replaced.append(name)
        children.start(name, ["lasting"], settings)

    with Children() as children:
        children.start("It", ["failing"], settings)
        with pytest.raises(ProcessEnded, match="It ended with status 7"):
            children.watch(replace=replace)
        monkeypatch.setattr(module, "YOUNG_SECONDS", 0.0)
        children.watch(until=lambda: replaced == ["It"], replace=replace)


def test_a_code_server_that_listens_and_never_answers_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HANGS_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "code"))
        listening.listen()
        answers = module.hangs(tmp_path / "code")
        assert next(answers) is False
        with Children() as children:
            children.watch(until=partial(next, answers))


def test_a_code_server_that_answers_is_asked_again_and_again_and_never_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ASK_SECONDS", 0.0)
    asked = []

    class Healthy(HealthServicer):
        def Check(self, request, context):
            asked.append(request.service)
            return super().Check(request, context)

    healthy, server = Healthy(), grpc.server(ThreadPoolExecutor(1))
    healthy.set("DagsterApi", HealthCheckResponse.SERVING)
    add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(f"unix:{tmp_path / 'code'}")
    server.start()
    for hangs in module.hangs(tmp_path / "code"):
        assert not hangs
        if len(asked) >= 3:
            break
        time.sleep(0.001)  # the server answers in this process
    server.stop(None).wait()


def test_one_that_is_to_end_by_itself_is_waited_for(settings):
    with Children() as children:
        assert children.run("It", ["failing"], settings) == 7


def test_the_samples_children_know_no_address_of_the_users(tmp_path, monkeypatch):
    for name, value in EVERY_SETTING.items():
        monkeypatch.setenv(name, value)
    sample = Settings.from_environment().for_sample()
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: started.append(options))
    Children().start("It", ["it"], sample)
    [child] = started
    assert Settings.from_environment(child["env"]) == sample
    # Dagster puts the variables of an `.env` in the working directory above those that it inherits.
    assert child["cwd"] == sample.dagster_home
    in_dagster = build_definitions(Settings.from_environment(child["env"])).resources["settings"]
    assert (in_dagster.ship_url, in_dagster.alert_webhook, in_dagster.api_key) == (None, None, None)
    assert in_dagster.warehouse_url == sample.warehouse_url
