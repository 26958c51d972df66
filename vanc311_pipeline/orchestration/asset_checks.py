"""The asset checks: which audit guards which asset, and whether its failure stops the run.

What belongs here: names, descriptions and severities. What does not: the questions themselves (`warehouse.audits`).

A problem (our data is wrong or not proven) fails with ERROR and, where the check is blocking, stops what comes after.
A note (the city's own data is odd) fails with WARN: counted and said, never stopped. An audit that raises is a broken
audit, not a failed check, and is left to raise.

Checks are unpartitioned: on Dagster 1.13 a partitioned check that runs over a range leaves its months planned for ever.
They look at the months that the run loaded, or, launched alone, at everything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import dagster as dg
import sqlalchemy as sa

from vanc311_pipeline.errors import PipelineError
from vanc311_pipeline.orchestration.assets.statistics import STATISTICS
from vanc311_pipeline.orchestration.failures import failure_or_retry
from vanc311_pipeline.orchestration.planning import ask_anew, plan_of
from vanc311_pipeline.orchestration.resources import PortalResource, StoreResource
from vanc311_pipeline.plan import Plan
from vanc311_pipeline.settings import UNDATED, Settings
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits import curves, landed, metrics, plausibility, published, statistics, stored
from vanc311_pipeline.warehouse.audits.convergence import convergence
from vanc311_pipeline.warehouse.audits.questions import Finding
from vanc311_pipeline.warehouse.engine import Warehouse

LISTED = 20  # problems in a check's one line; all are counted
SHOWN = 100  # problems in its table


@dataclass(frozen=True)
class Scene:
    """What an audit may look at."""

    store: StoreResource
    warehouse: Warehouse
    connection: sa.Connection
    months: list[str] | None
    planned: bool

    @cached_property
    def points(self) -> stored.Points:
        """Where the coordinates lie: two audits ask."""
        return stored.locate(self.connection, self.months)


@dataclass(frozen=True)
class Check:
    """One asset check."""

    asset: str
    name: str
    blocking: bool
    audit: Callable[[Scene], Finding]
    asks_portal: bool = False
    """It needs the portal's present answer: a planned run has it, any other run asks first."""

    @property
    def step(self) -> str:
        """What it is run with: the other checks of its asset, or of all statistics, which are made in one step, too."""
        return "statistics" if self.asset in STATISTICS else self.asset

    @property
    def spec(self) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(
            self.name, asset=self.asset, blocking=self.blocking, description=DESCRIPTIONS[self.name]
        )


