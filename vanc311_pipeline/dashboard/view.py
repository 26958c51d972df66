"""What the reader chose: area, issue, period and scope. It lives in the address, so that every view can be linked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from vanc311_pipeline.charts import words
from vanc311_pipeline.reading.groups import Group, group_of
from vanc311_pipeline.reading.names import known, names
from vanc311_pipeline.reading.release import Release

LAST_12_MONTHS, EVER = "last_12_months", "all"
SCOPES = ("all", "located")


@dataclass(frozen=True)
class View:
    """A choice; None stands for all."""

    area: str | None = None
    issue: str | None = None
    period: str = LAST_12_MONTHS
    scope: str = "all"

    @property
    def level(self) -> str:
        return {(False, False): "citywide", (True, False): "neighbourhood", (False, True): "issue"}.get(
            (self.area is not None, self.issue is not None), "hyper_local"
        )

    @property
    def has_scopes(self) -> bool:
        """Requests of an area have one by definition."""
        return self.area is None

    @property
    def counted(self) -> str:
        """The scope of the numbers that are shown."""
        return self.scope if self.has_scopes else "located"

    @property
    def group_name(self) -> str:
        return words.group_name(self.counted, self.area, self.issue)

    def group(self, release: Release) -> Group:
        return group_of(release, area=self.area, issue=self.issue)

    @property
    def url(self) -> str:
        """The one address of this view."""
        path, query = "/", {"area": self.area, "issue": self.issue}
        if self.area and not self.issue:
            path, query = f"/areas/{quote(self.area, safe='')}", {}
        elif self.issue and not self.area:
            path, query = f"/issues/{quote(self.issue, safe='')}", {}
        return path + _query(query | self.chosen)

    @property
    def chosen(self) -> dict[str, str | None]:
        """What differs from the usual."""
        return {
            "period": None if self.period == LAST_12_MONTHS else self.period,
            "scope": None if self.scope == "all" or not self.has_scopes else self.scope,
        }

    def figure(self, name: str, kind: str, mode: str | None = None) -> str:
        """The address of a figure of this view as a file: svg, png, csv or json; light, or `dark`."""
        query = {"area": self.area, "issue": self.issue} | self.chosen | {"mode": mode}
        return f"/figures/{name}.{kind}{_query(query)}"

    def but(self, **changes: str | None) -> "View":
        return replace(self, **changes)  # type: ignore[arg-type]  # names and None, as the fields have them


def _query(parameters: dict[str, str | None]) -> str:
    kept = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(kept, quote_via=quote)}" if kept else ""


def view_of(parameters: Mapping[str, str]) -> View:
    """The view that the parameters of an address mean: an empty one is none, and what is no scope is all."""
    scope = parameters.get("scope")
    return View(
        parameters.get("area") or None,
        parameters.get("issue") or None,
        parameters.get("period") or LAST_12_MONTHS,
        scope if scope in SCOPES else "all",
    )


def known_view(release: Release, view: View) -> View:
    """The view in the release's own names, as far as it goes: without any of its last 12 months, all are the usual period.

    Raises:
        UnknownName: the release does not know a name.
    """
    periods = names(release, "period")
    if view.period == LAST_12_MONTHS and LAST_12_MONTHS not in periods:
        view = view.but(period=EVER)
    chosen = {"area": view.area, "issue": view.issue} | ({"period": view.period} if periods else {})
    return view.but(**{kind: known(release, kind, name) for kind, name in chosen.items() if name is not None})
