"""Requests by filter, page by page: each once, in order, and those that pass; and one request with all that is remembered."""

import json
import math
import re
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, shape

from vanc311_pipeline_tests.integration.api.conftest import Api, Row, as_csv, change

AREAS = ["Kitsilano", "Downtown", "Arbutus Ridge"]
ISSUES = ["Abandoned Mattress Case", "Missed Green Bin Pickup Case", "Business Licence Request Case"]
DEPARTMENTS = ["ENG - Sanitation Services", "311 Contact Centre", "ENG", "pr"]
STREETS = ["W 12TH AV", "CAMBIE ST", "E 2ND AV", "main st"]
ADDRESSES = ["453 W 12TH AV", "2000 W GEORGIA ST", "0 to 0 BURRARD BRIDGE"]
BIAS = ["Downtown Vancouver BIA", "Dunbar Village BIA", "Hastings - North BIA"]
POINTS = ["49.2827,-123.1207", "49.2485,-123.1007"]
AS_ADDED = ("outcome", "place", "bias", "over")
P90 = "SELECT p90_days FROM time_to_close AS t WHERE t.level = 'issue' AND t.scope = 'all' AND t.issue_type = r.issue_type AND t.period = "
OVER = f"""
    CASE WHEN status = 'Open' THEN julianday((SELECT as_of FROM release)) - julianday(opened_on)
         - coalesce(({P90} 'last_12_months'), ({P90} 'all')) END
"""
"""How many days longer an open request is open than nine in ten of its type took."""
OUTCOME_OF = "(SELECT outcome FROM outcome_mapping AS m WHERE m.closure_reason = coalesce(r.closure_reason, 'N/A'))"


def streets(address: str | None) -> set[str]:
    """Without what stands before the first word that has a letter other than of `to`."""
    return {re.sub(r"^[0-9 to]*(?=[A-Z])", "", part) for part in (address or "").split(" and ")}


def place_on_earth(latitude: float, longitude: float) -> tuple[float, float, float]:
    """A point of WGS 84's ellipsoid in metres from its middle."""
    north, east, squared = math.radians(latitude), math.radians(longitude), 0.0066943799901413165
    radius = 6_378_137 / math.sqrt(1 - squared * math.sin(north) ** 2)
    flat = radius * math.cos(north)
    return flat * math.cos(east), flat * math.sin(east), radius * (1 - squared) * math.sin(north)


def distance(row: Row, point: str) -> float:
    """A chord, which is as long as the way to within a millimetre."""
    if row["latitude"] is None:
        return math.inf
    latitude, longitude = map(float, point.split(","))
    return math.dist(place_on_earth(latitude, longitude), place_on_earth(row["latitude"], row["longitude"]))


days = st.dates(min_value=date(2023, 11, 1), max_value=date(2026, 1, 31)).map(str)

# What each filter means, in words that are not the program's, and what is asked of it.
FILTERS: dict[str, tuple[Callable[[Row, Any], bool], st.SearchStrategy[str]]] = {
    "area": (lambda row, area: row["local_area"] == area, st.sampled_from(AREAS)),
    "issue": (lambda row, issue: row["issue_type"] == issue, st.sampled_from(ISSUES)),
    "department": (
        lambda row, asked: row["department"] == asked or row["department"].split(" - ")[0] == asked.upper(),
        st.sampled_from(DEPARTMENTS),
    ),
    "street": (lambda row, street: street.upper() in streets(row["address"]), st.sampled_from(STREETS)),
    "address": (lambda row, address: row["address"] == address, st.sampled_from(ADDRESSES)),
    "bia": (lambda row, bia: bia in row["bias"], st.sampled_from(BIAS)),
    "near": (lambda row, point: distance(row, point) <= 500, st.sampled_from(POINTS)),
    "overdue": (lambda row, _: row["over"] is not None and row["over"] > 0, st.just("yes")),
    "status": (lambda row, status: row["status"] == status, st.sampled_from(["Open", "Close"])),
    "channel": (lambda row, channel: row["channel"] == channel, st.sampled_from(["WEB", "Phone", "Mail Out"])),
    "closure_reason": (
        lambda row, reason: row["status"] == "Close" and (row["closure_reason"] or "N/A") == reason,
        st.sampled_from(["Service provided", "N/A", "Insufficient info"]),
    ),
    "outcome": (
        lambda row, outcome: row["status"] == "Close" and row["outcome"] == outcome,
        st.sampled_from(["Service recorded as provided", "No service or no action recorded"]),
    ),
    "opened_from": (lambda row, day: row["opened_on"] >= day, days),
    "opened_to": (lambda row, day: row["opened_on"] <= day, days),
    "closed_from": (lambda row, day: row["closed_on"] is not None and row["closed_on"] >= day, days),
    "closed_to": (lambda row, day: row["closed_on"] is not None and row["closed_on"] <= day, days),
    "located": (lambda row, yes: (row["local_area"] is not None) == (yes == "yes"), st.sampled_from(["yes", "no"])),
}
filters = st.fixed_dictionaries({}, optional={name: values for name, (_, values) in FILTERS.items()})


