"""The tables: the one place where a column's name, type, meaning and unit are written down.

What belongs here: SQLAlchemy tables, indexes and views. The DDL, the columns that Dagster shows, the `dictionary`
table and `docs/data_dictionary.md` are all derived from them; a statistic's column takes its words from the registry.
What does not belong here: queries and rows.

Timestamps are text in UTC (`2025-08-25T15:03:00Z`), dates are text (`2025-08-25`), null means absent.
"""
# ruff: noqa: F401 - what is imported is what the package gives

from vanc311_pipeline.schema.columns import metadata
from vanc311_pipeline.schema.ledger import (
    accepted_losses,
    data_origin,
    deep_readings,
    holds,
    month_ledger,
    portal_months,
    portal_releases,
    publications,
    request_changes,
    schema_versions,
    shipments,
)
from vanc311_pipeline.schema.metrics import (
    COUNTS,
    metric_aggregates,
    metrics_by_issue,
    metrics_by_neighbourhood,
    metrics_citywide,
    metrics_hyper_local,
    metrics_unlocated,
)
from vanc311_pipeline.schema.published import (
    COUNTED_COLUMNS,
    VIEWS,
    View,
    check_results,
    dictionary,
    metric_definitions,
    published_metadata,
    release,
    request_values,
)
from vanc311_pipeline.schema.requests import (
    COMMON_CHANNELS,
    KNOWN_EXTRA_FIELDS,
    MODIFIED,
    MOST_COMMON_REASON,
    ODD_STATUS,
    OPENED,
    PORTAL_FIELDS,
    RARER_CHANNEL,
    RARER_REASON,
    READER_INDEXES,
    UNEXPLAINED,
    local_areas,
    quarantined_requests,
    service_requests,
)
from vanc311_pipeline.schema.statistics import (
    LEVELS,
    PUBLISHED_INDEXES,
    area_comparison,
    area_issue_mix,
    backlog_by_age,
    backlog_daily,
    closure_reasons,
    flow,
    monthly_series,
    open_request_standing,
    outcome_incidence,
    outcome_mapping,
    outcomes,
    periods,
    quality_ledger,
    time_to_close,
    time_to_close_curves,
    waiting_times,
)
from vanc311_pipeline.schema.work import plans, turns, work_metadata
