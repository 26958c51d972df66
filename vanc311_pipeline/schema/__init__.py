"""The tables: the one place where a column's name, type, meaning and unit are written down.

The DDL, the columns that Dagster shows, the `dictionary` table and `docs/data_dictionary.md` are all derived from them; a statistic's
column takes its words from `metric_definitions`.

Timestamps are text in UTC (`2025-08-25T15:03:00Z`), dates are text (`2025-08-25`), null means absent.
"""
# ruff: noqa: F403 - what the modules define is what the package gives

from vanc311_pipeline.schema.columns import *
from vanc311_pipeline.schema.ledger import *
from vanc311_pipeline.schema.lineage import *
from vanc311_pipeline.schema.metrics import *
from vanc311_pipeline.schema.published import *
from vanc311_pipeline.schema.requests import *
from vanc311_pipeline.schema.statistics import *
