"""Claims about tags: which runs go by a plan, and that no tag outgrows Dagster's index of them."""

import dagster as dg
import pytest

from vanc311_pipeline.months import running_month
from vanc311_pipeline.orchestration.tags import (
    LONGEST,
    PARTITION_TAG,
    PLAN_TAG,
    RELEASE_TAG,
    WHY_TAG,
    is_planned,
    plan_tags,
    range_tags,
)
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.settings import LIVE, UNDATED
from vanc311_pipeline.warehouse.ledger import Plan


@pytest.mark.parametrize(
    ("job", "tags", "planned"),
    [
        ("sync", {}, True), ("sync", {PLAN_TAG: "0123456789ab"}, True),
        ("sync", range_tags("2025-01", "2025-02"), False), ("sync", {"dagster/partition": "2025-01"}, False),
        ("__ASSET_JOB", {}, False), ("verify", {}, False),
    ],
)  # fmt: skip
def test_a_run_of_sync_that_was_told_no_months_goes_by_a_plan(job, tags, planned):
    assert is_planned(dg.DagsterRun(job_name=job, tags=tags)) == planned


@pytest.mark.parametrize(
    ("month", "partition"), [("2021-11", "2022-01"), ("2025-10", "2025-10"), ("2101-01", running_month())]
)
def test_a_planned_run_is_of_a_partition_that_there_is_whatever_it_loads(month, partition):
    release = Release(LIVE, "2026-08-16T14:06:58Z", 1, fields=())
    plan = Plan("load", "", (release,), {Window(LIVE, month): "0a1b", Window(LIVE, UNDATED): "2c3d"})
    assert plan_tags("0123456789ab", plan)[PARTITION_TAG] == partition


def test_a_reason_of_any_length_is_a_short_tag():
    release = Release(LIVE, "2026-08-16T14:06:58Z", 1_265_542, fields=())
    tags = plan_tags("0123456789ab", Plan("load", "Held: " + "2025-01 (1 → 0 rows), " * 200, (release,)))
    assert (tags[PLAN_TAG], tags[RELEASE_TAG]) == ("0123456789ab", "2026-08-16T14:06:58Z 1265542")
    assert tags[WHY_TAG].startswith("Held: 2025-01")
    assert max(len(value.encode()) for value in tags.values()) <= 4 * LONGEST < 2_704 - 255
