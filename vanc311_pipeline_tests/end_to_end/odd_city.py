"""A city in which everything happens that the statistics have a rule for: the real sample, spread over four years, and odd rows.

Belongs here: the rows. Every rule of docs/methods.md about what is left out, withheld or counted beside meets some of them.
"""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from vanc311_pipeline.standin.edits import EDITS
from vanc311_pipeline_tests.end_to_end.city import MODIFIED, OPENED

AREA, TYPE, CLOSED = "local_area", "service_request_type", "service_request_close_date"
RELEASED = "2026-01-13T14:06:58Z"
AS_OF = date(2026, 1, 12)
EMPTY_AREA, UNUSABLE_AREA, SMALL_AREA = "Strathcona", "Shaughnessy", "Arbutus Ridge"


def odd_city(sample: pd.DataFrame) -> pd.DataFrame:
    """11,500 rows: static, unreadable, contradicting, too late, too early, without area, closed by the pile."""
    city = _spread(sample.reset_index(drop=True))
    rng = np.random.default_rng(311)
    closed, is_open = city.index[city["status"] == "Close"], city.index[city["status"] == "Open"]
    taken = iter(np.split(rng.permutation(closed)[:1_000], 20))  # 50 rows each, none twice

    city.loc[next(taken), "status"] = "Pending"
    city.loc[next(taken)[:20], "status"] = None
    city.loc[next(taken), CLOSED] = None
    negative = next(taken)
    city.loc[negative, CLOSED] = [_local(opened) - timedelta(days=1) for opened in city.loc[negative, OPENED]]
    city.loc[next(taken)[:15], CLOSED] = AS_OF + timedelta(days=1)
    city.loc[next(taken)[:15], CLOSED] = AS_OF + timedelta(days=2)
    city.loc[next(taken)[:2], CLOSED] = [date(2099, 1, 1), date(9999, 12, 31)]
    city.loc[next(taken)[:15], MODIFIED] = pd.Timestamp("2099-01-01T00:00:00Z")
    city.loc[next(taken), "closure_reason"] = "Sent to the moon"
    city.loc[next(taken)[:20], "closure_reason"] = None
    city.loc[next(taken)[:20], "closure_reason"] = "N/A"
    city.loc[is_open[:20], "closure_reason"] = "Assigned to inspector"
    city.loc[next(taken), "department"] = "DBL - Rarely asked"
    city.loc[next(taken), TYPE] = [f"Rare case {number}" for number in range(50)]
    city.loc[next(taken)[:10], "department"] = [f"Office {number}" for number in range(10)]
    city.loc[next(taken)[:12], AREA] = "Atlantis"
    city.loc[next(taken)[:12], TYPE] = "ZZ OLD - Something"
    late = is_open[-15:]
    city.loc[late, OPENED] = pd.Timestamp(f"{AS_OF + timedelta(days=1)}T12:30:00Z") + pd.to_timedelta(range(15), "s")
    city.loc[late, MODIFIED] = city.loc[late, OPENED]
    city = _close_by_the_pile(city)
    city = _few_in_some_areas(city)
    city = EDITS["add_twin"].function(city, rows=40)
    return _with_unreadable(city)


def _local(instant: pd.Timestamp) -> date:
    return instant.tz_convert("America/Vancouver").date()


def _spread(sample: pd.DataFrame) -> pd.DataFrame:
    """Half of the older rows 540 days later, a sixth two years earlier: before the portal's refreshing, and last year."""
    city, older = sample.copy(), sample[OPENED] < "2024-08-01"
    place = np.arange(len(city))
    moved = pd.Series(0, index=city.index)
    moved[older & (place % 2 == 0)] = 540
    moved[older & (place % 6 == 1) & (sample[OPENED] >= "2024-01-02")] = -730
    for name in (OPENED, MODIFIED):
        city[name] = city[name] + pd.to_timedelta(moved, unit="D").astype("timedelta64[ms]")
    city[CLOSED] = [
        day if pd.isna(day) else day + timedelta(days=int(by)) for day, by in zip(city[CLOSED], moved, strict=True)
    ]
    future = city[OPENED] >= pd.Timestamp(f"{AS_OF}T00:00:00Z")
    unborn = city[CLOSED].map(lambda day: not pd.isna(day) and day > AS_OF) & ~future
    city.loc[unborn, ["status", "closure_reason", CLOSED]] = ["Open", "N/A", None]
    last = pd.Timestamp(RELEASED).as_unit("ms")
    city[MODIFIED] = city[MODIFIED].where(city[MODIFIED] < last, last)
    return city[~future].reset_index(drop=True)


def _close_by_the_pile(city: pd.DataFrame) -> pd.DataFrame:
    """60 requests of one type closed on one day."""
    kind = city.loc[city["status"] == "Close", TYPE].value_counts().index[3]
    rows = city.index[(city[TYPE] == kind) & (city["status"] == "Close") & (city[OPENED] < "2025-10-01")][-60:]
    city.loc[rows, CLOSED] = date(2025, 12, 9)
    return city


def _few_in_some_areas(city: pd.DataFrame) -> pd.DataFrame:
    """One area without a request, one with nine of which none has usable dates, one with few."""
    city.loc[city[AREA] == EMPTY_AREA, AREA] = None
    for area, kept in ((UNUSABLE_AREA, 9), (SMALL_AREA, 20)):
        city.loc[city.index[city[AREA] == area][kept:], AREA] = None
    unusable = city[AREA] == UNUSABLE_AREA
    city.loc[unusable, ["status", "closure_reason", CLOSED]] = ["Close", "Service provided", None]
    return city


def _with_unreadable(city: pd.DataFrame) -> pd.DataFrame:
    """And eight rows that can't be keyed: without a department, without a type."""
    added = city.iloc[100:108].copy()
    added.loc[added.index[:4], "department"] = None
    added.loc[added.index[4:], TYPE] = None
    return pd.concat([city, added], ignore_index=True)
