"""Every number of the API is the table's, in JSON and in CSV. That the tables agree is for the audits to prove."""

import json
from urllib.parse import quote

import pytest

from vanc311_pipeline.metric_definitions import METRICS
from vanc311_pipeline.schema import metadata
from vanc311_pipeline_tests.integration.api.conftest import Api, as_csv

TABLES = {
    "/metrics": "metric_aggregates", "/metrics/areas": "metrics_by_neighbourhood",
    "/metrics/unlocated": "metrics_unlocated", "/periods": "periods", "/outcomes/reasons": "closure_reasons",
    "/outcomes/mapping": "outcome_mapping", "/comparison": "area_comparison", "/comparison/mix": "area_issue_mix",
    "/quality": "quality_ledger", "/quality/batch-days": "batch_days", "/quality/corrections": "corrections",
    "/changes": "request_changes", "/definitions": "metric_definitions",
    "/dictionary": "dictionary", "/integrity/months": "convergence", "/integrity/ledger": "month_ledger",
    "/integrity/losses": "accepted_losses", "/integrity/breaks": "series_breaks", "/integrity/readings": "deep_readings",
    "/integrity/checks": "check_results", "/integrity/quarantine": "quarantined_requests",
}  # fmt: skip
GROUPED = {
    "/time-to-close": "time_to_close", "/time-to-close/without": "time_to_close_without",
    "/time-to-close/curve": "time_to_close_curves",
    "/time-to-close/by-weekday": "time_to_close_by_weekday", "/time-to-close/current": "current_speed",
    "/waiting-times": "waiting_times", "/trends": "monthly_series", "/trends/year-on-year": "year_on_year",
    "/trends/speed-on-year": "speed_on_year", "/reporting/times": "reporting_times", "/reporting/channels": "channels",
    "/reporting/rates": "area_rates",
    "/trends/vintages": "figure_vintages", "/trends/revisions": "revisions",
    "/backlog": "backlog_by_age", "/backlog/daily": "backlog_daily", "/backlog/flow": "flow", "/outcomes": "outcomes",
    "/outcomes/incidence": "outcome_incidence",
}  # fmt: skip
SCOPE = {table: "scope" if "scope" in metadata.tables[table].c else "NULL" for table in GROUPED.values()}
AREA, ISSUE = "Kitsilano", "Abandoned Mattress Case"


@pytest.mark.parametrize(("path", "table"), TABLES.items())
def test_a_listing_is_its_table(api: Api, path: str, table: str) -> None:
    stored, rows = api.select(f"SELECT * FROM {table}"), api.rows(path, limit=1000)
    columns = metadata.tables[table].columns if table in metadata.tables else ()
    objects = [column.name for column in columns if column.info["unit"] == "JSON object"]
    assert rows == [row | {name: row[name] and json.loads(row[name]) for name in objects} for row in stored]
    assert api.csv_rows(path) == as_csv(stored)


