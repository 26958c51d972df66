"""What the search field finds, written into a new published file: areas, issue types, departments and their groups, places."""

from collections.abc import Iterator

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.reading.labels import GROUPS, everyday, group_of, plain, slug

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
_PLACES = {
    kind: f"SELECT {column} FROM places WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY sum(requests) DESC, {column}"
    for kind, column in (("bia", "business_improvement_area"), ("address", "address"))
} | {"street": _STREETS}
"""Each kind with most requests first, which is the order in which they are found."""


def fill_search(connection: sa.Connection) -> None:
    connection.exec_driver_sql(schema.CREATE_SEARCH)
    if rows := list(_rows(connection)):
        connection.execute(sa.insert(schema.search), rows)
    connection.exec_driver_sql("INSERT INTO search(search) VALUES ('optimize')")


def _rows(connection: sa.Connection) -> Iterator[dict[str, str]]:
    labels = {kind: connection.exec_driver_sql(query).scalars().all() for kind, query in _LABELS.items()}
    for kind, names in labels.items():
        for label in names:
            alias = f"{label} {everyday(kind, label)}" if kind == "issue" else everyday(kind, label) or label
            yield {"kind": kind, "name": plain(kind, label), "alias": alias, "key": slug(kind, label)}
    for prefix in dict.fromkeys(prefix for label in labels["department"] if (prefix := group_of(label))):
        name = GROUPS.get(prefix.upper(), prefix.upper())
        yield {"kind": "group", "name": name, "alias": prefix, "key": prefix}
    for kind in ("bia", "street", "address"):
        for name in connection.exec_driver_sql(_PLACES[kind]).scalars():
            yield {"kind": kind, "name": plain(kind, name), "alias": "", "key": name}
