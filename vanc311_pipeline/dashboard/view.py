"""What the reader chose: area, issue, period and scope. It lives in the address, so that every view can be linked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from urllib.parse import quote, unquote, urlencode

import sqlalchemy as sa
from fastapi import Request

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import label_of, plain, slug
from vanc311_pipeline.reading.names import known, names
from vanc311_pipeline.reading.release import Release

LAST_12_MONTHS, EVER = "last_12_months", "all"
SCOPES = ("all", "located")
LEAST_HORIZON = 7
"""Days: what the rule gives where nothing was opened in the year before."""
LEFT_OUT = {"internal": "internal types", "batch-days": "batch days", "both": "both"}
"""What the time to close of a view may leave out: as an address says it, and as the table `time_to_close_without` does."""


@dataclass(frozen=True)
class View:
    """A choice; None stands for all."""

    area: str | None = None
    issue: str | None = None
    period: str = LAST_12_MONTHS
    scope: str = "all"
    without: str | None = None
    reported: str | None = None
    """A day, or a text that is none: of one reported then it is asked how long it should take."""
    speed: bool = False
    """Its page of methods of speed, one level deeper than the one that answers."""

    @property
    def level(self) -> str:
        if self.area:
            return "hyper_local" if self.issue else "neighbourhood"
        return "issue" if self.issue else "citywide"

    @property
    def has_scopes(self) -> bool:
        """Requests of an area have one by definition."""
        return self.area is None

    @property
    def counted(self) -> str:
        """The scope of the numbers that are shown."""
        return self.scope if self.has_scopes else "located"

    @property
    def place(self) -> str:
        return self.area or "all of Vancouver"

    @property
    def group_name(self) -> str:
        return words.group_name(self.counted, self.area, self.issue and plain("issue", self.issue))

    @property
    def url(self) -> str:
        """The one address of this view."""
        if self.speed:
            return "/speed" + _query(self._slugs | self._chosen)
        if self.area:
            path = f"/areas/{'/'.join(slug for slug in self._slugs.values() if slug)}"
        else:
            path = f"/issues/{self._slugs['issue']}" if self.issue else "/"
        return path + _query(self._asked)

    @property
    def query(self) -> str:
        """What differs from the usual, as it ends an address."""
        return _query(self._chosen)

    def figure(self, name: str, kind: str, mode: str | None = None, release: str | None = None) -> str:
        """The address of a figure of this view as a file of a kind, in a form other than light, and of one release alone."""
        return f"/figures/{name}.{kind}{_query(self._slugs | self._chosen | {'mode': mode, 'release': release})}"

    def embed(self, name: str, release: str | None = None) -> str:
        """The address of the page that other sites may show in a frame."""
        return f"/embed/{name}{_query(self._slugs | self._chosen | {'release': release})}"

    @property
    def _slugs(self) -> dict[str, str | None]:
        return {kind: name and slug(kind, name) for kind, name in (("area", self.area), ("issue", self.issue))}

    @property
    def _chosen(self) -> dict[str, str | None]:
        """What differs from the usual."""
        return {
            "period": None if self.period == LAST_12_MONTHS else self.period,
            "scope": None if self.scope == "all" or not self.has_scopes else self.scope,
        }

    @property
    def _asked(self) -> dict[str, str | None]:
        """The same, and what only the page itself is asked."""
        has_rest = self.level != "hyper_local" and self.period == LAST_12_MONTHS
        asked = {"without": self.without if has_rest else None, "reported": self.reported if self.issue else None}
        return self._chosen | asked

    def but(self, **changes: str | bool | None) -> "View":
        return replace(self, **changes)  # type: ignore[arg-type]  # as the fields have them


def _query(parameters: dict[str, str | None]) -> str:
    kept = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(kept, quote_via=quote)}" if kept else ""


def view_of(release: Release, parameters: Mapping[str, str]) -> View:
    """The view that the parameters of an address mean: an empty one is none, and what is no scope is all."""
    labels = {kind: label_of(release, kind, parameters[kind]) for kind in ("area", "issue") if parameters.get(kind)}
    period, scope = parameters.get("period") or LAST_12_MONTHS, parameters.get("scope")
    if period != LAST_12_MONTHS:
        period = known(release, "period", period)
    without, reported = parameters.get("without"), parameters.get("reported", "").strip()
    return View(
        labels.get("area"),
        labels.get("issue"),
        period=period,
        scope=scope if scope in SCOPES else "all",
        without=without if without in LEFT_OUT else None,
        reported=str(day_of(reported) or reported) or None,
    )


def day_of(text: str) -> date | None:
    """The day that a text in an address means; None if it means none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def asked_view(request: Request) -> View:
    """The view that an address means, in the names of the release."""
    in_path = {name: unquote(text) for name, text in request.path_params.items()}
    view = view_of(request.state.release, {**request.query_params, **in_path})
    return view.but(speed=request.url.path == "/speed")


