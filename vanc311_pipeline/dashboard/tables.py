"""The rows of a page's tables: what is reported, where, how long it takes, how an area compares, what moved last."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.view import (
    LAST_12_MONTHS,
    LEFT_OUT,
    View,
    records_of,
    summary_of,
    without_requests,
)
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import service_requests

TOP = 15
MOST = 5
LAST_CHANGES = 10
COLUMNS_OF_A_PHONE, LONG_TEXT = 5, 16
FEW_REQUESTS = 4_000
Q_AT_MOST = 0.05
"""Of what is listed as changed, so large a share may be chance."""
NOT_SUPPORTED = {State.TOO_FEW: "too few of the city's types"}
MEASURES = {"open_after_30_days": "still open after 30 days (above 1: more)", "closings": "closings (above 1: faster)"}

_NUMBER = re.compile(r"[−+]?\d[\d,.]*( %| days?)?( to \d[\d,.]*( %)?)?")

Row = dict[str, Any]
"""What there is to be shown in a line, by column of the file or by a name of its own."""


@dataclass(frozen=True)
class Cell:
    text: str
    link: str | None = None
    number: bool = True
    quiet: bool = False
    """No number, but the reason why there is none."""
    title: str | None = None
    """What the city calls it, where that is something else."""


def cell_of(value: Any) -> Cell:
    """A value as it stands in a table: a number, a name, or nothing."""
    if isinstance(value, Cell):
        return value
    if value is None or value != value:
        return Cell("", quiet=True)
    if isinstance(value, float):
        return Cell(f"{value:,.4f}".rstrip("0").rstrip("."))
    return Cell(f"{value:,}" if isinstance(value, int) else str(value), number=bool(_NUMBER.fullmatch(str(value))))


def are_wide(columns: Mapping[str, str], rows: Sequence[Row]) -> bool:
    """Whether a phone has no room for so many columns, and shows each row as a block; a column with a long text takes the room of two."""
    long = (any(len(cell_of(row[column]).text) > LONG_TEXT for row in rows) for column in columns.values())
    return len(columns) + sum(long) > COLUMNS_OF_A_PHONE


def days_cell(days: float | None, state: str | None) -> Cell:
    """Days, or why there are none; nothing where that isn't asked."""
    return Cell(words.days_or_why(days, state), quiet=state != State.OK) if state else Cell("")


def issue_cell(view: View, issue: str) -> Cell:
    """An issue type by its plain name, which leads to its page in the view's area."""
    return Cell(plain("issue", issue), view.but(issue=issue).url, number=False)


def breakdown(release: Release, view: View) -> tuple[list[Row], list[Row]]:
    """What is reported most, in the city or an area; or where, for an issue type. And what makes it add up to the whole."""
    if view.level == "hyper_local":
        return [], []
    group, scope = Group("hyper_local", area=view.area, issue=view.issue), "located"
    if view.level == "citywide":
        group, scope = Group("issue"), view.counted
    rows = records_of_group(release, schema.time_to_close, group, scope=scope, period=view.period)
    if view.issue:
        none, by_area = without_requests(release, view), {row["local_area"]: row for row in rows}
        shown = [by_area.get(area, none | {"local_area": area}) for area in names(release, "area")]
        left_out = "no local area"
    else:
        shown = sorted(rows, key=lambda row: (-row["volume"], row["issue_type"]))[:TOP]
        left_out = f"{len(rows) - len(shown)} other types"
    total = summary_of(release, view) | {"name": "all"}
    rest = {column: total[column] - sum(row[column] for row in shown) for column in ("volume", "n", "still_open")}
    totals = [dict.fromkeys(total) | rest | {"name": left_out}] if rest["volume"] else []
    located = [service_requests.c.local_area.is_not(None)] if scope == "located" and not view.issue else []
    return told(release, view, group, scope, shown, located), _timed([*totals, total])


def most_reported(release: Release) -> list[Row]:
    """The issue types of which most is reported from the local areas, each with its link."""
    group = Group("issue")
    rows = records_of_group(release, schema.time_to_close, group, scope="located", period=LAST_12_MONTHS)
    most = sorted(rows, key=lambda row: (-row["volume"], row["issue_type"]))[:MOST]
    return [row | {"issue": issue_cell(View(), row["issue_type"])} for row in most]


