"""Lineage: which columns of the rows before it each column of a table is made from. What comes from no column has none."""

from collections.abc import Collection

import sqlalchemy as sa

from vanc311_pipeline.schema import ledger, metrics, statistics
from vanc311_pipeline.schema.columns import metadata
from vanc311_pipeline.schema.requests import MODIFIED, OPENED, PORTAL_FIELDS, local_areas, service_requests


def _from(of: sa.Table, origin: Collection[str], default: str = "", **sources: str) -> None:
    """Each column is made from those that are named for it, else from the one of the same name, else from the default."""
    for column in of.columns:
        column.info["from"] = sources.get(column.name, column.name if column.name in origin else default).split()


_from(
    service_requests,
    (),
    **{column: field for field, (_, column) in PORTAL_FIELDS.items()},
    request_id=f"department service_request_type {OPENED}",
    occurrence=" ".join(PORTAL_FIELDS),
    **dict.fromkeys(("opened_on", "open_month", "partition_month"), OPENED),
    days_to_close=f"status {OPENED} service_request_close_date",
    days_to_update=f"{OPENED} {MODIFIED}",
)
_from(local_areas, (), local_area="name", latitude="geo_point_2d", longitude="geo_point_2d", boundary="geom")
_from(
    metrics.metric_aggregates,
    ("scope", "local_area", "issue_type", "as_of"),
    value="avg_ttr avg_ttu volume open_requests",
    n="n_ttr n_ttu volume",
)
_from(ledger.briefs, ("month", "as_of"), facts="opened closed_in open_at_end")

_TIMED, _REASON, _AREA = "status opened_on closed_on", "status closure_reason", "opened_on local_area"
_OF_TYPE = f"{_TIMED} issue_type"
_EVERYWHERE = {
    name: sources
    for names, sources in (
        ("level as_of measure mapping_version weeks_from weeks_to release_month", ""),
        ("days_from days_to year_before_from year_before_to", ""),
        ("period waited_days days_open age_band band_order provisional understated n_after_as_of", "opened_on"),
        ("outcome outcome_order", "closure_reason"),
        ("avg_ttr n_ttr sum_days_to_close", "days_to_close"),
        ("avg_ttu n_ttu", "days_to_update"),
        ("sum_seconds_to_update n_never_updated n_update_negative", "opened_at modified_at"),
        ("n_update_missing", "modified_at"),
        ("n_static_open", "status opened_on"),
        ("status_unknown n_reopened", "status"),
        ("scope n_missing_area", "local_area"),
        ("volume n_vanished", "request_id"),
        ("month", "opened_on closed_on"),
        ("located", "status opened_on local_area"),
        ("seen n_unmapped_reason", _REASON),
        ("city_share", f"{_TIMED} local_area"),
        ("pooled_share", f"{_AREA} issue_type"),
        ("n_negative", _TIMED),
        ("n_missing_point", "latitude longitude"),
        ("n_twins", "occurrence"),
        ("n_repeats", " ".join(column for _, column in PORTAL_FIELDS.values() if column != "modified_at")),
        ("n_batch_closed", f"{_TIMED} issue_type department"),
        ("n_obsolete_label", "issue_type"),
        ("n_relabelled", "department issue_type"),
        ("n_corrected", "status closed_on closure_reason local_area"),
        ("n_clerical", "address channel latitude longitude modified_at"),
    )
    for name in names.split()
}
"""What a column of this name is made from in every table of statistics."""
_WIDE = [each for each in metadata.tables.values() if each.name.startswith("metrics_")]
_BY_STATUS, _UNDATED = (
    dict.fromkeys(("open_requests", "closed"), "status"),
    {"n_closed_without_date": "status closed_on"},
)
for _table, _default, _sources in (
    *((wide, "", _BY_STATUS | _UNDATED) for wide in _WIDE),
    (statistics.periods, "opened_on", {}),
    (statistics.time_to_close, _TIMED, {"n_static": "opened_on"}),
    (statistics.time_to_close_without, f"{_TIMED} issue_type department", {"left_out": "issue_type closed_on"}),
    (statistics.time_to_close_curves, _TIMED, {"day": "opened_on"}),
    (statistics.time_to_close_by_weekday, _TIMED, {"weekday": "opened_on"}),
    (statistics.current_speed, _TIMED, {}),
    (statistics.waiting_times, _TIMED, {}),
    (statistics.open_request_standing, _OF_TYPE, {"n": "opened_on issue_type"}),
    (statistics.monthly_series, _TIMED, {"opened": "opened_on"}),
    (statistics.year_on_year, _TIMED, {}),
    (statistics.speed_on_year, _TIMED, {"horizon_days": f"{_OF_TYPE} department"}),
    (statistics.reporting_times, "opened_at", {"requests": "opened_at"}),
    (statistics.channels, "channel", {"volume": "opened_on"}),
    (statistics.area_rates, _AREA, dict.fromkeys(("census_year", "residents", "dwellings"), "local_area")),
    (statistics.backlog_by_age, "status opened_on", {}),
    (statistics.backlog_daily, _TIMED, {"day": "opened_on closed_on"}),
    (statistics.flow, _TIMED, {}),
    (statistics.outcome_mapping, "closure_reason", {}),
    (statistics.outcomes, _REASON, _BY_STATUS),
    (statistics.closure_reasons, _REASON, {}),
    (statistics.outcome_incidence, f"{_TIMED} closure_reason", {"day": "opened_on", "n": _TIMED}),
    (statistics.area_comparison, f"{_OF_TYPE} department local_area", {"observed": f"{_TIMED} local_area", "n": _AREA}),
    (statistics.area_issue_mix, f"{_AREA} issue_type", {"n": _AREA}),
    (statistics.batch_days, _TIMED, {}),
    (statistics.quality_ledger, "", _UNDATED),
    (statistics.corrections, "", {}),
    (statistics.revisions, _TIMED, {}),
    (statistics.settling, _TIMED, {}),
):
    _from(_table, service_requests.columns.keys(), _default, **(_EVERYWHERE | _sources))
