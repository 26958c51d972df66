"""Code versions: what each asset is made by, so that Dagster's UI shows which ones a new version of the program left behind.

What belongs here: which versions an asset depends on. What does not: the versions themselves, which stand with the cleaning
rules and the definitions, and when months are loaded again because of them (`vanc311_pipeline.plan`).
"""

import hashlib
import json

import dagster as dg

from vanc311_pipeline.registry import DEFINITIONS_VERSION
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.warehouse.publishing import dictionary_rows

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
