"""Time to close, censoring-correct: Kaplan–Meier for many groups at once, from their counts by day.

What belongs here: the estimator and what is read off its curve, as pure functions of counts. What does not: which
requests are counted, and for which groups.

Why not the mean of closed requests: it leaves out the slow ones, which are still open, so recent months always look fast.
A request that is still open counts here as "open through day T", which is all that is known of it.

Sources: Kaplan and Meier 1958; Greenwood 1926; the log-log interval, Kalbfleisch and Prentice 1980. A day is a calendar
day in Vancouver; day 0 means closed on the day of opening.
"""

from dataclasses import dataclass

import numpy as np

from vanc311_pipeline.metrics.estimates import BEYOND, Z_95, jackknife_variance, known_from
from vanc311_pipeline.metrics.facts import Floats, Ints, Mask

STILL_OPEN = 10
"""A quantile is read where at least so many requests are followed, and only if so many may be expected beyond it."""
TOLERANCE = 1e-9
"""Products of fractions miss 0.5, 0.25 and 0.1 by a rounding where the curve lands on them exactly."""


@dataclass(frozen=True)
class Curves:
    """Curves of several groups: a row for each group, a column for each day from 0 on."""

    at_risk: Ints
    """Requests followed for at least so many days: open until then, or closed on that day."""
    closed: Ints
    """Of these, closed on that day."""
    open_share: Floats
    """S(t), the share still open after the day; `1 - open_share` is the share closed within t days."""
    low: Floats
    high: Floats
    """95 % log-log interval of `open_share`; where that is 0 or 1, the exact limit of nobody, or of all, among those followed."""
    effect: Floats
    """By how much requests that go the same way as others enlarge the variance (`design_effect`)."""


def risk_set(left: Ints, entered: Ints | None = None) -> Ints:
    """How many are at risk on each day after opening (last axis), from how many are followed no further than that day: closed on it, or
    last seen open.

    Args:
        entered: how many are followed from each day on (delayed entry); without it, all are from their opening on.
    """
    at_risk = _on_or_after(left)
    return at_risk if entered is None else at_risk - _on_or_after(entered) + entered


def _on_or_after(by_day: Ints) -> Ints:
    return np.cumsum(by_day[..., ::-1], axis=-1)[..., ::-1]


def kaplan_meier(closed: Ints, at_risk: Ints, effect: Floats | None = None) -> Curves:
    """The curves of several groups (rows) from the requests closed on each day (columns), and those at risk on it.

    Args:
        effect: of each group and day; without it, as if every request went its own way.
    """
    effect = np.ones(closed.shape) if effect is None else effect
    followed = np.maximum(at_risk, 1)
    share = _open_share(at_risk, closed)
    inner = (share > 0) & (share < 1)
    deviation = np.sqrt(np.cumsum(_greenwood(at_risk, closed), axis=1) * effect)
    log_share = np.log(share, out=np.full(share.shape, -1.0), where=inner)
    spread = Z_95 * deviation / np.abs(log_share)
    of_all = np.where(at_risk > 0, BEYOND ** (effect / followed), 1.0)
    with np.errstate(over="ignore"):  # so wide an interval begins at 0
        low = np.where(inner, np.exp(log_share * np.exp(spread)), np.where(share > 0, of_all, 0.0))
    of_nobody = _of_nobody(at_risk, share, effect)
    high = np.where(inner, np.exp(log_share * np.exp(-spread)), np.where(share > 0, 1.0, of_nobody))
    return Curves(at_risk, closed, share, low, high, effect)


def _open_share(at_risk: Ints, closed: Ints) -> Floats:
    return np.cumprod(1.0 - closed / np.maximum(at_risk, 1), axis=-1, dtype=np.float64)


def design_effect(*counted: tuple[Ints, Ints]) -> Floats:
    """By how much the variance of a curve is larger than Greenwood's, of each group and day, since requests of the same days share a
    crew or a week's speed: from the curves that leave out one block of time each.

    At least 1. On a day whose curve doesn't show it, since all or none are open, it is that of the day before. Where time is divided
    in two ways, the variances add up, less that of independent requests, which is in both. Source: Cameron, Gelbach and Miller 2011.

    Args:
        counted: of each way of dividing time, the requests closed on each day by group, block and day, and those at risk on it.
    """
    groups, blocks, length = counted[0][0].shape
    if blocks < 2:
        return np.ones((groups, length))
    closed_of_all, of_all = (counts.sum(axis=1) for counts in counted[0])
    share = _open_share(of_all, closed_of_all)
    independent = share**2 * np.cumsum(_greenwood(of_all, closed_of_all), axis=1)
    between = (1 - len(counted)) * independent
    for closed, at_risk in counted:
        between += jackknife_variance(_open_share(of_all[:, None] - at_risk, closed_of_all[:, None] - closed), axis=1)
    shows = (share > TOLERANCE) & (share < 1 - TOLERANCE)
    between *= known_from(blocks)
    effect = np.maximum(np.divide(between, independent, out=np.ones(share.shape), where=shows), 1.0)
    last_shown = np.maximum.accumulate(np.where(shows, np.arange(length), 0), axis=1)
    return np.asarray(np.take_along_axis(effect, last_shown, axis=1))


def _greenwood(at_risk: Ints, closed: Ints) -> Floats:
    """What each day adds to Greenwood's sum. A group that is closed to the last request has no spread left: nothing is added."""
    staying = at_risk - closed
    return np.divide(closed, np.maximum(at_risk, 1) * staying, out=np.zeros(closed.shape), where=staying > 0)


