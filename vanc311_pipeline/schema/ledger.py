"""What the pipeline knows of its own work: months, releases, publications, changes, readings; and what it needs while it works."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import count, instant, integer, key, ordinal, real, table, text

work_metadata = sa.MetaData()
"""Tables of the warehouse that are never published."""

month_ledger = table(
    "month_ledger",
    "What of each dataset and UTC month is in the database, and from which release of the portal.",
    key("dataset", "the portal's dataset"),
    key("partition_month", "month of the opening instant, or 'undated' for rows that no month can hold", "UTC month"),
    integer("rows_landed", "rows that the portal served"),
    integer("rows_stored", "of these, rows in service_requests"),
    integer("rows_quarantined", "of these, rows in quarantined_requests"),
    integer("rows_closed", "of the landed rows, those with a close date"),
    instant("latest_change", "the newest last-modified instant among the landed rows", nullable=True),
    integer("rows_unknown_area", "rows whose area name is none of the 22; stored without an area"),
    text("unknown_areas", "those names and how many rows each has", "JSON object"),
    text("fingerprint", "digest of the counts and outermost instants per department and issue type", "hex"),
    text("landed_sha256", "digest of the landed file's rows", "hex"),
    instant("data_processed", "the portal's release that the rows came with"),
    text("code_version", "version of the cleaning rules that made the stored rows"),
    instant("loaded_at", "when we stored it"),
    text("run_id", "the Dagster run that stored it"),
    text("unusable_fields", "columns that rows lack because the value was unusable", "JSON object", nullable=True),
    text("dates_ahead", "the earliest closing or change after the release's day", "Vancouver date", nullable=True),
)

holds = table(
    "holds",
    "What of the portal is not followed until it recovers or somebody agrees; while there is a line, nothing is published.",
    key("dataset", "the portal's dataset"),
    key("partition_month", "the month, or 'all' for the dataset as a whole", "UTC month"),
    integer("rows_before", "rows that we hold"),
    integer("rows_now", "rows that the portal has now"),
    text("why", "what moved beyond its limits, from what we hold to what the portal has"),
    instant("data_processed", "the portal's release that is not followed"),
    instant("held_since", "since when"),
)

portal_releases = table(
    "portal_releases",
    "The portal's releases that we saw, and what became of them.",
    key("dataset", "the portal's dataset"),
    key("data_processed", "when the city published it", "UTC instant"),
    integer("records_count", "rows that the portal says it has", primary_key=True),
    text("state", "loading, settled (all of it is published) or held (it is not followed; see holds)"),
    instant("seen_at", "when we last dealt with it"),
    text("run_id", "the Dagster run that did"),
    instant("settled_at", "when all of it was first in the database and published", nullable=True),
)

data_origin = table(
    "data_origin",
    "Where the rows come from; one row, written when the database is made.",
    key("source", "portal, or sample for the bundled sample; the two are never mixed"),
    instant("created_at", "when the database was made"),
)

schema_versions = table(
    "schema_versions",
    "The versions that the warehouse's tables have had.",
    integer("version", "version of the tables; see warehouse/engine.py", "ordinal", primary_key=True),
    instant("upgraded_at", "when they were made, or brought up to it"),
    text("pipeline_version", "version of the program that did"),
)

publications = table(
    "publications",
    "The files that we published, newest last.",
    instant("published_at", "when"),
    text("run_id", "the Dagster run that published it"),
    text("sha256", "digest of the file", "hex"),
    integer("bytes", "its size", "bytes"),
)

shipments = table(
    "shipments",
    "The published files that were shipped to an object store, newest last.",
    instant("shipped_at", "when the store named it as the one that counts"),
    text("run_id", "the Dagster run that shipped it"),
    text("target", "the store's address"),
    text("sha256", "digest of the file", "hex"),
)

request_changes = table(
    "request_changes",
    "What moved between two loads of a month, newest last; append-only. The first load is the baseline and logs nothing.",
    ordinal("change_id", "1, 2, 3 … in the order in which we saw them"),
    text("kind", "opened, closed, reopened, edited, relabelled (else equal), or vanished (not served or readable)"),
    text("request_id", "the id that the request has now; of a vanished one, the id that it had", "hex"),
    text("previous_request_id", "the id that it had before, if that was another", "hex", nullable=True),
    text(
        "thread_id", "the same in all entries of a request, under any label: occurrence 0's id under the first", "hex"
    ),
    text("partition_month", "the month of opened_at", "UTC month"),
    text("department", "the city department; of a relabelled one, the new one"),
    text("issue_type", "what was asked for; of a relabelled one, the new name"),
    instant("opened_at", "when it was opened"),
    count("sharing", "requests of one label and opening, and so one thread; above 1 they can't be told apart"),
    text("before", "the changed fields as they were; all with a value if it vanished", "JSON object", nullable=True),
    text("after", "the changed fields as they are; all with a value if it is new", "JSON object", nullable=True),
    instant("seen_at", "when we saw it"),
    instant("data_processed", "the portal's release that it came with: it happened before then"),
    text("run_id", "the Dagster run that saw it"),
    sa.Index("request_changes_by_request", "request_id"),
    sa.Index("request_changes_by_thread", "thread_id"),
    sa.Index("request_changes_by_month", "partition_month", "kind"),
)

portal_months = table(
    "portal_months",
    "What the portal says of each month: its answer to the grouped question, when it was last asked.",
    key("dataset", "the portal's dataset"),
    key("partition_month", "month of the opening instant, or 'undated'", "UTC month"),
    integer("rows", "rows that it counts"),
    integer("closed", "of these, rows with a close date"),
    instant("latest_change", "the newest last-modified instant", nullable=True),
    text("fingerprint", "digest of the counts and outermost instants per department and issue type", "hex"),
    instant("data_processed", "the release that it spoke of"),
    instant("asked_at", "when we asked"),
)

accepted_losses = table(
    "accepted_losses",
    "What moved beyond the limits and was followed because somebody agreed; append-only. The rows themselves are in request_changes.",
    instant("accepted_at", "when"),
    text("partition_month", "the month, or 'all' if the release as a whole was beyond the limits", "UTC month"),
    integer("rows_before", "rows that we held"),
    integer("rows_after", "rows that the portal served, and that we hold now"),
    instant("data_processed", "the portal's release that was followed"),
    text("run_id", "the Dagster run that followed it"),
    text("why", "what had moved; null before version 0.3.0, when it was the rows", nullable=True),
)

deep_readings = table(
    "deep_readings",
    "Readings of months whose fingerprint stood still, and what had changed all the same; append-only.",
    instant("read_at", "when"),
    text("partition_month", "the month that was read again", "UTC month"),
    integer("rows", "rows that were compared"),
    integer("changes_found", "what the fingerprint did not show of them; see request_changes", "changes"),
    instant("data_processed", "the portal's release that was read"),
    text("run_id", "the Dagster run that read it"),
    sa.Index("deep_readings_by_month", "partition_month", "read_at"),
)

MOVED_BY = {
    "by_opened_late": "requests that were opened in it and came later",
    "by_closed_late": "closings that were published later",
    "by_vanished": "requests that vanished",
    "by_reopened": "requests that were reopened",
    "by_relabelled": "requests that were relabelled",
    "by_edited": "requests that were edited otherwise",
}
"""What moves a figure after its period is over."""

figure_vintages = table(
    "figure_vintages",
    "What was published of a week or a month, and what it became: a line for each value that was new; append-only. Figures "
    "with a fixed reference period, so that whatever moves one is a revision.",
    ordinal("vintage_id", "1, 2, 3 … in the order in which they were computed"),
    text("figure", "opened, closed_in, pile (open at the week's end), within_30, median_30, median_90, median_365"),
    text("level", "citywide, neighbourhood, department or issue (the 20 largest types)"),
    text("scope", "all = every request; located = those with a local area"),
    text("local_area", "the area, where the level has one", nullable=True),
    text("department", "the city department, where the level has one", nullable=True),
    text("issue_type", "the issue type, where the level has one", nullable=True),
    text("reference", "the week, by its Monday, or the month that the figure is about", "date or month"),
    text("as_of", "the last whole day in the record that it is of", "Vancouver date"),
    instant("data_processed", "the portal's release that it is of"),
    integer("change_id", "the newest line of request_changes at the time; 0 = none", "ordinal"),
    text(
        "basis", "digest of what the log does not tell of: values of one basis differ by request_changes alone", "hex"
    ),
    real(
        "value",
        "requests; of median_n days, as known n days after the month's end; null = no longer given",
        "as figure",
    ),
    *(
        real(name, f"how much {words} added since the line before; null if there is none of the same basis", "requests")
        for name, words in MOVED_BY.items()
    ),
    sa.Index("figure_vintages_by_reference", "figure", "reference"),
)

figure_drafts = table(
    "figure_drafts",
    "Which lines of figure_vintages no published file has yet: from this one on. Without a line, all are published.",
    ordinal("vintage_id", "the first of them"),
    kept_in=work_metadata,
)

briefs = table(
    "briefs",
    "What was said of a month in its brief, once it had settled; append-only. Of two of one month and address the first counts.",
    ordinal("brief_id", "1, 2, 3 … in the order in which they were made"),
    text("month", "the month that it is about", "Vancouver month"),
    text("kind", "city, area, department or group (of departments, by their prefix)"),
    text("name", "the area or department, or the group's prefix; empty of the city"),
    text("address", "how it is called in its address: /briefs/<month>/<address>"),
    text(
        "facts",
        "its numbers: the table, the condition, the columns and the rows that they were read from",
        "JSON object",
    ),
    instant("made_at", "when it was made"),
    text("as_of", "the last whole day in the record that it was made from", "Vancouver date"),
    instant("data_processed", "the portal's release that it was made from"),
    text("definitions_version", "version of the metric definitions that it was made by"),
    text("basis", "digest of all that it was made from: whoever has the same must find the same numbers", "hex"),
    text("run_id", "the Dagster run that made it"),
    sa.Index("briefs_by_address", "month", "address"),
    sa.Index("briefs_by_name", "kind", "name", "month"),
)

brief_drafts = table(
    "brief_drafts",
    "Which lines of briefs no published file has yet: from this one on. Without a line, all are published.",
    ordinal("brief_id", "the first of them"),
    kept_in=work_metadata,
)

restorations = table(
    "restorations",
    "When a backup's log was taken over: what it tells of need not be in the rows that are here.",
    instant("restored_at", "when"),
    kept_in=work_metadata,
)

plans = table(
    "plans",
    "What a run is to do; the last days' plans.",
    key("name", "digest of what it says", "hex"),
    instant("planned_at", "when it was made"),
    text("why", "what the portal has that we haven't, in a sentence"),
    text("releases", "the portal's releases that it is about: dataset, instant, rows", "JSON list"),
    text("windows", "to be loaded: dataset, month, the portal's fingerprint, whether only read again", "JSON list"),
    kept_in=work_metadata,
)

turns = table(
    "turns",
    "Who works on the warehouse, and who died at it: whoever ends well takes the line away.",
    ordinal("number", "1, 2, 3 …: the highest is whose turn it is"),
    text("job", "what is at work: a job of Dagster's, or a command"),
    text("run_id", "its Dagster run, once there is one", nullable=True),
    text("host", "the machine that it works on"),
    integer("pid", "its process there", "process"),
    instant("since", "since when"),
    kept_in=work_metadata,
)
