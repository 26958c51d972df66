"""Time to close: which requests the curves of every group and period are made of, and the tables `time_to_close*` read off them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import MINIMUM_N, State
from vanc311_pipeline.metrics.estimates import enough_state, only, share, share_state, timing_state
from vanc311_pipeline.metrics.facts import NONE, WEEK_DAYS, Codes, Floats, Ints, Mask, Texts, Unused
from vanc311_pipeline.metrics.groups import ALL, EACH_PAIR, KEYS, Grouping, tally
from vanc311_pipeline.metrics.spells import Spells, curves_by_parts, in_blocks
from vanc311_pipeline.metrics.survival import Curves, days_until, first_day, mean_days_within, median_of_closed

QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}
RESTRICTED = (30, 90)
CURVE_DAYS = np.array(
    [*range(15), 21, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365, 450, 540, 730, 1095, 1460], dtype=np.int64
)
WITHOUT = (
    "volume", "n", "closed", "still_open", *(f"{name}_{end}" for name in ("median", "p90") for end in ("days", "low", "high", "state")),
)  # fmt: skip
INTERNAL = re.compile("internal|audit|tracking|transfer case", re.IGNORECASE)
"""Issue types by which the city talks to itself."""
FIRST_WEEKDAY = 3
"""1970-01-01 was a Thursday, three days after a Monday."""


@dataclass(frozen=True)
class Followed:
    """Some groups of a cohort, a grouping in one period, that have enough requests, and their curves."""

    cohort: Grouping
    period: str
    groups: Ints
    """Their places in the grouping."""
    rows: Ints
    """Their requests."""
    code: Codes
    """Of each of these requests, the place of its group among `groups`."""
    curves: Curves

    @property
    def length(self) -> int:
        return self.curves.open_share.shape[1]

    def closed_by(self, column: Codes, size: int) -> Ints:
        """The closings by the value of a column, from 0 to size - 1, by group and by day."""
        facts = self.cohort.facts
        closed = facts.event[self.rows]
        rows, groups = self.rows[closed], len(self.groups)
        cell = column[rows] * groups + self.code[closed]
        return tally(cell, facts.days[rows], size * groups, self.length).reshape(size, groups, self.length)


def follow(cohort: Grouping) -> Iterator[Followed]:
    """The curves of all groups of a cohort that have at least 30 requests, some groups at a time; one part at least, be it of none."""
    facts, used, period = cohort.facts, cohort.where(cohort.facts.used), cohort.period
    assert period is not None
    enough = np.flatnonzero(used.volume >= MINIMUM_N)
    place = np.full(len(cohort), NONE, dtype=np.int32)
    place[enough] = np.arange(len(enough))
    with_curve = place[used.code] != NONE
    rows, code = used.rows[with_curve], place[used.code[with_curve]]
    order = np.argsort(code.astype(np.min_scalar_type(len(enough))), kind="stable")  # those of a group together
    rows, code = rows[order], code[order]
    days, event = facts.days[rows], facts.event[rows]
    if cohort.kind == EACH_PAIR and (period.name == ALL or period.name.isdigit()):  # they are many
        spells = Spells(code, days, event)
    else:
        spells = in_blocks(period, code, facts.opened[rows], days, event)
    for first, curves in curves_by_parts(spells, len(enough)):
        groups = enough[first : first + len(curves.at_risk)]
        inside = slice(*np.searchsorted(code, (first, first + len(groups))))
        yield Followed(cohort, period.name, groups, rows[inside], code[inside] - np.int32(first), curves)


def time_to_close(cohort: Grouping, followed: Iterable[Followed]) -> pd.DataFrame:
    """The table `time_to_close`, of one cohort."""
    facts, size = cohort.facts, len(cohort)
    by_use = cohort.count_by(np.ones(len(facts), dtype=bool), facts.unused, len(Unused))
    volume, n = by_use.sum(axis=1), by_use[:, Unused.USED]
    used, ended = cohort.where(facts.used), cohort.where(facts.used & facts.event)
    total = np.bincount(ended.code, weights=facts.days[ended.rows], minlength=size)
    longest = pd.Series(facts.days[used.rows]).groupby(used.code).max()
    read = pd.concat([_read_off(some.curves).set_index(some.groups) for some in followed]).reindex(np.arange(size))
    for name in QUANTILES:
        read[f"{name}_state"] = np.where(n < MINIMUM_N, timing_state(volume, n), read[f"{name}_state"])
    return cohort.table(
        np.arange(size),
        volume=volume,
        n=n,
        closed=ended.volume,
        still_open=n - ended.volume,
        n_static=by_use[:, Unused.STATIC],
        n_after_as_of=by_use[:, Unused.AFTER_AS_OF],
        n_negative=by_use[:, Unused.NEGATIVE],
        n_closed_without_date=by_use[:, Unused.WITHOUT_DATE],
        followed_days=longest.reindex(np.arange(size)).to_numpy(dtype=np.float64),
        **{str(name): column.to_numpy() for name, column in read.items()},
        mean_closed_only=only(timing_state(volume, n), share(total, ended.volume)),
    )


def _read_off(curves: Curves) -> pd.DataFrame:
    """What a curve says by itself."""
    half = first_day(curves.open_share, 0.5)
    last = np.count_nonzero(curves.at_risk, axis=1) - 1
    read = np.where(np.isnan(half), last, half).astype(np.int64)
    columns = {"design_effect": curves.effect[np.arange(len(read)), read]} | quantiles(curves)
    for days in RESTRICTED:
        name = f"mean_within_{days}"
        columns |= dict(zip((name, f"{name}_low", f"{name}_high"), mean_days_within(curves, days), strict=True))
    return pd.DataFrame({**columns, "median_closed_only": median_of_closed(curves)})


def quantiles(curves: Curves) -> dict[str, Floats | Texts]:
    """The columns of the median, the p75 and the p90."""
    return {
        column: values
        for name in QUANTILES
        for column, values in quantile_columns(name, *quantile(curves, name)).items()
    }


def quantiles_of(spells: Spells, volume: Ints, n: Ints) -> dict[str, Floats | Texts]:
    """The quantiles of each group, withheld where n of its `volume` requests, those followed from their opening on, are below 30."""
    enough = np.flatnonzero(n >= MINIMUM_N)
    place = np.full(len(n), NONE, dtype=np.int32)
    place[enough] = np.arange(len(enough))
    parts = curves_by_parts(replace(spells, code=place[spells.code]), len(enough))
    read = pd.concat([pd.DataFrame(quantiles(curves)) for _, curves in parts])
    read = read.set_index(enough).reindex(range(len(n)))
    columns = {str(name): column.to_numpy() for name, column in read.items()}
    too_few, withheld = n < MINIMUM_N, share_state(volume, n)
    return columns | {f"{name}_state": np.where(too_few, withheld, columns[f"{name}_state"]) for name in QUANTILES}


def quantile(curves: Curves, name: str) -> tuple[Floats, Texts]:
    """A quantile and its limits, three rows, and its state; NaN where too few requests stand behind it."""
    days, enough = days_until(curves, QUANTILES[name])
    return np.where(enough, days, np.nan), enough_state(enough, days[0])


def quantile_columns(name: str, days: Floats, state: Texts) -> dict[str, Floats | Texts]:
    return {**dict(zip((f"{name}_days", f"{name}_low", f"{name}_high"), days, strict=True)), f"{name}_state": state}


def time_to_close_without(cohort: Grouping, batch: Mask) -> pd.DataFrame:
    """The table `time_to_close_without`, of one cohort: the same without internal types, without batch days, and without both."""
    internal = np.array([bool(INTERNAL.search(name)) for name in cohort.facts.issues], dtype=bool)[cohort.facts.issue]
    tables = []
    for left_out, kept in (("internal types", ~internal), ("batch days", ~batch), ("both", ~internal & ~batch)):
        rest = cohort.where(kept)
        table = time_to_close(rest, follow(rest))
        tables.append(table[[*KEYS, "period", *WITHOUT]].assign(left_out=left_out))
    return pd.concat(tables, ignore_index=True)


def time_to_close_curves(some: Followed) -> pd.DataFrame:
    """The table `time_to_close_curves`, of some groups."""
    days = CURVE_DAYS[some.length > CURVE_DAYS]
    group, place = np.nonzero(some.curves.at_risk[:, days] > 0)
    day = days[place]
    return some.cohort.table(
        some.groups[group],
        day=day,
        at_risk=some.curves.at_risk[group, day],
        closed_by=np.cumsum(some.curves.closed, axis=1)[group, day],
        open_share=some.curves.open_share[group, day],
        open_share_low=some.curves.low[group, day],
        open_share_high=some.curves.high[group, day],
    )


def by_weekday(cohort: Grouping) -> pd.DataFrame:
    """The table `time_to_close_by_weekday`, of one cohort."""
    facts, used, size = cohort.facts, cohort.where(cohort.facts.used), len(cohort)
    weekday = (facts.opened[used.rows] + FIRST_WEEKDAY) % WEEK_DAYS
    cell = used.code * WEEK_DAYS + weekday
    n = np.bincount(cell, minlength=size * WEEK_DAYS)
    rows, period = used.rows, cohort.period
    assert period is not None
    columns = quantiles_of(in_blocks(period, cell, facts.opened[rows], facts.days[rows], facts.event[rows]), n, n)
    low, high = (
        pd.Series(columns[f"median_{side}"])
        .where(columns["median_state"] == State.OK)
        .to_numpy()
        .reshape(size, WEEK_DAYS)
        for side in ("low", "high")
    )
    differ = np.fmax.reduce(low, axis=1) > np.fmin.reduce(high, axis=1)
    return cohort.table(
        np.repeat(np.arange(size), WEEK_DAYS),
        weekday=np.tile(np.arange(WEEK_DAYS) + 1, size),
        n=n,
        **{name: values for name, values in columns.items() if name.startswith("median")},
        weekdays_differ=np.where(differ, "yes", "no").astype(object).repeat(WEEK_DAYS),
    )
