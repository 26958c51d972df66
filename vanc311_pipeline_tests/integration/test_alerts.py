"""Claims about the alerts: each receiver is told of what an operator must know once, and may be down first."""

import io
import logging
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info
from rich.console import Console
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from vanc311_pipeline.commands.sync import run_sync
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.errors import PipelineError, PortalRefused
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.failures import in_our_words
from vanc311_pipeline.orchestration.operations import alerts, receivers
from vanc311_pipeline.orchestration.operations.alerts import AlertCursor, alerts_sensors
from vanc311_pipeline.orchestration.operations.receivers import NotDelivered
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline_tests.conftest import without_end
from vanc311_pipeline_tests.integration.api.conftest import site_of
from vanc311_pipeline_tests.integration.planting import MONTH, hold, sql

SECRET = "T000-B000-hunter2"


@pytest.fixture
def receiver():
    """Receivers on this machine: a webhook's `url` and the `texts` that it took, and the same of one that `apprise` asks, with titles."""
    texts, titled, path = [], [], f"/services/{SECRET}"

    async def take(request):
        assert request.headers["content-type"] == "application/json"
        message = await request.json()
        if "title" in message:
            titled.append((message["title"], message["message"]))
        else:
            [(name, text)] = message.items()
            assert name == "text"
            texts.append(text)
        return Response()

    with site_of(Starlette(routes=[Route(path, take, methods=["POST"])])) as url:
        apprise = f"{url.replace('http:', 'json:')}{path}"
        yield SimpleNamespace(url=url + path, texts=texts, apprise=apprise, titled=titled)


@pytest.fixture
def tick(instance, receiver, tmp_path):
    """Evaluates the sensor as the daemon does, which hands on the cursor of the last tick that didn't fail."""
    cursors = {}

    def evaluate(settings=None, url=None, ui_url=None, number=1):
        settings = settings or Settings(data_dir=tmp_path / "nothing yet")
        settings = settings.changed(alert_webhook=receiver.url if url is None else url or None, ui_url=ui_url)
        with dg.build_sensor_context(instance=instance, cursor=cursors.get(number)) as context:
            result = alerts_sensors(settings)[number - 1].evaluate_tick(context)
        cursors[number] = result.cursor or cursors.get(number)
        return result.skip_message

    return evaluate


def fail(instance, error: Exception, job: str = "sync") -> str:
    """A run that fails with an error; its id."""

    @dg.op
    def land():
        with in_our_words():
            raise error

    @dg.job(name=job)
    def failing():
        land()

    return failing.execute_in_process(instance=instance, raise_on_error=False).run_id


def test_a_failed_run_is_told_once_in_its_own_words_with_its_id_and_link(tick, instance, receiver):
    tick()
    run_id = fail(instance, PortalRefused("The portal said no."))
    assert tick(ui_url="http://dagster.example:3000") == "Told of 1 failed run."
    assert receiver.texts == [
        f"vanc311: run {run_id} of sync failed.\nThe portal said no.\nhttp://dagster.example:3000/runs/{run_id}"
    ]
    assert tick() == "Nothing to tell."
    assert len(receiver.texts) == 1


def killed(instance):
    """A run whose process ended without a word."""
    run = instance.create_run_for_job(dg.GraphDefinition("sync").to_job())
    instance.report_run_failed(run, "Its process is gone.")
    return run.run_id


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (
            lambda instance: fail(instance, ZeroDivisionError("seven by nought")),
            "land: ZeroDivisionError: seven by nought",
        ),
        (killed, "Its process is gone."),
    ],
    ids=["an error that is not ours", "a killed process"],
)
def test_a_run_that_ended_without_a_sentence_of_ours_is_told_too_and_without_a_link_where_nobody_said_one(
    tick, instance, receiver, end, words
):
    tick()
    run_id = end(instance)
    tick()
    assert receiver.texts == [f"vanc311: run {run_id} of sync failed.\n{words}"]


def test_what_failed_before_the_alerts_were_turned_on_and_what_people_run_by_hand_is_not_told(tick, instance, receiver):
    fail(instance, PortalRefused("Long ago."))
    tick()
    fail(instance, PortalRefused("By hand."), job="verify_deep")
    assert tick() == "Nothing to tell."
    assert receiver.texts == []


