"""Claims about the documentation: what is written from the code is up to date, and what must be named is named."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from vanc311_pipeline import metric_definitions, schema
from vanc311_pipeline.cli import vanc311
from vanc311_pipeline.commands import docs
from vanc311_pipeline.metric_definitions import FAMILIES, METRICS, MINIMUM_N, read
from vanc311_pipeline.settings import LICENCE, Settings
from vanc311_pipeline.warehouse.audits import AUDITS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HELP = CliRunner().invoke(vanc311, ["--help"]).output


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_page_that_is_written_from_the_code_is_up_to_date(name):
    assert (ROOT / "docs" / name).read_text() == docs.page(name), "run `make docs`"


@pytest.mark.parametrize("command", vanc311.list_commands(None))
def test_the_readme_names_every_command(command):
    assert f"vanc311 {command}" in README or f"make {command}" in README


@pytest.mark.parametrize("name", [*Settings().to_environment()])
def test_the_readme_and_the_help_name_every_setting(name):
    assert f"`{name}`" in README
    assert re.search(rf"^  {name}\s+[A-Z`]", HELP, re.MULTILINE)


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


def test_a_number_is_withheld_below_the_one_minimum_or_never():
    assert {metric.minimum_n for metric in METRICS.values()} <= {0, 1, 13, MINIMUM_N, 40, 100}


DEFINITIONS = Path(metric_definitions.__file__).with_suffix(".toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('title = "Volume"\n', "", "title\n  Field required"),
        ('title = "Volume"', 'title = ""', "at least 1 character"),
        ('title = "Volume"', 'titel = "Volume"', "titel\n  Unexpected keyword"),
        ("minimum_n = 30", 'minimum_n = "many"', "valid integer"),
        ("too_few =", "too_fewer =", "states.too_fewer"),
        ('"{ours}"', '"{theirs}"', "theirs"),
    ],
)
def test_a_definition_that_is_not_whole_stops_the_program(old, new, why):
    assert old in DEFINITIONS
    with pytest.raises((ValueError, KeyError), match=why):
        read(DEFINITIONS.replace(old, new, 1))


def test_every_family_begins_in_plain_words():
    for family in FAMILIES:
        assert not set("Σ√χ≥≤φ±") & set(family.plain), family.title


def test_every_law_is_checked():
    assert {check.name for check in AUDITS if check.name.endswith(("add_up", "adds_up"))} >= {
        "levels_add_up", "time_to_close_adds_up", "months_add_up", "backlog_adds_up", "outcomes_add_up", "quality_ledger_adds_up",
    }  # fmt: skip
