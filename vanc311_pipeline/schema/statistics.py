"""The statistics: time to close, waiting, months, backlog, outcomes, comparison of areas, quality of the record.

Every table with a `level` says which groups a row is about: citywide, neighbourhood (local_area), issue (issue_type), hyper_local
(both), department, or unlocated (requests without an area); the columns that the level does not use are null.
"""

import sqlalchemy as sa

from vanc311_pipeline.registry import STATES_MEANING
from vanc311_pipeline.schema.columns import Column, as_of, integer, made_from, metric, real, requests, table, text
from vanc311_pipeline.schema.requests import PORTAL_FIELDS, service_requests

SHARE, DAYS = "share", "days"
PERIOD_NOTE = "when they were opened: all, last_12_months, or a year; see table periods"
YES_NO = "yes or no"

LEVELS: dict[str, tuple[str, ...]] = {
    "citywide": (),
    "neighbourhood": ("local_area",),
    "issue": ("issue_type",),
    "hyper_local": ("local_area", "issue_type"),
    "department": ("department",),
    "unlocated": (),
}
"""The columns that name a group of each level."""


def _by_group(name: str, meaning: str, *columns: Column) -> sa.Table:
    """A table that says of each row whom it is about."""
    return table(
        name,
        meaning,
        text("level", "citywide, neighbourhood, issue, hyper_local, department or unlocated"),
        text("scope", "all = every request; located = those with a local area; unlocated = those without"),
        text("local_area", "the area, where the level has one", nullable=True),
        text("issue_type", "the issue type, where the level has one", nullable=True),
        text("department", "the city department, where the level has one", nullable=True),
        *columns,
        as_of(),
    )


def _estimate(name: str, meaning: str, unit: str) -> Column:
    return real(name, meaning, unit, nullable=True)


def _limits(name: str, of: str, unit: str) -> list[Column]:
    return [
        _estimate(f"{name}_low", f"lower 95 % limit of {of}", unit),
        _estimate(f"{name}_high", f"upper 95 % limit of {of}", unit),
    ]


def _quantile(name: str) -> list[Column]:
    """A quantile in whole days, its limits, and why it may be missing."""
    of = f"{name}_days"
    return [
        metric(of, sa.INTEGER),
        integer(f"{name}_low", f"lower 95 % limit of {of}; null if not reached", DAYS, nullable=True),
        integer(f"{name}_high", f"upper 95 % limit of {of}; null if not reached", DAYS, nullable=True),
        text(f"{name}_state", f"of {of}: {STATES_MEANING}"),
    ]


def _further(quantile: str) -> list[Column]:
    name = f"further_{quantile}"
    state = text(f"{name}_state", f"of {name}: {STATES_MEANING}; too_few if followed < 30")
    return [metric(name, sa.INTEGER), state]


def _timed() -> list[Column]:
    """The requests behind a curve, and those that it could not use; volume is their sum."""
    return [
        requests("volume", "requests opened in the period"),
        requests("n", "requests behind the curve: at risk on day 0; closed + still_open"),
        requests("closed", "of these, closed by as_of"),
        requests("still_open", "of these, not closed by as_of: followed until as_of"),
        requests("n_static", "not used: opened before 2022-08-17, no longer refreshed by the portal"),
        requests("n_after_as_of", "not used: opened after as_of, on a day that is not complete"),
        requests("n_negative", "not used: closed before they were opened"),
        requests("n_closed_without_date", "not used: closed without a close date, or with one after the release's day"),
    ]


periods = table(
    "periods",
    "The periods of opening that statistics are given for.",
    text("period", "all, last_12_months, or a year", primary_key=True),
    text("opened_from", "first day of opening in it that the record covers", "Vancouver date"),
    text("opened_to", "last day of opening in it that the record covers", "Vancouver date"),
    as_of(),
)

time_to_close = _by_group(
    "time_to_close",
    "How long it takes until a request is closed, counting those still open (Kaplan–Meier). Quote last_12_months.",
    text("period", PERIOD_NOTE),
    *_timed(),
    integer("followed_days", "the longest that anybody was followed; null if n = 0", DAYS, nullable=True),
    *_quantile("median"),
    *_quantile("p75"),
    *_quantile("p90"),
    metric("mean_within_30"),
    metric("mean_within_90"),
    metric("mean_closed_only"),
    metric("median_closed_only", sa.INTEGER),
)

