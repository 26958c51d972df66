"""The quality page: how fresh the copy is, whether it equals the portal, what every check found, what is missing."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Table, name
from vanc311_pipeline.reading.integrity import convergence, summary
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.timezone import VANCOUVER

MONTHS_SHOWN = 24


def in_words(instant: str | None) -> str:
    """A UTC instant as a Vancouver reader says it."""
    if not instant:
        return words.NOTHING
    local = datetime.fromisoformat(instant).astimezone(ZoneInfo(VANCOUVER))
    return f"{local.day} {local:%B %Y, %H:%M}"


def freshness(release: Release) -> list[tuple[str, str]]:
    """What the file is made of, in lines."""
    about, found = release.about, summary(release)
    held = (
        words.listed([str(each["partition_month"]) for each in found["held_months"]])
        if found["held_months"]
        else "none"
    )
    return [
        ("The city published", f"{in_words(about['data_processed'])} (Vancouver)"),
        ("Statistics are as of", f"{words.day(about['as_of'])}, the last whole day in it"),
        ("This file was made", f"{in_words(about['published_at'])} (Vancouver)"),
        (
            "Requests",
            f"{words.whole(about['rows_stored'])}, UTC months {about['first_month']} to {about['last_month']}",
        ),
        ("Rows that the portal said it has", f"{words.whole(about['records_count'])}; complete: {about['complete']}"),
        (
            "Quarantined",
            f"{words.whole(about['rows_quarantined'])} rows that can’t be read: kept whole, in no statistic",
        ),
        (
            "Months in step with the portal",
            f"{words.whole(found['months_in_step'])}; out of step: {words.whole(found['months_out_of_step'])}",
        ),
        (
            "Months held back",
            f"{held} (a month of which too much changes at once is not followed without consent)",
        ),
        (
            "Followed with consent",
            f"{words.whole(found['accepted_losses'])}, {words.whole(found['rows_lost_with_consent'])} rows",
        ),
        (
            "Months read again though nothing seemed to move",
            f"{words.whole(found['deep_readings'])}, which found {words.whole(found['changes_found_by_deep_readings'])} changes",
        ),
    ]


def checks(release: Release) -> Table:
    """Every check of the data with its last result."""
    table = schema.check_results
    worst = sa.case({"failed": 0, "warned": 1}, value=table.c.result, else_=2)
    rows = release.rows(sa.select(table).order_by(worst, table.c.asset, table.c.check_name))
    lines = [
        [
            name({"passed": "✓ passed", "warned": "! noted", "failed": "✗ failed"}[row.result]),
            name(row.claim),
            name(row.found or ""),
            name(row.asset),
            name("blocks publishing" if row.blocking == "yes" else "notes"),
            name(in_words(row.evaluated_at)),
        ]
        for row in rows
    ]
    return Table(
        "Every check, with its last result",
        "Run before this file was made. A note means that something is odd in the city’s own record: it is kept, counted and said. Two more "
        "checks look at the file itself when it is done.",
        ("result", "claim", "what was found", "guards", "if it fails", "run (Vancouver)"),
        lines,
    )


def months(release: Release) -> Table:
    """Month by month, the portal's counts and ours; those out of step first."""
    question = sa.select(convergence).order_by(convergence.c.in_step, convergence.c.partition_month.desc())
    rows = release.rows(question.limit(MONTHS_SHOWN))
    lines = [
        [
            name(row.partition_month),
            Cell(words.whole(row.portal_rows)),
            Cell(words.whole(row.rows)),
            Cell(words.whole(row.portal_closed)),
            Cell(words.whole(row.closed)),
            name(row.in_step),
        ]
        for row in rows
    ]
    return Table(
        "Month by month against the portal",
        "UTC months of opening, the unit in which rows are exchanged; months out of step first, then the newest.",
        ("UTC month", "rows at the portal", "rows here", "with a close date there", "here", "in step"),
        lines,
        csv="/api/v1/integrity/months?format=csv",
    )


_COVERED = (
    "n_missing_area",
    "n_missing_point",
    "n_negative",
    "n_closed_without_date",
    "n_twins",
    "n_repeats",
    "n_batch_closed",
)


_COLUMNS = (
    "requests",
    "no area",
    "no point",
    "closed before opened",
    "closed, no date",
    "twins",
    "possible repeats",
    "closed by the pile",
    "obsolete label",
    "unmapped reason",
    "quarantined",
)
_COUNTED = ("volume", *_COVERED, "n_obsolete_label", "n_unmapped_reason", "n_quarantined")


def coverage(release: Release) -> Table:
    """What is missing or odd, by department, with the city as the last line."""
    rows = _summed(release, "department")
    rows.sort(key=lambda row: -row["volume"])
    total = {column: sum(row[column] for row in rows) for column in _COUNTED} | {"department": "all"}
    return Table(
        "What is missing or odd, by department",
        "A department whose requests mostly lack an area can’t be compared between areas. Shares are of the department’s requests.",
        ("department", *_COLUMNS),
        [_coverage_line(row, "department") for row in rows],
        [_coverage_line(total, "department")],
        csv="/api/v1/quality?format=csv",
    )


def trend(release: Release) -> Table:
    """What is missing or odd, by month of opening, the newest first."""
    rows = sorted(_summed(release, "open_month"), key=lambda row: str(row["open_month"]), reverse=True)
    return Table(
        "What is missing or odd, month by month",
        f"Local months of opening, the newest {MONTHS_SHOWN}; quarantined rows by the UTC month that served them. Shares are of the "
        "month’s requests. A sudden change is more often the record’s than the city’s.",
        ("month", *_COLUMNS),
        [_coverage_line(row, "open_month") for row in rows[:MONTHS_SHOWN]],
        csv="/api/v1/quality?format=csv",
    )


def _summed(release: Release, by: str) -> list[dict[str, Any]]:
    table = schema.quality_ledger
    sums = [sa.func.sum(table.c[column]).label(column) for column in _COUNTED]
    return [dict(row._mapping) for row in release.rows(sa.select(table.c[by], *sums).group_by(table.c[by]))]


def _coverage_line(row: dict[str, Any], by: str) -> list[Cell]:
    shares = [
        f"{words.whole(row[column])} ({words.percent(row[column] / row['volume'])})"
        if row["volume"]
        else words.whole(row[column])
        for column in _COVERED
    ]
    rest = (row["n_obsolete_label"], row["n_unmapped_reason"], row["n_quarantined"])
    return [
        name(row[by]),
        Cell(words.whole(row["volume"])),
        *map(Cell, shares),
        *(Cell(words.whole(each)) for each in rest),
    ]


def quarantine(release: Release) -> Table | None:
    """Why rows are in quarantine."""
    table = schema.quarantined_requests
    question = sa.select(table.c.reason, sa.func.count().label("rows")).group_by(table.c.reason)
    lines = [[name(row.reason), Cell(words.whole(row.rows))] for row in release.rows(question.order_by(table.c.reason))]
    return (
        Table("In quarantine", "Rows that the portal serves but that can’t be read.", ("why", "rows"), lines)
        if lines
        else None
    )
