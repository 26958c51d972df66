"""What exists in the published file only: the tables that describe it, and the views that answer users' questions."""

from functools import partial

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import Column, count, instant, integer, key, real, table, text, whatever, yes_no

published_metadata = sa.MetaData()
_published = partial(table, kept_in=published_metadata)

dictionary = _published(
    "dictionary",
    "What every table and column means.",
    key("table_name", "table or view"),
    key("column_name", "column; * for the table itself"),
    text("meaning", "what it means"),
    text("unit", "what it is measured in, or text", nullable=True),
)

metric_definitions = _published(
    "metric_definitions",
    "Every statistic's definition; the reasons and limits are in docs/methods.md.",
    key("metric", "the statistic: the column that holds it"),
    text("title", "its short name"),
    text("meaning", "what it says, in plain language"),
    text("formula", "how it is computed"),
    text("unit", "what it is measured in"),
    text("direction", "what a larger value means", nullable=True),
    text("scope", "which requests it is about"),
    integer("minimum_n", "below this many requests no value is given", "requests"),
    text("source", "where the formula comes from"),
    text("tables", "the tables of its family, separated by commas"),
    text("definitions_version", "version of the definitions"),
)

release = _published(
    "release",
    "Which release of the portal this file holds, and how it was made. One row.",
    key("source", "portal, or sample: the bundled sample, not the city's statistics"),
    text("as_of", "the last whole day in here: before the release's, at most the newest change's", "Vancouver date"),
    instant("data_processed", "when the city published the newest release in here"),
    integer("records_count", "rows that the portal said it had in that release (2022 on)"),
    integer("rows_landed", "rows that the portal served to us"),
    integer("rows_stored", "rows in service_requests"),
    integer("rows_quarantined", "rows in quarantined_requests"),
    text("first_month", "first month in here", "UTC month", nullable=True),
    text("last_month", "last month in here", "UTC month", nullable=True),
    integer("months", "months in here", "months"),
    text("complete", "yes if rows_landed of the live dataset equals records_count, else no"),
    instant("published_at", "when this file was made"),
    text("run_id", "the Dagster run that made it"),
    text("pipeline_version", "version of vanc311_pipeline"),
    text("licence", "the licence of the data"),
)


check_results = _published(
    "check_results",
    "What each check of the data last found, before this file was made; those of the file itself run after it.",
    key("check_name", "the check"),
    text("asset", "the table or step that it guards"),
    text("claim", "what holds if it passes"),
    yes_no("blocking", "yes if nothing is published when it fails"),
    text("result", "passed, warned (something is odd: kept, counted, said) or failed"),
    text("found", "what it found, if it did not pass", nullable=True),
    instant("evaluated_at", "when it was last run before this file was made"),
    text("run_id", "the Dagster run that ran it"),
)

request_values = _published(
    "request_values",
    "The values of the columns of service_requests that have few, to choose from.",
    key("column_name", "a column of service_requests that has few values"),
    key("value", "one of them"),
    count("requests", "requests that have it"),
)
COUNTED_COLUMNS = ("status", "channel", "closure_reason")


_views = sa.MetaData()


def _view(name: str, meaning: str, *columns: Column, query: str) -> sa.Table:
    """A question that users ask, answered by name in the published file; its SQL is beside its columns."""
    for column in columns:
        column.nullable = True
    return sa.Table(name, _views, *columns, comment=meaning, info={"query": query.strip()})


requests_by_month = _view(
    "requests_by_month",
    "Requests by the local month they were opened in.",
    text("open_month", "month of opening", "Vancouver month"),
    count("volume", "requests opened in this month"),
    count("located", "of these, with a local area"),
    count("open_requests", "of these, still open"),
    real("avg_ttr", "mean days to close, closed and located requests only; looks too fast for recent months", "days"),
    count("n_ttr", "requests behind avg_ttr"),
    query="""
    SELECT open_month, count(*), count(local_area), sum(status = 'Open'),
           avg(days_to_close) FILTER (WHERE local_area IS NOT NULL),
           count(days_to_close) FILTER (WHERE local_area IS NOT NULL)
    FROM service_requests GROUP BY open_month ORDER BY open_month
    """,
)

open_requests_oldest_first = _view(
    "open_requests_oldest_first",
    "Every open request and how long it has been open.",
    real("days_open", "as_of - opened_on; 0 if it was opened since", "days"),
    text("request_id", "the request", "hex"),
    text("department", "the city department"),
    text("issue_type", "what was asked for"),
    text("local_area", "where; null if the city gives no area"),
    text("opened_on", "when it was opened", "Vancouver date"),
    query="""
    SELECT max(0, CAST(julianday(release.as_of) - julianday(opened_on) AS INTEGER)), request_id, department, issue_type,
           local_area, opened_on
    FROM service_requests, release WHERE status = 'Open' ORDER BY opened_on, request_id
    """,
)

top_issues_by_neighbourhood = _view(
    "top_issues_by_neighbourhood",
    "The ten most frequent issue types of each local area.",
    text("local_area", "one of the city's 22 local areas"),
    integer("place", "1 = most frequent", "ordinal"),
    text("issue_type", "what was asked for"),
    count("volume", "requests"),
    real("share_of_area", "volume / the area's volume", "share"),
    real("avg_ttr", "mean days to close, closed requests only", "days"),
    count("n_ttr", "requests behind avg_ttr"),
    query="""
    SELECT * FROM (
        SELECT cell.local_area, row_number() OVER (PARTITION BY cell.local_area ORDER BY cell.volume DESC, cell.issue_type)
                   AS place,
               cell.issue_type, cell.volume, 1.0 * cell.volume / area.volume, cell.avg_ttr, cell.n_ttr
        FROM metrics_hyper_local AS cell JOIN metrics_by_neighbourhood AS area USING (local_area)
    ) WHERE place <= 10
    """,
)

