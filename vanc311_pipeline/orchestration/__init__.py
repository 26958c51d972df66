"""How Dagster sees it: assets, checks, partitions, job, schedule, resources. Thin: the logic is in the other packages."""

import warnings

import dagster as dg

# Partitioned assets need a backfill policy to load a range in one run; Dagster calls it beta at every start.
warnings.filterwarnings("ignore", "Parameter `backfill_policy` of ", dg.BetaWarning)
