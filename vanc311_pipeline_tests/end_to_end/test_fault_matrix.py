"""Every fault of the portal's contract, played against the pipeline: the right data, or a clear error. With Dagster: test_sync.

Each case starts from a loaded and published city, of which the portal then publishes a new release with three edited
rows. Faults that end must leave the new data; one that lasts must leave the published file as it was, byte for byte,
with the right exit code and words; and once it is over, the next sync brings everything into step.
"""

import re
import sqlite3
from collections import Counter
from contextlib import closing

import pandas as pd
import pytest

from vanc311_pipeline.standin import Fault
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.standin.faults import KINDS
from vanc311_pipeline_tests.end_to_end.city import MODIFIED, OPENED, expected
from vanc311_pipeline_tests.integration.test_law import SILENT

QUICK_DRIP = {"slow_drip": {"bytes": 500, "seconds": 0.0001}}

# One after the other, each for one answer, so that every attempt meets another one; or for good, all at once.
PASSING = {
    "breaks off": ["cut_mid_row", "cut_at_row", "truncated_gzip"],
    "arrives damaged": ["short", "interrupted", "corrupt_gzip"],
    "does not come": ["server_500", "server_502", "refused"],
    "comes slowly": ["maintenance_page", "slow_drip", "stall"],
    "is laid out otherwise": ["page_order_changes", "field_added", "field_reordered", "rate_headers_absent"],
    "is of a release that moves": ["release_moves_during_export"],
    "is of a release that moves unchanged": ["release_moves_unchanged"],
}  # fmt: skip

LASTING = {
    "cut_mid_row": (3, "connection|did not answer|middle of a row"),
    "cut_at_row": (3, "did not answer|connection"),
    "short": (1, "the portal counts"),
    "interrupted": (3, "broke off an export"),
    "quota_429": (3, "used up, until"),
    "server_500": (3, "status 500"),
    "server_502": (3, "status 502"),
    "slow_drip": (3, "stalled"),
    "stall": (3, "timed out"),
    "refused": (3, "did not answer"),
    "maintenance_page": (3, "web page instead of data"),
    "records_count_off": (1, "records_count|the portal's release"),
    "total_count_off": (1, "the portal counts"),
    "field_dropped": (1, "is missing"),
    "field_retyped": (1, "changed the fields"),
    "dataset_gone": (3, "status 404"),
    "corrupt_gzip": (3, "did not answer"),
    "truncated_gzip": (3, "middle of a row|did not answer"),
    "gzip_bomb": (3, "far more than what was asked for"),
}
OF_EACH_SORT = {"short", "server_500", "refused", "field_dropped", "quota_429", "stall", "truncated_gzip"}
"""One kind of each answer: too few rows, an error, nobody there, another shape, used up, silence, broken bytes; all in rehearsal."""
DETAILS = {"slow_drip": {"bytes": 2, "seconds": 0.05}, "records_count_off": {"by": 7}, "total_count_off": {"by": -3}}
SILENCE = {"slow_drip", "stall"}
# In test_sync, and below; in test_client, whose questions are those of any sync.
ELSEWHERE = {"garbled_field", "count_flaps"} | {"odd_429", "dripping_headers", "endless", "redirect", "malformed"}

# What the city does, and the kind of change that the log must have of it, and of nothing else.
FOLLOWED = {
    "edit_with_modified": "edited", "touch": "edited", "delete": "vanished", "insert_old": "opened", "close": "closed",
    "reopen": "reopened", "add_twin": "opened", "remove_twin": "vanished", "relabel_type": "relabelled",
}  # fmt: skip
HELD = {
    "truncate": {"before": "2024-06-01", "halved_from": "2024-07-01"},
    "empty": {},
    "empty_month": {"month": "2024-06"},
}
QUARANTINED = {"null_key", "impossible_opened"}  # see test_sync
# outside_city shows in the fingerprint only where the row had no point before.
OTHER_EDITS = {"new_area", "outside_city"}


def test_the_matrix_covers_every_fault_of_the_contract():
    assert {kind for kinds in PASSING.values() for kind in kinds} | set(LASTING) | ELSEWHERE == set(KINDS)
    assert {*FOLLOWED, *SILENT, *HELD, *QUARANTINED, *OTHER_EDITS} == set(EDITS)


def new_release(portal):
    portal.publish(EDITS["edit_with_modified"].function(portal.frame, rows=3, seed=1))


def fitting(pipeline, kinds):
    """A pipeline that gives up soon, where the portal keeps silent."""
    return pipeline.impatient() if SILENCE.intersection(kinds) else pipeline


@pytest.mark.parametrize("answer", PASSING)
def test_faults_that_pass_leave_the_right_data(pipeline, portal, answer):
    new_release(portal)
    portal.clear_log()
    after = Counter()
    for kind in PASSING[answer]:
        on, lasting = KINDS[kind].on, KINDS[kind].lasting
        portal.play(Fault(kind, after=0 if lasting else after[on], **QUICK_DRIP.get(kind, {})))
        after[on] += 1
    fitting(pipeline, PASSING[answer]).sync()
    assert {kind for entry in portal.requests_log for kind in entry.faults} == set(PASSING[answer])
    assert pipeline.rows() == expected(portal.frame)


def test_counts_that_flap_mislead_no_sync(pipeline, portal):
    new_release(portal)
    portal.play(Fault("count_flaps"))
    for months in (None, "2024-05..2024-07"):
        pipeline.sync(months=months)
        assert pipeline.rows() == expected(portal.frame)