possible_repeats = _view(
    "possible_repeats",
    "Groups of requests that are equal in everything but their last change: often one call about several bins.",
    count("requests", "how many"),
    text("department", "the city department"),
    text("issue_type", "what was asked for"),
    instant("opened_at", "when they were opened"),
    text("local_area", "where"),
    text("address", "where"),
    query="""
    SELECT count(*) AS requests, department, issue_type, opened_at, local_area, address FROM service_requests
    GROUP BY department, issue_type, opened_at, status, closure_reason, closed_on, address, local_area, channel,
             latitude, longitude
    HAVING count(*) > 1
    """,
)

convergence = _view(
    "convergence",
    "Month by month, what the portal says that it has and what is in here; in step if both agree.",
    text("dataset", "the portal's dataset"),
    text("partition_month", "month of the opening instant, or 'undated'", "UTC month"),
    integer("portal_rows", "rows that the portal counts"),
    integer("rows", "rows in here, quarantined ones included"),
    integer("portal_closed", "rows with a close date, by the portal's count"),
    integer("closed", "rows with a close date in here"),
    instant("portal_latest_change", "the newest last-modified instant, as the portal says"),
    instant("latest_change", "the newest last-modified instant in here"),
    text("in_step", "yes if rows, closed rows, latest change and fingerprint agree, else no"),
    instant("data_processed", "the release that the portal spoke of"),
    instant("asked_at", "when we asked"),
    query="""
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
)

request_history = _view(
    "request_history",
    "Every change that we saw, a line for each field that moved. All of one request: WHERE thread_id = (SELECT "
    "thread_id FROM request_history WHERE request_id = … LIMIT 1) ORDER BY change_id. None means unchanged since the baseline.",
    text("request_id", "the id that the request had after the change; of a vanished one, the id that it had", "hex"),
    text("thread_id", "the same in all lines of one request, whatever it was renamed to", "hex"),
    integer("change_id", "lines of one change share it", "ordinal"),
    text("kind", "opened, closed, reopened, edited, relabelled or vanished"),
    text("field", "the field that moved"),
    whatever("before", "its value before; null if it had none or the request is new"),
    whatever("after", "its value after; null if it has none or the request vanished"),
    instant("seen_at", "when we saw it"),
    instant("data_processed", "the portal's release that it came with"),
    text("department", "the city department after the change"),
    text("issue_type", "what was asked for, as it is called after the change"),
    instant("opened_at", "when the request was opened"),
    count("sharing", "requests that share the thread; above 1 their lines can't be told apart"),
    query="""
    SELECT request_id, thread_id, change_id, kind, field.key, json_extract(before, '$.' || field.key),
           json_extract(after, '$.' || field.key), seen_at, data_processed, department, issue_type, opened_at, sharing
    FROM request_changes, json_each(coalesce(after, before)) AS field
    """,
)

observed_times = _view(
    "observed_times",
    "When we first saw a request change and close: true observation times, not the portal's last-modified. Only of "
    "requests that moved since the baseline and share their thread with no other.",
    text("thread_id", "the request, as in request_history", "hex"),
    text("request_id", "the id that it has now, or had when it vanished", "hex"),
    instant("opened_at", "when it was opened"),
    instant("seen_open_since", "release that it was new in; null if it was there at the baseline"),
    instant("first_update_by", "release that its first change came with: it happened by then"),
    real("days_to_first_update", "first_update_by - opened_at: at most a release too long", "days"),
    instant("closed_by", "release that we first saw it closed in; null if we never saw it close"),
    real("days_to_close_seen", "closed_by - opened_at: at most a release too long", "days"),
    integer("reopened", "times that it was opened again", "times"),
    instant("vanished_by", "release that it was gone from for good; null if it is still there"),
    query="""
    SELECT thread_id, request_id, opened_at, seen_open_since, first_update_by,
           julianday(first_update_by) - julianday(opened_at), closed_by, julianday(closed_by) - julianday(opened_at),
           reopened, CASE WHEN kind = 'vanished' THEN data_processed END
    FROM (
        SELECT thread_id, max(change_id) AS newest,
               min(data_processed) FILTER (WHERE kind = 'opened') AS seen_open_since,
               min(data_processed) FILTER (WHERE kind IN ('closed', 'reopened', 'edited')) AS first_update_by,
               min(data_processed) FILTER (
                   WHERE kind = 'closed' OR (kind = 'opened' AND json_extract(after, '$.status') = 'Close')
               ) AS closed_by,
               count(*) FILTER (WHERE kind = 'reopened') AS reopened
        FROM request_changes GROUP BY thread_id HAVING max(sharing) = 1
    ) JOIN request_changes USING (thread_id)
    WHERE change_id = newest AND (first_update_by IS NOT NULL OR seen_open_since IS NOT NULL OR kind = 'vanished')
    """,
)

VIEWS = tuple(_views.tables.values())
