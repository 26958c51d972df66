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
        count(
            "n_closed_without_date",
            "closed requests without a close date, or with one after the release's day; in no avg_ttr",
        ),
        count("n_never_updated", "requests whose last change is their opening; in no avg_ttu"),
        count("n_update_negative", "requests whose last change lies before their opening; in no avg_ttu"),
        count("n_update_missing", "requests without a last change, or with one after the release's day; in no avg_ttu"),
        count("n_static_open", "open requests opened before 2022-08-17, which the portal no longer refreshes"),
        as_of(),
    ]


COUNTS = [column.name for column in _measures() if column.name not in ("avg_ttr", "avg_ttu", "as_of")]
_SCOPE = "all = every request; located = those with a local area"

metrics_citywide = table(
    "metrics_citywide",
    "The whole city. Quote volume and open_requests from scope all, averages from scope located.",
    key("scope", _SCOPE),
    *_measures(),
)

metrics_by_neighbourhood = table(
    "metrics_by_neighbourhood",
    "Each local area; requests with a confirmed area only (scope located).",
    key("local_area", "one of the city's 22 local areas"),
    *_measures(),
)

metrics_by_issue = table(
    "metrics_by_issue",
    "Each issue type. Quote volume and open_requests from scope all, averages from scope located.",
    key("issue_type", "what was asked for"),
    key("scope", _SCOPE),
    *_measures(),
)

metrics_hyper_local = table(
    "metrics_hyper_local",
    "Each issue type in each local area that has any (scope located). Most cells are small: read n.",
    key("local_area", "one of the city's 22 local areas"),
    key("issue_type", "what was asked for"),
    *_measures(),
)

metrics_unlocated = table(
    "metrics_unlocated",
    "Each issue type among requests without a local area: part of the workload, never ranked with areas.",
    key("issue_type", "what was asked for"),
    *_measures(),
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
