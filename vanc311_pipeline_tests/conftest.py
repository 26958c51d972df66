"""What the pipeline's tests share: portals, rows as served, warehouses, and one data directory that a real run made.

Belongs here: fixtures that several folders use. Does not belong here: claims.
"""

import json
import os
import pickle
import shutil
import signal
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, instance_for_test
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from filelock import FileLock
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from rich.console import Console
from xdist.scheduler import LoadFileScheduling

from benchmarks.postgres import Postgres, running_postgres
from vanc311_pipeline import pipeline
from vanc311_pipeline.metric_definitions import FAMILIES
from vanc311_pipeline.metrics.headline import headline_metrics
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import fingerprint_of
from vanc311_pipeline.portal.landing import Landed, proof
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.engine import Warehouse

# Whoever starts the tests in the background has these ignored in them, and every process that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How fast the machine is says nothing about the claims.
for _profile, _examples in {"ci": 50, "nightly": 500}.items():
    hypothesis_settings.register_profile(
        _profile, max_examples=_examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# These files' tests share nothing that is dear, and are long: each of their tests goes to whichever process is free.
SPREAD = {"test_fault_matrix.py", "test_sync.py", "test_load.py", "test_memory.py", "test_law.py", "test_faults.py"}


class FileByFile(LoadFileScheduling):
    """What the tests of a file share is made once, because they run in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return nodeid if Path(file).name in SPREAD else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile:
    return FileByFile(config, log)


@sa.event.listens_for(sa.Engine, "connect")
def _wait_for_no_disk(raw: Any, _: Any) -> None:
    """Dagster commits each event by itself. Whether a disk forgets in a power cut is not what these tests are about."""
    if isinstance(raw, sqlite3.Connection):
        raw.execute("PRAGMA synchronous = OFF")


_storages: dict[str, sa.Engine] = {}


def _keep_engines(create: Callable[..., sa.Engine]) -> Callable[..., sa.Engine]:
    """Dagster makes an engine and a connection for each event that it stores: a fifth of these tests' time."""

    def kept(url: str, **options: Any) -> sa.Engine:
        if url not in _storages:
            _storages[url] = create(url, **{**options, "poolclass": sa.QueuePool})
            _storages[url].dispose = lambda close=True: None  # type: ignore[method-assign]
        return _storages[url]

    return kept


for _storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
    _storage.create_engine = _keep_engines(_storage.create_engine)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _keep_environment() -> Iterator[None]:
    """A command run in this process hands its settings to its children by the environment; the next test has its own."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before:
        if name.startswith(("VANC311_", "DAGSTER_")):  # others are a fixture's, which may live longer
            del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _close_storages() -> Iterator[None]:
    """What a test kept open of Dagster's storage ends with it."""
    yield
    for engine in _storages.values():
        sa.Engine.dispose(engine)
    _storages.clear()


ROW = {
    "department": "ENG - Sanitation Services", "service_request_type": "Missed Green Bin Pickup Case",
    "status": "Close", "closure_reason": "Service provided",
    "service_request_open_timestamp": "2025-08-25T15:03:00+00:00", "service_request_close_date": "2025-08-27",
    "last_modified_timestamp": "2025-08-27T18:56:08+00:00", "address": "2538 E GEORGIA ST",
    "local_area": "Hastings-Sunrise", "channel": "Phone", "latitude": "49.278248", "longitude": "-123.053532",
    "geom": "49.278248, -123.053532",
}  # fmt: skip

RELEASE = Release(LIVE, "2026-01-07T14:06:58Z", 0, fields=())
Made = TypeVar("Made")
Served = Callable[..., pd.DataFrame]
LandedOf = Callable[..., tuple[Landed, pd.DataFrame]]


def _table(rows: tuple[dict[str, str | None], ...]) -> pa.Table:
    return pa.table({name: pa.array([{**ROW, **row}[name] for row in rows], pa.string()) for name in ROW})


@pytest.fixture(scope="session")
def served() -> Served:
    """Rows as a landed file gives them, all text: `served({}, {"status": "Open"})` changes a plausible row."""
    return lambda *rows: _table(rows).to_pandas()


@pytest.fixture(scope="session")
def landed() -> LandedOf:
    """A landed window and its rows: `landed(month, rows…)`, without the portal and the file."""

    def make(month: str, *rows: dict[str, str | None], dataset: str = LIVE) -> tuple[Landed, pd.DataFrame]:
        table = _table(rows)
        about = proof(table, RELEASE, Window(dataset, month), "http://portal", fingerprint_of(table).digest * 2)
        about = replace(about, fetched_at="2026-01-07T15:00:00Z")
        return about, table.to_pandas()

    return make


@pytest.fixture(scope="session")
def areas() -> list[str]:
    """The names of the 22 local areas."""
    text = files("vanc311_pipeline").joinpath("standin/sample/local_areas.geojson").read_text()
    return sorted(feature["properties"]["name"] for feature in json.loads(text)["features"])


@pytest.fixture(scope="session")
def released_on() -> date:
    """The day of the release that `served` rows came with, as `landed` says it."""
    return date(2026, 1, 7)


@pytest.fixture
def store_kind() -> str:
    """Where a test's warehouse is. A file of tests that runs on both says so by a fixture of this name."""
    return "sqlite"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.rehearsal)])
