"""Claims about a warehouse in PostgreSQL: it gives the same file as one in SQLite, serves several pipelines, and may go down.

What it does as SQLite does is claimed where that is: the checks, the loading, the law and the log run on both.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from benchmarks.postgres import PASSWORD
from vanc311_pipeline import schema
from vanc311_pipeline.commands.backup import run_backup, run_restore
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import loading
from vanc311_pipeline_tests.end_to_end.city import Pipeline, expected, settings_in

# When, by whom and in which order, not what.
OWN = {
    "settled_at", "loaded_at", "made_at", "run_id", "created_at", "upgraded_at", "seen_at", "asked_at", "published_at",
    "evaluated_at", "basis",
}  # fmt: skip
TABLES = [table for table in schema.metadata.sorted_tables if table.name not in ("publications", "shipments")]


@pytest.fixture
def store_kind():
    return "postgresql"


@pytest.fixture(scope="module")
def home(city, postgres, tmp_path_factory) -> Path:
    """A directory of which the warehouse is the database `loaded`, and has the city."""
    folder = tmp_path_factory.mktemp("loaded")
    with StandIn(requests=city) as portal, pytest.MonkeyPatch.context() as environment:
        loaded = on_machine(folder, portal, postgres.warehouse_url(postgres.make("loaded")), environment)
        loaded.sync_with_dagster()
    return folder


@pytest.fixture
def one(home, portal, postgres, tmp_path, monkeypatch) -> Pipeline:
    """A pipeline with the city loaded into its warehouse in PostgreSQL."""
    url = postgres.warehouse_url(postgres.make(f"one_{uuid4().hex}", like="loaded"))
    return on_machine(Path(shutil.copytree(home, tmp_path / "one")), portal, url, monkeypatch)


@pytest.fixture
def two(one, portal, tmp_path, monkeypatch) -> Pipeline:
    """A pipeline on another machine, on the same warehouse, that has not run yet."""
    return on_machine(tmp_path / "two", portal, one.settings.warehouse_url, monkeypatch)


def on_machine(folder: Path, portal: StandIn, url: str | None, environment: pytest.MonkeyPatch) -> Pipeline:
    environment.setenv("VANC311_DATABASE_URL", url or "")
    return Pipeline(settings_in(folder, portal.url).changed(database_url=url))


def contents(pipeline: Pipeline) -> dict[str, list[tuple]]:
    """Every published table in the order of its rows, but for what is each pipeline's own."""
    published = [*TABLES, *schema.published_metadata.sorted_tables]
    return {
        table.name: pipeline.query(
            f"SELECT {', '.join(column.name for column in table.columns if column.name not in OWN)} FROM {table.name} ORDER BY rowid"
        )
        for table in published
    }


def differing(one: Pipeline, other: Pipeline) -> dict[str, list[tuple]]:
    """The tables that differ, with some of the rows that only one side has, or the order of."""
    first, second = contents(one), contents(other)
    return {
        name: [*(set(first[name]) ^ set(second[name])), ("order",)][:4] for name in first if first[name] != second[name]
    }


