"""Claims about the documentation: what is written from the code is up to date, and what must be named is named."""

from pathlib import Path

import pytest

from vanc311_pipeline import schema
from vanc311_pipeline.cli import vanc311
from vanc311_pipeline.commands import dictionary, methods
from vanc311_pipeline.orchestration.checks import CHECKS
from vanc311_pipeline.registry import FAMILIES, METRICS
from vanc311_pipeline.settings import LICENCE, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("file", "command"), [("methods.md", methods), ("data_dictionary.md", dictionary)])
def test_a_page_that_is_written_from_the_code_is_up_to_date(file, command):
    written = "\n".join(command.markdown()) + "\n"
    assert (ROOT / "docs" / file).read_text() == written, "run `make docs`"


@pytest.mark.parametrize("command", vanc311.list_commands(None))
def test_the_readme_names_every_command(command):
    assert f"vanc311 {command}" in README or f"make {command}" in README


@pytest.mark.parametrize("name", [*Settings().to_environment()])
def test_the_readme_names_every_setting(name):
    assert f"`{name}`" in README


def test_the_licence_stands_where_the_data_is_spoken_of():
    assert LICENCE in README
    assert LICENCE in (ROOT / "docs" / "methods.md").read_text()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_a_family_of_statistics_names_tables_that_exist_and_columns_that_they_have(family):
    tables = [schema.metadata.tables[name] for name in family.tables]
    columns = {column.name for table in tables for column in table.columns}
    assert {metric.name for metric in family.metrics} <= columns


def test_every_statistic_is_defined_once():
    assert len(METRICS) == sum(len(family.metrics) for family in FAMILIES)
    tables = [name for family in FAMILIES for name in family.tables]
    assert len(tables) == len(set(tables))


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_definition_is_whole(metric):
    assert all((metric.title, metric.meaning, metric.formula, metric.unit, metric.scope, metric.source))
    assert metric.minimum_n >= 0


def test_every_family_begins_in_plain_words():
    for family in FAMILIES:
        assert not set("Σ√χ≥≤φ±") & set(family.plain), family.title


def test_every_law_is_checked():
    assert {check.name for check in CHECKS if check.name.endswith(("add_up", "adds_up"))} >= {
        "levels_add_up", "time_to_close_adds_up", "months_add_up", "backlog_adds_up", "outcomes_add_up", "quality_ledger_adds_up",
    }  # fmt: skip
