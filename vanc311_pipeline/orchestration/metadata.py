"""What assets say of themselves in Dagster's UI: owners, columns and where they come from, links, tags, kinds, code versions, previews.

A column's lineage stands in its description, too: open-source Dagster stores column lineage, but draws it nowhere.
"""

import hashlib
import json
import tomllib
import warnings
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, FAMILIES
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.schema import KNOWN_EXTRA_FIELDS, PORTAL_FIELDS
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import dictionary_rows

OWNERS = ["team:data"]

# The portal moves once a day, so a day and a little is fresh; a day and a half means that something stands still.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

_SHOWN = tomllib.loads(Path(__file__).with_name("shown.toml").read_text(encoding="utf-8"))
LAYERS: dict[str, str] = _SHOWN["layers"]
"""The asset groups from left to right, and the layer that each is of."""
STATISTICS = {name: family for family in FAMILIES for name in family.tables}
"""Every table of numbers, and the family of definitions that it belongs to."""
PREVIEW_ROWS = 5

Asset = dg.AssetsDefinition | dg.AssetSpec
Described = tuple[dg.TableColumn, Sequence[dg.TableColumnDep]]
"""A column, and what it is made from."""


def table_metadata(table: sa.Table, *origins: tuple[dg.AssetKey, Collection[str]]) -> dict[str, Any]:
    """A table's name, and its columns with meaning, unit and those of its origins' columns that `schema.lineage` names."""
    described: list[Described] = []
    for column in table.columns:
        names, alone = column.info["from"], column.primary_key and len(table.primary_key) == 1
        rules = dg.TableColumnConstraints(nullable=bool(column.nullable), unique=alone)
        meaning = f"{column.comment} ({column.info['unit']})"
        sources = [dg.TableColumnDep(asset, name) for asset, columns in origins for name in names if name in columns]
        described.append((dg.TableColumn(column.name, str(column.type), meaning, rules), sources))
    return {"dagster/table_name": table.name, **_columns(described)}


def raw_metadata(portal: dg.AssetKey) -> dict[str, Any]:
    about = {name: f"as served; {kind} in the portal" for name, (kind, _) in PORTAL_FIELDS.items()}
    about |= dict.fromkeys(KNOWN_EXTRA_FIELDS, "as served; latitude and longitude again")
    return _columns(
        [(dg.TableColumn(name, "TEXT", text), [dg.TableColumnDep(portal, name)]) for name, text in about.items()]
    )


def _columns(described: Sequence[Described]) -> dict[str, Any]:
    """Columns as Dagster takes them; each description ends in `. From service_requests: status, closed_on`, if it is from any."""
    columns = []
    for column, sources in described:
        names: dict[str, list[str]] = {}
        for source in sources:
            names.setdefault(source.asset_key.to_user_string(), []).append(source.column_name)
        origin = "; ".join(f"{asset}: {', '.join(of)}" for asset, of in names.items())
        words = f"{column.description}. From {origin}" if origin else column.description
        columns.append(dg.TableColumn(column.name, column.type, words, column.constraints))
    lineage = {column.name: sources for column, sources in described if sources}
    return {"dagster/column_schema": dg.TableSchema(columns), "dagster/column_lineage": dg.TableColumnLineage(lineage)}


def preview(warehouse: Warehouse, table: sa.Table) -> dg.TableMetadataValue:
    """A few rows of a table, for the asset's page; the newest, if they have a date."""
    newest_first = [table.c[name].desc() for name in _SHOWN["newest_first"].get(table.name, [])]
    query = sa.select(table).order_by(*newest_first).limit(PREVIEW_ROWS)
    with warehouse.read() as connection:
        rows = connection.execute(query).mappings().all()
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: "" if value is None else value for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(column.name, type=str(column.type)) for column in table.columns]),
    )


def presented(assets: Iterable[Asset], settings: Settings, months: dg.PartitionsDefinition) -> list[Asset]:
    """The assets with owners, links to the dashboard, their definitions and the code, tags, database, version and months."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # references to the code: without them nothing would be lost
        referring = [each for each in dg.with_source_code_references(list(assets)) if isinstance(each, Asset)]
        return list(dg.map_asset_specs(lambda spec: _presented(spec, settings, months), referring))


def _presented(spec: dg.AssetSpec, settings: Settings, months: dg.PartitionsDefinition) -> dg.AssetSpec:
    group, name, site, links = spec.group_name or "", spec.key.path[-1], settings.site_url, {}
    if spec.partitions_def:
        spec = spec.replace_attributes(partitions_def=months)
    if group != "publication" and settings.warehouse_url.startswith("postgresql"):
        spec = spec.replace_attributes(kinds={"postgresql" if kind == "sqlite" else kind for kind in spec.kinds})
    if group != "portal":
        spec = spec.replace_attributes(code_version=_code_version(spec))
    if group != "portal" and site:
        links["dashboard"] = dg.MetadataValue.url(f"{site}/{_SHOWN['pages'].get(name, '')}")
    if name in STATISTICS and (defined := STATISTICS[name].metrics) and site:
        links["definitions"] = dg.MetadataValue.url(f"{site}/methods#{defined[0].name}")
    return spec.merge_attributes(metadata=links, tags={"layer": LAYERS[group]}, owners=OWNERS)


def _code_version(spec: dg.AssetSpec) -> str:
    """`rules 2, definitions 1, columns 5d41402a`: what an asset is made by, and its columns or, of a file, its dictionary."""
    rules, definitions = f"rules {CODE_VERSION}", f"definitions {DEFINITIONS_VERSION}"
    made_by = {"ingestion": [], "requests": [rules]}.get(spec.group_name or "", [rules, definitions])
    table = spec.metadata.get("dagster/column_schema")
    columns = [[column.name, column.type] for column in table.columns] if table else list(dictionary_rows())
    return ", ".join([*made_by, f"columns {hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:8]}"])