@pytest.mark.parametrize(("path", "table"), GROUPED.items())
def test_a_table_of_groups_comes_level_by_level_and_none_is_missing(api: Api, path: str, table: str) -> None:
    parts = [tuple(row.values()) for row in api.select(f"SELECT DISTINCT level, {SCOPE[table]} FROM {table}")]
    asked = [{"level": level} | ({"scope": scope} if scope else {}) for level, scope in parts]
    by_part = {part: api.rows(path, limit=5000, **each) for part, each in zip(parts, asked, strict=True)}
    for part, rows in by_part.items():
        assert rows == api.select(
            f"SELECT * FROM {table} WHERE (level, {SCOPE[table]}) IS (?, ?) ORDER BY rowid", *part
        )
    assert sum(map(len, by_part.values())) == api.value(f"SELECT count(*) FROM {table}")
    for level in {level for level, _ in parts}:
        scopes = [scope for each, scope in parts if each == level]
        assert api.rows(path, level=level, limit=5000) == by_part[level, "all" if "all" in scopes else scopes[0]]
        assert "all" in scopes or len(scopes) == 1


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, "level = 'citywide'"),
        ({"area": AREA}, f"level = 'neighbourhood' AND local_area = '{AREA}'"),
        ({"issue": ISSUE}, f"level = 'issue' AND issue_type = '{ISSUE}'"),
        ({"area": AREA, "issue": ISSUE}, f"level = 'hyper_local' AND local_area = '{AREA}' AND issue_type = '{ISSUE}'"),
        ({"area": AREA, "level": "hyper_local"}, f"level = 'hyper_local' AND local_area = '{AREA}'"),
        ({"department": "311 Contact Centre"}, "level = 'department' AND department = '311 Contact Centre'"),
        ({"level": "unlocated"}, "level = 'unlocated'"),
        ({"scope": "located", "period": "2025"}, "level = 'citywide' AND scope = 'located' AND period = '2025'"),
    ],
)
def test_the_names_given_make_the_group(api: Api, asked: dict[str, str], where: str) -> None:
    rows = api.rows("/time-to-close", **asked)
    scope = "" if "scope" in where else "AND (scope = 'all' OR level NOT IN ('citywide', 'issue', 'department'))"
    assert rows == api.select(f"SELECT * FROM time_to_close WHERE {where} {scope} ORDER BY rowid")
    assert rows


@pytest.mark.parametrize(("path", "table"), [("citywide", "metrics_citywide"), ("issues", "metrics_by_issue")])
def test_metrics_are_of_all_requests_unless_another_scope_is_asked_for(api: Api, path: str, table: str) -> None:
    of_scope = {
        scope: api.select(f"SELECT * FROM {table} WHERE scope = ? ORDER BY rowid", scope)
        for scope in ("all", "located")
    }
    assert api.rows(f"/metrics/{path}", limit=5000) == of_scope["all"]
    assert api.rows(f"/metrics/{path}", limit=5000, scope="located") == of_scope["located"]
    assert api.csv_rows(f"/metrics/{path}") == as_csv(of_scope["all"])
    assert api.get(f"/metrics/{path}", scope="unlocated").status_code == 422


def test_ranges_of_months_and_days_include_both_ends(api: Api) -> None:
    months = [row["month"] for row in api.rows("/trends", scope="all", month_from="2024-02", month_to="2024-04")]
    assert months == ["2024-02", "2024-03", "2024-04"]
    days = [row["day"] for row in api.rows("/backlog/daily", area=AREA, day_from="2024-02-28", day_to="2024-03-01")]
    assert days == ["2024-02-28", "2024-02-29", "2024-03-01"]


def test_the_path_and_the_parameters_name_the_same(api: Api) -> None:
    in_path = api.answer(f"/metrics/areas/{quote(AREA)}/issues/{quote(ISSUE, safe='')}")
    assert in_path["data"] == api.select(
        "SELECT * FROM metrics_hyper_local WHERE local_area = ? AND issue_type = ?", AREA, ISSUE
    )
    assert in_path["data"][0] in api.rows(f"/metrics/areas/{AREA}/issues")
    assert api.answer(f"/metrics/issues/{quote(ISSUE)}")["data"] == api.select(
        "SELECT * FROM metrics_by_issue WHERE issue_type = ? AND scope = 'all'", ISSUE
    )


def test_a_cell_without_requests_says_so(api: Api) -> None:
    missing = api.select(
        "SELECT local_area, issue_type FROM local_areas, (SELECT DISTINCT issue_type FROM metrics_by_issue) "
        "EXCEPT SELECT local_area, issue_type FROM metrics_hyper_local LIMIT 1"
    )[0]
    answer = api.answer(f"/metrics/areas/{quote(missing['local_area'])}/issues/{quote(missing['issue_type'], safe='')}")
    assert (answer["data"], answer["meta"]["state"]) == ([], "no_requests")


