"""The last assets, the published file and its shipment, and which assets there are."""

from datetime import UTC, datetime

import dagster as dg

from vanc311_pipeline import pipeline
from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration.asset_checks import spec_of
from vanc311_pipeline.orchestration.assets.ingestion import PORTAL_DATASETS, local_areas, raw_service_requests
from vanc311_pipeline.orchestration.assets.requests import service_requests
from vanc311_pipeline.orchestration.assets.statistics import STATISTICS, statistics
from vanc311_pipeline.orchestration.failures import failure
from vanc311_pipeline.orchestration.metadata import FRESH, OWNERS
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.orchestration.tags import plan_of
from vanc311_pipeline.pipeline import AFTER_PUBLICATION, Run, check_result
from vanc311_pipeline.progress import Progress
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.publishing import CheckResult


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
    run = Run(context.run.run_id, plan_of(context.run, store.open()))
    try:
        about = pipeline.publish(store.places, run, last_results(context.instance), progress)
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
    try:
        shipped = pipeline.ship(store.places, Run(context.run.run_id))
    except PipelineError as error:
        raise failure(error) from error
    if shipped is None:
        return dg.MaterializeResult(metadata={"shipped": "nothing: nothing was published yet"})
    shipment, about = shipped
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": f"{store.places.ships_to.address}/{shipment.name}",
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
            at = datetime.fromtimestamp(record.event.timestamp, UTC).strftime(INSTANT)
            result = result_of(evaluation)
            results.append(check_result(checks[key], result, evaluation.description, at, record.run_id))
    return results


def result_of(evaluation: dg.AssetCheckEvaluation) -> str:
    if evaluation.passed:
        return "passed"
    return "failed" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warned"


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
