"""The last assets, the published file and its shipment, and which assets there are."""

from datetime import UTC, datetime

import dagster as dg

from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.errors import IntegrityFailed, PipelineError
from vanc311_pipeline.orchestration.asset_checks import spec_of
from vanc311_pipeline.orchestration.assets.ingestion import PORTAL_DATASETS, local_areas, raw_service_requests
from vanc311_pipeline.orchestration.assets.requests import service_requests
from vanc311_pipeline.orchestration.assets.statistics import STATISTICS, statistics
from vanc311_pipeline.orchestration.failures import AFTER_PUBLICATION, failure
from vanc311_pipeline.orchestration.metadata import FRESH, OWNERS
from vanc311_pipeline.orchestration.planning import plan_of
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.portal.fingerprint import EMPTY
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.plans import Plan
from vanc311_pipeline.warehouse.publishing import CheckResult, publish, release_row


@dg.asset(
    deps=[*STATISTICS],
    group_name="publication",
    kinds={"sqlite"},
    owners=OWNERS,
    freshness_policy=FRESH,
)
def published_database(
    context: dg.AssetExecutionContext, store: StoreResource, progress: dg.ResourceParam[Progress]
) -> dg.MaterializeResult[None]:
    """One immutable SQLite file with all tables, views, a dictionary and a release table: what everybody reads.

    Made beside its predecessor, checked, and renamed into place; only after every blocking check has passed.
    """
    progress.working("publishing")
    warehouse = store.open()
    try:
        about = publish(
            warehouse,
            store.places.published_path,
            context.run.run_id,
            settled_datasets(warehouse, plan_of(context.run, warehouse)),
            last_results(context.instance),
        )
    except PipelineError as error:
        raise failure(error) from error
    return dg.MaterializeResult(
        metadata={"dagster/uri": str(store.places.published_path), "dagster/row_count": about["rows_stored"], **about}
    )


@dg.asset(
    deps=[published_database],
    group_name="publication",
    kinds={"objectstore"},
    owners=OWNERS,
)
def shipped_database(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult[None]:
    """The published file in an object store, from which replicas serve it.

    Put there under its own digest, read back, and only then named as the one that counts. What does not get there is tried
    again with the next slot, even if the portal has nothing new.
    """
    warehouse = store.open()
    with warehouse.read() as connection:
        published = ledger.last_publication(connection)
    try:
        objects = store.places.ships_to
        if published is None:
            return dg.MaterializeResult(metadata={"shipped": "nothing: nothing was published yet"})
        if not store.places.published_path.exists() or file_digest(store.places.published_path) != published.sha256:
            raise IntegrityFailed(
                f"{store.places.published_path} is not the file that was published at {published.published_at}: somebody else wrote there, "
                "or another pipeline published since. It was not shipped, and what counted in the object store still counts. "
                "`vanc311 sync --months` of any month publishes anew."
            )
        about = release_row(store.places.published_path)
        shipment = objects.ship(store.places.published_path, published.sha256, about)
    except PipelineError as error:
        raise failure(error) from error
    with warehouse.write() as connection:
        ledger.note_shipment(connection, objects.address, shipment.sha256, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": f"{objects.address}/{shipment.name}",
            "sha256": shipment.sha256,
            "bytes": shipment.size,
            "as of": str(about["as_of"]),
            "earlier releases kept": len(shipment.before),
        }
    )


INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def last_results(instance: dg.DagsterInstance) -> list[CheckResult]:
    """What each check of the data last found. Those of the file itself come after it."""
    checks = {spec_of(check).key: check for check in AUDITS if check.asset not in AFTER_PUBLICATION}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    results: list[CheckResult] = []
    for key, record in records.items():
        evaluation = (
            record.event.dagster_event.event_specific_data if record.event and record.event.dagster_event else None
        )
        if record.event and isinstance(evaluation, dg.AssetCheckEvaluation):
            check = checks[key]
            results.append(
                {
                    "check_name": check.name,
                    "asset": check.asset,
                    "claim": check.description,
                    "blocking": "yes" if check.blocking else "no",
                    "result": result_of(evaluation),
                    "found": evaluation.description,
                    "evaluated_at": datetime.fromtimestamp(record.event.timestamp, UTC).strftime(INSTANT),
                    "run_id": record.run_id,
                }
            )
    return results


def result_of(found: dg.AssetCheckEvaluation) -> str:
    if found.passed:
        return "passed"
    return "failed" if found.severity == dg.AssetCheckSeverity.ERROR else "warned"


def settled_datasets(warehouse: Warehouse, plan: Plan | None) -> list[str]:
    """The datasets whose present release is wholly taken over: the run was planned, and every stale window is in step."""
    if plan is None:
        return []
    with warehouse.read() as connection:
        records = ledger.months(connection)
    behind = {
        window.dataset
        for window, digest in plan.stale.items()
        if not EMPTY.digest.startswith(digest)
        and not (window in records and records[window].fingerprint.startswith(digest))
    }
    return [release.dataset for release in plan.releases if release.dataset not in behind]


def assets(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """All assets; the shipment is one only where something ships."""
    return [
        *PORTAL_DATASETS,
        raw_service_requests,
        local_areas,
        service_requests,
        statistics,
        published_database,
        *([shipped_database] if settings.ship_url else []),
    ]
