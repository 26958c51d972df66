"""Claims about the comparison of areas: who is compared, the edges that no real city meets, and what is called different.

What a city of any kind meets is computed again in `end_to_end/recompute.py`.
"""

from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import worlds
from vanc311_pipeline.metrics.comparison import T_95, area_comparison, area_issue_mix, between_areas, compared_requests

AREAS = ("Kitsilano", "Marpole", "Sunset")
LATE, CLOSINGS = "open_after_30_days", "closings"

in_time = {"ago": 100, "took": 30}
too_late = {"ago": 100, "took": 31}


@pytest.fixture(scope="module")
def compared(rows_of):
    """Some columns of one measure, by area."""

    def run(city, measure, *columns):
        table = area_comparison(city)
        rows = rows_of(table[table["measure"] == measure], "local_area", *columns)
        return {area: values[0] if len(values) == 1 else tuple(values) for area, *values in rows}

    return run


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        ({"ago": 29}, False), ({"ago": 30}, True), ({"ago": 394}, True), ({"ago": 395}, False),
        ({"ago": 100, "area": None}, False), ({"ago": 100, "took": -1}, False),
    ],
)  # fmt: skip
def test_the_window_is_the_last_365_days_that_are_30_days_old_located_and_usable(facts, row, inside):
    assert len(compared_requests(facts(row)).rows) == inside


def test_a_type_has_its_own_pool_from_30_on_and_rarer_ones_share_their_departments_or_the_rest(facts):
    def requests(issue, department, times):
        return {"ago": 100, "issue": issue, "department": department, "times": times}

    city = facts(
        requests("A", "ENG", 10),
        requests("A", "DBL", 20),  # 30 in all departments
        requests("B", "ENG", 29),
        requests("C", "ENG", 1),  # with B 30 of the department
        requests("C", "DBL", 28),
        requests("D", "CMO", 3),
        {"ago": 10, "issue": "D", "department": "CMO", "times": 40},  # not in the window
    )
    seen = compared_requests(city)
    pools: dict[int, set] = {}
    for row, pool in zip(seen.rows, seen.pool, strict=True):
        pools.setdefault(int(pool), set()).add((city.issues[city.issue[row]], city.departments[city.department[row]]))
    assert sorted(map(sorted, pools.values())) == [
        [("A", "DBL"), ("A", "ENG")],
        [("B", "ENG"), ("C", "ENG")],
        [("C", "DBL"), ("D", "CMO")],
    ]
    assert {city.issues[city.issue[row]] for row in seen.rows[seen.rare]} == {"B", "C", "D"}


def month_by_month(counts):
    return [
        row | {"area": area, "ago": 380 - 30 * month, "times": times}
        for area, months in counts.items()
        for month, (late, n) in enumerate(months)
        for row, times in ((too_late, late), (in_time, n - late))
    ]


quick, waiting = {"ago": 40, "took": 1}, {"ago": 40}
in_sunset, of_noise = {"area": "Sunset"}, {"issue": "Noise"}
ALONE = [
    quick | {"times": 20}, waiting | {"times": 20},
    quick | in_sunset | of_noise | {"times": 45}, waiting | in_sunset | of_noise | {"times": 15},
]  # fmt: skip
"""Two areas of which each has a type of its own."""
BY_HAND = {
    "an area that is alone in its pool is held against all that the others have": (
        ALONE, LATE, ("ratio", "ratio_without_own"), {"Marpole": (1, 20 / (40 * 15 / 60)), "Sunset": (1, 15 / (60 * 20 / 40))},
    ),
    "and their closings against all the others' hazards": (
        ALONE, CLOSINGS, ("ratio", "ratio_without_own"), {"Marpole": (1, 20 / (40 * 45 / 60)), "Sunset": (1, 45 / (60 * 20 / 40))},
    ),
    "where nothing can vary areas are as the city": (
        month_by_month({"Marpole": [(30, 30)] * 12, "Sunset": [(30, 30)] * 12}), LATE,
        ("ratio", "z", "q_value", "tau", "shrunken_ratio", "verdict", "among_areas"),
        dict.fromkeys(("Marpole", "Sunset"), (1, None, 1, 0, 1, "about the same", "within")),
    ),
    "of a single area nothing is said about the usual spread": (
        month_by_month({"Marpole": [(6, 20)] * 12}), LATE, ("state", "tau", "shrunken_ratio", "among_areas"),
        {"Marpole": ("ok", None, None, None), "Sunset": ("no_requests", None, None, None)},
    ),
    "without a request in the window no area has a ratio": (
        [{"ago": 5}], CLOSINGS, ("n", "expected", "ratio", "state"),
        dict.fromkeys(("Marpole", "Sunset"), (0, None, None, "no_requests")),
    ),
}  # fmt: skip
"""Requests, one measure of them, some columns, and what they are for each area."""


