"""Claims about docker-compose.yml: every service starts, is healthy and ends in peace, by its very command; nothing is open to the world.

No Docker is needed: the commands, environments and health checks are read from the file and run as processes against a real
PostgreSQL. Where the compose client is at hand, it checks the file too.
"""

import json
import re
import shutil
import signal
import subprocess
from contextlib import closing
from importlib.metadata import version

import pytest
import requests
import yaml
from sqlalchemy import make_url

from benchmarks.postgres import PASSWORD, running_postgres
from benchmarks.topology import ROOT, Topology, read
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.standin import StandIn

SECRET = {"VANC311_POSTGRES_PASSWORD": "hunter2@a/b:c%d"}
LASTING = ("code", "webserver", "daemon", "site")


@pytest.fixture(scope="module")
def services():
    return read(SECRET)["services"]


# -- the file ----------------------------------------------------------------------------------------------------------


def test_without_a_password_nothing_starts_and_it_says_what_to_set():
    with pytest.raises(LookupError, match="VANC311_POSTGRES_PASSWORD: set it to"):
        read({})


def test_a_password_may_have_any_signs(services):
    environment = services["code"]["environment"]
    assert make_url(environment["VANC311_DAGSTER_DATABASE_URL"]).host == "postgres"
    assert environment["PGPASSWORD"] == SECRET["VANC311_POSTGRES_PASSWORD"]


SETTINGS = set(Settings().to_environment()) - {
    "VANC311_REPLICA_SECONDS",  # no container is a replica
    "VANC311_METRICS_ADDRESS",  # the site's alone
}
MADE_HERE = {"DAGSTER_HOME", "VANC311_DATA_DIR", "VANC311_DAGSTER_DATABASE_URL"}
OF_DAGSTER = {"DAGSTER_HOME", "VANC311_DAGSTER_DATABASE_URL", "PGPASSWORD", "VANC311_LOG_FORMAT"}


@pytest.mark.parametrize("name", ["seed", "code"])
def test_every_setting_reaches_whoever_loads_and_ships(name):
    of_the_store = set(re.findall(r"AWS_[A-Z_]+", (ROOT / "docs" / "operations.md").read_text()))
    chosen = (SETTINGS - MADE_HERE) | of_the_store
    environment = read(SECRET | dict.fromkeys(chosen, "chosen"))["services"][name]["environment"]
    assert set(environment) >= SETTINGS
    for key in chosen:
        assert environment[key] in (None, "chosen"), key  # without a value compose takes the user's


def test_everybody_else_has_what_it_needs_and_no_more(services):
    for name, environment in (
        ("init", OF_DAGSTER),
        ("daemon", OF_DAGSTER),
        ("webserver", OF_DAGSTER | {"VANC311_UI_URL"}),
        ("site", {"VANC311_DATA_DIR", "VANC311_LOG_FORMAT", "VANC311_METRICS_ADDRESS"}),
    ):
        assert set(services[name]["environment"]) == environment, name
    volumes = {name: service["volumes"] for name, service in services.items()}
    assert volumes["site"] == ["data:/data:ro"]
    assert volumes["daemon"] == volumes["webserver"] == ["dagster:/dagster"]


def test_one_service_builds_the_image_of_all(services):
    own = {name: service for name, service in services.items() if name != "postgres"}
    assert [name for name, service in own.items() if "build" in service] == ["init"]
    assert {(service["image"], service["pull_policy"]) for service in own.values()} == {
        (f"vanc311_pipeline:{version('vanc311_pipeline')}", "never")
    }


def test_the_limits_of_memory_are_those_that_the_documentation_names(services):
    units = {"m": 1, "g": 1024}
    lasting = [services[name]["mem_limit"] for name in (*LASTING, "postgres")]
    sum_of_limits = sum(int(limit[:-1]) * units[limit[-1]] for limit in lasting) / 1024
    assert f"{sum_of_limits:g} GB of memory limits" in (ROOT / "docs" / "operations.md").read_text()


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
    [location] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    command = services["code"]["command"]
    assert seen["grpc_server"]["location_name"] == location["python_module"]["location_name"]
    assert command[command.index("--location-name") + 1] == location["python_module"]["location_name"]
    assert command[command.index("-m") + 1] == location["python_module"]["module_name"]
    assert (seen["grpc_server"]["host"], str(seen["grpc_server"]["port"])) == ("code", command[command.index("-p") + 1])


