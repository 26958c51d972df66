"""Claims about `make explore`: Datasette serves the published file, and explains all of it in the schema's words."""

import socket
import sys

import pytest
import requests

from benchmarks.places import free_port, running
from vanc311_pipeline import schema
from vanc311_pipeline.commands.explore import LIMITS, MOST_FACETS, QUESTIONS, command, metadata
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.metric_definitions import FAMILIES, METRICS
from vanc311_pipeline.settings import LICENCE, Settings

TABLES = {**schema.metadata.tables, **schema.published_metadata.tables, "search": schema.search}
FILLED_IN = {
    "request_id": "none", "local_area": "Marpole", "issue_type": "Missed Green Bin Pickup Case", "word": "reopened",
    "metric": "median_days",
}  # fmt: skip


@pytest.fixture(scope="module")
def about(synced):
    return metadata(synced.published_path)


@pytest.fixture(scope="module")
def explained(about):
    return about["databases"]["vanc311"]


@pytest.fixture(scope="module")
def site(synced, tmp_path_factory):
    """The address of a Datasette that was started as make does it."""
    port, log = free_port(), tmp_path_factory.mktemp("explore") / "log"
    start = [sys.executable, "-m", "vanc311_pipeline.commands.explore", "--port", str(port)]

    def address() -> str:
        return f"http://127.0.0.1:{port}" if "Uvicorn running on" in log.read_text() else ""

    with running(start, log, address, synced.to_environment() | {"PYTHONWARNINGS": "ignore"}) as (_, url):
        yield url


def ask(site: str, path: str):
    with requests.get(f"{site}{path}", timeout=30) as answer:
        assert answer.status_code == 200, answer.text[:2_000]
        return answer.json() if ".json" in path else answer.text


# -- what is written ---------------------------------------------------------------------------------------------------


def test_every_table_view_and_column_is_explained_with_its_unit(explained):
    assert set(explained["tables"]) == {*TABLES, *(view.name for view in schema.VIEWS)}
    for name, table in TABLES.items():
        about_table = explained["tables"][name]
        assert about_table["description"].startswith(table.comment)
        assert set(about_table["columns"]) == set(table.columns.keys())
        for column in table.columns:
            assert about_table["columns"][column.name].startswith(f"{column.comment} ({column.info['unit']})")
    for view in schema.VIEWS:
        assert list(explained["tables"][view.name]["columns"]) == view.columns.keys()


def test_a_statistic_is_explained_in_the_words_of_its_definition(explained):
    for family in FAMILIES:
        for name in family.tables:
            assert family.plain in explained["tables"][name]["description"]
            assert family.limits in explained["tables"][name]["description"]
    shown = explained["tables"]["metrics_citywide"]["columns"]["avg_ttr"]
    assert METRICS["avg_ttr"].meaning in shown
    assert shown.endswith("Larger means: slower")


def test_facets_are_columns_and_few(explained):
    for name, table in TABLES.items():
        facets = explained["tables"][name]["facets"]
        assert set(facets) <= set(table.columns.keys())
        assert len(facets) <= MOST_FACETS
    assert explained["tables"]["service_requests"]["facets"] == ["status", "local_area", "channel"]


def test_no_question_hides_a_table_of_the_same_name(explained):
    assert not set(explained["queries"]) & set(explained["tables"])
    assert set(QUESTIONS) | {f"sql_of_{view.name}" for view in schema.VIEWS} == set(explained["queries"])


def test_the_licence_and_the_day_are_named(about):
    assert about["license"] == LICENCE
    assert "As of 20" in about["description"]
    assert "SAMPLE" not in about["description"]


# -- what Datasette makes of it ----------------------------------------------------------------------------------------


def test_datasette_has_taken_all_of_it(site, about):
    assert ask(site, "/-/metadata.json") == about
    [database] = ask(site, "/-/databases.json")
    assert (database["name"], database["is_mutable"]) == ("vanc311", False)
    assert ask(site, "/-/settings.json").items() >= {
        "sql_time_limit_ms": LIMITS["sql_time_limit_ms"],
        "suggest_facets": False,
    }.items()  # fmt: skip


def test_every_table_and_view_opens_and_says_what_it_is(site, explained):
    for name in explained["tables"]:
        page = ask(site, f"/vanc311/{name}")
        assert "metadata-description" in page, name
        assert 'class="column-descriptions"' in page, name


def test_every_question_is_answered(site, explained):
    for name, query in explained["queries"].items():
        answer = ask(site, f"/vanc311/{name}.json?_shape=objects&" + "&".join(f"{k}={v}" for k, v in FILLED_IN.items()))
        assert answer.get("error") is None, name
        assert not answer.get("truncated") or "LIMIT" not in query["sql"]
    words = ask(site, "/vanc311/what_a_word_means.json?_shape=array&word=reopened")
    assert any(row["column_name"] == "reopened" for row in words)


def test_a_question_gives_what_its_view_gives(site):
    view = schema.VIEWS[0].name
    asked = ask(site, f"/vanc311/sql_of_{view}.json?_shape=arrays")
    assert asked["rows"]
    assert asked["rows"] == ask(site, f"/vanc311.json?_shape=arrays&sql=SELECT+*+FROM+{view}")["rows"]


def test_the_facets_of_the_requests_are_counted(site):
    counted = ask(site, "/vanc311/service_requests.json?_size=1")["facet_results"]
    assert {value["value"] for value in counted["status"]["results"]} == {"Open", "Close"}
    assert set(counted) == {"status", "local_area", "channel"}


# -- what can't be done ------------------------------------------------------------------------------------------------


def test_without_a_published_file_it_says_so(tmp_path):
    with pytest.raises(SettingsError, match="nothing to explore"):
        command(Settings(data_dir=tmp_path), 1)


def test_a_taken_port_is_refused_before_anything_starts(synced):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="EXPLORE_PORT"):
            command(synced, taken.getsockname()[1])
