"""Claims about restraint where it is exercised: against what is stored, with consent, and before a row is written."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.pipeline import missing_parts
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.landing import landed_path
from vanc311_pipeline.settings import ARCHIVE, LIVE
from vanc311_pipeline.warehouse import changelog, ledger
from vanc311_pipeline.warehouse.ledger import WHOLE, Hold
from vanc311_pipeline.warehouse.loading import load_month
from vanc311_pipeline.warehouse.restraint import judge, profiles
from vanc311_pipeline_tests.conftest import both_stores as store_kind  # noqa: F401 (fixture)
from vanc311_pipeline_tests.conftest import many

JULY, AUGUST = "2025-07", "2025-08"


@pytest.fixture
def on_disk(landed, tmp_path):
    """A month's landed files: `on_disk(month, rows…)`."""

    def write(month, *rows, dataset=LIVE):
        opened = {"service_request_open_timestamp": f"{month}-25T15:03:00+00:00"}
        about, frame = landed(month, *({**opened, **row} for row in rows), dataset=dataset)
        path = landed_path(tmp_path, Window(dataset, month))
        path.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
        return [(about, path)]

    return write


@pytest.fixture
def verdict(warehouse, on_disk, areas):
    """What is held, and what was accepted, of a release: rows by month."""

    def of(months, consent=(), **options):
        landed = {month: on_disk(month, *rows) for month, rows in months.items()}
        with warehouse.read() as connection:
            verdicts = judge(connection, landed, areas, consent, **options)
        return {line.month: line.why for line in verdicts.held}, {line.month: line.why for line in verdicts.accepted}

    return of


def test_a_month_that_was_judged_is_stored_as_it_was_cleaned_for_that(on_disk, warehouse, areas, tmp_path):
    landed, kept = on_disk(AUGUST, *many(3), {"department": None}), tmp_path / "kept"
    kept.mkdir()
    with warehouse.read() as connection:
        judge(connection, {AUGUST: landed}, areas, (), kept=kept)
    unread = [(about, pd.DataFrame()) for about, _ in landed]
    done = load_month(warehouse, AUGUST, unread, areas, "a run", kept=kept)
    assert (done.rows_stored, done.rows_quarantined, list(kept.iterdir())) == (3, 1, [])


def test_stored_rows_have_the_profile_that_the_landed_ones_had(load, on_disk, warehouse, areas):
    rows = [
        *many(3), {}, {}, {"local_area": None}, {"department": None}, {"status": None}, {"status": "Closed"},
        {"closure_reason": "N/A"}, {"latitude": None, "longitude": None}, {"last_modified_timestamp": None},
        {"status": "Open", "closure_reason": "N/A", "service_request_close_date": None},
    ]  # fmt: skip
    load(*rows, month=AUGUST)
    with warehouse.read() as connection:
        stored, served = profiles(connection, AUGUST, on_disk(AUGUST, *rows), areas)
    assert stored == served
    assert served.moved == 0
    assert (stored.rows, stored.quarantined, stored.twice) == (13, 1, 1)


def test_a_month_that_nothing_is_stored_of_is_measured_by_what_is_wrong_in_itself(verdict):
    assert verdict({AUGUST: many(100)}) == ({}, {})
    held, _ = verdict({AUGUST: many(100, department=None)})
    assert set(held) == {AUGUST, "all"}


def test_rows_of_months_that_stay_count_as_a_release_too(load, verdict):
    for month in (JULY, AUGUST):
        load(*many(2_000), month=month)
    spoiled = [*many(1_965), *many(35, local_area=None)]
    assert verdict({AUGUST: spoiled}) == ({}, {})


@pytest.mark.parametrize(
    ("consent", "held", "accepted"),
    [
        ([], {JULY, AUGUST, "all"}, set()),
        ([JULY], {AUGUST, "all"}, {JULY}),
        ([JULY, AUGUST], set(), {JULY, AUGUST}),
        (["all"], set(), {JULY, AUGUST, "all"}),
    ],
)
def test_consent_for_a_month_is_consent_for_that_month(load, verdict, consent, held, accepted):
    for month in (JULY, AUGUST):
        load(*many(100), month=month)
    verdicts = verdict({month: many(10) for month in (JULY, AUGUST)}, consent)
    assert (set(verdicts[0]), set(verdicts[1])) == (held, accepted)
    assert verdicts[0].get(AUGUST, "rows 100 → 10") == "rows 100 → 10"


@pytest.mark.parametrize(
    ("before", "most"),
    [
        (100, 125),  # late entries of a month that has ended
        (20, 60),  # half a month, which may become as large as another
        (0, 600),  # a month that was never held, after all was
    ],
)
def test_a_month_may_become_as_large_as_such_a_month_is(load, verdict, warehouse, before, most):
    load(*many(60), month=JULY)
    with warehouse.write() as connection:
        ledger.note_release(connection, Release(LIVE, "2026-01-07T14:06:58Z", 1, ()), "settled", "a run")
    if before:
        load(*many(before), month=AUGUST)
    assert verdict({AUGUST: many(most)}) == ({}, {})
    held, _ = verdict({AUGUST: many(most + 1)})
    assert held[AUGUST].startswith(f"rows {before} → {most + 1}, more than the {most} that are plausible")