def both_stores(request: pytest.FixtureRequest) -> str:
    """What such a file imports as its `store_kind`."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, for tests that ask for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def warehouse_url(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A place for a warehouse, with nothing in it."""
    if store_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.warehouse_url(server.make(f"warehouse_{uuid4().hex}"))


@pytest.fixture
def warehouse(warehouse_url: str) -> Warehouse:
    """An empty warehouse of its own."""
    warehouse = Warehouse(Settings(database_url=warehouse_url))
    warehouse.create()
    return warehouse


@pytest.fixture
def load(warehouse: Warehouse, landed: LandedOf, areas: list[str]) -> Callable[..., Any]:
    """Loads rows of a month, which were opened on its 25th day unless they say otherwise."""
    from vanc311_pipeline.warehouse.loading import load_month

    def run(*rows: Any, month: str = "2025-08", into: Warehouse = warehouse, **how: Any) -> Any:
        opened = {"service_request_open_timestamp": f"{month}-25T15:03:00+00:00"}
        return load_month(
            into, month, [landed(month, *({**opened, **row} for row in rows))], areas, **{"run_id": "a run"} | how
        )

    return run


@contextmanager
def few_statistics() -> Iterator[None]:
    """Within, only the headline metrics are computed, and no number is audited: the others are other tests' claims, and half of the time."""
    computed, none = "vanc311_pipeline.warehouse.statistics.statistics", {"open_request_standing": pd.DataFrame()}
    tables = {name for family in FAMILIES for name in family.tables}
    audited = [each for each in AUDITS if each.asset not in tables]
    with patch(computed, lambda facts, *_: headline_metrics(facts) | none), patch.object(pipeline, "AUDITS", audited):
        yield


def many(number: int, **changes: str | None) -> list[dict[str, str | None]]:
    """Rows with different addresses, which are alike otherwise."""
    return [{"address": f"{place} MAIN ST", **changes} for place in range(number)]


@pytest.fixture
def open_portal() -> Iterator[Callable[..., StandIn]]:
    """Opens stand-ins that a test may change, and closes them after it."""
    with ExitStack() as portals:
        yield lambda **options: portals.enter_context(StandIn(**options))


@pytest.fixture
def portal(open_portal: Callable[..., StandIn]) -> StandIn:
    """A portal with the sample, which the synced warehouse is in step with."""
    return open_portal()


def hasty(url: str, **others: Any) -> Settings:
    """Settings with which a client of a portal hardly waits."""
    return Settings(**{"portal_url": url, "read_timeout_seconds": 5.0, "retry_wait_seconds": 0.001} | others)


