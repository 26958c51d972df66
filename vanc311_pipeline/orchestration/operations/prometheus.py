"""The pipeline measured, for Prometheus: the last look at the portal, the last sync, what is stored, held and published. The site
passes the file on (`api.measures`); Prometheus's node exporter can read it as well.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from vanc311_pipeline.disk import on_disk
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.jobs import FINISHED, sync
from vanc311_pipeline.orchestration.operations.alerts import failed_ticks
from vanc311_pipeline.orchestration.resources import SettingsParam
from vanc311_pipeline.pipeline import is_shipped
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse

MEANINGS = tomllib.loads(Path(__file__).with_name("measures.toml").read_text(encoding="utf-8"))
"""By the name of each measure what it means, and what tells its values apart if it has one for each of several things."""

Measures = dict[str, float | Mapping[str, float]]


@dg.sensor(
    name="measures",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes measures.prom in the data directory once a minute, which the site passes on to Prometheus. Launches nothing.",
)
def measures(context: dg.SensorEvaluationContext, settings: SettingsParam) -> dg.SkipReason:
    write_measures(context.instance, settings)
    return dg.SkipReason("Measured. Nothing is ever launched from here.")


def write_measures(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Measure now, and put the file in its predecessor's place at once."""
    warehouse, registry = Warehouse(settings), CollectorRegistry()
    measures = _of_runs(instance) | (_of_data(warehouse) if warehouse.exists() else {})
    for name, value in measures.items():
        meaning, *labels = MEANINGS[name]
        gauge = Gauge(f"vanc311_pipeline_{name}", meaning, labels, registry=registry)
        if isinstance(value, Mapping):
            for label, each in value.items():
                gauge.labels(label).set(each)
        else:
            gauge.set(value)
    with on_disk(settings.measures_path):
        settings.measures_path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(settings.measures_path), registry)


def _of_runs(instance: dg.DagsterInstance) -> Measures:
    measures: Measures = {
        "measured_timestamp_seconds": datetime.now(UTC).timestamp(),
        "failed_ticks": {name: len(reasons) for name, reasons in failed_ticks(instance).items()},
    }
    for look in instance.fetch_observations(portal_key(LIVE), limit=1).records:
        measures["portal_looked_timestamp_seconds"] = look.timestamp
    for record in instance.get_run_records(dg.RunsFilter(job_name=sync.name, statuses=FINISHED), limit=1):
        measures["sync_succeeded"] = record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
        if record.end_time is not None:
            measures["sync_ended_timestamp_seconds"] = record.end_time
        if record.end_time is not None and record.start_time is not None:
            measures["sync_seconds"] = record.end_time - record.start_time
    return measures


def _of_data(warehouse: Warehouse) -> Measures:
    with warehouse.read() as connection:
        months, held = ledger.months(connection), len(ledger.held(connection))
        release = ledger.last_release(connection, LIVE)
        published = ledger.last_publication(connection)
    live_rows = {"here": sum(record.rows_landed for window, record in months.items() if window.dataset == LIVE)}
    measures: Measures = {
        "live_rows": live_rows | ({"portal": release.records_count} if release else {}),
        "months_held": held,
        "rows_quarantined": sum(record.rows_quarantined for record in months.values()),
        "shipment_waiting": not is_shipped(warehouse),
    }
    if published:
        measures["published_timestamp_seconds"] = datetime.fromisoformat(published.published_at).timestamp()
    return measures