@pytest.mark.parametrize(
    "kind", [kind if kind in OF_EACH_SORT else pytest.param(kind, marks=pytest.mark.rehearsal) for kind in LASTING]
)
def test_a_fault_that_lasts_is_a_clear_error_that_leaves_the_published_file_alone_and_the_next_sync_mends_everything(
    pipeline, portal, kind
):
    before = pipeline.file()
    code, sign = LASTING[kind]
    new_release(portal)
    portal.play(Fault(kind, times=None, **DETAILS.get(kind, {})))
    words = fitting(pipeline, {kind}).sync(ends=code)
    for each in (sign, "stays|as it was|othing was", "again|heck|ompare"):
        assert re.search(each, words), words
    assert "Traceback" not in words
    assert pipeline.file() == before
    assert not list(pipeline.settings.data_dir.rglob(".*"))
    portal.clear_faults()
    pipeline.sync()
    assert pipeline.rows() == expected(portal.frame)


@pytest.mark.parametrize("edit", FOLLOWED)
def test_what_the_city_changes_is_followed_and_logged_by_its_name_and_nothing_else(pipeline, portal, edit):
    before = Counter(expected(portal.frame))
    portal.publish(EDITS[edit].function(portal.frame))
    pipeline.sync()
    assert pipeline.rows() == expected(portal.frame)
    after = Counter(expected(portal.frame))
    moved = max((after - before).total(), (before - after).total())
    assert pipeline.query("SELECT kind, count(*) FROM request_changes GROUP BY kind") == [(FOLLOWED[edit], moved)]
    [release] = pipeline.query("SELECT DISTINCT data_processed FROM request_changes")
    assert release == (f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ}",)


@pytest.mark.parametrize("edit", HELD)
def test_a_loss_beyond_the_limits_is_held_until_it_is_accepted(pipeline, portal, edit):
    before, rows = pipeline.file(), pipeline.rows()
    portal.publish(EDITS[edit].function(portal.frame, **HELD[edit]))
    for _ in range(2):
        assert "--accept-shrink" in pipeline.sync(ends=1)
        assert pipeline.file() == before
    pipeline.sync(accept_shrink=["all"])
    assert pipeline.rows() == expected(portal.frame) != rows


def june(frame):
    return frame[OPENED].dt.strftime("%Y-%m") == "2024-06"


def touched(frame):
    """The same with a new last change, which the fingerprint shows."""
    return frame.assign(**{MODIFIED: frame[MODIFIED] + pd.Timedelta(seconds=1)})


NONSENSE = {
    "a month lost rows": (lambda f: f.drop(f.index[june(f)][:27]), "2024-06", "rows 604 → 577"),
    "Close is called Closed": (
        lambda f: touched(f).replace({"status": {"Close": "Closed"}}), "all", "unknown status 'Closed'",
    ),
    "a month has no department": (
        lambda f: f.assign(department=f["department"].mask(june(f))), "2024-06", "rows that can be used 604 → 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", NONSENSE)
def test_a_loss_or_nonsense_is_held_and_leaves_no_trace_until_it_ends_or_somebody_agrees(pipeline, portal, city, fault):
    spoil, consent, words = NONSENSE[fault]
    before = pipeline.file()
    portal.publish(spoil(city))
    assert words in pipeline.sync(ends=1)
    assert words in pipeline.status()
    assert pipeline.file() == before
    portal.publish(city)  # with the very fingerprint that it had
    pipeline.sync()
    assert pipeline.rows() == expected(city)
    for table in ("holds", "request_changes"):
        assert pipeline.query(f"SELECT count(*) FROM {table}") == [(0,)], table
    portal.publish(spoil(city))
    pipeline.sync(accept_shrink=[consent])
    accepted = pipeline.query("SELECT why FROM accepted_losses WHERE partition_month = '" + consent + "'")
    assert [words in why for (why,) in accepted] == [True]


def test_a_release_is_followed_as_a_whole_and_a_day_after_it_was_mended_under_its_old_name(pipeline, portal, city):
    portal.publish(touched(city).assign(local_area=city["local_area"].mask(june(city))))
    for months in (None, "2024-05"):  # of which nothing is wrong
        words = pipeline.sync(months=months, ends=1)
        assert "2024-06: different values of local_area 22 → 0" in words
        assert "months_equal_portal" not in words
    portal.publish(touched(city), released_at=portal.released_at)
    pipeline.sync(ends=1)
    with closing(sqlite3.connect(pipeline.settings.data_dir / "warehouse.sqlite")) as warehouse, warehouse:
        assert warehouse.execute("SELECT count(*) FROM request_changes").fetchone() == (0,)
        warehouse.execute("UPDATE portal_releases SET seen_at = '2026-01-14T15:00:00Z'")
    pipeline.sync()
    assert pipeline.rows() == expected(portal.frame)


def test_an_unknown_area_is_stored_without_one_and_an_old_spelling_is_mended(pipeline, portal):
    frame = EDITS["new_area"].function(portal.frame, value="Atlantis", rows=2)
    portal.publish(EDITS["new_area"].function(frame, value="Arbutus-Ridge", rows=1, seed=9))
    pipeline.sync(months="2024-05..2024-07")
    mended = portal.frame.replace({"local_area": {"Atlantis": None, "Arbutus-Ridge": "Arbutus Ridge"}})
    assert pipeline.rows() == expected(mended)
    assert pipeline.query("SELECT sum(rows_unknown_area) FROM month_ledger") == [(2,)]
