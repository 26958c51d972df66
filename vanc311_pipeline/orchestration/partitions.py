"""Partitions: UTC months of the opening instant, to the running month: from 2022-01 on, or from 2009-06 where the archive is.

Their bounds need no time-zone table, ours or the portal's. A run over a range is one run, and commits month by month.
"""

import dagster as dg

from vanc311_pipeline.settings import ARCHIVE, FIRST_LIVE_MONTH, FIRST_MONTH, Settings


def months_from(first: str) -> dg.MonthlyPartitionsDefinition:
    return dg.MonthlyPartitionsDefinition(start_date=first, fmt="%Y-%m", timezone="UTC", end_offset=1)


def has_archive(settings: Settings) -> bool:
    """Whether the archive was landed here: only then are its months partitions that can be missing."""
    return any((settings.raw_dir / ARCHIVE).glob("*.parquet"))


EVERY = months_from(FIRST_MONTH)
LIVE_ONLY = months_from(FIRST_LIVE_MONTH)
ONE_RUN = dg.BackfillPolicy.single_run()
