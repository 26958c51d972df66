"""Monthly series: what was opened, closed and open month by month, and how fast each month's requests were closed."""

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import MINIMUM_N
from vanc311_pipeline.metrics.estimates import maturing_state, share, share_effect, timing_state, wilson, with_limits
from vanc311_pipeline.metrics.facts import (
    NONE,
    Codes,
    Facts,
    Floats,
    Ints,
    Mask,
    Texts,
    first_days,
    month_numbers,
    month_texts,
)
from vanc311_pipeline.metrics.groups import BLOCKS, Grouping, Period
from vanc311_pipeline.metrics.spells import Spells, curves_by_parts
from vanc311_pipeline.metrics.time_to_close import quantile, quantile_columns

WITHIN = (7, 30, 90)
FORTNIGHT = 14
SHORT_DAYS = 120
"""Most medians lie below; only the groups whose median doesn't are worked out at full length."""


def months(facts: Facts) -> Ints:
    """Every month of the record up to the later of as_of and the last opening, and later ones with a closing."""
    if not len(facts):
        return np.array([], dtype=np.int64)
    last = max(int(facts.open_month.max()), int(month_numbers(facts.as_of)))
    record = np.arange(facts.open_month.min(), last + 1)
    left = np.bincount(facts.left_month[facts.closed_with_date] - record[0])
    return np.union1d(record, record[0] + np.flatnonzero(left))


def monthly_series(grouping: Grouping, usual: Floats) -> pd.DataFrame:
    """The table `monthly_series`, of one grouping: every month of the record, those in which nothing came or went, too.

    Args:
        usual: the median days to close of each group in the last 12 months; NaN where it is not given.
    """
    facts = grouping.facts
    record = months(facts)
    size = len(record)
    month, left = np.searchsorted(record, facts.open_month), np.searchsorted(record, facts.left_month)
    last_day = first_days(record + 1) - 1
    opened = grouping.count_by(np.ones(len(facts), dtype=bool), month, size)
    closed_in = grouping.count_by(facts.closed_with_date, left, size)
    n = grouping.count_by(facts.used, month, size)
    medians, states = _medians(grouping, month, n, _effect_at(grouping, usual))
    columns: dict[str, np.ndarray] = {
        "opened": opened,
        "closed_in": closed_in,
        "open_at_end": _open_at_end(grouping, record, last_day),
        "n": n,
        "closed": grouping.count_by(facts.used & facts.event, month, size),
        **quantile_columns("median", medians, np.where(n < MINIMUM_N, timing_state(opened, n), states)),
    }
    for days in WITHIN:
        old_enough = facts.used & (facts.opened <= facts.as_of - days)
        matured = grouping.count_by(old_enough, month, size)
        quick = old_enough & facts.event & (facts.days <= days)
        within = grouping.count_by(quick, month, size)
        effect = _effect(grouping, old_enough, quick, days)[:, None]
        state = maturing_state(opened, n, matured, last_day <= facts.as_of - days)
        limits = wilson(within / effect, matured / effect)
        columns |= {f"n_{days}": matured, f"within_{days}": within, f"share_{days}_state": state}
        columns |= with_limits(f"share_{days}", state, share(within, matured), *limits)
    provisional = np.where(last_day > facts.settled, "yes", "no").astype(object)
    return grouping.cross_table(size, month=month_texts(record), **columns, provisional=provisional)


def _effect(grouping: Grouping, old_enough: Mask, quick: Mask, days: int) -> Floats:
    """By how much the shares of each group vary more than those of requests that go their own ways, in the last 52 weeks of openings
    that are old enough.
    """
    facts = grouping.facts
    last = facts.as_of - days
    year = Period("", max(last - BLOCKS * FORTNIGHT + 1, int(facts.opened.min(initial=last + 1))), last)
    if year.last < year.first:
        return np.ones(len(grouping))
    recent, block = year.holds(facts), year.block(facts.opened)
    part, whole = (grouping.count_by(some & recent, block, year.blocks) for some in (quick, old_enough))
    return share_effect(part, whole)


def _effect_at(grouping: Grouping, usual: Floats) -> Floats:
    """The same of the share closed by the day that is each group's usual median: where that share varies, so does the median."""
    facts = grouping.facts
    days = np.full(len(facts), np.nan)
    days[grouping.rows] = usual[grouping.code]
    old_enough = facts.used & (facts.opened + days <= facts.as_of)
    return _effect(grouping, old_enough, old_enough & facts.event & (facts.days <= days), 0)


def _open_at_end(grouping: Grouping, record: Ints, last_day: Ints) -> Floats:
    """The pile at the end of each month or at as_of; NaN in a month that begins after as_of."""
    facts = grouping.facts
    end = np.minimum(last_day, facts.as_of)
    came = np.searchsorted(end, facts.opened)  # the first month at whose end it had been opened
    went = np.searchsorted(end, facts.left_pile)
    size = len(record) + 1
    inflow = grouping.count_by(facts.stock, came, size)
    outflow = grouping.count_by(facts.closed_with_date, went, size)
    level = np.cumsum(inflow - outflow, axis=1)[:, :-1]
    return np.where(first_days(record) <= facts.as_of, level, np.nan)


def _medians(grouping: Grouping, month: Ints, n: Ints, of_group: Floats) -> tuple[Floats, Texts]:
    """The median of each group and month with its limits, three by groups by months, and its state where n ≥ 30."""
    facts, used = grouping.facts, grouping.where(grouping.facts.used)
    cells = used.code.astype(np.int64) * n.shape[1] + month[used.rows]
    days, event = facts.days[used.rows], facts.event[used.rows]
    medians, states = np.full((3, n.size), np.nan), np.full(n.size, None, dtype=object)
    enough, effect = np.flatnonzero(n.ravel() >= MINIMUM_N), np.repeat(of_group, n.shape[1])
    short = np.minimum(days, np.int32(SHORT_DAYS)), event & (days < SHORT_DAYS)
    _fill(medians, states, enough, effect, cells, *short)
    _fill(medians, states, enough[np.isnan(medians[:, enough]).any(axis=0)], effect, cells, days, event)
    return medians.reshape(3, *n.shape), states.reshape(n.shape)


def _fill(medians: Floats, states: Texts, chosen: Ints, effect: Floats, cells: Ints, days: Codes, event: Mask) -> None:
    """Write the medians of the chosen cells: from the design effect of each cell, from the cell of each request, and from when it was
    closed or last seen open.
    """
    place = np.full(medians.shape[1], NONE, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(place[cells] != NONE)
    spells = Spells(place[cells[rows]], days[rows], event[rows], effect=effect[chosen])
    for first, curves in curves_by_parts(spells, len(chosen)):
        part = chosen[first : first + len(curves.at_risk)]
        medians[:, part], states[part] = quantile(curves, "median")