def test_more_failures_than_one_message_holds_are_told_by_the_next(tick, instance, receiver, monkeypatch):
    monkeypatch.setattr(alerts, "FAILURES_AT_ONCE", 2)
    tick()
    for number in range(3):
        fail(instance, PortalRefused(f"No {number}."))
    tick()
    tick()
    assert ["No 1." in text for text in receiver.texts] == [True, False]
    assert "No 2." in receiver.texts[1]


REFUSALS = {
    "nobody answers": (([],), "no connection"),
    "it has moved": (([b"HTTP/1.1 301 Moved\r\nlocation: /elsewhere\r\n\r\n"],), "status 301"),
    "it fails": (([b"HTTP/1.1 500 No\r\n\r\n"],), "status 500"),
    "its answer has no end": (without_end(b"HTTP/1.1 200 OK\r\nx-slow: ", then=b".", pause=0.02), "no answer in 2 s"),
    "Apprise's fails": (([b"HTTP/1.1 500 No\r\n\r\n"],), "^JSON did not take"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_receiver_that_takes_nothing_gets_everything_once_when_it_does(
    tick, instance, receiver, answering, monkeypatch, how
):
    answer, words = REFUSALS[how]
    tick()
    fail(instance, PortalRefused("The portal said no."))
    monkeypatch.setattr(receivers, "ALERT_SECONDS", 2.0)
    url = answering(*answer).url
    with pytest.raises(NotDelivered, match=words):
        tick(url=url.replace("http:", "json:") if "Apprise" in how else url)
    fail(instance, PortalRefused("And again."))
    assert "2 failed runs" in tick()
    assert tick() == "Nothing to tell."
    assert len(receiver.texts) == 1


@pytest.mark.parametrize("scheme", ["http", "json"])
def test_the_address_is_in_no_error_in_no_log_and_not_in_the_definitions(tick, instance, scheme, monkeypatch):
    address = f"{scheme}://127.0.0.1:1/services/{SECRET}"
    tick()
    fail(instance, PortalRefused("The portal said no."))
    logs = logging.StreamHandler(io.StringIO())  # caplog hears what goes to no handler of the process, too
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, logs])
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    with pytest.raises(NotDelivered) as error:
        tick(url=address)
    shown = serializable_error_info_from_exc_info((error.type, error.value, error.tb))
    assert SECRET not in shown.to_string() + str(shown) + logs.stream.getvalue()
    settings = Settings(alert_webhook=address)
    assert SECRET not in f"{settings} {build_definitions(settings).resources}"


def test_each_receiver_is_told_by_a_sensor_of_its_own_and_one_that_is_down_keeps_nothing_from_the_others(
    tick, instance, receiver
):
    down = f"{receiver.url} json://127.0.0.1:1/{SECRET}"
    up = f"{receiver.url} {receiver.apprise}"
    assert [sensor.name for sensor in alerts_sensors(Settings(alert_webhook=up))] == ["alerts", "alerts_2"]
    for number in (1, 2):
        tick(url=up, number=number)
    fail(instance, PortalRefused("<b>@everyone</b> & \u202e"))
    assert tick(url=down) == "Told of 1 failed run."
    with pytest.raises(NotDelivered):
        tick(url=down, number=2)
    assert tick(url=up, number=2) == "Told of 1 failed run."
    assert [tick(url=up, number=number) for number in (1, 2)] == ["Nothing to tell."] * 2
    assert "&lt;b&gt;@everyone&lt;/b&gt; &amp; \\u202e" in receiver.texts[0]
    [(title, text)] = receiver.titled
    assert title == "vanc311: 1 failed run"
    assert "<b>@\u200beveryone</b> & \\u202e" in text
    assert len(receiver.texts) == 1


def test_a_month_that_is_held_is_told_once_and_again_when_it_is_held_anew(tick, copied, receiver):
    assert tick(copied) == "Nothing to tell."
    sql(hold())(copied)
    assert tick(copied) == "Told of 1 newly held month."
    [text] = receiver.texts
    assert f"{MONTH}: rows 100 → 7" in text
    assert f"vanc311 sync --accept-shrink {MONTH}" in text
    assert tick(copied) == "Nothing to tell."
    sql("DELETE FROM holds")(copied)
    tick(copied)
    sql(hold(since="2026-02-08T00:00:00Z"))(copied)
    tick(copied)
    assert len(receiver.texts) == 2


