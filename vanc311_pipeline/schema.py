"""The tables: the one place where a column's name, type, meaning and unit are written down.

What belongs here: SQLAlchemy tables, indexes and views. The DDL, the columns that Dagster shows, the `dictionary`
table and `docs/data_dictionary.md` are all derived from them. What does not belong here: queries and rows.

Timestamps are text in UTC (`2025-08-25T15:03:00Z`), dates are text (`2025-08-25`), null means absent.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

Column = sa.Column[Any]

metadata = sa.MetaData()

OPENED = "service_request_open_timestamp"

# The portal's fields that we rely on: their type there, and our column that is made from each.
PORTAL_FIELDS = {
    "department": ("text", "department"),
    "service_request_type": ("text", "issue_type"),
    "status": ("text", "status"),
    "closure_reason": ("text", "closure_reason"),
    OPENED: ("datetime", "opened_at"),
    "service_request_close_date": ("date", "closed_on"),
    "last_modified_timestamp": ("datetime", "modified_at"),
    "address": ("text", "address"),
    "local_area": ("text", "local_area"),
    "channel": ("text", "channel"),
    "latitude": ("double", "latitude"),
    "longitude": ("double", "longitude"),
}
KNOWN_EXTRA_FIELDS = ("geom",)  # latitude and longitude again

AREA_NOTE = "one of the city's 22 local areas; null where the city gives none, or a name that is not one of them"


def _column(name: str, type_: type[sa.types.TypeEngine[Any]], meaning: str, unit: str, **options: bool) -> Column:
    options.setdefault("nullable", False)
    return sa.Column(name, type_, comment=meaning, info={"unit": unit}, **options)  # type: ignore[arg-type]


def _text(name: str, meaning: str, unit: str = "text", **options: bool) -> Column:
    return _column(name, sa.TEXT, meaning, unit, **options)


def _integer(name: str, meaning: str, unit: str = "rows", **options: bool) -> Column:
    return _column(name, sa.INTEGER, meaning, unit, **options)


def _real(name: str, meaning: str, unit: str, **options: bool) -> Column:
    return _column(name, sa.REAL, meaning, unit, **options)


def _table(name: str, meaning: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *parts, comment=meaning, sqlite_strict=True)


service_requests = _table(
    "service_requests",
    "Every 3-1-1 service request that the city's portal holds, cleaned, one row each; none merged, none dropped.",
    _text(
        "request_id",
        "SHA-256 of department, issue type, opened_at and occurrence, joined by U+001F",
        "hex",
        primary_key=True,
    ),
    _text("department", "the city department that the request went to, such as ENG - Sanitation Services"),
    _text("issue_type", "what was asked for, such as Street Light Out Case; the city renames types backwards in time"),
    _text("status", "Open or Close, as the city says; anything else counts in volume only", nullable=True),
    _text(
        "closure_reason", "why it was closed; null where the city says N/A. Closed does not mean fixed", nullable=True
    ),
    _text("opened_at", "when it was opened", "UTC instant"),
    _text("opened_on", "when it was opened", "Vancouver date"),
    _text("open_month", "the month it was opened in", "Vancouver month"),
    _text("closed_on", "when it was closed, as published; null while open", "Vancouver date", nullable=True),
    _text("modified_at", "when the record was last changed; not the first reply", "UTC instant", nullable=True),
    _text("address", "street address, block or crossing; null for two thirds of requests", nullable=True),
    _text("local_area", AREA_NOTE, nullable=True),
    _text("channel", "how it came in, such as Phone, WEB or Mobile App", nullable=True),
    _real("latitude", "WGS 84; null for two thirds of requests", "degrees", nullable=True),
    _real("longitude", "WGS 84; null for two thirds of requests", "degrees", nullable=True),
    _integer(
        "days_to_close",
        "closed_on - opened_on of closed requests; 0 means the same day; null while open, without a date, or negative",
        "days",
        nullable=True,
    ),
    _real("days_to_update", "modified_at - opened_at; null when equal, missing or negative", "days", nullable=True),
    _integer("occurrence", "0, 1, 2 … among requests that share department, issue type and opened_at", "ordinal"),
    _text(
        "partition_month", "the month of opened_at: how the pipeline stores rows, not a month to report by", "UTC month"
    ),
)

quarantined_requests = _table(
    "quarantined_requests",
    "Rows that the portal served but that can't be keyed or parsed: kept whole, with the reason, and in no statistic.",
    _text("quarantine_id", "SHA-256 of dataset, month, raw row and its occurrence", "hex", primary_key=True),
    _text("dataset", "the portal's dataset that served the row"),
    _text("partition_month", "the month whose export held the row, or 'undated'", "UTC month"),
    _text("reason", "what is wrong with it"),
    _text("raw_row", "the row exactly as served", "JSON object"),
)

local_areas = _table(
    "local_areas",
    "The city's 22 local areas, from its boundary dataset.",
    _text("local_area", "name, spelled as in the requests", primary_key=True),
    _real("latitude", "a point in the middle, WGS 84", "degrees"),
    _real("longitude", "a point in the middle, WGS 84", "degrees"),
    _text("boundary", "the area's outline, WGS 84, longitude first", "GeoJSON geometry"),
)

month_ledger = _table(
    "month_ledger",
    "What of each dataset and UTC month is in the database, and from which release of the portal.",
    _text("dataset", "the portal's dataset", primary_key=True),
    _text(
        "partition_month",
        "month of the opening instant, or 'undated' for rows that no month can hold",
        "UTC month",
        primary_key=True,
    ),
    _integer("rows_landed", "rows that the portal served"),
    _integer("rows_stored", "of these, rows in service_requests"),
    _integer("rows_quarantined", "of these, rows in quarantined_requests"),
    _integer("rows_closed", "of the landed rows, those with a close date"),
    _text("latest_change", "the newest last-modified instant among the landed rows", "UTC instant", nullable=True),
    _integer("rows_unknown_area", "rows whose area name is none of the 22; stored without an area"),
    _text("unknown_areas", "those names and how many rows each has", "JSON object"),
    _text("fingerprint", "digest of count, closed count and latest change per department and issue type", "hex"),
    _text("landed_sha256", "digest of the landed file's rows", "hex"),
    _text("data_processed", "the portal's release that the rows came with", "UTC instant"),
    _text("code_version", "version of the cleaning rules that made the stored rows"),
    _text("loaded_at", "when we stored it", "UTC instant"),
    _text("run_id", "the Dagster run that stored it"),
    _integer(
        "held_rows",
        "if the month is held: the rows that the portal has now, too few to follow without consent",
        nullable=True,
    ),
    _text(
        "held_fingerprint",
        "if the month is held: the portal's fingerprint that we did not follow",
        "hex",
        nullable=True,
    ),
    _text("held_since", "if the month is held: since when", "UTC instant", nullable=True),
)

portal_releases = _table(
    "portal_releases",
    "The portal's releases that we saw, and what became of them.",
    _text("dataset", "the portal's dataset", primary_key=True),
    _text("data_processed", "when the city published it", "UTC instant", primary_key=True),
    _integer("records_count", "rows that the portal says it has", primary_key=True),
    _text(
        "state",
        "loading, settled (all of it is in the database and published) or held (it lost too many rows to follow)",
    ),
    _text("seen_at", "when we last dealt with it", "UTC instant"),
    _text("run_id", "the Dagster run that did"),
)

data_origin = _table(
    "data_origin",
    "Where the rows come from; one row, written when the database is made.",
    _text("source", "portal, or sample for the bundled sample; the two are never mixed", primary_key=True),
    _text("created_at", "when the database was made", "UTC instant"),
)


def _counts() -> list[Column]:
    """The whole numbers behind every metric: they add up over any grouping, averages don't."""
    return [
        _integer("volume", "requests", "requests"),
        _integer("open_requests", "requests with status Open", "requests"),
        _integer("n_ttr", "requests behind avg_ttr: closed, with a usable date, not negative", "requests"),
        _integer("n_ttu", "requests behind avg_ttu: changed after opening", "requests"),
        _integer("closed", "requests with status Close", "requests"),
        _integer("status_unknown", "requests whose status is neither Open nor Close", "requests"),
        _integer("sum_days_to_close", "sum behind avg_ttr", "days"),
        _integer("sum_seconds_to_update", "sum behind avg_ttu", "seconds"),
        _integer("n_negative", "closed requests whose close date lies before their opening; in no avg_ttr", "requests"),
        _integer("n_closed_without_date", "closed requests without a close date; in no avg_ttr", "requests"),
        _integer("n_never_updated", "requests whose last change is their opening; in no avg_ttu", "requests"),
        _integer(
            "n_update_negative", "requests whose last change lies before their opening; in no avg_ttu", "requests"
        ),
        _integer("n_update_missing", "requests without a last change; in no avg_ttu", "requests"),
        _integer(
            "n_static_open", "open requests opened before 2022-08-17, which the portal no longer refreshes", "requests"
        ),
    ]


