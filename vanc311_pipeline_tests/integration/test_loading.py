"""Claims about loading a month: all of it or nothing, what moved and no more, and restraint when the portal lost much."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.portal.contract import Release
from vanc311_pipeline.settings import ARCHIVE, LIVE, Settings
from vanc311_pipeline.warehouse import ledger, loading
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Hold
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.statistics import UNKNOWN_DEPARTMENT, quarantined
from vanc311_pipeline_tests.conftest import both_stores as store_kind  # noqa: F401 (fixture)
from vanc311_pipeline_tests.conftest import many

MONTH = "2025-08"
MODIFIED = "last_modified_timestamp"
MONTH_TABLES = (schema.service_requests, schema.quarantined_requests, schema.month_ledger)


@pytest.fixture
def contents(warehouse):
    """Everything that is stored of months, but for the time of storing."""

    def read():
        with warehouse.read() as connection:
            columns = {
                table.name: [each for each in table.columns if each.name != "loaded_at"] for table in MONTH_TABLES
            }
            return {name: sorted(connection.execute(sa.select(*each)).all(), key=str) for name, each in columns.items()}

    return read


def counts(load):
    return load.action, load.added, load.changed, load.removed


# -- what a load moves -----------------------------------------------------------------------------------------------


def test_the_same_rows_again_in_any_order_change_nothing(load, contents):
    rows = [*many(3), {"department": None}]
    outcome = load(*rows)
    assert (counts(outcome), outcome.rows_stored) == (("loaded", 3, 0, 0), 3)
    before = contents()
    assert counts(load(*reversed(rows))) == ("loaded", 0, 0, 0)
    assert contents() == before


def test_a_load_writes_what_differs_and_no_more(load, contents):
    kinds = [{"service_request_type": kind} for kind in "ABCD"]
    load(*kinds)
    outcome = load(
        {"service_request_type": "A"}, {"service_request_type": "B", "status": "Open"}, {"service_request_type": "E"}
    )
    assert counts(outcome) == ("loaded", 1, 1, 2)
    assert sorted(row.issue_type for row in contents()["service_requests"]) == ["A", "B", "E"]


# -- what a load remembers -------------------------------------------------------------------------------------------


@pytest.fixture
def logged(warehouse):
    """The logged changes, or another table's rows, in order."""

    def read(table=schema.request_changes):
        with warehouse.read() as connection:
            return connection.execute(sa.select(table).order_by(sa.literal_column("rowid"))).all()

    return read


def test_what_moves_is_logged_with_its_release_and_its_run(load, logged):
    load(*many(2), {"status": "Open", "service_request_close_date": None, "service_request_type": "A"})
    load(*many(1), {"service_request_type": "A"}, run_id="the next run")
    assert sorted(change.kind for change in logged()) == ["closed", "vanished"]
    assert {(change.run_id, change.data_processed) for change in logged()} == {("the next run", "2026-01-07T14:06:58Z")}


def test_what_was_accepted_is_on_record_with_what_it_cost(load, logged):
    load(*many(100))
    load(*many(10), run_id="consent", accepted=Hold(LIVE, MONTH, 100, 10, "rows 100 → 10", "2026-01-07T14:06:58Z"))
    assert [change.kind for change in logged()] == ["vanished"] * 90
    [line] = logged(schema.accepted_losses)
    assert (line.partition_month, line.rows_before, line.rows_after) == (MONTH, 100, 10)
    assert (line.run_id, line.why) == ("consent", "rows 100 → 10")


def test_reading_in_vain_is_on_record_with_what_it_found(load, logged):
    load(*many(2))
    load(*many(2))
    load({"address": "0 MAIN ST"}, {"address": "1 MAIN ST", "closure_reason": "Unknown"})
    assert [(reading.rows, reading.changes_found) for reading in logged(schema.deep_readings)] == [(2, 0), (2, 1)]
    assert [change.kind for change in logged()] == ["edited"]


@pytest.fixture
def loaded_by_other_rules(load, monkeypatch):
    """Two rows that were loaded before our rules changed."""
    load(*many(2))
    monkeypatch.setattr(loading, "CODE_VERSION", "the next version")