@pytest.fixture
def ask() -> Iterator[Callable[[StandIn], Portal]]:
    """Opens clients of a stand-in that hardly wait, and closes them after the test."""
    with ExitStack() as clients:
        yield lambda portal, attempts=2: clients.enter_context(Portal(hasty(portal.url), attempts=attempts))


def without_end(*pieces: bytes, then: bytes = b"x" * 65_536, pause: float = 0.0) -> tuple[list[bytes], bytes, float]:
    """An answer that begins with some pieces and goes on with another for ever."""
    return [*pieces], then, pause


@pytest.fixture
def answering() -> Iterator[Callable[..., Any]]:
    """A server that sends just these bytes to whoever asks, byte for byte: its `url`, and what it was `asked`."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server.asked.append(self.request.recv(65_536))
            with suppress(OSError):
                for piece in server.pieces:
                    self.request.sendall(piece)
                while server.then and not server.closing.wait(server.pause):
                    self.request.sendall(server.then)
                self.request.shutdown(socket.SHUT_WR)
                while self.request.recv(65_536):  # else the rest of a question would take the answer with it
                    pass

    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
    with server:
        server.daemon_threads, server.closing, server.asked = True, threading.Event(), []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

        def answer(pieces: list[bytes], then: bytes = b"", pause: float = 0.0) -> Any:
            server.pieces, server.then, server.pause = pieces, then, pause
            return server

        yield answer
        server.closing.set()
        server.shutdown()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    """A Dagster instance in a directory of its own."""
    with instance_for_test() as temporary:
        yield temporary


def add_run(
    instance: DagsterInstance,
    status: str,
    job: str = "sync",
    run_id: str = "01234567-89ab",
    tags: dict[str, str] | None = None,
) -> str:
    """A run as the daemon makes it, which nothing executes; its id."""
    place = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1), "__repository__")
    origin, tags = RemoteJobOrigin(place, job), tags or {}
    instance.add_run(DagsterRun(job, run_id, status=DagsterRunStatus[status], tags=tags, remote_job_origin=origin))
    return run_id


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What is made in a directory once for all processes that run the tests: the first makes it, the others wait. Copy it before a change."""
    common = factory.getbasetemp()
    folder = (common.parent if "PYTEST_XDIST_WORKER" in os.environ else common) / name
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        result = folder / "made.pickle"
        if not result.exists():
            result.write_bytes(pickle.dumps(make(folder)))
        value: Made = pickle.loads(result.read_bytes())
        return value


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data directory and a Dagster home as `vanc311 sync` leaves them, of the bundled sample. Copy it before a change."""
    return once(tmp_path_factory, "synced", lambda folder: _synced(folder, None))


@pytest.fixture(scope="session")
def synced_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Settings:
    """The same, with the warehouse in PostgreSQL."""
    return _synced(tmp_path_factory.mktemp("synced"), postgres.warehouse_url(postgres.make("synced")))


def _synced(root: Path, database_url: str | None) -> Settings:
    from vanc311_pipeline.commands.sync import run_sync  # loads Dagster, which most tests do without

    with StandIn() as portal, patch.dict(os.environ):
        settings = hasty(portal.url, data_dir=root / "data", database_url=database_url, dagster_home=root / "home")
        run_sync(settings, Console(quiet=True))
    return settings


@pytest.fixture
def unchanged(store_kind: str, request: pytest.FixtureRequest) -> Settings:
    """`synced`, wherever this test's warehouse is."""
    settings: Settings = request.getfixturevalue("synced" if store_kind == "sqlite" else "synced_postgres")
    return settings


@pytest.fixture
def copied(
    unchanged: Settings,
    store_kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """The synced data directory once more, for a test that changes it."""
    shutil.copytree(unchanged.data_dir, tmp_path / "data")
    settings = unchanged.changed(data_dir=tmp_path / "data")
    if store_kind == "sqlite":
        return settings
    server: Postgres = request.getfixturevalue("postgres")
    url = server.warehouse_url(server.make(f"copied_{uuid4().hex}", like="synced"))
    monkeypatch.setenv("VANC311_DATABASE_URL", url)
    return settings.changed(database_url=url)
