"""Tables of a page: what is reported, where, how long it takes, how an area compares, what moved last."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.view import EVER, LAST_12_MONTHS, View, records_of, summary_of, without_requests
from vanc311_pipeline.reading.groups import COLUMNS, Group, records_of_group
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import view as view_of
from vanc311_pipeline.registry import METRICS, MINIMUM_N, State

TOP = 15
LAST_CHANGES = 10
FEW_REQUESTS = 4_000
MOST_DIFFERENT = 10

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """What stands in a table."""

    text: str
    link: str | None = None
    number: bool = True
    quiet: bool = False
    """No number, but the reason why there is none."""


Columns = Mapping[str, str | Callable[[Row], object]]
"""The heading of each column of a table, and what stands in it: a column of the file, or what is made of a row."""


@dataclass(frozen=True)
class Table:
    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    totals: list[list[Cell]] = field(default_factory=list)
    """The lines that make the table add up."""
    csv: str | None = None


def table(
    title: str, note: str, columns: Columns, rows: Iterable[Row], totals: Iterable[Row] = (), csv: str | None = None
) -> Table | None:
    """A table of rows; None if there is none."""

    def line(row: Row) -> list[Cell]:
        return [cell_of(row[column] if isinstance(column, str) else column(row)) for column in columns.values()]

    body, foot = list(map(line, rows)), list(map(line, totals))
    return Table(title, note, tuple(columns), body, foot, csv) if body or foot else None


def cell_of(value: Any) -> Cell:
    """A value as it stands in a table: a number, a name, or nothing."""
    if isinstance(value, Cell):
        return value
    if value is None or value != value:
        return Cell("", quiet=True)
    if isinstance(value, float):
        return Cell(f"{value:,.4f}".rstrip("0").rstrip("."))
    return Cell(f"{value:,}") if isinstance(value, int) else Cell(str(value), number=False)


def twin(figure: Figure, csv: str) -> Table:
    """The rows of a figure as a table: the same numbers."""
    rows = [list(map(cell_of, row)) for row in figure.rows.itertuples(index=False)]
    return Table(figure.finding, figure.note, tuple(map(str, figure.rows.columns)), rows, csv=csv)


def timed(column: str, state: str) -> Callable[[Row], Cell]:
    """A column of days, or of why there are none; empty where that isn't asked."""

    def cell(row: Row) -> Cell:
        if row[state] is None:
            return Cell("")
        return Cell(words.days_or_why(row[column], row[state]), quiet=row[state] != State.OK)

    return cell


def breakdown(release: Release, view: View) -> Table | None:
    """What is reported most, in the city or an area; or where, for an issue type."""
    if view.level == "hyper_local":
        return None
    kind = "area" if view.issue else "issue"
    group, scope = Group("hyper_local", area=view.area, issue=view.issue), "located"
    if view.level == "citywide":
        group, scope = Group("issue"), view.counted
    rows = records_of_group(release, schema.time_to_close, group, scope=scope, period=view.period)
    if view.issue:
        title, shown, left_out = "Where", _all_areas(release, view, rows), "no local area"
    else:
        rows.sort(key=lambda row: (-row["volume"], row["issue_type"]))
        title, shown, left_out = "What is reported most", rows[:TOP], f"{len(rows[TOP:])} other types"

    def linked(row: Row) -> object:
        name = row[COLUMNS[kind]]
        return row.get("label") or Cell(name, view.but(**{kind: name}).url, number=False)

    return table(
        title,
        f"Requests opened {words.period(view.period)}. Half and nine in ten: days until so many were closed, counting those still "
        "open; not given below 30 requests.",
        {
            kind: linked,
            "requests": "volume",
            "not closed yet": "still_open",
            "half closed within": timed("median_days", "median_state"),
            "nine in ten within": timed("p90_days", "p90_state"),
        },
        shown,
        _totals(summary_of(release, view), shown, left_out),
    )