def test_lists_to_choose_from_hold_every_name_with_its_counts(api: Api) -> None:
    areas = api.select(
        "SELECT local_area, count(request_id) AS volume, coalesce(sum(status = 'Open'), 0) AS open_requests "
        "FROM local_areas LEFT JOIN service_requests USING (local_area) GROUP BY local_area ORDER BY local_area"
    )
    assert [{name: row[name] for name in areas[0]} for row in api.rows("/areas")] == areas
    for path, column in (("/issues", "issue_type"), ("/departments", "department")):
        assert api.rows(path) == api.select(
            f"SELECT {column}, count(*) AS volume, count(local_area) AS located, sum(status = 'Open') AS open_requests "
            f"FROM service_requests GROUP BY {column} ORDER BY {column}"
        )


def test_the_outlines_are_geojson(api: Api) -> None:
    response = api.get("/areas.geojson")
    collection = response.json()
    assert response.headers["content-type"] == "application/geo+json"
    assert [each["properties"] for each in collection["features"]] == api.rows("/areas")
    stored = api.select("SELECT boundary FROM local_areas ORDER BY local_area")
    assert [each["geometry"] for each in collection["features"]] == [json.loads(row["boundary"]) for row in stored]


def test_every_answer_names_its_release_and_how_much_of_it_has_an_area(api: Api) -> None:
    release = api.select("SELECT * FROM release")[0]
    city = {row["scope"]: row["volume"] for row in api.select("SELECT scope, volume FROM metrics_citywide")}
    for path in (*TABLES, *GROUPED, "/requests", "/requests/open", "/areas", "/status", "/integrity", "/downloads"):
        meta = api.answer(path)["meta"]
        assert meta["as_of"] == release["as_of"]
        assert meta["licence"] == release["licence"]
        if "coverage" in meta and meta["coverage"]["period"] == "all":
            assert meta["coverage"]["located_share"] == city["located"] / city["all"]
    of_issue = api.answer("/time-to-close", issue=ISSUE, period="2024")["meta"]["coverage"]
    assert (of_issue["requests"], of_issue["located"]) == tuple(
        api.value(f"SELECT {what} FROM service_requests WHERE issue_type = ? AND opened_on LIKE '2024%'", ISSUE)
        for what in ("count(*)", "count(local_area)")
    )


def test_every_statistic_leads_to_its_definition(api: Api) -> None:
    defined = api.answer("/time-to-close")["meta"]["definitions"]
    assert {"median_days", "p90_days", "mean_closed_only"} <= defined.keys()
    for name, address in defined.items():
        definition = api.answer(address)["data"]
        assert definition["meaning"] == METRICS[name].meaning
        assert definition["family"]["limits"]
    columns = api.answer("/dictionary/release")["data"]
    assert columns == api.select("SELECT * FROM dictionary WHERE table_name = 'release' ORDER BY rowid")


def test_the_status_says_how_old_it_is_in_words(api: Api) -> None:
    response = api.get("/status")
    status = response.json()["data"]
    assert status["stale"] == "yes"
    assert "hours ago" in status["freshness"]
    assert response.headers["cache-control"] == "no-store"
    release = api.select("SELECT * FROM release")[0]
    assert {name: status[name] for name in release} == release


def test_the_integrity_summary_adds_up_the_evidence(api: Api) -> None:
    summary = api.answer("/integrity")["data"]
    months = api.rows("/integrity/months")
    assert summary["months_in_step"] == len([row for row in months if row["in_step"] == "yes"]) > 0
    assert summary["months_out_of_step"] == 0
    assert summary["rows_landed"] == summary["rows_stored"] + summary["rows_quarantined"]
    assert summary["held_months"] == []


def test_the_entry_lists_every_address(api: Api) -> None:
    listed = {row["path"]: row for row in api.answer("")["data"]}
    document = api.get("/openapi.json").json()
    assert listed.keys() == document["paths"].keys()
    assert "closure_reason" in listed["/api/v1/requests"]["parameters"]
    kinds = {row["kind"] for row in api.answer("/problems")["data"]}
    assert api.get("/nowhere").json()["type"].split("#")[1] in kinds
