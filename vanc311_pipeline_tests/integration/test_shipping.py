"""Claims about the object store: what is shipped is what was published, all at once or not at all, and replicas follow it.

Against a real S3 server on loopback, by the real driver.
"""

import hashlib
import json
import os
from uuid import uuid4

import dagster as dg
import pytest
from moto.server import ThreadedMotoServer

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.errors import EXIT_USAGE, IntegrityFailed, StorageRefused
from vanc311_pipeline.orchestration.assets.publication import published_database, shipped_database
from vanc311_pipeline.pipeline import Progress
from vanc311_pipeline.shipping import KEPT, LATEST, ObjectStore, Shipment, without_secrets
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.end_to_end.city import Pipeline
from vanc311_pipeline_tests.end_to_end.conftest import city, loaded, pipeline, portal  # noqa: F401 (fixtures)
from vanc311_pipeline_tests.integration.planting import execute

ABOUT = {"as_of": "2026-01-12", "source": "sample"}


@pytest.fixture(scope="module")
def s3():
    """An S3 server, which every driver finds by the variables."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_MAX_ATTEMPTS", "1")
        yield
    moto.stop()


@pytest.fixture(params=["s3", "file"])
def store(request, tmp_path):
    """An empty store. It is of two kinds: the claims hold for both."""
    if request.param == "file":
        return ObjectStore(f"file://{tmp_path}/store")
    request.getfixturevalue("s3")
    bucket = uuid4().hex
    store = ObjectStore(f"s3://{bucket}/vanc311")
    store._files.mkdir(bucket)
    return store


def put(store, name, body):
    path = store._at(name)
    store._files.makedirs(path.rpartition("/")[0], exist_ok=True)
    store._files.pipe_file(path, body)


@pytest.fixture
def releases(tmp_path):
    """Makes published files: `releases(3)` is the third, and its digest."""

    def release(number: int):
        file = tmp_path / f"{number}.sqlite"
        if not file.exists():
            execute(file, "CREATE TABLE release (number)", f"INSERT INTO release VALUES ({number})")
        return file, hashlib.sha256(file.read_bytes()).hexdigest()

    return release


# -- shipping ----------------------------------------------------------------------------------------------------------


def test_what_is_shipped_counts_and_comes_back_whole(store, releases, tmp_path):
    assert store.latest() is None
    file, digest = releases(1)
    shipment = store.ship(file, digest, ABOUT)
    assert store.ship(file, digest, ABOUT) == shipment == store.latest()
    assert (shipment.sha256, shipment.size, shipment.about) == (digest, file.stat().st_size, ABOUT)
    with store.fetched(shipment, tmp_path / "there") as came:
        assert came.read_bytes() == file.read_bytes()
    assert os.listdir(tmp_path / "there") == []


def test_the_last_releases_stay_and_older_ones_go(store, releases):
    digests = [store.ship(*releases(number), ABOUT).sha256 for number in range(KEPT + 2)]
    assert json.loads(store._files.cat_file(store._at(LATEST)))["sha256"] == digests[-1]  # others can read it
    kept = digests[-KEPT:]
    files = store._files.find(store._root)
    assert sorted(files) == sorted(store._at(name) for name in [LATEST, *(f"releases/{each}.sqlite" for each in kept)])
    assert store.latest().before == tuple(reversed(kept[:-1]))


def test_what_others_keep_beside_our_releases_is_left_alone(store, releases):
    foreign = [
        "releases/notes.txt", "releases/warehouse.sqlite", f"releases/{'A' * 64}.sqlite",
        f"releases/{'0' * 64}.sqlite.gz", "releases/folder/inside.sqlite", f"releases/{'1' * 64}.sqlite/inside",
        "elsewhere/file.sqlite",
    ]  # fmt: skip
    for name in foreign:
        put(store, name, b"not ours")
    shipped = [store.ship(*releases(number), ABOUT) for number in range(KEPT + 2)]
    assert store.latest() == shipped[-1]
    assert all(store._files.cat_file(store._at(name)) == b"not ours" for name in foreign)
    assert not store._files.exists(store._at(shipped[0].name))


def test_a_shipment_that_breaks_off_before_it_counts_changes_nothing_for_readers(store, releases, monkeypatch):
    first = store.ship(*releases(1), ABOUT)
    with monkeypatch.context() as broken:
        broken.setattr(store, "_point_at", lambda shipment: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.ship(*releases(2), ABOUT)
    assert store.latest() == first
    assert store.ship(*releases(2), ABOUT) == store.latest() != first


def test_what_the_store_spoils_never_counts(store, releases, monkeypatch):
    first = store.ship(*releases(1), ABOUT)
    file, digest = releases(2)
    monkeypatch.setattr(store._files, "put_file", lambda _, to: store._files.pipe_file(to, b"something else"))
    with pytest.raises(IntegrityFailed, match="is not what was published"):
        store.ship(file, digest, ABOUT)
    assert store.latest() == first


def test_a_pointer_that_is_none_of_ours_is_refused(store, releases):
    put(store, LATEST, b"<html>")
    with pytest.raises(IntegrityFailed, match="is not what `vanc311` writes"):
        store.ship(*releases(1), ABOUT)


def test_a_store_that_is_not_there_is_said_in_one_sentence(releases, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StorageRefused, match=r"s3://nowhere/x can't be read.*still counts"):
        ObjectStore("s3://nowhere/x").ship(*releases(1), ABOUT)


def test_a_password_in_an_address_is_never_repeated():
    assert without_secrets("s3://key:hunter2@bucket/folder/?secret=hunter2") == "s3://bucket/folder"


KEY, OTHER = "k" * 32, "o" * 32


def test_with_a_key_only_what_was_signed_with_it_counts(store, releases):
    signing = ObjectStore(store.address, KEY)
    store.ship(*releases(1), ABOUT)
    with pytest.raises(IntegrityFailed, match="not signed with VANC311_SHIP_KEY") as error:
        signing.latest()
    assert KEY not in str(error.value)
    shipment = signing.ship(*releases(1), ABOUT)  # the same file, and now with a signature
    assert signing.latest() == store.latest() == shipment
    with pytest.raises(IntegrityFailed, match="not signed"):
        ObjectStore(store.address, OTHER).latest()


def test_a_signature_covers_every_word_of_the_index():
    shipment = Shipment(sha256="1" * 64, size=1, about=ABOUT).signed(KEY)
    assert shipment.is_signed(KEY)
    other = {"sha256": "0" * 64, "size": 2, "about": ABOUT | {"as_of": "2099-01-01"}, "before": ("0" * 64,)}
    for field, value in other.items():
        assert not shipment.model_copy(update={field: value}).is_signed(KEY), field


# -- with the pipeline -------------------------------------------------------------------------------------------------


def test_what_did_not_get_there_is_shipped_by_the_next_sync_though_the_portal_is_quiet(pipeline, tmp_path):  # noqa: F811
    url = f"file://{tmp_path}/store/vanc311"
    settings = pipeline.settings.changed(ship_url=url)
    shipping = Pipeline(settings)
    (tmp_path / "store").write_text("a file where a folder must be")
    assert "store/vanc311 can't be" in shipping.sync(ends=EXIT_USAGE)
    assert settings.published_path.exists()
    (tmp_path / "store").unlink()
    assert "But the published file was not shipped: trying again." in shipping.sync_with_dagster()
    assert ObjectStore(url).latest().sha256 == file_digest(settings.published_path)
    assert "Nothing changed" in shipping.sync()
    shipped = ObjectStore(url).latest()
    settings.published_path.write_bytes(b"somebody else's")
    with pytest.raises(dg.Failure, match="is not the file that was published"):
        dg.materialize(
            [published_database, shipped_database],
            selection=["shipped_database"],
            resources={"warehouse": Warehouse(settings), "progress": Progress()},
        )
    assert ObjectStore(url).latest() == shipped
