"""Estimates of shares and counts with their intervals and tests (Wilson, exact Poisson, Benjamini–Hochberg), and the state of each:
whether it is given, or by which rule of `metric_definitions` it is withheld. Null is never given without a reason.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaincc, gammaincinv, stdtr, stdtrit

from vanc311_pipeline.metric_definitions import MINIMUM_N, State
from vanc311_pipeline.metrics.facts import Floats, Ints, Mask, Texts

Z_95 = 1.959963984540054
BEYOND = 0.025
"""The probability that a 95 % interval leaves out on each side."""
NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation is so many times its median absolute deviation."""


def share(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """part / whole; NaN of nothing."""
    parts, wholes = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(parts, wholes, out=np.full(np.broadcast(parts, wholes).shape, np.nan), where=wholes > 0)


def wilson(part: npt.ArrayLike, whole: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The 95 % interval of part / whole; NaN of nothing. Source: Wilson 1927."""
    n = np.asarray(whole, dtype=np.float64)
    p = share(part, whole)
    n = np.where(n > 0, n, np.nan)
    middle = p + Z_95**2 / (2 * n)
    spread = Z_95 * np.sqrt(p * (1 - p) / n + Z_95**2 / (4 * n**2))
    scale = 1 + Z_95**2 / n
    # The limits are 0 and 1 exactly where none or all are counted; the formula misses that by a rounding.
    low = np.where(p == 0, 0.0, (middle - spread) / scale)
    high = np.where(p == 1, 1.0, (middle + spread) / scale)
    return low, high


def known_from(parts: int) -> float:
    """By how much a variance that is known from so many parts only is to be enlarged, if the interval goes by the normal distribution:
    the square of Student's t over the normal quantile.
    """
    return (t_95(parts - 1) / Z_95) ** 2


def share_effect(part: Ints, whole: Ints) -> Floats:
    """By how much the variance of part / whole is larger than that of requests that go their own ways, at least 1, from the counts of
    each block of time (last axis). Source: Cochran 1977, Sampling Techniques, chapter 9 (ratio of cluster totals).
    """
    blocks = part.shape[-1]
    n = np.broadcast_to(whole.sum(axis=-1), part.shape[:-1])
    p = share(part.sum(axis=-1), n)
    if blocks < 2:
        return np.ones(p.shape)
    between = ((part - p[..., None] * whole) ** 2).sum(axis=-1) * blocks / (blocks - 1) * known_from(blocks)
    alone = n * p * (1 - p)
    return np.asarray(np.maximum(np.divide(between, alone, out=np.ones(p.shape), where=alone > 0), 1.0))


def poisson(observed: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The exact 95 % interval of the mean behind a count: χ²(0.025; 2 O) / 2 to χ²(0.975; 2 O + 2) / 2. Source: Garwood 1936."""
    # A χ² distribution with 2 k degrees of freedom, halved, is a gamma distribution of shape k.
    count = np.asarray(observed, dtype=np.float64)
    return np.where(count > 0, gammaincinv(np.maximum(count, 1), 0.025), 0.0), gammaincinv(count + 1, 0.975)


def poisson_p(observed: npt.ArrayLike, expected: npt.ArrayLike) -> Floats:
    """The exact two-sided probability of so rare a count: twice the smaller tail of the Poisson distribution, at most 1."""
    count, mean = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    at_least = np.where(count > 0, gammainc(np.maximum(count, 1), mean), 1.0)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(at_least, gammaincc(count + 1, mean))))


def t_p(t: npt.ArrayLike, degrees_of_freedom: float) -> Floats:
    """The two-sided probability of so large a |t|."""
    return np.asarray(2 * stdtr(degrees_of_freedom, -np.abs(np.asarray(t, dtype=np.float64))))


def jackknife_variance(without: Floats, axis: int = 0) -> Floats:
    """The variance of an estimate, from the estimates that leave out one part of the requests each. Source: Efron and Stein 1981."""
    parts = without.shape[axis]
    distance = without - np.mean(without, axis=axis, keepdims=True)
    return np.asarray((parts - 1) / parts * (distance**2).sum(axis=axis))


