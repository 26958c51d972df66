"""Claims about the laws between the levels: they hold for whatever is loaded, and one wrong number in any wide table breaks one."""

from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vanc311_pipeline.metrics.headline import WIDE
from vanc311_pipeline.schema import COUNTS
from vanc311_pipeline.warehouse.audits import AUDITS

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"
TABLES = {level: table for level, (table, _) in WIDE.items()}
[LEVELS_ADD_UP] = [audit for audit in AUDITS if audit.name == "levels_add_up"]

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


@contextmanager
def written(tables):
    """A database with the wide tables."""
    with sa.create_engine("sqlite://").connect() as connection:
        for level, table in TABLES.items():
            tables[level].assign(as_of="2025-08-31").to_sql(table, connection, index=False)
        connection.commit()
        yield connection


@settings(max_examples=25)
@given(rows=st.lists(a_request, max_size=30))
def test_the_laws_hold_for_any_requests(headline, rows):
    tables = headline(*rows)
    with written(tables) as connection:
        assert LEVELS_ADD_UP.question(connection).problems == []
    city = tables["citywide"].set_index("scope")
    assert city.loc["all", "volume"] == len(rows)
    assert city.loc["located", "volume"] == sum(row["local_area"] in ("Marpole", "Sunset") for row in rows)
    assert {str(kind) for level in TABLES for kind in tables[level][COUNTS].dtypes} == {"int64"}


@pytest.fixture(scope="module")
def city(headline):
    """The tables of a small city with two areas, two issues and some unlocated requests."""
    rows = [
        {"service_request_type": kind, "local_area": area, "status": status}
        for kind in ("Graffiti", "Noise")
        for area in ("Marpole", "Sunset", None)
        for status in ("Open", "Close", "Closed")
    ]
    with written(headline(*rows)) as connection:
        assert LEVELS_ADD_UP.question(connection).problems == []
        yield connection


def broken(city, statement):
    """What the audit finds after a statement, which is taken back."""
    assert city.exec_driver_sql(statement).rowcount
    problems = LEVELS_ADD_UP.question(city).problems
    city.rollback()
    return problems


@pytest.mark.parametrize("level", TABLES)
def test_one_wrong_number_anywhere_breaks_a_law(city, level):
    rows = city.scalar(sa.text(f"SELECT count(*) FROM {TABLES[level]}"))
    for column in COUNTS:
        for row in range(1, rows + 1):
            for change in ("+ 1", "- 1"):
                statement = f"UPDATE {TABLES[level]} SET {column} = {column} {change} WHERE rowid = {row}"
                assert broken(city, statement), statement


@pytest.mark.parametrize(
    ("law", "level", "where"),
    [
        ("1: city.located = Σ neighbourhoods", "citywide", "scope = 'located'"),
        ("1: city.all = Σ neighbourhoods + unlocated", "citywide", "scope = 'all'"),
        ("2: city.all = Σ issues.all", "issue", "issue_type = 'Noise' AND scope = 'all'"),
        ("2: city.located = Σ issues.located", "issue", "issue_type = 'Noise' AND scope = 'located'"),
        ("3: neighbourhood = Σ of its issues", "neighbourhood", "local_area = 'Sunset'"),
        ("3: issue.located = Σ of its areas", "hyper_local", "local_area = 'Sunset' AND issue_type = 'Noise'"),
        ("3: issue.all = issue.located + unlocated", "unlocated", "issue_type = 'Noise'"),
    ],
)
def test_each_law_is_broken_by_a_number_that_it_is_about_and_says_so(city, law, level, where):
    statement = f"UPDATE {TABLES[level]} SET sum_days_to_close = sum_days_to_close + 1 WHERE {where}"
    assert any(problem.startswith(f"headline metrics: {law}: fails for 1, ") for problem in broken(city, statement))


@pytest.mark.parametrize(
    ("law", "column"),
    [
        ("volume = open_requests + closed + status_unknown", "status_unknown"),
        ("closed = n_ttr + n_negative + n_closed_without_date", "n_negative"),
        ("volume = n_ttu + n_never_updated + n_update_negative + n_update_missing", "n_never_updated"),
    ],
)
@pytest.mark.parametrize("level", TABLES)
def test_every_request_is_in_one_class_of_each_kind_at_every_level(city, level, law, column):
    problems = broken(city, f"UPDATE {TABLES[level]} SET {column} = {column} + 1 WHERE rowid = 1")
    assert any(problem.startswith(f"4: {law}: fails in 1 rows, such as level {level}") for problem in problems)


@pytest.mark.parametrize("where", ["rowid = 1", "true"])
@pytest.mark.parametrize("level", TABLES)
def test_a_missing_row_or_an_empty_table_breaks_a_law(city, level, where):
    assert broken(city, f"DELETE FROM {TABLES[level]} WHERE {where}")
