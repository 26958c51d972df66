"""What a person reads: after a load and of `vanc311 status` what is there, what is odd, where the file is, and three queries to try;
of `vanc311 status` also what is stored and held, and what the schedule decided last. No portal is asked.
"""

import shlex
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vanc311_pipeline.commands.instance import open_instance
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.orchestration.assets.ingestion import portal_key
from vanc311_pipeline.orchestration.jobs import sync as sync_job
from vanc311_pipeline.schema import deep_readings, metrics_citywide, request_changes
from vanc311_pipeline.settings import LICENCE, LIVE, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline.warehouse.publishing import release_row
from vanc311_pipeline.warehouse.sqlite import open_read_only

QUERIES: dict[str, str] = tomllib.loads(Path(__file__).with_name("queries.toml").read_text(encoding="utf-8"))


def run_status(settings: Settings, console: Console) -> None:
    with Warehouse(settings).read() as connection:
        release = ledger.last_release(connection, LIVE)
        read = [record.loaded_at for window, record in ledger.months(connection).items() if window.dataset == LIVE]
        held = ledger.held(connection)
        moved = _moved(connection)
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
        console.print(f"         {ledger.advice(held)}", markup=False)
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


def print_summary(settings: Settings, console: Console) -> None:
    file = settings.published_path
    if not file.exists():
        raise SettingsError(f"There is no published file at {file} yet. Run `vanc311 sync`.")
    release, city, readings = release_row(file), metrics_citywide.c, deep_readings.c
    again = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(readings.changes_found), 0))
    with open_read_only(file) as published:
        unclosed = published.scalar(sa.select(city.open_requests).where(city.scope == "all")) or 0
        moved = _moved(published, request_changes.c.run_id == release["run_id"])
        months, changes = published.execute(again.where(readings.run_id == release["run_id"])).one()
    with Warehouse(settings).read() as connection:
        held = dict.fromkeys(line.month for line in ledger.held(connection))
    table = Table.grid(padding=(0, 2))
    if release["source"] == "sample":
        table.add_row("Source", "sample: 11,024 real requests that come with the program; not a picture of the city")
    table.add_row("Requests", f"{release['rows_stored']:,}, of which {unclosed:,} are open")
    table.add_row("Months", f"{release['months']}, {release['first_month']} to {release['last_month']} (UTC)")
    table.add_row("As of", f"{release['as_of']} (portal's release of {release['data_processed']})")
    complete = release["complete"] == "yes"
    whole = "all of them" if complete else f"the portal has {release['records_count']:,} since 2022"
    table.add_row("Landed", f"{release['rows_landed']:,} rows, {whole}")
    quarantined = release["rows_quarantined"]
    table.add_row("Quarantined", f"{quarantined:,} rows{' (table quarantined_requests)' if quarantined else ''}")
    if moved:
        table.add_row("Moved", f"{moved} (table request_changes)")
    if months:
        table.add_row("Read again", f"months whose fingerprint stood still: {months}; changes found in them: {changes}")
    table.add_row("Held back", ", ".join(held) or "no month")
    table.add_row("File", escape(str(file)))
    console.print(table)
    console.print("Three queries to try:")
    for question, query in QUERIES.items():
        console.print(f"  {question}")
        console.print(f"    {shlex.join(['sqlite3', '-box', str(file), query])}", markup=False)
    console.print(LICENCE)


def _moved(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> str:
    kind = request_changes.c.kind
    counts = connection.execute(sa.select(kind, sa.func.count()).where(*where).group_by(kind).order_by(kind))
    return ", ".join(f"{number:,} {name}" for name, number in counts)
