"""Simulated worlds: requests as facts, of which it is known how they came about. The tests of the metrics and the calibration use them.

What belongs here: how requests come and are closed. What does not: what is said of them (`calibration`). Whole arrays, with seeds.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm

from vanc311_pipeline.metrics.comparison import LATE_AFTER_DAYS, window
from vanc311_pipeline.metrics.facts import NONE, Facts, Floats, Ints, Status, day_number

FIRST_DAY, AS_OF = day_number("2022-08-17"), day_number("2027-03-28")
WEEK, YEAR = 7, 364
OF_WEEKDAY = np.array(
    [0.17, 0.17, 0.07, 0.04, 0.19, 0.18, 0.18]
)  # a day's share of a week's requests, from a Thursday on
SPEEDS = norm(np.log(3), 1.6)
"""The logarithm of the days that a request takes: half within 3, nine in ten within 23, and a long tail."""
APART = 1e5  # so many days lie between the clocks of two groups that are looked up together


def requests(
    as_of: int, areas: int, area: npt.ArrayLike, opened: npt.ArrayLike, closed: npt.ArrayLike, issue: npt.ArrayLike = 0
) -> Facts:
    """Requests as facts, closed on these days; those that were closed after as_of are still open."""
    days, left = (np.asarray(column).astype(np.int32) for column in (opened, closed))
    none, still_open = np.zeros(len(days), dtype=np.int32), left > as_of
    known = np.where(still_open, NONE, left)
    issues = none + np.asarray(issue, dtype=np.int32)
    return Facts(
        as_of, tuple(f"Area {number}" for number in range(areas)), tuple(f"Type {number}" for number in range(int(issues.max(initial=0)) + 1)),
        ("ENG",), (), np.asarray(area).astype(np.int32), issues, none, none + NONE,
        np.where(still_open, Status.OPEN, Status.CLOSE).astype(np.int32), days, known, known,
        none.astype(np.int64), none > 0, none > 0,
    )  # fmt: skip


def city(
    a_week: float,
    groups: int,
    season: float = 0.0,
    spread: float = 0.0,
    drift: tuple[float, float] = (0.0, 0.0),
    speed: float = 1.0,
    inflow: float = 1.0,
    weeks: int = 13,
    first: int = FIRST_DAY,
    as_of: int = AS_OF,
    seed: int = 311,
) -> Facts:
    """Requests of so many a week in each of some areas, that are independent of each other.

    Each takes its time, until for the last settled `weeks` all are closed at `speed` times the rate, and `inflow` times as many
    are opened. Weeks bring more or fewer by `spread`, a standard deviation of the logarithm, as do seasons, and the clock of the
    service goes faster or slower by `drift`: a standard deviation of its logarithm, and how far a week is like that before.
    """
    rng = np.random.default_rng(seed)
    days, turn = np.arange(first, as_of + 1), as_of - WEEK * (weeks + 1)
    rate = a_week * OF_WEEKDAY[days % WEEK] * (1 + season * np.sin(2 * np.pi * days / 365.25))
    rate = np.tile(np.where(days > turn, inflow, 1) * rate, (groups, 1))
    if spread:
        shocks = rng.normal(-(spread**2) / 2, spread, (groups, len(days) // WEEK + 1))
        rate = rate * np.exp(np.repeat(shocks, WEEK, axis=1)[:, : len(days)])
    number = rng.poisson(rate)
    area, opened = (
        np.repeat(each, number.ravel()) for each in (np.indices(number.shape)[0].ravel(), np.tile(days, groups))
    )
    took = np.exp(SPEEDS.rvs(len(opened), rng))
    if drift[0]:
        closed = np.floor(_by_the_clock(rng, drift, groups, len(days), area, opened - first, took)) + first
    elif speed == 1:
        closed = opened + took.astype(np.int64)
    else:
        closed = opened + np.where(opened + took > turn, _at_speed(took, turn - opened, speed), took).astype(np.int64)
    return requests(as_of, groups, area, opened, np.minimum(closed, as_of + 1))


def _at_speed(took: Floats, left: Ints, speed: float) -> Floats:
    """The days that requests take if they are closed at another rate once so many days are left."""
    before = SPEEDS.sf(np.log(np.maximum(left, 1e-9)))
    beyond = np.minimum(SPEEDS.sf(np.log(took)) / before, 1) ** (1 / speed)
    return np.asarray(np.exp(SPEEDS.isf(before * beyond)))


def _by_the_clock(
    rng: np.random.Generator, drift: tuple[float, float], groups: int, days: int, area: Ints, opened: Ints, took: Floats
) -> Floats:
    """When requests are closed that take their time on the clock of their area, which goes by a week's speed."""
    deviation, like = drift
    steps = rng.normal(0, deviation * np.sqrt(1 - like**2), (groups, days // WEEK + 1))
    steps[:, 0] = rng.normal(0, deviation, groups)
    for week in range(1, steps.shape[1]):
        steps[:, week] += like * steps[:, week - 1]
    clock = np.pad(np.cumsum(np.repeat(np.exp(steps), WEEK, axis=1), axis=1), ((0, 0), (1, 0)))
    hands = clock[area, opened] + took
    base, day = np.arange(groups)[:, None] * APART, np.arange(clock.shape[1])
    late = hands > clock[area, -1]
    read = np.interp(hands + area * APART, (clock + base).ravel(), (day + base).ravel()) - area * APART
    return np.where(late, clock.shape[1] + 1.0, read)


def alone(rng: np.random.Generator, opened: Ints, days: float = 3, spread: float = 1.6) -> Ints:
    """Each goes its own way."""
    return np.exp(rng.normal(np.log(days), spread, opened.shape)).astype(np.int64)


def by_week(rng: np.random.Generator, opened: Ints) -> Ints:
    """Those of a week are closed at a rate of their own."""
    rate = np.exp(rng.normal(0, 0.4, (len(opened), YEAR // WEEK)))
    of_request = rate[np.arange(len(opened))[:, None], opened // WEEK]
    share = rng.random(opened.shape) ** (1 / of_request)
    return np.asarray(np.exp(SPEEDS.isf(share))).astype(np.int64)


def crew(rng: np.random.Generator, opened: Ints, gap: float) -> Ints:
    """All that wait are closed when the crew comes, every so many days on average."""
    files = len(opened)
    visits = np.cumsum(rng.exponential(gap, (files, int(YEAR / gap * 3) + 60)), axis=1)
    base = np.arange(files)[:, None] * APART
    instant = opened + rng.random(opened.shape)
    following = np.searchsorted((visits + base).ravel(), (instant + base).ravel()).reshape(opened.shape)
    return np.asarray(np.floor(visits.ravel()[following])).astype(np.int64) - opened


SERVICES: dict[str, Callable[[np.random.Generator, Ints], Ints]] = {
    "each by itself": alone,
    "each by itself, slowly": partial(alone, days=60, spread=0.8),  # a day is little beside it
    "weeks of different speed": by_week,
    "a crew about every 7 days": partial(crew, gap=7),
    "a crew about every 14 days": partial(crew, gap=14),
}


def files(service: str, n: int, number: int, seed: int) -> tuple[Facts, Ints]:
    """So many files of n requests each, every file an area, opened in the year to as_of and closed as the service goes.

    With the days that each request takes, seen or not.
    """
    start, took = _year(np.random.default_rng(seed), service, n, number, AS_OF)
    area = np.repeat(np.arange(number), n)
    return requests(AS_OF, number, area, start, np.minimum(start + took, AS_OF + 1)), took


def _year(rng: np.random.Generator, service: str, n: int, number: int, last: int) -> tuple[Ints, Ints]:
    """When the requests of each file were opened, in the year to a day, and the days that they take."""
    day = np.arange(YEAR)
    weight = OF_WEEKDAY[(last - YEAR + 1 + day) % WEEK]
    opened = rng.choice(day, (number, n), p=weight / weight.sum())
    return last - YEAR + 1 + opened.ravel(), SERVICES[service](rng, opened).ravel()


def two_years(service: str, n: int, number: int, seed: int, faster: float = 1.0) -> Facts:
    """So many files of n requests in each of the two years to the last settled day, closed as the service goes, which of the newer year
    are closed so many times as fast.
    """
    rng, last = np.random.default_rng(seed), AS_OF - WEEK
    years = [_year(rng, service, n, number, last - back) for back in (YEAR, 0)]
    start, took = (np.concatenate(columns) for columns in zip(*years, strict=True))
    took = np.where(start > last - YEAR, took / faster, took).astype(np.int64)
    return requests(
        AS_OF, number, np.tile(np.repeat(np.arange(number), n), 2), start, np.minimum(start + took, AS_OF + 1)
    )


AREAS, TYPES, LATE = 22, 179, 0.057
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
"""The means of a standard normal distribution, by Gauss and Hermite."""


class Compared(NamedTuple):
    """A year of areas, and how many times as many of each are late, truly, as of the same types in the city."""

    facts: Facts
    ratio: Floats
    mix: Floats
    """How many requests of each type (column) each area (row) has, up to a factor."""
    late: Floats
    """And how many of them are late, truly, in a year that is neither good nor bad."""


def areas(n: int, shocks: float, effects: Floats, seed: int) -> Compared:
    """Areas of different size and mix of types, of which some have more late requests by their own effect, a logarithm.

    The months of each type and area differ by shocks, a standard deviation of the logit.
    """
    shape, rng = np.random.default_rng(311), np.random.default_rng(seed)
    size = np.linspace(1, 6, AREAS)
    mix = size[:, None] * shape.gamma(3, 1, (AREAS, TYPES)) / np.arange(1, TYPES + 1) ** 0.9
    late = shape.beta(0.8, 0.8 / LATE - 0.8, TYPES).clip(0.002, 0.6)
    cell = rng.choice(mix.size, n, p=(mix / mix.sum()).ravel())
    area, issue = np.divmod(cell, TYPES)
    opened = rng.integers(0, 365, n)
    month = opened * 12 // 365
    shock = rng.normal(0, shocks, (AREAS, TYPES, 12))[area, issue, month] if shocks else 0.0
    chance = np.minimum(expit(logit(late[issue]) + shock) * np.exp(effects[area]), 1)
    slowly = rng.random(n) < chance
    took = np.where(slowly, LATE_AFTER_DAYS + 1 + rng.exponential(60, n), 31 * rng.random(n) ** 3).astype(np.int64)
    empty = requests(AS_OF, AREAS, [], [], [])
    start = window(empty)[0] + opened
    by_type = np.bincount(cell, minlength=mix.size).reshape(mix.shape) * late
    times = np.exp(effects)
    usual = (by_type * times[:, None]).sum(axis=0) / np.maximum(by_type.sum(axis=0), 1e-9)
    ratio = times * by_type.sum(axis=1) / (by_type * usual).sum(axis=1)
    usually = expit(logit(late)[:, None] + shocks * NODES) @ WEIGHTS  # the mean over the shocks
    rates = np.minimum(usually * times[:, None], 1)
    return Compared(requests(AS_OF, AREAS, area, start, start + took, issue), ratio, mix, rates)
