"""What Dagster is given, as readable lines: assets, checks, jobs, schedules, sensors. What the snapshot holds.

Belongs here: what of the definitions a person would want to be asked about before it changes. Does not belong here:
descriptions and metadata, which are to be improved freely. Run as a module it writes the snapshot anew:

    .venv/bin/python -m vanc311_pipeline_tests.integration.graph
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg

from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.engine import VERSION, Warehouse

SNAPSHOT = Path(__file__).with_name("snapshots") / "definitions.json"
TABLES = Path(__file__).with_name("snapshots") / "tables.sql"


def snapshot() -> str:
    """The definitions with every setting at its default, one line for each asset, check, job, schedule and sensor."""
    definitions = build_definitions(Settings())
    schedules = [definitions.resolve_schedule_def(each.name) for each in definitions.schedules or []]
    sensors = [definitions.resolve_sensor_def(each.name) for each in definitions.sensors or []]
    parts: dict[str, dict[str, Any]] = {
        "assets": {spec.key.to_user_string(): _asset(spec) for spec in definitions.resolve_all_asset_specs()},
        "checks": {
            f"{spec.key.asset_key.to_user_string()}: {spec.key.name}": "blocking" if spec.blocking else "reports"
            for checks in definitions.asset_checks or []
            for spec in checks.check_specs
        },
        "steps": {
            asset.op.name: {"backfill": asset.backfill_policy.policy_type.value if asset.backfill_policy else None}
            for asset in definitions.assets or []
            if isinstance(asset, dg.AssetsDefinition)
        },
        "jobs": {
            job.name: sorted(node.name for node in job.nodes)
            for job in definitions.resolve_all_job_defs()
            if not job.name.startswith("__")
        },
        "schedules": {
            each.name: {
                "job": each.job_name,
                "cron": each.cron_schedule,
                "timezone": each.execution_timezone,
                "starts": each.default_status.value,
            }
            for each in schedules
        },
        "sensors": {
            each.name: {"every_seconds": each.minimum_interval_seconds, "starts": each.default_status.value}
            for each in sensors
        },
    }
    return _readable(parts)


def _asset(spec: dg.AssetSpec) -> dict[str, Any]:
    fresh: Any = spec.freshness_policy
    windows = fresh and (fresh.warn_window.to_timedelta(), fresh.fail_window.to_timedelta())
    return {
        "after": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "tags": {name: value for name, value in spec.tags.items() if not name.startswith("dagster/")},
        "partitions": None if spec.partitions_def is None else str(spec.partitions_def),
        "fresh": windows and "warns after {}, fails after {}".format(*windows),
    }


def _readable(parts: dict[str, dict[str, Any]]) -> str:
    """JSON with a line for each thing, sorted: what changed is what a diff shows."""
    sections = []
    for title, things in parts.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(things[name])}" for name in sorted(things)]
        sections.append(f"  {json.dumps(title)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def tables() -> str:
    """The warehouse's tables as they are made, and their version: a change of the one without the other would lose data."""
    with TemporaryDirectory() as folder:
        warehouse = Warehouse(Settings(database_url=f"sqlite:///{folder}/warehouse.sqlite"))
        warehouse.create()
        with warehouse.write() as connection:
            warehouse.store.make_key(connection)
        with closing(sqlite3.connect(warehouse.store.path)) as connection:
            statements = connection.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type DESC, name"
            )
            return f"-- version {VERSION}\n" + "".join(f"{sql.strip()};\n" for (sql,) in statements)


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot())
    TABLES.write_text(tables())
