"""Intervals and tests of shares and counts: Wilson, exact Poisson, Benjamini–Hochberg. Pure functions of arrays."""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtr

from vanc311_pipeline.metrics.survival import Z_95, Floats

Z_998 = 3.090232306167813


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


def poisson(observed: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The exact 95 % interval of the mean behind a count: χ²(0.025; 2 O) / 2 to χ²(0.975; 2 O + 2) / 2. Source: Garwood 1936.

    A χ² distribution with 2 k degrees of freedom, halved, is a gamma distribution of shape k.
    """
    count = np.asarray(observed, dtype=np.float64)
    return np.where(count > 0, gammaincinv(np.maximum(count, 1), 0.025), 0.0), gammaincinv(count + 1, 0.975)


def two_sided(z: npt.ArrayLike) -> Floats:
    """The probability of so large a |z| by chance alone."""
    return np.asarray(2 * ndtr(-np.abs(np.asarray(z, dtype=np.float64))))


def false_discovery(p: Floats) -> Floats:
    """q values: the share of false finds among all that are called different at this p. Source: Benjamini & Hochberg 1995."""
    order = np.argsort(p)[::-1]
    ranked = p[order] * len(p) / np.arange(len(p), 0, -1)
    q = np.empty_like(p)
    q[order] = np.minimum(1.0, np.minimum.accumulate(ranked)) if len(p) else ranked
    return q