def newey_west(values: Floats) -> float:
    """The standard error of a series' mean whose neighbours are alike, by Bartlett's weights. Source: Newey and West 1987, with
    ⌊4 (n / 100)^(2/9)⌋ lags, Newey and West 1994.
    """
    n = len(values)
    distance, lags = values - values.mean(), int(4 * (n / 100) ** (2 / 9))
    covariances = [float(distance[lag:] @ distance[: n - lag]) / n for lag in range(lags + 1)]
    weights = [1.0, *(2 * (1 - lag / (lags + 1)) for lag in range(1, lags + 1))]
    return float(np.sqrt(np.dot(weights, covariances) / n))


def t_95(degrees_of_freedom: int) -> float:
    """So many standard errors a 95 % interval reaches on each side."""
    return float(stdtrit(degrees_of_freedom, 1 - BEYOND))


def robust_deviation(values: Floats) -> Floats:
    """The standard deviation of each row, by the median absolute deviation from its median: a few odd weeks don't move it."""
    distance = np.abs(values - np.median(values, axis=1, keepdims=True))
    return np.asarray(NORMAL_MAD * np.median(distance, axis=1))


def false_discovery(p: Floats) -> Floats:
    """q values: the share of false finds among all that are called different at this p. Source: Benjamini & Hochberg 1995."""
    order = np.argsort(p)[::-1]
    ranked = p[order] * len(p) / np.arange(len(p), 0, -1)
    q = np.empty_like(p)
    q[order] = np.minimum(1.0, np.minimum.accumulate(ranked)) if len(p) else ranked
    return q


def first_that_holds(*rules: tuple[Mask, str | None], otherwise: str) -> Texts:
    """The name beside the first condition that holds."""
    conditions, names = zip(*rules, strict=True)
    as_objects = [np.array(name, dtype=object) for name in (*names, otherwise)]
    return np.select(conditions, as_objects[:-1], as_objects[-1])


def timing_state(volume: Ints, n: Ints, value: Floats | None = None) -> Texts:
    """Of a statistic of time: `volume` requests, of which `n` can be used; NaN in `value` means not reached."""
    return _state(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (n < MINIMUM_N, State.TOO_FEW),
        (np.isnan(n if value is None else value), State.NOT_REACHED),
    )


def maturing_state(volume: Ints, n: Ints, matured: Ints, mature: Mask) -> Texts:
    """Of a share within so many days, which only the `matured` requests can answer."""
    return _state(
        (volume == 0, State.NO_REQUESTS),
        (n == 0, State.NO_USABLE_TIMING),
        (~mature, State.IMMATURE),
        (matured < MINIMUM_N, State.TOO_FEW),
    )


def share_state(volume: Ints, n: Ints) -> Texts:
    """Of a share among `n` of `volume` requests."""
    return _state((volume == 0, State.NO_REQUESTS), (n < MINIMUM_N, State.TOO_FEW))


def enough_state(enough: Mask, value: Floats) -> Texts:
    """Of a statistic that is there if there is enough behind it, and unless it is not reached."""
    return _state((~enough, State.TOO_FEW), (np.isnan(value), State.NOT_REACHED))


def _state(*rules: tuple[Mask, State]) -> Texts:
    return first_that_holds(*((condition, str(state)) for condition, state in rules), otherwise=str(State.OK))


def only(state: Texts, values: npt.ArrayLike) -> Floats:
    """The values where the state is ok, NaN elsewhere."""
    return np.where(state == State.OK, np.asarray(values, dtype=np.float64), np.nan)


def with_limits(name: str, state: Texts, value: Floats, low: Floats, high: Floats) -> dict[str, Floats]:
    """The columns of an estimate and its limits, where the state is ok."""
    return {name: only(state, value), f"{name}_low": only(state, low), f"{name}_high": only(state, high)}
