"""The services of docker-compose.yml as processes of this machine: the very commands, environments and health checks.

Places of this machine are put where the containers' are. PostgreSQL is whatever server the caller has.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import psutil
import yaml

from benchmarks.places import free_port

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker-compose.yml"
PORTS = {"code": 4000, "webserver": 3000, "site": 8311, "metrics": 9311}
HEALTHY_SECONDS = 120.0


def read(environment: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The file as compose reads it: anchors merged, variables put in. One without a default must be set."""

    def value_of(variable: re.Match[str]) -> str:
        name, otherwise = variable["name"], variable["otherwise"] or ""
        if environment.get(name):
            return environment[name]
        if otherwise.startswith(":?"):
            raise LookupError(f"{name}: {otherwise[2:]}")
        return otherwise.removeprefix(":-")

    def in_all(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: in_all(each) for key, each in value.items()}
        if isinstance(value, list):
            return [in_all(each) for each in value]
        if isinstance(value, str):
            return re.sub(r"\$\{(?P<name>\w+)(?P<otherwise>:[-?][^}]*)?\}", value_of, value)
        return value

    loaded: dict[str, Any] = in_all(yaml.safe_load(file.read_text()))
    return loaded


class Service(NamedTuple):
    """One service, with places of this machine."""

    command: list[str]
    environment: dict[str, str]
    health: list[str] | None
    grace_seconds: float


class Topology:
    """The services that are our own, each to be started as one process."""

    def __init__(self, folder: Path, postgres: str, environment: Mapping[str, str]) -> None:
        """The folder stands where the volumes stand, and `environment` is what the user sets: of the settings each service
        gets those that its own environment names. `postgres` is the address of Dagster's database."""
        # Who was started in the background has SIGINT ignored; these processes would inherit that, and Dagster's then ignore SIGTERM.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        settings = ("VANC311_", "AWS_")
        self._environment = {name: value for name, value in environment.items() if not name.startswith(settings)}
        address = urlsplit(postgres)
        self._postgres = address._replace(netloc=f"{address.username}@{address.hostname}:{address.port}").geturl()
        compose = read({"VANC311_POSTGRES_PASSWORD": unquote(address.password or ""), **environment})
        self._workspace = folder / "workspace.grpc.yaml"
        text = (ROOT / "workspace.grpc.yaml").read_text()
        text = text.replace("host: code", "host: 127.0.0.1").replace("4000", str(self.ports["code"]))
        self._workspace.write_text(text)
        for volume in ("data", "dagster"):
            (folder / volume).mkdir(exist_ok=True)
        described = compose["services"]
        self.services = {name: self._service(described[name], environment) for name in described if name != "postgres"}
        needs = {name: each.get("depends_on", {}) for name, each in described.items()}
        self.order = list(TopologicalSorter(needs).static_order())  # each comes after those that it depends on
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _service(self, described: dict[str, Any], environment: Mapping[str, str]) -> Service:
        given = described["environment"].items()
        values = {key: environment.get(key) if value is None else value for key, value in given}
        if "VANC311_DAGSTER_DATABASE_URL" in values:
            values["VANC311_DAGSTER_DATABASE_URL"] = self._postgres
        check = described.get("healthcheck", {}).get("test")
        return Service(
            [self._here(word) for word in described["command"]],
            {key: self._here(value) for key, value in values.items() if value is not None},
            [self._here(word) for word in check[1:]] if check else None,
            float(described["stop_grace_period"].removesuffix("s")),
        )

    def _here(self, word: str) -> str:
        """A word of the file with this machine's places and ports."""
        if word == "/app/workspace.grpc.yaml":
            return str(self._workspace)
        if word in ("/data", "/dagster"):
            return str(self.folder / word.strip("/"))
        word = word.replace("0.0.0.0", "127.0.0.1")
        for name, port in PORTS.items():
            word = re.sub(rf"(?<!\d){port}(?!\d)", str(self.ports[name]), word)
        return word

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str) -> None:
        """Start a service; what it prints goes to a file named after it."""
        service = self.services[name]
        words = [*service.command, *(["--port", str(self.ports["site"])] if name == "site" else [])]
        with self.log(name).open("ab") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.running[name] = subprocess.Popen(**self._process(service, words), **streams, start_new_session=True)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def run(self, name: str) -> int:
        """Start a one-shot service and wait for its end; its exit code."""
        self.start(name)
        return self.running.pop(name).wait()

    def is_healthy(self, name: str) -> bool:
        service = self.services[name]
        assert service.health, f"{name} has no health check"
        return not subprocess.run(**self._process(service, service.health), capture_output=True, check=False).returncode

    def wait_until_healthy(self, name: str) -> None:
        """Ask the service's own health check until it passes."""
        until = time.monotonic() + HEALTHY_SECONDS
        while not self.is_healthy(name):
            ended = self.running[name].poll()
            if ended is not None or time.monotonic() > until:
                raise TimeoutError(f"{name} is not healthy (status {ended}):\n{self.log(name).read_text()[-3_000:]}")

    def stop(self, name: str) -> int:
        """SIGTERM, as compose sends it; the exit code. One that outlives its grace is killed, and that shows in the code."""
        process = self.running[name]
        process.terminate()
        try:
            process.wait(self.services[name].grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill_and_leave(name)
        return self.running.pop(name).wait()

    def kill(self, name: str) -> None:
        """SIGKILL to the service and all that it started, as when a container dies."""
        self.kill_and_leave(name)
        self.running.pop(name).wait()

    def kill_and_leave(self, name: str) -> None:
        """SIGKILL to the service and all that it started, dead or not; whoever watches over it finds it dead."""
        process = self.running[name]
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def kill_worker(self, name: str, word: str) -> None:
        """SIGKILL to the one process of a service whose command has the word, be it the service itself or what it started."""
        service = psutil.Process(self.running[name].pid)
        for process in (service, *service.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a run that ends just now is no worker
                if word in process.cmdline():
                    process.kill()

    def _process(self, service: Service, words: list[str]) -> dict[str, Any]:
        """How a command of a service is run: a program of this environment (`python` is this very one), where, and with what."""
        program = sys.executable if words[0] == "python" else str(Path(sys.executable).with_name(words[0]))
        bare = {name: os.environ[name] for name in ("HOME", "LANG", "PYTHONPATH") if name in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**bare, "PATH": path, "PYTHONUNBUFFERED": "1", **self._environment, **service.environment}
        return {"args": [program, *words[1:]], "env": environment, "cwd": self.folder}

    def close(self) -> None:
        """End whatever still runs."""
        for name in list(self.running):
            self.kill(name)
