"""Tables of a page: what is reported, where, how long it takes, how an area compares, what moved last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import Figure
from vanc311_pipeline.dashboard.figures import rows_of, summaries_of, summary_of, without_requests
from vanc311_pipeline.dashboard.numbers import value_or_why
from vanc311_pipeline.dashboard.view import EVER, LAST_12_MONTHS, View
from vanc311_pipeline.reading.groups import Group
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.reading.requests import view as view_of
from vanc311_pipeline.registry import METRICS, MINIMUM_N, State

TOP = 15
LAST_CHANGES = 10
FEW_REQUESTS = 4_000
MOST_DIFFERENT = 10


@dataclass(frozen=True)
class Cell:
    """What stands in a table."""

    text: str
    link: str | None = None
    number: bool = True
    quiet: bool = False
    """No number, but the reason why there is none."""


@dataclass(frozen=True)
class Table:
    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    totals: list[list[Cell]] = field(default_factory=list)
    """The lines that make the table add up."""
    csv: str | None = None


def name(text: str, link: str | None = None) -> Cell:
    return Cell(text, link, number=False)


def timed(row: Mapping[str, Any], which: str) -> Cell:
    value, state = row[f"{which}_days"], row[f"{which}_state"]
    return Cell(value_or_why(value, state), quiet=state != State.OK)


def breakdown(release: Release, view: View) -> Table | None:
    """What is reported most, in the city or an area; or where, for an issue type."""
    if view.level == "hyper_local":
        return None
    by_issue = view.issue is None
    one_is_named = view.area is not None or view.issue is not None
    group = Group("hyper_local", area=view.area, issue=view.issue) if one_is_named else Group("issue")
    scope = "located" if group.level == "hyper_local" else view.counted
    rows = summaries_of(release, view, group, scope)
    if by_issue:
        rows.sort(key=lambda row: (-row["volume"], row["issue_type"]))
        title, what = "What is reported most", "issue"
    else:
        rows = _all_areas(release, view, rows)
        title, what = "Where", "area"
    shown = rows[:TOP] if by_issue else rows
    links = [view.but(issue=row["issue_type"]) if by_issue else view.but(area=row["local_area"]) for row in shown]
    lines = [
        _timed_line(row, row["issue_type" if by_issue else "local_area"], link.url)
        for row, link in zip(shown, links, strict=True)
    ]
    return Table(
        title,
        f"Requests opened {words.period(view.period)}. Half and nine in ten: days until so many were closed, counting those still "
        "open; not given below 30 requests.",
        (what, "requests", "not closed yet", "half closed within", "nine in ten within"),
        lines,
        _totals(release, view, rows, shown),
    )


def _all_areas(release: Release, view: View, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name, with a line for those areas that have none."""
    nothing = without_requests(release, view)
    known = {row["local_area"]: row for row in rows}
    names = release.scalars(sa.select(schema.local_areas.c.local_area).order_by(schema.local_areas.c.local_area))
    return [known.get(area, nothing | {"local_area": area}) for area in names]


def _timed_line(row: Mapping[str, Any], label: str, link: str | None = None) -> list[Cell]:
    counts = [Cell(words.whole(row["volume"])), Cell(words.whole(row["still_open"]))]
    return [name(label, link), *counts, timed(row, "median"), timed(row, "p90")]


def _totals(
    release: Release, view: View, rows: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]]
) -> list[list[Cell]]:
    """What the lines leave out, and the whole, so that the table adds up."""
    total = summary_of(release, view)
    rest = {key: total[key] - sum(row[key] for row in shown) for key in ("volume", "still_open")}
    lines = []
    if rest["volume"]:
        label = f"{len(rows) - len(shown)} other types" if view.issue is None else "no local area"
        lines.append([name(label), *(Cell(words.whole(rest[key])) for key in rest), Cell(""), Cell("")])
    return [*lines, _timed_line(total, "all")]


def waiting(release: Release, view: View) -> Table | None:
    """How long should mine take? For an issue type: in an area, or in the last 12 months, if enough waited as long there."""
    if view.issue is None:
        return None
    places = [(view, LAST_12_MONTHS)] * bool(view.area)
    places += [(view.but(area=None), period) for period in (LAST_12_MONTHS, EVER)]
    rows: dict[int, dict[str, Any]] = {}
    for place, period in places:
        opened = f"{words.period(period)}, {place.area or 'all of Vancouver'}"
        for row in rows_of(release, place.but(scope="all"), schema.waiting_times, period=period).to_dict("records"):
            if rows.get(row["waited_days"], {"followed": 0})["followed"] < MINIMUM_N:
                rows[row["waited_days"]] = {"opened": opened} | {str(name): value for name, value in row.items()}
    if not rows:
        return None
    return Table(
        "How long should mine take?",
        "Of requests of this type that were still open after so many days: how many more days until they were closed. What usually "
        "happened, not a promise and not a target; closed does not mean fixed.",
        (
            "it has waited",
            "half closed within",
            "three quarters within",
            "nine in ten within",
            "n that waited so long",
            "of those opened",
        ),
        [_waited_line(rows[waited]) for waited in sorted(rows)],
    )


def _waited_line(row: Mapping[str, Any]) -> list[Cell]:
    further = [(row[f"further_{which}"], row[f"further_{which}_state"]) for which in ("median", "p75", "p90")]
    return [
        name(words.days(row["waited_days"]) if row["waited_days"] else "opened today"),
        *(Cell(value_or_why(value, state), quiet=state != State.OK) for value, state in further),
        Cell(words.whole(row["followed"])),
        name(row["opened"]),
    ]


