"""What assets say of themselves in Dagster's UI: owners, columns and where they come from, links, tags, kinds, code versions, previews.

What belongs here: what assets get in the same way. What does not: descriptions, which stand with the asset, the schema and the
registry. A column's lineage stands in its description, too: open-source Dagster stores column lineage, but draws it nowhere.
"""

import hashlib
import json
import warnings
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline.registry import DEFINITIONS_VERSION, FAMILIES
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, PORTAL_FIELDS
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import dictionary_rows

PREVIEW_ROWS = 5
_NEWEST_FIRST = {
    "service_requests": ("partition_month", "opened_at"),  # the first by an index
    "monthly_series": ("month",),
    "backlog_daily": ("day",),
    "quality_ledger": ("open_month",),
}


def table_metadata(table: sa.Table, *origins: tuple[dg.AssetKey, Collection[str]]) -> dict[str, Any]:
    """What every table asset says of itself: name, columns with meaning and unit, and where each column comes from.

    Args:
        origins: the assets that it is made from, and their columns; which of them, the schema says (`schema.lineage`).
    """
    lineage = dg.TableColumnLineage(
        {
            column.name: [
                dg.TableColumnDep(asset, name)
                for asset, names in origins
                for name in column.info["from"]
                if name in names
            ]
            for column in table.columns
            if column.info["from"]
        }
    )
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.type),
            description=f"{column.comment} ({column.info['unit']}){_sources(lineage, column.name)}",
            constraints=dg.TableColumnConstraints(
                nullable=bool(column.nullable), unique=column.primary_key and len(table.primary_key) == 1
            ),
        )
        for column in table.columns
    ]
    return {
        "dagster/table_name": table.name,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/column_lineage": lineage,
    }


def raw_metadata(portal: dg.AssetKey) -> dict[str, Any]:
    """The landed files' columns: the portal's, all text."""
    about = {name: f"as served; {kind} in the portal" for name, (kind, _) in PORTAL_FIELDS.items()}
    about |= dict.fromkeys(KNOWN_EXTRA_FIELDS, "as served; latitude and longitude again")
    lineage = dg.TableColumnLineage({name: [dg.TableColumnDep(portal, name)] for name in about})
    columns = [
        dg.TableColumn(name, type="TEXT", description=f"{text}{_sources(lineage, name)}")
        for name, text in about.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns), "dagster/column_lineage": lineage}


def _sources(lineage: dg.TableColumnLineage, column: str) -> str:
    """`. From service_requests: status, closed_on`; nothing for a column that is made from no other."""
    names: dict[str, list[str]] = {}
    for source in lineage.deps_by_column.get(column, ()):
        names.setdefault(source.asset_key.to_user_string(), []).append(source.column_name)
    return ". From " + "; ".join(f"{asset}: {', '.join(of)}" for asset, of in names.items()) if names else ""


def preview(warehouse: Warehouse, table: sa.Table) -> dg.TableMetadataValue:
    """A few rows of a table, for the asset's page; the newest, if they have a date."""
    newest_first = [table.c[name].desc() for name in _NEWEST_FIRST.get(table.name, ())]
    query = sa.select(table).order_by(*newest_first).limit(PREVIEW_ROWS)
    with warehouse.read() as connection:
        rows = connection.execute(query).mappings().all()
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: "" if value is None else value for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(column.name, type=str(column.type)) for column in table.columns]),
    )


OWNERS = ["team:data"]

# The portal moves once a day, so a day and a little is fresh; a day and a half means that something stands still.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))


LAYERS = {
    "portal": "source",
    "ingestion": "raw",
    "requests": "clean",
    "metrics": "statistic",
    "statistics": "statistic",
    "publication": "product",
}
"""The asset groups from left to right, and the layer that each is of."""

_PAGES = {"ingestion": "quality", "requests": "quality", "publication": "data"}
_PAGES_OF_TABLES = {
    "quality_ledger": "quality",
    "local_areas": "#map",
    "time_to_close_curves": "#time-to-close",
    "monthly_series": "#opened-and-closed",
    "backlog_daily": "#backlog",
    "backlog_by_age": "#backlog-by-age",
    "outcomes": "#outcomes",
    "area_comparison": "#areas-open-after-30-days",
}
"""Where the dashboard shows a table; the figures bear the names that `charts` gives them."""
_FIRST_METRICS = {table: family.metrics[0].name for family in FAMILIES for table in family.tables if family.metrics}


Asset = dg.AssetsDefinition | dg.AssetSpec


def presented(assets: Iterable[Asset], settings: Settings, months: dg.PartitionsDefinition) -> list[Asset]:
    """The assets with links to the dashboard, their definitions and the code, tags to filter by, their database, version and months."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", dg.BetaWarning
        )  # references to the code are beta: without them nothing would be lost
        referring = [each for each in dg.with_source_code_references(list(assets)) if isinstance(each, Asset)]
        return list(dg.map_asset_specs(lambda spec: _presented(spec, settings, months), referring))


def _presented(spec: dg.AssetSpec, settings: Settings, months: dg.PartitionsDefinition) -> dg.AssetSpec:
    group = spec.group_name or ""
    if spec.partitions_def:
        spec = spec.replace_attributes(partitions_def=months)
    if group != "publication" and settings.warehouse_url.startswith("postgresql"):
        spec = spec.replace_attributes(kinds={"postgresql" if kind == "sqlite" else kind for kind in spec.kinds})
    if group != "portal":
        spec = spec.replace_attributes(code_version=code_version(spec))
    return spec.merge_attributes(
        metadata=_links(spec.key.path[-1], group, settings.site_url), tags={"layer": LAYERS[group]}
    )


def _links(table: str, group: str, site: str | None) -> dict[str, dg.UrlMetadataValue]:
    if group == "portal" or not site:
        return {}
    links = {"dashboard": dg.MetadataValue.url(f"{site}/{_PAGES_OF_TABLES.get(table, _PAGES.get(group, ''))}")}
    if table in _FIRST_METRICS:
        links["definitions"] = dg.MetadataValue.url(f"{site}/methods#{_FIRST_METRICS[table]}")
    return links


_BEFORE_CLEANING = {"ingestion"}
_BEFORE_DEFINITIONS = {"ingestion", "requests"}


def code_version(spec: dg.AssetSpec) -> str:
    """`rules 2, definitions 1, columns 5d41402a`: of the cleaning rules, the definitions and the asset's own columns."""
    versions = []
    if spec.group_name not in _BEFORE_CLEANING:
        versions.append(f"rules {CODE_VERSION}")
    if spec.group_name not in _BEFORE_DEFINITIONS:
        versions.append(f"definitions {DEFINITIONS_VERSION}")
    return ", ".join([*versions, f"columns {_digest(spec)}"])


def _digest(spec: dg.AssetSpec) -> str:
    """Of the names and types of the asset's columns; of the published file, which holds its own dictionary, of that."""
    table = spec.metadata.get("dagster/column_schema")
    columns = [[column.name, column.type] for column in table.columns] if table else list(dictionary_rows())
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:8]
