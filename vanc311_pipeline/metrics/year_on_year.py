"""Against a year before: four settled weeks and the same weekdays 364 days earlier, and how far two such counts usually differ."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import CHANGE_SHARE, MINIMUM_N, State
from vanc311_pipeline.metrics.estimates import false_discovery, first_that_holds, only, robust_deviation, share, t_p
from vanc311_pipeline.metrics.facts import Codes, Ints, Mask, day_texts
from vanc311_pipeline.metrics.groups import Grouping

BLOCK_DAYS, YEAR_BLOCKS = 28, 13
BLOCKS_NEEDED = 13
"""So many comparisons with a year before are needed to say how far two counts usually differ."""
BANDS = 2
WORTH = 2
"""In the tails, a median absolute deviation knows about as much as half as many values."""
OF_FEW = 4
"""A deviation of so few comparisons is as uncertain as the tails of a t distribution: of 13 it counts 1.31 times, of 40 1.1 times."""


def year_on_year(grouping: Grouping) -> pd.DataFrame:
    """The table `year_on_year`, of one grouping."""
    facts = grouping.facts
    opened = _compared(grouping, "opened", np.ones(len(facts), dtype=bool), facts.opened)
    closed_in = _compared(grouping, "closed_in", facts.closed_with_date, facts.left_pile)
    return pd.concat([opened, closed_in], ignore_index=True)


def _compared(grouping: Grouping, measure: str, counted: Mask, day: Codes) -> pd.DataFrame:
    """The last four settled weeks against those a year before, of the requests that are counted, each on its day."""
    facts = grouping.facts
    last = facts.settled
    whole = (last - int(facts.opened.min(initial=last + 1)) + 1) // BLOCK_DAYS
    blocks = max(whole, 1)
    block = blocks - 1 - (last - day) // BLOCK_DAYS
    counts = grouping.count_by(counted & (day <= last) & (block >= 0), block, blocks)
    known = whole > YEAR_BLOCKS
    now, year_before = counts[:, -1], counts[:, -1 - YEAR_BLOCKS] if known else np.zeros(len(grouping), dtype=np.int64)
    begin, year = last - BLOCK_DAYS + 1, YEAR_BLOCKS * BLOCK_DAYS
    days = day_texts([begin, last, begin - year, last - year])
    return grouping.table(
        np.arange(len(grouping)),
        measure=measure,
        **dict(zip(("days_from", "days_to", "year_before_from", "year_before_to"), days, strict=True)),
        requests=now,
        requests_year_before=year_before if known else None,
        blocks=max(blocks - YEAR_BLOCKS, 0),
        **_judged(now, year_before, counts),
    )


def _judged(now: Ints, year_before: Ints, counts: Ints) -> dict[str, object]:
    """The change, what is usual, and whether it is more than that: of the counts of each group (row) in each four weeks."""
    level = np.log(counts + 0.5)
    changes = level[:, YEAR_BLOCKS:] - level[:, :-YEAR_BLOCKS]
    blocks = changes.shape[1]
    enough = blocks >= BLOCKS_NEEDED
    by_chance = np.sqrt(1 / (now + 0.5) + 1 / (year_before + 0.5))
    usual = robust_deviation(changes) * (1 + OF_FEW / blocks) if enough else by_chance
    band = np.expm1(BANDS * np.maximum(usual, by_chance))
    state = first_that_holds(
        (np.full(len(now), not enough), State.TOO_SHORT),
        (now + year_before == 0, State.NO_REQUESTS),
        (now + year_before < MINIMUM_N, State.TOO_FEW),
        otherwise=State.OK,
    )
    ratio = (now + 0.5) / (year_before + 0.5)
    known = state == State.OK
    q = np.full(len(now), np.nan)
    q[known] = false_discovery(t_p(BANDS * np.log(ratio[known]) / np.log1p(band[known]), max(blocks - 1, 1) / WORTH))
    more = (ratio >= 1 + band) & (now - year_before >= CHANGE_SHARE * year_before)
    fewer = (1 / ratio >= 1 + band) & (year_before - now >= CHANGE_SHARE * year_before)
    return {
        "change_on_year": only(state, share(now - year_before, year_before)),
        "noise_band": only(state, band),
        "q_value": q,
        "state": state,
        "verdict": first_that_holds(
            (state != State.OK, None), (more, "more"), (fewer, "fewer"), otherwise="about as many"
        ),
    }
