"""Claims about the schema: every column says what it means, and Dagster shows exactly these columns and where they come from."""

import json
from importlib.resources import files

import dagster as dg
import pytest

from vanc311_pipeline import schema
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.assets.publication import assets
from vanc311_pipeline.orchestration.metadata import STATISTICS
from vanc311_pipeline.settings import ARCHIVE, AREAS, LIVE, Settings
from vanc311_pipeline.warehouse.publishing import dictionary_rows

TABLES = {**schema.metadata.tables, **schema.published_metadata.tables}
COLUMNS = [column for table in TABLES.values() for column in table.columns]
MADE = {
    key.to_user_string(): asset
    for asset in assets(Settings())
    if isinstance(asset, dg.AssetsDefinition)
    for key in sorted(asset.keys)
}
TABLE_ASSETS = [name for name in MADE if name in TABLES]
# What the loads and the runs note of their own work.
KEPT_BESIDE = {
    "accepted_losses", "data_origin", "deep_readings", "figure_vintages", "holds", "month_ledger", "portal_months",
    "portal_releases", "publications", "quarantined_requests", "request_changes", "schema_versions", "shipments",
}  # fmt: skip


def metadata_of(name):
    return MADE[name].metadata_by_key[dg.AssetKey(name)]


def area_fields() -> set[str]:
    """The fields of the portal's boundaries: the properties of a feature, and its outline."""
    text = files("vanc311_pipeline").joinpath("standin/sample/local_areas.geojson").read_text()
    return {*json.loads(text)["features"][0]["properties"], "geom"}


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_every_column_has_a_meaning_and_a_unit(column):
    assert len(column.comment) > 3
    assert column.info["unit"]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_has_a_meaning_and_refuses_values_of_another_type(table):
    assert table.comment.endswith(".")
    assert table.dialect_options["sqlite"]["strict"]


def test_the_dictionary_explains_every_column_once():
    rows = list(dictionary_rows())
    named = [(row["table_name"], row["column_name"]) for row in rows]
    expected = {(table.name, name) for table in TABLES.values() for name in ("*", *table.columns.keys())}
    expected |= {(view.name, name) for view in (schema.search, *schema.VIEWS) for name in ("*", *view.columns.keys())}
    assert len(named) == len(set(named))
    assert set(named) == expected
    assert all(row["meaning"] and (row["unit"] or row["column_name"] == "*") for row in rows)


def test_the_tables_that_assets_stand_for_are_these():
    assert set(TABLE_ASSETS) == {"briefs", "local_areas", "service_requests", *STATISTICS}
    assert set(schema.metadata.tables) - set(TABLE_ASSETS) == KEPT_BESIDE


@pytest.mark.parametrize("name", TABLE_ASSETS)
def test_dagster_shows_exactly_the_tables_columns(name):
    shown = metadata_of(name)["dagster/column_schema"].columns
    assert [(column.name, column.type, column.constraints.nullable) for column in shown] == [
        (column.name, str(column.type), column.nullable) for column in TABLES[name].columns
    ]
    assert all(column.comment in shown.description for column, shown in zip(TABLES[name].columns, shown, strict=True))


def lineage_of(name):
    lineage = metadata_of(name).get("dagster/column_lineage")
    return dict(lineage.deps_by_column) if lineage else {}


def columns_known_of(key: dg.AssetKey) -> set[str]:
    if key in (portal_key(LIVE), portal_key(ARCHIVE)):
        return {*schema.PORTAL_FIELDS, *schema.KNOWN_EXTRA_FIELDS}
    if key == portal_key(AREAS):
        return area_fields()
    return {column.name for column in metadata_of(key.to_user_string())["dagster/column_schema"].columns}


@pytest.mark.parametrize("name", [name for name in MADE if lineage_of(name)])
def test_lineage_names_only_columns_that_exist_of_assets_that_it_depends_on(name):
    own = {column.name for column in metadata_of(name)["dagster/column_schema"].columns}
    assert set(lineage_of(name)) <= own
    for column, sources in lineage_of(name).items():
        for source in sources:
            assert source.column_name in columns_known_of(source.asset_key), f"{name}.{column} from {source}"
            assert source.asset_key in MADE[name].asset_deps[dg.AssetKey(name)]


@pytest.mark.parametrize("name", TABLE_ASSETS)
def test_every_column_that_is_made_from_rows_says_from_which(name):
    silent = {column.name for column in TABLES[name].columns if not lineage_of(name).get(column.name)}
    assert silent <= {
        "as_of", "level", "measure", "metric", "mapping_version", "n_quarantined", "weeks_from", "weeks_to",
        "days_from", "days_to", "year_before_from", "year_before_to", "release_month",
        "brief_id", "kind", "name", "address", "made_at", "data_processed", "definitions_version", "basis", "run_id",  # of briefs
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in MADE if lineage_of(name)])
def test_a_columns_description_names_what_it_is_made_from(name):
    """Open-source Dagster draws no column lineage."""
    for column in metadata_of(name)["dagster/column_schema"].columns:
        _, _, sources = column.description.partition(". From ")
        assert {source.column_name for source in lineage_of(name).get(column.name, ())} == {
            source for of in sources.split("; ") if of for source in of.partition(": ")[2].split(", ")
        }
