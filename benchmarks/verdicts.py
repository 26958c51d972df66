"""What the rules say of simulated worlds: which labels they give, and whether the intervals hold the truth.

What belongs here: the worlds of the audit of the statistics (seasons, crews, weeks of different speed, areas that differ), how many
of each, and what a hit is. Every rule is asked through the product's own functions, from facts alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks import worlds
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.metrics.backlog import flow
from vanc311_pipeline.metrics.comparison import SUPPORTED_N, area_comparison, compared_requests
from vanc311_pipeline.metrics.current_speed import current_speed
from vanc311_pipeline.metrics.estimates import share
from vanc311_pipeline.metrics.facts import Facts, Floats, Ints
from vanc311_pipeline.metrics.groups import EACH_AREA, LAST_12_MONTHS, grouping_of, periods, tally
from vanc311_pipeline.metrics.monthly import monthly_series
from vanc311_pipeline.metrics.outcomes import outcome_incidence
from vanc311_pipeline.metrics.speed_on_year import speed_on_year
from vanc311_pipeline.metrics.time_to_close import Followed, follow, time_to_close, time_to_close_curves
from vanc311_pipeline.metrics.waiting import waiting_times
from vanc311_pipeline.metrics.year_on_year import year_on_year

REAL_YEAR = 300_000
FACTOR = 1.5  # false labels may be so many times as many as the rule says
SAYS = {"year_on_year": 0.05, "flow": 0.02, "area_comparison": 0.05, "speed_on_year": 0.05}
"""How many false labels the rule speaks of in docs/methods.md: of 100 looks; of areas and of speeds, of 100 comparisons of all of them."""
COVERED, COVERED_BY_CREWS = (0.92, 0.98), (0.88, 1.0)
AT_ONCE = 1_500_000  # requests that are simulated together: more take memory
DIFFERENT = [f"{how} {side}" for how in ("clearly", "somewhat") for side in ("more", "fewer")]
DAYS = (7, 30)
QUANTILES = {"median": 0.5, "p75": 0.75, "p90": 0.9}
RESTRICTED = (30, 90)
WAITED = 7


class Claim(NamedTuple):
    """What a line is about, and the target of its share."""

    table: str
    world: str
    measure: str
    least: float = 0
    most: float = 1


Answers = list[tuple[Claim, Floats]]
"""Of each claim, whether each look (column) of each independent unit (row) is a hit; NaN where no answer is given."""


def false_labels(table: str, world: str, measure: str) -> Claim:
    return Claim(table, world, measure, most=FACTOR * SAYS[table])


class City(NamedTuple):
    """Some groups of so many requests a week, simulated together, for rules N and F."""

    name: str
    a_week: float
    groups: int
    seed: int
    season: float = 0
    spread: float = 0
    drift: tuple[float, float] = (0, 0)
    speed: float = 1
    inflow: float = 1

    def answers(self) -> Answers:
        facts = worlds.city(**{name: value for name, value in self._asdict().items() if name != "name"})
        if (self.speed, self.inflow) != (1, 1):
            return self._power(facts)
        flows = flow(grouping_of(facts, EACH_AREA))
        weeks = flows["weeks_in_backtest"].to_numpy(dtype=np.int64)
        labels = np.round(flows["labels_in_backtest"].to_numpy(dtype=np.float64) * weeks)[:, None]
        looks = [replace(facts, as_of=facts.as_of - 91 * back) for back in range(4)]
        verdicts = pd.concat(
            year_on_year(grouping_of(look, EACH_AREA)).assign(look=place) for place, look in enumerate(looks)
        )
        growing = false_labels("flow", self.name, "false labels: growing or shrinking")
        answers = [(growing, (np.arange(weeks[0]) < labels).astype(float))]
        for measure, rows in verdicts.groupby("measure"):
            hits = [_hits(some, "verdict", "more", "fewer") for _, some in rows.groupby("look")]
            claim = false_labels("year_on_year", self.name, f"false labels: {measure}, more or fewer")
            answers.append((claim, np.stack(hits, axis=1)))
        return answers

    def _power(self, facts: Facts) -> Answers:
        grouping = grouping_of(facts, EACH_AREA)
        grows = _hits(flow(grouping), "flow", "growing")[:, None]
        answers = [(Claim("flow", self.name, "power: growing"), grows)]
        if self.inflow != 1:
            verdicts = year_on_year(grouping)
            opened = _hits(verdicts[verdicts["measure"] == "opened"], "verdict", "more")[:, None]
            answers.append((Claim("year_on_year", self.name, "power: opened, more"), opened))
        return answers


def _hits(table: pd.DataFrame, column: str, *labels: str) -> Floats:
    """Whether each row has one of the labels; NaN where it has none at all."""
    values = table[column].replace({"too_few": None, "too_short": None})
    return np.where(values.isna(), np.nan, values.isin(labels)).astype(np.float64)


COURSES: dict[str, dict[str, Any]] = {
    "no season": {},
    "season ± 15 %": {"season": 0.15},
    "season ± 15 %, weeks differ by 10 %": {"season": 0.15, "spread": 0.1},
    "service drifts (sd 0.15, ρ 0.8)": {"drift": (0.15, 0.8)},
    "service drifts (sd 0.3, ρ 0.9)": {"drift": (0.3, 0.9)},
    "season, closing − 20 %": {"season": 0.15, "speed": 0.8},
    "season, inflow + 20 %": {"season": 0.15, "inflow": 1.2},
}


def cities(size: int) -> Iterator[City]:
    """The city, its areas and its types of request, with and without a season, and with a change of a fifth in the last 13 weeks."""
    kinds = (("the city", size / 52.18, 30), ("an area (190 a week)", 190, 200), ("a type (26 a week)", 26, 400))
    for place, (what, weekly, groups) in enumerate(kinds):
        number = max(4, round(groups * min(1, size / REAL_YEAR)))
        together = max(1, int(AT_ONCE / (weekly * 241)))
        for seed, first in enumerate(range(0, number, together)):
            some = City(what, weekly, min(together, number - first), 1_000 * place + seed)
            for world, course in COURSES.items():
                yield some._replace(name=f"{what}: {world}", **course)


class Files(NamedTuple):
    """Some files of so many requests a year, each closed as the service goes, for the intervals of times."""

    service: str
    n: int
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.service}, {self.n:,} a year"

    def answers(self) -> Answers:
        facts, took = worlds.files(self.service, self.n, self.number, self.seed)
        grouping = grouping_of(facts, EACH_AREA)
        cohort = grouping.within(next(each for each in periods(facts) if each.name == LAST_12_MONTHS))
        parts = list(follow(cohort))
        times = time_to_close(cohort, parts)
        truth = {name: float(np.quantile(took, p, method="inverted_cdf")) for name, p in QUANTILES.items()}
        answers = [
            *self._quantiles("time_to_close", times, truth),
            *self._quantiles("current_speed", current_speed(grouping), truth),
        ]
        for days in RESTRICTED:
            mean = holds(times, f"mean_within_{days}", float(np.minimum(took, days).mean()))
            answers.append((self._claim("time_to_close", f"mean days within the first {days}"), mean))
        waiting = pd.concat([waiting_times(some) for some in parts])
        still_open = took[took > WAITED] - WAITED
        further = {
            f"further_{name}": float(np.quantile(still_open, p, method="inverted_cdf")) for name, p in QUANTILES.items()
        }
        answers += self._quantiles("waiting_times", waiting[waiting["waited_days"] == WAITED], further)
        answers.append(self._one_way(parts, took))
        curves = pd.concat([time_to_close_curves(some) for some in parts])
        for day in DAYS:
            rows = curves[curves["day"] == day]
            measure, share = f"share open after {day} days", float((took > day).mean())
            answers.append((self._claim("time_to_close_curves", measure), holds(rows, "open_share", share)))
        months = monthly_series(grouping, times["median_days"].to_numpy(dtype=np.float64))
        within = holds(months, "share_7", float((took <= 7).mean())).reshape(self.number, -1)
        answers.append((self._claim("monthly_series", "share of a month closed within 7 days"), within))
        medians = self._quantiles("monthly_series", months, {"median": truth["median"]})
        return [*answers, *((claim, held.reshape(self.number, -1)) for claim, held in medians)]

    def _one_way(self, parts: Sequence[Followed], took: Ints) -> tuple[Claim, Floats]:
        """The share closed in one of two ways, which are drawn by lot; its design effect is that of all closings, which is no less."""
        way = np.random.default_rng(self.seed).integers(0, 2, len(took)).astype(np.int32)
        rows = pd.concat([outcome_incidence(some, way) for some in parts])
        rows = rows[(rows["outcome_order"] == 1) & (rows["day"] == DAYS[0])]
        claim = self._claim("outcome_incidence", f"share closed in one way within {DAYS[0]} days")
        return claim._replace(most=1), holds(rows, "closed_share", float(((took <= DAYS[0]) & (way == 0)).mean()))

    def _quantiles(self, table: str, rows: pd.DataFrame, truth: dict[str, float]) -> Iterator[tuple[Claim, Floats]]:
        for name, days in truth.items():
            given = (rows[f"{name}_state"] == State.OK).to_numpy()
            yield self._claim(table, name, whole_days=True), np.where(given[:, None], holds(rows, name, days), np.nan)

    def _claim(self, table: str, what: str, whole_days: bool = False) -> Claim:
        """The limits of a quantile are whole days, so they may hold the truth more often, unless a day is little."""
        least, most = COVERED_BY_CREWS if "crew" in self.service else COVERED
        most = 1 if whole_days and "slowly" not in self.service else most
        return Claim(table, self.name, f"coverage: {what}", least, most)


def holds(rows: pd.DataFrame, name: str, truth: float | Floats) -> Floats:
    """Whether the interval of each row holds the truth, a column; a limit that was not reached lies beyond it, NaN without any."""
    low, high = (rows[f"{name}_{side}"].to_numpy(dtype=np.float64) for side in ("low", "high"))
    held = ~(low > truth) & ~(high < truth)
    return np.where(np.isnan(low) & np.isnan(high), np.nan, held)[:, None]


def files(size: int) -> Iterator[Files]:
    for service in worlds.SERVICES:
        for n in (30, 300, 2_000) if service == "each by itself" else (300, 2_000):
            number = int(np.clip(4 * size // n, 6, 1_000))
            together = max(1, AT_ONCE // 5 // n)
            for seed, first in enumerate(range(0, number, together)):
                yield Files(service, n, min(together, number - first), seed)


class Areas(NamedTuple):
    """One year of the areas, for rule A."""

    n: int
    shocks: float
    spread: float
    more: float
    seed: int

    def answers(self) -> Answers:
        rng = np.random.default_rng(self.seed)
        effects = rng.normal(0, self.spread, worlds.AREAS)
        place = (0, worlds.AREAS // 2, worlds.AREAS - 1)[self.seed % 3]
        if self.more > 1:
            effects[place] = np.log(self.more)
        world = worlds.areas(self.n, self.shocks, effects, self.seed)
        tables = area_comparison(world.facts)
        late = tables[tables["measure"] == "open_after_30_days"]
        coverage = Claim("area_comparison", self.name, "coverage: ratio", *COVERED)
        at_one_mix = coverage._replace(measure="coverage: standardised share")
        answers = [
            (coverage, holds(late, "ratio", world.ratio).T),
            (at_one_mix, holds(late, "standardised_share", standardised(world)).T),
        ]
        if self.more > 1:
            size = ("smallest", "median", "largest")[self.seed % 3]
            seen = _hits(late, "verdict", "clearly more", "somewhat more")[None, [place]]
            return [*answers, (Claim("area_comparison", self.name, f"power: {size} area, more"), seen)]
        for measure, rows in tables.groupby("measure"):
            claim = false_labels("area_comparison", self.name, f"false labels: any area, {measure}")
            answers.append((claim, np.array([[float(rows["verdict"].isin(DIFFERENT).any())]])))
        return answers

    @property
    def name(self) -> str:
        differ = f"areas differ by {100 * self.spread:.0f} %" if self.spread else "areas alike"
        return f"{differ}, shocks {self.shocks}" + (f", one + {100 * self.more - 100:.0f} %" if self.more > 1 else "")


def standardised(world: worlds.Compared) -> Floats:
    """The true late share of each area at the city's mix of types, over the pools of which it has enough requests."""
    compared = compared_requests(world.facts)
    n = tally(compared.area, compared.pool, worlds.AREAS, compared.pools)
    weight = np.where(n >= SUPPORTED_N, n.sum(axis=0), 0)
    issue, row = np.unique(world.facts.issue[compared.rows], return_index=True)
    in_pool = np.eye(compared.pools)[compared.pool[row]]
    mix, late = (counts[:, issue] @ in_pool for counts in (world.mix, world.mix * world.late))
    return share((weight * late / mix).sum(axis=1), weight.sum(axis=1))


