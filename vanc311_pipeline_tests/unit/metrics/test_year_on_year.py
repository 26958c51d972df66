"""Claims about four weeks against a year before: when a direction is given, and how often it is wrong.

Which days are compared is computed again in `end_to_end/recompute.py`.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import worlds
from vanc311_pipeline.metrics.facts import day_number, day_texts
from vanc311_pipeline.metrics.year_on_year import YEAR_BLOCKS, _judged, year_on_year

LAST = day_number("2025-06-23")  # a week before AS_OF: a Monday
COUNTS = ["requests", "requests_year_before"]


@pytest.fixture(scope="module")
def compared(grouped):
    """What is said of openings: `compared(facts, "neighbourhood", "located")`."""

    def run(city, *kind):
        table = year_on_year(grouped(city, *kind))
        return table[table["measure"] == "opened"].reset_index(drop=True)

    return run


def spans(*counts):
    """Requests opened in spans of four weeks, the oldest first; the record begins with the first."""
    first = LAST + 1 - 28 * len(counts)
    return [
        {"opened": day_texts([first + 28 * place])[0], "times": times} for place, times in enumerate(counts) if times
    ]


def ending(now, before):
    """Two years of one request in all four weeks, but for the last and those a year before."""
    return spans(*[1] * 12, before, *[1] * 12, now)


@pytest.mark.parametrize(
    ("number", "now", "verdict"),
    [
        (100, 130, "about as many"),  # by chance alone: 2 √(1/130.5 + 1/100.5) = 0.266 > ln(130.5/100.5)
        (100, 131, "more"),
        (100, 74, "about as many"),
        (100, 73, "fewer"),
        (4000, 4199, "about as many"),
        (4000, 4200, "more"),
        (4000, 3801, "about as many"),
        (4000, 3800, "fewer"),
    ],
)
def test_a_direction_needs_two_deviations_and_5_per_cent(facts, compared, rows_of, number, now, verdict):
    city = facts(*ending(now, number))
    assert rows_of(compared(city), *COUNTS, "verdict", "change_on_year") == [
        (now, number, verdict, pytest.approx(now / number - 1))
    ]


def test_two_years_differ_by_what_they_did_differ_by_and_one_odd_time_is_no_matter(facts, compared, rows_of):
    """A third of these four weeks had a tenth more than a year before, and a third had as much less."""
    counts = [1000] * 13 + [1100, 1000, 909] * 4
    band = pytest.approx(np.expm1(2 * 1.4826 * (1 + 4 / 13) * np.log(1.1)), rel=1e-3)  # 0.447
    for now, verdict in ((1440, "about as many"), (1455, "more"), (9000, "more"), (690, "fewer")):
        assert rows_of(compared(facts(*spans(*counts, now))), "verdict", "noise_band") == [(verdict, band)]


def test_more_than_none_has_a_direction_but_no_share(facts, compared, rows_of):
    city = facts(*ending(100, 0))
    assert rows_of(compared(city), "verdict", "change_on_year", "state") == [("more", None, "ok")]


@pytest.mark.parametrize(
    ("counts", "state", "before"),
    [
        ([9] * 13 + [20] + [9] * 12 + [10], "ok", 20),
        ([9] * 13 + [20] + [9] * 12 + [9], "too_few", 20),
        ([9] * 13 + [0] + [9] * 12 + [0], "no_requests", 0),
        ([100] * 25, "too_short", 100),
        ([100] * 14, "too_short", 100),
        ([100] * 13, "too_short", None),
        ([100], "too_short", None),
    ],
)
def test_what_can_not_be_compared_has_a_state_instead(facts, compared, rows_of, counts, state, before):
    verdicts = compared(facts(*spans(*counts)))
    assert rows_of(verdicts, *COUNTS, "state", "blocks") == [(counts[-1], before, state, max(len(counts) - 13, 0))]
    assert (verdicts[["noise_band", "verdict"]].notna() == (state == "ok")).all(axis=None)


def test_a_record_of_some_days_is_counted_and_not_compared(facts, compared, rows_of):
    city = facts({"opened": "2025-06-20", "times": 40})
    assert rows_of(compared(city), *COUNTS, "blocks", "state") == [(40, None, 0, "too_short")]
    assert rows_of(compared(facts()), *COUNTS, "blocks", "state") == [(0, None, 0, "too_short")]


# -- known truth: what the rule says of worlds in which it is known what happens -------------------------------------------


def years(a_week, groups, blocks, spread, times=1.0):
    """So many requests a week in each of some areas, with a season, over some blocks and the year before; of late `times` as many."""
    as_of = LAST + 7
    first = LAST + 1 - 28 * (blocks + 13)
    return worlds.city(a_week, groups, 0.15, spread, inflow=times, weeks=4, first=first, as_of=as_of)


@pytest.mark.parametrize("spread", [0, 0.1, 0.2])
@pytest.mark.parametrize(("a_week", "groups", "blocks"), [(26, 200, 13), (26, 100, 40), (190, 100, 13), (190, 50, 40)])
def test_without_a_change_at_most_5_of_100_looks_give_a_direction(compared, a_week, groups, blocks, spread):
    city = years(a_week, groups, blocks + 20, spread)
    looks = [replace(city, as_of=city.as_of - 28 * back) for back in range(2, 21, 2)]
    verdicts = pd.concat([compared(look, "neighbourhood", "located") for look in looks])
    assert set(verdicts["state"]) == {"ok"}
    assert (verdicts["verdict"] != "about as many").mean() <= 0.05


@pytest.mark.parametrize(
    ("a_week", "groups", "spread", "printed"), [(190, 60, 0, 0.87), (26, 300, 0, 0.16), (190, 60, 0.1, 0.45), (26, 300, 0.1, 0.15)]
)  # fmt: skip
def test_a_change_of_20_per_cent_is_seen_as_often_as_the_methods_say(compared, a_week, groups, spread, printed):
    verdicts = compared(years(a_week, groups, 40, spread, times=1.2), "neighbourhood", "located")
    assert (verdicts["verdict"] == "more").mean() == pytest.approx(printed, abs=0.1 if a_week == 190 else 0.05)


@pytest.mark.parametrize("blocks", [14, 40, 212, 5_000])
def test_within_the_band_q_stays_above_what_a_normal_distribution_has_beyond_it(blocks):
    """The audit relies on it, for records of any length: the law of the table is not the 0.05 of a short one."""
    counts = np.tile([1_000, 1_060], (1, (blocks + YEAR_BLOCKS) // 2 + 1))[:, : blocks + YEAR_BLOCKS]
    for more in range(0, 200, 2):
        counts[0, -1] = counts[0, -1 - YEAR_BLOCKS] + more
        judged = _judged(counts[:, -1], counts[:, -1 - YEAR_BLOCKS], counts)
        [band], [q] = judged["noise_band"], judged["q_value"]
        inside = counts[0, -1] + 0.5 < (1 + band) * (counts[0, -1 - YEAR_BLOCKS] + 0.5)
        assert q >= 0.0455 if inside else q < 0.2
