"""The pipeline, without Dagster: the whole way from the portal to the published file, in plain functions.

    warehouse = Warehouse(settings)
    warehouse.create()
    with Portal(settings) as client:
        run = Run("a run's id", plan(client, warehouse))          # or Run("…", months=["2025-06"]): what it is told, whatever moved
        sync(client, warehouse, run)

`sync` is all of it, one pipeline at a time; each step can be called alone, in this order: `plan`, `land`, `load_areas`, `load`, `compute`,
`make_briefs`, `audit`, `publish`, `ship`. Dagster's assets and checks call the same functions, and add reports, retries and the UI: what
is true of the data can be tested here, without it. `compare` reads everything from the portal again and changes nothing.

How a step is done is not here (`portal`, `requests`, `metrics`, `warehouse`). Functions raise `PipelineError`, in words for the user.
"""

import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.disk import file_digest, on_disk, scratch_in
from vanc311_pipeline.errors import IntegrityFailed, SettingsError, StorageRefused
from vanc311_pipeline.months import datasets_that_may_hold
from vanc311_pipeline.plan import ask_anew, make_plan
from vanc311_pipeline.portal.client import Portal
from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import EMPTY
from vanc311_pipeline.portal.landing import describe_landed, landed_path, read_landed
from vanc311_pipeline.portal.landing import land as land_window
from vanc311_pipeline.requests.cleaning import CODE_VERSION
from vanc311_pipeline.settings import ARCHIVE, FIRST_LIVE_MONTH, LIVE, UNDATED, revealed
from vanc311_pipeline.shipping import ObjectStore, Shipment, without_secrets
from vanc311_pipeline.warehouse import changelog, ledger, publishing
from vanc311_pipeline.warehouse.areas import area_names, replace_areas
from vanc311_pipeline.warehouse.audits import AUDITS
from vanc311_pipeline.warehouse.audits.questions import Audit, AuditContext, Finding
from vanc311_pipeline.warehouse.briefs import write_briefs
from vanc311_pipeline.warehouse.downloads import are_in_place
from vanc311_pipeline.warehouse.engine import Warehouse, utc_now
from vanc311_pipeline.warehouse.ledger import Plan
from vanc311_pipeline.warehouse.loading import Comparison, MonthLoad, compare_month, load_month
from vanc311_pipeline.warehouse.lock import turn
from vanc311_pipeline.warehouse.restraint import Parts, Verdict, judge, shrinkage
from vanc311_pipeline.warehouse.sqlite import open_read_only
from vanc311_pipeline.warehouse.statistics import replace_statistics

LOG = logging.getLogger(__name__)

# The assets that are made once all checks of the data have passed, and what a failed check of theirs means.
AFTER_PUBLICATION = {
    "published_database": "The file was published, but it is not what was written. Don't use it; check the disk, then sync again.",
    "shipped_database": "The file was published here, but the object store doesn't serve it. Check the store, then sync again.",
}


AUDITORS = 2
"""So many audits are asked at once."""


class Progress:
    """What a watcher is told of the long steps. The command line watches; this one doesn't look."""

    def landed(self, month: str, rows: int) -> None:
        """A month was fetched and proven whole."""

    def stored(self, month: str, rows: int) -> None:
        """A month is in the warehouse, or was left as it is."""

    def working(self, what: str) -> None:
        """Something without months has begun, such as publishing."""


@dataclass(frozen=True)
class Run:
    """What one run is to do: a plan's months, or those that somebody named."""

    run_id: str
    plan: Plan | None = None
    months: Sequence[str] = ()
    """Of a run without a plan: UTC months such as 2025-06. They are loaded whatever moved."""
    consent: Collection[str] = ()
    """Months that somebody agreed to follow wherever they lead, or `all`."""

    @property
    def to_load(self) -> list[str]:
        """The months that it loads, and what no month can hold."""
        return self.plan.months if self.plan else [*self.months, UNDATED]