def test_many_held_months_are_counted_and_the_first_are_named(tick, copied, receiver):
    months = [f"2025-{number:02}" for number in range(1, 13)] + ["2026-01"]
    sql(*map(hold, months))(copied)
    tick(copied)
    [text] = receiver.texts
    assert f"{len(months)} months newly held" in text
    assert text.count("rows 100 → 7") == alerts.LISTED


def test_a_real_sync_that_holds_a_month_is_told_with_the_failed_check_and_the_month(
    copied, open_portal, receiver, tmp_path
):
    portal = open_portal()
    months = portal.frame["service_request_open_timestamp"].dt.strftime("%Y-%m")
    month = months.value_counts().index[0]
    portal.publish(portal.frame.drop(months.index[months == month][:60]))
    settings = copied.changed(portal_url=portal.url, dagster_home=tmp_path / "home")
    with pytest.raises(PipelineError, match="no_month_is_held"):
        run_sync(settings, Console(quiet=True))
    before_all = AlertCursor(last_failure=-1).model_dump_json()
    with (
        dg.DagsterInstance.from_config(str(settings.dagster_home)) as home,
        dg.build_sensor_context(instance=home, cursor=before_all) as context,
    ):
        [sensor] = alerts_sensors(settings.changed(alert_webhook=receiver.url))
        outcome = sensor.evaluate_tick(context).skip_message
    assert outcome == "Told of 1 failed run and 1 newly held month and 1 check."
    [text] = receiver.texts
    assert "A check failed, so nothing was published; what was published before stays." in text
    assert f"service_requests · no_month_is_held: {month}: " in text
    assert f"vanc311 sync --accept-shrink {month}" in text


def test_a_schedule_that_has_had_no_answer_for_a_day_is_told_once_and_again_after_it_spoke(
    tick, instance, receiver, clock, monkeypatch
):
    monkeypatch.setattr(alerts, "GAP_SECONDS", float("inf"))
    tick()
    clock(hours=24)
    assert tick() == "Nothing to tell."
    clock(hours=26)
    assert tick() == "Told of a silent schedule."
    assert tick() == "Nothing to tell."
    assert "no answer from the portal since 2026-01-14 00:00 UTC" in receiver.texts[0]
    instance.report_runless_asset_event(dg.AssetObservation(portal_key(LIVE)))
    assert tick() == "Nothing to tell."
    clock(hours=24 * 365 * 80)
    assert "silent schedule" in tick()


def test_assets_that_are_not_fresh_are_told_once_and_again_when_they_are(tick, instance, receiver):
    """As Dagster's daemon writes down what it found of each policy."""

    def found(state, *assets):
        for name in assets:
            change = FreshnessStateChange(
                key=dg.AssetKey(name),
                new_state=FreshnessState[state],
                previous_state=FreshnessState.PASS,
                state_change_timestamp=0.0,
            )
            instance._report_runless_asset_event(change)

    found("UNKNOWN", "flow")
    found("WARN", "time_to_close")
    assert tick() == "Nothing to tell."
    found("FAIL", "published_database", "flow", "no asset of ours")
    assert tick() == "Told of freshness of 2 assets."
    assert tick() == "Nothing to tell."
    found("PASS", "published_database")
    found("UNKNOWN", "flow")
    tick()
    assert receiver.texts == [
        f"vanc311: 2 assets {alerts.LATE}\nflow, published_database",
        "vanc311: 1 asset fresh again.\npublished_database",
    ]


def test_a_check_that_turns_without_ending_a_run_is_told_with_what_it_found_once(tick, instance, receiver):
    def found(check, passed, severity="WARN", words="7 rows"):
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("service_requests"), check_name=check, passed=passed, metadata={},
            severity=dg.AssetCheckSeverity[severity], description=words,
        )  # fmt: skip
        instance.report_runless_asset_event(evaluation)

    found("fields_are_usable", passed=True)
    assert tick() == "Nothing to tell."
    found("fields_are_usable", passed=False)
    assert tick() == "Told of 1 check."
    found("fields_are_usable", passed=False, words="8 rows")
    found("no_month_is_held", passed=False, severity="ERROR")  # ends its run, and that is told
    assert tick() == "Nothing to tell."
    found("fields_are_usable", passed=False, severity="ERROR", words="9 rows")
    tick()
    found("fields_are_usable", passed=True, words=None)
    found("no_month_is_held", passed=True)
    tick()
    told = [re.sub(r" \(\d{4}-.*Z\)", "", text) for text in receiver.texts]
    name = "vanc311: the check service_requests · fields_are_usable"
    assert told == [
        f"{name} warns.\n7 rows", f"{name} fails, and nothing was stopped.\n9 rows", f"{name} passes again.",
    ]  # fmt: skip


