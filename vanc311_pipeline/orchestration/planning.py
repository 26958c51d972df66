"""Questions to the portal on behalf of a warehouse: the plan, and what the portal has at all; the answers are written down.

Shared by the schedule, the checks and the command line.
"""

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.errors import IntegrityFailed, StorageRefused
from vanc311_pipeline.orchestration.resources import StoreResource
from vanc311_pipeline.orchestration.tags import PLAN_TAG, plan_tags
from vanc311_pipeline.plan import ask, make_plan, published_again
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.shipping import without_secrets
from vanc311_pipeline.warehouse import holds, ledger, plans
from vanc311_pipeline.warehouse.downloads import are_in_place
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.plans import Plan
from vanc311_pipeline.warehouse.sqlite import open_read_only


def plan_now(
    client: Portal, warehouse: Warehouse, datasets: Sequence[str] = (LIVE,), consent: Collection[str] = ()
) -> Plan:
    """What to load of the portal's present state, given what the warehouse holds; what the portal says is written down."""
    plan = plan_only(client, warehouse, datasets, consent)
    if plan.answers:
        _write_down(warehouse, plan.releases, plan.answers)
    return plan


def plan_only(
    client: Portal, warehouse: Warehouse, datasets: Sequence[str] = (LIVE,), consent: Collection[str] = ()
) -> Plan:
    """The same, and nothing is written."""
    with warehouse.read() as connection:
        months = ledger.months(connection)
        known = {dataset: ledger.last_release(connection, dataset) for dataset in datasets}
        held = [line for line in holds.held(connection) if line.dataset in datasets]
    return make_plan(client, months, known, CODE_VERSION, datasets, held, consent)


def keep(warehouse: Warehouse, plan: Plan) -> str:
    """Write a plan down for the run that will go by it; its name."""
    with warehouse.write() as connection:
        return plans.write(connection, plan)


def plan_of(run: dg.DagsterRun, warehouse: Warehouse) -> Plan | None:
    """The plan that a run goes by; None if it was told what to do, or has no plan yet."""
    if PLAN_TAG not in run.tags:
        return None
    with warehouse.read() as connection:
        return plans.find(connection, run.tags[PLAN_TAG])


def plan_for(
    run: dg.DagsterRun, instance: dg.DagsterInstance, client: Portal, store: StoreResource, consent: Collection[str]
) -> Plan:
    """The plan that a run goes by, made now if there is none: it was launched by hand, to come into step.

    Raises:
        IntegrityFailed: the portal's release is held.
    """
    warehouse = store.open()
    if plan := plan_of(run, warehouse):
        return plan
    plan = published_again(
        plan_now(client, warehouse, consent=consent),
        why_publish_again(warehouse, store.places.published_path, store.ship_url),
    )
    if plan.held:
        raise IntegrityFailed(plan.why)
    tags = plan_tags(keep(warehouse, plan), plan)
    instance.add_run_tags(run.run_id, tags)
    # The steps to come, too: Dagster reads their partition from the tags of this very run.
    dict.update(run.tags, tags)
    return plan


def why_publish_again(warehouse: Warehouse, published: Path, ship_url: str | None) -> str | None:
    """What is wrong with the published file, though the warehouse has all that the portal has; None if nothing is."""
    if not published.exists():
        return f"{published} is gone: making it again"
    try:
        with open_read_only(published) as connection:
            made_by = connection.scalar(sa.select(schema.release.c.pipeline_version))
            published_months = ledger.months(connection)
    except (StorageRefused, sa.exc.DatabaseError):
        return f"{published} can't be read: making it again"
    if made_by != version("vanc311_pipeline"):
        return f"the published file was made by version {made_by} of this program: making it again"
    if not are_in_place(published):
        return f"the files beside {published} are gone: making all of them again"
    with warehouse.read() as connection:
        behind = published_months != ledger.months(connection)
    if behind:
        return f"{published} lacks what was stored since, by another pipeline or without publishing it: making it again"
    return None if is_shipped(warehouse, ship_url) else "the published file was not shipped: trying again"


def is_shipped(warehouse: Warehouse, ship_url: str | None) -> bool:
    """Whether what was published last is where it is to be shipped, if anywhere."""
    if not ship_url:
        return True
    with warehouse.read() as connection:
        return ledger.is_shipped(connection, without_secrets(ship_url))


def ask_anew(client: Portal, warehouse: Warehouse) -> None:
    """Have the portal say what it has of each dataset that the warehouse holds: two requests each."""
    with warehouse.read() as connection:
        months = ledger.months(connection)
    releases = [client.release(dataset) for dataset in sorted({window.dataset for window in months})]
    answers = [ask(client, release, months) for release in releases]
    _write_down(warehouse, releases, {window: print_ for answer in answers for window, print_ in answer.items()})


def _write_down(warehouse: Warehouse, releases: Sequence[Release], answers: Mapping[Window, Fingerprint]) -> None:
    with warehouse.write() as connection:
        for release in releases:
            of_dataset = {window: print_ for window, print_ in answers.items() if window.dataset == release.dataset}
            ledger.note_portal_months(connection, release, of_dataset)