def sync(client: Portal, warehouse: Warehouse, run: Run, progress: Progress | None = None) -> dict[str, Any]:
    """The whole way; what the published file's `release` table says. A check that blocks and finds a problem ends it."""
    progress = progress or Progress()
    with turn(warehouse, "pipeline.sync", run.run_id, lambda other: LOG.info("Waiting: at work is %s.", other)):
        land(client, warehouse, run, progress)
        checks = _passed(client, warehouse, run, ["raw_service_requests"])
        load_areas(client, warehouse, anew=run.plan is None)
        checks += _passed(client, warehouse, run, ["local_areas"])
        list(load(warehouse, run, progress))
        checks += _passed(client, warehouse, run, ["service_requests"])
        compute(warehouse, progress)
        make_briefs(warehouse, run)
        audited = {*AFTER_PUBLICATION, *(check["asset"] for check in checks)}
        checks += _passed(client, warehouse, run, {each.asset for each in AUDITS} - audited)
        about = publish(warehouse, run, checks, progress)
        _passed(client, warehouse, run, ["published_database"])
        if warehouse.settings.ship_url:
            ship(warehouse, run)
            _passed(client, warehouse, run, ["shipped_database"])
    return about


def _passed(client: Portal, warehouse: Warehouse, run: Run, assets: Collection[str]) -> list[publishing.CheckResult]:
    """Audit some assets; what was found. A problem ends the run if its audit blocks."""
    findings = list(audit(client, warehouse, run, [each for each in AUDITS if each.asset in assets]))
    wrong = [(each, finding) for each, finding in findings if each.blocking and finding.problems]
    if wrong:
        lines = [f"  {each.asset} · {each.name}: {finding.sentence}" for each, finding in wrong]
        raise IntegrityFailed(failed_in_words(lines, {each.asset for each, _ in wrong}))
    return [check_result(each, finding.result, finding.sentence, utc_now(), run.run_id) for each, finding in findings]


# -- plan ----------------------------------------------------------------------------------------------------------------


def plan(
    client: Portal,
    warehouse: Warehouse,
    datasets: Sequence[str] = (LIVE,),
    consent: Collection[str] = (),
    preview: bool = False,
) -> Plan:
    """What to do about the portal's present state. What the portal says is written down, unless it is only a preview."""
    with warehouse.read() as connection:
        records = ledger.months(connection)
        last_releases = {dataset: ledger.last_release(connection, dataset) for dataset in datasets}
        held = [line for line in ledger.held(connection) if line.dataset in datasets]
    present = make_plan(client, records, last_releases, CODE_VERSION, datasets, held, consent)
    if present.answers and not preview:
        with warehouse.write() as connection:
            ledger.note_portal_months(connection, present.releases, present.answers)
    why = why_publish_again(warehouse) if present.action == "skip" and not present.held else None
    return replace(present, action="load", why=f"{present.why} But {why}.") if why else present


def why_publish_again(warehouse: Warehouse) -> str | None:
    """What is wrong with the published file, though the warehouse has all that the portal has; None if nothing is."""
    file = warehouse.settings.published_path
    if not file.exists():
        return f"{file} is gone: making it again"
    try:
        with open_read_only(file) as connection:
            made_by = connection.scalar(sa.select(schema.release.c.pipeline_version))
            published_months = ledger.months(connection)
    except (StorageRefused, sa.exc.DatabaseError):
        return f"{file} can't be read: making it again"
    if made_by != version("vanc311_pipeline"):
        return f"the published file was made by version {made_by} of this program: making it again"
    if not are_in_place(file):
        return f"the files beside {file} are gone: making all of them again"
    with warehouse.read() as connection:
        behind = published_months != ledger.months(connection)
    if behind:
        return f"{file} lacks what was stored since, by another pipeline or without publishing it: making it again"
    return None if is_shipped(warehouse) else "the published file was not shipped: trying again"


def is_shipped(warehouse: Warehouse) -> bool:
    """Whether what was published last is where it is to be shipped, if anywhere."""
    if (store := revealed(warehouse.settings.ship_url)) is None:
        return True
    with warehouse.read() as connection:
        return ledger.is_shipped(connection, without_secrets(store))


# -- land ----------------------------------------------------------------------------------------------------------------