def areas(size: int) -> Iterator[Areas]:
    n, number = max(2_000, round(size * 0.718)), max(3, round(60 * min(1, size / REAL_YEAR)))
    for shocks in (0.0, 0.3, 0.6, 1.0):
        for seed in range(number):
            yield Areas(n, shocks, 0.0, 1.0, seed)
    for seed in range(max(6, number)):
        yield Areas(n, 0.3, 0.15, 1.2, seed)


class TwoYears(NamedTuple):
    """A list of some groups of so many requests a year, two years long, for the speed against a year before."""

    service: str
    n: int
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"two years of {self.service}, {self.n:,} a year"

    def answers(self) -> Answers:
        alike, faster = (
            speed_on_year(grouping_of(worlds.two_years(*self, faster=times), EACH_AREA)) for times in (1, 1.25)
        )
        directions = alike["verdict"].isin(["faster", "slower"])
        coverage = Claim("speed_on_year", self.name, "coverage: change of the share", COVERED[0])
        return [
            (coverage, holds(alike, "share_change", 0.0)),
            (
                false_labels("speed_on_year", self.name, "false labels: any of a list"),
                np.array([[float(directions.any())]]),
            ),
            (
                Claim("speed_on_year", self.name, "power: faster, if in four fifths of the days"),
                _hits(faster, "verdict", "faster")[:, None],
            ),
        ]


def two_years(size: int) -> Iterator[TwoYears]:
    for service in worlds.SERVICES:
        for n, number, lists in ((300, 180, 10), (2_000, 100, 4)):
            for seed in range(max(1, round(lists * min(1, size / REAL_YEAR)))):
                yield TwoYears(service, n, number, seed)


def jobs(size: int) -> list[City | Files | Areas | TwoYears]:
    """Every world, at so many requests a year of the city."""
    return [*files(size), *cities(size), *areas(size), *two_years(size)]