COUNTS = [column.name for column in _counts()]


def _measures() -> list[Column]:
    """The columns of a metrics table: the six headline ones first, the counts behind them after."""
    columns = {column.name: column for column in _counts()}
    columns["avg_ttr"] = _real(
        "avg_ttr",
        "mean days to close, over closed requests only (looks too fast for recent months); null if n_ttr = 0",
        "days",
        nullable=True,
    )
    columns["avg_ttu"] = _real(
        "avg_ttu",
        "mean days to the last recorded change, not the first reply; null if n_ttu = 0",
        "days",
        nullable=True,
    )
    headline = ["volume", "open_requests", "avg_ttr", "n_ttr", "avg_ttu", "n_ttu"]
    as_of = _text("as_of", "the last whole local day in the portal's release", "Vancouver date")
    behind = [name for name in columns if name not in headline]
    return [*(columns[name] for name in [*headline, *behind]), as_of]


_SCOPE = "all = every request; located = those with a local area"

metric_cells = _table(
    "metric_cells",
    "The counts of each UTC month, local area and issue type: what every metric is summed from.",
    _text("partition_month", "the month of opened_at", "UTC month"),
    _text("local_area", AREA_NOTE, nullable=True),
    _text("issue_type", "what was asked for"),
    *_counts(),
    sa.Index("metric_cells_by_month", "partition_month"),
)