def structure(pipeline: Pipeline) -> dict[str, str]:
    return dict(pipeline.query("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


# -- the same file -----------------------------------------------------------------------------------------------------


@pytest.mark.rehearsal
def test_the_same_portal_gives_the_same_file(synced, synced_postgres):
    in_sqlite, in_postgres = Pipeline(synced), Pipeline(synced_postgres)
    assert differing(in_postgres, in_sqlite) == {}
    assert structure(in_postgres) == structure(in_sqlite)


def test_so_it_does_after_edits_of_every_kind(one, pipeline, portal):
    frame = portal.frame
    for edit in ("close", "add_twin", "relabel_type"):
        frame = EDITS[edit].function(frame)
    portal.publish(frame)
    for each in (one, pipeline):
        each.sync_with_all_numbers()
        assert each.rows() == expected(frame)
    kinds = {kind for (kind,) in one.query("SELECT DISTINCT kind FROM request_changes")}
    assert kinds == {"closed", "opened", "relabelled"}
    assert differing(one, pipeline) == {}


# -- several pipelines -------------------------------------------------------------------------------------------------


def test_two_machines_share_one_warehouse_and_each_has_the_newest_file_after_its_own_sync(one, two, portal):
    assert "making it again" in two.sync_with_all_numbers()  # nothing to load, but no file yet
    portal.publish(EDITS["close"].function(portal.frame, rows=3, seed=1))
    two.sync_with_all_numbers()
    assert one.rows() != two.rows() == expected(portal.frame)
    assert "lacks what was stored since, by another pipeline" in one.sync_with_all_numbers()
    assert one.rows() == two.rows()
    assert len(one.query("SELECT * FROM request_changes")) == 3  # once, whoever saw it
    for pipeline in (one, two):
        assert "Nothing changed" in pipeline.sync_with_all_numbers()
    one.verify()
    assert "every row equal in every field" in two.verify(deep=True)


# -- the log -----------------------------------------------------------------------------------------------------------


def test_the_log_moves_from_a_file_to_postgresql_and_goes_on(pipeline, portal, warehouse_url, tmp_path, monkeypatch):
    portal.publish(EDITS["close"].function(portal.frame, rows=3, seed=1))
    pipeline.sync()
    log = "SELECT * FROM request_changes ORDER BY change_id"
    before = pipeline.query(log)
    moved = on_machine(tmp_path / "moved", portal, warehouse_url, monkeypatch)
    pipeline.words(run_backup, file=tmp_path / "log.gz")
    assert "3 in request_changes" in moved.words(run_restore, file=tmp_path / "log.gz")
    moved.sync()
    portal.publish(EDITS["delete"].function(portal.frame, rows=1, seed=3))
    moved.sync()
    after = moved.query(log)
    assert after[:3] == before
    assert [line[0] for line in after] == [1, 2, 3, 4]  # the first load after the restoration is a baseline, no news


# -- a server that is not there ----------------------------------------------------------------------------------------


def test_a_server_that_cant_be_reached_is_told_without_the_password(one):
    before = one.file()
    nowhere = f"postgresql+psycopg://vanc311:{PASSWORD[:4]}@127.0.0.1:1/nowhere"
    words = Pipeline(one.settings.changed(database_url=nowhere)).sync(ends=2)
    assert "127.0.0.1/nowhere" in words
    assert "See that it runs" in words
    assert PASSWORD[:4] not in words
    assert one.file() == before


def test_a_server_that_ends_the_connection_in_mid_load_loses_nothing(one, portal, monkeypatch):
    """As when it is restarted: the month that was being stored is as it was, and the next sync brings it."""
    replace_requests = loading._replace_requests

    def cut(warehouse, connection, *rest):
        moved = replace_requests(warehouse, connection, *rest)
        with psycopg.connect(one.settings.warehouse_url.replace("+psycopg", ""), autocommit=True) as other:
            backend = connection.connection.driver_connection.info.backend_pid
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))
        return moved

    before = one.file()
    portal.publish(EDITS["close"].function(portal.frame, rows=3, seed=1))
    with monkeypatch.context() as patched:
        patched.setattr(loading, "_replace_requests", cut)
        assert "PostgreSQL refused" in one.sync(ends=2)
    assert one.file() == before
    one.sync()
    assert one.rows() == expected(portal.frame)
    assert len(one.query("SELECT * FROM request_changes")) == 3


# -- what is there -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        "2025-08-25", "2009-06-01", "2024-02-29", "2000-01-01T00:00:00Z", "2025-08-25T15:03:59Z", "1999-12-31T23:59:59Z",
        "", "yesterday", "2025-8-1",
    ],
)  # fmt: skip
def test_days_are_counted_as_sqlite_counts_them(warehouse, moment):
    with closing(sqlite3.connect(":memory:")) as connection:
        [days] = connection.execute("SELECT julianday(?)", (moment,)).fetchone()
    with warehouse.read() as connection:
        assert connection.exec_driver_sql(f"SELECT julianday('{moment}')").scalar() == days


def test_tables_and_columns_are_explained_to_whoever_looks_with_psql(warehouse):
    with warehouse.read() as connection:
        comments = connection.exec_driver_sql(
            "SELECT obj_description('service_requests'::regclass), col_description('service_requests'::regclass, 1)"
        ).one()
    assert tuple(comments) == (schema.service_requests.comment, schema.service_requests.c.request_id.comment)
