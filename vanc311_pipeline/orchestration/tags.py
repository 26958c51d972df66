"""Tags of a run: what it is to do, so that a person sees why it was made. A plan is named, and stands in the warehouse.

A run that goes by a plan is of one partition in Dagster's eyes, the newest month that it loads, because Dagster reports every
partition of a run as made, and takes no run of partitioned assets without one. Its other months it reports itself; where it loads
nothing, it is of the running month and reports none.

No value is long: Dagster's index of tags in PostgreSQL takes 2,704 bytes at most.
"""

from collections.abc import Collection
from textwrap import shorten

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import IntegrityFailed
from vanc311_pipeline.months import running_month
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release
from vanc311_pipeline.settings import FIRST_LIVE_MONTH, LIVE, UNDATED
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.ledger import Plan

SYNC = "sync"
"""The job that comes into step with the portal."""
PLAN_TAG = "vanc311/plan"
RELEASE_TAG = "vanc311/release"
WHY_TAG = "vanc311/why"
LONGEST = 255
# Dagster's own names of the tags that tell a run which partitions it covers.
PARTITION_TAG = "dagster/partition"
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}


def keep_plan(warehouse: Warehouse, plan: Plan) -> dict[str, str]:
    """Write a plan down; the tags of the run that goes by it."""
    with warehouse.write() as connection:
        return plan_tags(ledger.write_plan(connection, plan), plan)


def plan_tags(name: str, plan: Plan) -> dict[str, str]:
    """The tags of a planned run: the plan's name, for which release it is, why, and the one partition."""
    dated = [month for month in plan.months if month != UNDATED]
    # By this computer's clock, as Dagster's partitions are; the archive's need not be there.
    partition = min(max(dated[-1], FIRST_LIVE_MONTH), running_month()) if dated else running_month()
    return {
        PLAN_TAG: name,
        RELEASE_TAG: release_name(live_release(plan)),
        WHY_TAG: shorten(plan.why, LONGEST, placeholder=" …"),
        PARTITION_TAG: partition,
    }


def live_release(plan: Plan) -> Release:
    return next(release for release in plan.releases if release.dataset == LIVE)


def release_name(release: Release) -> str:
    return f"{release.data_processed} {release.records_count}"


def is_planned(run: dg.DagsterRun) -> bool:
    """Whether a run goes by a plan: one of `sync` does, unless its months were named."""
    return PLAN_TAG in run.tags or (run.job_name == SYNC and not {PARTITION_TAG, RANGE_START_TAG} & run.tags.keys())


def plan_of(run: dg.DagsterRun, warehouse: Warehouse) -> Plan | None:
    """The plan that a run goes by; None of a manual run, and of one that has no plan yet."""
    if PLAN_TAG not in run.tags:
        return None
    with warehouse.read() as connection:
        return ledger.find_plan(connection, run.tags[PLAN_TAG])


def plan_for(
    run: dg.DagsterRun, instance: dg.DagsterInstance, client: Portal, warehouse: Warehouse, consent: Collection[str]
) -> Plan | None:
    """The plan that a run goes by, made now if there is none, because it was launched by hand; None of a manual run."""
    plan = plan_of(run, warehouse)
    if plan or not is_planned(run):
        return plan
    plan = pipeline.plan(client, warehouse, consent=consent)
    if plan.held:
        raise IntegrityFailed(plan.why)
    tags = keep_plan(warehouse, plan)
    instance.add_run_tags(run.run_id, tags)
    # The steps to come, too: Dagster reads their partition from the tags of this very run.
    dict.update(run.tags, tags)
    return plan
