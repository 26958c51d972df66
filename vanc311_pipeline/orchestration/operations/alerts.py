"""Alerts: each receiver is told of failed runs, newly held months, what is not fresh, checks that turn, ticks that fail, and silence.

Why not a `run_failure_sensor`: it moves on when its message can't be delivered, so an event would be lost with the
receiver. Here the cursor moves only after the receiver has taken the message: all that a tick has to tell is one message,
delivered or tried again by the next tick. A receiver that takes a message and breaks off before saying so gets it twice.
Each receiver has a sensor of its own, so one that is down keeps nothing from the others, and these are told that its ticks fail.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, takewhile

import dagster as dg
from pydantic import BaseModel, Field

from vanc311_pipeline.errors import printable
from vanc311_pipeline.orchestration.asset_checks import audits_for, last_results
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.assets.publication import assets
from vanc311_pipeline.orchestration.failures import reason_of_failure
from vanc311_pipeline.orchestration.jobs import sync
from vanc311_pipeline.orchestration.operations.pruning import prune
from vanc311_pipeline.orchestration.operations.receivers import deliver
from vanc311_pipeline.settings import LIVE, SILENT_SECONDS, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Hold
from vanc311_pipeline.warehouse.publishing import CheckResult

WATCHED_JOBS = [sync.name, prune.name]
"""The jobs that run while nobody looks."""

FAILURES_AT_ONCE = 20
FAILED_TICKS = 3  # in a row: half an hour of the schedule
LOOKED_AT = 10  # of the newest ticks; more failures in a row are as bad
GAP_SECONDS = 1_800
LISTED = 12  # held months, or assets, named in one message; all are counted
LONGEST = 1_500  # characters of one run's reason

LATE = (
    "not fresh any more: too long ago made for their freshness policy.\n"
    "Why, the runs of sync and the ticks of every_50_minutes say in Dagster's UI."
)
SILENCE = (
    "vanc311: the schedule has had no answer from the portal since {} UTC.\n"
    "What is published stays as it was then. Why, the ticks of every_50_minutes say in Dagster's UI, under Automation."
)
GAP = (
    "vanc311: nothing was watched from {} to {} UTC: the daemon, the code location or this address did not answer.\n"
    "It goes on now, and what happened meanwhile is told."
)


def alerts_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """A sensor for each receiver, `alerts`, `alerts_2` and so on, on from the start; without a receiver `alerts`, which is off."""
    return [_sensor(number, address, settings) for number, address in enumerate(settings.receivers or [""], 1)]


def _sensor(number: int, address: str, settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"alerts_{number}" if number > 1 else "alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if address else dg.DefaultSensorStatus.STOPPED,
        description="Tells a receiver of VANC311_ALERT_WEBHOOK of every failed run of sync or prune, every newly held month, assets that are "
        "not fresh, checks that turn without stopping a run, ticks that fail one after the other and a schedule that has asked the portal "
        "nothing for a day, once. What can't be delivered is tried again a minute later.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason | dg.SensorResult:
        if not address:
            return dg.SkipReason(
                "VANC311_ALERT_WEBHOOK isn't set, so nobody is told of anything. Set it and start Dagster again."
            )
        reason, cursor = tell(address, context.cursor, context.instance, settings)
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)

    return alerts


class AlertCursor(BaseModel):
    """What was told already: the sensor's cursor. An older version's knows less."""

    last_failure: int
    held: list[str] = []
    asked: float = Field(default_factory=lambda: time.time())
    """When the portal was asked last, or the alerts began."""
    silent: bool = False
    """It was told that this is long ago."""
    freshness: dict[str, str] = {}
    """By asset, what its freshness policy said last: "late" or "fresh"."""
    checks: dict[str, str] = {}
    """By check, its newest verdict, unless it ended a run."""
    failing: list[str] = []
    """The schedules and sensors of which it was told that their ticks fail."""
    at: float | None = None
    """When all this was found out, if an older version did not write it."""


def tell(address: str, cursor: str | None, instance: dg.DagsterInstance, settings: Settings) -> tuple[str, str]:
    """Tell a receiver what is new since its cursor was written: what was told, in words, and the next cursor."""
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
    freshness, checks = _freshness(instance, settings), _checks(instance, settings)
    verdicts = {name: str(check["result"]) for name, check in checks.items()}
    # A slot of the schedule leaves an observation when the portal answered, be it a refusal.
    answers = instance.fetch_observations(portal_key(LIVE), limit=1).records
    asked = max(before.asked, *(answer.timestamp for answer in answers), 0.0)
    silent = now - asked > SILENT_SECONDS
    # That nobody could be told of anything for a while can't be said before.
    gap = before.at is not None and now - before.at >= GAP_SECONDS
    aged, turned = _turned(before.freshness, freshness, "fresh"), _turned(before.checks, verdicts, "passed")
    news = {
        _number(len(failed), "failed run"): [_failure_in_words(instance, entry, settings.ui_url) for entry in failed],
        _number(len(newly_held), "newly held month"): [_held_in_words(newly_held)] if newly_held else [],
        f"freshness of {_number(len(aged), 'asset')}": [*_freshness_in_words(aged)],
        _number(len(turned), "check"): [_check_in_words(name, checks[name]) for name in turned],
        "a silent schedule": [SILENCE.format(_minute(asked))] if silent and not before.silent else [],
        "ticks that fail": [words for name, words in failing.items() if name not in before.failing],
        "a gap": [GAP.format(_minute(before.at or now), _minute(now))] if gap else [],
    }
    told = AlertCursor(
        last_failure=failures[-1].storage_id if failures else before.last_failure,
        held=list(held),
        freshness=before.freshness | freshness,
        checks=before.checks | verdicts,
        asked=asked,
        silent=silent,
        failing=list(failing),
        at=now,
    )
    what = " and ".join(what for what, words in news.items() if words)
    if what:
        deliver(address, f"vanc311: {what}", printable("\n\n".join(chain.from_iterable(news.values()))))
    return f"Told of {what}." if what else "Nothing to tell.", told.model_dump_json()


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


def _turned(before: Mapping[str, str], now: Mapping[str, str], usual: str) -> dict[str, str]:
    """What is not as it was told last, or, if nothing was, not as usual."""
    return {name: state for name, state in now.items() if state != before.get(name, usual)}


def _freshness(instance: dg.DagsterInstance, settings: Settings) -> dict[str, str]:
    """What Dagster's daemon found of each asset that has a policy and was made once: "late" when the policy fails, else "fresh"."""
    definitions = [asset for asset in assets(settings) if isinstance(asset, dg.AssetsDefinition)]
    keys = [spec.key for asset in definitions for spec in asset.specs if spec.freshness_policy]
    states = {key: record.freshness_state.value for key, record in instance.get_freshness_state_records(keys).items()}
    made = {key: state for key, state in states.items() if state in ("PASS", "WARN", "FAIL")}
    return {key.to_user_string(): "late" if state == "FAIL" else "fresh" for key, state in made.items()}


def _freshness_in_words(turned: Mapping[str, str]) -> Iterator[str]:
    for state, words in {"late": LATE, "fresh": "fresh again."}.items():
        if names := sorted(name for name in turned if turned[name] == state):
            more = f" … and {len(names) - LISTED} more" if len(names) > LISTED else ""
            yield f"vanc311: {_number(len(names), 'asset')} {words}\n{', '.join(names[:LISTED])}{more}"


def _checks(instance: dg.DagsterInstance, settings: Settings) -> dict[str, CheckResult]:
    """The newest result of each check, but of one that ended a run, which is told as that."""
    results = last_results(instance, audits_for(settings))
    goes_on = [each for each in results if each["blocking"] == "no" or each["result"] != "failed"]
    return {f"{result['asset']} · {result['check_name']}": result for result in goes_on}


def _check_in_words(name: str, check: CheckResult) -> str:
    verb = {"passed": "passes again", "warned": "warns", "failed": "fails, and nothing was stopped"}[
        str(check["result"])
    ]
    found = f"\n{(check['found'] or '')[:LONGEST]}" if check["result"] != "passed" else ""
    return f"vanc311: the check {name} {verb} ({check['evaluated_at']}).{found}"


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