@pytest.fixture(scope="module")
def stored(api: Api) -> list[Row]:
    """Every request, oldest first, with its outcome, its place in the file, what it lies in, and by how much it is overdue."""
    text = files("vanc311_pipeline").joinpath("layers/business_improvement_areas.geojson").read_text()
    outlines = [(each["properties"]["name"], shape(each["geometry"])) for each in json.loads(text)["features"]]
    rows = api.select(
        f"""SELECT r.*, r.rowid AS place, {OUTCOME_OF} AS outcome, {OVER} AS over FROM service_requests AS r
            ORDER BY opened_on, rowid"""
    )
    for row in rows:
        at = Point(row["longitude"], row["latitude"]) if row["latitude"] is not None else None
        row["bias"] = {name for name, outline in outlines if at and outline.contains(at)}
    return rows


def passing(stored: list[Row], asked: dict[str, Any]) -> list[Row]:
    rows = [row for row in stored if all(FILTERS[name][0](row, value) for name, value in asked.items())]
    if {"closed_from", "closed_to"} & asked.keys():
        rows.sort(key=lambda row: (row["closed_on"], row["place"]))
    return list(map(served, rows))


def served(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in AS_ADDED}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=filters, limit=st.sampled_from([97, 400, 1000]), order=st.sampled_from(["newest", "oldest"]))
def test_pages_hold_every_request_that_passes_once_and_in_order(
    api: Api, stored: list[Row], asked: dict[str, Any], limit: int, order: str
) -> None:
    expected = passing(stored, asked)
    rows = api.rows("/requests", limit=limit, order=order, **asked)
    assert rows == (expected if order == "oldest" else expected[::-1])