metrics_citywide = _table(
    "metrics_citywide",
    "The whole city. Quote volume and open_requests from scope all, averages from scope located.",
    _text("scope", _SCOPE, primary_key=True),
    *_measures(),
)

metrics_by_neighbourhood = _table(
    "metrics_by_neighbourhood",
    "Each local area; requests with a confirmed area only (scope located).",
    _text("local_area", "one of the city's 22 local areas", primary_key=True),
    *_measures(),
)

metrics_by_issue = _table(
    "metrics_by_issue",
    "Each issue type. Quote volume and open_requests from scope all, averages from scope located.",
    _text("issue_type", "what was asked for", primary_key=True),
    _text("scope", _SCOPE, primary_key=True),
    *_measures(),
)

metrics_hyper_local = _table(
    "metrics_hyper_local",
    "Each issue type in each local area that has any (scope located). Most cells are small: read n.",
    _text("local_area", "one of the city's 22 local areas", primary_key=True),
    _text("issue_type", "what was asked for", primary_key=True),
    *_measures(),
)

metrics_unlocated = _table(
    "metrics_unlocated",
    "Each issue type among requests without a local area: part of the workload, never ranked with areas.",
    _text("issue_type", "what was asked for", primary_key=True),
    *_measures(),
)

metric_aggregates = _table(
    "metric_aggregates",
    "The same numbers in one long table, one row for each level, scope, group and metric.",
    _text("level", "citywide, neighbourhood, issue, hyper_local or unlocated"),
    _text("scope", "all, located or unlocated: which requests the number covers"),
    _text("local_area", "the area, where the level has one", nullable=True),
    _text("issue_type", "the issue type, where the level has one", nullable=True),
    _text("metric", "avg_ttr, avg_ttu, volume or open_requests"),
    _real("value", "the number; null if n = 0 and the metric is an average", "days, or requests", nullable=True),
    _integer("n", "requests behind the value: those averaged, or for a count those counted over", "requests"),
    _text("as_of", "the last whole local day in the portal's release", "Vancouver date"),
)

