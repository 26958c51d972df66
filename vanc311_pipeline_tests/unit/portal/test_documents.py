"""Claims about the portal's documents: each is read as typed values or refused in one sentence, whatever it is."""

import json
import tracemalloc
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanc311_pipeline.errors import EXIT_PORTAL, PortalUnavailable
from vanc311_pipeline.portal.contract import Release, canonical_instant, instant
from vanc311_pipeline.portal.documents import Area, Cell, areas_of, cells_of, instants_of, release_of, total_count_of

METADATA = {
    "metas": {"default": {"data_processed": "2026-08-16T07:06:58-07:00", "records_count": 7}},
    "fields": [{"name": "department", "type": "text", "label": "Department"}],
}
GROUP = {
    "month": "2025-08", "department": "ENG", "service_request_type": "Graffiti", "n": 3, "closed": 2, "points": 1,
    "first_opened": "2025-08-01T07:00:00+00:00", "last_opened": "2025-08-27T11:00:00-07:00",
    "earliest": "2025-08-02T07:00:00+00:00", "latest": "2025-08-27T18:56:08+00:00",
}  # fmt: skip
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
AREA = {"properties": {"name": "Kitsilano ", "geo_point_2d": {"lat": 49.2, "lon": -123}}, "geometry": SQUARE}

READERS = {
    "metadata": lambda body: release_of("S", body),
    "count": lambda body: total_count_of("S", body),
    "groups": lambda body: cells_of("S", body),
    "pairs": lambda body: instants_of("S", body),
    "areas": areas_of,
}


def test_each_document_gives_its_values():
    assert READERS["metadata"](json.dumps(METADATA).encode()) == Release(
        "S", "2026-08-16T14:06:58Z", 7, (("department", "text"),)
    )
    assert READERS["count"](b'\xef\xbb\xbf{"total_count": 0, "results": []}') == 0
    assert READERS["groups"](json.dumps([GROUP, {"n": 1, "closed": 0, "points": 0}]).encode()) == [
        Cell("2025-08", "ENG", "Graffiti", 3, 2, 1, *map(canonical_instant, list(GROUP.values())[-4:])),
        Cell(None, None, None, 1, 0, 0, None, None, None, None),
    ]
    pair = {"service_request_open_timestamp": None, "last_modified_timestamp": "2025-08-27T18:56:08+00:00", "n": 2}
    assert READERS["pairs"](json.dumps([pair]).encode()) == {(None, "2025-08-27T18:56:08Z"): 2}
    [area] = READERS["areas"](json.dumps({"features": [AREA]}).encode())
    assert area == Area("Kitsilano", 49.2, -123, json.dumps(SQUARE, separators=(",", ":")))


def metadata(**values) -> bytes:
    return json.dumps({**METADATA, "metas": {"default": {**METADATA["metas"]["default"], **values}}}).encode()


def group(**values) -> bytes:
    return json.dumps([GROUP, {**GROUP, **values}]).encode()


def area(**values) -> bytes:
    return json.dumps({"features": [{**AREA, **values}]}).encode()


def named(name) -> bytes:
    return area(properties={**AREA["properties"], "name": name})


def shaped(*corners) -> bytes:
    return area(geometry={"type": "Polygon", "coordinates": [corners]})


NO_DOCUMENT = {
    "nothing": b"",
    "null": b"null",
    "a text": b'"whole"',
    "a number without end": b"1e999",
    "a web page": b"<html></html>",
    "half a document": b'{"total_count": 1, "resu',
    "UTF-16": '{"total_count": 1}'.encode("utf-16"),
    "100,000 arrays in each other": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects in each other": b'{"metas":' * 100_000,
    "10,000 digits": b'{"total_count": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", NO_DOCUMENT)
def test_what_is_no_document_is_refused(reader, what):
    with pytest.raises(PortalUnavailable, match=r"The portal's .* can't be read: .*Nothing of it was taken over\.$"):
        READERS[reader](NO_DOCUMENT[what])


MALFORMED = [
    *(("metadata", metadata(records_count=count)) for count in (-1, True, 1.5, "7", None, float("inf"), 10**400, 10**12)),
    *(
        ("metadata", metadata(data_processed=moment))
        for moment in ("", "soon", None, 1_767_225_600, "9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00+08:00")
    ),
    ("metadata", b'{"metas": [], "fields": []}'),
    ("metadata", json.dumps({**METADATA, "fields": None}).encode()),
    ("metadata", json.dumps({**METADATA, "fields": ["department"]}).encode()),
    ("metadata", json.dumps({**METADATA, "fields": [{"name": 7, "type": "text"}]}).encode()),
    *(("count", json.dumps({"total_count": count}).encode()) for count in (-1, True, "1", None, float("nan"))),
    *(("groups", group(month=month)) for month in (7, [], "2024-13", "2024-01/../../x", "２０２４-01", "2024-01\n")),
    *(("groups", group(n=count)) for count in (-1, True, 2.5, "3", None)),
    ("groups", group(department=["ENG"])),
    ("groups", group(latest=7)),
    ("groups", group(points=-1)),
    ("groups", b'[["2025-08", "ENG", 3]]'),
    ("groups", b"[null]"),
    *(("areas", named(name)) for name in (None, 7, "", " ", "\ud800")),
    *(("areas", area(geometry=geometry)) for geometry in (None, [], {}, {"type": "Point", "coordinates": [0, 0]})),
    ("areas", shaped([0, 0], [1, 0], [1, float("nan")], [0, 0])),
    ("areas", shaped([0, 0], [1, 0], [1, 1e999], [0, 0])),
    ("areas", shaped([0, 0], [1, 1], [1, 0], [0, 1], [0, 0])),
    ("areas", shaped()),
    ("areas", area(properties={"name": "Kitsilano", "geo_point_2d": {"lat": float("nan"), "lon": -123}})),
    ("areas", area(properties={"name": "Kitsilano", "geo_point_2d": None})),
    ("areas", b'{"type": "FeatureCollection"}'),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "body"), MALFORMED, ids=[f"{reader} {body[-90:]}" for reader, body in MALFORMED])
