"""How a table is written down: columns with a meaning and a unit, tables with a meaning. No table of its own."""

from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.metric_definitions import METRICS

Column = sa.Column[Any]

metadata = sa.MetaData()

# SQLite's types by name. In PostgreSQL INTEGER and REAL are half as wide, and text sorts as the server's language does.
REAL: sa.REAL[float] = sa.REAL().with_variant(sa.DOUBLE_PRECISION(), "postgresql")
_TYPES = {
    sa.TEXT: sa.TEXT().with_variant(sa.TEXT(collation="C"), "postgresql"),
    sa.INTEGER: sa.INTEGER().with_variant(sa.BIGINT(), "postgresql"),
    sa.REAL: REAL,
    sa.types.NullType: sa.types.NullType(),
}


def column(name: str, type_: type[sa.types.TypeEngine[Any]], meaning: str, unit: str, **options: bool) -> Column:
    options.setdefault("nullable", False)
    return sa.Column(name, _TYPES[type_], comment=meaning, info={"unit": unit}, **options)  # type: ignore[arg-type]


def text(name: str, meaning: str, unit: str = "text", **options: bool) -> Column:
    return column(name, sa.TEXT, meaning, unit, **options)


def key(name: str, meaning: str, unit: str = "text") -> Column:
    """A text that is, or is part of, the primary key."""
    return text(name, meaning, unit, primary_key=True)


def instant(name: str, meaning: str, nullable: bool = False) -> Column:
    return text(name, meaning, "UTC instant", nullable=nullable)


def yes_no(name: str, meaning: str) -> Column:
    return text(name, meaning, "yes or no")


def integer(name: str, meaning: str, unit: str = "rows", **options: bool) -> Column:
    return column(name, sa.INTEGER, meaning, unit, **options)


def ordinal(name: str, meaning: str) -> Column:
    """A number that is the primary key, and that we give."""
    return integer(name, meaning, "ordinal", primary_key=True, autoincrement=False)


def count(name: str, meaning: str, nullable: bool = False) -> Column:
    return integer(name, meaning, "requests", nullable=nullable)


def real(name: str, meaning: str, unit: str, nullable: bool = True) -> Column:
    return column(name, sa.REAL, meaning, unit, nullable=nullable)


def metric(name: str, kind: type[sa.types.TypeEngine[Any]] = sa.REAL, nullable: bool = True) -> Column:
    """A statistic's column, in the words of its definition."""
    return column(name, kind, METRICS[name].meaning, METRICS[name].unit, nullable=nullable)


def as_of() -> Column:
    return text("as_of", "the last whole local day in the portal's release", "Vancouver date")


def table(name: str, meaning: str, *parts: sa.schema.SchemaItem, kept_in: sa.MetaData = metadata) -> sa.Table:
    return sa.Table(name, kept_in, *parts, comment=meaning, sqlite_strict=True)
