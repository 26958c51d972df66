"""The requests, as stored: `service_requests`, what could not be read, and the areas."""

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import instant, integer, key, real, table, text
from vanc311_pipeline.schema.ledger import request_changes

OPENED = "service_request_open_timestamp"
MODIFIED = "last_modified_timestamp"

# The portal's fields that we rely on: their type there, and our column that is made from each.
PORTAL_FIELDS = {
    "department": ("text", "department"),
    "service_request_type": ("text", "issue_type"),
    "status": ("text", "status"),
    "closure_reason": ("text", "closure_reason"),
    OPENED: ("datetime", "opened_at"),
    "service_request_close_date": ("date", "closed_on"),
    MODIFIED: ("datetime", "modified_at"),
    "address": ("text", "address"),
    "local_area": ("text", "local_area"),
    "channel": ("text", "channel"),
    "latitude": ("double", "latitude"),
    "longitude": ("double", "longitude"),
}
KNOWN_EXTRA_FIELDS = ("geom",)  # latitude and longitude again

_NULL = "missing, negative or after the release's day"

service_requests = table(
    "service_requests",
    "Every 3-1-1 service request that the city's portal holds, cleaned, one row each; none merged, none dropped.",
    key("request_id", "SHA-256 of department, issue type, opened_at and occurrence, joined by U+001F", "hex"),
    text("department", "the city department that the request went to, such as ENG - Sanitation Services"),
    text("issue_type", "what was asked for, such as Street Light Out Case; the city renames types backwards in time"),
    text("status", "Open or Close, as the city says; anything else counts in volume only", nullable=True),
    text("closure_reason", "why it was closed; null where the city says N/A. Closed is not fixed", nullable=True),
    instant("opened_at", "when it was opened"),
    text("opened_on", "when it was opened", "Vancouver date"),
    text("open_month", "the month it was opened in", "Vancouver month"),
    text("closed_on", "when it was closed, as published; null while open", "Vancouver date", nullable=True),
    instant("modified_at", "when the record was last changed; not the first reply", nullable=True),
    text("address", "street address, block or crossing; null for two thirds of requests", nullable=True),
    text("local_area", "one of the city's 22 local areas; null where the city gives none of them", nullable=True),
    text("channel", "how it came in, such as Phone, WEB or Mobile App", nullable=True),
    real("latitude", "WGS 84; null for two thirds of requests", "degrees"),
    real("longitude", "WGS 84; null for two thirds of requests", "degrees"),
    integer(
        "days_to_close", f"closed_on - opened_on if closed; 0 = the same day; null if {_NULL}", "days", nullable=True
    ),
    real("days_to_update", f"modified_at - opened_at; null if equal, {_NULL}", "days"),
    integer("occurrence", "0, 1, 2 … among requests that share department, issue type and opened_at", "ordinal"),
    text("partition_month", "the month of opened_at, by which rows are stored; report by open_month", "UTC month"),
)

quarantined_requests = table(
    "quarantined_requests",
    "Rows that the portal served but that can't be keyed: kept whole, with the reason, and in no statistic.",
    key("quarantine_id", "SHA-256 of dataset, month, raw row and its occurrence", "hex"),
    text("dataset", "the portal's dataset that served the row"),
    text("partition_month", "the month whose export held the row, or 'undated'", "UTC month"),
    text("reason", "what is wrong with it"),
    text("raw_row", "the row exactly as served", "JSON object"),
)

local_areas = table(
    "local_areas",
    "The city's 22 local areas, from its boundary dataset.",
    key("local_area", "name, spelled as in the requests"),
    real("latitude", "a point in the middle, WGS 84", "degrees", nullable=False),
    real("longitude", "a point in the middle, WGS 84", "degrees", nullable=False),
    text("boundary", "the area's outline, WGS 84, longitude first", "GeoJSON geometry"),
)

# What the pipeline itself needs to find a month.
sa.Index("service_requests_by_partition", service_requests.c.partition_month)

# What is true of few requests, each with an index of these alone. SQLite uses it for a question that has the same words. What
# is true of many is soon come by on a walk from day to day.
COMMON_REASONS = (
    "Service provided", "Further action has been planned", "Reviewed and no action planned", "Assigned to inspector", "Unknown",
    "Closed automatically and sent to service group", "Referred to another service group", "Issue not found or inaccessible",
    "Insufficient info",
)  # fmt: skip
RARER_REASON = sa.text(f"closure_reason NOT IN {COMMON_REASONS}")
COMMON_CHANNELS = ("WEB", "Phone", "Mobile App")
RARER_CHANNEL = sa.text(f"channel NOT IN {COMMON_CHANNELS}")
ODD_STATUS = sa.text("status NOT IN ('Open', 'Close')")
UNEXPLAINED = sa.text("status = 'Close' AND closure_reason IS NULL")

AT_A_POINT = service_requests.c.latitude.is_not(None)
AT_A_PLACE = sa.or_(service_requests.c.address.is_not(None), AT_A_POINT)

# What readers need: pages of requests by day, of an area, an issue type, both, a department or a place, and of those that are
# open, which are one in a hundred; and pages of the log, as it came. Made when the first file is published: a bulk load without them
# is faster.
_OPEN = sa.text("status = 'Open'")
_OPEN_AT_A_PLACE = sa.and_(_OPEN, AT_A_PLACE)
_LOCATED = service_requests.c.local_area.is_not(None)
_RENAMED = request_changes.c.previous_request_id.is_not(None)
READER_INDEXES = tuple(
    sa.Index(f"{of.name}_{name}", *(of.c[column] for column in columns.split()), sqlite_where=condition)
    for of, name, columns, condition in (
        (service_requests, "by_area_and_day", "local_area opened_on", _LOCATED),
        # Those of a type that are of another area are passed over without a look at them.
        (service_requests, "by_issue_day_and_area", "issue_type opened_on local_area", None),
        (service_requests, "by_department_and_day", "department opened_on", None),
        (service_requests, "by_day", "opened_on", None),
        (service_requests, "by_closing_day", "closed_on", None),
        (service_requests, "by_rarer_reason_and_day", "closure_reason opened_on", RARER_REASON),
        (service_requests, "by_rarer_channel_and_day", "channel opened_on", RARER_CHANNEL),
        (service_requests, "by_no_reason_and_day", "closure_reason opened_on", UNEXPLAINED),
        (service_requests, "by_odd_status_and_day", "status opened_on", ODD_STATUS),
        (service_requests, "by_place_day_and_issue", "address latitude longitude opened_on issue_type", AT_A_PLACE),
        (service_requests, "by_issue_and_point", "issue_type latitude longitude opened_on", AT_A_POINT),
        # With the type, by which they are overdue, and the status, for which SQLite would else look at the request.
        (service_requests, "open_by_day", "opened_on issue_type status", _OPEN),
        (service_requests, "open_by_area", "local_area opened_on issue_type status", _OPEN),
        (service_requests, "open_by_issue", "issue_type opened_on status", _OPEN),
        (service_requests, "open_by_department", "department opened_on issue_type status", _OPEN),
        (service_requests, "open_by_place", "address latitude longitude opened_on issue_type status", _OPEN_AT_A_PLACE),
        (request_changes, "by_time", "seen_at", None),
        (request_changes, "by_kind", "kind", None),
        (request_changes, "by_issue_type", "issue_type", None),
        (request_changes, "by_department", "department", None),
        (request_changes, "by_previous_request", "previous_request_id", _RENAMED),
    )
)
