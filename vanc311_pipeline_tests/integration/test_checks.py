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
from vanc311_pipeline.orchestration.asset_checks import audits_for, result, spec_of
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
from vanc311_pipeline_tests.integration.planted_statistics import STATISTICS_CASES
from vanc311_pipeline_tests.integration.planting import (
    ERROR,
    MONTH,
    ONE,
    POINT,
    WARN,
    Case,
    Violations,
    cases,
    held_release,
    hold,
    overwrite,
    published,
    remove_published,
    request,
    rewrite_landed,
    sql,
    unguarded,
)

BY_NAME = {check.name: check for check in AUDITS}
WITHOUT_STORE = [check.name for check in audits_for(Settings())]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.rehearsal)])
def store_kind(request):
    return request.param


def run_check(settings: Settings, name: str, planned: bool = False) -> dg.AssetCheckResult:
    """A check over everything that is stored."""
    warehouse = Warehouse(settings)
    with warehouse.read() as connection:
        return result(BY_NAME[name], BY_NAME[name](AuditContext(warehouse, connection, None, planned)))


# -- the violations --------------------------------------------------------------------------------------------------

WRONG: Violations = {
    "raw_count_equals_portal_count": {
        f"{MONTH}: the file has 10 rows, the portal counted": rewrite_landed(rows=10),
        "after": rewrite_landed(lambda about: about.update(total_count_after=about["total_count_after"] + 1)),
    },
    "portal_has_not_shrunk": {" → 5,000 (2099-01-01T14:06:58Z)": held_release(5_000)},
    "there_are_22_areas": {
        "21 areas are stored, not 22": "DELETE FROM local_areas WHERE local_area = 'Marpole'",
        "the centre of Marpole lies in no area": "UPDATE local_areas SET latitude = 48.4, longitude = -123.3 WHERE local_area = 'Marpole'",
    },
    "every_row_is_accounted_for": {
        f"{MONTH}: ": f"DELETE FROM service_requests WHERE {ONE}",
        "rows landed, but": "UPDATE month_ledger SET rows_landed = rows_landed + 1, rows_stored = rows_stored + 1 WHERE "
        "partition_month = '2024-01'",
        f"{LIVE} {MONTH}: the file has": rewrite_landed(lambda about: about.update(rows=about["rows"] - 1)),
    },
    "stored_total_equals_portal_total": {
        "The portal contradicts itself or moved": "UPDATE portal_releases SET records_count = records_count + 1",
    },
    "no_month_is_held": {f"{MONTH}: rows 100 → 7 (since 2026-01-08T00:00:00Z). The old rows stay.": hold()},
    "request_ids_are_unique_and_well_formed": {
        "not the digest of their key, such as 'made up'": request("request_id = 'made up'"),
        "don't count from 0 without a gap": request("occurrence = 5"),
        "1 ids stand twice": unguarded(
            "service_requests", f"INSERT INTO service_requests SELECT * FROM service_requests WHERE {ONE}"
        ),
    },
    "nothing_required_is_missing": {
        "1 rows: department is null": unguarded(
            "service_requests", f"UPDATE service_requests SET department = NULL WHERE {ONE}"
        ),
        "1 rows: address is empty text": request("address = ''"),
        "1 rows: closure_reason is N/A": request("closure_reason = 'N/A'"),
    },
    "dates_and_durations_follow_from_instants": {
        "1 rows have a wrong opened_on": request("opened_on = '2024-02-20'"),
        "1 rows have a wrong open_month": request("open_month = '2024-02'"),
        "1 rows have a wrong partition_month": request("partition_month = '2024-02'"),
        "1 rows have a wrong days_to_close": request("days_to_close = coalesce(days_to_close, 0) + 1"),
        "a wrong days_to_close": request("days_to_close = NULL"),
        "a wrong days_to_update": request("days_to_update = days_to_update + 0.001"),
    },
    "areas_are_known": {"1 rows: an area that is none of the 22": request("local_area = 'Atlantis'")},
    "levels_add_up": {
        "1: city.all": "UPDATE metrics_citywide SET volume = volume + 1 WHERE scope = 'all'",
        "3: neighbourhood = Σ of its issues": "DELETE FROM metrics_hyper_local WHERE rowid = 1",
        "3: issue.all = issue.located + unlocated": "UPDATE metrics_unlocated SET closed = closed + 1, open_requests = "
        "open_requests - 1 WHERE rowid = 1",
    },
    "recomputed_metrics_agree": {
        "citywide (all): 1 groups have other numbers than their requests": f"DELETE FROM service_requests WHERE {ONE}",
        "unlocated (unlocated): 1 groups have other numbers": "UPDATE metrics_unlocated SET sum_seconds_to_update = "
        "sum_seconds_to_update + 1 WHERE rowid = 1",
        "hyper_local (located): its groups are not those": "UPDATE metrics_hyper_local SET issue_type = 'Nothing of the kind' WHERE rowid = 1",
        "citywide (located): 1 groups have other numbers": "UPDATE metrics_citywide SET avg_ttr = avg_ttr + 0.1 WHERE scope = 'located'",
    },
    "long_table_equals_wide_tables": {
        "citywide: 1 values of volume differ": "UPDATE metric_aggregates SET value = value + 1 WHERE level = 'citywide' "
        "AND metric = 'volume' AND scope = 'all'",
        "values of avg_ttr differ": "UPDATE metric_aggregates SET n = n + 1 WHERE rowid = (SELECT min(rowid) FROM "
        "metric_aggregates WHERE metric = 'avg_ttr')",
        "the total of the unlocated: 1 values of volume differ": "UPDATE metric_aggregates SET value = value + 1 WHERE "
        "level = 'unlocated' AND issue_type IS NULL AND metric = 'volume'",
        "neighbourhood: ": "UPDATE metric_aggregates SET scope = 'all' WHERE level = 'neighbourhood' AND metric = 'volume'",
        "citywide: 2 values of volume differ": "UPDATE metric_aggregates SET as_of = '2001-01-01' WHERE level = "
        "'citywide' AND metric = 'volume'",
        "+1 rows more than the wide tables give": "INSERT INTO metric_aggregates SELECT 'ward', scope, local_area, "
        "issue_type, metric, value, n, as_of FROM metric_aggregates WHERE rowid = 1",
    },
    "published_file_is_whole": {
        "does not exist": remove_published,
        "is not the file that was published at": published("UPDATE release SET records_count = 1"),
        "release.first_month: 1 values are not TEXT": published(
            "UPDATE release SET records_count = 'many', first_month = x'00'"
        ),
        "it can't be read": overwrite(0, b"not a database"),
        "SQLite finds": overwrite(4096 * 3, b"\xff" * 4096),
        "no publication is on record": "DELETE FROM publications",
    },
    "published_file_equals_warehouse": {
        "does not exist": remove_published,
        "can't be compared": overwrite(0, b"not a database"),
        "1 rows are only in the warehouse": request("channel = 'Carrier pigeon'"),
        f"service_requests {MONTH}: ": published(f"DELETE FROM service_requests WHERE {ONE}"),
        "metrics_citywide: 2 rows are only in the file": published("UPDATE metrics_citywide SET avg_ttr = 0"),
    },
    "newest_change_is_recent": {
        "The newest change in the record is of 2026-01-12T22:43:51Z: 4 days before 2026-01-16": "UPDATE portal_releases SET "
        "data_processed = '2026-01-17T14:06:58Z'",
    },
    "months_equal_portal": {
        "here are": f"UPDATE portal_months SET rows = rows + 1 WHERE partition_month = '{MONTH}'",
        f"{LIVE} {MONTH}: the portal has": f"UPDATE portal_months SET closed = closed - 1 WHERE partition_month = '{MONTH}'",
        "latest change 2099-01-01T00:00:00Z": "UPDATE portal_months SET latest_change = '2099-01-01T00:00:00Z' WHERE "
        f"partition_month = '{MONTH}'",
        "here are 0 rows": f"DELETE FROM month_ledger WHERE partition_month = '{MONTH}'",
        f"{MONTH}: the ledger says": request("status = 'Open', closed_on = NULL"),
        "later than the ledger knows": request("modified_at = '2099-01-01T00:00:00Z'"),
    },
}
"""What is wrong with our data, by check and by the phrase that tells of it: it blocks."""