@settings(max_examples=settings().max_examples // 3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=filters)
def test_csv_and_the_count_are_of_the_same_requests(api: Api, stored: list[Row], asked: dict[str, Any]) -> None:
    expected = passing(stored, asked)
    assert api.csv_rows("/requests", order="oldest", **asked) == as_csv(expected)
    assert api.answer("/requests", count="yes", limit=1, **asked)["meta"]["total"] == len(expected)


@pytest.mark.parametrize(
    "filters", [{}, {"area": "Kitsilano"}, {"department": "ENG"}, {"bia": "Downtown Vancouver BIA"}], ids=str
)
def test_open_ones_come_by_their_age_or_by_how_much_they_are_overdue(api: Api, stored: list[Row], filters: Row) -> None:
    waiting = [
        row
        for row in stored
        if row["status"] == "Open" and all(FILTERS[name][0](row, value) for name, value in filters.items())
    ]
    assert api.rows("/requests", order="longest", limit=300, **filters) == list(map(served, waiting))
    waiting.sort(key=lambda row: (-math.inf if row["over"] is None else row["over"], row["place"]), reverse=True)
    expected = list(map(served, waiting))
    assert api.rows("/requests", order="overdue", limit=97, **filters) == expected
    assert [row["request_id"] for row in api.rows("/requests/open", order="overdue", limit=97, **filters)] == [
        row["request_id"] for row in expected
    ]
    assert not filters or 0 < len(waiting) < 424


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("radius", [100, 500, 2000])
def test_what_is_near_is_so_by_another_formula_and_the_closest_come_first(
    api: Api, stored: list[Row], point: str, radius: int
) -> None:
    away = {row["request_id"]: distance(row, point) for row in stored}
    rows = api.rows("/requests", near=point, radius=radius, order="closest", limit=97)
    ids = [row["request_id"] for row in rows]
    assert len(ids) == len(set(ids)) > 0
    assert {id_ for id_, metres in away.items() if metres <= radius - 1} <= set(ids)
    assert {id_ for id_, metres in away.items() if metres <= radius + 1} >= set(ids)
    distances = [away[id_] for id_ in ids]
    assert all(later > earlier - 1 for earlier, later in pairwise(distances))


@pytest.mark.parametrize(
    ("asked", "status", "kind"),
    [
        ({"order": "closest"}, 404, "no-point"),
        ({"radius": 100}, 404, "no-point"),
        ({"near": "north"}, 422, "invalid-parameters"),
        ({"near": POINTS[0], "radius": 2001}, 422, "invalid-parameters"),
    ],
)
def test_what_is_around_a_point_needs_one_and_has_a_bound(api: Api, asked: Row, status: int, kind: str) -> None:
    refusal = api.get("/requests", **asked)
    assert (refusal.status_code, refusal.json()["type"]) == (status, f"/api/v1/problems#{kind}")


def test_an_unknown_address_is_told_what_comes_near(api: Api) -> None:
    refusal = api.get("/requests", address="454 W 12th Av")
    assert (refusal.status_code, refusal.json()["errors"][0]["suggestions"][0]) == (404, "453 W 12TH AV")
    assert api.rows("/requests", address="453 w 12th av") == api.rows("/requests", address="453 W 12TH AV") != []


def test_the_csv_of_any_page_is_of_all_rows(api: Api) -> None:
    first = api.answer("/requests", area="Kitsilano", limit=7)
    for page in (first, api.answer(first["links"]["next"])):
        lines = api.get(page["links"]["csv"]).text.splitlines()
        assert len(lines) - 1 == api.value("SELECT count(*) FROM service_requests WHERE local_area = 'Kitsilano'")


def test_a_page_of_csv_leads_to_the_next(api: Api) -> None:
    first = api.get("/requests", format="csv", limit=10)
    assert len(first.text.splitlines()) == 11
    following = first.links["next"]["url"]
    second = api.get(following)
    assert second.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    both = first.text.splitlines()[1:] + second.text.splitlines()[1:]
    assert len(both) == len(set(both)) == 20


def test_open_requests_come_oldest_first_with_where_they_stand(api: Api) -> None:
    rows = api.rows("/requests/open", limit=300)
    assert rows == api.select(
        """
        SELECT r.*, max(0, CAST(julianday((SELECT as_of FROM release)) - julianday(opened_on) AS INTEGER)) AS days_open,
               s.period, s.n, s.followed, s.closed_sooner_share, s.further_median, s.state
        FROM service_requests AS r LEFT JOIN open_request_standing AS s USING (request_id)
        WHERE r.status = 'Open' ORDER BY opened_on, r.rowid
        """
    )
    assert rows[0]["days_open"] > rows[-1]["days_open"]
    of_area = api.rows("/requests/open", area="Kitsilano", located="yes")
    assert of_area == [row for row in rows if row["local_area"] == "Kitsilano"]


def test_what_was_opened_since_has_been_open_for_no_days(own_file: Path, serve: Callable[[Path], Api]) -> None:
    change(own_file, "UPDATE release SET as_of = (SELECT min(opened_on) FROM service_requests WHERE status = 'Open')")
    api = serve(own_file)
    assert {row["days_open"] for row in api.rows("/requests/open", limit=300)} == {0}
    assert api.select("SELECT DISTINCT days_open FROM open_requests_oldest_first") == [{"days_open": 0}]


def test_a_request_comes_with_its_standing(api: Api) -> None:
    one = api.rows("/requests/open", limit=1000)[-1]
    request = api.answer(f"/requests/{one['request_id']}")["data"]
    assert request["state"] == "present"
    assert request["request"]["opened_at"] == one["opened_at"]
    assert request["standing"]["followed"] == one["followed"]
    assert request["history"] == []


CHANGE = """
    INSERT INTO request_changes (change_id, kind, request_id, previous_request_id, thread_id, partition_month, department,
                                 issue_type, opened_at, sharing, before, after, seen_at, data_processed, run_id)
    SELECT {number}, '{kind}', {id}, {previous}, {thread}, partition_month, department, issue_type, opened_at, {sharing},
           {before}, {after}, '{seen}', '2026-01-13T14:06:58Z', 'a run' FROM service_requests ORDER BY rowid LIMIT 1
"""


def changed(number: int, kind: str, **values: Any) -> str:
    defaults = {
        "id": "request_id", "previous": "NULL", "thread": "request_id", "sharing": 1, "before": "NULL", "after": "NULL",
        "seen": "2026-01-13T15:00:00Z",
    }  # fmt: skip
    return CHANGE.format(number=number, kind=kind, **defaults | values)


def test_which_of_several_that_share_their_log_was_renamed_is_not_guessed(own_file, serve) -> None:
    old = "a" * 64
    change(own_file, changed(1, "relabelled", previous=f"'{old}'", sharing=2, after="""'{"issue_type":"x"}'"""))
    request = serve(own_file).answer(f"/requests/{old}")["data"]
    assert (request["state"], request["renamed_to"]) == ("gone", None)
    assert [line["kind"] for line in request["history"]] == ["relabelled"]


def test_a_request_is_found_by_an_id_that_it_had(own_file, serve) -> None:
    old, gone = "a" * 64, "b" * 64
    change(
        own_file,
        changed(1, "edited", before="""'{"latitude":49.1}'""", after="""'{"latitude":49.2}'"""),
        changed(2, "relabelled", previous=f"'{old}'", after="""'{"issue_type":"x"}'""", seen="2026-01-14T15:00:00Z"),
        changed(3, "vanished", id=f"'{gone}'", thread=f"'{gone}'", before="""'{"status":"Open"}'""", seen="2026-01-15T15:00:00Z"),
    )  # fmt: skip
    api = serve(own_file)
    one = api.value("SELECT request_id FROM service_requests ORDER BY rowid LIMIT 1")
    renamed = api.answer(f"/requests/{old}")["data"]
    assert (renamed["state"], renamed["renamed_to"], renamed["request"]) == ("renamed", one, None)
    assert [line["kind"] for line in renamed["history"]] == ["edited", "relabelled"]
    assert renamed["history"][0]["after"] == 49.2
    assert api.answer(f"/requests/{one}")["data"]["history"] == renamed["history"]
    assert api.answer(f"/requests/{gone}")["data"]["state"] == "gone"
    assert api.get(f"/requests/{'c' * 64}").status_code == 404


def ids(rows: list[Row]) -> list[int]:
    return [row["change_id"] for row in rows]


def test_the_log_is_followed_from_release_to_release_without_a_gap_and_nothing_comes_twice(own_file, serve) -> None:
    gone = "b" * 64
    change(
        own_file,
        changed(1, "edited", before="""'{"local_area":"Sunset"}'""", after="""'{"local_area":"Kitsilano"}'"""),
        changed(2, "relabelled", previous=f"'{'a' * 64}'", before="""'{"issue_type":"x"}'""", seen="2026-01-14T15:00:00Z"),
        changed(3, "vanished", id=f"'{gone}'", thread=f"'{gone}'", before="""'{"local_area":"Sunset"}'""", seen="2026-01-15T15:00:00Z"),
        changed(4, "opened", id=f"'{gone}'", thread=f"'{gone}'", after="""'{"local_area":null}'""", seen="2026-01-15T15:00:00Z"),
        "UPDATE service_requests SET local_area = 'Kitsilano' WHERE rowid = (SELECT min(rowid) FROM service_requests)",
    )  # fmt: skip
    api = serve(own_file)
    rows = api.rows("/changes", limit=1)
    assert ids(rows) == [1, 2, 3, 4]
    assert [(row["before"], row["after"]) for row in rows[::3]] == [
        ({"local_area": "Sunset"}, {"local_area": "Kitsilano"}), (None, {"local_area": None})
    ]  # fmt: skip
    assert api.csv_rows("/changes", kind="vanished")[0]["before"] == '{"local_area":"Sunset"}'
    assert ids(api.rows("/changes", since="2026-01-14T15:00:00Z")) == [2, 3, 4]
    assert ids(api.rows("/changes", since="2026-01-15", kind="opened")) == [4]
    assert ids(api.rows("/changes", area="kitsilano")) == [1, 2]
    assert ids(api.rows("/changes", area="Sunset")) == [1, 3]
    assert ids(api.rows("/changes", area="Sunset", after=1, limit=1)) == [3]
    assert api.get("/changes", area="Nowhere").status_code == 404

    cursor = parse_qs(urlsplit(api.answer("/changes", limit=2)["links"]["next"]).query)["cursor"][0]
    assert ids(api.answer("/changes", limit=2, cursor=cursor)["data"]) == [3, 4]
    for path, asked in (("/requests", {}), ("/changes", {"after": 1}), ("/changes", {"kind": "edited"})):
        assert api.get(path, limit=2, cursor=cursor, **asked).status_code == 404
    change(own_file, changed(5, "edited", seen="2026-01-16T15:00:00Z"))
    assert api.get("/changes", limit=2, cursor=cursor).status_code == 409
    assert ids(api.rows("/changes", after=4)) == [5]
