"""Claims about deploy/: what it adds to the containers or to Kubernetes fits Dagster's own classes, and says what the other ways say."""

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_docker import DockerRunLauncher
from dagster_k8s import K8sRunLauncher

from benchmarks.topology import read

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SHIPPED = ROOT / "vanc311_pipeline" / "orchestration"


@pytest.fixture(scope="module")
def services():
    return read({"VANC311_POSTGRES_PASSWORD": "x"})["services"]


@pytest.fixture(scope="module")
def launching():
    return yaml.safe_load((DEPLOY / "dagster.launcher.yaml").read_text())


@pytest.fixture
def values():
    return yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())


def shipped() -> dict:
    return yaml.safe_load((SHIPPED / "dagster.yaml").read_text())


# -- a container for each run ------------------------------------------------------------------------------------------


def test_the_launcher_adds_itself_and_changes_nothing_else(launching):
    postgres = yaml.safe_load((SHIPPED / "dagster.postgres.yaml").read_text())
    assert {**launching, "run_launcher": None} == {**shipped(), **postgres, "run_launcher": None}


def test_dagster_takes_it_and_a_run_gets_all_that_its_code_server_has(launching, services, tmp_path, monkeypatch):
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": launching["run_launcher"]}))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, DockerRunLauncher)
        assert launcher.supports_check_run_worker_health
        assert set(launcher.env_vars) == set(services["code"]["environment"])
        assert launcher.image == services["code"]["image"]
        volumes = {volume.removeprefix("vanc311_") for volume in launcher.container_kwargs["volumes"]}
        assert volumes == set(services["code"]["volumes"])
        for name in ("cap_drop", "security_opt", "read_only", "mem_limit", "init"):
            assert launcher.container_kwargs[name] == services["code"][name], name


def test_the_override_is_of_services_that_exist_and_only_two_of_them_see_dockers_socket(services):
    override = yaml.safe_load((DEPLOY / "docker-compose.launcher.yml").read_text())["services"]
    assert set(override) <= set(services)
    socket = {
        name for name, service in override.items() if any("docker.sock" in each for each in service.get("volumes", []))
    }
    assert socket == {"daemon", "webserver"}
    assert all(override[name]["group_add"] for name in socket)
    for name in ("init", "code", "daemon", "webserver", "seed"):
        assert "./deploy/dagster.launcher.yaml:/dagster/dagster.yaml:ro" in override[name]["volumes"]


def test_whoever_launches_has_every_variable_of_a_run_if_only_empty(services):
    added = yaml.safe_load((DEPLOY / "docker-compose.launcher.yml").read_text())["services"]["daemon"]["environment"]
    assert set(added) == set(services["code"]["environment"]) - set(services["daemon"]["environment"])
    assert all(value is not None for value in added.values())


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def snake(value):
    """The chart's names as Dagster's configuration has them."""
    if isinstance(value, dict):
        return {
            re.sub(r"([A-Z])", lambda capital: f"_{capital[1].lower()}", key): snake(each)
            for key, each in value.items()
        }
    return value


def test_kubernetes_launcher_takes_what_the_values_say(values):
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    config = {
        "instance_config_map": "dagster-instance", "postgres_password_secret": "x", "dagster_home": "/opt/dagster",
        "service_account_name": "dagster", "image_pull_policy": launcher["imagePullPolicy"], "labels": launcher["labels"],
        "resources": launcher["resources"], "run_k8s_config": snake(launcher["runK8sConfig"]),
    }  # fmt: skip
    assert set(launcher) == {"imagePullPolicy", "labels", "resources", "runK8sConfig"}
    result = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), config)
    assert result.success, result.errors


def test_on_kubernetes_dagster_is_told_what_it_is_told_elsewhere(values):
    """How many runs go at once is said under `concurrency` alone; the chart refuses both."""
    daemon, retention = values["dagsterDaemon"], values["retention"]
    queue = {"enabled": True, "type": "QueuedRunCoordinator", "config": {"queuedRunCoordinator": {}}}
    assert daemon["runCoordinator"] == queue
    assert values["concurrency"].pop("enabled")
    assert retention["enabled"]
    told = {
        "concurrency": values["concurrency"], "run_monitoring": daemon["runMonitoring"], "run_retries": daemon["runRetries"],
        "retention": {name: retention[name] for name in ("schedule", "sensor")}, "telemetry": values["telemetry"],
    }  # fmt: skip
    assert {**snake(told), "nux": shipped()["nux"]} == shipped()


def test_on_kubernetes_the_code_location_has_its_one_name_and_dagster_its_one_version(values):
    [deployment] = values["dagster-user-deployments"]["deployments"]
    [server] = values["dagsterWebserver"]["workspace"]["servers"]
    [location] = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert server == {"host": deployment["name"], "port": deployment["port"], "name": "vanc311_pipeline"}
    assert location["python_module"]["location_name"] == server["name"]
    assert location["python_module"]["module_name"] in deployment["dagsterApiGrpcArgs"]
    assert f"--version {dg.__version__} " in (DEPLOY / "helm-values.yaml").read_text()


def test_replicas_on_kubernetes_follow_the_store_and_are_asked_after(values):
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes-site.yaml").read_text()))
    [site] = [each for each in documents if each["kind"] == "Deployment"]
    [container] = site["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["vanc311", "serve", "--replica"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["livenessProbe"]["httpGet"]["path"].startswith("/static/")
    assert container["envFrom"] == [{"secretRef": {"name": "vanc311-site"}}], "not the pipeline's secrets"
    claims = [each["metadata"]["name"] for each in documents if each["kind"] == "PersistentVolumeClaim"]
    [volume] = values["dagster-user-deployments"]["deployments"][0]["volumes"]
    assert claims == [volume["persistentVolumeClaim"]["claimName"]]