ODD: Violations = {
    "portal_fields_are_known": {
        "new field ward": rewrite_landed(lambda about: about["columns"].append("ward")),
        "another order": rewrite_landed(lambda about: about["columns"].reverse()),
    },
    "stored_total_equals_portal_total": {
        "Only a part was asked for": "UPDATE portal_releases SET records_count = records_count + 1, state = 'loading'",
    },
    "areas_are_known": {
        '{"Atlantis": 2}': f"UPDATE month_ledger SET rows_unknown_area = 2, unknown_areas = '{{\"Atlantis\": 2}}' WHERE "
        f"partition_month = '{MONTH}'",
    },
    "fields_are_usable": {
        "2 rows came with a latitude that can't be used, such as '200'": "UPDATE month_ledger SET unusable_fields = "
        f"""'{{"latitude": {{"rows": 2, "examples": ["200"]}}}}' WHERE partition_month = '{MONTH}'""",
    },
    "no_row_is_quarantined": {
        "1 rows: department is missing": f"INSERT INTO quarantined_requests VALUES ('id', '{LIVE}', '{MONTH}', 'department is missing', '{{}}')",
    },
    "status_and_close_date_agree": {
        "1 requests: status Close without a close date": request("closed_on = NULL"),
        "1 requests: status Open with a close date": request("status = 'Open'"),
        "1 requests: a status that is neither Open nor Close": request("status = 'Closed'"),
        "a status that is neither": request("status = NULL"),
    },
    "close_is_not_before_open": {"closed before they were opened": request("closed_on = '2023-12-24'")},
    "timestamps_are_plausible": {
        "opened before the record began": request("opened_at = '0025-08-25T15:03:00Z'"),
        "opened after the portal's newest": request("opened_at = '2099-08-25T15:03:00Z'"),
        "last changed before they were": request("modified_at = '2001-01-01T00:00:00Z'"),
        "last changed after the": request("modified_at = '2099-01-01T00:00:00Z'"),
        "closed after the day of the portal's newest": request("closed_on = '2099-01-01'"),
    },
    "points_lie_in_the_city": {
        "lie outside all areas": request("latitude = 48.42842, longitude = -123.36564", POINT),
        "one coordinate without the other": request("longitude = NULL", POINT),
    },
    "points_lie_in_their_area": {
        "points with an area lie elsewhere": request(
            "local_area = CASE local_area WHEN 'Marpole' THEN 'Sunset' ELSE 'Marpole' END", POINT
        ),
    },
    "newest_change_is_recent": {
        "3 days before 2026-01-15": "UPDATE portal_releases SET data_processed = '2026-01-16T14:06:58Z'",
        "35 days before 2026-02-16": "UPDATE portal_releases SET data_processed = '2026-02-17T14:06:58Z', records_count "
        "= records_count + 1, state = 'loading'",
    },
    "fingerprints_show_every_change": {
        f"{MONTH}: 2 changes that the fingerprint did not show": "INSERT INTO deep_readings (read_at, partition_month, "
        f"rows, changes_found, data_processed, run_id) VALUES ('2026-01-14T15:00:00Z', '{MONTH}', 200, 2, '2026-01-14T14:06:58Z', 'a run')",
    },
    "months_equal_portal": {
        "release of 2099-01-01T00:00:00Z": "UPDATE portal_months SET rows = rows + 1, data_processed = "
        f"'2099-01-01T00:00:00Z' WHERE partition_month = '{MONTH}'",
    },
}
"""What is odd in the city's own: it warns."""

