"""Planning against a warehouse: hands the ledger to `plan.make_plan`, and writes down what the portal answered.

Shared by the schedule and the command line.
"""

from collections.abc import Sequence

from vanc311_pipeline.plan import Plan, make_plan
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import LIVE
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
        with warehouse.write() as connection:
            for release in plan.releases:
                answers = {window: said for window, said in plan.answers.items() if window.dataset == release.dataset}
                ledger.note_portal_months(connection, release, answers)
    return plan