time_to_close_curves = _by_group(
    "time_to_close_curves",
    "The curves behind time_to_close on chosen days, where n ≥ 30. Of hyper_local groups for last_12_months only.",
    text("period", PERIOD_NOTE),
    integer("day", "days after opening; 0 is the day of opening", DAYS),
    requests("at_risk", "requests followed for at least so many days"),
    requests("closed_by", "requests closed by then"),
    metric("open_share", nullable=False),
    *_limits("open_share", "open_share", SHARE),
)

waiting_times = _by_group(
    "waiting_times",
    "If a request has waited so long already, how much longer? By issue type, and by area and issue type for last_12_months.",
    text("period", PERIOD_NOTE),
    integer("waited_days", "days that the request has waited: open at the end of this day after opening", DAYS),
    requests("followed", "requests that were followed beyond this day, still open at its end"),
    metric("open_share", nullable=False),
    *_further("median"),
    *_further("p75"),
    *_further("p90"),
)

open_request_standing = table(
    "open_request_standing",
    "Where each open request stands among those of its issue type. Open requests opened from 2022-08-17 to as_of.",
    text("request_id", "the open request", "hex", primary_key=True),
    integer("days_open", "as_of - opened_on", DAYS),
    text("period", "whom it is compared with: last_12_months, or all if fewer than 30 were followed so long in them"),
    requests("n", "requests of its issue type opened in the period"),
    requests("followed", "of these, followed beyond days_open and still open at its end"),
    metric("closed_sooner_share"),
    metric("further_median", sa.INTEGER),
    text("state", f"of further_median: {STATES_MEANING}; too_few if followed < 30"),
    as_of(),
)


def _within(days: int) -> list[Column]:
    return [
        requests(f"n_{days}", f"requests of the month that are at least {days} days old"),
        requests(f"within_{days}", f"of these, closed within {days} days"),
        metric(f"share_{days}"),
        *_limits(f"share_{days}", f"share_{days}", SHARE),
        text(f"share_{days}_state", f"of share_{days}: {STATES_MEANING}"),
    ]


monthly_series = _by_group(
    "monthly_series",
    "Month by month: opened, closed, open at its end, and how fast those opened in it were closed. Every month of the record "
    "for each group; of hyper_local groups only months with a request.",
    text("month", "the month", "Vancouver month"),
    metric("opened", sa.INTEGER, nullable=False),
    metric("closed_in", sa.INTEGER, nullable=False),
    requests(
        "open_at_end",
        "requests open at the month's end, or at as_of in the last one, as today's record shows it; null in a month after as_of",
        nullable=True,
    ),
    requests("n", "requests opened in the month that have usable dates: behind the median"),
    requests("closed", "of these, closed by as_of"),
    *_quantile("median"),
    *_within(7),
    *_within(30),
    *_within(90),
    text(
        "provisional",
        "yes if the month reaches into the seven days up to as_of, or beyond: late entries may move it",
        YES_NO,
    ),
)

backlog_by_age = _by_group(
    "backlog_by_age",
    "The open requests by how long they have been open. The bands of a group add up to its open requests.",
    text("age_band", "days open: 0-7, 8-30, 31-90, 91-365, over 365; or opened after as_of"),
    integer("band_order", "1 = youngest; 6 = opened after as_of", "ordinal"),
    requests("open_requests", "open requests in the band"),
    requests("located", "of these, with a local area"),
    requests("n_static", "of these, opened before 2022-08-17: whether they are still open is not known"),
    metric("share_of_open"),
)

backlog_daily = _by_group(
    "backlog_daily",
    "What was open at the end of each day, for the city and each area, as today's record shows it.",
    text("day", "the day", "Vancouver date"),
    requests("opened", "requests opened on the day, without those of unknown status or closed without a date"),
    metric("closed_in", sa.INTEGER, nullable=False),
    metric("backlog", sa.INTEGER, nullable=False),
    text("understated", "yes before 2023-08-17: requests from before the record are missing", YES_NO),
    text("provisional", "yes in the seven days up to as_of: late entries may move it", YES_NO),
)

flow = _by_group(
    "flow",
    "Is the backlog growing? The last 13 complete weeks of requests opened from 2022-08-17.",
    text("weeks_from", "Monday of the first week", "Vancouver date"),
    text("weeks_to", "Sunday of the last week", "Vancouver date"),
    requests("opened", "requests opened in the 13 weeks"),
    requests("closed_in", "requests closed in them"),
    requests("net", "opened - closed_in"),
    requests("backlog_start", "open at the end of the day before the first week"),
    requests("backlog_end", "open at the end of the last week"),
    metric("t_statistic"),
    metric("flow", sa.TEXT, nullable=False),
    requests("net_year_before", "net of the 13 weeks that ended 52 weeks earlier"),
)