def land(
    client: Portal, warehouse: Warehouse, run: Run, progress: Progress, log: logging.Logger = LOG
) -> tuple[Collection[Release], dict[Window, str]]:
    """Fetch the run's months into files: the releases, without those that are held, and what was done for each window."""
    raw_dir, actions = warehouse.settings.raw_dir, dict[Window, str]()
    with warehouse.read() as connection:
        records = ledger.months(connection)
    stale = run.plan.stale if run.plan else dict.fromkeys(windows_of(run.months, records), "")
    with on_disk(raw_dir):
        datasets = sorted({window.dataset for window in stale})
        named = run.plan.releases if run.plan else [client.release(dataset) for dataset in datasets]
        releases = _begin(client, named, warehouse, run, log)
        chosen = [window for window in stale if window.dataset in releases]
        with warehouse.read() as connection:
            answers = ledger.portal_answers(connection, releases.values()) if run.plan else {}
        others = missing_parts(raw_dir, chosen, records)
        unasked = sorted({window.dataset for window in others} - releases.keys())
        releases |= _begin(client, [client.release(name) for name in unasked], warehouse, run, log)
        for window in [*chosen, *(window for window in others if window.dataset in releases)]:
            release, digest = releases[window.dataset], stale.get(window, "")
            # An earlier run may have broken off after fetching what this one is to fetch.
            about = describe_landed(landed_path(raw_dir, window)) if digest else None
            if about and about.data_processed == release.data_processed and about.fingerprint.startswith(digest):
                actions[window] = "landed before"
            else:
                about = land_window(client, release, window, raw_dir, answers.get(window))
                actions[window] = "fetched"
            log.info(f"{window.dataset} {window.month}: {about.rows:,} rows {actions[window]}")
            progress.landed(window.month, about.rows)
    return releases.values(), actions


def _begin(
    client: Portal, named: Sequence[Release], warehouse: Warehouse, run: Run, log: logging.Logger
) -> dict[str, Release]:
    """Note the releases that the run is about. A dataset that lost too much is held and left out, and so not loaded."""
    releases = {}
    for release in named:
        dataset = release.dataset
        if not run.plan:
            for note in release.drift():
                log.warning(f"{dataset}: {note}. The landed files keep it; nothing else uses it.")
            with warehouse.read() as connection:
                lost = shrinkage(release, ledger.months(connection), {}, run.consent)
            if lost:
                ask_anew(client, warehouse)  # so that the hold can say where
        with warehouse.write() as connection:
            records, answers = ledger.months(connection), ledger.portal_answers(connection, [release])
            losses = shrinkage(release, records, answers, run.consent)
            if losses:
                ledger.hold(connection, losses, judged=[dataset])
            else:
                releases[dataset] = release
            ledger.note_release(connection, release, "held" if losses else "loading", run.run_id)
    return releases


def windows_of(months: Sequence[str], records: Collection[Window]) -> list[Window]:
    """All that months can have rows in, and what no month can hold; the archive's of live months only if it was ever loaded."""
    parts = {month: datasets_that_may_hold(month) for month in months}
    datasets = {dataset for of_month in parts.values() for dataset in of_month}
    if all(month >= FIRST_LIVE_MONTH for month in months) and not any(window.dataset == ARCHIVE for window in records):
        datasets.discard(ARCHIVE)
    parts[UNDATED] = [ARCHIVE, LIVE]
    return [Window(dataset, month) for month, of_month in parts.items() for dataset in of_month if dataset in datasets]


def missing_parts(
    raw_dir: Path, chosen: Sequence[Window], records: Mapping[Window, ledger.MonthRecord]
) -> list[Window]:
    """The other dataset's parts of the chosen months whose landed files aren't here: a month is replaced by all of its parts."""
    months = {window.month for window in chosen}
    return [
        window
        for window, record in records.items()
        if window.month in months and window not in chosen and record.rows_landed
        if (about := describe_landed(landed_path(raw_dir, window))) is None or about.body_sha256 != record.landed_sha256
    ]


def load_areas(client: Portal, warehouse: Warehouse, *, anew: bool) -> int:
    """Fetch and store the local areas; how many there are. They are unchanged since 2023: unless `anew`, only if there are none."""
    with warehouse.read() as connection:
        present = len(area_names(connection))
    return present if present and not anew else replace_areas(warehouse, client.areas())