@pytest.mark.parametrize(("rows", "measure", "columns", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_a_city_worked_out_by_hand(facts, compared, rows, measure, columns, expected):
    answers = compared(facts(*rows), measure, *columns)
    assert {area: answers[area] for area in expected} == {
        area: pytest.approx(values, abs=1e-12) for area, values in expected.items()
    }


def test_of_no_request_nothing_is_compared(facts):
    assert len(area_comparison(facts())) == 0


def test_an_area_where_nothing_is_late_has_a_limit_and_a_verdict(facts, compared):
    city = facts(*month_by_month({"Marpole": [(0, 20)] * 12, "Sunset": [(12, 20)] * 12}))
    ratio, low, high, verdict = compared(city, LATE, "ratio", "ratio_low", "ratio_high", "verdict")["Marpole"]
    assert (ratio, low, verdict) == (0, 0, "clearly fewer")
    assert 0 < high < 0.1


@given(z=st.lists(st.floats(-1, 1), min_size=2, max_size=22), se=st.floats(0.01, 0.5))
def test_with_equal_errors_tau_is_what_the_areas_variance_has_beyond_them(z, se):
    beyond = np.var(z, ddof=1) - se**2
    assert between_areas(np.array(z), np.full(len(z), se)) ** 2 == pytest.approx(max(0, beyond), abs=1e-9)


@pytest.mark.parametrize(("noise", "state"), [(10, "ok"), (9, "too_few")])
def test_a_share_at_the_citys_mix_needs_ten_requests_of_types_that_make_up_four_fifths_of_it(
    facts, compared, noise, state
):
    city = facts(
        *({"ago": 100, "took": 40, "times": 60} | {"area": area} for area in ("Marpole", "Sunset")),
        {"ago": 100, "took": 3, "issue": "Noise", "times": noise},
        {"ago": 100, "took": 3, "issue": "Noise", "area": "Sunset", "times": 40},
    )
    assert compared(city, LATE, "standardised_share_state") == {"Marpole": state, "Sunset": "ok"}


small_cities = st.lists(
    st.fixed_dictionaries(
        {
            "area": st.sampled_from([*AREAS, None]),
            "issue": st.sampled_from("ABCD"),
            "department": st.sampled_from(["ENG", "DBL"]),
            "ago": st.integers(25, 60) | st.integers(390, 400),
            "took": st.none() | st.integers(-1, 60),
            "times": st.integers(1, 40),
        }
    ),
    min_size=1,
    max_size=15,
)


@given(rows=small_cities)
def test_a_ratio_is_withheld_below_30_requests_and_below_5_expected_and_only_then(facts, rows_of, rows):
    table = area_comparison(facts(*rows, areas=AREAS))
    for n, expected, *values, state in rows_of(table, "n", "expected", "ratio", "ratio_low", "verdict", "state"):
        enough = n >= 30 and expected >= 5
        assert [value is not None for value in values] == [enough] * 3
        assert (state == "ok") == enough


TWELVE = tuple(f"Area {number:02d}" for number in range(12))


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        (60, "clearly more"),
        (48, "somewhat more"),  # 1.18, but its interval reaches below 1.10
        (44, "unclear"),  # 1.09
        (40, "about the same"),
        (35, "unclear"),  # 0.88
        (34, "somewhat fewer"),
        (32, "clearly fewer"),
    ],
)
def test_the_verdict_says_how_surely_and_whether_by_much_an_area_differs_from_the_city(facts, compared, late, verdict):
    others = {area: [(40, 60)] * 12 for area in TWELVE[1:]}
    city = facts(*month_by_month({TWELVE[0]: [(late, 60)] * 12, **others}), areas=TWELVE)
    assert compared(city, LATE, "verdict") == {TWELVE[0]: verdict} | dict.fromkeys(TWELVE[1:], "about the same")


def test_an_area_that_differs_from_the_city_need_not_be_unusual_among_areas(facts, compared):
    lates = (20, 24, 28, 29, 31, 28, 32, 35, 33, 30, 36, 58)
    city = facts(
        *month_by_month({area: [(late, 60)] * 12 for area, late in zip(TWELVE, lates, strict=True)}), areas=TWELVE
    )
    answers = compared(city, LATE, "verdict", "among_areas")
    assert answers[TWELVE[0]] == ("clearly fewer", "within")
    assert answers[TWELVE[-1]] == ("clearly more", "outside")


# -- known truth: what is said of worlds in which it is known how areas differ ----------------------------------------------


def simulated(seed, differ=0.0, one=None, shocks=0.0, n=60_000) -> worlds.Compared:
    """A year of a city whose areas differ by a standard deviation of ln(rate), the last one by so many times if that is given."""
    effects = np.random.default_rng(seed).normal(0, differ, worlds.AREAS)
    if one is not None:
        effects[-1] = log(one)
    return worlds.areas(n, shocks, effects, seed)


def measured(city, measure=LATE) -> pd.DataFrame:
    table = area_comparison(city)
    return table[table["measure"] == measure].reset_index(drop=True)