def shown_view(release: Release, view: View) -> View:
    """The view, of a period that the release has: without any of its last 12 months, all are the usual one."""
    recent = view.period != LAST_12_MONTHS or LAST_12_MONTHS in names(release, "period")
    return view if recent else view.but(period=EVER)


def periods(release: Release) -> list[str]:
    """The periods that can be chosen: the last days first, then the years from the newest, then all."""
    known_periods = names(release, "period")
    years = sorted((name for name in known_periods if name.isdigit()), reverse=True)
    return [name for name in ("last_30_days", "last_90_days", LAST_12_MONTHS, *years, EVER) if name in known_periods]


def days_of(release: Release, view: View) -> str:
    """Which days the period of a view has, and that the last 30 or 90 end where days no longer move."""
    days = span_of(release, view)
    return f"Opened {days}.{' Later days may still change.' * view.period.endswith('_days')}" if days else ""


def span_of(release: Release, view: View) -> str:
    """From which day to which the period of a view goes; nothing where the release has no such period."""
    row = release.row(sa.select(schema.periods).where(schema.periods.c.period == view.period))
    return words.days_between(row["opened_from"], row["opened_to"]) if row else ""


def address_of(kind: str, name: str) -> str:
    """The address of what a name stands for."""
    return f"/departments/{slug(kind, name)}" if kind == "department" else View().but(**{kind: name}).url


def records_of(release: Release, view: View, table: sa.Table) -> list[dict[str, Any]]:
    """The rows of a table that are about a view, of its period if they have one; none where the release has no such level."""
    period = {"period": view.period} if "period" in table.columns else {}
    group = Group(view.level, area=view.area, issue=view.issue)
    return records_of_group(release, table, group, scope=view.counted, **period)


def summary_of(release: Release, view: View) -> dict[str, Any]:
    """The row of `time_to_close` of a view. A group without requests has none in the file; its row is made here."""
    rows = records_of(release, view, schema.time_to_close)
    return rows[0] if rows else without_requests(release, view)


def horizon_of(release: Release, view: View) -> int:
    """Within how many days it is asked what was closed: by the speed of the issue type, or of all, in the whole city; see `speed_on_year`."""
    rows = records_of(release, View(issue=view.issue), schema.speed_on_year)
    return int(rows[0]["horizon_days"]) if rows else LEAST_HORIZON


def times_of(release: Release, view: View) -> dict[str, Any]:
    """The same, of what is left if the view leaves something out."""
    rows = records_of(release, view, schema.time_to_close_without)
    rest = [row for row in rows if row["left_out"] == LEFT_OUT.get(view.without or "")]
    return rest[0] if rest else summary_of(release, view)


def without_requests(release: Release, view: View) -> dict[str, Any]:
    """What `time_to_close` would say of a group of which nothing was opened in a view's period."""
    columns = schema.time_to_close.columns
    none = {column.name: 0 if column.info["unit"] == "requests" else None for column in columns}
    states = {column.name: State.NO_REQUESTS for column in columns if column.name.endswith("_state")}
    return none | states | {"period": view.period, "as_of": release.about["as_of"]}
