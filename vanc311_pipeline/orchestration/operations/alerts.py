"""Alerts: a webhook is told of failed runs, newly held months, ticks that fail, a silent schedule and a time in which nobody
could be told. As Slack takes it.

What belongs here: which events are told, in which words, and the memory of what was told. What does not: the sensor, what a run or
a check found, and the decision to hold a month.

Why not a `run_failure_sensor`: it moves on when its message can't be delivered, so an event would be lost with the
receiver. Here the cursor moves only after the receiver has taken the message: all that a tick has to tell is one message,
delivered or tried again by the next tick. A receiver that takes a message and breaks off before saying so gets it twice.

The webhook's address is a secret: it comes from the environment by name and is in no error, log or page of the UI.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import takewhile

import dagster as dg
import requests

from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.failures import words_of_failure
from vanc311_pipeline.orchestration.jobs import sync
from vanc311_pipeline.orchestration.operations.deadline import within
from vanc311_pipeline.orchestration.operations.pruning import PRUNE
from vanc311_pipeline.orchestration.resources import StoreResource, WebhookResource
from vanc311_pipeline.settings import ALERT_SECONDS, LIVE, SILENT_SECONDS
from vanc311_pipeline.warehouse import holds
from vanc311_pipeline.warehouse.holds import Hold

WATCHED_JOBS = [sync.name, PRUNE]
"""The jobs that run while nobody looks."""

FAILURES_AT_ONCE = 20
FAILED_TICKS = 3  # in a row: half an hour of the schedule
GAP_SECONDS = 1_800
LISTED = 12  # held months named in one message; all are counted
LONGEST = 1_500  # characters of one run's reason


class NotDelivered(dg.DagsterError):
    """A message that the receiver did not take, in one sentence. One of Dagster's own errors: those are shown as they are."""


@dataclass(frozen=True)
class AlertCursor:
    """What was told already: the sensor's cursor."""

    last_failure: int
    held: tuple[str, ...]
    asked: float
    """When the portal was asked last, or the alerts began."""
    silent: bool = False
    """It was told that this is long ago."""
    failing: tuple[str, ...] = ()
    """The schedules and sensors of which it was told that their ticks fail."""
    at: float | None = None
    """When all this was found out, if an older version did not write it."""

    def write(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "AlertCursor":
        cursor = json.loads(text)  # an older version's knows less
        cursor = {"asked": time.time()} | cursor
        return cls(**cursor | {name: tuple(cursor.get(name, ())) for name in ("held", "failing")})


def tell(
    cursor: str | None, instance: dg.DagsterInstance, webhook: WebhookResource, store: StoreResource
) -> tuple[str, str]:
    """Tell the webhook what is new since the cursor was written: what was told, in words, and the next cursor.

    Raises:
        NotDelivered: the receiver did not take it; the cursor stays.
    """
    before = AlertCursor.read(cursor) if cursor else AlertCursor(_newest_failure(instance), (), time.time())
    failures, last_failure = _failures(instance, before.last_failure, webhook.ui_url)
    held = _held(store)
    news = [line for since, line in held.items() if since not in before.held]
    asked = max(before.asked, _last_asked(instance))
    silent = time.time() - asked > SILENT_SECONDS
    silence = [_silence_in_words(asked)] if silent and not before.silent else []
    failing = _failing(instance)
    stuck = [words for name, words in failing.items() if name not in before.failing]
    gap = _gap_in_words(before.at, time.time())
    after = AlertCursor(last_failure, tuple(held), asked, silent, tuple(failing), time.time())
    paragraphs = [*failures, *([_held_in_words(news)] if news else []), *silence, *stuck, *gap]
    if paragraphs:
        post(webhook.url or "", "\n\n".join(paragraphs))
    counted = [_number(len(failures), "failed run"), _number(len(news), "newly held month")]
    counted += ["a silent schedule"] * len(silence) + ["ticks that fail"] * len(stuck) + ["a gap"] * len(gap)
    return f"Told of {' and '.join(counted)}." if paragraphs else "Nothing to tell.", after.write()


def _newest_failure(instance: dg.DagsterInstance) -> int:
    """Where the telling begins: what failed before the alerts were turned on is not news."""
    newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
    return newest[0].storage_id if newest else -1


def _failures(instance: dg.DagsterInstance, after: int, ui_url: str | None) -> tuple[list[str], int]:
    """The runs that failed since, each in words, and how far that goes."""
    failures = instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=after),
        limit=FAILURES_AT_ONCE,
        ascending=True,
    ).records
    words = [
        _failure_in_words(instance, record.event_log_entry, ui_url)
        for record in failures
        if record.event_log_entry.job_name in WATCHED_JOBS
    ]
    return words, failures[-1].storage_id if failures else after


