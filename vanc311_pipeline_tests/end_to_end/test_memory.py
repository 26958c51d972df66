"""Claims about memory: what the portal changes or forgets is in the log, in the published file, under the right name."""

from datetime import date

import pandas as pd

from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline_tests.end_to_end.city import OPENED

TYPE, CLOSED = "service_request_type", "service_request_close_date"


def kinds(pipeline):
    return dict(pipeline.query("SELECT kind, count(*) FROM request_changes GROUP BY kind"))


def follow(pipeline, portal, frame):
    portal.publish(frame)
    pipeline.sync()


def test_a_history_goes_on_under_the_new_name_and_tells_when_it_was_first_changed_and_closed(pipeline, portal):
    opened, released = f"{portal.frame.loc[0, OPENED]:%Y-%m-%dT%H:%M:%SZ}", []
    for edit in (
        {"status": "Open", "closure_reason": "N/A", CLOSED: None},
        {"last_modified_timestamp": pd.Timestamp("2026-01-13T20:00:00Z")},
        {TYPE: f"ZZ OLD - {portal.frame.loc[0, TYPE]}"},
        {"status": "Close", "closure_reason": "Unknown", CLOSED: date(2026, 1, 15)},
    ):
        frame = portal.frame
        frame.loc[0] = {**frame.loc[0].to_dict(), **edit}
        follow(pipeline, portal, frame)
        released.append(f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ}")
    [(request,)] = pipeline.query(
        f"SELECT request_id FROM service_requests WHERE opened_at = '{opened}' AND issue_type LIKE 'ZZ OLD - %'"
    )
    thread = f"(SELECT thread_id FROM request_history WHERE request_id = '{request}' LIMIT 1)"
    assert pipeline.query(
        f"SELECT kind, field, data_processed FROM request_history WHERE thread_id = {thread} AND field IN "
        "('modified_at', 'issue_type', 'status') ORDER BY change_id"
    ) == [
        ("reopened", "status", released[0]), ("edited", "modified_at", released[1]),
        ("relabelled", "issue_type", released[2]), ("closed", "status", released[3]),
    ]  # fmt: skip
    assert pipeline.query(
        f"SELECT request_id, first_update_by, closed_by, reopened, vanished_by FROM observed_times WHERE thread_id = {thread}"
    ) == [(request, released[0], released[3], 1, None)]


def test_status_says_what_is_remembered(pipeline, portal):
    assert "Memory   no change since the first load" in pipeline.status()
    follow(pipeline, portal, EDITS["close"].function(portal.frame, rows=3))
    words = pipeline.status()
    assert "Memory   3 closed" in words
    assert "the one read longest ago was read 0 days ago" in words


def test_a_silent_edit_is_found_by_the_deep_comparison_and_on_record_once_the_month_was_read_again(pipeline, portal):
    portal.publish(EDITS["edit_silently"].function(portal.frame))
    pipeline.sync_with_all_numbers()
    assert kinds(pipeline) == {}
    pipeline.verify()
    assert "differs from the" in pipeline.verify(deep=True, ends=1)
    words = pipeline.sync_with_all_numbers(months="2024-05..2024-07")
    assert "1 edited (table request_changes)" in words
    assert "months whose fingerprint stood still: 3; changes found in them: 1" in words
    assert kinds(pipeline) == {"edited": 1}
    assert pipeline.query("SELECT sum(changes_found), count(*) FROM deep_readings") == [(1, 3)]
    assert "that the fingerprint did not show" in pipeline.verify()
    pipeline.verify(deep=True, months="2024-05..2024-06")


def test_convergence_is_a_table_of_the_published_file(pipeline, portal):
    follow(pipeline, portal, EDITS["close"].function(portal.frame, rows=3))
    months = portal.frame[OPENED].dt.strftime("%Y-%m")
    closed = portal.frame[CLOSED].notna()
    logged = pipeline.query(
        "SELECT partition_month, portal_rows, rows, portal_closed, closed, in_step FROM convergence WHERE partition_month <> 'undated'"
    )
    assert logged == [
        (month, rows, rows, int(closed[months == month].sum()), int(closed[months == month].sum()), "yes")
        for month, rows in sorted(months.value_counts().items())
    ]


def test_a_portal_that_moved_on_is_said_by_verify_and_is_no_fault_of_ours(pipeline, portal):
    portal.publish(EDITS["close"].function(portal.frame, rows=3))
    assert "warns   service_requests · months_equal_portal" in pipeline.verify()


def test_rows_that_move_without_a_new_release_are_found_by_verify(pipeline, portal):
    portal.publish(EDITS["delete"].function(portal.frame, rows=2), released_at=portal.released_at)
    assert "FAILED  service_requests · months_equal_portal" in pipeline.verify(ends=1)


def test_without_the_portal_verify_checks_what_it_can_and_ends_with_3(pipeline, portal):
    portal.stop()
    assert "passed  service_requests · every_row_is_accounted_for" in pipeline.verify(ends=3)


def test_months_that_are_compared_must_be_stored(pipeline):
    assert "never loaded" in pipeline.verify(deep=True, months="2023-01", ends=2)
