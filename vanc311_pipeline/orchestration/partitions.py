"""Partitions: UTC months of the opening instant, 2009-06 to the running month.

A partition is a unit of storage and exchange: its bounds need no time-zone table, ours or the portal's. What people
read goes by Vancouver's local date. A run over a range is one run, and works and commits month by month.
"""

import dagster as dg

from vanc311_pipeline.settings import FIRST_MONTH

MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt="%Y-%m", timezone="UTC", end_offset=1)
ONE_RUN = dg.BackfillPolicy.single_run()
EVERY_MONTH = dg.AllPartitionMapping()
