"""Claims about the places in the published file: each address with its point once, wherever one of them is missing, with its requests."""

import json
from collections import defaultdict
from importlib.resources import files

import pytest
from shapely.geometry import Point, shape

from vanc311_pipeline.reading.places import streets_of
from vanc311_pipeline.warehouse.places import fill_places
from vanc311_pipeline.warehouse.sqlite import open_new
from vanc311_pipeline_tests.integration.planting import answers


@pytest.mark.parametrize(
    ("address", "streets"),
    [
        ("1946 YORK AV", ("YORK AV", None)),
        ("1800 to 1800 TRIUMPH ST", ("TRIUMPH ST", None)),
        ("0 to 0 BURRARD BRIDGE", ("BURRARD BRIDGE", None)),
        ("1900 MAIN ST and E 2ND AV", ("MAIN ST", "E 2ND AV")),
        ("12A W 47TH AV", ("W 47TH AV", None)),
        ("STANLEY PARK DRIVE", ("STANLEY PARK DRIVE", None)),
        ("7", ("7", None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_the_street_of_an_address_has_no_numbers(address, streets):
    assert streets_of(address) == streets


def test_places_are_every_address_with_its_point_even_where_one_is_missing(copied):
    file = copied.published_path
    odd = [("1 ODD ST", None, None), (None, 49.2827, -123.1207), ("1 ODD ST", 49.2827, -123.1207)]
    for row, (address, latitude, longitude) in enumerate(odd * 2, 1):
        where = f"rowid = (SELECT rowid FROM service_requests WHERE address IS NULL LIMIT 1 OFFSET {row * 7})"
        answers(
            file,
            f"UPDATE service_requests SET address = ?, latitude = ?, longitude = ? WHERE {where}",
            address,
            latitude,
            longitude,
        )
    answers(file, "DELETE FROM places")
    with open_new(file) as connection:
        fill_places(connection)

    text = files("vanc311_pipeline").joinpath("layers/business_improvement_areas.geojson").read_text()
    outlines = [(each["properties"]["name"], shape(each["geometry"])) for each in json.loads(text)["features"]]
    expected = defaultdict(lambda: [0, 0])
    columns = "address, latitude, longitude, status = 'Open'"
    for *at, is_open in answers(
        file, f"SELECT {columns} FROM service_requests WHERE address IS NOT NULL OR latitude IS NOT NULL"
    ):
        expected[tuple(at)][0] += 1
        expected[tuple(at)][1] += is_open
    rows = answers(
        file, "SELECT address, latitude, longitude, requests, open_requests, business_improvement_area FROM places"
    )
    assert {tuple(row[:3]): list(row[3:5]) for row in rows} == expected
    assert len(rows) == len(expected)
    for _, latitude, longitude, *_, area in rows:
        inside = {name for name, outline in outlines if latitude and outline.intersects(Point(longitude, latitude))}
        assert area in inside if inside else area is None
    assert {row[5] for row in rows if row[:3] == ("1 ODD ST", 49.2827, -123.1207)} == {"Downtown Vancouver BIA"}
    latitudes = [
        row[0] for row in answers(file, "SELECT latitude FROM places WHERE latitude IS NOT NULL ORDER BY place")
    ]
    assert latitudes == sorted(latitudes)


def test_a_places_area_is_that_of_its_first_request(synced):
    asked = """SELECT count(*) FROM places AS p WHERE local_area IS NOT (
        SELECT local_area FROM service_requests AS r WHERE r.address IS p.address AND r.latitude IS p.latitude
        AND r.longitude IS p.longitude ORDER BY r.rowid LIMIT 1)"""
    assert answers(synced.published_path, asked) == [(0,)]


def test_an_open_request_is_overdue_by_the_last_12_months_if_they_say_enough_else_by_all(copied):
    one, other = "Abandoned Mattress Case", "Missed Green Bin Pickup Case"
    file, group = copied.published_path, "WHERE level = 'issue' AND scope = 'all' AND issue_type"
    answers(file, f"UPDATE time_to_close SET p90_days = 5, n = 77 {group} = ? AND period = 'last_12_months'", one)
    answers(file, f"UPDATE time_to_close SET p90_days = 9, n = 88 {group} IN (?, ?) AND period = 'all'", one, other)
    answers(file, f"UPDATE time_to_close SET p90_days = NULL {group} = ? AND period = 'last_12_months'", other)
    limits = {row[0]: row[1:] for row in answers(file, "SELECT * FROM overdue_limits")}
    assert limits[one] == ("last_12_months", 77, 5, "2026-01-07")
    assert limits[other] == ("all", 88, 9, "2026-01-03")
    judged = "p90_days IS NOT NULL AND period IN ('all', 'last_12_months')"
    known = answers(file, f"SELECT count(DISTINCT issue_type) FROM time_to_close {group} IS NOT NULL AND {judged}")
    assert [(len(limits),)] == known
