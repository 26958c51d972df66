"""Which figures there are, and the rows that each is drawn from, for any view."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import areas, backlog, comparison, monthly, outcomes, timing
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.groups import Group, NoSuchGroup, of_group
from vanc311_pipeline.reading.places import outlines
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.registry import State

Draw = Callable[[Release, View], Figure | None]
"""The figure of a view; None if there is nothing to draw."""


def frame(release: Release, question: sa.Select[Any]) -> pd.DataFrame:
    """An answer as a frame."""
    rows = release.rows(question)
    return pd.DataFrame([tuple(row) for row in rows], columns=[str(column.key) for column in question.selected_columns])


def rows_of(release: Release, view: View, table: sa.Table, **equal: str) -> pd.DataFrame:
    """The rows of a table that are about a view; none where the release has no such level."""
    try:
        listing = of_group(release, table, view.group(release), scope=view.counted, **equal)
    except NoSuchGroup:
        return pd.DataFrame(columns=[column.name for column in table.columns])
    return frame(release, listing.question)


def summaries_of(release: Release, view: View, group: Group, scope: str) -> list[dict[str, Any]]:
    """The rows of `time_to_close` about a group, opened in a view's period; none where the release has no such level."""
    try:
        listing = of_group(release, schema.time_to_close, group, scope=scope, period=view.period)
    except NoSuchGroup:
        return []
    return [dict(row._mapping) for row in release.rows(listing.question)]


def summary_of(release: Release, view: View) -> dict[str, Any]:
    """The row of `time_to_close` of a view. A group without requests has none in the file; its row is made here."""
    rows = summaries_of(release, view, view.group(release), view.counted)
    return rows[0] if rows else without_requests(release, view)


def without_requests(release: Release, view: View) -> dict[str, Any]:
    """What `time_to_close` would say of a group of which nothing was opened in a view's period."""
    columns = schema.time_to_close.columns
    none = {column.name: 0 if column.info["unit"] == "requests" else None for column in columns}
    states = {column.name: State.NO_REQUESTS for column in columns if column.name.endswith("_state")}
    return none | states | {"period": view.period, "as_of": release.about["as_of"]}


def _series(
    draw: Callable[[pd.DataFrame, str], Figure], table: sa.Table, by_period: bool, release: Release, view: View
) -> Figure | None:
    rows = rows_of(release, view, table, **({"period": view.period} if by_period else {}))
    return draw(rows, view.whom) if len(rows) else None


def _curve(release: Release, view: View) -> Figure | None:
    rows = rows_of(release, view, schema.time_to_close_curves, period=view.period)
    return timing.curve(rows, summary_of(release, view), view.whom) if len(rows) else None


def _compared(release: Release, measure: str) -> pd.DataFrame:
    table = schema.area_comparison
    return frame(release, sa.select(table).where(table.c.measure == measure))


def _areas(measure: str, release: Release, view: View) -> Figure | None:
    del view
    rows = _compared(release, measure)
    return comparison.areas(rows) if len(rows) else None


def _map(release: Release, view: View) -> Figure | None:
    rows = _compared(release, "open_after_30_days")
    if rows.empty:
        return None
    known = outlines(release)
    volumes = pd.DataFrame([{"local_area": about["local_area"], "volume": about["volume"]} for about, _ in known])
    shapes = {str(about["local_area"]): outline for about, outline in known}
    city = schema.metrics_citywide.c
    [everything] = release.scalars(sa.select(city.volume).where(city.scope == "all"))
    links = {name: view.but(area=name, issue=None).url for name in shapes}
    return areas.area_map(rows, volumes, everything, shapes, links)


FIGURES: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "opened-and-closed": (
        partial(_series, monthly.opened_and_closed, schema.monthly_series, False),
        ("citywide", "neighbourhood", "issue", "hyper_local"),
    ),
    "time-to-close": (_curve, ("citywide", "neighbourhood", "issue", "hyper_local")),
    "map": (_map, ("citywide",)),
    "closed-within-30-days": (
        partial(_series, monthly.closed_within, schema.monthly_series, False),
        ("citywide", "neighbourhood", "issue", "hyper_local"),
    ),
    "backlog": (partial(_series, backlog.through_time, schema.backlog_daily, False), ("citywide", "neighbourhood")),
    "backlog-by-age": (
        partial(_series, backlog.by_age, schema.backlog_by_age, False),
        ("citywide", "neighbourhood", "issue"),
    ),
    "outcomes": (partial(_series, outcomes.shares, schema.outcomes, True), ("citywide", "neighbourhood", "issue")),
    "areas-open-after-30-days": (partial(_areas, "open_after_30_days"), ("citywide",)),
    "areas-closings": (partial(_areas, "closings"), ("citywide",)),
}
"""Each figure by name, in the order of the page, and the levels that it is drawn for."""


def draw(release: Release, view: View, name: str) -> Figure | None:
    """A figure of a view; None if there is nothing to draw, or no such figure of this level."""
    how, levels = FIGURES[name]
    return how(release, view) if view.level in levels else None


def all_figures(release: Release, view: View) -> list[Figure]:
    """The figures of a page."""
    drawn = [draw(release, view, name) for name in FIGURES]
    return [figure for figure in drawn if figure is not None]
