"""What the pipeline computes of groups of requests: the four headline metrics at every level, times, series, backlog, outcomes,
comparison, quality. Closed does not mean fixed.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.api.listing import Selection
from vanc311_pipeline.api.models import AREA, AskedTable, Day, Month, Name, asked_with
from vanc311_pipeline.api.routing import Questions
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import COLUMNS, LEVELS, coverage, group_of, of_group
from vanc311_pipeline.reading.names import KINDS, known
from vanc311_pipeline.reading.pages import all_rows
from vanc311_pipeline.reading.release import Release

router = Questions()

SCOPED = ("citywide", "issue", "department")
"""The levels of which there is a row of all requests and one of the located: if none is named, that of all is meant."""


def _from_to(unit: str, kind: Any, of: str = "") -> dict[str, Any]:
    """The parameters of a range, both ends included."""
    return {f"{unit}_from": (kind, f"first {unit}{of}"), f"{unit}_to": (kind, f"last {unit}{of}")}


_period, _outcome = schema.time_to_close.c.period, schema.outcomes.c.outcome
# The names given make the level: none the city, area and issue the area's requests of that type.
_groups = asked_with(
    AskedTable,
    scope=(
        Literal["all", "located", "unlocated"],
        f"{schema.time_to_close.c.scope.comment}; if not given, all, or what the level has: one row for each group",
    ),
    level=(Literal[*LEVELS], "all groups of a level; where the names given make another level than the one wanted"),
    area=(Name, AREA),
    issue=(Name, "an issue type"),
    department=(Name, "a city department"),
)
_scopes = asked_with(
    AskedTable,
    scope=(Literal["all", "located"], f"{schema.metrics_citywide.c.scope.comment}; if not given, all"),
)
_periods = asked_with(_groups, _period)
_reasons = asked_with(
    AskedTable, _period, schema.closure_reasons.c.department, schema.closure_reasons.c.closure_reason, _outcome
)
_batches = schema.batch_days.c
ASKED = {
    "table": AskedTable,
    "scopes": _scopes,
    "groups": _groups,
    "periods": _periods,
    "outcomes": asked_with(_periods, _outcome),
    "months": asked_with(_groups, **_from_to("month", Month)),
    "days": asked_with(_groups, **_from_to("day", Day)),
    "vintages": asked_with(_groups, schema.figure_vintages.c.figure, schema.figure_vintages.c.reference),
    "revisions": asked_with(_groups, schema.revisions.c.figure),
    "years": asked_with(
        _groups,
        measure=(Literal["opened", "closed_in"], "what is counted"),
        verdict=(Literal["more", "fewer", "about as many"], "what is said of the change"),
    ),
    "speeds": asked_with(
        _groups, verdict=(Literal["faster", "slower", "about the same", "unclear"], "what is said of the change")
    ),
    "comparison": asked_with(
        AskedTable, *(schema.area_comparison.c[name] for name in ("measure", "local_area", "verdict"))
    ),
    "mix": asked_with(AskedTable, *(schema.area_issue_mix.c[name] for name in ("local_area", "issue_type", "finding"))),
    "quality": asked_with(AskedTable, schema.quality_ledger.c.department, **_from_to("month", Month, " of opening")),
    "corrections": asked_with(AskedTable, schema.corrections.c.department, **_from_to("month", Month, " of release")),
    "batches": asked_with(AskedTable, _batches.issue_type, _batches.department, **_from_to("day", Day)),
}
"""The parameters that `statistics.toml` names."""


def _question(
    table: sa.Table, otherwise: str | None = None, period: str | None = None, if_empty: State | None = None
) -> Callable[..., Selection]:
    """Which rows of a table are about the group that is asked for, and are as is asked. Where it has groups of several levels, `otherwise`
    is the one that is meant if the request names none; `period` is what it is about, where that isn't asked for.
    """

    def question(release: Release, asked: AskedTable, area: str | None = None, issue: str | None = None) -> Selection:
        filters = {"area": area, "issue": issue} | _filters(release, asked)
        names = {kind: filters.pop(kind, None) for kind in COLUMNS}
        level = filters.pop("level", None if any(names.values()) else otherwise)
        group = group_of(release, level, **names)
        if "scope" in table.c and "scope" in type(asked).model_fields and group.level in SCOPED:
            filters.setdefault("scope", "all")
        if otherwise:
            listing = of_group(release, table, group, *_conditions(table, filters))
        else:
            listing = all_rows(table, *_conditions(table, group.names | filters))
        return Selection(listing, coverage(release, group, filters.get("period", period)), if_empty)

    return question


def _filters(release: Release, asked: AskedTable) -> dict[str, Any]:
    """What is asked for, with the names as the release has them."""
    return {name: known(release, name, value) if name in KINDS else value for name, value in asked.narrowing().items()}


def _conditions(table: sa.Table, filters: Mapping[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    """That columns are as asked; of a month or a day, that it is between the first and the last."""
    for name, value in filters.items():
        of, _, end = name.rpartition("_")
        if end not in ("from", "to"):
            yield table.c[COLUMNS.get(name, name)] == value
            continue
        column = next(table.c[each] for each in (of, f"open_{of}", f"release_{of}") if each in table.c)
        yield column >= str(value) if end == "from" else column <= str(value)


ROUTES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
for path, (name, summary, table_name, asked, tag, meant) in ROUTES.items():
    table = schema.metadata.tables[table_name]
    question = _question(table, **meant, if_empty=State.NO_REQUESTS if tag == "metrics" else None)
    router.lists(path, summary, table, ASKED[asked], tags=[tag], name=name)(question)

router.lists_all("/trends/settling", "settling", "After how many days figures hardly move", schema.settling, "trends")
router.lists_all("/outcomes/mapping", "mapping", "Which reason is in which group", schema.outcome_mapping, "outcomes")


@router.lists("/outcomes/reasons", "The city's closure reasons", schema.closure_reasons, _reasons, tags=["outcomes"])
def reasons(release: Release, asked: AskedTable) -> Selection:
    return Selection(all_rows(schema.closure_reasons, *_conditions(schema.closure_reasons, _filters(release, asked))))
