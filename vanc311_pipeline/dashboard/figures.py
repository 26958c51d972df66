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


def records(release: Release, question: sa.Select[Any]) -> list[dict[str, Any]]:
    """An answer as dictionaries."""
    return [dict(row._mapping) for row in release.rows(question)]


def _records(release: Release, group: Group, table: sa.Table, **equal: str) -> list[dict[str, Any]]:
    try:
        return records(release, of_group(release, table, group, **equal).question)
    except NoSuchGroup:
        return []


def records_of(release: Release, view: View, table: sa.Table, **equal: str) -> list[dict[str, Any]]:
    """The rows of a table that are about a view; none where the release has no such level."""
    return _records(release, view.group(release), table, scope=view.counted, **equal)


def summaries_of(release: Release, view: View, group: Group, scope: str) -> list[dict[str, Any]]:
    """The rows of `time_to_close` about a group, opened in a view's period; none where the release has no such level."""
    return _records(release, group, schema.time_to_close, scope=scope, period=view.period)


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
    rows = records_of(release, view, table, **({"period": view.period} if by_period else {}))
    return draw(pd.DataFrame(rows), view.group_name) if rows else None


def _curve(release: Release, view: View) -> Figure | None:
    rows = records_of(release, view, schema.time_to_close_curves, period=view.period)
    return timing.curve(pd.DataFrame(rows), summary_of(release, view), view.group_name) if rows else None


def _compared(release: Release, measure: str) -> list[dict[str, Any]]:
    table = schema.area_comparison
    return records(release, sa.select(table).where(table.c.measure == measure))


def _areas(measure: str, release: Release, view: View) -> Figure | None:
    del view
    rows = _compared(release, measure)
    return comparison.areas(pd.DataFrame(rows)) if rows else None


def _map(release: Release, view: View) -> Figure | None:
    rows = _compared(release, "open_after_30_days")
    if not rows:
        return None
    known = outlines(release)
    volumes = pd.DataFrame([{"local_area": about["local_area"], "volume": about["volume"]} for about, _ in known])
    shapes = {str(about["local_area"]): outline for about, outline in known}
    city = schema.metrics_citywide.c
    [everything] = release.scalars(sa.select(city.volume).where(city.scope == "all"))
    links = {name: view.but(area=name, issue=None).url for name in shapes}
    return areas.area_map(pd.DataFrame(rows), volumes, everything, shapes, links)


LEVELS = ("citywide", "neighbourhood", "issue", "hyper_local")

FIGURES: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "opened-and-closed": (partial(_series, monthly.opened_and_closed, schema.monthly_series, False), LEVELS),
    "time-to-close": (_curve, LEVELS),
    "map": (_map, LEVELS[:1]),
    "closed-within-30-days": (partial(_series, monthly.closed_within, schema.monthly_series, False), LEVELS),
    "backlog": (partial(_series, backlog.through_time, schema.backlog_daily, False), LEVELS[:2]),
    "backlog-by-age": (partial(_series, backlog.by_age, schema.backlog_by_age, False), LEVELS[:3]),
    "outcomes": (partial(_series, outcomes.shares, schema.outcomes, True), LEVELS[:3]),
    "areas-open-after-30-days": (partial(_areas, "open_after_30_days"), LEVELS[:1]),
    "areas-closings": (partial(_areas, "closings"), LEVELS[:1]),
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
