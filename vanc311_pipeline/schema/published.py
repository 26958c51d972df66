"""What exists in the published file only: the tables that describe it, and the views that answer users' questions."""

import tomllib
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from vanc311_pipeline.schema.columns import column, count, instant, integer, key, real, table, text, yes_no

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

places = _published(
    "places",
    "Where requests are: each address with its point once, in the order of latitude. Two thirds of requests are at none.",
    integer("place", "its number in this file; another file numbers anew", "ordinal", primary_key=True),
    text("address", "as in service_requests", nullable=True),
    real("latitude", "as in service_requests", "degrees"),
    real("longitude", "as in service_requests", "degrees"),
    text("street", "of the address without its numbers, such as E GEORGIA ST; at a crossing the first", nullable=True),
    text("cross_street", "at a crossing, the second street", nullable=True),
    text("local_area", "the area that the city gives its first request", nullable=True),
    text("business_improvement_area", "the one that the point lies in; null where it lies in none", nullable=True),
    count("requests", "requests at it"),
    count("open_requests", "of these, open"),
)
for _name, _columns, _condition in (
    ("point", "latitude longitude requests open_requests", None),
    ("address", "address latitude longitude", None),
    ("street", "street", None),
    ("cross_street", "cross_street", "cross_street IS NOT NULL"),
    ("business_improvement_area", "business_improvement_area", "business_improvement_area IS NOT NULL"),
):
    sa.Index(
        f"places_by_{_name}",
        *(places.c[column] for column in _columns.split()),
        sqlite_where=sa.text(_condition) if _condition else None,
    )

search = sa.Table(
    "search",
    sa.MetaData(),
    text("kind", "area, issue, department, group (of departments), bia (business improvement area), street or address"),
    text("name", "what people call it"),
    text("alias", "what else it is found by: the city's label, everyday words"),
    text("key", "what its address has: a slug, else the name as in the data"),
    comment="What the search field finds, a full-text table: SELECT * FROM search('garb*'). Of a kind, those with most requests first.",
)
CREATE_SEARCH = "CREATE VIRTUAL TABLE search USING fts5(kind, name, alias, key UNINDEXED, tokenize = 'unicode61 remove_diacritics 2')"

_views = sa.MetaData()
_TYPES = {"text": sa.TEXT, "integer": sa.INTEGER, "real": sa.REAL, "any": sa.types.NullType}
for _name, _view in tomllib.loads(Path(__file__).with_name("views.toml").read_text(encoding="utf-8")).items():
    _described = [
        column(name, _TYPES[type_], words, unit, nullable=True)
        for name, (type_, unit, words) in _view["columns"].items()
    ]
    sa.Table(_name, _views, *_described, comment=_view["meaning"], info={"query": _view["query"].strip()})

VIEWS = tuple(_views.tables.values())
convergence, series_breaks, request_history, overdue_limits = (
    _views.tables[name] for name in ("convergence", "series_breaks", "request_history", "overdue_limits")
)