def _all_areas(release: Release, view: View, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name, with a line for those areas that have none."""
    nothing = without_requests(release, view)
    by_area = {row["local_area"]: row for row in rows}
    areas = names(release, "area")
    return [by_area.get(area, nothing | {"local_area": area}) for area in areas]


def _totals(total: dict[str, Any], shown: Iterable[Row], left_out: str) -> list[Row]:
    """What the lines leave out, and the whole, so that the table adds up."""
    rest = {column: total[column] - sum(row[column] for row in shown) for column in ("volume", "still_open")}
    return [
        *([dict.fromkeys(total) | rest | {"label": left_out}] if rest["volume"] else []),
        total | {"label": "all"},
    ]


def waiting(release: Release, view: View) -> Table | None:
    """How long should mine take? For an issue type: in an area, or in the last 12 months, if enough waited as long there."""
    if view.issue is None:
        return None
    places = [(view, LAST_12_MONTHS)] * bool(view.area)
    places += [(view.but(area=None), period) for period in (LAST_12_MONTHS, EVER)]
    nearest: dict[int, Row] = {}
    for place, period in places:
        opened = f"{words.period(period)}, {place.area or 'all of Vancouver'}"
        for row in records_of(release, place.but(scope="all", period=period), schema.waiting_times):
            if nearest.get(row["waited_days"], {"followed": 0})["followed"] < MINIMUM_N:
                nearest[row["waited_days"]] = row | {"opened": opened}
    return table(
        "How long should mine take?",
        "Of requests of this type that were still open after so many days: how many more days until they were closed. What usually "
        "happened, not a promise and not a target; closed does not mean fixed.",
        {
            "it has waited": lambda row: words.days(row["waited_days"]) if row["waited_days"] else "opened today",
            "half closed within": timed("further_median", "further_median_state"),
            "three quarters within": timed("further_p75", "further_p75_state"),
            "nine in ten within": timed("further_p90", "further_p90_state"),
            "n that waited so long": "followed",
            "of those opened": "opened",
        },
        [nearest[days] for days in sorted(nearest)],
    )


MEASURES = {
    "open_after_30_days": "still open after 30 days (above 1: more)",
    "closings": "closings (above 1: faster)",
}


def _interval(row: Row) -> str:
    return f"{words.ratio(row['ratio_low'])} to {words.ratio(row['ratio_high'])}"


def against_the_city(release: Release, view: View) -> Table | None:
    """How an area compares with the city at the city's rates for its own types of request."""
    if view.level != "neighbourhood":
        return None
    areas = schema.area_comparison
    question = sa.select(areas).where(areas.c.local_area == view.area).order_by(areas.c.measure.desc())
    return table(
        "Fair comparison with the city",
        f"{METRICS['ratio'].definition} Requests with a local area that are old enough, of one year. Areas are compared "
        "with the city, never with each other; the finding allows for how much areas differ anyhow, the interval does not.",
        {
            "measure": lambda row: MEASURES[row["measure"]],
            "observed": "observed",
            "expected": lambda row: Cell(words.mean(row["expected"])),
            "ratio": lambda row: Cell(words.ratio(row["ratio"])),
            "95 % interval": lambda row: Cell(words.NOTHING if row["ratio"] is None else _interval(row)),
            "against the city": lambda row: row["finding"] or words.days_or_why(None, row["state"]),
            "n": "n",
        },
        release.records(question),
    )


def reported_more_or_less(release: Release, view: View) -> Table | None:
    """Which types are reported more or less often in an area than the city's mix would give."""
    if view.level != "neighbourhood":
        return None
    mix = schema.area_issue_mix
    differs = mix.c.finding.in_(("more", "fewer"))
    question = sa.select(mix).where(mix.c.local_area == view.area, differs).order_by(mix.c.ratio.desc())
    rows = release.records(question)
    more, fewer = ([row for row in rows if row["finding"] == which] for which in ("more", "fewer"))
    return table(
        "Reported more or less often here",
        "Requests of the last 365 days against what the city's mix of types would give for as many requests; only types that differ beyond "
        "chance (q ≤ 0.05 over all areas and types): "
        f"{len(more)} more often, {len(fewer)} less often; the {MOST_DIFFERENT} most different of each. Who reports can't be seen "
        "in the data.",
        {
            "issue": lambda row: Cell(row["issue_type"], view.but(issue=row["issue_type"]).url, number=False),
            "observed": "observed",
            "expected": lambda row: Cell(words.mean(row["expected"])),
            "ratio (95 %)": lambda row: Cell(f"{words.ratio(row['ratio'])} ({_interval(row)})"),
            "than city-wide": "finding",
        },
        [*more[:MOST_DIFFERENT], *fewer[-MOST_DIFFERENT:]],
    )


def newest_changes(release: Release, view: View) -> Table | None:
    """What moved last, as we saw it."""
    if view.level == "citywide":
        return None
    history = view_of("request_history")
    changes = history.c
    question = (
        sa.select(history)
        .where(changes.change_id.in_(release.scalars(_newest(release, view))), changes.field != "modified_at")
        .order_by(changes.seen_at.desc(), changes.change_id.desc(), changes.field)
        .limit(LAST_CHANGES)
    )
    return table(
        "Newest changes",
        "What moved in the record between two of our loads; days are UTC days.",
        {
            "seen": lambda row: row["seen_at"][:10],
            "what": "kind",
            "issue": "issue_type",
            "field: before → after": lambda row: (
                f"{row['field']}: {row['before'] or words.NOTHING} → {row['after'] or words.NOTHING}"
            ),
            "opened": lambda row: row["opened_at"][:10],
        },
        release.records(question),
    )


def _newest(release: Release, view: View) -> sa.Select[tuple[int]]:
    """The newest changes that say more than that something changed.

    The log knows no areas. Of an area with few requests, the changes of each are looked up; else the log is gone through from
    its end, and the request of each change is looked up. A `+` keeps SQLite from the other way, which takes seconds.
    """
    changes, requests = schema.request_changes.c, schema.service_requests.c
    question = (
        sa.select(changes.change_id)
        .where(sa.func.json_remove(sa.func.coalesce(changes.after, changes.before), "$.modified_at") != "{}")
        .order_by(changes.seen_at.desc(), changes.change_id.desc())
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


TABLES = (against_the_city, breakdown, reported_more_or_less, newest_changes)