def told(
    release: Release,
    view: View,
    group: Group,
    scope: str,
    rows: list[Row],
    conditions: Sequence[sa.ColumnElement[bool]],
) -> list[Row]:
    """Rows of `time_to_close` of issue types, or of an issue type's areas, each with its link, what is open and overdue of it, and whether
    more were reported than a year before.
    """
    column = "local_area" if view.issue else "issue_type"
    of_view = {"local_area": view.area, "issue_type": view.issue}
    conditions = [*conditions] + [service_requests.c[name] == value for name, value in of_view.items() if value]
    waiting = open_counts(release, column, conditions)
    years = records_of_group(release, schema.year_on_year, group, scope=scope, measure="opened")
    changes = {row[column]: change_on_year(row) for row in years}

    def linked(name: str) -> Cell:
        return Cell(name, view.but(area=name).url, number=False) if view.issue else issue_cell(view, name)

    return _timed(
        row | {"name": linked(row[column]), "change": changes.get(row[column])} | waiting.get(row[column], NONE_OPEN)
        for row in rows
    )


NONE_OPEN: Row = {"open": 0, "overdue": 0}


def open_counts(release: Release, column: str, conditions: Sequence[sa.ColumnElement[bool]]) -> dict[str, Row]:
    """How many requests are open, and how many of them overdue, by the value of a column; types that have no limit are not judged."""
    of, limit = service_requests.c, schema.overdue_limits.c
    question = (
        sa.select(
            of[column],
            sa.func.count().label("open"),
            sa.func.sum(of.opened_on < limit.opened_before, type_=sa.INTEGER()).label("overdue"),
        )
        .select_from(service_requests.outerjoin(schema.overdue_limits, limit.issue_type == of.issue_type))
        .where(of.status == sa.literal_column("'Open'"), *conditions)
        .group_by(of[column])
    )
    return {
        name: {"open": number, "overdue": Cell("not judged", quiet=True) if overdue is None else overdue}
        for name, number, overdue in release.rows(question)
    }


def change_on_year(row: Row) -> Cell:
    """How many more or fewer than a year before, if that is beyond chance among all that were looked at; or what else is known."""
    if row["requests_year_before"] is None or row["state"] != State.OK:
        return Cell(
            "not known" if row["requests_year_before"] is None else words.WITHHELD[State(row["state"])], quiet=True
        )
    if not stands_out(row):
        return Cell("about as many", quiet=True)
    before = row["requests_year_before"]
    return Cell(words.against(row["requests"] / before) if before else f"{words.whole(row['requests'])} more")


def stands_out(row: Row) -> bool:
    """Whether a row of `year_on_year` tells of a change beyond chance, so many groups looked at."""
    return row["verdict"] in ("more", "fewer") and row["q_value"] <= Q_AT_MOST


def changed_most(release: Release, view: View) -> tuple[list[Row], int]:
    """Of the city: the types of which more or fewer were reported than a year before, the largest difference first; and of how many."""
    rows = records_of_group(release, schema.year_on_year, Group("issue"), scope=view.counted, measure="opened")
    known = [row for row in rows if row["state"] == State.OK]
    differing = [
        row | {"issue": issue_cell(view, row["issue_type"]), "change": change_on_year(row)}
        for row in known
        if stands_out(row)
    ]
    return sorted(differing, key=lambda row: -abs(row["requests"] - row["requests_year_before"])), len(known)


def _timed(rows: Iterable[Row]) -> list[Row]:
    times = {"half": "median", "nine_in_ten": "p90"}
    return [
        {"open": None, "overdue": None, "change": None}
        | row
        | {name: days_cell(row[f"{of}_days"], row[f"{of}_state"]) for name, of in times.items()}
        for row in rows
    ]


def left_out(release: Release, view: View) -> list[Row]:
    """The usual time to close, and what it is without internal types and without batch days; each leads to the page that shows it."""
    recent = view.but(period=LAST_12_MONTHS, speed=False)
    rows = records_of(release, recent, schema.time_to_close_without)
    if not any(row["n"] for row in rows):
        return []
    ways = {"nothing": None} | {name: way for way, name in LEFT_OUT.items()}
    links = {name: Cell(name, recent.but(without=way).url, number=False) for name, way in ways.items()}
    lines = [summary_of(release, recent) | {"left_out": "nothing"}, *rows]
    return _timed(line | {"left_out": links[line["left_out"]]} for line in lines)