publications = _table(
    "publications",
    "The files that we published, newest last.",
    _text("published_at", "when", "UTC instant"),
    _text("run_id", "the Dagster run that published it"),
    _text("sha256", "digest of the file", "hex"),
    _integer("bytes", "its size", "bytes"),
)

request_changes = _table(
    "request_changes",
    "What moved between two loads of a month, newest last; append-only. The first load is the baseline and logs nothing.",
    _integer("change_id", "1, 2, 3 … in the order in which we saw them", "ordinal", primary_key=True),
    _text(
        "kind",
        "opened (new since the last load), closed, reopened, edited, relabelled (another department or issue type, else "
        "equal), or vanished (no longer served, or no longer readable)",
    ),
    _text("request_id", "the id that the request has now; of a vanished one, the id that it had", "hex"),
    _text("previous_request_id", "the id that it had before, if that was another", "hex", nullable=True),
    _text(
        "thread_id",
        "the same in all entries of one request, whatever it was renamed to: the id of occurrence 0 under its first label",
        "hex",
    ),
    _text("partition_month", "the month of opened_at", "UTC month"),
    _text("department", "the city department; of a relabelled one, the new one"),
    _text("issue_type", "what was asked for; of a relabelled one, the new name"),
    _text("opened_at", "when it was opened", "UTC instant"),
    _integer(
        "sharing",
        "requests that share these three, and so the thread; above 1 their entries can't be told apart",
        "requests",
    ),
    _text(
        "before", "the changed fields as they were; all that are not null if it vanished", "JSON object", nullable=True
    ),
    _text("after", "the changed fields as they are; all that are not null if it is new", "JSON object", nullable=True),
    _text("seen_at", "when we saw it", "UTC instant"),
    _text("data_processed", "the portal's release that it came with: it happened before then", "UTC instant"),
    _text("run_id", "the Dagster run that saw it"),
    sa.Index("request_changes_by_request", "request_id"),
    sa.Index("request_changes_by_thread", "thread_id"),
    sa.Index("request_changes_by_month", "partition_month", "kind"),
)

portal_months = _table(
    "portal_months",
    "What the portal says of each month: its answer to the grouped question, when it was last asked.",
    _text("dataset", "the portal's dataset", primary_key=True),
    _text("partition_month", "month of the opening instant, or 'undated'", "UTC month", primary_key=True),
    _integer("rows", "rows that it counts"),
    _integer("closed", "of these, rows with a close date"),
    _text("latest_change", "the newest last-modified instant", "UTC instant", nullable=True),
    _text("fingerprint", "digest of count, closed count and latest change per department and issue type", "hex"),
    _text("data_processed", "the release that it spoke of", "UTC instant"),
    _text("asked_at", "when we asked", "UTC instant"),
)

accepted_losses = _table(
    "accepted_losses",
    "Losses beyond the limits that somebody agreed to follow; append-only. The rows themselves are in request_changes.",
    _text("accepted_at", "when", "UTC instant"),
    _text("partition_month", "the month that lost rows, or 'all' if the whole dataset did", "UTC month"),
    _integer("rows_before", "rows that we held"),
    _integer("rows_after", "rows that the portal served, and that we hold now"),
    _text("data_processed", "the portal's release that was followed", "UTC instant"),
    _text("run_id", "the Dagster run that followed it"),
)

