"""Claims about fingerprints: what the portal says of a month over HTTP equals what its landed rows say of themselves."""

from dataclasses import fields, replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.documents import Cell
from vanc311_pipeline.portal.fingerprint import EMPTY, fingerprint_of, fingerprints
from vanc311_pipeline.portal.landing import describe_landed, land, landed_months, landed_path, read_landed
from vanc311_pipeline.settings import LIVE, UNDATED
from vanc311_pipeline.standin.edits import EDITS

LAST_MONTH = "2026-01"

a_cell = st.builds(
    Cell,
    month=st.just("2025-08"),
    department=st.sampled_from(["ENG", "DBL"]),
    issue_type=st.sampled_from(["Graffiti Case", "Noise Case", None]),
    rows=st.integers(1, 9),
    closed=st.integers(0, 9),
    points=st.integers(0, 9),
    first_opened=st.just("2025-08-01T07:00:00Z"),
    last_opened=st.just("2025-08-25T15:03:00Z"),
    earliest=st.just("2025-08-26T10:00:00Z"),
    latest=st.sampled_from([None, "2025-08-26T10:00:00Z", "2025-08-27T10:00:00Z"]),
)
some_cells = st.lists(a_cell, min_size=1, max_size=6, unique_by=lambda cell: (cell.department, cell.issue_type))


def of_month(cells):
    return fingerprints(cells, LAST_MONTH)["2025-08"]


def test_the_portals_answer_equals_the_landed_rows_in_every_month(synced, open_portal, ask):
    portal = open_portal()
    described = fingerprints(ask(portal).cells(LIVE), LAST_MONTH)
    held = {month: landed_path(synced.raw_dir, Window(LIVE, month)) for month in landed_months(synced.raw_dir, LIVE)}
    assert described == {month: fingerprint_of(pa.Table.from_pandas(read_landed(path))) for month, path in held.items()}
    assert sum(print_.rows for print_ in described.values()) == len(portal.frame)
    assert {month: print_.digest for month, print_ in described.items()} == {
        month: describe_landed(path).fingerprint for month, path in held.items()
    }


def test_rows_that_no_month_can_hold_share_one_fingerprint_that_equals_theirs_too(open_portal, ask, tmp_path):
    portal = open_portal()
    frame = EDITS["null_key"].function(portal.frame, rows=3)
    portal.publish(EDITS["impossible_opened"].function(frame, rows=4, seed=1))
    client = ask(portal)
    about = land(client, client.release(LIVE), Window(LIVE, UNDATED), tmp_path)
    described = fingerprints(client.cells(LIVE), LAST_MONTH)[UNDATED]
    assert (described.rows, described.digest) == (7, about.fingerprint)


def test_a_label_that_is_null_and_one_that_is_empty_are_one_as_in_an_export():
    null = Cell("2025-08", None, "A type", 2, 1, 0, *["2025-08-25T15:03:00Z"] * 4)
    empty = replace(null, department="", rows=3)
    one = replace(null, rows=5, closed=2)
    assert of_month([null, empty]) == of_month([one])


@given(cells=some_cells, data=st.data())
def test_the_order_of_cells_is_nothing(cells, data):
    assert of_month(data.draw(st.permutations(cells))) == of_month(cells)


@pytest.mark.parametrize("field", [each.name for each in fields(Cell) if each.name != "month"])
@given(cells=some_cells, data=st.data())
def test_any_change_of_a_cell_shows(field, cells, data):
    place = data.draw(st.integers(0, len(cells) - 1))
    value = getattr(cells[place], field)
    changed = replace(cells[place], **{field: value + 1 if isinstance(value, int) else "another"})
    assert of_month([*cells[:place], changed, *cells[place + 1 :]]).digest != of_month(cells).digest


@given(cells=some_cells)
def test_a_fingerprint_sums_its_cells(cells):
    month = of_month(cells)
    assert (month.rows, month.closed) == (sum(cell.rows for cell in cells), sum(cell.closed for cell in cells))
    assert month.latest == max((cell.latest for cell in cells if cell.latest), default=None)


def test_months_are_told_apart_and_those_outside_the_record_are_undated():
    cells = [
        Cell(month, "ENG", "Noise Case", 1, 0, 0, None, None, None, None)
        for month in ("2009-05", "2009-06", "2026-01", "2026-02", None)
    ]
    rows = {month: each.rows for month, each in fingerprints(cells, LAST_MONTH).items()}
    assert rows == {"2009-06": 1, "2026-01": 1, UNDATED: 3}


COLUMNS = {
    "department": ["ENG", "DBL", None],
    "service_request_type": ["Noise Case"],
    "service_request_close_date": ["2025-08-26", None],
    "latitude": ["49.2", None],
    "service_request_open_timestamp": [f"2025-08-01T0{hour}:00:00Z" for hour in (1, 2, 3)],
    "last_modified_timestamp": ["2025-08-01T10:00:00Z", "2025-08-02T10:00:00Z", None],
}


@given(rows=st.lists(st.tuples(*map(st.sampled_from, COLUMNS.values())), max_size=20))
def test_landed_rows_fold_like_the_cells_they_make(rows):
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows], schema)
    cells = [
        Cell(
            "2025-08",
            department,
            kind,
            1,
            int(closed is not None),
            int(latitude is not None),
            *[opened] * 2,
            *[last] * 2,
        )
        for department, kind, closed, latitude, opened, last in rows
    ]
    assert fingerprint_of(table) == fingerprints(cells, LAST_MONTH).get("2025-08", EMPTY)


@pytest.mark.parametrize(
    "text", ["2025-08-26T10:00:00+00:00", "2025-08-26T03:00:00-07:00", "2025-08-26T10:00:00Z", "2025-08-26T10:00:00"]
)
def test_however_the_portal_writes_an_instant_the_fingerprint_is_the_same(served, text):
    plain = fingerprint_of(pa.Table.from_pandas(served({"last_modified_timestamp": "2025-08-26T10:00:00Z"})))
    assert fingerprint_of(pa.Table.from_pandas(served({"last_modified_timestamp": text}))) == plain


def test_text_that_is_no_instant_makes_the_fingerprint_differ_and_does_not_fail(served):
    garbled = fingerprint_of(pa.Table.from_pandas(served({"last_modified_timestamp": "soon"})))
    assert garbled.digest != fingerprint_of(pa.Table.from_pandas(served({}))).digest
