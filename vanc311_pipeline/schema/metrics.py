"""The four headline metrics: a wide table for each level, and the long table."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import Column, as_of, count, integer, key, metric, real, table, text


def _measures() -> list[Column]:
    """The columns of a metrics table: the headline ones first, what explains them after.

    The whole numbers add up over any grouping, averages don't.
    """
    return [
        metric("volume", sa.INTEGER, nullable=False),
        metric("open_requests", sa.INTEGER, nullable=False),
        metric("avg_ttr"),
        count("n_ttr", "requests behind avg_ttr: closed, with a usable date, not negative"),
        metric("avg_ttu"),
        count("n_ttu", "requests behind avg_ttu: changed after opening"),
        count("closed", "requests with status Close"),
        count("status_unknown", "requests whose status is neither Open nor Close"),
        integer("sum_days_to_close", "sum behind avg_ttr", "days"),
        integer("sum_seconds_to_update", "sum behind avg_ttu", "seconds"),
        count("n_negative", "closed requests whose close date lies before their opening; in no avg_ttr"),
        count("n_closed_without_date", "closed without a date, or with one after the release's day; in no avg_ttr"),
        count("n_never_updated", "requests whose last change is their opening; in no avg_ttu"),
        count("n_update_negative", "requests whose last change lies before their opening; in no avg_ttu"),
        count("n_update_missing", "requests without a last change, or with one after the release's day; in no avg_ttu"),
        count("n_static_open", "open requests opened before 2022-08-17, which the portal no longer refreshes"),
        as_of(),
    ]


COUNTS = [column.name for column in _measures() if column.name not in ("avg_ttr", "avg_ttu", "as_of")]
_KEYS = {
    "scope": "all = every request; located = those with a local area",
    "local_area": "one of the city's 22 local areas",
    "issue_type": "what was asked for",
}


def _wide(name: str, keys: str, meaning: str) -> sa.Table:
    return table(name, meaning, *(key(column, _KEYS[column]) for column in keys.split()), *_measures())


_QUOTE = "Quote volume and open_requests from scope all, averages from scope located."
metrics_citywide = _wide("metrics_citywide", "scope", f"The whole city. {_QUOTE}")
metrics_by_neighbourhood = _wide(
    "metrics_by_neighbourhood", "local_area", "Each local area; requests with a confirmed area only (scope located)."
)
metrics_by_issue = _wide("metrics_by_issue", "issue_type scope", f"Each issue type. {_QUOTE}")
metrics_hyper_local = _wide(
    "metrics_hyper_local",
    "local_area issue_type",
    "Each issue type in each local area that has any (scope located). Most cells are small: read n.",
)
metrics_unlocated = _wide(
    "metrics_unlocated",
    "issue_type",
    "Each issue type among requests without a local area: part of the workload, never ranked with areas.",
)

metric_aggregates = table(
    "metric_aggregates",
    "The same numbers in one long table, one row for each level, scope, group and metric.",
    text("level", "citywide, neighbourhood, issue, hyper_local or unlocated"),
    text("scope", "all, located or unlocated: which requests the number covers"),
    text("local_area", "the area, where the level has one", nullable=True),
    text("issue_type", "the issue type, where the level has one", nullable=True),
    text("metric", "avg_ttr, avg_ttu, volume or open_requests"),
    real("value", "the number; null if n = 0 and the metric is an average", "days, or requests"),
    count("n", "requests behind the value: those averaged, or for a count those counted over"),
    as_of(),
)