def test_a_cursor_of_an_older_version_is_read():
    assert AlertCursor.model_validate_json('{"last_failure": 7, "held": ["2025-01"]}').last_failure == 7


@pytest.fixture
def clock(monkeypatch):
    """Sets the sensor's clock to so long after the beginning of 2026-01-14."""

    def set_to(hours):
        now = datetime(2026, 1, 14, tzinfo=UTC) + timedelta(hours=hours)
        monkeypatch.setattr(alerts.time, "time", now.timestamp)

    set_to(0)
    return set_to


def ticked(instance, name: str, *statuses: TickStatus, error: str = "The portal did not answer.") -> None:
    """Ticks of a schedule, as the daemon leaves them, oldest first."""
    origin = RegisteredCodeLocationOrigin("vanc311_pipeline")
    state = InstigatorState(
        RemoteInstigatorOrigin(RemoteRepositoryOrigin(origin, "__repository__"), name),
        InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("*/10 * * * *"),
    )  # fmt: skip
    if not instance.get_instigator_state(state.instigator_origin_id, state.selector_id):
        instance.add_instigator_state(state)
    for status in statuses:
        number = len(instance.get_ticks(state.instigator_origin_id, state.selector_id))
        failed = SerializableErrorInfo(error, [], "TickFailed") if status == TickStatus.FAILURE else None
        instance.create_tick(
            TickData(
                state.instigator_origin_id, name, InstigatorType.SCHEDULE, status, 1_760_000_000.0 + number,
                error=failed, selector_id=state.selector_id,
            )
        )  # fmt: skip


def test_ticks_that_fail_again_and_again_are_told_once_and_again_after_one_that_did_not(tick, instance, receiver):
    ticked(instance, "every_50_minutes", TickStatus.SKIPPED, TickStatus.FAILURE, TickStatus.FAILURE)
    assert tick() == "Nothing to tell."
    ticked(instance, "every_50_minutes", TickStatus.FAILURE, TickStatus.STARTED)
    assert "ticks that fail" in tick()
    assert "3 ticks of every_50_minutes in a row did not succeed" in receiver.texts[0]
    ticked(instance, "every_50_minutes", TickStatus.FAILURE)
    assert tick() == "Nothing to tell."
    ticked(instance, "every_50_minutes", TickStatus.SKIPPED)
    tick()
    ticked(instance, "every_50_minutes", *[TickStatus.FAILURE] * 3, error="The code server did not answer.")
    tick()
    assert ["The code server did not answer." in text for text in receiver.texts] == [False, True]


def test_a_time_in_which_nobody_could_be_told_is_told_after_it(tick, receiver, clock):
    tick()
    clock(hours=0.4)
    assert tick() == "Nothing to tell."
    clock(hours=1)
    assert "a gap" in tick()
    assert "nothing was watched from 2026-01-14 00:24 to 2026-01-14 01:00 UTC" in receiver.texts[0]
    assert tick() == "Nothing to tell."


def test_a_long_reason_is_cut_and_what_slack_would_read_as_markup_is_escaped(tick, instance, receiver):
    tick()
    fail(instance, PortalRefused("<!channel> a & b" + "x" * 50_000))
    tick()
    assert "&lt;!channel&gt; a &amp; b" in receiver.texts[0]
    assert len(receiver.texts[0]) < 2_000


def test_the_sensor_is_on_only_if_there_is_somebody_to_tell(tick):
    for url, status in ((None, "STOPPED"), ("http://x", "RUNNING")):
        [sensor] = alerts_sensors(Settings(alert_webhook=url))
        assert sensor.default_status == dg.DefaultSensorStatus[status]
    assert "VANC311_ALERT_WEBHOOK isn't set" in tick(url="")
