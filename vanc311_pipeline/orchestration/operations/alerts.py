"""Alerts: a webhook is told, as Slack takes it, of failed runs, newly held months, ticks that fail, and times without an answer.

Why not a `run_failure_sensor`: it moves on when its message can't be delivered, so an event would be lost with the
receiver. Here the cursor moves only after the receiver has taken the message: all that a tick has to tell is one message,
delivered or tried again by the next tick. A receiver that takes a message and breaks off before saying so gets it twice.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from itertools import chain, takewhile

import dagster as dg
import requests
from pydantic import BaseModel, Field

from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.failures import reason_of_failure
from vanc311_pipeline.orchestration.jobs import sync
from vanc311_pipeline.orchestration.operations.deadline import within
from vanc311_pipeline.orchestration.operations.pruning import prune
from vanc311_pipeline.settings import ALERT_SECONDS, LIVE, SILENT_SECONDS, Settings, revealed
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Hold

WATCHED_JOBS = [sync.name, prune.name]
"""The jobs that run while nobody looks."""

FAILURES_AT_ONCE = 20
FAILED_TICKS = 3  # in a row: half an hour of the schedule
LOOKED_AT = 10  # of the newest ticks; more failures in a row are as bad
GAP_SECONDS = 1_800
LISTED = 12  # held months named in one message; all are counted
LONGEST = 1_500  # characters of one run's reason

SILENCE = (
    "vanc311: the schedule has had no answer from the portal since {} UTC.\n"
    "What is published stays as it was then. Why, the ticks of every_50_minutes say in Dagster's UI, under Automation."
)
GAP = (
    "vanc311: nothing was watched from {} to {} UTC: the daemon, the code location or this address did not answer.\n"
    "It goes on now, and what happened meanwhile is told."
)


def alerts_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor `alerts`; it is on from the start if there is a webhook, else off."""
    on = dg.DefaultSensorStatus.RUNNING if settings.alert_webhook else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=on,
        description="Tells VANC311_ALERT_WEBHOOK of every failed run of sync or prune, every newly held month, ticks that fail one after the "
        "other and a schedule that has asked the portal nothing for a day, once. What can't be delivered is tried again a minute later.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason | dg.SensorResult:
        if not settings.alert_webhook:
            return dg.SkipReason(
                "VANC311_ALERT_WEBHOOK isn't set, so nobody is told of anything. Set it and start Dagster again."
            )
        reason, cursor = tell(context.cursor, context.instance, settings)
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)

    return alerts