DESCRIPTIONS = {
    "raw_count_equals_portal_count": "Every landed file holds as many rows as the portal counted before and after the export.",
    "portal_has_not_shrunk": "The portal did not lose more than 25 rows and 2 % of those that we hold.",
    "portal_fields_are_known": "The portal serves the fields that we know, in the order that we know (warns).",
    "there_are_22_areas": "There are 22 local areas, and each one's centre lies inside it.",
    "every_row_is_accounted_for": "landed = stored + quarantined, month by month, by files, ledger and tables.",
    "stored_total_equals_portal_total": "All landed rows of the live dataset are as many as the portal's records_count.",
    "months_equal_portal": "Month by month, rows, closed rows and latest change are what the portal says (table convergence).",
    "no_month_is_held": "In no month, and not in all together, did what can be used change so much that we keep the old rows.",
    "fingerprints_show_every_change": "No month had changed when it was read again though its fingerprint stood still (warns).",
    "request_ids_are_unique_and_well_formed": "Every id is unique and is the SHA-256 of its request's key.",
    "nothing_required_is_missing": "No null where none may be, no empty text, no N/A.",
    "dates_and_durations_follow_from_instants": "Local dates, months and durations, computed again from the instants, are the same.",
    "fields_are_usable": "Every field came with a value that can be used; one that can't is null, and the landed file keeps it (warns).",
    "areas_are_known": "Every area is one of the 22; unknown names that the city served are stored without an area (warns).",
    "no_row_is_quarantined": "No row is in quarantine (warns, with the reasons).",
    "status_and_close_date_agree": "Closed requests have a close date, open ones have none (warns).",
    "close_is_not_before_open": "No request was closed before it was opened (warns; such requests are in no average).",
    "timestamps_are_plausible": "Nothing happened before the record began, before its opening, or after the release (warns).",
    "points_lie_in_the_city": "Every point lies in one of the 22 areas (warns).",
    "points_lie_in_their_area": "Every point lies in the area that the city states (warns).",
    "levels_add_up": "The conservation laws hold exactly: areas and issues add up to the city.",
    "recomputed_metrics_agree": "The metrics, computed again another way from the requests, are the same.",
    "long_table_equals_wide_tables": "metric_aggregates says what the wide tables say.",
    "time_to_close_adds_up": "Requests used and not used, closed and still open, add up over groups, and to the headline metrics.",
    "curves_agree_with_quantiles": "A median is the first day on which the curve is at one half; curves only fall.",
    "curves_recomputed_agree": "The curves of the city and its areas, computed again day by day from the requests, are the same.",
    "months_add_up": "The months of each group add up to its volume and its closed requests, and the groups to the city.",
    "backlog_adds_up": "Each day's backlog is the day before's plus opened minus closed; the age bands are the open requests.",
    "outcomes_add_up": "The outcomes of each group are its closed requests; their incidence is the share closed.",
    "closure_reasons_are_mapped": "Every closure reason belongs to an outcome group (warns).",
    "every_open_request_stands": "Every open request that a curve can be asked about has its line, and no other.",
    "observed_equals_expected": "Over all areas, what is expected adds up to what is observed.",
    "quality_ledger_adds_up": "The ledger counts every stored and every quarantined row.",
    "quality_is_as_usual": "No share of odd rows in the last whole month is 10 points from what is usual (warns).",
    "published_2025_figures_are_near": "Our figures of 2025 are near those published elsewhere; of the city's own portal only (warns).",
    "published_file_is_whole": "The published file is the one that was written, and undamaged.",
    "published_file_equals_warehouse": "The published file holds what the warehouse holds.",
    "shipped_file_is_the_published_file": "The object store names the file that was published last.",
}

