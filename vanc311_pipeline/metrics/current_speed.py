"""Current speed: how long a request takes at the rates of the last 13 settled weeks, whenever it was opened.

Each request counts on the days of its age that fell into the window (delayed entry), so that a change of the service shows within
weeks, in the slow requests, too. Sources: Brenner and Gefeller 1996 (period analysis); Lynden-Bell 1971 (delayed entry).
"""

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import day_texts
from vanc311_pipeline.metrics.groups import Grouping, Period
from vanc311_pipeline.metrics.spells import in_blocks
from vanc311_pipeline.metrics.time_to_close import quantiles_of

WINDOW_DAYS = 91


def current_speed(grouping: Grouping) -> pd.DataFrame:
    """The table `current_speed`, of one grouping."""
    facts = grouping.facts
    if not len(facts):
        return pd.DataFrame()
    last = facts.settled
    first = last - WINDOW_DAYS + 1
    left = facts.opened + facts.days
    followed = grouping.where(facts.used & (facts.opened <= last) & (left >= first))
    closed = facts.event & (left <= last)
    n = followed.count(facts.opened >= first)
    rows, opened = followed.rows, facts.opened[followed.rows]
    age = np.minimum(left[rows], last) - opened
    spells = in_blocks(Period("", first, last), followed.code, opened, age, closed[rows], np.maximum(opened, first))
    columns = quantiles_of(spells, followed.volume, n)
    return grouping.table(
        np.arange(len(grouping)),
        weeks_from=day_texts([first])[0],
        weeks_to=day_texts([last])[0],
        followed=followed.volume,
        n=n,
        closed=followed.count(closed),
        **columns,
    )
