"""Monthly series: what was opened, closed and open month by month, and how fast each month's requests were closed."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metrics.facts import Facts, Ints, first_days, month_numbers, month_texts
from vanc311_pipeline.metrics.groups import Grouping
from vanc311_pipeline.metrics.intervals import share, wilson
from vanc311_pipeline.metrics.survival import Days, days_until
from vanc311_pipeline.metrics.time_to_close import QUANTILES, curves_by_parts, quantile_columns
from vanc311_pipeline.metrics.withheld import maturing_state, only
from vanc311_pipeline.registry import MINIMUM_N

WITHIN = (7, 30, 90)
PROVISIONAL_DAYS = 7
SHORT_DAYS = 120
"""Most medians lie below; only the groups whose median doesn't are worked out at full length."""


def months(facts: Facts) -> Ints:
    """Every month of the record up to the later of as_of and the last opening, and later ones with a closing."""
    if not len(facts):
        return np.array([], dtype=np.int64)
    last = max(int(facts.open_month.max()), int(month_numbers(facts.as_of)))
    record = np.arange(facts.open_month.min(), last + 1)
    return np.union1d(record, facts.left_month[facts.closed_with_date])


def monthly_series(facts: Facts, grouping: Grouping) -> pd.DataFrame:
    """The table `monthly_series`, of one grouping."""
    record = months(facts)
    size = len(record)
    month, left = np.searchsorted(record, facts.open_month), np.searchsorted(record, facts.left_month)
    last_day = first_days(record + 1) - 1
    opened = grouping.count_by(np.ones(len(facts), dtype=bool), month, size)
    closed_in = grouping.count_by(facts.closed_with_date, left, size)
    n = grouping.count_by(facts.used, month, size)
    columns: dict[str, np.ndarray] = {
        "opened": opened,
        "closed_in": closed_in,
        "open_at_end": _open_at_end(facts, grouping, record, last_day),
        "n": n,
        "closed": grouping.count_by(facts.used & facts.event, month, size),
        **quantile_columns("median", opened, n, _medians(facts, grouping, month, size, n)),
    }
    for days in WITHIN:
        columns |= _within(facts, grouping, month, days, opened, n, last_day)
    shown = np.ones(opened.shape, dtype=bool)
    if grouping.level == "hyper_local":
        shown = (opened > 0) | (closed_in > 0) | (np.nan_to_num(columns["open_at_end"]) > 0)
    group, place = np.nonzero(shown)
    provisional = np.where(last_day > facts.as_of - PROVISIONAL_DAYS, "yes", "no").astype(object)
    return grouping.table(
        group,
        month=month_texts(record)[place],
        **{name: values[group, place] for name, values in columns.items()},
        provisional=provisional[place],
    )


def _open_at_end(facts: Facts, grouping: Grouping, record: Ints, last_day: Ints) -> np.ndarray:
    """The pile at the end of each month or at as_of; NaN in a month that begins after as_of."""
    end = np.minimum(last_day, facts.as_of)
    came = np.searchsorted(end, facts.opened)  # the first month at whose end it had been opened
    went = np.searchsorted(end, facts.left_pile)
    size = len(record) + 1
    inflow = grouping.count_by(facts.stock, came, size)
    outflow = grouping.count_by(facts.closed_with_date, went, size)
    level = np.cumsum(inflow - outflow, axis=1)[:, :-1]
    return np.where(first_days(record) <= facts.as_of, level, np.nan)


def _within(
    facts: Facts, grouping: Grouping, month: Ints, days: int, opened: Ints, n: Ints, last_day: Ints
) -> dict[str, np.ndarray]:
    size = opened.shape[1]
    old_enough = facts.used & (facts.opened <= facts.as_of - days)
    matured = grouping.count_by(old_enough, month, size)
    within = grouping.count_by(old_enough & facts.event & (facts.days <= days), month, size)
    state = maturing_state(opened, n, matured, np.broadcast_to(last_day <= facts.as_of - days, opened.shape))
    low, high = wilson(within, matured)
    return {
        f"n_{days}": matured,
        f"within_{days}": within,
        f"share_{days}": only(state, share(within, matured)),
        f"share_{days}_low": only(state, low),
        f"share_{days}_high": only(state, high),
        f"share_{days}_state": state,
    }


def _medians(facts: Facts, grouping: Grouping, month: Ints, size: int, n: Ints) -> Days:
    """The median of each group (row) and month (column)."""
    cells = np.where(facts.used & (grouping.code >= 0), grouping.code.astype(np.int64) * size + month, -1)
    parts = tuple(np.full(n.size, np.nan) for _ in range(3))
    enough = np.flatnonzero(n.ravel() >= MINIMUM_N)
    _fill(facts, cells, enough, SHORT_DAYS, parts)
    unsure = enough[np.isnan(parts[0][enough]) | np.isnan(parts[2][enough])]
    _fill(facts, cells, unsure, None, parts)
    return Days(*(part.reshape(n.shape) for part in parts))


def _fill(facts: Facts, cells: Ints, chosen: Ints, cut: int | None, parts: tuple[np.ndarray, ...]) -> None:
    """Write the medians of the chosen cells into `parts`. With a cut, what lasts longer counts as open on the day of the cut."""
    if not len(chosen):
        return
    place = np.full(len(parts[0]) + 1, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(place[cells] >= 0)
    days, event = facts.days[rows], facts.event[rows]
    if cut is not None:
        event, days = event & (days < cut), np.minimum(days, np.int32(cut))
    for first, _, curves in curves_by_parts(place[cells[rows]], days, event, len(chosen)):
        median = days_until(curves, QUANTILES["median"])
        for part, values in zip(parts, (median.value, median.low, median.high), strict=True):
            part[chosen[first : first + len(values)]] = values