def against_the_city(release: Release, view: View) -> Table | None:
    """How an area compares with the city at the city's rates for its own types of request."""
    if view.level != "neighbourhood":
        return None
    table = schema.area_comparison
    question = sa.select(table).where(table.c.local_area == view.area).order_by(table.c.measure.desc())
    rows = [dict(row._mapping) for row in release.rows(question)]
    if not rows:
        return None
    labels = {
        "open_after_30_days": "still open after 30 days (above 1: more)",
        "closings": "closings (above 1: faster)",
    }
    lines = [
        [
            name(labels[row["measure"]]),
            Cell(words.whole(row["observed"])),
            Cell(words.mean(row["expected"])),
            Cell(words.ratio(row["ratio"])),
            Cell(
                f"{words.ratio(row['ratio_low'])} to {words.ratio(row['ratio_high'])}"
                if row["ratio"] is not None
                else words.NOTHING
            ),
            name(row["finding"] or value_or_why(None, row["state"])),
            Cell(words.whole(row["n"])),
        ]
        for row in rows
    ]
    return Table(
        "Fair comparison with the city",
        f"{METRICS['ratio'].title}: {METRICS['ratio'].meaning}. Requests with a local area that are old enough, of one year. Areas are compared "
        "with the city, never with each other; the finding allows for how much areas differ anyhow, the interval does not.",
        ("measure", "observed", "expected", "ratio", "95 % interval", "against the city", "n"),
        lines,
    )


def reported_more_or_less(release: Release, view: View) -> Table | None:
    """Which types are reported more or less often in an area than the city's mix would give."""
    if view.level != "neighbourhood":
        return None
    table = schema.area_issue_mix
    found = table.c.finding.in_(("more", "fewer"))
    question = sa.select(table).where(table.c.local_area == view.area, found).order_by(table.c.ratio.desc())
    found_rows = [dict(row._mapping) for row in release.rows(question)]
    more, fewer = ([row for row in found_rows if row["finding"] == which] for which in ("more", "fewer"))
    rows = [*more[:MOST_DIFFERENT], *fewer[-MOST_DIFFERENT:]]
    lines = [
        [
            name(row["issue_type"], view.but(issue=row["issue_type"]).url),
            Cell(words.whole(row["observed"])),
            Cell(words.mean(row["expected"])),
            Cell(f"{words.ratio(row['ratio'])} ({words.ratio(row['ratio_low'])} to {words.ratio(row['ratio_high'])})"),
            name(row["finding"]),
        ]
        for row in rows
    ]
    return (
        Table(
            "Reported more or less often here",
            "Requests of the last 365 days against what the city's mix of types would give for as many requests; only types that differ beyond "
            "chance (q ≤ 0.05 over all areas and types): "
            f"{len(more)} more often, {len(fewer)} less often; the {MOST_DIFFERENT} most different of each. Who reports can't be seen "
            "in the data.",
            ("issue", "observed", "expected", "ratio (95 %)", "than city-wide"),
            lines,
        )
        if lines
        else None
    )


def newest_changes(release: Release, view: View) -> Table | None:
    """What moved last, as we saw it."""
    if view.level == "citywide":
        return None
    changes = view_of("request_history").c
    question = (
        sa.select(
            changes.seen_at,
            changes.kind,
            changes.issue_type,
            changes.field,
            changes.before,
            changes.after,
            changes.opened_at,
        )
        .where(changes.change_id.in_(release.scalars(_newest(release, view))), changes.field != "modified_at")
        .order_by(changes.seen_at.desc(), changes.change_id.desc(), changes.field)
        .limit(LAST_CHANGES)
    )
    lines = [
        [
            name(str(row.seen_at)[:10]),
            name(row.kind),
            name(row.issue_type),
            name(f"{row.field}: {row.before or words.NOTHING} → {row.after or words.NOTHING}"),
            name(str(row.opened_at)[:10]),
        ]
        for row in release.rows(question)
    ]
    return (
        Table(
            "Newest changes",
            "What moved in the record between two of our loads; days are UTC days.",
            ("seen", "what", "issue", "field: before → after", "opened"),
            lines,
        )
        if lines
        else None
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
    theirs = [requests.local_area == view.area, *([requests.issue_type == view.issue] if view.issue else [])]
    some: sa.Select[tuple[int]] = (
        sa.select(sa.literal_column("1")).select_from(schema.service_requests).where(*theirs).limit(FEW_REQUESTS)
    )
    few = release.scalars(sa.select(sa.func.count()).select_from(some.subquery()))[0] < FEW_REQUESTS
    if few:
        same = changes.request_id == sa.literal_column("+service_requests.request_id")
    else:
        same = requests.request_id == sa.literal_column("+request_changes.request_id")
        theirs += [changes.issue_type == view.issue] if view.issue else []
    return question.select_from(schema.request_changes.join(schema.service_requests, same)).where(*theirs)


def twin(figure: Figure, csv: str) -> Table:
    """The rows of a figure as a table: the same numbers."""
    lines = [[_plain(value) for value in row] for row in figure.rows.itertuples(index=False)]
    return Table(figure.finding, figure.note, tuple(map(str, figure.rows.columns)), lines, csv=csv)


def _plain(value: Any) -> Cell:
    if value is None or value != value:
        return Cell("", quiet=True)
    if isinstance(value, float):
        return Cell(f"{value:,.4f}".rstrip("0").rstrip("."))
    return Cell(f"{value:,}") if isinstance(value, int) else name(str(value))
