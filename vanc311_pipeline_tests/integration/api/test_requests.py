"""Requests by filter, page by page: each once, in order, and those that pass; and one request with all that is remembered."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vanc311_pipeline_tests.integration.api.conftest import Api, Row, as_csv, change

AREAS = ["Kitsilano", "Downtown", "Arbutus Ridge"]
ISSUES = ["Abandoned Mattress Case", "Missed Green Bin Pickup Case", "Business Licence Request Case"]
DEPARTMENTS = ["ENG - Sanitation Services", "311 Contact Centre"]
OUTCOME_OF = "(SELECT outcome FROM outcome_mapping AS m WHERE m.closure_reason = coalesce(r.closure_reason, 'N/A'))"

days = st.dates(min_value=date(2023, 11, 1), max_value=date(2026, 1, 31)).map(str)

# What each filter means, in words that are not the program's, and what is asked of it.
FILTERS: dict[str, tuple[Callable[[Row, Any], bool], st.SearchStrategy[str]]] = {
    "area": (lambda row, area: row["local_area"] == area, st.sampled_from(AREAS)),
    "issue": (lambda row, issue: row["issue_type"] == issue, st.sampled_from(ISSUES)),
    "department": (lambda row, department: row["department"] == department, st.sampled_from(DEPARTMENTS)),
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
    """Every request, oldest first, with its outcome and its place in the file."""
    return api.select(
        f"SELECT r.*, r.rowid AS place, {OUTCOME_OF} AS outcome FROM service_requests AS r ORDER BY opened_on, rowid"
    )


def passing(stored: list[Row], asked: dict[str, Any]) -> list[Row]:
    rows = [row for row in stored if all(FILTERS[name][0](row, value) for name, value in asked.items())]
    if {"closed_from", "closed_to"} & asked.keys():
        rows.sort(key=lambda row: (row["closed_on"], row["place"]))
    return [{name: value for name, value in row.items() if name not in ("outcome", "place")} for row in rows]


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


def test_a_request_is_found_by_an_id_that_it_had_and_the_feed_goes_on_where_it_ended(own_file, serve) -> None:
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
    assert [row["change_id"] for row in api.rows("/changes", limit=1)] == [1, 2, 3]
    assert [row["change_id"] for row in api.rows("/changes", since="2026-01-14T15:00:00Z")] == [2, 3]
    assert [row["change_id"] for row in api.rows("/changes", since="2026-01-15")] == [3]
    assert [row["change_id"] for row in api.rows("/changes", kind="edited")] == [1]