deep_readings = _table(
    "deep_readings",
    "Readings of months whose fingerprint stood still, and what had changed all the same; append-only.",
    _text("read_at", "when", "UTC instant"),
    _text("partition_month", "the month that was read again", "UTC month"),
    _integer("rows", "rows that were compared"),
    _integer(
        "changes_found", "of these, changes that the fingerprint could not show; they are in request_changes", "changes"
    ),
    _text("data_processed", "the portal's release that was read", "UTC instant"),
    _text("run_id", "the Dagster run that read it"),
    sa.Index("deep_readings_by_month", "partition_month", "read_at"),
)

# These two exist in the published file only: they describe it.
published_metadata = sa.MetaData()

dictionary = sa.Table(
    "dictionary",
    published_metadata,
    _text("table_name", "table or view", primary_key=True),
    _text("column_name", "column; * for the table itself", primary_key=True),
    _text("meaning", "what it means"),
    _text("unit", "what it is measured in, or text", nullable=True),
    comment="What every table and column means.",
    sqlite_strict=True,
)

release = sa.Table(
    "release",
    published_metadata,
    _text("source", "portal, or sample: the bundled sample, not the city's statistics", primary_key=True),
    _text("as_of", "the last whole local day in the portal's release", "Vancouver date"),
    _text("data_processed", "when the city published the newest release in here", "UTC instant"),
    _integer("records_count", "rows that the portal said it had in that release (2022 on)"),
    _integer("rows_landed", "rows that the portal served to us"),
    _integer("rows_stored", "rows in service_requests"),
    _integer("rows_quarantined", "rows in quarantined_requests"),
    _text("first_month", "first month in here", "UTC month", nullable=True),
    _text("last_month", "last month in here", "UTC month", nullable=True),
    _integer("months", "months in here", "months"),
    _text("complete", "yes if rows_landed of the live dataset equals records_count, else no"),
    _text("published_at", "when this file was made", "UTC instant"),
    _text("run_id", "the Dagster run that made it"),
    _text("pipeline_version", "version of vanc311_pipeline"),
    _text("licence", "the licence of the data"),
    comment="Which release of the portal this file holds, and how it was made. One row.",
    sqlite_strict=True,
)

# What the pipeline itself needs to find a month.
sa.Index("service_requests_by_partition", service_requests.c.partition_month)

# What readers need. Made when the first file is published: a bulk load without them is faster.
READER_INDEXES = (
    sa.Index("service_requests_by_area_and_issue", service_requests.c.local_area, service_requests.c.issue_type),
    sa.Index("service_requests_by_issue_and_day", service_requests.c.issue_type, service_requests.c.opened_on),
    sa.Index("service_requests_by_day", service_requests.c.opened_on),
)


@dataclass(frozen=True)
class View:
    """A question that users ask, answered by name in the published file."""

    name: str
    meaning: str
    columns: tuple[tuple[str, str, str], ...]
    """Name, meaning and unit of each column."""
    query: str