CHECKS = [
    Check(
        "raw_service_requests",
        "raw_count_equals_portal_count",
        True,
        lambda s: landed.raw_counts(s.store.raw_dir, s.months),
    ),
    Check("raw_service_requests", "portal_has_not_shrunk", True, lambda s: landed.portal_size(s.connection)),
    Check(
        "raw_service_requests", "portal_fields_are_known", False, lambda s: landed.raw_fields(s.store.raw_dir, s.months)
    ),
    Check("local_areas", "there_are_22_areas", True, lambda s: stored.all_areas(s.connection)),
    Check(
        "service_requests",
        "every_row_is_accounted_for",
        True,
        lambda s: stored.accounting(s.connection, s.store.raw_dir, s.months),
    ),
    Check(
        "service_requests",
        "stored_total_equals_portal_total",
        True,
        lambda s: stored.portal_total(s.connection, s.planned),
    ),
    Check(
        "service_requests",
        "months_equal_portal",
        True,
        lambda s: convergence(s.connection, s.months, s.planned),
        asks_portal=True,
    ),
    Check("service_requests", "no_month_is_held", True, lambda s: stored.held_months(s.connection)),
    Check(
        "service_requests",
        "request_ids_are_unique_and_well_formed",
        True,
        lambda s: stored.identity(s.connection, s.months),
    ),
    Check(
        "service_requests", "nothing_required_is_missing", True, lambda s: stored.completeness(s.connection, s.months)
    ),
    Check(
        "service_requests",
        "dates_and_durations_follow_from_instants",
        True,
        lambda s: stored.derivation(s.connection, s.months),
    ),
    Check("service_requests", "areas_are_known", True, lambda s: stored.known_areas(s.connection, s.months)),
    Check("service_requests", "fields_are_usable", False, lambda s: stored.usable_fields(s.connection, s.months)),
    Check(
        "service_requests",
        "fingerprints_show_every_change",
        False,
        lambda s: stored.silent_changes(s.connection, s.months),
    ),
    Check("service_requests", "no_row_is_quarantined", False, lambda s: stored.quarantine(s.connection)),
    Check(
        "service_requests",
        "status_and_close_date_agree",
        False,
        lambda s: stored.status_and_close_date(s.connection, s.months),
    ),
    Check(
        "service_requests",
        "close_is_not_before_open",
        False,
        lambda s: stored.close_before_open(s.connection, s.months),
    ),
    Check(
        "service_requests", "timestamps_are_plausible", False, lambda s: stored.plausible_times(s.connection, s.months)
    ),
    Check(
        "service_requests",
        "points_lie_in_the_city",
        False,
        lambda s: stored.points_in_the_city(s.connection, s.months, s.points),
    ),
    Check(
        "service_requests",
        "points_lie_in_their_area",
        False,
        lambda s: stored.points_in_their_area(s.points),
    ),
    Check("metric_aggregates", "levels_add_up", True, lambda s: metrics.conservation(s.connection)),
    Check("metric_aggregates", "recomputed_metrics_agree", True, lambda s: metrics.recomputed(s.connection)),
    Check("metric_aggregates", "long_table_equals_wide_tables", True, lambda s: metrics.long_equals_wide(s.connection)),
    Check("time_to_close", "time_to_close_adds_up", True, lambda s: statistics.timing(s.connection)),
    Check("time_to_close_curves", "curves_agree_with_quantiles", True, lambda s: curves.curves_agree(s.connection)),
    Check("time_to_close_curves", "curves_recomputed_agree", True, lambda s: curves.curves_recomputed(s.connection)),
    Check("monthly_series", "months_add_up", True, lambda s: statistics.monthly(s.connection)),
    Check("backlog_daily", "backlog_adds_up", True, lambda s: statistics.backlog(s.connection)),
    Check("outcomes", "outcomes_add_up", True, lambda s: statistics.outcome_shares(s.connection)),
    Check("outcome_mapping", "closure_reasons_are_mapped", False, lambda s: statistics.unmapped(s.connection)),
    Check("open_request_standing", "every_open_request_stands", True, lambda s: statistics.standing(s.connection)),
    Check("area_comparison", "observed_equals_expected", True, lambda s: statistics.comparison(s.connection)),
    Check("quality_ledger", "quality_ledger_adds_up", True, lambda s: statistics.quality_sums(s.connection)),
    Check("quality_ledger", "quality_is_as_usual", False, lambda s: plausibility.as_usual(s.connection)),
    Check(
        "quality_ledger",
        "published_2025_figures_are_near",
        False,
        lambda s: plausibility.published_2025(s.connection, s.store.is_city_portal),
    ),
    Check(
        "published_database",
        "published_file_is_whole",
        True,
        lambda s: published.published_whole(s.connection, s.store.published_path),
    ),
    Check(
        "published_database",
        "published_file_equals_warehouse",
        True,
        lambda s: published.published_equal(s.warehouse, s.store.published_path, s.months),
    ),
    Check("shipped_database", "shipped_file_is_the_published_file", True, lambda s: _shipped(s)),
]


def _shipped(seen: Scene) -> Finding:
    store = seen.store.ships_to
    return published.shipped_equal(seen.connection, store.latest(), store.address)


