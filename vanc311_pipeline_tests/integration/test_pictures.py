"""Claims about the pictures and previews in Dagster's UI: each main series has one, whole in itself, with its meaning in words."""

import base64
import re
from collections import Counter
from xml.etree import ElementTree

import dagster as dg
import pytest
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.orchestration.pictures import PICTURES, pictures
from vanc311_pipeline.warehouse.engine import Warehouse

TABLES = Counter(picture.table for picture in PICTURES)


def drawn(shown):
    """The picture and the words of a preview."""
    image, _, meaning = shown.md_str.partition("\n\n")
    description, coded = re.fullmatch(r"!\[(.*)\]\(data:image/svg\+xml;base64,(.*)\)", image, re.S).groups()
    return ElementTree.fromstring(base64.b64decode(coded)), description, meaning


@pytest.mark.parametrize("table", TABLES)
def test_every_main_series_has_its_pictures_with_words(synced, table):
    with Warehouse.of(synced).read() as connection:
        shown = pictures(connection, table)
    assert len(shown) == TABLES[table]
    assert all(name.startswith("picture: ") for name in shown)
    for each in shown.values():
        picture, description, meaning = drawn(each)
        assert picture.tag.endswith("svg")
        assert len(list(picture.iter())) > 50
        assert description
        assert meaning
        references = {value for part in picture.iter() for name, value in part.items() if name.endswith("href")}
        assert not references


def test_a_series_without_rows_has_none(warehouse):
    with warehouse.read() as connection:
        assert {table: pictures(connection, table) for table in TABLES} == {table: {} for table in TABLES}


def test_a_run_leaves_them_with_the_asset(synced, monkeypatch):
    for name, value in synced.to_environment().items():
        monkeypatch.setenv(name, value)
    with open_instance(synced) as instance:
        for table, number in TABLES.items():
            metadata = instance.get_latest_materialization_event(dg.AssetKey(table)).asset_materialization.metadata
            assert sum("data:image/svg+xml" in str(value.value) for value in metadata.values()) == number
            with Warehouse.of(synced).read() as connection:
                rows = connection.scalar(sa.select(sa.func.count()).select_from(schema.metadata.tables[table]))
            assert metadata["dagster/row_count"].value == rows


def test_a_preview_shows_the_newest_rows_once_a_run(synced):
    with dg.DagsterInstance.from_config(str(synced.dagster_home)) as instance:
        events = instance.fetch_materializations(dg.AssetKey("service_requests"), limit=1_000).records
    previews = [
        metadata["preview"] for event in events if "preview" in (metadata := event.asset_materialization.metadata)
    ]
    with Warehouse.of(synced).read() as connection:
        newest = connection.scalars(
            sa.text("SELECT opened_at FROM service_requests ORDER BY opened_at DESC LIMIT 5")
        ).all()
    assert len(events) > 1
    assert [[row.data["opened_at"] for row in each.records] for each in previews] == [newest]
