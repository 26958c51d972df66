"""Claims about `vanc311 sync` as a whole: what it loads, what it costs, and how it refuses."""

import shlex
import subprocess
import sys

import pandas as pd
import pytest

from vanc311_pipeline.errors import EXIT_PORTAL, EXIT_USAGE
from vanc311_pipeline.orchestration.asset_checks import audits_for
from vanc311_pipeline.standin import Fault, StandIn
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.end_to_end.city import OPENED, Pipeline, expected, questions, settings_in


def test_after_a_whole_sync_nothing_is_left_to_do(pipeline, portal):
    """`pipeline` is the city, loaded through Dagster."""
    assert pipeline.rows() == expected(portal.frame)
    before = pipeline.file()
    portal.clear_log()
    assert "Nothing changed" in pipeline.sync()
    assert len(portal.requests_log) == 1
    assert pipeline.file() == before


def test_without_dagster_the_same_city_gives_the_same_rows(pipeline, tmp_path):
    direct = Pipeline(pipeline.settings.changed(data_dir=tmp_path / "direct"))
    direct.sync_with_all_numbers()
    for query in ("SELECT * FROM service_requests", "SELECT * FROM time_to_close"):
        assert sorted(direct.query(query), key=repr) == sorted(pipeline.query(query), key=repr)


def test_a_release_with_nothing_changed_is_named_and_tells_of_no_further_day(pipeline, portal):
    [(as_of, processed)] = pipeline.query("SELECT as_of, data_processed FROM release")
    portal.publish(portal.frame)
    portal.clear_log()
    assert "no month changed" in pipeline.sync()
    assert questions(portal)["csv"] == 0
    [(still, later)] = pipeline.query("SELECT as_of, data_processed FROM release")
    assert (still, later > processed) == (as_of, True)
    assert pipeline.query("SELECT DISTINCT as_of FROM metric_aggregates") == [(as_of,)]


def test_the_archive_comes_on_request_and_shares_the_overlap_months(city, tmp_path):
    city = city.iloc[::5].reset_index(drop=True)
    old = city.copy()
    old[OPENED] = old[OPENED] - pd.Timedelta(days=365 * 3)
    overlap = old.iloc[:2].copy()
    overlap[OPENED] = pd.to_datetime(["2022-01-01T03:00:00Z", "2021-12-31T20:00:00Z"]).as_unit("ms")
    overlap["last_modified_timestamp"] = overlap[OPENED]
    archive = pd.concat([old, overlap], ignore_index=True)
    live = city.copy()
    live.loc[0, OPENED] = pd.Timestamp("2022-01-01T09:00:00Z")
    with StandIn(requests=live, archive=archive) as portal:
        pipeline = Pipeline(settings_in(tmp_path, portal.url))
        pipeline.sync()
        assert pipeline.rows() == expected(live)
        pipeline.sync_with_dagster(archive=True)
        assert pipeline.rows() == expected(pd.concat([live, archive], ignore_index=True))
        assert pipeline.query("SELECT count(*) FROM month_ledger WHERE partition_month = '2022-01'") == [(2,)]


@pytest.mark.parametrize(
    ("words", "sentence", "environment"),
    [
        ("sync --months 2025-13", "not a month", {}),
        ("sync --months 2024-05 --archive", "exclude each other", {}),
        ("sync --months ''", "'' is not a month", {}),
        ("sync --accept-shrink ALL", "write all.", {}),
        ("sync --accept-shrink ''", "write all.", {}),
        ("sync --no-such-option", "No such option", {}),
        ("verify --deep --months ''", "'' is not a month", {}),
        ("verify --months ''", "goes with --deep", {}),
        ("sync", "not an http", {"VANC311_PORTAL_URL": "opendata.vancouver.ca"}),
        ("sync", "is no directory and can't become one", {"VANC311_DATA_DIR": "{file}/data"}),
        ("sync", "is no directory and can't become one", {"DAGSTER_HOME": "{file}/dagster"}),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_asks_nothing_and_ends_with_2(
    empty, portal, tmp_path, run, words, sentence, environment
):
    file = tmp_path / "file"
    file.touch()
    set_to = {name: value.format(file=file) for name, value in environment.items()}
    ended = run(empty, *shlex.split(words), **set_to, ends=EXIT_USAGE)
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert portal.requests_log == []


def test_sample_and_portal_are_never_mixed_in_one_directory(pipeline):
    settings = pipeline.settings
    assert "never mixed" in Pipeline(settings.changed(source="sample")).sync(ends=EXIT_USAGE)


def test_verify_and_status_say_what_is_there(pipeline, run):
    verified = run(pipeline, "verify")
    assert f"All {len(audits_for(pipeline.settings))} checks hold" in verified.out
    status = run(pipeline, "status")
    assert "settled" in status.out


@pytest.mark.parametrize("options", [{}, {"deep": True}])
def test_with_nothing_stored_verify_blames_no_check_and_passes_no_comparison(empty, portal, options):
    Warehouse(empty.settings).create()
    assert "nothing to verify" in empty.verify(**options, ends=EXIT_USAGE)
    portal.play(Fault("server_500", times=None))
    assert "with status 500" in empty.verify(**options, ends=EXIT_PORTAL)


def test_the_pipeline_does_not_even_import_dagster():
    code = "import sys, vanc311_pipeline.pipeline; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
