"""Claims about a replica: it takes over what counts in its store, and nothing else, whatever the store does; and it goes on looking.

The store is a folder, or a server that answers whatever a hostile one may, over real HTTP.
"""

import json
import logging
import os
import re
import shutil
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vanc311_pipeline.commands.replica import Replica, following
from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.errors import IntegrityFailed, SettingsError
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.shipping import INDEX_BYTES, LATEST, ObjectStore, Shipment
from vanc311_pipeline.warehouse.downloads import make_downloads, predecessor
from vanc311_pipeline.warehouse.publishing import release_row
from vanc311_pipeline_tests.integration.planting import execute, tear

INDEX = {"sha256": "a" * 64, "size": 1, "about": {}}


@pytest.fixture(scope="module")
def published(synced, tmp_path_factory):
    """A published file with few rows in every table."""
    file = tmp_path_factory.mktemp("published") / "small.sqlite"
    shutil.copy(synced.published_path, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'search*'"
        ).fetchall():
            connection.execute(f"DELETE FROM {table} WHERE rowid > 100 AND rowid % 100")
        connection.execute("VACUUM")
    return file


@pytest.fixture
def make(published, tmp_path):
    """Makes published files: `make(3)` is published on the third day; statements change it further."""

    def make_file(day, *statements):
        file = tmp_path / f"{day}-{len(list(tmp_path.iterdir()))}.sqlite"
        shutil.copy(published, file)
        execute(file, f"UPDATE release SET published_at = '2026-02-{day:02}T00:00:00Z'", *statements)
        return file

    return make_file


@dataclass
class Hostile:
    """A store over HTTP of which every byte can be chosen."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    announces: bool = True
    """Whether an answer says how long it is."""
    status: int = 200
    sent: int = 0

    def put(self, file: Path, about: dict[str, Any] | None = None, body: bytes | None = None, **words: Any) -> Shipment:
        """Make a file the one that counts, with its right digest; what is said about it, and what is sent, may be somebody else's."""
        shipment = Shipment(sha256=file_digest(file), size=file.stat().st_size, about=about or release_row(file))
        index = json.dumps(json.loads(shipment.write()) | words).encode()
        self.objects |= {shipment.name: file.read_bytes() if body is None else body, LATEST: index}
        return shipment


@pytest.fixture
def hostile():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.removeprefix("/vanc311/")
            body = store.objects.get(name, b"")
            self.send_response(store.status if name in store.objects else 404)
            if store.announces:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # who reads has enough
                for start in range(0, len(body) if self.command == "GET" else 0, 65_536):
                    store.sent += self.wfile.write(body[start : start + 65_536])

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        store = Hostile(f"http://127.0.0.1:{server.server_port}/vanc311")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield store
        server.shutdown()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "served" / "vanc311.sqlite"


@pytest.fixture
def replica(hostile, make, target, monkeypatch):
    """A replica that holds a release of the tenth day. It makes the downloads in this process, which saves the start of others."""
    monkeypatch.setattr(
        "vanc311_pipeline.commands.replica.make_downloads_apart",
        lambda file, published: make_downloads(file, predecessor(published))[0],
    )
    hostile.put(make(10))
    follower = Replica(ObjectStore(hostile.url), target)
    assert follower.follow(), follower.problem
    return follower


# -- following ---------------------------------------------------------------------------------------------------------


def test_replicas_serve_what_counts_each_for_itself(make, tmp_path):
    store = ObjectStore(f"file://{tmp_path}/store")
    replicas = {
        name: Replica(ObjectStore(store.address), tmp_path / name / "vanc311.sqlite") for name in ("one", "other")
    }
    assert not any(replica.follow() or replica.problem for replica in replicas.values())  # nothing was shipped yet
    for file in (make(10), make(11)):
        store.ship(file, file_digest(file), release_row(file))
        assert [replica.follow() for replica in replicas.values()] == [True, True]
        assert [replica.follow() for replica in replicas.values()] == [False, False]
        for name in replicas:
            assert (tmp_path / name / "vanc311.sqlite").read_bytes() == file.read_bytes()
            assert sorted(os.listdir(tmp_path / name)) == ["downloads", "vanc311.sqlite"]


def test_a_replica_that_has_the_file_fetches_nothing(hostile, replica, target):
    before = hostile.sent
    assert not Replica(ObjectStore(hostile.url), target).follow()
    assert hostile.sent - before == len(hostile.objects[LATEST])


@pytest.mark.parametrize("loss", ["overwritten", "removed"])
def test_a_file_that_somebody_spoils_here_is_fetched_again(replica, target, loss):
    whole = target.read_bytes()
    target.write_bytes(b"spoiled") if loss == "overwritten" else target.unlink()
    assert replica.follow(), replica.problem
    assert target.read_bytes() == whole


def test_a_replica_follows_by_itself_whatever_its_store_does(hostile, make, tmp_path, monkeypatch):
    settings = Settings(data_dir=tmp_path / "data", ship_url=hostile.url, replica_seconds=0.01)
    looked, arrived = threading.Semaphore(0), threading.Event()
    follow = Replica.follow

    def noted(follower):
        news = follow(follower)
        looked.release()
        if news:
            arrived.set()
        return news

    monkeypatch.setattr(Replica, "follow", noted)
    hostile.objects[LATEST] = b"[" * 60_000  # JSON that a reader by recursion does not survive
    with following(settings) as replica:
        assert all(looked.acquire(timeout=60) for _ in range(3))
        assert replica.problem
        file = make(10)
        hostile.put(file)
        assert arrived.wait(60)
    assert settings.published_path.read_bytes() == file.read_bytes()


