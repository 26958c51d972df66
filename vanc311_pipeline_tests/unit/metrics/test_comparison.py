"""Claims about the comparison of areas: sums that must meet, cities worked out by hand, and what is called different."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats.mstats import winsorize

from vanc311_pipeline.metrics.comparison import area_comparison, area_issue_mix, compared_requests, over_dispersion

AREAS = ("Kitsilano", "Marpole", "Sunset")
LATE, CLOSINGS = "open_after_30_days", "closings"

in_time = {"ago": 100, "took": 30}
too_late = {"ago": 100, "took": 31}
TWO_AREAS = [
    too_late | {"times": 20},
    in_time | {"times": 20},
    too_late | {"area": "Sunset", "times": 10},
    in_time | {"area": "Sunset", "times": 50},
]


@pytest.fixture(scope="module")
def compared(rows_of):
    """Some columns of one measure, by area."""

    def run(made, measure, *columns):
        table = area_comparison(made)
        rows = rows_of(table[table["measure"] == measure], "local_area", *columns)
        return {area: values[0] if len(values) == 1 else tuple(values) for area, *values in rows}

    return run


def close(*numbers):
    return pytest.approx(numbers, abs=1e-12)


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        ({"ago": 29}, False),
        ({"ago": 30}, True),
        ({"ago": 394}, True),
        ({"ago": 395}, False),
        ({"ago": 100, "area": None}, False),
        ({"ago": 100, "took": -1}, False),
    ],
)
def test_the_window_is_the_last_365_days_that_are_30_days_old_located_and_usable(facts, row, inside):
    assert len(compared_requests(facts(row)).rows) == inside


def test_a_type_has_its_own_pool_from_30_on_and_rarer_ones_share_their_departments_or_the_rest(facts):
    def requests(issue, department, times):
        return {"ago": 100, "issue": issue, "department": department, "times": times}

    made = facts(
        requests("A", "ENG", 10),
        requests("A", "DBL", 20),  # 30 in all departments
        requests("B", "ENG", 29),
        requests("C", "ENG", 1),  # with B 30 of the department
        requests("C", "DBL", 28),
        requests("D", "CMO", 3),
        {"ago": 10, "issue": "D", "department": "CMO", "times": 40},  # not in the window
    )
    seen = compared_requests(made)
    pools: dict[int, set] = {}
    for row, pool in zip(seen.rows, seen.pool, strict=True):
        pools.setdefault(int(pool), set()).add((made.issues[made.issue[row]], made.departments[made.department[row]]))
    assert sorted(map(sorted, pools.values())) == [
        [("A", "DBL"), ("A", "ENG")],
        [("B", "ENG"), ("C", "ENG")],
        [("C", "DBL"), ("D", "CMO")],
    ]
    assert {made.issues[made.issue[row]] for row in seen.rows[seen.rare]} == {"B", "C", "D"}


def test_an_area_is_held_against_the_citys_rates_for_its_own_types(facts, compared):
    made = facts(
        *TWO_AREAS,
        # Of another type, which is late more often everywhere.
        too_late | {"area": "Sunset", "issue": "Noise", "times": 40},
    )
    columns = ["n", "observed", "expected", "ratio", "adjusted_share", "city_share", "pooled_share"]
    assert compared(made, LATE, *columns) == {
        "Marpole": close(40, 20, 12, 20 / 12, 20 / 12 * 0.5, 0.5, 0),
        "Sunset": close(100, 50, 18 + 40, 50 / 58, 50 / 58 * 0.5, 0.5, 0),
    }


def test_interval_funnel_and_q_are_those_of_the_formulas(facts, compared):
    made = facts(*TWO_AREAS)
    z = 8 / sqrt(40 * 0.3 * 0.7), -8 / sqrt(60 * 0.3 * 0.7)
    phi = (z[0] ** 2 + z[1] ** 2) / 2
    p = 2 * stats.norm.sf(np.abs(z) / sqrt(phi))
    spread = sqrt(phi * 40 * 0.3 * 0.7) / 12
    limits = {name: stats.norm.ppf(one_sided) * spread for name, one_sided in ((95, 0.975), (998, 0.999))}
    low, high = (stats.chi2.ppf(side, 40 + more) / 2 / 12 for side, more in ((0.025, 0), (0.975, 2)))
    columns = ["z", "dispersion", "ratio_low", "ratio_high", "q_value", "funnel_95_low", "funnel_95_high", "funnel_998_low",
               "funnel_998_high", "finding"]  # fmt: skip
    *numbers, found = compared(made, LATE, *columns)["Marpole"]
    assert numbers == pytest.approx(
        [z[0], phi, low, high, min(2 * p[0], p[1]), max(0, 1 - limits[95]), 1 + limits[95], max(0, 1 - limits[998]),
         1 + limits[998]], abs=1e-12
    )  # fmt: skip
    assert found == "not distinguishable"


def test_closings_are_expected_by_each_types_hazard_over_all_follow_up(facts, compared):
    made = facts(
        {"ago": 40, "took": 1, "times": 20},
        {"ago": 40, "times": 20},
        {"ago": 40, "took": 1, "area": "Sunset", "times": 20},
        {"ago": 40, "took": 35, "area": "Sunset", "times": 20},
        {"ago": 40, "took": 41, "area": "Sunset", "times": 20},  # after as_of
    )
    first, second = 40 / 100, 20 / 60
    expected = 20 * first + 20 * (first + second), 20 * first + 20 * (first + second) + 20 * (first + second)
    assert compared(made, CLOSINGS, "n", "observed", "expected", "ratio") == {
        "Marpole": close(40, 20, expected[0], 20 / expected[0]),
        "Sunset": close(60, 40, expected[1], 40 / expected[1]),
    }
    assert compared(made, CLOSINGS, "city_share", "adjusted_share")["Marpole"] == (None, None)


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
def test_over_all_areas_as_many_are_observed_as_expected(facts, rows):
    table = area_comparison(facts(*rows, areas=AREAS))
    for measure in (LATE, CLOSINGS):
        rows_of_one = table[table["measure"] == measure]
        assert rows_of_one["observed"].sum() == pytest.approx(rows_of_one["expected"].sum(), rel=1e-9, abs=1e-9)


@given(rows=small_cities)
def test_a_ratio_is_withheld_below_30_requests_and_below_5_expected_and_only_then(facts, rows_of, rows):
    table = area_comparison(facts(*rows, areas=AREAS))
    for n, expected, *values, state in rows_of(table, "n", "expected", "ratio", "ratio_low", "finding", "state"):
        enough = n >= 30 and expected >= 5
        assert [value is not None for value in values] == [enough] * 3
        assert (state == "ok") == enough


def test_what_is_withheld_says_why(facts, compared):
    areas = ("Few", "Kits", "Nobody", "Rarely", "Unusable")
    made = facts(
        too_late | {"area": "Few", "times": 29},
        too_late | {"area": "Kits", "times": 11},
        in_time | {"area": "Kits", "times": 330},
        in_time | {"area": "Rarely", "times": 30},
        {"ago": 100, "took": -1, "area": "Unusable", "times": 50},
        areas=areas,
    )
    columns = ["n", "observed", "ratio_low", "q_value", "funnel_95_low", "finding", "state"]
    found = compared(made, LATE, *columns)
    assert {area: found[area] for area in areas if area != "Kits"} == {
        "Few": (29, 29, None, None, None, None, "too_few"),
        "Nobody": (0, 0, None, None, None, None, "no_requests"),
        "Rarely": (30, 0, None, None, None, None, "too_few"),  # 30 · 40 / 400 are 3
        "Unusable": (0, 0, None, None, None, None, "no_usable_timing"),
    }
    assert found["Kits"][-1] == "ok"
    assert compared(made, LATE, "expected") == {
        "Few": pytest.approx(2.9),
        "Kits": pytest.approx(34.1),
        "Nobody": None,
        "Rarely": pytest.approx(3),
        "Unusable": None,
    }


TWELVE = tuple(f"Area {number:02d}" for number in range(12))


@pytest.mark.parametrize(
    ("late", "finding"),
    [
        (60, "more"),
        (45, "more"),
        (44, "not distinguishable"),
        (30, "not distinguishable"),
        (33, "not distinguishable"),
        (5, "fewer"),
    ],
)
def test_an_area_is_called_different_only_if_it_is_beyond_chance(facts, compared, late, finding):
    others = [
        row | {"area": area, "times": times} for area in TWELVE[1:] for row, times in ((too_late, 30), (in_time, 70))
    ]
    odd = [too_late | {"area": TWELVE[0], "times": late}, in_time | {"area": TWELVE[0], "times": 100 - late}]
    made = facts(*odd, *others, areas=TWELVE)
    assert compared(made, LATE, "finding") == {TWELVE[0]: finding} | dict.fromkeys(TWELVE[1:], "not distinguishable")


def test_where_nothing_can_vary_nothing_is_distinguishable(facts, compared):
    made = facts(too_late | {"times": 30}, too_late | {"area": "Sunset", "times": 30})
    assert compared(made, LATE, "ratio", "z", "q_value", "dispersion", "finding", "state") == dict.fromkeys(
        ("Marpole", "Sunset"), (1, None, None, None, "not distinguishable", "ok")
    )


@given(z=st.lists(st.floats(-50, 50), min_size=1, max_size=45).map(np.array))
def test_over_dispersion_is_that_of_scipys_winsorised_values(z):
    expected = max(1, float(np.mean(np.asarray(winsorize(z, (0.1, 0.1))) ** 2)))
    assert over_dispersion(z) == pytest.approx(expected, rel=1e-12)


def test_without_its_own_requests_an_area_is_held_against_the_rates_of_the_others(facts, compared):
    made = facts(*TWO_AREAS)
    assert compared(made, LATE, "ratio_without_own") == {
        "Marpole": pytest.approx(20 / (40 * 10 / 60)),
        "Sunset": pytest.approx(10 / (60 * 20 / 40)),
    }


def test_an_area_that_is_alone_in_its_pool_is_held_against_all_that_the_others_have(facts, compared):
    made = facts(
        {"ago": 40, "took": 1, "times": 20},
        {"ago": 40, "times": 20},
        {"ago": 40, "took": 1, "area": "Sunset", "issue": "Noise", "times": 45},
        {"ago": 40, "area": "Sunset", "issue": "Noise", "times": 15},
    )
    assert compared(made, LATE, "ratio", "ratio_without_own") == {
        "Marpole": (1, pytest.approx(20 / (40 * 15 / 60))),
        "Sunset": (1, pytest.approx(15 / (60 * 20 / 40))),
    }
    assert compared(made, CLOSINGS, "ratio", "ratio_without_own") == {
        "Marpole": (1, pytest.approx(20 / (40 * 45 / 60))),
        "Sunset": (1, pytest.approx(45 / (60 * 20 / 40))),
    }


def test_days_on_which_none_of_the_others_is_left_add_nothing(facts, compared):
    made = facts(
        {"ago": 200, "took": 1, "times": 20},
        {"ago": 200, "took": 150, "times": 20},
        {"ago": 40, "took": 1, "area": "Sunset", "times": 30},
        {"ago": 40, "area": "Sunset", "times": 30},
    )
    assert compared(made, CLOSINGS, "ratio_without_own") == {
        "Marpole": pytest.approx(40 / (40 * 30 / 60)),
        "Sunset": pytest.approx(30 / (60 * 20 / 40)),
    }


def test_the_share_of_pooled_requests_stands_beside(facts, compared):
    made = facts(too_late | {"times": 30}, too_late | {"issue": "Noise", "times": 10}, too_late | {"area": "Sunset"})
    assert compared(made, LATE, "pooled_share") == {"Marpole": 0.25, "Sunset": 0}


def test_without_a_request_in_the_window_no_area_has_a_ratio(facts, compared):
    assert compared(facts({"ago": 5}), CLOSINGS, "n", "expected", "ratio", "state") == dict.fromkeys(
        ("Marpole", "Sunset"), (0, None, None, "no_requests")
    )
    assert len(area_comparison(facts())) == 0


def mixed(*counts, areas=("Marpole", "Sunset")):
    """Requests of Graffiti and of Noise by area."""
    return [
        {"ago": 10, "area": area, "issue": issue, "times": times}
        for area, pair in zip(areas, counts, strict=True)
        for issue, times in zip(("Graffiti", "Noise"), pair, strict=True)
    ]


def test_an_areas_mix_is_held_against_the_citys(facts, rows_of):
    table = area_issue_mix(facts(*mixed((30, 10), (30, 50))))
    assert rows_of(table, "local_area", "issue_type", "observed", "n", "expected", "ratio", "finding", "state") == [
        ("Marpole", "Graffiti", 30, 40, 20, 1.5, "more", "ok"),
        ("Marpole", "Noise", 10, 40, 20, 0.5, "fewer", "ok"),
        ("Sunset", "Graffiti", 30, 80, 40, 0.75, "fewer", "ok"),
        ("Sunset", "Noise", 50, 80, 40, 1.25, "more", "ok"),
    ]
    low, high = (stats.chi2.ppf(side, 60 + more) / 2 / 20 for side, more in ((0.025, 0), (0.975, 2)))
    assert rows_of(table, "ratio_low", "ratio_high")[0] == close(low, high)


@given(counts=st.tuples(*[st.tuples(st.integers(15, 60), st.integers(15, 60))] * 2))
def test_in_two_by_two_the_q_value_is_the_p_value_of_the_chi_squared_test(facts, counts):
    table = area_issue_mix(facts(*mixed(*counts)))
    expected = stats.chi2_contingency(counts, correction=False)
    assert table["expected"].tolist() == pytest.approx(expected.expected_freq.ravel())
    assert table["q_value"].tolist() == pytest.approx([expected.pvalue] * 4, abs=1e-12)
    assert (set(table["finding"]) == {"not distinguishable"}) == (expected.pvalue > 0.05)


@given(rows=small_cities)
def test_a_mix_adds_up_to_what_is_observed_by_area_and_by_type(facts, rows):
    table = area_issue_mix(facts(*rows, areas=AREAS))
    if len(table):
        for name in ("local_area", "issue_type"):
            sums = table.groupby(name)[["observed", "expected"]].sum()
            assert sums["observed"].tolist() == pytest.approx(sums["expected"].tolist(), rel=1e-9, abs=1e-9)


def test_the_mix_has_all_areas_by_all_types_and_withholds_what_is_too_few(facts, rows_of):
    made = facts(*mixed((27, 3), (60, 5), (20, 9), areas=AREAS), areas=(*AREAS, "West End"))
    columns = ["local_area", "issue_type", "observed", "ratio", "q_value", "finding", "state"]
    p = [
        2 * stats.norm.sf(abs(observed - expected) / sqrt(expected * (1 - n / 124) * (1 - 107 / 124)))
        for observed, n, expected in ((27, 30, 30 * 107 / 124), (60, 65, 65 * 107 / 124))
    ]
    same = "not distinguishable"
    assert rows_of(area_issue_mix(made), *columns) == [
        ("Kitsilano", "Graffiti", 27, pytest.approx(27 * 124 / 30 / 107), pytest.approx(p[0]), same, "ok"),
        ("Kitsilano", "Noise", 3, None, None, None, "too_few"),  # 4.1 expected
        ("Marpole", "Graffiti", 60, pytest.approx(60 * 124 / 65 / 107), pytest.approx(p[1] * 3 / 2), same, "ok"),
        ("Marpole", "Noise", 5, pytest.approx(5 * 124 / 65 / 17), pytest.approx(p[1] * 3 / 2), same, "ok"),
        ("Sunset", "Graffiti", 20, None, None, None, "too_few"),  # 29 requests
        ("Sunset", "Noise", 9, None, None, None, "too_few"),
        ("West End", "Graffiti", 0, None, None, None, "too_few"),
        ("West End", "Noise", 0, None, None, None, "too_few"),
    ]


@pytest.mark.parametrize(
    ("row", "inside"),
    [
        ({"ago": 0}, True),
        ({"ago": -1}, False),
        ({"ago": 364}, True),
        ({"ago": 365}, False),
        ({"ago": 9, "took": -1}, True),
        ({"ago": 9, "area": None}, False),
    ],
)
def test_the_mix_is_of_all_located_requests_of_the_last_365_days(facts, row, inside):
    assert len(area_issue_mix(facts(row))) == (2 if inside else 0)
