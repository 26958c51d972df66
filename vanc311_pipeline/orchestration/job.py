"""The jobs `sync` and `verify`, and how a plan becomes a run of it: one run over the range from the oldest to the newest stale month."""

import dagster as dg

from vanc311_pipeline.orchestration.assets import (
    ASSETS,
    RELEASE_TAG,
    RELEASES_TAG,
    REREAD_TAG,
    STALE_TAG,
    release_name,
    write_releases,
)
from vanc311_pipeline.plan import Plan, write_stale
from vanc311_pipeline.settings import LIVE

WHY_TAG = "vanc311/why"
# Dagster's own names of the tags that make a run cover a range of partitions.
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

ASSET_KEYS = [asset.key for asset in ASSETS if isinstance(asset, dg.AssetsDefinition)]

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(*ASSET_KEYS),
    description="From the portal to the published file: land, clean, store, aggregate, check, publish.",
    executor_def=dg.in_process_executor,
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.checks_for_assets(*ASSET_KEYS),
    description="Every asset check over everything that is stored; asks no portal and writes nothing.",
    executor_def=dg.in_process_executor,
)


def range_tags(first: str, last: str) -> dict[str, str]:
    """The two tags that make a run cover a range of partitions."""
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}


def plan_tags(plan: Plan) -> dict[str, str]:
    """The tags of a planned run: its range, what is stale in it, for which release, and why."""
    live = next(release for release in plan.releases if release.dataset == LIVE)
    return {
        **range_tags(plan.months[0], plan.months[-1]),
        STALE_TAG: write_stale(plan.stale),
        RELEASE_TAG: release_name(live),
        RELEASES_TAG: write_releases(plan.releases),
        REREAD_TAG: " ".join(sorted(window.month for window in plan.reread)) or "none",
        WHY_TAG: plan.why,
    }
