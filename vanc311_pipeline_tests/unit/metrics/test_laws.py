"""Claims about the laws: they hold for whatever is loaded, and one wrong number in any table breaks one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vanc311_pipeline.metrics.laws import broken_laws
from vanc311_pipeline.schema import COUNTS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
LEVELS = ["citywide", "neighbourhood", "issue", "hyper_local", "unlocated"]

a_request = st.fixed_dictionaries(
    {
        "service_request_type": st.sampled_from(["Graffiti", "Noise", "Election"]),
        "local_area": st.sampled_from([None, "Marpole", "Sunset", "Atlantis"]),
        "status": st.sampled_from([None, "Open", "Close", "Closed"]),
        OPENED: st.sampled_from(["2025-08-04T15:00:00+00:00", "2025-08-05T03:00:00+00:00"]),
        CLOSED: st.sampled_from([None, "2025-08-03", "2025-08-04", "2025-08-20"]),
        MODIFIED: st.sampled_from(
            [None, "2025-08-04T14:00:00+00:00", "2025-08-04T15:00:00+00:00", "2025-08-20T01:02:03+00:00"]
        ),
    }
)


@settings(max_examples=settings().max_examples // 2)
@given(rows=st.lists(a_request, max_size=30))
def test_the_laws_hold_for_any_requests(headline, rows):
    tables = {name: frame for name, frame in headline(*rows).items() if name != "long"}
    assert broken_laws(tables) == []
    city = tables["citywide"].set_index("scope")
    assert city.loc["all", "volume"] == len(rows)
    assert city.loc["located", "volume"] == sum(row["local_area"] in ("Marpole", "Sunset") for row in rows)


@pytest.fixture(scope="module")
def tables(headline):
    """Tables of a small city with two areas, two issues and some unlocated requests."""
    rows = [
        {"service_request_type": kind, "local_area": area, "status": status}
        for kind in ("Graffiti", "Noise")
        for area in ("Marpole", "Sunset", None)
        for status in ("Open", "Close", "Closed")
    ]
    made = headline(*rows)
    return {level: made[level] for level in LEVELS}


def planted(tables, level, row, column, by=1):
    """The same tables, with one number wrong."""
    wrong = tables[level].copy()
    wrong.loc[row, column] += by
    return {**tables, level: wrong}


def test_the_city_obeys_the_laws_before_anything_is_planted(tables):
    assert broken_laws(tables) == []


@pytest.mark.parametrize("column", COUNTS)
@pytest.mark.parametrize("level", LEVELS)
def test_one_wrong_number_anywhere_breaks_a_law(tables, level, column):
    for row in tables[level].index:
        for by in (1, -1):
            assert broken_laws(planted(tables, level, row, column, by)), (level, row, column)


@pytest.mark.parametrize(
    ("law", "level", "key"),
    [
        ("1: city.located = Σ neighbourhoods", "citywide", {"scope": "located"}),
        ("1: city.all = Σ neighbourhoods + unlocated", "citywide", {"scope": "all"}),
        ("2: city.all = Σ issues.all", "issue", {"issue_type": "Noise", "scope": "all"}),
        ("2: city.located = Σ issues.located", "issue", {"issue_type": "Noise", "scope": "located"}),
        ("3: neighbourhood = Σ its issues", "neighbourhood", {"local_area": "Sunset"}),
        ("3: issue.located = Σ its areas", "hyper_local", {"local_area": "Sunset", "issue_type": "Noise"}),
        ("3: issue.all = issue.located + unlocated", "unlocated", {"issue_type": "Noise"}),
    ],
)
def test_each_law_is_broken_by_a_number_that_it_is_about_and_says_so(tables, law, level, key):
    frame = tables[level]
    row = frame.index[(frame[list(key)] == key).all(axis=1)].item()
    found = broken_laws(planted(tables, level, row, "sum_days_to_close"))
    assert any(problem.startswith(law) for problem in found), found


@pytest.mark.parametrize(
    ("law", "column"),
    [
        ("volume = open + closed + status_unknown", "status_unknown"),
        ("closed = n_ttr + n_negative + n_closed_without_date", "n_negative"),
        ("volume = n_ttu + n_never_updated + n_update_negative + n_update_missing", "n_never_updated"),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_every_request_is_in_one_class_of_each_kind_at_every_level(tables, level, law, column):
    found = broken_laws(planted(tables, level, tables[level].index[0], column))
    assert f"4: {level}: {law} fails in 1 rows" in found


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_row_breaks_a_law(tables, level):
    assert broken_laws({**tables, level: tables[level].iloc[1:]})


@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_table_beside_full_ones_breaks_a_law(tables, level):
    assert broken_laws({**tables, level: tables[level].iloc[:0]})
