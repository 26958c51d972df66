"""The schedule `every_50_minutes`: asks the portal once per slot, and launches one run if it has something new.

Why not a sensor: it drifts and shows no next time. Why not a union of cron strings: 50 minutes repeat every five days, which cron
can't say without a short gap each midnight. The price is that four ticks in five are skips.

Memory: a slot that launches a run is remembered by the run's tag; one that finds nothing new by an observation on the portal's
asset, where a person sees it, too. A question that failed leaves neither, and the next heartbeat asks again.

An evaluation takes `TICK_SECONDS` at most: Dagster gives up on one after a minute, and blames the code server for it. Not here: the
plan itself (`vanc311_pipeline.plan`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import PipelineError, PortalUnavailable, QuotaExceeded
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.jobs import FINISHED, sync
from vanc311_pipeline.orchestration.operations.deadline import within
from vanc311_pipeline.orchestration.operations.run_lock import end_dead_runs
from vanc311_pipeline.orchestration.resources import WarehouseParam
from vanc311_pipeline.orchestration.tags import keep_plan, live_release, release_name
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import instant
from vanc311_pipeline.settings import LIVE, QUOTA_SECONDS, SLOT_SECONDS, TICK_READ_TIMEOUT_SECONDS, TICK_SECONDS
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Plan

SLOT_TAG = "vanc311/slot"
CLOCKS_DIFFER = timedelta(minutes=1)
"""The daemon's clock and the code server's, at most: what is scheduled for later than that is a preview."""


class TickFailed(dg.DagsterError):
    """A tick that found nothing out, in one sentence. One of Dagster's own errors: those are shown as they are."""


@dg.schedule(
    name="every_50_minutes",
    job=sync,
    cron_schedule="*/10 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A true 50 minutes: a heartbeat every ten, one question to the portal per 50-minute slot, and a run only "
    "if the portal has something new. Skips say why.",
)
def every_50_minutes(context: dg.ScheduleEvaluationContext, warehouse: WarehouseParam) -> dg.RunRequest | dg.SkipReason:
    now = context.scheduled_execution_time
    slot = slot_of(now)
    try:
        if now > datetime.now(UTC) + CLOCKS_DIFFER:
            return _preview(slot, warehouse)
        return _tick(context.instance, slot, now, warehouse)
    except PipelineError as error:
        # Without the advice that the client adds for people at a terminal: the schedule tries again by itself.
        reason = error.__cause__ if isinstance(error.__cause__, PipelineError) else error
        raise TickFailed(f"Slot {slot_name(slot)}: {reason} Asking again in ten minutes.") from None


def _tick(
    instance: dg.DagsterInstance, slot: datetime, now: datetime, warehouse: Warehouse
) -> dg.RunRequest | dg.SkipReason:
    name, following = slot_name(slot), f"The next slot begins at {slot_name(next_slot(slot))}."
    waits = _why_wait(instance, warehouse)
    if done := _how_done(instance, slot, now):
        return dg.SkipReason(f"Slot {name} is done: {done} {following}")
    if waits:
        return dg.SkipReason(f"Slot {name} waits: {waits} Asking again in ten minutes.")
    warehouse.create()
    try:
        plan = _ask(warehouse)
    except QuotaExceeded as error:
        until = {"until": error.until.isoformat()} if error.until else {}
        _remember(instance, slot, "quota", str(error), until)
        return dg.SkipReason(f"Slot {name}: {error}")
    live = live_release(plan)
    in_short = {
        "release": release_name(live),
        "records_count": live.records_count,
        "stale months": ", ".join(plan.months) or "none",
        "of these, unchanged and read again": len(plan.reread),
    }
    _remember(instance, slot, plan.action, plan.why, in_short)
    if plan.action == "skip":
        return dg.SkipReason(f"Slot {name}: {plan.why} {following}")
    return dg.RunRequest(run_key=name, tags={**keep_plan(warehouse, plan), SLOT_TAG: name})


def _preview(slot: datetime, warehouse: Warehouse) -> dg.RunRequest | dg.SkipReason:
    """What a slot to come would do if it were now, for Dagster's UI. Nothing is written, and a run from there plans for itself."""
    plan = _ask(warehouse, preview=True)
    if plan.action == "skip":
        return dg.SkipReason(f"Slot {slot_name(slot)}, if it were now: {plan.why}")
    return dg.RunRequest()


def _ask(warehouse: Warehouse, preview: bool = False) -> Plan:
    """One question, one attempt: the next heartbeat is the retry."""
    settings = warehouse.settings.changed(read_timeout_seconds=TICK_READ_TIMEOUT_SECONDS)

    def ask() -> Plan:
        with Portal(settings, attempts=1, seconds=TICK_SECONDS) as client:
            return pipeline.plan(client, warehouse, preview=preview)

    return within(TICK_SECONDS, ask, PortalUnavailable(f"The portal's answer was not whole after {TICK_SECONDS:g} s."))


def _how_done(instance: dg.DagsterInstance, slot: datetime, now: datetime) -> str | None:
    """How the slot was dealt with; None if it wasn't."""
    runs = instance.get_run_records(dg.RunsFilter(tags={SLOT_TAG: slot_name(slot)}), limit=1)
    if runs:
        return f"it launched run {runs[0].dagster_run.run_id[:8]}."
    observed = instance.fetch_observations(portal_key(LIVE), limit=1).records
    if not observed or observed[0].asset_observation is None:
        return None
    decision = {name: str(value.value) for name, value in observed[0].asset_observation.metadata.items()}
    if decision.get("decision") == "quota" and "until" in decision:
        # Capped here, too: an observation of an older version may say anything.
        until = min(instant(decision["until"]), instant(decision["slot"]) + timedelta(seconds=QUOTA_SECONDS))
        return decision["why"] if now < until else None
    if decision.get("decision") in ("skip", "quota") and decision.get("slot") == slot_name(slot):
        return decision["why"]
    return None


def _why_wait(instance: dg.DagsterInstance, warehouse: Warehouse) -> str | None:
    """Who is at work, or about to be; None if nobody is. Runs that died are ended."""
    at_work, dead = end_dead_runs(instance, warehouse)
    if at_work:
        return f"at work is {at_work}."
    if dead:
        return f"the process of run {', '.join(run_id[:8] for run_id in dead)} is gone, so the run was ended as failed."
    unfinished = [status for status in dg.DagsterRunStatus if status not in FINISHED]
    for run in instance.get_runs(dg.RunsFilter(job_name=sync.name, statuses=unfinished), limit=1):
        return f"run {run.run_id[:8]} of sync is not finished."
    return None


def _remember(instance: dg.DagsterInstance, slot: datetime, decision: str, why: str, more: dict[str, Any]) -> None:
    metadata = {"slot": slot_name(slot), "decision": decision, "why": why, **more}
    instance.report_runless_asset_event(dg.AssetObservation(portal_key(LIVE), description=why, metadata=metadata))


def slot_of(instant: datetime) -> datetime:
    seconds = int(instant.timestamp())
    return datetime.fromtimestamp(seconds - seconds % SLOT_SECONDS, UTC)


def next_slot(slot: datetime) -> datetime:
    return slot + timedelta(seconds=SLOT_SECONDS)


def slot_name(slot: datetime) -> str:
    """`2026-08-16T14:10Z`: what a slot is called in tags and reasons."""
    return slot.strftime("%Y-%m-%dT%H:%MZ")