def test_while_not_all_was_held_yet_a_month_may_be_of_any_size(load, verdict):
    load(*many(1), month=JULY)
    assert verdict({AUGUST: many(200)}) == ({}, {})


def test_rows_that_were_opened_at_another_instant_are_others(load, verdict):
    load(*many(100), month=AUGUST)
    moved = {"service_request_open_timestamp": f"{AUGUST}-25T15:03:01+00:00"}
    held, _ = verdict({AUGUST: [*many(60), *many(40, **moved)]})
    assert held[AUGUST] == "rows that were opened at another instant 0 → 40"


@pytest.mark.parametrize(
    ("month", "planned", "consent", "held"),
    [
        (JULY, False, [], {JULY}),
        (WHOLE, False, [], {WHOLE}),
        (JULY, False, [JULY], set()),
        (JULY, True, [], set()),
        (AUGUST, False, [], set()),  # it is judged anew
    ],
)
def test_of_a_held_release_no_other_month_is_followed(verdict, warehouse, month, planned, consent, held):
    with warehouse.write() as connection:
        ledger.hold(connection, [a_hold(month)])
    assert set(verdict({AUGUST: many(3)}, consent, planned=planned)[0]) == held


# -- the holds -----------------------------------------------------------------------------------------------------------


def a_hold(month, rows=3):
    return Hold(LIVE, month, 100, rows, f"rows 100 → {rows}", "2026-01-07T14:06:58Z")


def held_now(warehouse):
    with warehouse.read() as connection:
        return {line.month: (line.rows_now, line.held_since) for line in ledger.held(connection)}


@pytest.mark.parametrize(("agreed", "held"), [(None, True), (JULY, True), (AUGUST, False), (WHOLE, False)])
def test_what_somebody_agreed_to_lose_may_come_back(load, verdict, warehouse, agreed, held):
    load(*many(2), month=AUGUST)
    if agreed:
        with warehouse.write() as connection:
            line = Hold(LIVE, agreed, 60, 2, "rows 60 → 2", "2026-01-07T14:06:58Z")
            changelog.log_consent(connection, line, "a run")
    assert (AUGUST in verdict({AUGUST: many(60)})[0]) == held


def test_a_hold_remembers_when_it_began_and_ends_when_its_dataset_is_judged_anew_or_its_month_is_loaded(
    warehouse, load
):
    with warehouse.write() as connection:
        ledger.hold(connection, [a_hold(JULY), a_hold(AUGUST)])
        connection.execute(sa.update(schema.holds).values(held_since="2025-09-01T00:00:00Z"))
    with warehouse.write() as connection:
        ledger.hold(connection, [a_hold(AUGUST, rows=2)])
    assert held_now(warehouse) == {JULY: (3, "2025-09-01T00:00:00Z"), AUGUST: (2, "2025-09-01T00:00:00Z")}
    with warehouse.write() as connection:
        ledger.hold(connection, [a_hold(AUGUST)], judged=[LIVE])
    assert held_now(warehouse) == {AUGUST: (3, "2025-09-01T00:00:00Z")}
    with warehouse.write() as connection:
        ledger.hold(connection, [a_hold(JULY)])
    load(*many(3), month=AUGUST)
    assert set(held_now(warehouse)) == {JULY}


# -- all parts of a month ------------------------------------------------------------------------------------------------


def test_the_other_part_of_a_month_is_fetched_too_unless_the_file_that_it_was_stored_from_is_here(
    warehouse, landed, areas, tmp_path, monkeypatch
):
    month, opened = "2022-01", {"service_request_open_timestamp": "2022-01-01T05:00:00+00:00"}
    parts = {name: landed(month, opened, dataset=name) for name in (ARCHIVE, LIVE)}
    load_month(warehouse, month, list(parts.values()), areas, "a run")
    with warehouse.read() as connection:
        records = ledger.months(connection)
    files = {}
    monkeypatch.setattr("vanc311_pipeline.pipeline.describe_landed", files.get)
    chosen, other = [Window(LIVE, month)], Window(ARCHIVE, month)
    assert missing_parts(tmp_path, chosen, records) == [other]
    files[landed_path(tmp_path, other)] = replace(parts[ARCHIVE][0], body_sha256="of an older reading")
    assert missing_parts(tmp_path, chosen, records) == [other]
    files[landed_path(tmp_path, other)] = parts[ARCHIVE][0]
    assert missing_parts(tmp_path, chosen, records) == []
    assert missing_parts(tmp_path, [*chosen, other], records) == []