outcome_mapping = table(
    "outcome_mapping",
    "Which outcome group each closure reason belongs to: an interpretation, not the city's classification.",
    text("closure_reason", "the city's reason, as published; N/A stands for none", primary_key=True),
    text("outcome", "the group"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    text("mapping_version", "version of the mapping"),
    text("seen", "yes if a closed request has the reason", YES_NO),
)

outcomes = _by_group(
    "outcomes",
    "How closed requests were closed, in groups, by period of opening. The groups add up to the closed requests.",
    text("period", PERIOD_NOTE),
    text("outcome", "the outcome group; see outcome_mapping"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    requests("closed_as", "requests closed in this way"),
    requests("closed", "requests closed in any way"),
    requests("open_requests", "requests still open, which have no outcome"),
    metric("outcome_share"),
    *_limits("outcome_share", "outcome_share", SHARE),
    text("state", f"of outcome_share: {STATES_MEANING}"),
)

closure_reasons = table(
    "closure_reasons",
    "How often each department gave each closure reason, by period of opening.",
    text("period", PERIOD_NOTE),
    text("department", "the city department"),
    text("closure_reason", "the city's reason, as published; N/A stands for none"),
    text("outcome", "the outcome group; see outcome_mapping"),
    requests("closed", "closed requests with this reason"),
    requests("open_requests", "open requests with this reason: nearly all have N/A, for the status decides"),
    as_of(),
)

outcome_incidence = _by_group(
    "outcome_incidence",
    "Share of all requests that were closed in each way within so many days. Over the outcomes it adds up to the share closed.",
    text("period", PERIOD_NOTE),
    text("outcome", "the outcome group; see outcome_mapping"),
    integer("outcome_order", "1 to 6; 7 = unmapped", "ordinal"),
    integer("day", "days after opening", DAYS),
    requests("n", "requests behind it"),
    metric("closed_share", nullable=False),
)

area_comparison = table(
    "area_comparison",
    "Each local area against what the city's rates give for the area's own types of request. No ranks: see docs/methods.md.",
    text(
        "measure",
        "open_after_30_days (ratio above 1: slower) or closings (ratio above 1: faster; all follow-up, open requests included)",
    ),
    text("local_area", "one of the city's 22 local areas"),
    requests("n", "located requests of the last 365 matured days"),
    requests("observed", "O: requests open after 30 days, or closings"),
    _estimate("expected", "E: what the city's rates for the same types give", "requests"),
    metric("ratio"),
    *_limits("ratio", "ratio", "ratio"),
    text("state", f"of ratio: {STATES_MEANING}; too_few also if expected < 5"),
    _estimate("city_share", "share of all these requests that were open after 30 days; null for closings", SHARE),
    metric("adjusted_share"),
    _estimate("z", "(O - E) / √V, before widening", "ratio"),
    _estimate("dispersion", "φ: how much more areas differ than chance alone would make them; at least 1", "ratio"),
    _estimate("funnel_95_low", "lower 95 % funnel limit of ratio around 1", "ratio"),
    _estimate("funnel_95_high", "upper 95 % funnel limit", "ratio"),
    _estimate("funnel_998_low", "lower 99.8 % funnel limit", "ratio"),
    _estimate("funnel_998_high", "upper 99.8 % funnel limit", "ratio"),
    _estimate("q_value", "Benjamini–Hochberg q of the difference from 1, over the areas shown", "probability"),
    text(
        "finding",
        "more, fewer (beyond the 99.8 % limits, or q ≤ 0.05) or not distinguishable; null if suppressed",
        nullable=True,
    ),
    _estimate(
        "pooled_share", "share of the area's requests whose type is rare: rate from the department or the city", SHARE
    ),
    _estimate("ratio_without_own", "ratio with rates from the other areas only", "ratio"),
    as_of(),
)

area_issue_mix = table(
    "area_issue_mix",
    "What is reported more or less often in an area than the city's mix would give for as many requests. Last 365 days.",
    text("local_area", "one of the city's 22 local areas"),
    text("issue_type", "what was asked for"),
    requests("observed", "O: requests of this type in the area"),
    requests("n", "all requests of the area"),
    real("expected", "E: n · (the type's requests in all areas / all located requests)", "requests"),
    metric("ratio"),
    *_limits("ratio", "ratio", "ratio"),
    _estimate("q_value", "Benjamini–Hochberg q of the difference from 1, over all cells shown", "probability"),
    text("finding", "more, fewer (q ≤ 0.05) or not distinguishable; null if suppressed", nullable=True),
    text("state", "ok, or too_few: n < 30 or expected < 5"),
    as_of(),
)

quality_ledger = table(
    "quality_ledger",
    "What is missing or odd in the record, by month of opening and department.",
    text(
        "open_month",
        "month of opening; of quarantined rows the UTC month they were served in, or undated",
        "Vancouver month",
    ),
    text("department", "the city department; of a quarantined row as served, or unknown"),
    requests("volume", "requests"),
    metric("n_missing_area", sa.INTEGER, nullable=False),
    metric("n_missing_point", sa.INTEGER, nullable=False),
    integer("n_quarantined", "rows that can't be keyed; not in volume", "rows"),
    requests("n_negative", "requests closed before they were opened"),
    requests("n_closed_without_date", "requests closed without a close date, or with one after the release's day"),
    metric("n_twins", sa.INTEGER, nullable=False),
    metric("n_repeats", sa.INTEGER, nullable=False),
    metric("n_batch_closed", sa.INTEGER, nullable=False),
    metric("n_obsolete_label", sa.INTEGER, nullable=False),
    requests("n_unmapped_reason", "closed requests whose reason is in no outcome group"),
    as_of(),
)


def _group_index(of: sa.Table, *more: str) -> sa.Index:
    names = ("level", "local_area", "issue_type", *more)
    return sa.Index(f"{of.name}_by_group", *(of.c[name] for name in names))


# Made in the published file only: the pipeline replaces these tables whole and looks nothing up in them.
PUBLISHED_INDEXES = (
    _group_index(time_to_close, "period"),
    _group_index(time_to_close_curves, "period"),
    _group_index(waiting_times, "period", "waited_days"),
    _group_index(monthly_series, "month"),
    _group_index(backlog_by_age),
    _group_index(backlog_daily, "day"),
    _group_index(flow),
    _group_index(outcomes, "period"),
    _group_index(outcome_incidence, "period"),
    sa.Index("area_issue_mix_by_area", area_issue_mix.c.local_area),
)


def _from(of: sa.Table, default: str, **sources: str) -> None:
    of_every_table = {"scope": "local_area", "period": "opened_on", "level": "", "as_of": ""}
    made_from(of, service_requests.columns.keys(), default, **(of_every_table | sources))


_TIMED, _REASON = "status opened_on closed_on", "status closure_reason"
_OF_TYPE = f"{_TIMED} issue_type"

_from(periods, "opened_on")
_from(time_to_close, _TIMED, volume="request_id", n_static="opened_on", n_after_as_of="opened_on")
_from(time_to_close_curves, _TIMED, day="opened_on")
_from(waiting_times, _TIMED, waited_days="opened_on")
_from(open_request_standing, _OF_TYPE, days_open="opened_on", n="opened_on issue_type")
_from(monthly_series, _TIMED, month="opened_on closed_on", opened="opened_on", provisional="opened_on")
_from(
    backlog_by_age,
    "status opened_on",
    age_band="opened_on",
    band_order="opened_on",
    located="status opened_on local_area",
)
_from(backlog_daily, _TIMED, day="opened_on closed_on", understated="opened_on", provisional="opened_on")
_from(flow, _TIMED, weeks_from="", weeks_to="")
_from(outcome_mapping, "closure_reason", seen=_REASON, mapping_version="")
_from(
    outcomes, _REASON, closed="status", open_requests="status", outcome="closure_reason", outcome_order="closure_reason"
)
_from(closure_reasons, _REASON, outcome="closure_reason")
_from(
    outcome_incidence,
    f"{_TIMED} closure_reason",
    outcome="closure_reason",
    outcome_order="closure_reason",
    day="opened_on",
    n=_TIMED,
)
_from(
    area_comparison,
    f"{_OF_TYPE} department local_area",
    measure="",
    n="opened_on local_area",
    observed=f"{_TIMED} local_area",
    city_share=f"{_TIMED} local_area",
    pooled_share="opened_on local_area issue_type",
)
_from(area_issue_mix, "opened_on local_area issue_type", n="opened_on local_area")
_from(
    quality_ledger,
    "",
    volume="request_id",
    n_missing_area="local_area",
    n_missing_point="latitude longitude",
    n_negative=_TIMED,
    n_closed_without_date="status closed_on",
    n_twins="occurrence",
    n_repeats=" ".join(column for _, column in PORTAL_FIELDS.values() if column != "modified_at"),
    n_batch_closed="status closed_on issue_type",
    n_obsolete_label="issue_type",
    n_unmapped_reason=_REASON,
)
