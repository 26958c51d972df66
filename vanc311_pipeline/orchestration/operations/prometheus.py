"""The pipeline measured, for Prometheus: the last look at the portal, the last sync, what is stored, held and published.

What belongs here: what is measured, and the file. What does not: the sensor that keeps it up to date, and the server that passes it
on (`api.measures`). Prometheus's node exporter can read the file as well.
"""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from vanc311_pipeline.disk import on_disk
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.jobs import sync
from vanc311_pipeline.orchestration.operations.alerts import failed_ticks
from vanc311_pipeline.pipeline import is_shipped
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.warehouse import holds, ledger
from vanc311_pipeline.warehouse.engine import Warehouse

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def write_measures(instance: dg.DagsterInstance, warehouse: Warehouse, ship_url: str | None, file: Path) -> None:
    """Measure now, and put the file in its predecessor's place at once.

    Raises:
        StorageRefused: the disk refuses.
    """
    registry = CollectorRegistry()
    _of_runs(instance, registry)
    if warehouse.exists():
        _of_data(warehouse, ship_url, registry)
    with on_disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(file), registry)


def _of_runs(instance: dg.DagsterInstance, registry: CollectorRegistry) -> None:
    _gauge(registry, "measured_timestamp_seconds", "When all this was measured.", datetime.now(UTC).timestamp())
    looks = instance.fetch_observations(portal_key(LIVE), limit=1).records
    if looks:
        _gauge(registry, "portal_looked_timestamp_seconds", "When a slot of the schedule last asked the portal and decided.",
               looks[0].timestamp)  # fmt: skip
    failed = _gauge(registry, "failed_ticks", "How many ticks failed in a row, up to ten.", None, ["of"])
    for name, ticks in failed_ticks(instance).items():
        failed.labels(name).set(ticks.number)
    finished = instance.get_run_records(dg.RunsFilter(job_name=sync.name, statuses=_FINISHED), limit=1)
    for record in finished:
        succeeded = record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
        _gauge(registry, "sync_succeeded", "1 if the last finished run of sync succeeded, else 0.", float(succeeded))
        if record.end_time is not None:
            _gauge(
                registry, "sync_ended_timestamp_seconds", "When the last finished run of sync ended.", record.end_time
            )
        if record.end_time is not None and record.start_time is not None:
            _gauge(registry, "sync_seconds", "How long it took.", record.end_time - record.start_time)


def _of_data(warehouse: Warehouse, ship_url: str | None, registry: CollectorRegistry) -> None:
    with warehouse.read() as connection:
        months, held = ledger.months(connection), len(holds.held(connection))
        release = ledger.last_release(connection, LIVE)
        published = ledger.last_publication(connection)
    live = [record for window, record in months.items() if window.dataset == LIVE]
    rows = _gauge(
        registry,
        "live_rows",
        "Rows of the live dataset: those that the portal's release counts, and ours.",
        None,
        ["where"],
    )
    rows.labels("here").set(sum(record.rows_landed for record in live))
    if release:
        rows.labels("portal").set(release.records_count)
    _gauge(registry, "months_held", "Months, or whole datasets, that are not followed and wait for consent.", held)
    quarantined = sum(record.rows_quarantined for record in months.values())
    _gauge(registry, "rows_quarantined", "Rows that could not be keyed.", quarantined)
    if published:
        _gauge(registry, "published_timestamp_seconds", "When the pipeline last published.",
               datetime.fromisoformat(published.published_at).timestamp())  # fmt: skip
    waiting = not is_shipped(warehouse, ship_url)
    _gauge(
        registry,
        "shipment_waiting",
        "1 if what was published last is not in the object store that is set.",
        float(waiting),
    )


def _gauge(
    registry: CollectorRegistry, name: str, meaning: str, value: float | None, labels: list[str] | None = None
) -> Gauge:
    gauge = Gauge(f"vanc311_pipeline_{name}", meaning, labels or (), registry=registry)
    if value is not None:
        gauge.set(value)
    return gauge
