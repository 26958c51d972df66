"""Which figures there are, and the rows that each is drawn from, for any view."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import areas, groups
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.view import View, horizon_of, records_of, summary_of
from vanc311_pipeline.reading.release import Release

PROVIDED = 1
"""The place of `Service recorded as provided` among the outcomes."""

Draw = Callable[[Release, View], Figure | None]
"""The figure of a view; None if there is nothing to draw."""


def _of_table(
    draw: Callable[[pd.DataFrame, str], Figure], table: sa.Table, release: Release, view: View
) -> Figure | None:
    rows = records_of(release, view, table)
    return draw(pd.DataFrame(rows), view.group_name) if rows else None


def _closed_within(release: Release, view: View) -> Figure | None:
    return _of_table(
        partial(groups.closed_within, days=horizon_of(release, view)), schema.monthly_series, release, view
    )


def _curve(release: Release, view: View) -> Figure | None:
    rows = records_of(release, view, schema.time_to_close_curves)
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


def _areas(measure: str, release: Release, _: View) -> Figure | None:
    table = schema.area_comparison
    rows = release.records(sa.select(table).where(table.c.measure == measure))
    return areas.comparison(pd.DataFrame(rows)) if rows else None


LEVELS = ("citywide", "neighbourhood", "issue", "hyper_local")

FIGURES: dict[str, tuple[Draw, tuple[str, ...]]] = {
    "opened-and-closed": (partial(_of_table, groups.opened_and_closed, schema.monthly_series), LEVELS),
    "time-to-close": (_curve, LEVELS),
    "closed-within": (_closed_within, LEVELS),
    "backlog": (partial(_of_table, groups.backlog, schema.backlog_daily), LEVELS[:2]),
    "backlog-by-age": (partial(_of_table, groups.by_age, schema.backlog_by_age), LEVELS[:3]),
    "outcomes": (partial(_of_table, groups.outcomes, schema.outcomes), LEVELS[:3]),
    "areas-open-after-30-days": (partial(_areas, "open_after_30_days"), LEVELS[:1]),
    "areas-closings": (partial(_areas, "closings"), LEVELS[:1]),
}
"""Each figure by name, in the order of the page, and the levels that it is drawn for."""


def draw(release: Release, view: View, name: str) -> Figure | None:
    """A figure of a view; None if there is nothing to draw, or no such figure of this level."""
    how, levels = FIGURES[name]
    return how(release, view) if view.level in levels else None


def all_figures(release: Release, view: View) -> list[Figure]:
    return [figure for name in FIGURES if (figure := draw(release, view, name)) is not None]