def test_a_value_that_is_none_is_refused_with_the_portals_exit_code(reader, body):
    with pytest.raises(PortalUnavailable, match="can't be read") as refused:
        READERS[reader](body)
    assert refused.value.exit_code == EXIT_PORTAL
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("reader", "around"), [("groups", "%s"), ("areas", '{"features": %s}'), ("metadata", '{"fields": %s}')]
)
def test_of_many_wrong_lines_the_first_is_told_and_no_other_is_kept(reader, around):
    body = (around % ("[" + "7," * 30_000 + "7]")).encode()
    tracemalloc.start()
    try:
        with pytest.raises(PortalUnavailable, match=r"Input should be|Field required"):
            READERS[reader](body)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(body)
    finally:
        tracemalloc.stop()


def test_a_month_of_a_far_future_is_none_of_ours():
    [_, cell] = cells_of("S", group(month="12024-01"))
    assert cell.month is None


def test_a_release_of_long_after_the_portals_own_clock_is_refused():
    body = json.dumps(METADATA).encode()
    clock = instant(READERS["metadata"](body).data_processed)
    assert release_of("S", body, clock - timedelta(days=366)).records_count
    with pytest.raises(PortalUnavailable, match="the portal's clock says"):
        release_of("S", body, clock - timedelta(days=367))


@pytest.mark.parametrize("written", [b"\xed\xa0\x80", rb"\ud800"], ids=["as bytes", "as an escape"])
def test_a_damaged_name_reads_as_in_an_export(written):
    [cell] = cells_of("S", b'[{"department": "ENG %s", "n": 1, "closed": 0, "points": 0}]' % written)
    assert cell.department == b"ENG \xed\xa0\x80".decode("utf-8", "replace")


@pytest.mark.parametrize("text", ["soon", "9999-12-31T23:59:59-08:00"])
def test_an_instant_of_a_row_that_is_none_stays_as_it_is_and_stops_nothing(text):
    [_, cell] = cells_of("S", group(latest=text))
    assert cell.latest == text


def test_field_names_obey_no_terminal():
    document = {**METADATA, "fields": [{"name": "\x1b[2Jdepartment", "type": "text\u202e"}]}
    assert release_of("S", json.dumps(document).encode()).fields == ((r"\x1b[2Jdepartment", r"text\u202e"),)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["Polygon", "2024-01"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


def put(document, path, value):
    """The document with something else at a path."""
    if not path:
        return value
    key, *rest = path
    if isinstance(document, list):
        return [put(item, rest, value) if place == key else item for place, item in enumerate(document)]
    return {**document, key: put(document[key], rest, value)}


def paths(document, here=()):
    """Every place in a document."""
    yield here
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from paths(document[key], (*here, key))


PLAUSIBLE = {"metadata": METADATA, "count": {"total_count": 1}, "groups": [GROUP], "areas": {"features": [AREA]}}
PLACES = [(reader, path) for reader, document in PLAUSIBLE.items() for path in paths(document)]


@given(place=st.sampled_from(PLACES), value=anything)
def test_anything_anywhere_gives_values_or_one_sentence(place, value):
    reader, path = place
    with suppress(PortalUnavailable):
        READERS[reader](json.dumps(put(PLAUSIBLE[reader], path, value)).encode())


@given(body=st.binary() | st.text().map(str.encode), reader=st.sampled_from(list(READERS)))
def test_any_bytes_give_values_or_one_sentence(body, reader):
    with suppress(PortalUnavailable):
        READERS[reader](body)
