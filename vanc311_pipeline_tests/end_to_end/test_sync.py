"""Claims about a sync: what it leaves when the portal, the disk or the city does something odd, and how `vanc311 sync` says so.

What is claimed of the data goes the way without Dagster (`pipeline.sync`). What is claimed of the command, its runs and their exit
codes is called through `main` (`run`), as the console script calls it.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa

from vanc311_pipeline.commands.sync import in_process
from vanc311_pipeline.errors import Interrupted
from vanc311_pipeline.orchestration.failures import reason_of_failure
from vanc311_pipeline.settings import ARCHIVE, AREAS, LICENCE, LIVE, Settings
from vanc311_pipeline.standin import Fault, StandIn
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline_tests.end_to_end.city import MODIFIED, OPENED, Pipeline, expected, questions, settings_in

COMMAND = [sys.executable, "-m", "vanc311_pipeline"]
MONTHS = ["2024-05", "2024-06", "2024-07"]


def changed(portal: StandIn, rows: int = 3, seed: int = 1) -> None:
    """A new release in which requests were closed, edited, joined by a twin, and removed."""
    frame = EDITS["edit_with_modified"].function(portal.frame, rows=rows, seed=seed)
    frame = EDITS["close"].function(frame, rows=rows, seed=seed)
    frame = EDITS["add_twin"].function(frame, rows=rows, seed=seed)
    portal.publish(EDITS["delete"].function(frame, rows=1, seed=seed))


# -- every field and every number --------------------------------------------------------------------------------------


def test_text_that_needs_quoting_survives_in_every_text_field(empty, portal):
    odd = [
        'a "quoted"; text,\nin two lines', ";;", "''\"\"", "línea 1\r\nline 2", "[bold]no markup[/bold]", "1e5", "NULL",
    ]  # fmt: skip
    frame = portal.frame
    columns = ["address", "closure_reason", "channel", "department", "service_request_type"]
    for place, column in enumerate(columns):
        frame.loc[place * len(odd) : (place + 1) * len(odd) - 1, column] = odd
    portal.publish(frame)
    empty.sync()
    assert empty.rows() == expected(frame)


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_an_edit_of_one_month_asks_one_grouped_question_and_touches_only_that_month(pipeline, portal):
    files = {month: pipeline.settings.raw_dir / LIVE / f"{month}.parquet" for month in MONTHS}
    before = {month: file.read_bytes() for month, file in files.items()}
    loaded = dict(pipeline.query("SELECT partition_month, run_id FROM month_ledger"))
    frame = portal.frame
    june = frame.index[frame[OPENED].dt.strftime("%Y-%m") == "2024-06"][:2]
    frame.loc[june, ["status", "closure_reason"]] = ["Close", "Duplicate"]
    frame.loc[june, MODIFIED] = frame[MODIFIED].max() + pd.Timedelta(hours=1)
    portal.publish(frame)
    portal.clear_log()
    pipeline.sync()
    assert questions(portal)["json"] == questions(portal)["csv"] == 1
    assert [month for month in MONTHS if files[month].read_bytes() != before[month]] == ["2024-06"]
    after = dict(pipeline.query("SELECT partition_month, run_id FROM month_ledger"))
    assert [month for month in MONTHS if after[month] != loaded[month]] == ["2024-06"]
    assert pipeline.rows() == expected(frame)


def test_a_lasting_outage_in_the_middle_of_a_load_is_not_hammered(pipeline, portal, run):
    changed(portal)
    portal.clear_log()
    portal.play(Fault("server_502", on="records", times=None))
    run(pipeline, "sync", ends=3)
    assert questions(portal)["records"] <= 8


# -- the portal changes its mind ---------------------------------------------------------------------------------------


def test_a_release_that_comes_with_edits_during_an_export_is_planned_anew_and_followed(city, loaded, tmp_path, run):
    shutil.copytree(loaded, tmp_path, dirs_exist_ok=True)
    with StandIn(requests=city, export_during_publish="mix") as portal:
        pipeline = Pipeline(settings_in(tmp_path, portal.url))
        changed(portal)
        portal.play(Fault("release_moves_during_export", edit="add_twin", after=1))
        ended = run(pipeline, "sync")
        assert "Planning again" in ended.out
        assert pipeline.rows() == expected(portal.frame)
        portal.clear_log()
        run(pipeline, "sync")
        assert len(portal.requests_log) == 1


def test_a_portal_that_publishes_again_and_again_ends_with_1_and_nothing_half_done(pipeline, portal):
    before = pipeline.file()
    changed(portal)
    portal.play(Fault("release_moves_during_export", times=None, edit="touch"))
    words = pipeline.sync(ends=1)
    assert "published" in words
    assert "vanc311 sync" in words
    assert pipeline.file() == before
    portal.clear_faults()
    busy = portal.frame.copy()  # days went by; a record without a change of the last three is not published from
    busy.loc[busy.index[0], MODIFIED] = portal.released_at - timedelta(days=1)
    portal.publish(busy, portal.released_at + timedelta(hours=1))
    pipeline.sync()
    assert pipeline.rows() == expected(portal.frame)


def test_a_quota_that_ends_between_two_months_keeps_what_was_landed_for_the_next_sync(pipeline, portal):
    before = pipeline.file()
    portal.publish(EDITS["touch"].function(portal.frame, rows=300))
    portal.play(Fault("quota_429", on="export", after=2))
    assert "used up, until" in pipeline.sync(ends=3)
    assert pipeline.file() == before
    portal.clear_faults()
    portal.clear_log()
    pipeline.sync()
    assert questions(portal)["csv"] == 1
    assert pipeline.rows() == expected(portal.frame)


def test_values_that_were_garbled_on_their_way_cost_their_field_and_are_mended_by_the_next_load(pipeline, portal):
    changed(portal)
    for rows, field in enumerate((MODIFIED, "service_request_close_date", "latitude"), 1):
        portal.play(Fault("garbled_field", times=None, field=field, rows=rows))
    pipeline.sync()
    lost = [json.loads(fields) for (fields,) in pipeline.query("SELECT unusable_fields FROM month_ledger") if fields]
    assert {name for fields in lost for name in fields} == {"modified_at", "closed_on", "latitude"}
    assert pipeline.query("SELECT count(*) FROM quarantined_requests") == [(0,)]
    assert len(pipeline.rows()) == len(portal.frame)
    portal.clear_faults()
    pipeline.sync(months="2024-05..2024-07")
    assert pipeline.rows() == expected(portal.frame)


# -- rows that no month can hold ---------------------------------------------------------------------------------------


def test_rows_outside_every_month_are_quarantined_counted_and_released_once_the_city_mends_them(pipeline, portal):
    whole = portal.frame
    frame = EDITS["null_key"].function(whole, rows=3)
    frame = EDITS["null_key"].function(frame, field="department", rows=2, seed=5)
    frame = EDITS["impossible_opened"].function(frame, rows=2, seed=7)
    frame.loc[0, OPENED] = pd.Timestamp("2101-01-01T00:00:00Z")
    portal.publish(frame)
    words = pipeline.sync()
    reasons = dict(pipeline.query("SELECT reason, count(*) FROM quarantined_requests GROUP BY reason"))
    assert reasons == {"opened_at is missing": 3, "department is missing": 2, "opened_at is outside the record": 3}
    assert "Quarantined  8 rows" in words
    assert pipeline.query("SELECT rows_landed, rows_stored, complete FROM release") == [
        (len(whole), len(whole) - 8, "yes")
    ]
    portal.publish(whole)
    pipeline.sync()
    assert pipeline.rows() == expected(whole)
    assert pipeline.query("SELECT count(*) FROM quarantined_requests") == [(0,)]


# -- restraint ---------------------------------------------------------------------------------------------------------


def test_the_words_of_a_hold_name_a_command_that_ends_it(pipeline, portal, run):
    portal.publish(EDITS["empty_month"].function(portal.frame, month="2024-07"))
    for _ in range(2):
        _, _, advice = pipeline.sync(ends=1).partition("vanc311 sync ")
        words = advice.split()
        assert words[:2] == ["--accept-shrink", "2024-07"]
    ended = run(pipeline, "sync", *words[:2], "--accept-shrink", "2024-05..2024-06")  # each of a range's months
    assert "Consent that was not needed, because nothing of it was held: 2024-05, 2024-06." in ended.out
    assert pipeline.rows() == expected(portal.frame)


# -- asked to end ------------------------------------------------------------------------------------------------------


@pytest.fixture
def signal_in_a_finalizer():
    """SIGTERM meets the first month that is stored within a finalizer, where Python drops what its handler raises."""

    class Finalized:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    waiting = [Finalized()]

    def drop(_connection, _cursor, statement: str, *_: object) -> None:
        if "service_requests" in statement and statement.startswith(("INSERT", "UPDATE")):
            waiting.clear()

    sa.event.listen(sa.Engine, "after_cursor_execute", drop)
    yield waiting
    sa.event.remove(sa.Engine, "after_cursor_execute", drop)


def test_a_signal_that_python_drops_ends_a_load_before_its_next_month(pipeline, portal, run, signal_in_a_finalizer):
    before = pipeline.file()
    portal.publish(EDITS["touch"].function(portal.frame, rows=300))
    ended = run(pipeline, "sync", ends=130)
    assert signal_in_a_finalizer == []
    assert ended.err == f"Error: {Interrupted()}\n"
    assert "2024-05 landed" in ended.out
    assert "2024-06 stored" not in ended.out
    assert pipeline.file() == before


# -- a disk that is full -----------------------------------------------------------------------------------------------


@pytest.fixture
def no_room_for_events():
    """The log that Dagster keeps of a run can grow to so many pages of 4 kB."""

    def limit(raw: sqlite3.Connection, _: object) -> None:
        [(_, _, file)] = raw.execute("PRAGMA database_list")
        if "/history/runs/" in file and not file.endswith("index.db"):
            raw.execute("PRAGMA max_page_count = 64")

    sa.event.listen(sa.Engine, "connect", limit)
    yield
    sa.event.remove(sa.Engine, "connect", limit)


@pytest.mark.usefixtures("no_room_for_events")
def test_no_room_for_dagsters_events_is_one_sentence_of_ours(pipeline, run):
    before = pipeline.file()
    ended = run(pipeline, "sync", "--months", "2024-05..2024-07", ends=2)
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("Error: The disk refused")
    assert pipeline.file() == before


@dg.op
def fills_its_disk():
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE full (text)")
        connection.exec_driver_sql("PRAGMA max_page_count = 3")
        connection.exec_driver_sql("INSERT INTO full VALUES (?)", ("much" * 10_000,))


def test_a_refusal_of_the_disk_that_ends_a_step_is_told_as_one():
    job = dg.GraphDefinition("job", node_defs=[fills_its_disk]).to_job()
    with dg.DagsterInstance.ephemeral() as instance:
        reason = reason_of_failure(in_process(job, instance, {}).all_events)
    assert (reason.exit_code, reason.kind) == (2, "StorageRefused")
    assert "database or disk is full" in str(reason)


# -- the sample -------------------------------------------------------------------------------------------------------


def test_the_sample_is_served_to_whoever_asks_for_it_by_name(tmp_path, run):
    sample = Pipeline(Settings(data_dir=tmp_path / "data", dagster_home=tmp_path / "home", source="sample"))
    run(sample, "sync", "--months", "2024-06")
    with StandIn() as portal:
        opened = portal.frame[OPENED].dt.strftime("%Y-%m")
    assert len(sample.rows()) == (opened == "2024-06").sum()
    run(sample, "verify", "--deep")


# -- the other datasets ------------------------------------------------------------------------------------------------


def test_without_the_local_areas_nothing_is_published_and_a_later_sync_mends_it(empty, portal):
    faults = {"dataset_gone": 3, "server_500": 3, "maintenance_page": 3, "cut_mid_row": 3, "short": 1}
    for fault, code in faults.items():
        portal.play(Fault(fault, dataset=AREAS, on="any", times=None))
        empty.sync(ends=code)
        assert not empty.settings.published_path.exists()
        portal.clear_faults()
    empty.sync()
    assert empty.rows() == expected(portal.frame)


def test_an_archive_that_is_gone_is_said_and_leaves_the_live_rows_published(pipeline, portal):
    before = pipeline.file()
    portal.play(Fault("dataset_gone", dataset=ARCHIVE))
    assert ARCHIVE in pipeline.sync(archive=True, ends=3)
    assert pipeline.file() == before


# -- what a person reads -----------------------------------------------------------------------------------------------


def test_a_clean_run_leaves_the_error_stream_empty_and_no_word_that_is_not_ours_and_publishes_every_row(empty, portal):
    environment = {**os.environ, **empty.settings.to_environment()}
    done = subprocess.run([*COMMAND, "sync"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("Portal: ")
    assert "event log" not in done.stdout
    assert LICENCE in done.stdout
    assert empty.rows() == expected(portal.frame)
    assert empty.query("SELECT source, complete, rows_landed, licence FROM release") == [
        ("portal", "yes", len(portal.frame), LICENCE)
    ]


def test_brackets_in_a_path_or_in_the_portals_words_are_shown_as_they_are(portal, tmp_path, run):
    settings = settings_in(tmp_path, portal.url).changed(data_dir=tmp_path / "data[bold]")
    assert f"{settings.published_path}" in Pipeline(settings).sync()
    portal.play(Fault("interrupted", dataset=LIVE, on="export", times=None, message="lost [/node] of [shard]"))
    ended = run(Pipeline(settings), "sync", "--months", "2024-05", ends=3)
    assert "lost [/node] of [shard]" in ended.err


def test_a_warehouse_that_is_no_database_is_said_and_not_overwritten(empty, run):
    empty.settings.data_dir.mkdir(parents=True)
    file = empty.settings.data_dir / "warehouse.sqlite"
    file.write_text("my shopping list, which is long enough to be no header of SQLite " * 20)
    before = file.read_bytes()
    ended = run(empty, "sync", ends=2)
    assert str(file) in ended.err
    assert file.read_bytes() == before


# -- files that were lost, and what was not published ------------------------------------------------------------------


@pytest.mark.parametrize("removed", ["vanc311.sqlite", "downloads"])
def test_what_was_removed_of_a_publication_is_made_again_though_the_portal_has_nothing_new(pipeline, portal, removed):
    published = pipeline.settings.published_path.parent
    (published / removed).rename(published.parent / "removed")
    pipeline.sync()
    assert (published / removed).exists()
    assert pipeline.rows() == expected(portal.frame)


def test_a_landed_file_that_is_damaged_is_said_with_the_command_that_mends_it(pipeline, portal):
    (pipeline.settings.raw_dir / LIVE / "2024-06.parquet").write_bytes(b"PAR1 no more")
    portal.publish(EDITS["touch"].function(portal.frame, rows=300))
    assert "vanc311 sync --months 2024-06" in pipeline.sync(ends=1)
    pipeline.sync(months="2024-06")
    pipeline.sync()
    assert pipeline.rows() == expected(portal.frame)
