"""Claims about when, how and how many a head is reported. The counts are computed again in `end_to_end/recompute.py`."""

import numpy as np
import pytest

from vanc311_pipeline.metrics.reporting import CENSUS_YEAR, area_rates, census
from vanc311_pipeline_tests.unit.metrics.conftest import AS_OF


def test_the_census_knows_every_local_area(areas):
    assert CENSUS_YEAR == 2016
    assert census().keys() - {"City of Vancouver (CSD)"} == set(areas)
    assert census()["Downtown"] == (62030, 35045)


def test_hours_are_vancouvers_and_only_the_last_12_months_have_one(sample):
    recent = sample.facts.opened > sample.facts.as_of - 365
    stored = sample.stored.loc[recent, "opened_at"]
    local = stored.astype("datetime64[ns, UTC]").dt.tz_convert("America/Vancouver").dt.hour
    assert sample.reports.hour[recent].tolist() == local.tolist()
    assert set(sample.reports.hour[~recent]) == set(sample.reports.channel[~recent]) == {-1}


@pytest.mark.parametrize("storm", [False, True])
def test_a_rate_that_rests_on_one_storm_has_wider_limits(facts, cohort_of, storm):
    quiet = [{"ago": ago, "times": 4, "took": 1} for ago in range(365)]
    loud = [{"ago": 100, "times": 1460, "took": 1}]
    city = facts({"ago": 364}, *(loud if storm else quiet), {"ago": 0, "area": "Sunset", "times": 29}, as_of=AS_OF)
    [row, few] = area_rates(cohort_of(city, "neighbourhood", "located", "last_12_months")).to_dict("records")
    assert row["per_1000_residents"] == pytest.approx(1461 / census()["Marpole"][0] * 1000)
    width = (row["per_1000_residents_high"] - row["per_1000_residents_low"]) / row["per_1000_residents"]
    alone = 2 * 1.96 / np.sqrt(1461)
    assert width > 30 * alone if storm else width == pytest.approx(alone, rel=0.02)
    assert (few["state"], few["requests"]) == ("too_few", 29)
    assert np.isnan([few["per_1000_residents"], few["per_1000_dwellings"], few["dispersion"]]).all()
