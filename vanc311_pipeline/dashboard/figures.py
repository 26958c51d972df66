"""Which figures there are, and the rows that each is drawn from, for any view."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import areas, groups, reported, waits
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.view import LAST_12_MONTHS, View, horizon_of, records_of, summary_of
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.reading.release import Release

PROVIDED = 1
"""The place of `Service recorded as provided` among the outcomes."""

Draw = Callable[[Release, View, sa.Table], Figure | None]
"""The figure of a view from a table; None if there is nothing to draw."""


def _of_table(
    draw: Callable[[pd.DataFrame, str], Figure], release: Release, view: View, table: sa.Table
) -> Figure | None:
    rows = records_of(release, view, table)
    return draw(pd.DataFrame(rows), view.group_name) if rows else None


def _closed_within(release: Release, view: View, table: sa.Table) -> Figure | None:
    return _of_table(partial(groups.closed_within, days=horizon_of(release, view)), release, view, table)


def _curve(release: Release, view: View, table: sa.Table) -> Figure | None:
    rows = records_of(release, view, table)
    if not rows:
        return None
    speed = map(groups.current_speed, records_of(release, view, schema.current_speed))
    provided = [
        groups.recorded_as(row)
        for row in records_of(release, view, schema.outcome_incidence)
        if (row["outcome_order"], row["day"]) == (PROVIDED, 30)
    ]
    weekday = groups.by_weekday(records_of(release, view, schema.time_to_close_by_weekday))
    beside = [sentence for sentence in (*provided, *speed, weekday) if sentence]
    return groups.curve(pd.DataFrame(rows), summary_of(release, view), view.group_name, beside)


def _waits(release: Release, view: View, table: sa.Table) -> Figure | None:
    group = Group("hyper_local", issue=view.issue)
    rows = records_of_group(release, table, group, scope="located", period=view.period)
    city = summary_of(release, view)
    known = city["median_state"] == State.OK and any(row["median_state"] == State.OK for row in rows)
    return waits.waits(rows, city, view.group_name) if known else None


def _recent(
    draw: Callable[[pd.DataFrame, str], Figure], release: Release, view: View, table: sa.Table
) -> Figure | None:
    """What tells of the last 12 months alone, whatever period is chosen."""
    return _of_table(draw, release, view.but(period=LAST_12_MONTHS), table)


def _areas(measure: str, release: Release, _: View, table: sa.Table) -> Figure | None:
    rows = release.records(sa.select(table).where(table.c.measure == measure))
    return areas.comparison(pd.DataFrame(rows)) if rows else None


LEVELS = ("citywide", "neighbourhood", "issue", "hyper_local")

FIGURES: dict[str, tuple[Draw, sa.Table, tuple[str, ...]]] = {
    "time-to-close": (_curve, schema.time_to_close_curves, LEVELS),
    "opened-and-closed": (partial(_of_table, groups.opened_and_closed), schema.monthly_series, LEVELS),
    "closed-within": (_closed_within, schema.monthly_series, LEVELS),
    "backlog": (partial(_of_table, groups.backlog), schema.backlog_daily, LEVELS[:2]),
    "backlog-by-age": (partial(_of_table, groups.by_age), schema.backlog_by_age, LEVELS[:3]),
    "outcomes": (partial(_of_table, groups.outcomes), schema.outcomes, LEVELS[:3]),
    "areas-by-wait": (_waits, schema.time_to_close, LEVELS[2:3]),
    "reported-when": (partial(_recent, reported.times), schema.reporting_times, LEVELS[:3]),
    "channels": (
        partial(_recent, partial(reported.channels, plain=partial(plain, "channel"))),
        schema.channels,
        LEVELS[:3],
    ),
    "areas-open-after-30-days": (partial(_areas, "open_after_30_days"), schema.area_comparison, LEVELS[:1]),
    "areas-closings": (partial(_areas, "closings"), schema.area_comparison, LEVELS[:1]),
}
"""Each figure by name, the table whose rows it draws, and the levels that it is drawn for."""

DEEPER: dict[str, set[str]] = {
    "citywide": FIGURES.keys() - {"backlog"},
    "neighbourhood": {"time-to-close", "closed-within", "backlog-by-age", "outcomes"},
    "issue": {"time-to-close"},
    "hyper_local": {"time-to-close"},
}
"""Of each level the figures that stand on its page of methods of speed; the others stand on the page that answers."""

FORMER_NAMES = {"closed-within-30-days": "closed-within"}
"""Their addresses lead to the present ones."""

_SAMPLE = "A sample of real requests, not a picture of the city. "


def draw(release: Release, view: View, name: str) -> Figure | None:
    """A figure of a view; None if there is nothing to draw, or no such figure of this level."""
    how, table, levels = FIGURES[name]
    figure = how(release, view, table) if view.level in levels else None
    return figure and replace(figure, release=origin(release))


def origin(release: Release) -> str:
    """Of which release a number is, for who quotes it."""
    return f"{_SAMPLE * release.is_sample}Release {release.id}."


def placed(view: View, name: str) -> View:
    """The page of a view on which a figure stands."""
    return view.but(speed=name in DEEPER[view.level])


def page_figures(release: Release, view: View) -> list[Figure]:
    """Those that stand on the page of a view."""
    names = [name for name in FIGURES if placed(view, name) == view]
    return [figure for name in names if (figure := draw(release, view, name)) is not None]


def leading(figures: Sequence[Figure]) -> Figure | None:
    """The one that stands for a page where it is linked: the first that is drawn on it."""
    return next((figure for figure in figures if not figure.empty), None)