def test_the_image_is_pinned_small_and_not_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.M)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base) for base in bases)
    [minor] = {re.search(r"\d+\.\d+", base)[0] for base in bases}
    assert f'"{minor}"' in (ROOT / ".github" / "workflows" / "ci.yml").read_text(), "a Python that the tests run on"
    last = dockerfile[dockerfile.rindex("FROM ") :]
    assert re.search(r"^USER vanc311$", last, re.M)
    assert "pip install" not in last
    assert "--require-hashes" in dockerfile
    dependencies = dockerfile[: dockerfile.index("--require-hashes")]
    assert "README.md" not in dependencies, "a changed text would install everything again"
    assert "VOLUME" not in dockerfile, "each container would get them, to write to"
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.M) for word in line.split()}
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
def composed(tmp_path_factory):
    """Everything as compose starts it, in its order, after the first load; and the portal that it reads."""
    with running_postgres() as postgres, StandIn() as portal:
        folder = tmp_path_factory.mktemp("volumes")
        environment = {"VANC311_PORTAL_URL": portal.url, "PYTHONWARNINGS": "ignore"}
        with closing(
            Topology(folder, postgres.url(postgres.make("dagster"), "postgresql+psycopg2"), environment)
        ) as services:
            for name in services.order:
                if name in ("init", "seed"):
                    assert services.run(name) == 0, services.log(name).read_text()
                elif name != "postgres":
                    services.start(name)
                    services.wait_until_healthy(name)
            yield services


def ask(composed, question: str):
    with requests.post(f"{composed.url('webserver')}/graphql", json={"query": question}, timeout=30) as answer:
        return answer.json()["data"]


@pytest.mark.rehearsal
def test_all_are_healthy_and_speak_of_the_first_load(composed):
    assert all(composed.is_healthy(name) for name in LASTING)
    with requests.get(f"{composed.url('site')}/api/v1/status", timeout=30) as answer:
        assert answer.json()["data"]["rows_stored"] == 11_024
    runs = ask(composed, "{runsOrError {... on Runs {results {jobName status}}}}")
    assert runs["runsOrError"]["results"][-1] == {"jobName": "sync", "status": "SUCCESS"}
    states = ask(composed, "{workspaceOrError {... on Workspace {locationEntries {name loadStatus}}}}")
    assert states["workspaceOrError"]["locationEntries"] == [{"name": "vanc311_pipeline", "loadStatus": "LOADED"}]


@pytest.mark.rehearsal
def test_dagsters_own_pages_work_behind_the_guard(composed, visit):
    seen = visit()
    seen.page.goto(f"{composed.url('webserver')}/assets/published_database")
    seen.page.get_by_text("Latest materialization").first.wait_for()
    assert seen.complaints == []
    with requests.get(f"{composed.url('webserver')}/graphql", params={"query": "{version}"}, timeout=30) as answer:
        assert answer.status_code == 405


@pytest.mark.rehearsal
def test_dagsters_runs_are_in_postgresql_and_no_password_is_in_a_file(composed):
    assert "env: VANC311_DAGSTER_DATABASE_URL" in (composed.folder / "dagster" / "dagster.yaml").read_text()
    assert not list((composed.folder / "dagster").rglob("runs.db"))
    for file in composed.folder.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


@pytest.mark.rehearsal
def test_all_that_the_lasting_services_say_is_json(composed):
    launched = ask(
        composed,
        'mutation {launchRun(executionParams: {selector: {repositoryLocationName: "vanc311_pipeline", repositoryName: "__repository__", '
        'jobName: "prune"}}) {__typename}}',
    )
    assert launched["launchRun"]["__typename"] == "LaunchRunSuccess"
    for _ in range(100):
        if "Deleted 0 finished runs" in composed.log("code").read_text():
            break
        assert composed.is_healthy("code")
    else:
        pytest.fail("The run did not end")
    for name in LASTING:
        lines = composed.log(name).read_text().splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines), name


@pytest.mark.rehearsal
def test_a_service_that_dies_is_not_healthy_and_comes_back(composed):
    composed.kill("webserver")
    assert not composed.is_healthy("webserver")
    composed.start("webserver")
    composed.wait_until_healthy("webserver")


@pytest.mark.rehearsal
def test_the_process_that_answers_for_the_code_is_the_service_itself_so_that_its_death_is_seen(composed):
    composed.kill_worker("code", "grpc")
    assert composed.running["code"].wait(timeout=30) == -signal.SIGKILL
    composed.start("code")
    composed.wait_until_healthy("code")


@pytest.mark.rehearsal
def test_each_ends_within_its_grace_when_asked_to(composed):
    codes = {name: composed.stop(name) for name in reversed(LASTING)}
    assert set(codes.values()) <= {0, -signal.SIGTERM, 143}, codes