def test_what_differs_because_our_rules_changed_is_no_news_from_the_city(
    load, loaded_by_other_rules, logged, warehouse
):
    with warehouse.write() as connection:  # what a fingerprint is made of may have changed, too
        connection.execute(sa.update(schema.month_ledger).values(fingerprint="of other things"))
    load({"address": "0 MAIN ST"}, {"address": "1 MAIN ST", "closure_reason": "Unknown"})
    assert logged() == []
    assert logged(schema.deep_readings) == []
    load(*many(2))
    assert [change.kind for change in logged()] == ["edited"]


@pytest.mark.parametrize(
    ("rows", "news"),
    [
        ([], []),
        ([{"department": "A", MODIFIED: "2025-08-29T00:00:00+00:00"}], [("opened", "2538 E GEORGIA ST")]),
        ([{"department": "A"}], []),  # it may be one that the old rules could not read
    ],
)
def test_when_our_rules_changed_only_what_the_city_stamped_since_is_its_news(
    load, loaded_by_other_rules, logged, rows, news
):
    edited = {"address": "0 MAIN ST", "closure_reason": "Unknown"}  # as other rules might have it
    load(edited, {"address": "1 MAIN ST", "closure_reason": "N/A", MODIFIED: "2025-08-28T00:00:00+00:00"}, *rows)
    entries = {(change.kind, json.loads(change.after).get("address")) for change in logged()}
    assert entries == {("edited", None), *news}


@pytest.mark.parametrize(("rows", "kinds"), [([], ["vanished"]), ([{"department": None}], [])])
def test_when_our_rules_changed_what_vanished_is_news_if_rows_are_missing(
    load, loaded_by_other_rules, logged, rows, kinds
):
    load(*many(1), *rows)
    assert [change.kind for change in logged()] == kinds


def test_a_dataset_that_joins_a_month_at_the_seam_brings_its_baseline_and_the_others_news_are_logged(
    warehouse, landed, areas, logged
):
    month, opened = "2022-01", {"service_request_open_timestamp": "2022-01-01T03:00:00+00:00"}
    live = [{**opened, "address": f"{place} MAIN ST"} for place in range(2)]
    old = [{**opened, "address": f"{place} OAK ST"} for place in range(3)]
    load_month(warehouse, month, [landed(month, *live)], areas, "a run")
    both = [landed(month, *live, {**opened, "address": "9 MAIN ST"}), landed(month, *old, dataset=ARCHIVE)]
    load_month(warehouse, month, both, areas, "a run")
    assert [(change.kind, json.loads(change.after)["address"]) for change in logged()] == [("opened", "9 MAIN ST")]


@pytest.mark.parametrize("became", ["settled", "loading", "held"])
def test_a_month_that_appears_after_everything_was_here_is_news_whatever_became_of_that_release(
    warehouse, load, logged, became
):
    load(*many(2))
    release = Release(LIVE, "2026-01-07T14:06:58Z", 2, ())
    for state in ("settled", became):
        with warehouse.write() as connection:
            ledger.note_release(connection, release, state, "a run")
    load({}, month="2025-07")
    assert [change.kind for change in logged()] == ["opened"]


def test_the_ledger_says_what_was_loaded_by_whom_what_could_not_be_used_and_which_dates_lie_ahead(
    load, warehouse, landed
):
    rows = [
        {"latitude": "200"},
        {"service_request_close_date": "9999-12-31"},
        {"department": None},
        {"local_area": "Atlantis"},
    ]
    about, _ = landed(MONTH, *rows)
    load(*rows, run_id="run 7")
    with warehouse.read() as connection:
        [line] = ledger.months(connection).values()
    assert (line.dataset, line.partition_month, line.run_id) == (LIVE, MONTH, "run 7")
    assert (line.rows_landed, line.rows_stored, line.rows_quarantined, line.rows_closed) == (4, 3, 1, 4)
    assert (line.rows_unknown_area, line.unknown_areas) == (1, '{"Atlantis": 1}')
    assert (line.fingerprint, line.data_processed) == (about.fingerprint, "2026-01-07T14:06:58Z")
    assert (line.unusable_fields, line.dates_ahead) == ('{"latitude": {"rows": 1, "examples": ["200"]}}', "9999-12-31")