def result(check: Check, finding: Finding) -> dg.AssetCheckResult:
    """A finding as Dagster's verdict: problems are errors, notes are warnings, counts are always shown."""
    sentences = finding.problems + finding.notes
    return dg.AssetCheckResult(
        passed=not sentences,
        check_name=check.name,
        asset_key=check.asset,
        severity=dg.AssetCheckSeverity.ERROR if finding.problems else dg.AssetCheckSeverity.WARN,
        description="; ".join(sentences[:LISTED])
        + (f" … and {len(sentences) - LISTED} more" if len(sentences) > LISTED else "")
        or None,
        metadata={
            "problems": len(finding.problems),
            "notes": len(finding.notes),
            **finding.counts,
            **_table("compared", finding.table),
            **_table("offending", _offending(finding)),
        },
    )


def _offending(finding: Finding) -> list[Mapping[str, str]]:
    """All that was found, a line each, and some of the rows."""
    lines = [{"what": what, "row": ""} for what in (*finding.problems, *finding.notes)]
    rows = [{"what": what, "row": row} for what, row in finding.offending]
    return [*lines[:SHOWN], *rows]


def _table(name: str, lines: Sequence[Mapping[str, int | str]]) -> dict[str, dg.TableMetadataValue]:
    records = [dg.TableRecord(dict(line)) for line in lines]
    return {name: dg.MetadataValue.table(records)} if records else {}


def months_to_audit(
    context: dg.AssetCheckExecutionContext, connection: sa.Connection, plan: Plan | None
) -> list[str] | None:
    """The UTC months that the run loaded, and those that an earlier run loaded but didn't publish: a check failed, or it
    broke off. None, which means all, when the check was launched alone.
    """
    run = context.op_execution_context
    if plan:
        return sorted({*plan.months} | ledger.unpublished_months(connection))
    if run.has_partition_key or run.has_partition_key_range:
        return sorted({*run.partition_keys, UNDATED} | ledger.unpublished_months(connection))
    return None


def scene(context: dg.AssetCheckExecutionContext, store: StoreResource, connection: sa.Connection) -> Scene:
    warehouse = store.open()
    plan = plan_of(context.run, warehouse)
    return Scene(store, warehouse, connection, months_to_audit(context, connection, plan), plan is not None)


def checks_of(step: str) -> dg.AssetChecksDefinition:
    """All checks of one asset, or of all statistics, as one step with one connection; those that ask the portal are steps of their own."""
    checks = {check.name: check for check in CHECKS if check.step == step and not check.asks_portal}

    @dg.multi_asset_check(name=f"check_{step}", specs=[check.spec for check in checks.values()], can_subset=True)
    def run_checks(context: dg.AssetCheckExecutionContext, store: StoreResource) -> Iterator[dg.AssetCheckResult]:
        with store.open().read() as connection:
            seen = scene(context, store, connection)
            for key in sorted(context.selected_asset_check_keys, key=lambda key: list(checks).index(key.name)):
                yield result(checks[key.name], checks[key.name].audit(seen))

    return run_checks


def check_that_asks(check: Check) -> dg.AssetChecksDefinition:
    """A check that compares with the portal. What a planned run was told by its plan is not asked again."""

    @dg.multi_asset_check(name=f"check_{check.name}", specs=[check.spec])
    def run_check(
        context: dg.AssetCheckExecutionContext, portal: PortalResource, store: StoreResource
    ) -> Iterator[dg.AssetCheckResult]:
        warehouse = store.open()
        if plan_of(context.run, warehouse) is None:
            try:
                with portal.open() as client:
                    ask_anew(client, warehouse)
            except PipelineError as error:
                raise failure_or_retry(error, context.op_execution_context, portal) from error
        with warehouse.read() as connection:
            yield result(check, check.audit(scene(context, store, connection)))

    return run_check


def checks_for(settings: Settings) -> list[Check]:
    """The checks of the assets that there are: a shipment has one only where something ships."""
    return [check for check in CHECKS if settings.ship_url or check.asset != "shipped_database"]


def asset_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """`checks_for` as Dagster takes them."""
    checks = checks_for(settings)
    return [
        *(checks_of(step) for step in dict.fromkeys(check.step for check in checks)),
        *(check_that_asks(check) for check in checks if check.asks_portal),
    ]