# -- load ----------------------------------------------------------------------------------------------------------------


def load(warehouse: Warehouse, run: Run, progress: Progress) -> Iterator[MonthLoad]:
    """Clean and store the run's landed months, each in one transaction; nothing of them, if any moved beyond its limits."""
    raw_dir = warehouse.settings.raw_dir
    landed = {month: parts for month in run.to_load if (parts := _parts(raw_dir, month))}
    with on_disk(raw_dir), scratch_in(raw_dir, ".cleaned-") as kept:
        with warehouse.read() as connection:
            areas = area_names(connection)
            records = ledger.months(connection)
            verdict = judge(connection, landed, areas, run.consent, planned=run.plan is not None, kept=kept)
        for month in run.to_load:
            if month in landed and not verdict.held:
                served = [(about, read_landed(path)) for about, path in landed[month]]
                done = load_month(warehouse, month, served, areas, run.run_id, verdict.accepted_of(month), kept)
            else:
                done = _left_alone(month, records, verdict)
            progress.stored(month, done.rows_landed if done.action == "loaded" else 0)
            yield done
    _conclude(warehouse, verdict, run)


def _parts(raw_dir: Path, month: str) -> Parts:
    paths = [landed_path(raw_dir, Window(dataset, month)) for dataset in (ARCHIVE, LIVE)]
    return [(about, path) for path in paths if (about := describe_landed(path))]


def _left_alone(month: str, records: Mapping[Window, ledger.MonthRecord], verdict: Verdict) -> MonthLoad:
    stored = [record for window, record in records.items() if window.month == month]
    landed, kept = sum(record.rows_landed for record in stored), sum(record.rows_stored for record in stored)
    held = any(line.month == month for line in verdict.held)
    return MonthLoad(month, "held" if held else "unchanged", landed, kept, landed - kept)


def _conclude(warehouse: Warehouse, verdict: Verdict, run: Run) -> None:
    """Write down what is held now, what is no longer, and what was followed as a whole by consent."""
    planned = {release.dataset for release in run.plan.releases} if run.plan else set()
    with warehouse.write() as connection:
        last_releases = {dataset: ledger.last_release(connection, dataset) for dataset in (LIVE, ARCHIVE)}
        judged = {dataset for dataset, release in last_releases.items() if release and release.state == "loading"}
        ledger.hold(connection, verdict.held, judged & planned)
        for dataset in {line.dataset for line in verdict.held}:
            if release := last_releases[dataset]:
                ledger.note_release(connection, release, "held", run.run_id)
        if whole := verdict.accepted_of(ledger.WHOLE):
            changelog.log_consent(connection, whole, run.run_id)


# -- compute and audit ---------------------------------------------------------------------------------------------------


def compute(warehouse: Warehouse, progress: Progress) -> dict[str, int]:
    """Compute all numbers anew, from one reading, in one transaction; the rows of each table."""
    progress.working("statistics")
    return replace_statistics(warehouse)


def make_briefs(warehouse: Warehouse, run: Run) -> int:
    """Write the briefs of the newest settled month, if it has none yet; how many were written."""
    with warehouse.write() as connection:
        return write_briefs(connection, run.run_id)


def audit(
    client: Portal, warehouse: Warehouse, run: Run | None, audits: Sequence[Audit] = AUDITS
) -> Iterator[tuple[Audit, Finding]]:
    """What each audit finds in the months loaded and not yet published; without a run, in everything. Unless a plan did, the portal is asked."""
    if (run is None or run.plan is None) and any(each.asks_portal for each in audits):
        ask_anew(client, warehouse)
    with warehouse.read() as connection:
        months = sorted({*run.to_load} | ledger.unpublished_months(connection)) if run else None
    left = iter([[*together] for _, together in groupby(audits, lambda each: each.shares or each.name)])

    def ask() -> list[tuple[Audit, Finding]]:
        with warehouse.read() as connection:
            context = AuditContext(warehouse, connection, months, run is not None and run.plan is not None)
            return [(each, each(context)) for together in left for each in together]

    with ThreadPoolExecutor(AUDITORS) as threads:  # most of it is the database's work
        answers = [threads.submit(ask) for _ in range(AUDITORS)]
        findings = {each: finding for answer in answers for each, finding in answer.result()}
    yield from ((each, findings[each]) for each in audits)


