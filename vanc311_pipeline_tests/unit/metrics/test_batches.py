"""Claims about batch days: what of the days around makes one, of which groups, and what is found in worlds of known truth."""

import numpy as np
import pytest
from scipy.stats import poisson

from benchmarks import worlds
from vanc311_pipeline.metrics.batches import batch_closed, batch_days
from vanc311_pipeline.metrics.facts import Facts, Status, day_number, day_texts

MONDAY = day_number("2025-01-06")


@pytest.fixture(scope="module")
def found(grouped):
    """The batch days of one kind of group."""

    def run(made, *kind):
        return batch_days(grouped(made, *(kind or ("issue", "all"))))

    return run


def weekly(*times, first=MONDAY, **row):
    """So many requests closed a week, each week on the same weekday."""
    return [
        {"opened": "2024-01-01", "closed": day, "times": number, **row}
        for day, number in zip(day_texts(first + 7 * np.arange(len(times))), times, strict=True)
    ]


@pytest.mark.parametrize("usual", [1, 2, 20])
def test_a_batch_day_is_10_above_the_usual_and_rarer_than_one_in_a_million(facts, found, rows_of, usual):
    for times in range(usual + 7, usual + 31, 3):
        tail = poisson.sf(times - 1, usual)
        batch = [(times, usual, pytest.approx(tail), times / (40 * usual + times))]
        columns = ("closings", "usual_closings", "tail_probability", "share_of_closings")
        made = facts(*weekly(*[usual] * 20, times, *[usual] * 20))
        expected = batch if times - usual >= 10 and tail < 1e-6 else []
        assert rows_of(found(made), *columns) == expected, times


def test_a_day_is_compared_with_its_own_weekday(facts, found, rows_of):
    days = [weekly(*[40] * 20, first=MONDAY), weekly(*[2] * 10, 40, *[2] * 9, first=MONDAY - 1)]
    assert rows_of(found(facts(*days[0], *days[1])), "day") == [day_texts([MONDAY - 1 + 70])[0]]


@pytest.mark.parametrize(("weeks", "number"), [(12, 0), (13, 1)])
def test_ten_other_weeks_are_needed_beside_the_two_largest(facts, found, weeks, number):
    assert len(found(facts(*weekly(*[1] * (weeks - 1), 50)))) == number


def test_a_request_is_of_a_batch_day_by_its_type_its_department_or_the_city(facts, found):
    made = facts(
        *weekly(*[2] * 20, 50, *[2] * 20, issue="Noise"),
        *weekly(*[2] * 20, 3, *[2] * 20),
        {
            "opened": "2025-06-01",
            "closed": day_texts([MONDAY + 140])[0],
            "issue": "Noise",
        },  # closed before it was opened
        {"opened": "2025-05-26", "issue": "Noise"},
    )
    assert batch_closed(made, found(made)).sum() == 50
    assert batch_closed(made, found(made, "department", "all")).sum() == 53
    assert batch_closed(made, found(made, "citywide", "all")).sum() == 53
    assert not batch_closed(made, found(facts())).any()
    open_ones = facts(*weekly(*[2] * 20, 50, *[2] * 20, status=Status.OPEN))
    assert len(found(open_ones)) == 0


@pytest.fixture(scope="module")
def four_years():
    """Four years of closings in 30 types, with a season, weekdays, holidays and days that vary; `times` as many on some days."""

    def make(times=1.0) -> tuple[Facts, list[int]]:
        rng, days = np.random.default_rng(311), np.arange(MONDAY - 1460, MONDAY)
        of_weekday = np.array([0.17, 0.17, 0.07, 0.04, 0.19, 0.18, 0.18])  # from a Thursday on
        rate = 7 * of_weekday[days % 7] * (1 + 0.15 * np.sin(2 * np.pi * days / 365.25))
        planted = rng.choice(len(days), 12, replace=False)
        rate[rng.choice(np.setdiff1d(np.arange(len(days)), planted), 44, replace=False)] *= 0.05  # holidays
        rate[planted] *= times
        mean = np.geomspace(0.3, 60, 30)[:, None]
        number = rng.poisson(mean * rate * rng.gamma(1 / 0.1, 0.1, (30, len(days))))
        issue, closed = (
            np.repeat(each, number.ravel()) for each in (np.indices(number.shape)[0].ravel(), np.tile(days, 30))
        )
        made = worlds.requests(MONDAY, 1, np.zeros(len(closed)), closed, closed, issue)
        return made, sorted(day_texts(days[planted]).tolist())

    return make


def test_ordinary_days_are_no_batch_days(four_years, found):
    made, _ = four_years()
    assert sum(len(found(made, level, "all")) for level in ("citywide", "department", "issue")) == 0


def test_a_day_of_three_times_the_usual_is_found_for_the_city_and_one_of_ten_times_for_most_types(four_years, found):
    made, planted = four_years(3)
    assert found(made, "citywide", "all")["day"].tolist() == planted
    made, planted = four_years(10)
    assert set(found(made)["day"]) == set(planted)
    assert len(found(made)) >= 0.5 * 12 * 30
