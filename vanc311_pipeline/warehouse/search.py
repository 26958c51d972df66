"""What the search field finds, written into a new published file: areas, issue types, departments and their groups, places."""

from collections.abc import Iterator
from itertools import islice

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.labels import everyday, group_name, group_of, plain, slug
from vanc311_pipeline.warehouse.rows import insert

ROWS_AT_ONCE = 5_000

_LABELS = {
    "area": "SELECT local_area FROM local_areas LEFT JOIN metrics_by_neighbourhood USING (local_area) ORDER BY volume DESC, 1",
    "issue": "SELECT issue_type FROM metrics_by_issue WHERE scope = 'all' ORDER BY volume DESC, 1",
    "department": """SELECT department FROM time_to_close
                     WHERE level = 'department' AND scope = 'all' AND period = 'all' ORDER BY volume DESC, 1""",
}
_STREETS = """
    SELECT street FROM (
        SELECT street, requests FROM places WHERE street IS NOT NULL
        UNION ALL SELECT cross_street, requests FROM places WHERE cross_street IS NOT NULL
    ) GROUP BY street ORDER BY sum(requests) DESC, street
"""
_MOST_FIRST = "SELECT {0} FROM places WHERE {0} IS NOT NULL GROUP BY {0} ORDER BY sum(requests) DESC, {0}"
_PLACES = {
    "bia": _MOST_FIRST.format("business_improvement_area"), "street": _STREETS, "address": _MOST_FIRST.format("address"),
}  # fmt: skip
"""Each kind with most requests first, which is the order in which they are found."""


def fill_search(connection: sa.Connection) -> None:
    """Make the table; addresses are many, so they are not all held at once."""
    connection.exec_driver_sql(schema.CREATE_SEARCH)
    rows = _rows(connection)
    while some := list(islice(rows, ROWS_AT_ONCE)):
        insert(connection, schema.search, some)
    connection.exec_driver_sql("INSERT INTO search(search) VALUES ('optimize')")


def _rows(connection: sa.Connection) -> Iterator[tuple[str, str, str, str]]:
    """What each row holds: kind, name, alias and key."""
    labels = {kind: connection.exec_driver_sql(query).scalars().all() for kind, query in _LABELS.items()}
    for kind, names in labels.items():
        for label in names:
            yield kind, plain(kind, label), f"{label} {everyday(kind, label)}".strip(), slug(kind, label)
    for prefix in dict.fromkeys(prefix for label in labels["department"] if (prefix := group_of(label))):
        yield "group", group_name(prefix), prefix, prefix
    for kind, query in _PLACES.items():
        for name in connection.exec_driver_sql(query).scalars():
            yield kind, plain(kind, name), "", name
