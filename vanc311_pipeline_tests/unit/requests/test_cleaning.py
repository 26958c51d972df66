"""Claims about cleaning: what each field becomes, what is refused, and that no row is ever lost."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.errors import SchemaMismatch
from vanc311_pipeline.requests.cleaning import Unusable, clean
from vanc311_pipeline.schema import PORTAL_FIELDS
from vanc311_pipeline.settings import UNDATED

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


@pytest.fixture(scope="session")
def cleaned(served, areas, released_on):
    """Cleans rows of the month that the first of them was opened in, or of the month given."""

    def run(*rows, month=None):
        frame = served(*rows)
        return clean(frame, month or str(frame[OPENED].iloc[0])[:7], areas, released_on)

    return run


@pytest.fixture(scope="session")
def one(cleaned):
    """The one clean request that a row becomes."""

    def run(**row):
        result = cleaned(row)
        assert list(result.quarantined["reason"]) == []
        return result.requests.iloc[0]

    return run


@pytest.fixture(scope="session")
def reason(cleaned):
    """Why a row is in quarantine."""

    def run(month="2025-08", **row):
        result = cleaned(row, month=month)
        assert len(result.requests) == 0
        return result.quarantined["reason"].item()

    return run


# -- instants and local dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "local"),
    [
        # Summer: UTC-07:00.
        ("2025-08-25T06:59:59+00:00", "2025-08-24"),
        ("2025-08-25T07:00:00+00:00", "2025-08-25"),
        # Winter before 2026: UTC-08:00.
        ("2025-12-01T07:59:59+00:00", "2025-11-30"),
        ("2025-12-01T08:00:00+00:00", "2025-12-01"),
        # The night in spring in which the clocks go forward: it begins in winter time and ends in summer time.
        ("2025-03-09T07:59:59+00:00", "2025-03-08"),
        ("2025-03-09T08:00:00+00:00", "2025-03-09"),
        ("2025-03-10T06:59:59+00:00", "2025-03-09"),
        ("2025-03-10T07:00:00+00:00", "2025-03-10"),
        # The night in autumn in which they went back for the last time.
        ("2025-11-02T06:59:59+00:00", "2025-11-01"),
        ("2025-11-03T07:59:59+00:00", "2025-11-02"),
        ("2025-11-03T08:00:00+00:00", "2025-11-03"),
        # UTC-07:00 all year since March 2026.
        ("2026-11-01T06:59:59+00:00", "2026-10-31"),
        ("2026-11-02T07:00:00+00:00", "2026-11-02"),
        ("2026-12-01T07:30:00+00:00", "2026-12-01"),
        ("2027-01-01T07:00:00+00:00", "2027-01-01"),
        # The last local hours of 2021 are in 2022 by UTC.
        ("2022-01-01T07:59:59+00:00", "2021-12-31"),
        ("2022-01-01T08:00:00+00:00", "2022-01-01"),
    ],
)
def test_a_request_is_opened_on_the_date_that_it_was_in_vancouver(one, opened, local):
    request = one(**{OPENED: opened, CLOSED: None})
    assert str(request["opened_on"].date()) == local


@pytest.mark.parametrize(
    "text",
    [
        "2025-08-25T15:03:00+00:00", "2025-08-25T15:03:00Z", "2025-08-25T08:03:00-07:00", "2025-08-25T08:03:00-0700",
        "2025-08-25T15:03:00", "2025-08-25 15:03:00", "2025-08-25T15:03:00.900+00:00",
    ],
)  # fmt: skip
def test_however_an_instant_is_written_it_is_the_same_utc_second(one, text):
    request = one(**{OPENED: text})
    assert request["opened_at"] == pd.Timestamp("2025-08-25T15:03:00Z")


# -- durations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "opened", "closed", "days"),
    [
        ("Close", "2025-08-25T15:03:00+00:00", "2025-08-25", 0),
        ("Close", "2025-08-25T15:03:00+00:00", "2025-08-27", 2),
        # 20:00 local on the 25th: by UTC the request would be closed a day before it was opened.
        ("Close", "2025-08-26T03:00:00+00:00", "2025-08-25", 0),
        ("Close", "2025-03-08T20:00:00+00:00", "2025-03-10", 2),
        ("Close", "2025-08-25T15:03:00+00:00", "2025-08-24", None),
        ("Close", "2025-08-25T15:03:00+00:00", None, None),
        ("Open", "2025-08-25T15:03:00+00:00", None, None),
        ("Open", "2025-08-25T15:03:00+00:00", "2025-08-27", None),
        ("Closed", "2025-08-25T15:03:00+00:00", "2025-08-27", None),
        (None, "2025-08-25T15:03:00+00:00", "2025-08-27", None),
    ],
)
def test_days_to_close_are_local_calendar_days_of_closed_requests_and_never_negative(one, status, opened, closed, days):
    request = one(**{"status": status, OPENED: opened, CLOSED: closed})
    assert pd.isna(request["days_to_close"]) if days is None else request["days_to_close"] == days
    assert str(request["closed_on"])[:10] == str(closed or pd.NaT)


@pytest.mark.parametrize(
    ("modified", "days"),
    [
        ("2025-08-27T03:03:00+00:00", 1.5), ("2025-08-25T15:03:01+00:00", 1 / 86_400),
        ("2025-08-25T15:03:00+00:00", None), ("2025-08-25T15:02:59+00:00", None), (None, None),
    ],
)  # fmt: skip
def test_days_to_update_are_exact_and_null_when_equal_missing_or_negative(one, modified, days):
    updated = one(**{MODIFIED: modified})["days_to_update"]
    assert pd.isna(updated) if days is None else updated == pytest.approx(days, rel=1e-15)


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["status", "closure_reason", "address", "local_area", "channel"])
@pytest.mark.parametrize("nothing", [None, "", "  ", "N/A", " N/A "])
def test_nothing_is_null_however_the_city_writes_it(one, name, nothing):
    assert pd.isna(one(**{name: nothing})[name])


def test_text_is_trimmed_and_otherwise_left_alone(one):
    request = one(department="  N/A ", address=" 12  Ünïcode;ST\n", closure_reason="n/a")
    assert (request["department"], request["address"], request["closure_reason"]) == ("N/A", "12  Ünïcode;ST", "n/a")


def test_every_one_of_the_22_areas_is_known_by_its_own_name(cleaned, areas):
    result = cleaned(*({"local_area": name} for name in areas))
    assert (list(result.requests["local_area"]), result.unknown_areas) == (areas, {})


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Arbutus-Ridge", "Arbutus Ridge"),
        ("Kensington Cedar Cottage", "Kensington-Cedar Cottage"),
        ("WEST END", "West End"),
        (" Marpole ", "Marpole"),
    ],
)
def test_an_area_in_another_spelling_gets_the_citys_own(one, written, name):
    assert one(local_area=written)["local_area"] == name


def test_unknown_areas_are_counted_and_their_requests_are_stored_without_one(cleaned):
    result = cleaned({"local_area": "Atlantis"}, {"local_area": "Atlantis"}, {"local_area": "Lemuria"}, {})
    assert result.unknown_areas == {"Atlantis": 2, "Lemuria": 1}
    assert result.requests["local_area"].isna().tolist() == [True, True, True, False]


# -- columns ---------------------------------------------------------------------------------------------------------


def test_the_order_of_columns_and_extra_columns_make_no_difference(served, areas, released_on):
    plain = served({}, {"status": "Open", CLOSED: None})
    turned = plain[plain.columns[::-1]].assign(new_field="x")
    expected, turned_around = (clean(frame, "2025-08", areas, released_on) for frame in (plain, turned))
    pd.testing.assert_frame_equal(expected.requests, turned_around.requests)


@pytest.mark.parametrize("name", PORTAL_FIELDS)
def test_a_missing_column_stops_the_load_and_is_named(served, areas, released_on, name):
    with pytest.raises(SchemaMismatch, match=name):
        clean(served({}).drop(columns=name), "2025-08", areas, released_on)


# -- quarantine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("department", None, "department is missing"),
        ("department", "  ", "department is missing"),
        ("service_request_type", None, "issue_type is missing"),
        ("service_request_type", "", "issue_type is missing"),
        ("department", "ENG\0", "department holds U+0000, which no text does"),
        ("department", "ENG\x1fX", "department holds U+001F, which separates the parts of an id"),
        ("service_request_type", "A\x1fB", "issue_type holds U+001F, which separates the parts of an id"),
        ("address", "2538 E GEORGIA \ufffdT", "address came with bytes that are no UTF-8"),
        (CLOSED, "2025-08-2\ufffd", "closed_on came with bytes that are no UTF-8"),
        (OPENED, None, "opened_at is missing"),
        (OPENED, "yesterday", "opened_at is not an instant"),
        (OPENED, "2025-08-25", "opened_at is not an instant"),
        (OPENED, "2025-08-32T15:03:00+00:00", "opened_at is not an instant"),
        (OPENED, "1756134180", "opened_at is not an instant"),
        (OPENED, "2025-07-31T23:59:59+00:00", "opened_at is not in 2025-08, the month asked for"),
        (OPENED, "0025-08-25T15:03:00+00:00", "opened_at is not in 2025-08, the month asked for"),
        (OPENED, "2025-09-01T00:00:00+00:00", "opened_at is not in 2025-08, the month asked for"),
    ],
)
def test_what_cant_be_keyed_is_quarantined_with_its_reason(reason, name, value, why):
    assert reason(**{name: value}) == why


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("address", "2538 E\0GEORGIA ST", "address"), ("status", "Close\0", "status"),
        (MODIFIED, "soon", "modified_at"), (MODIFIED, "2025-08-25T25:03:00+00:00", "modified_at"),
        (CLOSED, "soon", "closed_on"), (CLOSED, "27/08/2025", "closed_on"), (CLOSED, "2025-02-30", "closed_on"),
        (CLOSED, "2025-08-27T00:00:00", "closed_on"), ("latitude", "49.2\0", "latitude"),
        ("latitude", "north", "latitude"), ("latitude", "90.1", "latitude"), ("latitude", "-123.05", "latitude"),
        ("latitude", "49,27", "latitude"), ("longitude", "-180.5", "longitude"), ("longitude", "inf", "longitude"),
    ],
)  # fmt: skip
def test_any_other_field_that_cant_be_used_costs_that_field_and_is_counted(cleaned, name, value, column):
    result = cleaned({name: value}, {})
    assert (result.requests[column].isna().tolist(), len(result.quarantined)) == ([True, False], 0)
    assert result.unusable == {column: Unusable(1, [value])}


@pytest.mark.parametrize("name", ["latitude", "longitude"])
def test_half_a_point_is_none(one, name):
    assert one(**{name: "200"})[["latitude", "longitude"]].isna().all()


def test_of_values_that_cant_be_used_three_are_told(cleaned):
    values = ["5 north", "1 north", "3 north", "2 north", "1 north"]
    lost = cleaned(*({"latitude": value} for value in values)).unusable["latitude"]
    assert (lost.rows, lost.examples) == (5, ["1 north", "2 north", "3 north"])


@pytest.mark.parametrize(("latitude", "longitude"), [(90.0, 180.0), (-90.0, -180.0)])
def test_the_ends_of_the_earth_are_on_it(one, latitude, longitude):
    row = one(latitude=str(latitude), longitude=str(longitude))
    assert (row["latitude"], row["longitude"]) == (latitude, longitude)


def test_the_area_and_the_fields_of_a_quarantined_row_are_not_counted(cleaned):
    result = cleaned({}, {"local_area": "Atlantis", "latitude": "north", "department": None})
    assert (result.unknown_areas, result.unusable) == ({}, {})


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({CLOSED: "2026-01-08"}, "days_to_close"),
        ({CLOSED: "9999-12-31"}, "days_to_close"),
        # The day of the release ends at 08:00 UTC.
        ({MODIFIED: "2026-01-08T08:00:00+00:00"}, "days_to_update"),
        ({MODIFIED: "9999-12-31T23:59:59+00:00"}, "days_to_update"),
    ],
)
def test_a_date_after_the_day_of_the_release_is_kept_and_gives_no_duration(cleaned, row, column):
    result = cleaned(row)
    request = result.requests.iloc[0]
    assert pd.isna(request[column])
    assert request[["closed_on", "modified_at"]].notna().all()
    assert result.dates_ahead == next(iter(row.values()))[:10]


@pytest.mark.parametrize(
    ("row", "duration"),
    [
        ({CLOSED: "2026-01-07"}, "days_to_close"), ({MODIFIED: "2026-01-08T07:59:59+00:00"}, "days_to_update"),
        ({"status": "Open", CLOSED: "9999-12-31"}, "days_to_update"),
    ],
)  # fmt: skip
def test_what_lies_within_the_day_of_the_release_is_not_ahead(cleaned, row, duration):
    result = cleaned(row)
    assert result.dates_ahead is None
    assert result.requests[duration].notna().all()


def test_a_row_that_no_month_can_hold_is_quarantined_as_such_unless_something_else_is_wrong_before(reason):
    assert reason(month=UNDATED) == "opened_at is outside the record"
    assert reason(department=None, **{OPENED: "yesterday"}) == "department is missing"


def test_a_quarantined_row_is_kept_exactly_as_served(served, areas, released_on):
    frame = served({"department": None, "address": " spaces  kept é ", "closure_reason": "N/A"})
    text = clean(frame, "2025-08", areas, released_on).quarantined["raw_row"].item()
    raw = json.loads(text)
    assert " spaces  kept é " in text
    assert raw == {name: None if pd.isna(value) else value for name, value in frame.iloc[0].items()}
    assert (raw["department"], raw["address"], raw["closure_reason"]) == (None, " spaces  kept é ", "N/A")
    reordered = frame[frame.columns[::-1]]
    assert clean(reordered, "2025-08", areas, released_on).quarantined["raw_row"].item() == text


anything = (
    st.none()
    | st.sampled_from(["", "N/A", "2025-08-25", "2025-08-25T15:03:00+00:00", "49.2", "x"])
    | st.text('aé9-: ;"\n\x1f\0', max_size=4)
)


@given(rows=st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(PORTAL_FIELDS, anything)), max_size=8))
def test_landed_is_stored_plus_quarantined_whatever_is_served(served, areas, released_on, rows):
    frame = served(*rows)
    result = clean(frame, "2025-08", areas, released_on)
    assert sorted([*result.requests.index, *result.quarantined.index]) == list(frame.index)
    assert (result.quarantined["reason"] != "").all()