def against_the_city(release: Release, view: View) -> list[Row]:
    """How an area compares with the city at the city's rates for its own types of request."""
    if view.level != "neighbourhood":
        return []
    areas = schema.area_comparison
    question = sa.select(areas).where(areas.c.local_area == view.area).order_by(areas.c.measure.desc())
    return [
        row
        | {
            "measure": MEASURES[row["measure"]],
            "expected": Cell(words.mean(row["expected"])),
            "ratio": Cell(words.ratio(row["ratio"])),
            "difference": words.difference(row),
            "verdict": row["verdict"] or words.days_or_why(None, row["state"]),
            "among_areas": _among_areas(row),
            "standardised": _standardised(row),
        }
        for row in release.records(question)
    ]


def _among_areas(row: Row) -> str:
    """How much areas usually differ, and whether this one differs more than that."""
    if row["among_areas"] is None:
        return words.NOTHING
    return f"{words.usual_spread(row['tau'])}: this one is {row['among_areas']} that, chance allowed for."


def _standardised(row: Row) -> Cell:
    """The share at the city's mix with its interval, or why there is none; nothing of a measure that has no shares."""
    state = row["standardised_share_state"]
    if state != State.OK:
        return Cell(NOT_SUPPORTED.get(state, words.WITHHELD[State(state)]) if state else words.NOTHING, quiet=True)
    share, low, high = (words.percent(row[f"standardised_share{end}"]) for end in ("", "_low", "_high"))
    return Cell(f"{share} ({low} to {high})")


def reported_more_or_less(release: Release, view: View) -> dict[str, list[Row]]:
    """Which types are reported more or less often in an area than the city's mix would give, the most different at the ends."""
    mix = schema.area_issue_mix
    rows = [
        row
        | {
            "issue": issue_cell(view, row["issue_type"]),
            "expected": Cell(words.mean(row["expected"])),
            "ratio": Cell("{} ({} to {})".format(*(words.ratio(row[f"ratio{end}"]) for end in ("", "_low", "_high")))),
        }
        for row in release.records(sa.select(mix).where(mix.c.local_area == view.area).order_by(mix.c.ratio.desc()))
        if view.level == "neighbourhood"
    ]
    return {finding: [row for row in rows if row["finding"] == finding] for finding in ("more", "fewer")}


def newest_changes(release: Release, view: View) -> list[Row]:
    """What moved last, as we saw it."""
    if view.level == "citywide":
        return []
    history = schema.request_history
    changes = history.c
    question = (
        sa.select(history)
        .where(changes.change_id.in_(release.scalars(_newest(release, view))), changes.field != "modified_at")
        .order_by(changes.change_id.desc(), changes.field)
        .limit(LAST_CHANGES)
    )
    return [
        row
        | {
            "seen": row["seen_at"][:10],
            "change": f"{row['field']}: {row['before'] or words.NOTHING} → {row['after'] or words.NOTHING}",
            "opened": row["opened_at"][:10],
        }
        for row in release.records(question)
    ]


def _newest(release: Release, view: View) -> sa.Select[tuple[int]]:
    """The newest changes that say more than that something changed. The log knows no areas: where few requests are of the view, the changes
    of each are looked up, else, from the log's end, the request of each change. A `+` keeps SQLite from the other way, which takes seconds.
    """
    changes, requests = schema.request_changes.c, schema.service_requests.c
    question = (
        sa.select(changes.change_id)
        .where(sa.func.json_remove(sa.func.coalesce(changes.after, changes.before), "$.modified_at") != "{}")
        .order_by(changes.change_id.desc())
        .limit(LAST_CHANGES)
    )
    if view.area is None:
        return question.where(changes.issue_type == view.issue)
    of_view = [requests.local_area == view.area, *([requests.issue_type == view.issue] if view.issue else [])]
    some: sa.Select[tuple[int]] = (
        sa.select(sa.literal_column("1")).select_from(schema.service_requests).where(*of_view).limit(FEW_REQUESTS)
    )
    few = release.scalars(sa.select(sa.func.count()).select_from(some.subquery()))[0] < FEW_REQUESTS
    if few:
        same = changes.request_id == sa.literal_column("+service_requests.request_id")
    else:
        same = requests.request_id == sa.literal_column("+request_changes.request_id")
        of_view += [changes.issue_type == view.issue] if view.issue else []
    return question.select_from(schema.request_changes.join(schema.service_requests, same)).where(*of_view)
