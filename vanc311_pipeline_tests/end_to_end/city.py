"""What the end-to-end tests share: the pipeline with a directory of its own, and what it must publish."""

import io
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd
from rich.console import Console

from vanc311_pipeline import pipeline
from vanc311_pipeline.commands.summary import print_summary, run_status
from vanc311_pipeline.commands.sync import REPLANS, run_sync, run_verify
from vanc311_pipeline.disk import sqlite_uri
from vanc311_pipeline.errors import IntegrityFailed, PipelineError, ReleaseMoved
from vanc311_pipeline.months import parse_months
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.settings import ARCHIVE, LIVE, Settings
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.conftest import few_statistics, hasty

OPENED, MODIFIED = "service_request_open_timestamp", "last_modified_timestamp"
COLUMNS = "department, issue_type, status, closure_reason, opened_at, closed_on, modified_at, address, local_area, channel, latitude, longitude"


@dataclass(frozen=True)
class Ended:
    """How a command that was typed ended, and what it left on the two streams."""

    exit_code: int
    out: str
    err: str


@dataclass(frozen=True)
class Pipeline:
    """The pipeline with a data directory of its own."""

    settings: Settings

    def impatient(self) -> "Pipeline":
        """The same, for a portal that keeps silent: it gives up after half a second."""
        return Pipeline(self.settings.changed(read_timeout_seconds=0.5))

    def sync(self, **options) -> str:
        """The way of the requests without Dagster, which knows nothing of the data, and with few numbers: a tenth of what it costs else."""
        with few_statistics():
            return self.sync_with_all_numbers(**options)

    def sync_with_all_numbers(self, **options) -> str:
        """The whole way without Dagster."""
        return self.words(sync_directly, **options)

    def sync_with_dagster(self, **options) -> str:
        return self.words(run_sync, **options)

    def status(self) -> str:
        return self.words(run_status)

    def verify(self, **options) -> str:
        return self.words(run_verify, **{"deep": False, "months": None} | options)

    def words(self, command, ends: int = 0, **options) -> str:
        """What a command says, which must end with this exit code."""
        out, code = io.StringIO(), 0
        try:
            command(self.settings, Console(file=out, width=500), **options)
        except PipelineError as error:
            out.write(str(error))
            code = error.exit_code
        assert code == ends, out.getvalue()
        return out.getvalue()

    def query(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(sqlite_uri(self.settings.published_path, mode="ro"), uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def rows(self) -> list[tuple]:
        """Every published request, without what the pipeline adds, sorted."""
        return sorted(self.query(f"SELECT {COLUMNS} FROM service_requests"), key=repr)

    def file(self) -> bytes:
        return self.settings.published_path.read_bytes()


def sync_directly(
    settings: Settings,
    console: Console,
    months: str | None = None,
    archive: bool = False,
    accept_shrink: Sequence[str] = (),
) -> None:
    """As `vanc311 sync` goes it: plan, do it, plan again if the city publishes meanwhile, sum it up."""
    warehouse, datasets = Warehouse(settings), (LIVE, ARCHIVE) if archive else (LIVE,)
    warehouse.create()
    for attempt in range(REPLANS):
        with Portal(settings) as client:
            run = Run(uuid4().hex, None, parse_months(months) if months else [], accept_shrink)
            if not months:
                plan = pipeline.plan(client, warehouse, datasets, accept_shrink)
                console.print(plan.why)
                if plan.action == "skip":
                    if plan.held:
                        raise IntegrityFailed(plan.why)
                    break
                run = Run(run.run_id, plan, consent=accept_shrink)
            try:
                pipeline.sync(client, warehouse, run)
            except ReleaseMoved:
                if attempt == REPLANS - 1:
                    raise
            else:
                break
    print_summary(settings, console)


def questions(portal: StandIn) -> Counter[str]:
    """How often each kind of question was asked: a dataset's metadata, records, csv, json."""
    return Counter(entry.path.rsplit("/", 1)[-1] for entry in portal.requests_log)


def expected(frame: pd.DataFrame) -> list[tuple]:
    """The rows that the published file must hold for a portal's frame, written down without the pipeline's help."""
    instants = {
        name: pd.to_datetime(frame[name], utc=True).dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in (OPENED, MODIFIED)
    }
    days = frame["service_request_close_date"].map(lambda day: None if pd.isna(day) else str(day)[:10])
    frame = frame.assign(**instants, service_request_close_date=days).drop(columns="geom", errors="ignore")
    nulls = frame.isna() | (frame == "N/A")
    return sorted(frame.astype(object).mask(nulls, None).itertuples(index=False, name=None), key=repr)


def settings_in(home: Path, url: str) -> Settings:
    return hasty(url, data_dir=home / "data", dagster_home=home / "dagster")
