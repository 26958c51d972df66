"""How a table is written down: columns with a meaning and a unit, tables with a meaning. No table of its own."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.registry import METRICS

Column = sa.Column[Any]

metadata = sa.MetaData()

AREA_NOTE = "one of the city's 22 local areas; null where the city gives none, or a name that is not one of them"


# SQLite's types by name. In PostgreSQL INTEGER and REAL are half as wide, and text sorts as the server's language does.
REAL: sa.REAL[float] = sa.REAL().with_variant(sa.DOUBLE_PRECISION(), "postgresql")
_TYPES = {
    sa.TEXT: sa.TEXT().with_variant(sa.TEXT(collation="C"), "postgresql"),
    sa.INTEGER: sa.INTEGER().with_variant(sa.BIGINT(), "postgresql"),
    sa.REAL: REAL,
}


def column(name: str, type_: type[sa.types.TypeEngine[Any]], meaning: str, unit: str, **options: bool) -> Column:
    options.setdefault("nullable", False)
    return sa.Column(name, _TYPES[type_], comment=meaning, info={"unit": unit}, **options)  # type: ignore[arg-type]


def text(name: str, meaning: str, unit: str = "text", **options: bool) -> Column:
    return column(name, sa.TEXT, meaning, unit, **options)


def integer(name: str, meaning: str, unit: str = "rows", **options: bool) -> Column:
    return column(name, sa.INTEGER, meaning, unit, **options)


def requests(name: str, meaning: str, nullable: bool = False) -> Column:
    """A number of requests."""
    return column(name, sa.INTEGER, meaning, "requests", nullable=nullable)


def real(name: str, meaning: str, unit: str, **options: bool) -> Column:
    return column(name, sa.REAL, meaning, unit, **options)


def as_of() -> Column:
    return text("as_of", "the last whole local day in the portal's release", "Vancouver date")


def table(name: str, meaning: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, metadata, *parts, comment=meaning, sqlite_strict=True)


def made_from(of: sa.Table, origin: Collection[str], default: str = "", **sources: str) -> None:
    """Write down which columns of its origin each column of a table is made from: those that are named here for it, else the one of the
    same name, else the default. Nothing is said of what comes from no column.
    """
    for each in of.columns:
        each.info["from"] = sources.get(each.name, each.name if each.name in origin else default).split()


def metric(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.REAL, nullable: bool = True) -> Column:
    """A statistic's column, in the registry's words."""
    return column(name, kind, METRICS[name].meaning, METRICS[name].unit, nullable=nullable)
