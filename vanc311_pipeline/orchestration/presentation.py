"""How assets present themselves in Dagster's UI beyond their own words: links to where people see them, tags, kinds, code, versions.

What belongs here: what all assets get in the same way. What does not: descriptions and columns, which stand with the asset, the
schema and the registry.
"""

import warnings
from collections.abc import Iterable

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning

from vanc311_pipeline.orchestration.versions import code_version
from vanc311_pipeline.registry import FAMILIES
from vanc311_pipeline.settings import Settings

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
_PAGES_OF_TABLES = {"quality_ledger": "quality", "local_areas": "#map"}
_FIRST_METRICS = {table: family.metrics[0].name for family in FAMILIES for table in family.tables if family.metrics}


Asset = dg.AssetsDefinition | dg.AssetSpec


def presented(assets: Iterable[Asset], settings: Settings, months: dg.PartitionsDefinition) -> list[Asset]:
    """The assets with links to the dashboard, their definitions and the code, tags to filter by, their database, version and months."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", BetaWarning
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