def _of_nobody(at_risk: Ints, share: Floats, effect: Floats) -> Floats:
    """The upper limit of a share of 0, a column: on the day that the curve fell to it, as many stand behind it as were followed
    then, over the share that was open before.
    """
    last = np.argmax(share <= 0, axis=1)
    rows = np.arange(len(share))
    before = np.where(last > 0, share[rows, np.maximum(last - 1, 0)], 1.0)
    return (1 - BEYOND ** (effect[rows, last] * before / np.maximum(at_risk[rows, last], 1)))[:, None]


def days_until(curves: Curves, closed_share: float) -> tuple[Floats, Mask]:
    """How many days it took until so large a share was closed (0.5 for the median, 0.9 for p90), with the 95 % limits: three rows,
    NaN where it is not reached by anybody followed so far. And whether it may be read: 10 requests are expected beyond it, and 10 are
    followed on each day to the one on which it is reached.
    """
    days = np.stack([first_day(curve, 1.0 - closed_share) for curve in (curves.open_share, curves.low, curves.high)])
    n, read = curves.at_risk[:, 0], np.nan_to_num(days[0]).astype(np.int64)
    beyond = n * (1 - closed_share) >= STILL_OPEN - TOLERANCE
    least = np.minimum.accumulate(curves.at_risk, axis=1)[np.arange(len(n)), read]
    return days, beyond & (np.isnan(days[0]) | (least >= STILL_OPEN))


def after(curves: Curves, waited: int) -> Curves:
    """The curves of the requests still open at the end of a day, on the days from the next one on."""
    on = slice(waited + 1, None)
    return kaplan_meier(curves.closed[:, on], curves.at_risk[:, on], curves.effect[:, on])


def first_day(curve: Floats, open_share: float | Floats) -> Floats:
    """The first day on which each curve (row) has fallen to a share; NaN if it never does."""
    reached = curve <= open_share + TOLERANCE
    return np.where(reached.any(axis=1), reached.argmax(axis=1), np.nan)


def mean_days_within(curves: Curves, days: int) -> Floats:
    """The restricted mean: how many of the first days a request was open, on average, with its 95 % limits: three rows; NaN if nobody
    was followed that long. Where nobody differs from another, the limits are those of the curve, summed.
    """
    if days >= curves.at_risk.shape[1]:
        return np.full((3, len(curves.at_risk)), np.nan)
    share, low, high = (curve[:, :days] for curve in (curves.open_share, curves.low, curves.high))
    later = np.cumsum(share[:, ::-1], axis=1)[:, ::-1]
    greenwood = _greenwood(curves.at_risk[:, :days], curves.closed[:, :days])
    variance = (later**2 * greenwood * curves.effect[:, :days]).sum(axis=1)
    mean, spread = share.sum(axis=1), Z_95 * np.sqrt(variance)
    limits = (
        np.where(variance > 0, np.maximum(mean - spread, 0), low.sum(axis=1)),
        np.where(variance > 0, np.minimum(mean + spread, days), high.sum(axis=1)),
    )
    return np.where(curves.at_risk[:, days] > 0, np.stack([mean, *limits]), np.nan)


def median_of_closed(curves: Curves) -> Floats:
    """The nearest-rank median of the closed requests; NaN where none is closed."""
    by_then = np.cumsum(curves.closed, axis=1)
    half = 2 * by_then >= by_then[:, -1:]
    return np.where(by_then[:, -1] > 0, half.argmax(axis=1), np.nan)


def cumulative_incidence(curves: Curves, closed_as: Ints) -> tuple[Floats, Floats, Floats]:
    """The share closed in one way by each day, from the closings in that way, with its 95 % log-log limits: never a curve of its own,
    since open requests have no outcome. Over all ways, which may be the first axis of `closed_as`, it adds up to `1 - open_share`.

    The variance is that of Aalen and Johansen; limits of 0 and 1 are those of nobody and of all, as of a curve.
    """
    before = np.pad(curves.open_share[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    followed = np.maximum(curves.at_risk, 1)
    gain = before * closed_as / followed
    share = np.cumsum(gain, axis=-1)
    # Σ (F(t) − F(s))² g(s) + Σ gain² (1/d − 1/n) − 2 Σ (F(t) − F(s)) gain / n, each power of F(t) by itself.
    g = _greenwood(curves.at_risk, curves.closed)
    squares, mixed, constant = (
        np.cumsum(each, axis=-1)
        for each in (
            np.broadcast_to(g, share.shape),
            share * g + gain / followed,
            share**2 * g + before * gain * (followed - closed_as) / followed**2 + 2 * share * gain / followed,
        )
    )
    variance = np.maximum(share**2 * squares - 2 * share * mixed + constant, 0) * curves.effect
    inner = (share > TOLERANCE) & (share < 1 - TOLERANCE)
    log_share = np.log(share, out=np.full(share.shape, -1.0), where=inner)
    spread = Z_95 * np.sqrt(variance) / np.abs(share * log_share, out=np.ones(share.shape), where=inner)
    nobody = share <= TOLERANCE
    low = np.where(inner, np.exp(log_share * np.exp(spread)), np.where(nobody, 0.0, 1 - curves.high))
    high = np.where(
        inner, np.exp(log_share * np.exp(-spread)), np.where(nobody, 1 - BEYOND ** (curves.effect / followed), 1.0)
    )
    return share, low, high
