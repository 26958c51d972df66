"""What assets say of themselves in Dagster's UI: owners, columns and where they come from, links, tags, kinds, code versions, previews.

What belongs here: what assets get in the same way. What does not: descriptions, which stand with the asset, the schema and the
registry. A column's lineage stands in its description, too: open-source Dagster stores column lineage, but draws it nowhere.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline import schema
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

_ROW_SOURCES = {
    "request_id": ["department", "issue_type", "opened_at", "occurrence"],
    "occurrence": [column for _, column in PORTAL_FIELDS.values()],
    "opened_on": ["opened_at"],
    "open_month": ["opened_at"],
    "partition_month": ["opened_at"],
    "days_to_close": ["status", "opened_at", "closed_on"],
    "days_to_update": ["opened_at", "modified_at"],
}
_MEASURE_SOURCES = {
    "open_requests": ["status"],
    "closed": ["status"],
    "status_unknown": ["status"],
    "avg_ttr": ["days_to_close"],
    "n_ttr": ["days_to_close"],
    "sum_days_to_close": ["days_to_close"],
    "n_negative": ["status", "opened_on", "closed_on"],
    "n_closed_without_date": ["status", "closed_on"],
    "avg_ttu": ["days_to_update"],
    "n_ttu": ["days_to_update"],
    "sum_seconds_to_update": ["opened_at", "modified_at"],
    "n_never_updated": ["opened_at", "modified_at"],
    "n_update_negative": ["opened_at", "modified_at"],
    "n_update_missing": ["modified_at"],
    "n_static_open": ["status", "opened_on"],
    "volume": ["request_id"],
    "scope": ["local_area"],
    "local_area": ["local_area"],
    "issue_type": ["issue_type"],
}


# What the columns of the statistics are made from, unless from status and dates, or from the column of the same name.
_TIMING = ["status", "opened_on", "closed_on"]
_OPENED_ON = (
    *(
        "period",
        "opened_from",
        "opened_to",
        "month",
        "open_month",
        "day",
        "days_open",
        "opened",
        "age_band",
        "band_order",
    ),
    *("n_static", "n_after_as_of", "weeks_from", "weeks_to", "understated", "provisional", "waited_days"),
)
_REASON = (
    *("outcome", "outcome_order", "seen", "n_unmapped_reason"),
    *("closed_as", "outcome_share", "outcome_share_low", "outcome_share_high"),
)
_STATISTIC_SOURCES = {
    **{name: ["opened_on"] for name in _OPENED_ON},
    **{name: ["status", "closure_reason"] for name in _REASON},
    "scope": ["local_area"],
    "volume": ["request_id"],
    "closed_share": [*_TIMING, "closure_reason"],
    "located": ["status", "opened_on", "local_area"],
    "n_missing_area": ["local_area"],
    "n_missing_point": ["latitude", "longitude"],
    "n_twins": ["occurrence"],
    "n_repeats": [column for _, column in PORTAL_FIELDS.values() if column != "modified_at"],
    "n_obsolete_label": ["issue_type"],
}
_WITHOUT_SOURCE = {"level", "as_of", "measure", "mapping_version", "n_quarantined"}


def table_metadata(table: sa.Table, lineage: dg.TableColumnLineage) -> dict[str, Any]:
    """What every table asset says of itself: name, columns with meaning and unit, and where each column comes from."""
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


def request_lineage(raw: dg.AssetKey) -> dg.TableColumnLineage:
    """Each column of service_requests from the portal's fields."""
    field_of = {column: field for field, (_, column) in PORTAL_FIELDS.items()}
    return dg.TableColumnLineage(
        {
            column.name: [
                dg.TableColumnDep(raw, field_of[source])
                for source in _ROW_SOURCES.get(column.name, [column.name])
                if source in field_of
            ]
            for column in schema.service_requests.columns
        }
    )


def metric_lineage(table: sa.Table, requests: dg.AssetKey) -> dg.TableColumnLineage:
    """Each measure from the columns of service_requests; `as_of` comes from the portal's release, not from a column."""
    return dg.TableColumnLineage(
        {
            column.name: [dg.TableColumnDep(requests, source) for source in _MEASURE_SOURCES[column.name]]
            for column in table.columns
            if column.name in _MEASURE_SOURCES
        }
    )


def statistic_lineage(table: sa.Table, requests: dg.AssetKey) -> dg.TableColumnLineage:
    """Each column from the columns of service_requests; unless said otherwise, from status and dates."""
    own = schema.service_requests.columns
    names = [column.name for column in table.columns if column.name not in _WITHOUT_SOURCE]
    sources = {name: _STATISTIC_SOURCES.get(name) or ([name] if name in own else _TIMING) for name in names}
    return dg.TableColumnLineage(
        {name: [dg.TableColumnDep(requests, source) for source in of] for name, of in sources.items()}
    )


def aggregate_lineage(tables: Mapping[dg.AssetKey, sa.Table]) -> dg.TableColumnLineage:
    """The long table's columns from the wide ones'."""
    sources = {
        "scope": ["scope"],
        "local_area": ["local_area"],
        "issue_type": ["issue_type"],
        "value": ["avg_ttr", "avg_ttu", "volume", "open_requests"],
        "n": ["n_ttr", "n_ttu", "volume"],
        "as_of": ["as_of"],
    }
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(key, column)
                for key, table in tables.items()
                for column in columns
                if column in table.columns
            ]
            for name, columns in sources.items()
        }
    )


def area_lineage(portal: dg.AssetKey) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            "local_area": [dg.TableColumnDep(portal, "name")],
            "latitude": [dg.TableColumnDep(portal, "geo_point_2d")],
            "longitude": [dg.TableColumnDep(portal, "geo_point_2d")],
            "boundary": [dg.TableColumnDep(portal, "geom")],
        }
    )


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
    if group != "publication" and (settings.database_url or "").startswith("postgresql"):
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
