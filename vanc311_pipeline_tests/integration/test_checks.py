"""Claims about the asset checks: each passes on data that a real run made, and each finds a violation that is planted.

A new check without a planted violation fails `test_every_check_has_a_planted_violation`.
"""

import pkgutil
import sqlite3
from contextlib import closing
from dataclasses import fields
from importlib import import_module
from inspect import signature

import dagster as dg
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.orchestration.asset_checks import audits_for, result
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.shipping import ObjectStore
from vanc311_pipeline.warehouse import audits
from vanc311_pipeline.warehouse.audits import AUDITS, laws
from vanc311_pipeline.warehouse.audits.questions import Audit, AuditContext
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.publishing import publish
from vanc311_pipeline.warehouse.rows import rows_by_month
from vanc311_pipeline.warehouse.statistics import replace_statistics
from vanc311_pipeline_tests.conftest import both_stores as store_kind  # noqa: F401 (fixture)
from vanc311_pipeline_tests.integration import planting
from vanc311_pipeline_tests.integration.planting import ERROR, MONTH, PLANTED, WARN

BY_NAME = {check.name: check for check in AUDITS}
WITHOUT_STORE = [check.name for check in audits_for(Settings())]


def run_check(settings: Settings, name: str, planned: bool = False) -> dg.AssetCheckResult:
    """A check over everything that is stored."""
    warehouse = Warehouse(settings)
    with warehouse.read() as connection:
        return result(BY_NAME[name], BY_NAME[name](AuditContext(warehouse, connection, None, planned)))


# -- the violations --------------------------------------------------------------------------------------------------

IN_FILES: planting.Violations = {
    "raw_count_equals_portal_count": {
        f"{MONTH}: the file has 10 rows, the portal counted": planting.rewrite_landed(rows=10),
        "after": planting.rewrite_landed(lambda about: about.update(total_count_after=about["total_count_after"] + 1)),
    },
    "portal_has_not_shrunk": {" → 5,000 (2099-01-01T14:06:58Z)": planting.held_release(5_000)},
    "every_row_is_accounted_for": {
        f"{LIVE} {MONTH}: the file has": planting.rewrite_landed(lambda about: about.update(rows=about["rows"] - 1))
    },
    "published_file_is_whole": {
        "does not exist": planting.remove_published,
        "it can't be read": planting.overwrite(0, b"not a database"),
        "SQLite finds": planting.overwrite(4096 * 3, b"\xff" * 4096),
    },
    "published_file_equals_warehouse": {
        "does not exist": planting.remove_published,
        "can't be compared": planting.overwrite(0, b"not a database"),
    },
}
ODD_IN_FILES: planting.Violations = {
    "portal_fields_are_known": {
        "new field ward": planting.rewrite_landed(lambda about: about["columns"].append("ward")),
        "another order": planting.rewrite_landed(lambda about: about["columns"].reverse()),
    }
}

