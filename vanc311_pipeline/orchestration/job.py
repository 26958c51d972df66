"""The jobs over the assets: `sync`, from the portal to the published file, and `verify`, which only looks."""

import dagster as dg

from vanc311_pipeline.orchestration.tags import SYNC

sync = dg.define_asset_job(
    SYNC,
    selection=dg.AssetSelection.all(),
    description="From the portal to the published file: land, clean, store, aggregate, check, publish.",
    executor_def=dg.in_process_executor,
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Every asset check over everything that is stored; asks the portal what it has now.",
    executor_def=dg.in_process_executor,
)
