"""The four headline metrics: a wide table for each level, and the long table."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import Column, as_of, integer, made_from, metric, real, requests, table, text
from vanc311_pipeline.schema.requests import service_requests


def _counts() -> list[Column]:
    """The whole numbers behind every metric: they add up over any grouping, averages don't."""
    return [
        metric("volume", sa.INTEGER, nullable=False),
        metric("open_requests", sa.INTEGER, nullable=False),
        requests("n_ttr", "requests behind avg_ttr: closed, with a usable date, not negative"),
        requests("n_ttu", "requests behind avg_ttu: changed after opening"),
        requests("closed", "requests with status Close"),
        requests("status_unknown", "requests whose status is neither Open nor Close"),
        integer("sum_days_to_close", "sum behind avg_ttr", "days"),
        integer("sum_seconds_to_update", "sum behind avg_ttu", "seconds"),
        requests("n_negative", "closed requests whose close date lies before their opening; in no avg_ttr"),
        requests(
            "n_closed_without_date",
            "closed requests without a close date, or with one after the release's day; in no avg_ttr",
        ),
        requests("n_never_updated", "requests whose last change is their opening; in no avg_ttu"),
        requests("n_update_negative", "requests whose last change lies before their opening; in no avg_ttu"),
        requests(
            "n_update_missing", "requests without a last change, or with one after the release's day; in no avg_ttu"
        ),
        requests("n_static_open", "open requests opened before 2022-08-17, which the portal no longer refreshes"),
    ]


COUNTS = [column.name for column in _counts()]


def _measures() -> list[Column]:
    """The columns of a metrics table: the six headline ones first, the counts behind them after."""
    columns = {column.name: column for column in _counts()}
    columns |= {name: metric(name) for name in ("avg_ttr", "avg_ttu")}
    headline = ["volume", "open_requests", "avg_ttr", "n_ttr", "avg_ttu", "n_ttu"]
    behind = [name for name in columns if name not in headline]
    return [*(columns[name] for name in [*headline, *behind]), as_of()]


_SCOPE = "all = every request; located = those with a local area"

metrics_citywide = table(
    "metrics_citywide",
    "The whole city. Quote volume and open_requests from scope all, averages from scope located.",
    text("scope", _SCOPE, primary_key=True),
    *_measures(),
)

metrics_by_neighbourhood = table(
    "metrics_by_neighbourhood",
    "Each local area; requests with a confirmed area only (scope located).",
    text("local_area", "one of the city's 22 local areas", primary_key=True),
    *_measures(),
)

metrics_by_issue = table(
    "metrics_by_issue",
    "Each issue type. Quote volume and open_requests from scope all, averages from scope located.",
    text("issue_type", "what was asked for", primary_key=True),
    text("scope", _SCOPE, primary_key=True),
    *_measures(),
)

metrics_hyper_local = table(
    "metrics_hyper_local",
    "Each issue type in each local area that has any (scope located). Most cells are small: read n.",
    text("local_area", "one of the city's 22 local areas", primary_key=True),
    text("issue_type", "what was asked for", primary_key=True),
    *_measures(),
)

metrics_unlocated = table(
    "metrics_unlocated",
    "Each issue type among requests without a local area: part of the workload, never ranked with areas.",
    text("issue_type", "what was asked for", primary_key=True),
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
    real("value", "the number; null if n = 0 and the metric is an average", "days, or requests", nullable=True),
    requests("n", "requests behind the value: those averaged, or for a count those counted over"),
    as_of(),
)

for _wide in (metrics_citywide, metrics_by_neighbourhood, metrics_by_issue, metrics_hyper_local, metrics_unlocated):
    made_from(
        _wide,
        service_requests.columns.keys(),
        scope="local_area",
        volume="request_id",
        **dict.fromkeys(("open_requests", "closed", "status_unknown"), "status"),
        **dict.fromkeys(("avg_ttr", "n_ttr", "sum_days_to_close"), "days_to_close"),
        n_negative="status opened_on closed_on",
        n_closed_without_date="status closed_on",
        **dict.fromkeys(("avg_ttu", "n_ttu"), "days_to_update"),
        **dict.fromkeys(("sum_seconds_to_update", "n_never_updated", "n_update_negative"), "opened_at modified_at"),
        n_update_missing="modified_at",
        n_static_open="status opened_on",
    )
made_from(
    metric_aggregates,
    ("scope", "local_area", "issue_type", "as_of"),
    value="avg_ttr avg_ttu volume open_requests",
    n="n_ttr n_ttu volume",
)
