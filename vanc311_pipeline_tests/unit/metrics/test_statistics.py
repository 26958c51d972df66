"""Claims about all statistics together: facts are what is stored, every table is written whole, and the laws hold between them."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metric_definitions import FAMILIES
from vanc311_pipeline.metrics.facts import NONE, day_texts
from vanc311_pipeline.metrics.groups import EACH_AREA, EACH_DEPARTMENT, KINDS, WHOLE_CITY
from vanc311_pipeline.metrics.statistics import statistics
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.statistics import corrections, quarantined, read_facts, repeats, replace_statistics

TABLES = {name: schema.metadata.tables[name] for family in FAMILIES for name in family.tables}
OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


@pytest.fixture(scope="module")
def written(sample):
    """The tables as they are stored, of the bundled sample, and how many rows of each were said to be written."""
    row_counts = replace_statistics(sample.warehouse)
    with sample.warehouse.read() as connection:
        return row_counts, {name: pd.read_sql(sa.select(table), connection) for name, table in TABLES.items()}


@pytest.fixture
def stored(warehouse, landed, areas, stored_areas):
    """A warehouse with some requests of August 2025, opened at 15:03 UTC on the 25th."""

    def load(*rows):
        stored_areas(warehouse)
        load_month(warehouse, "2025-08", [landed("2025-08", *rows)], areas, "a run")
        return warehouse

    return load


def test_facts_are_the_stored_requests_row_by_row(sample):
    facts, requests = sample.facts, sample.stored
    assert len(facts) == len(requests) == 11_024

    def texts(codes, names):
        return [None if code == NONE else names[code] for code in codes]

    def column(name):
        return [None if value != value else value for value in requests[name].astype(object)]

    for codes, names, name in (
        (facts.area, facts.areas, "local_area"),
        (facts.issue, facts.issues, "issue_type"),
        (facts.department, facts.departments, "department"),
        (facts.reason, facts.reasons, "closure_reason"),
        (facts.status, ("Open", "Close"), "status"),
    ):
        assert texts(codes, names) == column(name), name
    assert day_texts(facts.opened).tolist() == column("opened_on")
    closed = np.where(facts.closed == NONE, None, day_texts(facts.closed))
    assert closed.tolist() == column("closed_on")
    changed = pd.to_datetime(requests["modified_at"]) - pd.to_datetime(requests["opened_at"])
    assert facts.changed.tolist() == changed.dt.total_seconds().clip(lower=-1).fillna(-2).tolist()
    assert facts.twin.tolist() == (requests["occurrence"] > 0).tolist()
    assert facts.point.tolist() == (requests["latitude"].notna() & requests["longitude"].notna()).tolist()


def test_names_are_in_alphabetical_order_and_all_22_areas_are_known(sample, areas):
    facts = sample.facts
    assert list(facts.areas) == areas
    for names in (facts.issues, facts.departments, facts.reasons):
        assert list(names) == sorted(set(names))


def test_every_table_that_is_described_is_made_with_its_columns(sample):
    city = statistics(sample.facts, {}, {})
    assert city.keys() == TABLES.keys() - {"corrections"}  # they are read from the log
    for name, frame in city.items():
        expected = {column.name for column in TABLES[name].columns} - {"as_of", "request_id"}
        assert set(frame.columns) - {"row"} == expected, name


def test_no_figure_depends_on_the_order_of_the_rows(sample):
    facts = sample.facts
    order = np.random.default_rng(1).permutation(len(facts))
    columns = {name: value[order] for name, value in vars(facts).items() if isinstance(value, np.ndarray)}
    shuffled = replace(
        facts, **{name: columns[name] for name in columns.keys() & {field.name for field in fields(facts)}}
    )
    city, anew = statistics(facts, {}, {}), statistics(shuffled, {}, {})
    for name, frame in city.items():
        # The standing names requests by their place.
        if name == "open_request_standing":
            by_place = frame.assign(row=np.argsort(order)[frame["row"]]).sort_values("row").reset_index(drop=True)
            pd.testing.assert_frame_equal(anew[name].sort_values("row").reset_index(drop=True), by_place)
        else:
            pd.testing.assert_frame_equal(anew[name], frame, check_exact=True, obj=name)


def test_which_groups_have_rows_in_which_periods(facts):
    tables = statistics(facts({"ago": 9, "took": 2, "times": 30}, {"ago": 9, "area": None, "times": 30}), {}, {})
    pairs, issues, located = ("hyper_local", "located"), ("issue", "all"), ("citywide", "located")
    large = set(KINDS) - {pairs}
    always, twice, lately = {"all", "last_12_months", "2025"}, {"all", "last_12_months"}, {"last_12_months"}
    for name, expected in {
        "time_to_close": dict.fromkeys(KINDS, always),
        "time_to_close_curves": dict.fromkeys(large, always) | {pairs: lately},
        "waiting_times": {issues: twice, pairs: lately},
        "outcomes": dict.fromkeys(large, always),
        "outcome_incidence": dict.fromkeys((WHOLE_CITY, located, EACH_AREA, issues, EACH_DEPARTMENT), twice),
    }.items():
        assert tables[name].groupby(["level", "scope"])["period"].agg(set).to_dict() == expected, name


def test_every_table_is_written_whole_with_its_as_of(written, sample):
    row_counts, tables = written
    assert row_counts == {name: len(frame) for name, frame in tables.items()}
    for name, frame in tables.items():
        assert len(frame) > 0 or name == "corrections", name
        if "as_of" in frame and len(frame):
            assert set(frame["as_of"]) == {sample.as_of}, name


def test_writing_once_more_changes_nothing(written, sample):
    _, before = written
    replace_statistics(sample.warehouse)
    with sample.warehouse.read() as connection:
        for name, table in TABLES.items():
            pd.testing.assert_frame_equal(pd.read_sql(sa.select(table), connection), before[name])


def test_a_statistic_is_null_exactly_where_its_state_is_not_ok(written):
    _, tables = written
    checked = Counter()
    for name, column, state in (
        *(("time_to_close", f"{each}_days", f"{each}_state") for each in ("median", "p75", "p90")),
        ("monthly_series", "median_days", "median_state"),
        *(("monthly_series", f"share_{days}", f"share_{days}_state") for days in (7, 30, 90)),
        *(("waiting_times", f"further_{each}", f"further_{each}_state") for each in ("median", "p75", "p90")),
        ("year_on_year", "noise_band", "state"),
        ("open_request_standing", "further_median", "state"),
        ("outcomes", "outcome_share", "state"),
        ("area_comparison", "ratio", "state"),
        ("area_comparison", "standardised_share", "standardised_share_state"),
        ("area_issue_mix", "ratio", "state"),
    ):
        frame = tables[name]
        assert (frame[column].notna() == (frame[state] == "ok")).all(), (name, column)
        checked.update(frame[state].dropna())
    assert checked.keys() == {"ok", "no_requests", "too_few", "not_reached", "immature"}


def test_each_open_request_stands_by_its_own_id(written, sample):
    _, tables = written
    standing = tables["open_request_standing"].set_index("request_id")
    requests = sample.stored.set_index("request_id")
    opened = requests.loc[requests["status"] == "Open", "opened_on"]
    assert set(standing.index) == set(opened.index)
    days = (pd.Timestamp(sample.as_of) - pd.to_datetime(opened)).dt.days
    assert standing["days_open"].to_dict() == days.to_dict()


def test_of_a_record_without_a_request_only_the_mapping_and_the_groups_that_are_always_there_are_told(stored):
    city = {name: rows for name, rows in replace_statistics(stored()).items() if rows}
    assert city == {
        "metrics_citywide": 2, "metric_aggregates": 12, "outcome_mapping": 17, "year_on_year": 2 * (3 + 22),
        "backlog_by_age": 6 * (3 + 22),
    }  # fmt: skip


def test_repeats_equal_an_earlier_request_in_everything_but_the_last_change(stored):
    warehouse = stored(
        {},
        {MODIFIED: "2025-08-27T19:00:00+00:00"},
        {MODIFIED: "2025-08-27T20:00:00+00:00"},
        {"address": "another"},
        {"department": "CMO"},
        {OPENED: "2025-08-01T05:00:00+00:00"},  # in July by the local date
        {OPENED: "2025-08-01T05:00:00+00:00", MODIFIED: None},
        {OPENED: "2025-08-02T05:00:00+00:00", "status": "Open", CLOSED: None},
        {OPENED: "2025-08-02T05:00:00+00:00"},
    )
    with warehouse.read() as connection:
        assert repeats(connection) == {
            ("2025-08", "ENG - Sanitation Services"): 2,
            ("2025-07", "ENG - Sanitation Services"): 1,
        }


def test_corrections_are_what_the_city_changed_but_new_requests_and_first_closings(stored):
    def rows(**changes):
        """Nine requests, of which some were changed; None leaves one out."""
        numbered = {f"r{number}": {OPENED: f"2025-08-25T15:{number:02}:00+00:00"} for number in range(9)}
        return [row | changes.get(name, {}) for name, row in numbered.items() if changes.get(name, {}) is not None]

    still_open = {"status": "Open", CLOSED: None, "closure_reason": "N/A"}
    stored(*rows(r0=still_open))
    warehouse = stored(
        *rows(r1=still_open, r2=None, r3={"service_request_type": "ZZ OLD - Missed Green Bin Pickup Case"},
              r4={"closure_reason": "Referred to another service group"}, r5={CLOSED: "2025-08-26"}, r6={"address": "elsewhere"},
              r7={MODIFIED: "2025-08-28T19:00:00+00:00"}, r8={"local_area": None, "channel": "WEB"}),
        {OPENED: "2025-08-25T16:00:00+00:00"},
    )  # fmt: skip
    with warehouse.read() as connection:
        assert corrections(connection).to_dict("records") == [
            {"release_month": "2026-01", "department": "ENG - Sanitation Services", "n_vanished": 1, "n_relabelled": 1,
             "n_reopened": 1, "n_corrected": 3, "n_clerical": 2}
        ]  # fmt: skip


def test_quarantined_rows_are_counted_by_the_month_they_were_served_in_and_the_department_they_state(stored):
    bad = {OPENED: "someday"}
    warehouse = stored({}, bad, bad | {"department": " CMO "}, bad | {"department": None}, bad | {"department": " "})
    with warehouse.read() as connection:
        assert quarantined(connection) == {
            ("2025-08", "ENG - Sanitation Services"): 1,
            ("2025-08", "CMO"): 1,
            ("2025-08", "unknown"): 2,
        }


def test_the_ledger_of_quality_tells_both(stored):
    warehouse = stored({}, {MODIFIED: None}, {OPENED: "someday"})
    replace_statistics(warehouse)
    with warehouse.read() as connection:
        (line,) = connection.execute(sa.select(schema.quality_ledger)).mappings()
    assert {name: value for name, value in line.items() if value} == {
        "open_month": "2025-08", "department": "ENG - Sanitation Services", "volume": 2, "n_twins": 1, "n_repeats": 1,
        "n_quarantined": 1, "as_of": "2025-08-27",
    }  # fmt: skip


def test_any_other_status_is_other_and_what_is_missing_stays_missing(stored):
    warehouse = stored(
        {"status": "Closed", "local_area": None, "closure_reason": "N/A", "latitude": None},
        {"status": None, CLOSED: None},
        {"status": "Open", CLOSED: None},
    )
    with warehouse.read() as connection:
        facts = read_facts(connection, "2025-08-31")
    rows = sorted(
        zip(facts.status.tolist(), facts.located.tolist(), facts.reason.tolist(), facts.point.tolist(), strict=True)
    )
    assert rows == [(0, True, 0, True), (2, False, NONE, False), (2, True, 0, True)]
    assert (facts.reasons, set(day_texts(facts.opened))) == (("Service provided",), {"2025-08-25"})
