"""Claims about the curves of the bundled sample: lifelines, given the stored requests, draws the same ones for every group.

Which requests belong to a group, a period and a curve is said here once more, of the stored rows and not of the facts.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from lifelines.utils import qth_survival_time, restricted_mean_survival_time

from vanc311_pipeline.metrics.facts import day_number
from vanc311_pipeline.metrics.groups import KEYS, KINDS, groupings, periods
from vanc311_pipeline.metrics.time_to_close import Cohort, Followed, follow, time_to_close

NAMES = {
    "citywide": [],
    "unlocated": [],
    "neighbourhood": ["local_area"],
    "issue": ["issue_type"],
    "department": ["department"],
    "hyper_local": ["local_area", "issue_type"],
}
QUANTILES = {"median": 0.5, "p75": 0.25, "p90": 0.1}
CLOSE = 1e-9


@dataclass(frozen=True)
class Drawn:
    """A group's curve by lifelines, day by day from 0 to the last one on which anybody was followed."""

    requests: pd.DataFrame
    fit: KaplanMeierFitter
    open_share: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Ours:
    """The same by the pipeline, and its line in the table."""

    some: Followed
    place: int
    line: dict


def with_durations(stored, as_of):
    """The requests that a curve can use, with the `days` until they were closed (`event`), or until as_of."""
    at, is_closed = pd.Timestamp(as_of), stored["status"] == "Close"
    opened, closed = pd.to_datetime(stored["opened_on"]), pd.to_datetime(stored["closed_on"])
    useless = (opened < "2022-08-17") | (opened > at) | (is_closed & (closed.isna() | (closed < opened)))
    event = is_closed & (closed <= at)
    made = stored.assign(opened=opened, event=event, days=(closed.where(event, at) - opened).dt.days)
    return made[~useless]


def every_group(requests, as_of):
    """The key of every group, scope and period with at least 30 requests, and those requests."""
    at = pd.Timestamp(as_of)
    last = requests[requests["opened"] > at - pd.Timedelta(days=365)]
    years = {str(year): some for year, some in requests.groupby(requests["opened"].dt.year)}
    for level, scope in KINDS:
        for period, some in {"all": requests, "last_12_months": last, **years}.items():
            located = some["local_area"].notna()
            inside = {"all": some, "located": some[located], "unlocated": some[~located]}[scope]
            for names, group in inside.groupby(NAMES[level]) if NAMES[level] else [((), inside)]:
                if len(group) >= 30:
                    key = dict(zip(NAMES[level], names, strict=True))
                    yield (level, scope, *(key.get(name) for name in KEYS[2:]), period), group


def draw(requests):
    counted = requests.groupby(["days", "event"]).size().reset_index(name="n")
    fit = KaplanMeierFitter().fit(counted["days"], counted["event"], weights=counted["n"])
    days = range(counted["days"].max() + 1)
    curve, limits = (each.reindex(days, method="ffill") for each in (fit.survival_function_, fit.confidence_interval_))
    return Drawn(requests, fit, curve.to_numpy()[:, 0], limits.to_numpy()[:, 0], limits.to_numpy()[:, 1])


def our_curves(facts):
    for cohort in (Cohort(facts, grouping, period) for grouping in groupings(facts) for period in periods(facts)):
        followed = list(follow(cohort))
        table = time_to_close(cohort, followed)
        for some in followed:
            for place, line in enumerate(table.iloc[some.groups].to_dict("records")):
                key = (line["level"], line["scope"], *(line[name] for name in KEYS[2:]), line["period"])
                yield key, Ours(some, place, line)


@pytest.fixture(scope="module", params=["today", "2024-03-31"])
def both(request, sample):
    """Every group by lifelines and by the pipeline: as of the sample's release, and of a day when much was still open."""
    as_of = sample.as_of if request.param == "today" else request.param
    drawn = {key: draw(group) for key, group in every_group(with_durations(sample.stored, as_of), as_of)}
    ours = dict(our_curves(replace(sample.facts, as_of=day_number(as_of))))
    assert drawn.keys() == ours.keys()
    assert len(drawn) > 300
    return [(drawn[key], ours[key], key) for key in drawn]


def test_every_curve_and_its_interval_are_those_of_lifelines(both):
    for drawn, ours, key in both:
        length = len(drawn.open_share)
        for name in ("open_share", "low", "high"):
            found = getattr(ours.some.curves, name)[ours.place, :length]
            assert np.abs(found - getattr(drawn, name)).max() < CLOSE, (name, key)
        assert not ours.some.curves.at_risk[ours.place, length:].any(), key


def test_every_count_is_that_of_the_stored_requests(both):
    for drawn, ours, key in both:
        told = tuple(ours.line[name] for name in ("n", "closed", "still_open", "followed_days"))
        event, days = drawn.requests["event"], drawn.requests["days"]
        assert told == (len(event), event.sum(), (~event).sum(), days.max()), key
        assert ours.line["mean_closed_only"] == pytest.approx(days[event].mean(), abs=CLOSE, nan_ok=True), key


def test_every_quantile_that_is_no_tie_is_that_of_lifelines(both):
    compared = 0
    for drawn, ours, key in both:
        for name, share in QUANTILES.items():
            for column, curve in (("days", drawn.open_share), ("low", drawn.low), ("high", drawn.high)):
                if np.abs(curve - share).min() > CLOSE:
                    expected = qth_survival_time(share, pd.Series(curve))
                    assert ours.line[f"{name}_{column}"] == pytest.approx(
                        np.nan if np.isinf(expected) else expected, nan_ok=True
                    ), (name, column, key)
                    compared += 1
    assert compared > 8 * len(both)


def test_every_restricted_mean_is_that_of_lifelines(both):
    for drawn, ours, key in both:
        for days in (30, 90):
            followed = len(drawn.open_share) > days
            expected = restricted_mean_survival_time(drawn.fit, t=days) if followed else np.nan
            assert ours.line[f"mean_within_{days}"] == pytest.approx(expected, abs=CLOSE, nan_ok=True), (days, key)