class NotDelivered(dg.DagsterError):
    """A message that the receiver did not take, in one sentence. One of Dagster's own errors: those are shown as they are."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The webhook did not take the alert: {why}. The data is not affected, and the alert is not lost: it is sent again in "
            "a minute. If that goes on, see whether VANC311_ALERT_WEBHOOK is still valid."
        )


class AlertCursor(BaseModel):
    """What was told already: the sensor's cursor. An older version's knows less."""

    last_failure: int
    held: list[str] = []
    asked: float = Field(default_factory=lambda: time.time())
    """When the portal was asked last, or the alerts began."""
    silent: bool = False
    """It was told that this is long ago."""
    failing: list[str] = []
    """The schedules and sensors of which it was told that their ticks fail."""
    at: float | None = None
    """When all this was found out, if an older version did not write it."""


def tell(cursor: str | None, instance: dg.DagsterInstance, settings: Settings) -> tuple[str, str]:
    """Tell the webhook what is new since the cursor was written: what was told, in words, and the next cursor."""
    now = time.time()
    before = AlertCursor.model_validate_json(cursor) if cursor else AlertCursor(last_failure=_newest_failure(instance))
    failures = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=before.last_failure),
        limit=FAILURES_AT_ONCE,
        ascending=True,
    ).records
    failed = [each.event_log_entry for each in failures if each.event_log_entry.job_name in WATCHED_JOBS]
    held, failing = _held(Warehouse(settings)), _failing(instance)
    newly_held = [line for since, line in held.items() if since not in before.held]
    # A slot of the schedule leaves an observation when the portal answered, be it a refusal.
    answers = instance.fetch_observations(portal_key(LIVE), limit=1).records
    asked = max(before.asked, *(answer.timestamp for answer in answers), 0.0)
    silent = now - asked > SILENT_SECONDS
    # That nobody could be told of anything for a while can't be said before.
    gap = before.at is not None and now - before.at >= GAP_SECONDS
    news = {
        _number(len(failed), "failed run"): [_failure_in_words(instance, entry, settings.ui_url) for entry in failed],
        _number(len(newly_held), "newly held month"): [_held_in_words(newly_held)] if newly_held else [],
        "a silent schedule": [SILENCE.format(_minute(asked))] if silent and not before.silent else [],
        "ticks that fail": [words for name, words in failing.items() if name not in before.failing],
        "a gap": [GAP.format(_minute(before.at or now), _minute(now))] if gap else [],
    }
    last = failures[-1].storage_id if failures else before.last_failure
    told = AlertCursor(last_failure=last, held=list(held), asked=asked, silent=silent, failing=list(failing), at=now)
    after = told.model_dump_json()
    if not any(news.values()):
        return "Nothing to tell.", after
    post(revealed(settings.alert_webhook) or "", "\n\n".join(chain.from_iterable(news.values())))
    return f"Told of {' and '.join(what for what, words in news.items() if words)}.", after


def _newest_failure(instance: dg.DagsterInstance) -> int:
    """Where the telling begins: what failed before the alerts were turned on is not news."""
    newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else -1


def _failure_in_words(instance: dg.DagsterInstance, failed: dg.EventLogEntry, ui_url: str | None) -> str:
    run_id = failed.run_id
    events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
    reason = str(reason_of_failure(events)) or failed.message
    short = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} … (all of it is with the run)"
    link = f"\n{ui_url}/runs/{run_id}" if ui_url else ""
    return f"vanc311: run {run_id} of {failed.job_name} failed.\n{short}{link}"


def _held(warehouse: Warehouse) -> dict[str, Hold]:
    """What is held now, by what and since when."""
    if not warehouse.exists():
        return {}
    with warehouse.read() as connection:
        held = ledger.held(connection)
    return {f"{line.dataset} {line.month} {line.held_since}": line for line in held}


def _held_in_words(months: Sequence[Hold]) -> str:
    more = f"\n… and {len(months) - LISTED} more" if len(months) > LISTED else ""
    return (
        f"vanc311: {_number(len(months), 'month')} newly held.\n" + "\n".join(map(str, months[:LISTED])) + more + "\n"
        f"The old rows stay, and nothing is published until then. {ledger.advice(months)}"
    )


def _failing(instance: dg.DagsterInstance) -> dict[str, str]:
    return {
        name: f"vanc311: {len(reasons)} ticks of {name} in a row did not succeed; nothing of it is done until one does.\n"
        f"{reasons[0][:LONGEST]}"
        for name, reasons in failed_ticks(instance).items()
        if len(reasons) >= FAILED_TICKS
    }


def failed_ticks(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """By the name of each schedule and sensor, why its newest ticks failed, the newest first, back to one that didn't."""
    failures = {}
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=LOOKED_AT)
        ended = [tick for tick in ticks if tick.status.value != "STARTED"]
        failed = takewhile(lambda tick: tick.status.value == "FAILURE", ended)
        failures[state.instigator_name] = [tick.error.message.strip() if tick.error else "" for tick in failed]
    return failures


def _minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _number(count: int, of: str) -> str:
    return f"{count} {of}{'' if count == 1 else 's'}"


def post(url: str, text: str) -> None:
    """Deliver a message, or raise NotDelivered."""
    status = within(ALERT_SECONDS, lambda: _post(url, text), NotDelivered(f"no answer in {ALERT_SECONDS:g} s"))
    if not 200 <= status < 300:
        raise NotDelivered(f"status {status}")


def _post(url: str, text: str) -> int:
    message = {"text": escape(text, quote=False)}  # the three signs that Slack reads
    try:
        # A redirect would turn the message into a question; the body of an answer may never end, and says nothing.
        with requests.post(url, json=message, timeout=ALERT_SECONDS / 2, allow_redirects=False, stream=True) as answer:
            return answer.status_code
    except requests.RequestException as error:  # its own words have the address in them
        kinds = {requests.Timeout: "no answer in time", requests.ConnectionError: "no connection"}
        why = next((words for kind, words in kinds.items() if isinstance(error, kind)), type(error).__name__)
        raise NotDelivered(why) from None