def check_result(audit: Audit, result: str, words: str | None, at: str, run_id: str) -> publishing.CheckResult:
    return {
        "check_name": audit.name,
        "asset": audit.asset,
        "claim": audit.description,
        "blocking": "yes" if audit.blocking else "no",
        "result": result,
        "found": words,
        "evaluated_at": at,
        "run_id": run_id,
    }


def failed_in_words(lines: Sequence[str], assets: Collection[str]) -> str:
    """What failed checks found, a line each, and what that means for the data; `assets` are those that they guard."""
    what = next((words for asset, words in AFTER_PUBLICATION.items() if asset in assets), "")
    if not what or not set(assets) <= set(AFTER_PUBLICATION):
        what = "A check failed, so nothing was published; what was published before stays."
    return "\n".join([what, *lines])


# -- publish and ship ----------------------------------------------------------------------------------------------------


def publish(
    warehouse: Warehouse, run: Run, checks: Sequence[publishing.CheckResult], progress: Progress
) -> dict[str, Any]:
    """Make the published file; what its `release` table says. The datasets that the run took over wholly are complete after that."""
    progress.working("publishing")
    complete = complete_datasets(warehouse, run.plan)
    return publishing.publish(warehouse, warehouse.settings.published_path, run.run_id, complete, checks)


def complete_datasets(warehouse: Warehouse, plan: Plan | None) -> list[str]:
    """The datasets whose present release is wholly taken over: the run was planned, and every stale window is in step."""
    if plan is None:
        return []
    with warehouse.read() as connection:
        records = ledger.months(connection)
    fingerprints = {window: (record.fingerprint, EMPTY.digest) for window, record in records.items()}
    behind = {
        window.dataset
        for window, digest in plan.stale.items()
        if not any(each.startswith(digest) for each in fingerprints.get(window, (EMPTY.digest,)))
    }
    return [release.dataset for release in plan.releases if release.dataset not in behind]


def ship(warehouse: Warehouse, run: Run) -> tuple[Shipment, Mapping[str, Any]] | None:
    """Put the published file into the object store; the shipment, and its `release` table. None if nothing was published yet."""
    file, objects = warehouse.settings.published_path, ObjectStore.of(warehouse.settings)
    with warehouse.read() as connection:
        published = ledger.last_publication(connection)
    if published is None:
        return None
    if not file.exists() or file_digest(file) != published.sha256:
        raise IntegrityFailed(
            f"{file} is not the file that was published at {published.published_at}: somebody else wrote there, "
            "or another pipeline published since. It was not shipped, and what counted in the object store still counts. "
            "`vanc311 sync --months` of any month publishes anew."
        )
    about = publishing.release_row(file)
    shipment = objects.ship(file, published.sha256, about)
    with warehouse.write() as connection:
        ledger.note_shipment(connection, objects.address, shipment.sha256, run.run_id)
    return shipment, about


# -- compare -------------------------------------------------------------------------------------------------------------


def compare(client: Portal, warehouse: Warehouse, months: Sequence[str] = ()) -> Iterator[Comparison]:
    """Read months from the portal again and compare them with what is stored, row by row; all that are stored if none is named."""
    with warehouse.read() as connection:
        windows = sorted(ledger.months(connection), key=lambda window: (window.month, window.dataset))
        areas = area_names(connection)
    if strangers := sorted(set(months) - {window.month for window in windows}):
        raise SettingsError(
            f"{', '.join(strangers)} can't be compared: never loaded. Load it with `vanc311 sync --months {strangers[0]}`."
        )
    releases = {dataset: client.release(dataset) for dataset in {window.dataset for window in windows}}
    with tempfile.TemporaryDirectory(prefix="vanc311-") as folder:
        for month in months or list(dict.fromkeys(window.month for window in windows)):
            served = []
            for window in (window for window in windows if window.month == month):
                about = land_window(client, releases[window.dataset], window, Path(folder))
                path = landed_path(Path(folder), window)
                served.append((about, read_landed(path)))
                path.unlink()
            yield compare_month(warehouse, month, served, areas)
