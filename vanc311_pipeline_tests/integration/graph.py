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
    parts = {
        "assets": {spec.key.to_user_string(): _asset(spec) for spec in definitions.resolve_all_asset_specs()},
        "checks": {
            f"{key.asset_key.to_user_string()}: {key.name}": "blocking" if spec.blocking else "reports"
            for checks in definitions.asset_checks or []
            for key, spec in ((spec.key, spec) for spec in checks.check_specs)
        },
        "steps": {
            asset.op.name: {"backfill": _backfill(asset)}
            for asset in definitions.assets or []
            if isinstance(asset, dg.AssetsDefinition)
        },
        "jobs": {job.name: _job(job) for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")},
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "starts": schedule.default_status.value,
            }
            for name in _names(definitions.schedules)
            for schedule in [definitions.resolve_schedule_def(name)]
        },
        "sensors": {
            sensor.name: {"every_seconds": sensor.minimum_interval_seconds, "starts": sensor.default_status.value}
            for name in _names(definitions.sensors)
            for sensor in [definitions.resolve_sensor_def(name)]
        },
    }
    return _readable(parts)


def _names(things: Any) -> list[str]:
    return [thing.name for thing in things or []]


def _asset(spec: dg.AssetSpec) -> dict[str, Any]:
    return {
        "after": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "tags": {name: value for name, value in spec.tags.items() if not name.startswith("dagster/")},
        "partitions": None if spec.partitions_def is None else str(spec.partitions_def),
        "fresh": None if spec.freshness_policy is None else _fresh(spec.freshness_policy),
    }


def _fresh(policy: Any) -> str:
    return f"warns after {policy.warn_window.to_timedelta()}, fails after {policy.fail_window.to_timedelta()}"


def _backfill(asset: dg.AssetsDefinition) -> str | None:
    return asset.backfill_policy.policy_type.value if asset.backfill_policy else None


def _job(job: dg.JobDefinition) -> list[str]:
    return sorted(node.name for node in job.nodes)


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
