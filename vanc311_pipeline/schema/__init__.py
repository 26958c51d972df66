"""The tables: the one place where a column's name, type, meaning and unit are written down.

What belongs here: SQLAlchemy tables, indexes and views. The DDL, the columns that Dagster shows, the `dictionary`
table and `docs/data_dictionary.md` are all derived from them; a statistic's column takes its words from the registry.
What does not belong here: queries and rows.

Timestamps are text in UTC (`2025-08-25T15:03:00Z`), dates are text (`2025-08-25`), null means absent.
"""

from vanc311_pipeline.schema.columns import metadata
from vanc311_pipeline.schema.ledger import (
    accepted_losses,
    data_origin,
    deep_readings,
    month_ledger,
    portal_months,
    portal_releases,
    publications,
    request_changes,
)
from vanc311_pipeline.schema.metrics import (
    COUNTS,
    metric_aggregates,
    metric_cells,
    metrics_by_issue,
    metrics_by_neighbourhood,
    metrics_citywide,
    metrics_hyper_local,
    metrics_unlocated,
)
from vanc311_pipeline.schema.published import (
    VIEWS,
    View,
    check_results,
    dictionary,
    metric_definitions,
    published_metadata,
    release,
)
from vanc311_pipeline.schema.requests import (
    KNOWN_EXTRA_FIELDS,
    OPENED,
    PORTAL_FIELDS,
    READER_INDEXES,
    local_areas,
    quarantined_requests,
    service_requests,
)
from vanc311_pipeline.schema.statistics import (
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

__all__ = [
    "COUNTS",
    "KNOWN_EXTRA_FIELDS",
    "OPENED",
    "PORTAL_FIELDS",
    "PUBLISHED_INDEXES",
    "READER_INDEXES",
    "VIEWS",
    "View",
    "accepted_losses",
    "area_comparison",
    "area_issue_mix",
    "backlog_by_age",
    "backlog_daily",
    "check_results",
    "closure_reasons",
    "data_origin",
    "deep_readings",
    "dictionary",
    "flow",
    "local_areas",
    "metadata",
    "metric_aggregates",
    "metric_cells",
    "metric_definitions",
    "metrics_by_issue",
    "metrics_by_neighbourhood",
    "metrics_citywide",
    "metrics_hyper_local",
    "metrics_unlocated",
    "month_ledger",
    "monthly_series",
    "open_request_standing",
    "outcome_incidence",
    "outcome_mapping",
    "outcomes",
    "periods",
    "portal_months",
    "portal_releases",
    "publications",
    "published_metadata",
    "quality_ledger",
    "quarantined_requests",
    "release",
    "request_changes",
    "service_requests",
    "time_to_close",
    "time_to_close_curves",
    "waiting_times",
]