def test_a_replica_without_a_store_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="VANC311_SHIP_URL isn't set"), following(Settings(data_dir=tmp_path)):
        pass


# -- a hostile store ---------------------------------------------------------------------------------------------------


ENDLESS = bytes(1 << 30)


def released(*statements, day=11, about=None, spoil=None, **words):
    """A release of a day, changed by statements and then spoiled; `about` is the day of the one that it is said to be."""

    def play(store, make):
        file = make(day, *statements)
        if spoil:
            spoil(file)
        store.put(file, release_row(make(about)) if about else None, **words)

    return play


def unannounced(store, make):
    store.put(make(11), body=ENDLESS)
    store.announces = False


ATTACKS = {
    "no database": (
        released(about=11, spoil=lambda file: file.write_bytes(b"its digest is right")),
        "not a release that this program can serve.*not a database",
    ),
    "a torn page": (released(about=11, spoil=lambda file: tear(file, "service_requests")), "SQLite finds"),
    "a database of others": (released("DROP TABLE service_requests"), "no table service_requests"),
    "a view instead of a table": (
        released("ALTER TABLE service_requests RENAME TO kept", "CREATE VIEW service_requests AS SELECT * FROM kept"),
        "no table service_requests",
    ),
    "another virtual table for the search": (
        released("DROP TABLE search", "CREATE VIRTUAL TABLE search USING fts5(kind, name, alias, key, content='')"),
        "no table search",
    ),
    "text in place of numbers": (released("UPDATE metrics_citywide SET volume = 'many'"), "volume"),
    "no release row": (released("DELETE FROM release", about=11), "table release says something else"),
    "another release than it says": (released(about=12), "table release says something else"),
    "an older release": (released(day=9), "published at 2026-02-09.*before the one that is held"),
    "a release of the future": (
        released("UPDATE release SET published_at = '2199-01-01T00:00:00Z'"),
        "Check the clocks",
    ),
    "a release without a date": (released("UPDATE release SET published_at = 'soon'"), "doesn't say when"),
    "an endless file": (released(body=ENDLESS), "larger than the"),
    "an endless file, unannounced": (unannounced, "larger than the"),
    "an endless index": (
        lambda store, _: store.objects.update({LATEST: ENDLESS}),
        f"larger than the {INDEX_BYTES:,} bytes",
    ),
    "a file larger than the disk": (released(size=1 << 60), "no room"),
    "a file that is cut off": (released(size=1 << 20), "larger than the 1,048,576 bytes"),
    "errors": (lambda store, _: setattr(store, "status", 500), "can't be read"),
    "a file that is gone": (lambda store, make: store.objects.pop(store.put(make(11)).name), "isn't there"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_hostile_store_serves_is_not_taken_over_and_the_next_good_release_is(
    hostile, replica, make, target, caplog, attack
):
    before, (play, reason) = target.read_bytes(), ATTACKS[attack]
    play(hostile, make)
    with caplog.at_level(logging.ERROR, "vanc311_pipeline"):
        assert [replica.follow(), replica.follow()] == [False, False]
    [record] = caplog.records  # told once
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    assert re.search(reason, replica.problem or "")
    assert target.read_bytes() == before
    assert sorted(os.listdir(target.parent)) == ["downloads", "vanc311.sqlite"]
    assert hostile.sent < 20 * len(before)
    hostile.status, hostile.announces = 200, True
    newest = make(13)
    hostile.put(newest)
    assert replica.follow(), replica.problem
    assert replica.problem is None
    assert target.read_bytes() == newest.read_bytes()


NONSENSE = {
    "empty": b"", "no JSON": b"<html>", "another alphabet": b"\xff\xfe\x00", "no end of brackets": b"[" * 60_000,
    "many digits": b'{"size": ' + b"9" * 10_000 + b"}", "a path as digest": {"sha256": "../../etc/passwd"},
    "a fraction of a byte": {"size": 1e300}, "a negative size": {"size": -1}, "no words": {"about": []},
}  # fmt: skip


@pytest.mark.parametrize("index", NONSENSE.values(), ids=NONSENSE)
def test_an_index_that_nobody_could_have_written_is_refused(hostile, index):
    hostile.objects[LATEST] = index if isinstance(index, bytes) else json.dumps(INDEX | index).encode()
    with pytest.raises(IntegrityFailed, match="not what `vanc311` writes"):
        ObjectStore(hostile.url).latest()


def test_a_file_that_grew_in_a_folder_is_not_even_copied(make, tmp_path, target):
    store, file = ObjectStore(f"file://{tmp_path}/store"), make(10)
    shipment = store.ship(file, file_digest(file), release_row(file))
    os.truncate(tmp_path / "store" / shipment.name, 1 << 34)  # a hole, which takes no room
    replica = Replica(store, target)
    assert not replica.follow()
    assert "larger than the" in (replica.problem or "")


def test_a_secret_in_the_stores_address_never_shows(hostile, target, caplog):
    hostile.status = 403
    hostile.objects[LATEST] = b"no"
    url = hostile.url.replace("//", "//user:hunter2@")
    replica = Replica(ObjectStore(url), target)
    assert not replica.follow()
    assert "can't be read" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_a_killed_replica_left_half_is_cleared_away(replica, hostile, make, target):
    (target.parent / ".fetching-killed").mkdir()
    (target.parent / ".fetching-killed" / "half.sqlite").write_bytes(b"half")
    hostile.put(make(11))
    assert replica.follow()
    assert sorted(os.listdir(target.parent)) == ["downloads", "vanc311.sqlite"]
