"""Claims about docker-compose.yml: every service starts, is healthy and ends in peace, by its very command; nothing is open to the world.

No Docker is needed: the commands, environments and health checks are read from the file and run as processes against a real
PostgreSQL. Where the compose client is at hand, it checks the file too.
"""

import json
import re
import shutil
import signal
import subprocess

import pytest
import requests
import yaml

from benchmarks.postgres import running_postgres
from benchmarks.topology import FILE, ROOT, read, topology
from vanc311_pipeline.portal.standin import StandIn

SECRET = {"VANC311_POSTGRES_PASSWORD": "hunter2"}
LASTING = ("code", "webserver", "daemon", "site")


@pytest.fixture(scope="module")
def compose():
    return read(SECRET)


@pytest.fixture(scope="module")
def services(compose):
    return compose["services"]


# -- the file ----------------------------------------------------------------------------------------------------------


def test_without_a_password_nothing_starts_and_it_says_what_to_set():
    with pytest.raises(LookupError, match="VANC311_POSTGRES_PASSWORD: set it to"):
        read({})
    assert "hunter2" not in FILE.read_text()


def test_every_port_is_on_loopback(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_service_is_limited_and_comes_back(services):
    for name, service in services.items():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert service["mem_limit"]
        assert service["init"]
        assert service["restart"] == ("no" if name in ("init", "seed") else "unless-stopped")
        assert all(isinstance(word, str) for word in service.get("command", [])), "a command in exec form"
        assert re.search(r":\d+(\.\d+)+", service["image"]), "a pinned image"


def test_our_own_services_can_do_little_else(services):
    for name, service in services.items():
        if name != "postgres":
            assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)
            assert service["security_opt"] == ["no-new-privileges:true"]


def test_whoever_needs_another_waits_until_it_is_ready(services):
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            ready = "service_healthy" if "healthcheck" in services[needed] else "service_completed_successfully"
            assert how == {"condition": ready}
    assert all("healthcheck" in services[name] for name in (*LASTING, "postgres"))


def test_the_containers_see_the_code_location_under_its_one_name(services):
    [seen] = yaml.safe_load((ROOT / "workspace.grpc.yaml").read_text())["load_from"]
    [here] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    command = services["code"]["command"]
    assert seen["grpc_server"]["location_name"] == here["python_module"]["location_name"]
    assert command[command.index("--location-name") + 1] == here["python_module"]["location_name"]
    assert command[command.index("-m") + 1] == here["python_module"]["module_name"]
    assert (seen["grpc_server"]["host"], str(seen["grpc_server"]["port"])) == ("code", command[command.index("-p") + 1])


def test_the_image_is_pinned_small_and_not_root():
    said = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", said, re.M)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)
    last = said[said.rindex("FROM ") :]
    assert re.search(r"^USER vanc311$", last, re.M)
    assert "pip install" not in last
    assert "-c constraints.txt" in said
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", said, re.M) for word in line.split()}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == kept


@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="the compose client is not installed",
)
def test_the_compose_client_takes_the_file():
    checked = subprocess.run(
        ["docker", "compose", "--profile", "seed", "config", "--format", "json"],
        cwd=ROOT, env={"PATH": "/usr/bin:/usr/local/bin", **SECRET}, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert set(json.loads(checked.stdout)["services"]) == set(read(SECRET)["services"])


# -- the processes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """Everything as compose starts it, in its order, after the first load; and the portal that it reads."""
    with running_postgres() as postgres, StandIn() as portal:
        folder = tmp_path_factory.mktemp("volumes")
        environment = {"VANC311_PORTAL_URL": portal.url, "PYTHONWARNINGS": "ignore"}
        with topology(folder, postgres.url(postgres.make("dagster"), "postgresql+psycopg2"), environment) as made:
            for name in made.order:
                if name in ("init", "seed"):
                    assert made.run(name) == 0, made.log(name).read_text()
                elif name != "postgres":
                    made.start(name)
                    made.wait_until_healthy(name)
            yield made, postgres


def ask(up, question: str):
    with requests.post(f"{up.url('webserver')}/graphql", json={"query": question}, timeout=30) as answer:
        return answer.json()["data"]


def test_all_are_healthy_and_speak_of_the_first_load(up):
    made, _ = up
    assert all(made.is_healthy(name) for name in LASTING)
    with requests.get(f"{made.url('site')}/api/v1/status", timeout=30) as answer:
        assert answer.json()["data"]["rows_stored"] == 11_024
    found = ask(made, "{runsOrError {... on Runs {results {jobName status}}}}")
    assert found["runsOrError"]["results"][-1] == {"jobName": "sync", "status": "SUCCESS"}
    states = ask(made, "{workspaceOrError {... on Workspace {locationEntries {name loadStatus}}}}")
    assert states["workspaceOrError"]["locationEntries"] == [{"name": "vanc311_pipeline", "loadStatus": "LOADED"}]


def test_dagsters_own_pages_work_behind_the_guard(up, visit):
    made, _ = up
    seen = visit().open(f"{made.url('webserver')}/assets/published_database")
    seen.page.get_by_text("Latest materialization").first.wait_for()
    assert seen.complaints == []
    with requests.get(f"{made.url('webserver')}/graphql", params={"query": "{version}"}, timeout=30) as answer:
        assert answer.status_code == 405


def test_dagsters_runs_are_in_postgresql_and_no_password_is_in_a_file(up):
    made, postgres = up
    assert "env: VANC311_DAGSTER_DATABASE_URL" in (made.folder / "dagster" / "dagster.yaml").read_text()
    assert not list((made.folder / "dagster").rglob("runs.db"))
    secret = postgres.url().split(":")[2].split("@")[0].encode()
    for file in made.folder.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file


def test_a_service_that_dies_is_not_healthy_and_comes_back(up):
    made, _ = up
    made.kill("webserver")
    assert not made.is_healthy("webserver")
    made.start("webserver")
    made.wait_until_healthy("webserver")


def test_the_process_that_answers_for_the_code_is_the_service_itself_so_that_its_death_is_seen(up):
    made, _ = up
    made.kill_worker("code", "grpc")
    assert made.running["code"].wait(timeout=30) == -signal.SIGKILL
    made.start("code")
    made.wait_until_healthy("code")


def test_each_ends_within_its_grace_when_asked_to(up):
    made, _ = up
    codes = {name: made.stop(name) for name in reversed(LASTING)}
    assert set(codes.values()) <= {0, -signal.SIGTERM, 143}, codes