@pytest.mark.parametrize("month", ["2022-01", "undated"])
def test_a_month_is_replaced_only_by_all_of_its_parts(warehouse, landed, areas, contents, logged, month):
    opened = {"service_request_open_timestamp": "2022-01-01T05:00:00+00:00"}
    load_month(
        warehouse, month, [landed(month, opened, dataset=ARCHIVE), landed(month, opened, dataset=LIVE)], areas, "a run"
    )
    before = contents()
    with pytest.raises(IntegrityFailed, match=f"{month} also has 1 rows of {ARCHIVE}"):
        load_month(warehouse, month, [landed(month, opened, opened, dataset=LIVE)], areas, "a run")
    assert contents() == before
    assert logged() == []


def test_an_older_landed_file_puts_nothing_back(warehouse, landed, areas, logged):
    about, rows = landed("2025-08", {"address": "0 MAIN ST"})
    load_month(warehouse, "2025-08", [(about, rows)], areas, "a run")
    _, other = landed("2025-08", {"address": "1 MAIN ST"})
    older = replace(about, data_processed="2026-01-06T14:06:58Z", fetched_at="2026-01-06T15:00:00Z")
    with pytest.raises(IntegrityFailed, match="sync --months 2025-08"):
        load_month(warehouse, "2025-08", [(older, other)], areas, "another run")
    assert logged() == []


@pytest.mark.parametrize(("rows", "news"), [(None, []), (0, []), (2, ["opened"])])
def test_a_first_load_is_the_baseline_unless_all_that_the_portal_had_was_here_before(
    load, logged, warehouse, rows, news
):
    if rows is not None:
        with warehouse.write() as connection:
            ledger.note_release(connection, Release(LIVE, "2026-01-06T14:06:58Z", rows, ()), "settled", "a run")
    load({})
    assert [change.kind for change in logged()] == news


def test_as_of_goes_by_the_release_that_was_dealt_with_last_however_late_another_said_it_was(warehouse):
    for instant in ("2026-01-07T14:06:58Z", "2062-01-08T14:06:58Z", "2026-01-09T14:06:58Z"):
        with warehouse.write() as connection:
            ledger.note_release(connection, Release(LIVE, instant, 2, ()), "settled", "a run")
    with warehouse.read() as connection:
        assert ledger.as_of(connection) == "2026-01-08"


@pytest.mark.parametrize(
    ("newest", "as_of"),
    [
        ("2026-01-07T05:51:00+00:00", "2026-01-06"),  # 21:51 on the evening before the release: that day was whole
        ("2026-01-07T12:00:00+00:00", "2026-01-06"),  # on the day of the release, which is not whole
        ("2026-01-06T05:51:00+00:00", "2026-01-05"),  # published again, and nothing had changed
        ("2026-01-03T20:00:00+00:00", "2026-01-03"),
        ("2027-01-01T00:00:00+00:00", "2025-08-27"),  # after the release: it can't be right
    ],
)
def test_as_of_is_the_day_before_the_release_or_that_of_the_newest_change(load, warehouse, newest, as_of):
    load({}, {"last_modified_timestamp": newest})
    with warehouse.read() as connection:
        assert ledger.as_of(connection) == as_of


@pytest.mark.parametrize(
    ("july", "august", "newest"),
    [
        (["2026-01-05T20:00:00+00:00"], ["2026-01-03T20:00:00+00:00"], "2026-01-05T20:00:00Z"),
        (["2026-01-03T20:00:00+00:00"], ["2026-01-05T20:00:00+00:00"], "2026-01-05T20:00:00Z"),
        (["2027-01-01T00:00:00+00:00", "2026-01-05T20:00:00+00:00"], [None], "2026-01-05T20:00:00Z"),
        (["2027-01-01T00:00:00+00:00", None], [None], "2025-08-25T15:03:00Z"),
        (["yesterday"], ["2025-08-26T00:00:00+00:00"], "2025-08-26T00:00:00Z"),
    ],
)
def test_the_newest_change_may_lie_in_any_month(load, warehouse, july, august, newest):
    load(*({MODIFIED: instant} for instant in july), month="2025-07")
    load(*({MODIFIED: instant} for instant in august))
    with warehouse.read() as connection:
        assert ledger.newest_change(connection) == newest


