"""Reporting: at which hours and in which ways the requests of the last 12 months were reported, and how many a head of an area."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from vanc311_pipeline.metric_definitions import MINIMUM_N
from vanc311_pipeline.metrics.estimates import known_from, poisson, share, share_state, with_limits
from vanc311_pipeline.metrics.facts import WEEK_DAYS, Codes, Floats
from vanc311_pipeline.metrics.groups import Grouping
from vanc311_pipeline.metrics.time_to_close import FIRST_WEEKDAY

DAY_HOURS = 24
CENSUS_YEAR = 2016
"""The newest census that the city has published by local area."""
PER = 1_000


@dataclass(frozen=True)
class Reports:
    """How each request of the facts was reported; -1 if it was opened before the last 12 months."""

    hour: Codes
    """The hour of the day in Vancouver."""
    channel: Codes
    channels: tuple[str, ...]
    """The names; `channel` points into them."""


def reporting_times(cohort: Grouping, reports: Reports) -> pd.DataFrame:
    """The table `reporting_times`, of one cohort: a row for each hour of the week in which something was reported."""
    facts, size = cohort.facts, WEEK_DAYS * DAY_HOURS
    hour_of_week = (facts.opened + FIRST_WEEKDAY) % WEEK_DAYS * DAY_HOURS + reports.hour
    counts = cohort.count_by(np.ones(len(facts), dtype=bool), hour_of_week, size)
    group, place = np.nonzero(counts)
    weekday, hour = np.divmod(place, DAY_HOURS)
    return cohort.table(group, weekday=weekday + 1, hour=hour, requests=counts[group, place])


def channels(cohort: Grouping, reports: Reports) -> pd.DataFrame:
    """The table `channels`, of one cohort: a row for each channel that was used."""
    counts = cohort.count_by(np.ones(len(cohort.facts), dtype=bool), reports.channel, len(reports.channels))
    group, place = np.nonzero(counts)
    names = np.array(reports.channels, dtype=object)[place]
    return cohort.table(group, channel=names, requests=counts[group, place], volume=cohort.volume[group])


@cache
def census() -> dict[str, tuple[int, int]]:
    """The residents and the occupied dwellings of each local area."""
    with Path(__file__).with_name("census_local_areas.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["year"] == str(CENSUS_YEAR)]
    return {row["local_area"]: (int(row["population"]), int(row["occupied_private_dwellings"])) for row in rows}


def area_rates(cohort: Grouping) -> pd.DataFrame:
    """The table `area_rates`, of one cohort of groups that have an area; without those that the census doesn't know."""
    counted = np.flatnonzero([area in census() for area in cohort.names["local_area"]])
    requests, effect = cohort.volume[counted], dispersion(cohort)[counted]
    residents, dwellings = np.array([census()[area] for area in cohort.names["local_area"][counted]]).reshape(-1, 2).T
    state = share_state(requests, requests)
    limits = [effect * limit for limit in poisson(requests / effect)]
    rates: dict[str, Floats] = {}
    for name, heads in (("per_1000_residents", residents), ("per_1000_dwellings", dwellings)):
        rates |= with_limits(name, state, *(share(PER * count, heads) for count in (requests, *limits)))
    return cohort.table(
        counted, requests=requests, census_year=CENSUS_YEAR, residents=residents, dwellings=dwellings,
        dispersion=np.where(requests >= MINIMUM_N, effect, np.nan), **rates, state=state,
    )  # fmt: skip


def dispersion(cohort: Grouping) -> Floats:
    """How many times as large the variance of each group's count is as if requests came by themselves, at least 1: by its fortnights."""
    period, facts = cohort.period, cohort.facts
    assert period is not None
    blocks, days = period.blocks, np.arange(period.first, period.last + 1, dtype=np.int32)
    if blocks < 2:
        return np.ones(len(cohort))
    weight = np.bincount(period.block(days), minlength=blocks) / len(days)
    counts = np.bincount(
        cohort.code * np.int64(blocks) + period.block(facts.opened[cohort.rows]), minlength=len(cohort) * blocks
    )
    volume = cohort.volume
    between = ((counts.reshape(-1, blocks) - volume[:, None] * weight) ** 2).sum(axis=1) * blocks / (blocks - 1)
    return np.maximum(np.nan_to_num(share(known_from(blocks) * between, volume)), 1.0)