CASES = [
    *planting.cases(PLANTED["wrong"]),
    *planting.cases(PLANTED["unguarded"], plant=planting.unguarded),
    *planting.cases(PLANTED["published"], plant=planting.published),
    *planting.cases(IN_FILES),
    *planting.cases(PLANTED["odd"], WARN),
    *planting.cases(ODD_IN_FILES, WARN),
    planting.Case(
        "stored_total_equals_portal_total",
        planting.sql("UPDATE portal_releases SET records_count = records_count + 1, state = 'loading'"),
        "The portal contradicts itself or moved",
        planned=True,
    ),
    planting.Case(
        "published_2025_figures_are_near",
        planting.all_months_of_2025,
        "requests (published 272,580): ours is",
        WARN,
        settings={"portal_url": "https://opendata.vancouver.ca"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}-{case.phrase}")
def test_a_planted_violation_is_found_and_told(copied, case):
    case.plant(copied)
    evaluated = run_check(copied.changed(**case.settings), case.check, case.planned)
    assert not evaluated.passed
    assert evaluated.severity == case.severity
    assert case.phrase in (evaluated.description or "")
    assert any(case.phrase in line.data["what"] for line in evaluated.metadata["offending"].records)


# Its violation is in no table but in a store: `test_an_object_store_that_serves_another_file_fails_its_check`.
IN_A_STORE = "shipped_file_is_the_published_file"


def test_every_check_has_a_planted_violation():
    assert {case.check for case in CASES} | {IN_A_STORE} == set(BY_NAME)


def test_what_blocks_is_exactly_what_can_be_wrong_with_our_data():
    """A check that only ever warns must not block; one that finds our data wrong must."""
    assert {case.check for case in CASES if case.severity == ERROR} | {IN_A_STORE} == {
        check.name for check in AUDITS if check.blocking
    }


# -- clean data ------------------------------------------------------------------------------------------------------

# What is odd in the bundled rows themselves, which are the city's own: counted and said, and no fault of ours.
ODD_IN_THE_SAMPLE = {"points_lie_in_the_city": "points lie outside all areas", "quality_is_as_usual": "of requests are"}


def test_a_real_run_evaluates_every_check_once_and_finds_only_what_is_odd_in_the_citys_own_rows(unchanged):
    with dg.DagsterInstance.from_config(str(unchanged.dagster_home)) as instance:
        [run] = instance.get_runs()
        seen = [
            record.dagster_event.asset_check_evaluation_data
            for record in instance.all_logs(run.run_id)
            if record.dagster_event and record.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
    assert sorted(check.check_name for check in seen) == sorted(WITHOUT_STORE)
    assert {check.check_name for check in seen if not check.passed} == set(ODD_IN_THE_SAMPLE)
    assert all(check.severity == WARN for check in seen if not check.passed)


def test_the_offending_requests_are_shown_with_their_ids(copied):
    changed = "SELECT request_id FROM service_requests WHERE status = 'Close' AND closed_on IS NOT NULL ORDER BY rowid LIMIT 7"
    with Warehouse(copied).read() as connection:
        ids = set(connection.scalars(sa.text(changed)))
    planting.sql(f"UPDATE service_requests SET closed_on = NULL WHERE request_id IN ({changed})")(copied)
    evaluated = run_check(copied, "status_and_close_date_agree").metadata["offending"]
    first, *rows = [line.data for line in evaluated.records]
    assert first == {"what": "7 requests: status Close without a close date", "row": ""}
    assert len(rows) == 5
    for row in rows:
        assert row["what"] == "status Close without a close date"
        assert row["row"].removeprefix("request_id ")[:64] in ids
        assert "closed_on is null" in row["row"]


def test_the_points_outside_are_shown_with_where_they_are(unchanged):
    shown = run_check(unchanged, "points_lie_in_the_city").metadata["offending"]
    rows = [line.data for line in shown.records][1:]
    assert len(rows) == 5
    assert all("latitude 4" in row["row"] and "the point lies in is null" in row["row"] for row in rows)


def test_the_comparison_with_the_portal_is_shown_month_by_month(copied):
    planting.sql(f"UPDATE portal_months SET rows = rows + 1 WHERE partition_month = '{MONTH}'")(copied)
    shown = [line.data for line in run_check(copied, "months_equal_portal").metadata["compared"].records]
    with Warehouse(copied).read() as connection:
        stored = rows_by_month(connection, schema.service_requests)
    newest = sorted(stored, reverse=True)[:36]
    assert [line["month"] for line in shown] == [MONTH, *(month for month in newest if month != MONTH)]
    assert [line["in step"] for line in shown] == ["no", *["yes"] * (len(shown) - 1)]
    assert shown[0]["the portal has"].startswith(f"{stored[MONTH] + 1:,} rows")
    assert all(line["here are"].startswith(f"{stored[line['month']]:,} rows, ") for line in shown)


def test_an_object_store_that_serves_another_file_fails_its_check(copied, tmp_path):
    settings = copied.changed(ship_url=f"file://{tmp_path}/store")
    digest = file_digest(settings.published_path)
    assert f"serves nothing, published was {digest}" in run_check(settings, IN_A_STORE).description
    store = ObjectStore.of(settings)
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"another file")
    store.ship(other, file_digest(other), {})
    evaluated = run_check(settings, IN_A_STORE)
    assert (evaluated.passed, evaluated.severity) == (False, ERROR)
    assert evaluated.metadata["shipped"].value == file_digest(other)
    store.ship(settings.published_path, digest, {})
    assert run_check(settings, IN_A_STORE).passed


@pytest.mark.parametrize("check", AUDITS, ids=lambda check: check.name)
def test_every_check_says_what_it_claims(check):
    assert "(warns" in check.description or check.blocking
    assert set(signature(check.question).parameters) <= set(dir(AuditContext)) | {
        each.name for each in fields(AuditContext)
    }


def test_every_audit_is_asked():
    modules = [import_module(f"{audits.__name__}.{module.name}") for module in pkgutil.iter_modules(audits.__path__)]
    named = {id(each) for module in modules for each in vars(module).values() if isinstance(each, Audit)}
    assert named | {id(each) for each in laws.AUDITS} == {id(each) for each in AUDITS}
    assert len(BY_NAME) == len(AUDITS)


def test_the_published_file_carries_what_the_checks_of_the_data_found(unchanged):
    with closing(sqlite3.connect(unchanged.published_path)) as connection:
        results = dict(connection.execute("SELECT check_name, result FROM check_results"))
        words = dict(connection.execute("SELECT check_name, found FROM check_results WHERE result <> 'passed'"))
    assert set(results) == {
        check.name for check in AUDITS if check.asset not in ("published_database", "shipped_database")
    }
    assert {name for name, result in results.items() if result == "warned"} == set(ODD_IN_THE_SAMPLE)
    assert set(results.values()) == {"passed", "warned"}
    assert all(ODD_IN_THE_SAMPLE[name] in evaluated for name, evaluated in words.items())


# -- through Dagster -------------------------------------------------------------------------------------------------


@pytest.fixture
def served_anew(copied, open_portal) -> Settings:
    """The synced data directory, and the portal that it is in step with."""
    return copied.changed(portal_url=open_portal().url)


def verify(settings: Settings) -> dg.ExecuteInProcessResult:
    job = build_definitions(settings).resolve_job_def("verify")
    with dg.instance_for_test() as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False)


def test_checks_launched_alone_look_at_everything_and_a_blocking_one_ends_the_run(served_anew):
    planting.request("opened_on = '2024-02-20'")(served_anew)
    ended = verify(served_anew)
    failed = {check.check_name: check.severity for check in ended.get_asset_check_evaluations() if not check.passed}
    assert not ended.success
    assert failed["dates_and_durations_follow_from_instants"] == ERROR


def test_every_check_passes_on_a_city_without_a_request(tmp_path, warehouse_url, warehouse, landed, areas):
    """Nothing is odd about nothing: sums, groups and averages of no row at all."""
    settings = Settings(data_dir=tmp_path, database_url=warehouse_url)
    load_month(warehouse, MONTH, [landed(MONTH)], areas, "a run")
    replace_statistics(warehouse)
    publish(warehouse, settings.published_path, "a run", [])
    evaluated = {name: run_check(settings, name) for name in WITHOUT_STORE if name != "there_are_22_areas"}
    assert {name: check.description for name, check in evaluated.items() if not check.passed} == {}
