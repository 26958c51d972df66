"""Claims about all statistics together: every table is written whole, and what SQL counts for them is counted right."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.metric_definitions import FAMILIES
from vanc311_pipeline.metrics.statistics import statistics
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.statistics import corrections, quarantined, repeats, replace_statistics

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


def test_names_are_in_alphabetical_order_and_all_22_areas_are_known(sample, areas):
    facts = sample.facts
    assert list(facts.areas) == areas
    for names in (facts.issues, facts.departments, facts.reasons):
        assert list(names) == sorted(set(names))


def test_no_figure_depends_on_the_order_of_the_rows_nor_on_which_process_makes_it(sample, monkeypatch):
    facts = sample.facts
    order = np.random.default_rng(1).permutation(len(facts))
    columns = {name: value[order] for name, value in vars(facts).items() if isinstance(value, np.ndarray)}
    shuffled = replace(
        facts, **{name: columns[name] for name in columns.keys() & {field.name for field in fields(facts)}}
    )
    reports = sample.reports
    moved = replace(reports, hour=reports.hour[order], channel=reports.channel[order])
    city = statistics(facts, reports, {}, {})
    monkeypatch.setattr("vanc311_pipeline.metrics.statistics.MANY", 0)
    anew = statistics(shuffled, moved, {}, {})
    for name, frame in city.items():
        # The standing names requests by their place.
        if name == "open_request_standing":
            by_place = frame.assign(row=np.argsort(order)[frame["row"]]).sort_values("row").reset_index(drop=True)
            pd.testing.assert_frame_equal(anew[name].sort_values("row").reset_index(drop=True), by_place)
        else:
            pd.testing.assert_frame_equal(anew[name], frame, check_exact=True, obj=name)


def test_every_table_is_written_whole_with_its_as_of(written, sample):
    row_counts, tables = written
    assert row_counts == {name: len(frame) for name, frame in tables.items()}
    for name, frame in tables.items():
        assert len(frame) > 0 or name in ("corrections", "revisions"), name  # which need an earlier load
        if "as_of" in frame and len(frame):
            assert set(frame["as_of"]) == {sample.as_of}, name


@pytest.mark.rehearsal
def test_writing_once_more_changes_nothing(written, sample):
    _, before = written
    replace_statistics(sample.warehouse)
    with sample.warehouse.read() as connection:
        for name, table in TABLES.items():
            pd.testing.assert_frame_equal(pd.read_sql(sa.select(table), connection), before[name])


def test_of_a_record_without_a_request_only_the_mapping_and_the_groups_that_are_always_there_are_told(stored):
    city = {name: rows for name, rows in replace_statistics(stored()).items() if rows}
    assert city == {
        "metrics_citywide": 2, "metric_aggregates": 12, "outcome_mapping": 17, "year_on_year": 2 * (3 + 22),
        "backlog_by_age": 6 * (3 + 22), "settling": 3,
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
    assert repeats(warehouse) == {
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
