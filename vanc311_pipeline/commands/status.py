"""`vanc311 status`: what is stored and published, what is held, and what the schedule decided last. Asks no portal."""

from datetime import UTC, datetime

import dagster as dg
import sqlalchemy as sa
from rich.console import Console

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.commands.summary import print_summary
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.jobs import sync as sync_job
from vanc311_pipeline.schema import request_changes
from vanc311_pipeline.settings import LIVE, Settings
from vanc311_pipeline.warehouse import holds, ledger
from vanc311_pipeline.warehouse.engine import Warehouse

_CHANGES = sa.select(request_changes.c.kind, sa.func.count()).group_by(request_changes.c.kind)


def run_status(settings: Settings, console: Console) -> None:
    """Print the state.

    Raises:
        SettingsError: there is no data yet.
    """
    with Warehouse.of(settings).read() as connection:
        release = ledger.last_release(connection, LIVE)
        read = [record.loaded_at for window, record in ledger.months(connection).items() if window.dataset == LIVE]
        held = holds.held(connection)
        changes = {str(kind): int(number) for kind, number in connection.execute(_CHANGES)}
    if release:
        console.print(
            f"Portal   release of {release.data_processed} with {release.records_count:,} rows: {release.state}"
        )
    if read:
        days = (datetime.now(UTC) - datetime.fromisoformat(min(read))).days
        console.print(f"Reading  {len(read)} months; the one read longest ago was read {days} days ago")
    for line in held:
        console.print(f"Held     {line} (since {line.held_since})", markup=False)
    if held:
        console.print(f"         {holds.advice(held)}", markup=False)
    moved = ", ".join(f"{number:,} {kind}" for kind, number in sorted(changes.items()))
    console.print(f"Memory   {moved or 'no change since the first load'}")
    with open_instance(settings) as instance:
        decisions = instance.fetch_observations(portal_key(LIVE), limit=1).records
        if decisions and decisions[0].asset_observation:
            decision = decisions[0].asset_observation.metadata
            console.print(
                f"Schedule slot {decision['slot'].value}: {decision['decision'].value}. {decision['why'].value}",
                markup=False,
            )
        runs = instance.get_runs(dg.RunsFilter(job_name=sync_job.name), limit=1)
        if runs:
            console.print(f"Last run {runs[0].run_id[:8]}: {runs[0].status.value.lower()}")
    print_summary(settings, console)
