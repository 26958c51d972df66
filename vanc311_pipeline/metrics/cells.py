"""Cells: the whole-number counts of each local area and issue type, from which every metric is summed.

A pure function on cleaned requests. Sums and counts are integers and add up exactly over any grouping; averages are
divided last (`metrics.levels`). The definitions are those of docs/methods.md.
"""

import pandas as pd

from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.settings import STATIC_BEFORE

KEYS = ["local_area", "issue_type"]


def cells(requests: pd.DataFrame) -> pd.DataFrame:
    """One row for each area (or null) and issue type, with the columns of `schema.COUNTS`, all integers."""
    counted = flags(requests).groupby(KEYS, dropna=False, sort=True)[COUNTS].sum()
    return counted.astype("int64").reset_index()


def flags(requests: pd.DataFrame) -> pd.DataFrame:
    """What each request adds to each count: mostly 0 or 1."""
    closed, opened = requests["status"].eq("Close"), requests["status"].eq("Open")
    changed = (requests["modified_at"] - requests["opened_at"]).dt.total_seconds()
    negative = closed & (requests["closed_on"] < requests["opened_on"])
    return (
        requests[KEYS]
        .assign(
            volume=1,
            open_requests=opened,
            n_ttr=requests["days_to_close"].notna(),
            n_ttu=requests["days_to_update"].notna(),
            closed=closed,
            status_unknown=~(closed | opened),
            sum_days_to_close=requests["days_to_close"].fillna(0),
            sum_seconds_to_update=changed.where(requests["days_to_update"].notna(), 0),
            n_negative=negative,
            n_closed_without_date=closed & requests["days_to_close"].isna() & ~negative,
            n_never_updated=changed.eq(0),
            n_update_negative=changed.lt(0),
            n_update_missing=requests["days_to_update"].isna() & ~changed.le(0),
            n_static_open=opened & requests["opened_on"].lt(pd.Timestamp(STATIC_BEFORE)),
        )
        .astype(dict.fromkeys(COUNTS, "int64"))
    )
