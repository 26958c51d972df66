"""Tags: a plan written on a run, so that the run knows what to do and a person sees why it was made.

What belongs here: the tags' names, and the writing and reading of their values. What does not: making the plan
(`vanc311_pipeline.plan`) and acting on it (`orchestration.assets`).
"""

from collections.abc import Mapping, Sequence

from vanc311_pipeline.plan import Plan, read_stale, write_stale
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.settings import LIVE

RELEASE_TAG = "vanc311/release"
REREAD_TAG = "vanc311/read_again"
WHY_TAG = "vanc311/why"
# What only the run reads: the UI shows no tag that begins with `.dagster/`.
STALE_TAG = ".dagster/vanc311_stale"
RELEASES_TAG = ".dagster/vanc311_releases"
# Dagster's own names of the tags that make a run cover a range of partitions.
RANGE_START_TAG, RANGE_END_TAG = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


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


def planned_months(tags: Mapping[str, str]) -> dict[Window, str] | None:
    """The stale windows that a run was planned for; None if it was not planned but told."""
    return read_stale(tags[STALE_TAG]) if STALE_TAG in tags else None


def write_releases(releases: Sequence[Release]) -> str:
    """A plan's releases as one line of text, for a run's tag."""
    return "; ".join(f"{release.dataset} {release_name(release)}" for release in releases)


def read_releases(text: str) -> list[Release]:
    """The inverse of `write_releases`; the fields were looked at by the plan and are not told."""
    told = [item.split() for item in text.split("; ")]
    return [Release(dataset, data_processed, int(count), fields=()) for dataset, data_processed, count in told]


def release_name(release: Release) -> str:
    return f"{release.data_processed} {release.records_count}"