def _failure_in_words(instance: dg.DagsterInstance, failed: dg.EventLogEntry, ui_url: str | None) -> str:
    run_id = failed.run_id
    reason = words_of_failure(instance.all_logs(run_id), failed)
    short = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} … (all of it is with the run)"
    link = f"\n{ui_url}/runs/{run_id}" if ui_url else ""
    return f"vanc311: run {run_id} of {failed.job_name} failed.\n{short}{link}"


def _held(store: StoreResource) -> dict[str, Hold]:
    """What is held now, by what and since when."""
    warehouse = store.warehouse
    if not warehouse.exists():
        return {}
    with warehouse.read() as connection:
        held = holds.held(connection)
    return {f"{line.dataset} {line.month} {line.held_since}": line for line in held}


def _held_in_words(months: Sequence[Hold]) -> str:
    more = f"\n… and {len(months) - LISTED} more" if len(months) > LISTED else ""
    return (
        f"vanc311: {_number(len(months), 'month')} newly held.\n" + "\n".join(map(str, months[:LISTED])) + more + "\n"
        f"The old rows stay, and nothing is published until then. {holds.advice(months)}"
    )


def _last_asked(instance: dg.DagsterInstance) -> float:
    """When a slot of the schedule last got an answer from the portal, be it a refusal; 0.0 if none ever did."""
    answered = instance.fetch_observations(portal_key(LIVE), limit=1).records
    return answered[0].timestamp if answered else 0.0


def _silence_in_words(asked: float) -> str:
    return (
        f"vanc311: the schedule has had no answer from the portal since {datetime.fromtimestamp(asked, UTC):%Y-%m-%d %H:%M} UTC.\n"
        "What is published stays as it was then. Why, the ticks of every_50_minutes say in Dagster's UI, under Automation."
    )


def _failing(instance: dg.DagsterInstance) -> dict[str, str]:
    """The schedules and sensors whose ticks fail now, by name, and in words."""
    return {
        name: f"vanc311: {ticks.number} ticks of {name} in a row did not succeed; nothing of it is done until one does.\n{ticks.why[:LONGEST]}"
        for name, ticks in failed_ticks(instance).items()
        if ticks.number >= FAILED_TICKS
    }


def _gap_in_words(before: float | None, now: float) -> list[str]:
    """That nobody could be told of anything for a while: said afterwards, because it can't be said before."""
    if before is None or now - before < GAP_SECONDS:
        return []
    since, until = (f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}" for moment in (before, now))
    return [
        f"vanc311: nothing was watched from {since} to {until} UTC: the daemon, the code location or this address did not answer.\n"
        "It goes on now, and what happened meanwhile is told."
    ]


def _number(count: int, of: str) -> str:
    return f"{count} {of}{'' if count == 1 else 's'}"


def post(url: str, text: str) -> None:
    """Deliver a message.

    Raises:
        NotDelivered: the receiver did not take it, in time or at all.
    """
    answered = within(
        ALERT_SECONDS, lambda: _post(url, text), NotDelivered(_refused(f"no answer in {ALERT_SECONDS:g} s"))
    )
    if not 200 <= answered < 300:
        raise NotDelivered(_refused(f"status {answered}"))


def _post(url: str, text: str) -> int:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # the three that Slack reads
    try:
        # A redirect would turn the message into a question; the body of an answer may never end, and says nothing.
        with requests.post(
            url, json={"text": escaped}, timeout=ALERT_SECONDS / 2, allow_redirects=False, stream=True
        ) as answer:
            return answer.status_code
    except requests.RequestException as error:
        raise NotDelivered(_refused(_kind(error))) from None  # its own words have the address in them


def _kind(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _refused(why: str) -> str:
    return (
        f"The webhook did not take the alert: {why}. The data is not affected, and the alert is not lost: it is sent again in "
        "a minute. If that goes on, see whether VANC311_ALERT_WEBHOOK is still valid."
    )


LOOKED_AT = 10  # of the newest ticks; more failures in a row are as bad


@dataclass(frozen=True)
class FailedTicks:
    """The newest ticks of a schedule or sensor, as far as they failed."""

    number: int
    why: str
    """The newest failure in its own words; empty if there is none."""


def failed_ticks(instance: dg.DagsterInstance) -> Mapping[str, FailedTicks]:
    """By the name of the schedule or sensor, for each that was ever evaluated."""
    failures = {}
    for state in instance.all_instigator_state():
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=LOOKED_AT)
        ended = [tick for tick in ticks if tick.status.value != "STARTED"]
        failed = list(takewhile(lambda tick: tick.status.value == "FAILURE", ended))
        why = failed[0].error.message.strip() if failed and failed[0].error else ""
        failures[state.instigator_name] = FailedTicks(len(failed), why)
    return failures
