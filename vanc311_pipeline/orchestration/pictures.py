"""Pictures: the main series as Dagster shows them on the assets' pages.

What belongs here: which figure illustrates which asset, of which rows. What does not: what a figure looks like (`charts`).
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dagster as dg
import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline.charts import backlog, comparison, monthly, outcomes, timing, words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.metrics.groups import LAST_12_MONTHS, WHOLE_CITY

_CITY = {"level": WHOLE_CITY[0], "scope": WHOLE_CITY[1]}
_LAST_YEAR = {**_CITY, "period": LAST_12_MONTHS}
_WHOM = words.whom("all", None, None)

Read = Callable[..., pd.DataFrame]
"""The rows of a table that have given values."""


@dataclass(frozen=True)
class Picture:
    """A figure of the rows of one asset's table that have given values."""

    table: str
    values: Mapping[str, str]
    draw: Callable[[pd.DataFrame, Read], Figure]


def _curve(rows: pd.DataFrame, read: Read) -> Figure:
    summary = read("time_to_close", **_LAST_YEAR).to_dict("records")[0]
    return timing.curve(rows, {str(name): value for name, value in summary.items()}, _WHOM)


PICTURES = (
    Picture("time_to_close_curves", _LAST_YEAR, _curve),
    Picture("monthly_series", _CITY, lambda rows, _: monthly.opened_and_closed(rows, _WHOM)),
    Picture("monthly_series", _CITY, lambda rows, _: monthly.closed_within(rows, _WHOM)),
    Picture("backlog_daily", _CITY, lambda rows, _: backlog.through_time(rows, _WHOM)),
    Picture("backlog_by_age", _CITY, lambda rows, _: backlog.by_age(rows, _WHOM)),
    Picture("outcomes", _LAST_YEAR, lambda rows, _: outcomes.shares(rows, _WHOM)),
    Picture("area_comparison", {"measure": "open_after_30_days"}, lambda rows, _: comparison.areas(rows)),
    Picture("area_comparison", {"measure": "closings"}, lambda rows, _: comparison.areas(rows)),
)


def pictures(connection: sa.Connection, table: str) -> dict[str, dg.MetadataValue]:
    """The pictures of an asset as metadata; none of a series that has no row."""

    def read(table: str, **values: str) -> pd.DataFrame:
        where = " AND ".join(f"{column} = :{column}" for column in values)
        return pd.read_sql(sa.text(f"SELECT * FROM {table} WHERE {where}"), connection, params=values)

    mine = [(picture, read(table, **picture.values)) for picture in PICTURES if picture.table == table]
    figures = [picture.draw(rows, read) for picture, rows in mine if len(rows)]
    return {f"picture: {figure.name.replace('-', ' ')}": _shown(figure) for figure in figures}


def _shown(figure: Figure) -> dg.MetadataValue:
    image = base64.b64encode(figure.svg().encode()).decode()
    return dg.MetadataValue.md(f"![{figure.description}](data:image/svg+xml;base64,{image})\n\n{figure.meaning}")
