"""Claims about upgrades: a warehouse of any released version goes on without a loss, and one of a newer version is left alone."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.errors import EXIT_USAGE, SettingsError
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import MIGRATIONS, VERSION, Warehouse, migrate, stored_version
from vanc311_pipeline_tests.end_to_end.city import OPENED, Pipeline, expected, settings_in
from vanc311_pipeline_tests.integration.graph import TABLES, tables
from vanc311_pipeline_tests.integration.planting import answers

SNAPSHOTS = Path(__file__).parent / "snapshots"
RELEASES = ["release_0_1_0.sql", "release_0_2_0.sql"]
# Made by the first publication.
FOR_READERS = {index.name for index in (*schema.READER_INDEXES, *schema.PUBLISHED_INDEXES)}
RELEASED_AT = datetime(2024, 10, 19, 14, 6, 58, tzinfo=UTC)
"""Of the first release in the snapshots: the day after the newest change in it."""
CANT_BE_FETCHED_AGAIN = ["request_changes", "accepted_losses", "deep_readings"]


@pytest.fixture(params=RELEASES)
def released(tmp_path, request):
    """A directory with a warehouse as a released version left it."""
    settings = settings_in(tmp_path, "http://127.0.0.1:1")
    settings.data_dir.mkdir(parents=True)
    with closing(sqlite3.connect(settings.data_dir / "warehouse.sqlite")) as connection:
        connection.executescript((SNAPSHOTS / request.param).read_text())
    return settings


def rows(settings, table):
    with closing(sqlite3.connect(settings.data_dir / "warehouse.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def schema_of(path):
    objects = answers(path, "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    return {(kind, name, "".join(sql.split())) for kind, name, sql in objects if name not in FOR_READERS}


def test_a_new_warehouse_is_of_this_version_and_says_so_once(warehouse):
    warehouse.create()
    with warehouse.read() as connection:
        [line] = connection.execute(sa.select(schema.schema_versions)).all()
    assert (line.version, line.pipeline_version) == (VERSION, version("vanc311_pipeline"))


def test_the_tables_change_only_with_their_version():
    kept, now = TABLES.read_text(), tables()
    assert now == kept, (
        "The warehouse's tables have changed. Add a migration, which gives them a new version; then: make snapshots"
        if now.splitlines()[0] == kept.splitlines()[0]
        else "The tables have a new version: make snapshots"
    )


def test_after_the_upgrade_the_tables_are_those_of_a_new_warehouse_and_every_row_is_still_there(released, tmp_path):
    before = {table: rows(released, table) for table in [*CANT_BE_FETCHED_AGAIN, "service_requests", "month_ledger"]}
    assert before["request_changes"]
    Warehouse(released).create()
    fresh = Warehouse(Settings(database_url=f"sqlite:///{tmp_path}/fresh.sqlite"))
    fresh.create()
    with fresh.write() as connection:
        fresh.store.make_key(connection)
    assert schema_of(Warehouse(released).store.path) == schema_of(fresh.store.path)
    for table, lines in before.items():
        for was, is_ in zip(lines, rows(released, table), strict=True):
            assert {name: was[name] for name in was.keys() & is_} == {name: is_[name] for name in was.keys() & is_}


def test_after_the_upgrade_it_is_known_what_was_whole_and_what_was_held_is_judged_again(released):
    warehouse, at = Warehouse(released), "2026-02-01T15:00:00Z"
    answers(warehouse.store.path, "INSERT INTO portal_releases VALUES (?, ?, 3, 'held', ?, 'a run')", LIVE, at, at)
    answers(warehouse.store.path, "UPDATE month_ledger SET held_rows = 3, held_since = ?", at)
    warehouse.create()
    with warehouse.read() as connection:
        assert ledger.once_whole(connection) == {LIVE}
        assert ledger.last_release(connection, LIVE).state == "loading"
        assert ledger.held(connection) == []


def city():
    """The three releases that the first version saw; the last is what the portal has now."""
    with StandIn() as portal:
        frame = portal.frame
    month = frame[OPENED].dt.strftime("%Y-%m")
    chosen = frame[month.isin(["2024-05", "2024-06"])].reset_index(drop=True)
    first = chosen.groupby(chosen[OPENED].dt.strftime("%Y-%m")).head(8).reset_index(drop=True)
    second = EDITS["close"].function(first, rows=1, seed=1)
    second = EDITS["relabel_type"].function(EDITS["add_twin"].function(second, rows=1, seed=1))
    return first, second, EDITS["touch"].function(second, rows=1)


def test_the_next_sync_cleans_its_months_by_the_present_rules_and_goes_on_with_its_log_though_the_portal_is_quiet(
    released,
):
    log = rows(released, "request_changes")
    first, second, now = city()
    with StandIn(requests=first, released_at=RELEASED_AT) as portal:
        portal.publish(second)
        portal.publish(now)
        pipeline = Pipeline(released.changed(portal_url=portal.url))
        pipeline.sync_with_all_numbers()
        assert pipeline.rows() == expected(now)
        assert pipeline.query("SELECT DISTINCT code_version FROM month_ledger") == [(CODE_VERSION,)]
        assert pipeline.query("SELECT * FROM request_changes ORDER BY rowid") == [
            tuple(entry.values()) for entry in log
        ]
        assert pipeline.query("SELECT count(*) > 0 FROM time_to_close") == [(1,)]
        pipeline.verify()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda file: answers(file, "UPDATE release SET pipeline_version = '0.0.9'"), "was made by version 0.0.9 of this program"),
        (lambda file: file.write_bytes(b"not a database" * 100), "can't be read"),
    ],
    ids=["an older version's", "none"],
)  # fmt: skip
def test_a_published_file_that_is_of_an_older_version_or_cant_be_read_is_made_again_once(tmp_path, spoil, words):
    first, _, _ = city()
    with StandIn(requests=first, released_at=RELEASED_AT) as portal:
        pipeline = Pipeline(settings_in(tmp_path, portal.url))
        pipeline.sync()
        spoil(pipeline.settings.published_path)
        assert f"{words}: making it again" in pipeline.sync()
        assert pipeline.query("SELECT pipeline_version FROM release") == [(version("vanc311_pipeline"),)]
        assert pipeline.rows() == expected(first)
        assert "making it again" not in pipeline.sync()


def test_a_warehouse_of_a_newer_version_is_refused_and_left_as_it_is(warehouse):
    with warehouse.write() as connection:
        connection.execute(
            sa.insert(schema.schema_versions).values(version=VERSION + 1, upgraded_at="x", pipeline_version="9.9")
        )
    before = warehouse.store.path.read_bytes()
    with pytest.raises(SettingsError, match=f"of version {VERSION + 1}, and this program") as error:
        warehouse.create()
    assert error.value.exit_code == EXIT_USAGE
    assert warehouse.store.path.read_bytes() == before


@pytest.mark.parametrize("statement", [*chain.from_iterable(MIGRATIONS)])
def test_no_statement_of_a_migration_relies_on_what_a_user_may_have_removed_or_made(statement):
    for verb, guard in (("DROP", "IF EXISTS"), ("CREATE", "IF NOT EXISTS")):
        whole = re.findall(rf"{verb} (?:INDEX|TABLE|VIEW) (.*)", statement.upper())
        assert all(name.startswith(guard) for name in whole)


def test_an_upgrade_that_breaks_off_changes_nothing(released, monkeypatch):
    warehouse = Warehouse(released)
    before = schema_of(warehouse.store.path)
    broken = (*MIGRATIONS, ("ALTER TABLE request_changes ADD note TEXT", "NONSENSE"))
    with pytest.raises(sa.exc.OperationalError), warehouse.write() as connection:
        migrate(connection, stored_version(connection), broken)
    assert schema_of(warehouse.store.path) == before


def test_only_what_came_after_a_version_is_done(warehouse):
    with warehouse.write() as connection:
        migrate(connection, 1, (("NONSENSE",), ("ALTER TABLE request_changes ADD note TEXT",)))
        columns = {column["name"] for column in sa.inspect(connection).get_columns("request_changes")}
    assert "note" in columns
