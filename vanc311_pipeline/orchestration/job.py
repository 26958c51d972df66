"""The jobs over the assets: `sync`, from the portal to the published file, and `verify`, which only looks."""

import dagster as dg

from vanc311_pipeline.orchestration.publication import ASSETS

ASSET_KEYS = [key for asset in ASSETS if isinstance(asset, dg.AssetsDefinition) for key in sorted(asset.keys)]

sync = dg.define_asset_job(
    "sync",
    selection=dg.AssetSelection.assets(*ASSET_KEYS),
    description="From the portal to the published file: land, clean, store, aggregate, check, publish.",
    executor_def=dg.in_process_executor,
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.checks_for_assets(*ASSET_KEYS),
    description="Every asset check over everything that is stored; asks the portal what it has now.",
    executor_def=dg.in_process_executor,
)