CASES = [
    *cases(WRONG),
    *cases(ODD, WARN),
    Case(
        "stored_total_equals_portal_total",
        sql("UPDATE portal_releases SET records_count = records_count + 1, state = 'loading'"),
        "The portal contradicts itself or moved",
        planned=True,
    ),
    *STATISTICS_CASES,
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
ODD_IN_THE_SAMPLE = {
    "points_lie_in_the_city": "points lie outside all areas",
    "quality_is_as_usual": "of requests are",
}


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
    sql(f"UPDATE service_requests SET closed_on = NULL WHERE request_id IN ({changed})")(copied)
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
    sql(f"UPDATE portal_months SET rows = rows + 1 WHERE partition_month = '{MONTH}'")(copied)
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
    assert spec_of(check).description == check.description
    assert spec_of(check).blocking == check.blocking
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
    request("opened_on = '2024-02-20'")(served_anew)
    ended = verify(served_anew)
    failed = {check.check_name: check.severity for check in ended.get_asset_check_evaluations() if not check.passed}
    assert not ended.success
    assert failed["dates_and_durations_follow_from_instants"] == ERROR


def test_a_warning_ends_nothing(served_anew):
    request("latitude = 48.42842, longitude = -123.36564", POINT)(served_anew)
    # The file was published before the row moved, so it is made equal by hand: the row is what is tested.
    published(f"UPDATE service_requests SET latitude = 48.42842, longitude = -123.36564 WHERE {POINT}")(served_anew)
    ended = verify(served_anew)
    evaluated = {check.check_name: check for check in ended.get_asset_check_evaluations()}
    assert not evaluated["points_lie_in_the_city"].passed
    assert evaluated["points_lie_in_the_city"].severity == WARN
    assert evaluated["published_file_equals_warehouse"].passed


def test_every_check_passes_on_a_city_without_a_request(tmp_path, warehouse_url, warehouse, landed, areas):
    """Nothing is odd about nothing: sums, groups and averages of no row at all."""
    settings = Settings(data_dir=tmp_path, database_url=warehouse_url)
    load_month(warehouse, MONTH, [landed(MONTH)], areas, "a run")
    replace_statistics(warehouse)
    publish(warehouse, settings.published_path, "a run", [])
    evaluated = {name: run_check(settings, name) for name in WITHOUT_STORE if name != "there_are_22_areas"}
    assert {name: check.description for name, check in evaluated.items() if not check.passed} == {}
