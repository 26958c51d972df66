"""Questions to the portal on behalf of a warehouse: the plan, and what the portal has at all; the answers are written down.

Shared by the schedule, the checks and the command line.
"""

from collections.abc import Mapping, Sequence

from vanc311_pipeline.months import running_month
from vanc311_pipeline.plan import Plan, ask, make_plan
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.shipping import without_secrets
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse


def plan_now(
    client: Portal, warehouse: Warehouse, datasets: Sequence[str] = (LIVE,), accept_shrink: bool = False
) -> Plan:
    """What to do about the portal's present state, given what the warehouse holds."""
    with warehouse.read() as connection:
        months = ledger.months(connection)
        known = {dataset: ledger.last_release(connection, dataset) for dataset in datasets}
    plan = make_plan(client, months, known, CODE_VERSION, datasets, accept_shrink)
    if plan.answers:
        _write_down(warehouse, plan.releases, plan.answers)
    return plan


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
    answers = [ask(client, release, months, running_month()) for release in releases]
    _write_down(warehouse, releases, {window: said for answer in answers for window, said in answer.items()})


def _write_down(warehouse: Warehouse, releases: Sequence[Release], answers: Mapping[Window, Fingerprint]) -> None:
    with warehouse.write() as connection:
        for release in releases:
            mine = {window: said for window, said in answers.items() if window.dataset == release.dataset}
            ledger.note_portal_months(connection, release, mine)