# -- what no text is ---------------------------------------------------------------------------------------------------


def test_a_text_with_u0000_costs_its_field_or_its_row_wherever_the_warehouse_is(load, warehouse):
    outcome = load({}, {"address": "2538\0"}, {"department": "\0"}, {"service_request_type": "\0"})
    assert (outcome.rows_stored, outcome.rows_quarantined) == (2, 2)
    with warehouse.read() as connection:
        assert quarantined(connection) == {(MONTH, "ENG - Sanitation Services"): 1, (MONTH, UNKNOWN_DEPARTMENT): 1}


# -- all or nothing --------------------------------------------------------------------------------------------------


BREAKING = {
    "sqlite": ["CREATE TRIGGER breaks BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END"],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the disk is gone'; END $$",
        "CREATE TRIGGER breaks BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION break()",
    ],
}


@pytest.mark.parametrize(
    ("event", "table"),
    [*product(("INSERT", "DELETE"), (table.name for table in MONTH_TABLES)), ("UPDATE", "service_requests")],
)
def test_a_load_that_breaks_off_anywhere_leaves_the_month_as_it_was(
    load, contents, warehouse, warehouse_url, table, event
):
    load(*many(3), {"department": None})
    before = contents()
    with warehouse.write() as connection:
        for statement in BREAKING[connection.dialect.name]:
            connection.exec_driver_sql(statement.format(event=event, table=table))
    moved = [{"service_request_type": "new"}, *many(2, status="Open"), {"department": None, "address": "another"}]
    with pytest.raises((sa.exc.DatabaseError, psycopg.DatabaseError), match="the disk is gone"):
        load(*moved)
    assert contents() == before
    assert still_open(warehouse_url) == []
    with warehouse.write() as connection:
        on = f" ON {table}" if connection.dialect.name == "postgresql" else ""
        connection.exec_driver_sql(f"DROP TRIGGER breaks{on}")
    load(*moved)
    assert len(contents()["service_requests"]) == 3


def still_open(url):
    """What this process holds of a warehouse: its files, or connections to its server."""
    me, at = psutil.Process(), sa.make_url(url)
    if at.port:
        return [held for held in me.net_connections("tcp") if held.raddr and held.raddr.port == at.port]
    return [file.path for file in me.open_files() if file.path.startswith(at.database)]


# -- several writers -------------------------------------------------------------------------------------------------


def test_four_writers_at_once_wait_for_each_other(warehouse, warehouse_url):
    def write(number):
        with Warehouse(Settings(database_url=warehouse_url)).write() as connection:  # reads before it writes
            rows = connection.scalar(sa.select(sa.func.count()).select_from(schema.portal_releases))
            ledger.note_release(connection, Release(LIVE, str(number), rows, ()), "loading", "a run")

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(100)))
    with warehouse.read() as connection:
        seen = sorted(connection.scalars(sa.select(schema.portal_releases.c.records_count)))
    assert seen == list(range(100))  # each saw all that came before it: no write was lost


def test_a_reader_sees_one_state_while_another_writes(load, warehouse):
    load(*many(3))
    rows = sa.select(sa.func.count()).select_from(schema.service_requests)
    with warehouse.read() as reader:
        assert reader.scalar(rows) == 3
        load(*many(5))
        assert reader.scalar(rows) == 3
    with warehouse.read() as reader:
        assert reader.scalar(rows) == 5


def test_a_reader_cant_write(load, warehouse):
    load(*many(1))
    with warehouse.read() as connection, pytest.raises(sa.exc.DBAPIError, match=r"readonly|query_only|read-only"):
        connection.execute(sa.delete(schema.service_requests))


def test_the_tables_refuse_values_of_another_type(warehouse):
    with pytest.raises(sa.exc.DBAPIError, match=r"cannot store|invalid input syntax"), warehouse.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO local_areas (local_area, latitude, longitude, boundary) VALUES ('x', 'north', 1, '{}')"
        )