@pytest.mark.parametrize("shocks", [0, pytest.param(0.6, marks=pytest.mark.rehearsal)])
def test_where_areas_do_not_differ_hardly_any_file_names_one_and_the_intervals_hold(shocks):
    tables = [area_comparison(simulated(seed, shocks=shocks).facts) for seed in range(30)]
    for measure in (LATE, CLOSINGS):
        of_one = [table[table["measure"] == measure] for table in tables]
        assert sum(table["verdict"].str.contains("more|fewer").any() for table in of_one) <= 2  # of 30
        covered = [((table["ratio_low"] <= 1) & (table["ratio_high"] >= 1)).mean() for table in of_one]
        assert 0.92 <= np.mean(covered) <= 0.985
    if not shocks:
        sds = [table.groupby("measure")["z"].std() for table in tables]
        assert np.mean(sds, axis=0) == pytest.approx([1, 1], abs=0.1)  # closings were at 0.83


def test_an_area_with_a_fifth_more_is_found_though_all_areas_differ():
    """The limits that were widened by the areas' own differences found 2 to 6 %."""
    answers = [measured(simulated(seed, differ=0.15, one=1.2, n=200_000).facts).iloc[-1] for seed in range(8)]
    assert np.mean(["more" in answer["verdict"] for answer in answers]) > 0.5
    assert np.mean([answer["among_areas"] == "within" for answer in answers]) > 0.9


def test_the_spread_of_the_areas_is_found_and_the_shrunken_ratio_is_nearer_to_the_truth():
    taus, errors = [], []
    for seed in range(12):
        world = simulated(seed, differ=0.08)
        table = measured(world.facts)
        taus.append(table["tau"][0])
        errors.append([np.mean(np.log(table[name] / world.ratio) ** 2) for name in ("ratio", "shrunken_ratio")])
    plain, shrunken = np.mean(errors, axis=0)
    assert np.mean(taus) == pytest.approx(0.08, abs=0.02)
    assert shrunken < 0.9 * plain


def mixed(*counts, areas=("Marpole", "Sunset")):
    """Requests of Graffiti and of Noise by area."""
    return [
        {"ago": 10, "area": area, "issue": issue, "times": times}
        for area, pair in zip(areas, counts, strict=True)
        for issue, times in zip(("Graffiti", "Noise"), pair, strict=True)
    ]


def test_the_quantile_of_the_jackknife_is_students_with_eleven_degrees_of_freedom():
    assert stats.t.cdf(T_95, 11) == pytest.approx(0.975, abs=1e-15)


@pytest.mark.parametrize(
    ("here", "finding"),
    [(150, "more"), (149, "no clear difference"), (68, "no clear difference"), (67, "fewer")],
)
def test_only_types_that_are_reported_half_as_often_again_or_a_third_less_are_listed(facts, here, finding):
    noise = [here, (300 - here) // 2, (301 - here) // 2]  # 100 are to be expected in each
    table = area_issue_mix(facts(*mixed(*((1000 - each, each) for each in noise), areas=AREAS), areas=AREAS))
    cell = table[(table["local_area"] == AREAS[0]) & (table["issue_type"] == "Noise")]
    assert cell["q_value"].item() < 0.01
    assert cell["finding"].item() == finding


def test_where_every_area_has_the_citys_mix_hardly_any_file_lists_a_type():
    rng = np.random.default_rng(1)
    files = 0
    for seed in range(40):
        city = simulated(seed).facts
        city.issue[:] = rng.permutation(city.issue)
        files += area_issue_mix(city)["finding"].isin(["more", "fewer"]).any()
    assert files <= 2


def test_the_mix_has_all_areas_by_all_types_and_withholds_what_is_too_few(facts, rows_of):
    city = facts(*mixed((27, 3), (60, 5), (20, 9), areas=AREAS), areas=(*AREAS, "West End"))
    assert rows_of(area_issue_mix(city), "local_area", "issue_type", "observed", "state") == [
        ("Kitsilano", "Graffiti", 27, "ok"), ("Kitsilano", "Noise", 3, "too_few"),  # of 30 requests; 4.1 expected
        ("Marpole", "Graffiti", 60, "ok"), ("Marpole", "Noise", 5, "ok"),
        ("Sunset", "Graffiti", 20, "too_few"), ("Sunset", "Noise", 9, "too_few"),  # of 29
        ("West End", "Graffiti", 0, "too_few"), ("West End", "Noise", 0, "too_few"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        ({"ago": 0}, True), ({"ago": -1}, False), ({"ago": 364}, True), ({"ago": 365}, False),
        ({"ago": 9, "took": -1}, True), ({"ago": 9, "area": None}, False),
    ],
)  # fmt: skip
def test_the_mix_is_of_all_located_requests_of_the_last_365_days(facts, row, inside):
    assert len(area_issue_mix(facts(row))) == (2 if inside else 0)