VIEWS = (
    View(
        "requests_by_month",
        "Requests by the local month they were opened in.",
        (
            ("open_month", "month of opening", "Vancouver month"),
            ("volume", "requests opened in this month", "requests"),
            ("located", "of these, with a local area", "requests"),
            ("open_requests", "of these, still open", "requests"),
            (
                "avg_ttr",
                "mean days to close, closed and located requests only; looks too fast for recent months",
                "days",
            ),
            ("n_ttr", "requests behind avg_ttr", "requests"),
        ),
        """
        SELECT open_month, count(*), count(local_area), sum(status = 'Open'),
               avg(days_to_close) FILTER (WHERE local_area IS NOT NULL),
               count(days_to_close) FILTER (WHERE local_area IS NOT NULL)
        FROM service_requests GROUP BY open_month ORDER BY open_month
        """,
    ),
    View(
        "open_requests_oldest_first",
        "Every open request and how long it has been open.",
        (
            ("days_open", "as_of - opened_on", "days"),
            ("request_id", "the request", "hex"),
            ("department", "the city department", "text"),
            ("issue_type", "what was asked for", "text"),
            ("local_area", "where; null if the city gives no area", "text"),
            ("opened_on", "when it was opened", "Vancouver date"),
        ),
        """
        SELECT CAST(julianday(release.as_of) - julianday(opened_on) AS INTEGER), request_id, department, issue_type,
               local_area, opened_on
        FROM service_requests, release WHERE status = 'Open' ORDER BY opened_on, request_id
        """,
    ),
    View(
        "top_issues_by_neighbourhood",
        "The ten most frequent issue types of each local area.",
        (
            ("local_area", "one of the city's 22 local areas", "text"),
            ("place", "1 = most frequent", "ordinal"),
            ("issue_type", "what was asked for", "text"),
            ("volume", "requests", "requests"),
            ("share_of_area", "volume / the area's volume", "share"),
            ("avg_ttr", "mean days to close, closed requests only", "days"),
            ("n_ttr", "requests behind avg_ttr", "requests"),
        ),
        """
        SELECT * FROM (
            SELECT cell.local_area, row_number() OVER (PARTITION BY cell.local_area ORDER BY cell.volume DESC, cell.issue_type)
                       AS place,
                   cell.issue_type, cell.volume, 1.0 * cell.volume / area.volume, cell.avg_ttr, cell.n_ttr
            FROM metrics_hyper_local AS cell JOIN metrics_by_neighbourhood AS area USING (local_area)
        ) WHERE place <= 10
        """,
    ),
    View(
        "possible_repeats",
        "Groups of requests that are equal in everything but their last change: often one call about several bins.",
        (
            ("requests", "how many", "requests"),
            ("department", "the city department", "text"),
            ("issue_type", "what was asked for", "text"),
            ("opened_at", "when they were opened", "UTC instant"),
            ("local_area", "where", "text"),
            ("address", "where", "text"),
        ),
        """
        SELECT count(*) AS requests, department, issue_type, opened_at, local_area, address FROM service_requests
        GROUP BY department, issue_type, opened_at, status, closure_reason, closed_on, address, local_area, channel,
                 latitude, longitude
        HAVING count(*) > 1
        """,
    ),
    View(
        "convergence",
        "Month by month, what the portal says that it has and what is in here; in step if both agree.",
        (
            ("dataset", "the portal's dataset", "text"),
            ("partition_month", "month of the opening instant, or 'undated'", "UTC month"),
            ("portal_rows", "rows that the portal counts", "rows"),
            ("rows", "rows in here, quarantined ones included", "rows"),
            ("portal_closed", "rows with a close date, by the portal's count", "rows"),
            ("closed", "rows with a close date in here", "rows"),
            ("portal_latest_change", "the newest last-modified instant, as the portal says", "UTC instant"),
            ("latest_change", "the newest last-modified instant in here", "UTC instant"),
            ("in_step", "yes if rows, closed rows, latest change and fingerprint agree, else no", "text"),
            ("data_processed", "the release that the portal spoke of", "UTC instant"),
            ("asked_at", "when we asked", "UTC instant"),
        ),
        """
        SELECT dataset, partition_month, portal.rows, coalesce(ledger.rows_landed, 0), portal.closed,
               coalesce(ledger.rows_closed, 0), portal.latest_change, ledger.latest_change,
               CASE WHEN portal.rows = coalesce(ledger.rows_landed, 0) AND portal.closed = coalesce(ledger.rows_closed, 0)
                         AND portal.latest_change IS ledger.latest_change
                         AND (portal.rows = 0 OR portal.fingerprint IS ledger.fingerprint)
                    THEN 'yes' ELSE 'no' END,
               portal.data_processed, portal.asked_at
        FROM portal_months AS portal LEFT JOIN month_ledger AS ledger USING (dataset, partition_month)
        ORDER BY partition_month, dataset
        """,
    ),
    View(
        "request_history",
        "Every change that we saw, a line for each field that moved. All of one request: WHERE thread_id = (SELECT "
        "thread_id FROM request_history WHERE request_id = … LIMIT 1) ORDER BY change_id. None means unchanged since the baseline.",
        (
            (
                "request_id",
                "the id that the request had after the change; of a vanished one, the id that it had",
                "hex",
            ),
            ("thread_id", "the same in all lines of one request, whatever it was renamed to", "hex"),
            ("change_id", "lines of one change share it", "ordinal"),
            ("kind", "opened, closed, reopened, edited, relabelled or vanished", "text"),
            ("field", "the field that moved", "text"),
            ("before", "its value before; null if it had none or the request is new", "text"),
            ("after", "its value after; null if it has none or the request vanished", "text"),
            ("seen_at", "when we saw it", "UTC instant"),
            ("data_processed", "the portal's release that it came with", "UTC instant"),
            ("department", "the city department after the change", "text"),
            ("issue_type", "what was asked for, as it is called after the change", "text"),
            ("opened_at", "when the request was opened", "UTC instant"),
            ("sharing", "requests that share the thread; above 1 their lines can't be told apart", "requests"),
        ),
        """
        SELECT request_id, thread_id, change_id, kind, field.key, json_extract(before, '$.' || field.key),
               json_extract(after, '$.' || field.key), seen_at, data_processed, department, issue_type, opened_at, sharing
        FROM request_changes, json_each(coalesce(after, before)) AS field
        """,
    ),
    View(
        "observed_times",
        "When we first saw a request change and close: true observation times, not the portal's last-modified. Only of "
        "requests that moved since the baseline and share their thread with no other.",
        (
            ("thread_id", "the request, as in request_history", "hex"),
            ("request_id", "the id that it has now, or had when it vanished", "hex"),
            ("opened_at", "when it was opened", "UTC instant"),
            ("seen_open_since", "release that it was new in; null if it was there at the baseline", "UTC instant"),
            ("first_update_by", "release that its first change came with: it happened by then", "UTC instant"),
            ("days_to_first_update", "first_update_by - opened_at: at most a release too long", "days"),
            ("closed_by", "release that we first saw it closed in; null if we never saw it close", "UTC instant"),
            ("days_to_close_seen", "closed_by - opened_at: at most a release too long", "days"),
            ("reopened", "times that it was opened again", "times"),
            ("vanished_by", "release that it was gone from for good; null if it is still there", "UTC instant"),
        ),
        """
        SELECT thread_id, request_id, opened_at, seen_open_since, first_update_by,
               julianday(first_update_by) - julianday(opened_at), closed_by, julianday(closed_by) - julianday(opened_at),
               reopened, CASE WHEN last_kind = 'vanished' THEN data_processed END
        FROM (
            SELECT thread_id, request_id, opened_at, data_processed, kind AS last_kind,
                   row_number() OVER (PARTITION BY thread_id ORDER BY change_id DESC) AS newest,
                   min(data_processed) FILTER (WHERE kind = 'opened') OVER thread AS seen_open_since,
                   min(data_processed) FILTER (WHERE kind IN ('closed', 'reopened', 'edited')) OVER thread AS first_update_by,
                   min(data_processed) FILTER (
                       WHERE kind = 'closed' OR (kind = 'opened' AND json_extract(after, '$.status') = 'Close')
                   ) OVER thread AS closed_by,
                   count(*) FILTER (WHERE kind = 'reopened') OVER thread AS reopened,
                   max(sharing) OVER thread AS most_sharing
            FROM request_changes
            WINDOW thread AS (PARTITION BY thread_id)
        ) WHERE newest = 1 AND most_sharing = 1 AND (first_update_by IS NOT NULL OR seen_open_since IS NOT NULL OR last_kind = 'vanished')
        """,
    ),
)
