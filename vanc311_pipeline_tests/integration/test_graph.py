"""A claim about everything that Dagster is given: it is what somebody last looked at and committed."""

import json

from vanc311_pipeline.orchestration.asset_checks import audits_for
from vanc311_pipeline.orchestration.assets.publication import assets
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.graph import SNAPSHOT, snapshot


def test_assets_checks_jobs_schedules_and_sensors_are_those_of_the_snapshot():
    now = snapshot()
    assert now.splitlines() == SNAPSHOT.read_text().splitlines(), (
        "what Dagster is given has changed. If that was meant, write the snapshot anew and commit it: make snapshots"
    )


def test_the_snapshot_leaves_nothing_out():
    held = json.loads(snapshot())
    assert len(held["checks"]) == len(audits_for(Settings()))
    assert len(held["assets"]) >= len(assets(Settings()))
    assert all(held.values())
