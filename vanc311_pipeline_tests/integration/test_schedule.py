"""Claims about the schedule: a true 50 minutes, one question per slot, and a reason for everything that it doesn't do."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._grpc.client import DEFAULT_SCHEDULE_GRPC_TIMEOUT
from dagster._utils.error import serializable_error_info_from_exc_info
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline import schema
from vanc311_pipeline.errors import QuotaExceeded
from vanc311_pipeline.orchestration import schedules as schedule
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.tags import PARTITION_TAG, PLAN_TAG, RELEASE_TAG, WHY_TAG
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.settings import LIVE, TICK_SECONDS
from vanc311_pipeline.standin import Fault
from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.lock import turn
from vanc311_pipeline_tests.conftest import add_run

SLOT = schedule.slot_of(datetime(2026, 1, 14, tzinfo=UTC))  # any slot will do
BEAT = timedelta(minutes=10)
OPENED = "service_request_open_timestamp"


# -- slots -----------------------------------------------------------------------------------------------------------


@given(instant=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_every_instant_lies_in_one_slot_of_3000_seconds(instant):
    """Midnight and clock changes are nothing special."""
    slot = schedule.slot_of(instant)
    assert slot <= instant < schedule.next_slot(slot)
    assert schedule.slot_of(slot) == slot
    assert schedule.next_slot(slot).timestamp() - slot.timestamp() == 3_000
    assert slot.timestamp() % 3_000 == 0


def test_every_slot_begins_on_a_heartbeat_and_is_named_by_it():
    assert schedule.slot_name(schedule.slot_of(datetime(1970, 1, 1, 1, 45, tzinfo=UTC))) == "1970-01-01T01:40Z"
    assert SLOT.minute % 10 == 0
    assert timedelta(seconds=3_000) % BEAT == timedelta(0)


# -- ticks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tick(instance, portal, copied):
    """Evaluates the schedule at an instant, as the daemon does, against a portal over HTTP."""

    def evaluate(at=SLOT, settings=copied):
        settings = settings.changed(portal_url=portal.url, retry_wait_seconds=0.001)
        resources = {"warehouse": Warehouse(settings)}
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=resources) as context:
            return schedule.every_50_minutes.evaluate_tick(context)

    return evaluate


def asked(portal):
    return len(portal.requests_log)


def test_an_unchanged_portal_is_asked_once_per_slot(tick, portal):
    answers = [tick(SLOT + BEAT * number) for number in range(5)]
    assert asked(portal) == 1
    assert all(answer.run_requests == [] for answer in answers)
    assert "Nothing changed: the portal still has the release of" in answers[0].skip_message
    following = f"The next slot begins at {schedule.slot_name(schedule.next_slot(SLOT))}."
    assert all(schedule.slot_name(SLOT) in each.skip_message and following in each.skip_message for each in answers)
    assert all(f"Slot {schedule.slot_name(SLOT)} is done: Nothing changed" in each.skip_message for each in answers[1:])
    tick(schedule.next_slot(SLOT))
    assert asked(portal) == 2


def test_a_skip_is_shown_on_the_portals_asset(tick, instance, portal):
    answer = tick()
    [seen] = instance.fetch_observations(portal_key(LIVE), limit=5).records
    shown = {name: value.value for name, value in seen.asset_observation.metadata.items()}
    assert (shown["slot"], shown["decision"]) == (schedule.slot_name(SLOT), "skip")
    assert shown["why"] in answer.skip_message
    assert shown["records_count"] == len(portal.frame)
    assert shown["release"] == f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ} {len(portal.frame)}"


def planned(settings, request):
    with Warehouse(settings).read() as connection:
        return ledger.find_plan(connection, request.tags[PLAN_TAG])


def test_a_changed_portal_gives_one_run_with_a_plan_of_its_stale_months(tick, portal, copied):
    frame = EDITS["insert_old"].function(portal.frame, rows=1, opened="2024-02-05T19:30:00+00:00")
    portal.publish(EDITS["insert_old"].function(frame, rows=1, opened="2024-06-05T19:30:00+00:00"))
    [request] = tick().run_requests
    assert set(planned(copied, request).stale) == {Window(LIVE, "2024-02"), Window(LIVE, "2024-06")}
    assert request.tags[PARTITION_TAG] == "2024-06"
    assert request.tags[RELEASE_TAG] == f"{portal.released_at:%Y-%m-%dT%H:%M:%SZ} {len(portal.frame)}"
    assert "2 stale months" in request.tags[WHY_TAG]
    assert request.tags[schedule.SLOT_TAG] == request.run_key == schedule.slot_name(SLOT)
    assert asked(portal) == 2


def test_a_slot_that_launched_a_run_asks_no_more(tick, portal, instance):
    portal.publish_edit("touch")
    [request] = tick().run_requests
    add_run(instance, "SUCCESS", tags=request.tags)
    before = asked(portal)
    for number in range(1, 5):
        answer = tick(SLOT + BEAT * number)
        assert answer.run_requests == []
        assert "it launched run 01234567." in answer.skip_message
    assert asked(portal) == before


def test_a_run_request_that_was_lost_before_it_became_a_run_is_made_again(tick, portal):
    portal.publish_edit("touch")
    [first] = tick(SLOT + BEAT).run_requests  # whose own first heartbeat was missed, too
    [second] = tick(SLOT + BEAT * 4).run_requests
    assert (first.run_key, first.tags) == (second.run_key, second.tags)


def test_a_failed_question_is_one_sentence_of_ours_and_leaves_the_slot_due(tick, portal):
    portal.play(Fault("server_502", times=1))
    with pytest.raises(schedule.TickFailed) as failed:
        tick()
    assert asked(portal) == 1  # one attempt: the next heartbeat is the retry
    shown = serializable_error_info_from_exc_info((failed.type, failed.value, failed.tb))
    assert shown.message.splitlines()[0].endswith(
        f"TickFailed: Slot {schedule.slot_name(SLOT)}: The portal answered 3-1-1-service-requests with status 502. "
        "Asking again in ten minutes."
    )
    assert shown.cause is None
    assert "Nothing changed" in tick(SLOT + BEAT).skip_message
    assert asked(portal) == 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refused", "did not answer"), ("field_dropped", "is missing"), ("malformed", "nested too deeply"),
        ("odd_429", "so many questions at once"),
    ],
)  # fmt: skip
def test_every_failure_of_the_portals_is_told_in_the_same_way_and_costs_one_heartbeat(tick, portal, kind, words):
    portal.play(Fault(kind, dataset=LIVE, times=1, **({"retry_after": "1"} if kind == "odd_429" else {})))
    with pytest.raises(schedule.TickFailed, match=f"^Slot {schedule.slot_name(SLOT)}: .*{words}"):
        tick()
    assert "Nothing changed" in tick(SLOT + BEAT).skip_message


# -- bounded in time --------------------------------------------------------------------------------------------------


def test_the_limit_of_a_tick_leaves_room_under_dagsters_own():
    assert TICK_SECONDS <= DEFAULT_SCHEDULE_GRPC_TIMEOUT - 10


@pytest.mark.parametrize(
    "fault",
    [
        Fault("dripping_headers", times=1, seconds=0.02),
        Fault("slow_drip", on="grouped", times=1, bytes=40, seconds=0.02),
    ],
    ids=["headers that never end", "a body that drips"],
)
def test_a_portal_that_never_ends_an_answer_fails_the_tick_in_time(tick, portal, monkeypatch, fault):
    portal.publish_edit("touch")
    portal.play(fault)
    with monkeypatch.context() as hasty:
        hasty.setattr(schedule, "TICK_SECONDS", 0.5)
        with pytest.raises(schedule.TickFailed, match=r"stalled|0\.5 s"):
            tick()
    assert len(tick(SLOT + BEAT).run_requests) == 1


def test_a_spent_quota_is_not_asked_again_before_it_is_reset_and_then_by_the_next_heartbeat(tick, portal):
    portal.set_clock(SLOT)
    midnight = datetime(SLOT.year, SLOT.month, SLOT.day, tzinfo=UTC) + timedelta(days=1)
    portal.play(Fault("quota_429", times=1))
    assert f"are used up, until {midnight:%Y-%m-%d} 00:00 UTC" in tick().skip_message
    for at in (SLOT + BEAT, midnight - BEAT):
        assert "The portal's calls for the day are used up" in tick(at).skip_message
    assert asked(portal) == 1
    assert "Nothing changed" in tick(midnight).skip_message
    assert asked(portal) == 2


def test_no_quota_stops_the_schedule_for_more_than_a_day(tick, portal, monkeypatch):
    def refuse(client, dataset):
        raise QuotaExceeded("Used up.", datetime(2126, 1, 1, tzinfo=UTC))

    with monkeypatch.context() as refusing:
        refusing.setattr(Portal, "release", refuse)
        tick(SLOT)
    assert "Used up." in tick(SLOT + timedelta(days=1) - BEAT).skip_message
    asked = len(portal.requests_log)
    tick(SLOT + timedelta(days=1))
    assert len(portal.requests_log) == asked + 1


def test_a_spent_quota_of_unknown_end_is_asked_about_once_per_slot(tick, monkeypatch):
    asked_at = []

    def refuse(client, dataset):
        asked_at.append(dataset)
        raise QuotaExceeded("Used up.", None)

    monkeypatch.setattr(Portal, "release", refuse)
    for number in range(7):
        assert "Used up." in tick(SLOT + BEAT * number).skip_message
    assert len(asked_at) == 2


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_while_a_run_of_sync_is_not_finished_the_portal_is_not_asked(tick, portal, instance, status):
    add_run(instance, status)
    answer = tick()
    assert answer.run_requests == []
    assert (
        answer.skip_message
        == f"Slot {schedule.slot_name(SLOT)} waits: run 01234567 of sync is not finished. Asking again in ten minutes."
    )
    assert asked(portal) == 0


def test_a_run_whose_process_is_gone_is_ended_and_holds_up_one_heartbeat_only(tick, portal, instance, copied):
    add_run(instance, "STARTED")
    [run] = instance.get_runs()
    values = (1, "sync", run.run_id, "a host", 1, "2026-01-14T00:00:00Z")
    with Warehouse(copied).write() as connection:  # as a killed process leaves it, and nobody has the lock
        connection.execute(sa.insert(schema.turns).values(values))
    assert "the process of run 01234567 is gone, so the run was ended as failed" in tick(settings=copied).skip_message
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert asked(portal) == 0
    tick(SLOT + BEAT, settings=copied)
    assert asked(portal) == 1


def test_whoever_is_at_work_on_the_warehouse_is_waited_for_and_named(tick, portal, copied):
    with turn(Warehouse(copied), "`vanc311 sync`", "fedcba98-7654", str):
        answer = tick(settings=copied)
    assert f"waits: at work is `vanc311 sync` (run fedcba98) on {os.uname().nodename} since 20" in answer.skip_message
    assert asked(portal) == 0


@pytest.mark.parametrize(
    ("job", "status"), [("sync", "SUCCESS"), ("sync", "FAILURE"), ("sync", "CANCELED"), ("verify", "STARTED")]
)
def test_finished_runs_and_other_jobs_are_in_nobodys_way(tick, portal, instance, job, status):
    add_run(instance, status, job)
    tick()
    assert asked(portal) == 1


def test_an_empty_warehouse_is_filled_by_the_first_tick(tick, portal, copied, tmp_path):
    new = copied.changed(data_dir=tmp_path / "new")
    [request] = tick(settings=new).run_requests
    months = portal.frame[OPENED].dt.strftime("%Y-%m")
    assert planned(new, request).months == sorted(set(months))


def stored(settings):
    with Warehouse(settings).read() as connection:
        return {
            table.name: connection.execute(sa.select(table).order_by(*table.columns)).all()
            for table in (*schema.metadata.sorted_tables, *schema.work_metadata.sorted_tables)
        }


def test_a_tick_writes_down_its_plan_and_what_the_portal_answered_and_nothing_else(tick, portal, copied):
    portal.publish_edit("touch")
    before = stored(copied)
    tick(settings=copied)
    after = stored(copied)
    assert {name for name in before if before[name] != after[name]} == {"portal_months", "plans"}
    assert sum(line.rows for line in after["portal_months"]) == len(portal.frame)


# -- looking ahead -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", [None, "touch"])
def test_a_preview_of_a_tick_to_come_says_what_it_would_do_and_writes_nothing(tick, portal, instance, copied, edit):
    if edit:
        portal.publish_edit(edit)
    add_run(instance, "STARTED")
    before = stored(copied)
    answer = tick(datetime.now(UTC) + BEAT, settings=copied)
    if edit:
        [request] = answer.run_requests
        assert {schedule.SLOT_TAG, PLAN_TAG}.isdisjoint(
            request.tags
        )  # launched from the preview, it is no slot's and plans for itself
    else:
        assert "if it were now: Nothing changed" in answer.skip_message
    assert stored(copied) == before
    assert instance.fetch_observations(portal_key(LIVE), limit=1).records == []
    assert [run.status.value for run in instance.get_runs()] == ["STARTED"]


def test_a_preview_without_a_warehouse_makes_none(tick, copied, tmp_path):
    with pytest.raises(schedule.TickFailed):
        tick(datetime.now(UTC) + BEAT, settings=copied.changed(data_dir=tmp_path / "new"))
    assert not (tmp_path / "new").exists()
