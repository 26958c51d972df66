"""The quality page: how fresh the copy is, whether it equals the portal, what every check found, what is missing."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.figures import records
from vanc311_pipeline.dashboard.tables import Cell, Row, Table, name, number, table, text
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
    about, state = release.about, summary(release)
    held = [str(each["partition_month"]) for each in state["held_months"]]
    changes = words.whole(state["changes_found_by_deep_readings"])
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
            f"{words.whole(state['months_in_step'])}; out of step: {words.whole(state['months_out_of_step'])}",
        ),
        (
            "Months held back",
            f"{words.listed(held) if held else 'none'} (a month of which too much changes at once is not followed without consent)",
        ),
        (
            "Followed with consent",
            f"{words.whole(state['accepted_losses'])}, {words.whole(state['rows_lost_with_consent'])} rows",
        ),
        (
            "Months read again though nothing seemed to move",
            f"{words.whole(state['deep_readings'])}, which found {changes} changes",
        ),
    ]


RESULTS = {"failed": "✗ failed", "warned": "! noted", "passed": "✓ passed"}
"""What a check may find, the worst first."""


def checks(release: Release) -> Table | None:
    """Every check of the data with its last result."""
    results = schema.check_results
    worst = sa.case({result: place for place, result in enumerate(RESULTS)}, value=results.c.result)
    return table(
        "Every check, with its last result",
        "Run before this file was made. A note means that something is odd in the city’s own record: it is kept, counted and said. Two more "
        "checks look at the file itself when it is done.",
        {
            "result": lambda row: name(RESULTS[row["result"]]),
            "claim": text("claim"),
            "what was found": lambda row: name(row["found"] or ""),
            "guards": text("asset"),
            "if it fails": lambda row: name("blocks publishing" if row["blocking"] == "yes" else "notes"),
            "run (Vancouver)": lambda row: name(in_words(row["evaluated_at"])),
        },
        records(release, sa.select(results).order_by(worst, results.c.asset, results.c.check_name)),
    )


def months(release: Release) -> Table | None:
    """Month by month, the portal's counts and ours; those out of step first."""
    question = sa.select(convergence).order_by(convergence.c.in_step, convergence.c.partition_month.desc())
    return table(
        "Month by month against the portal",
        "UTC months of opening, the unit in which rows are exchanged; months out of step first, then the newest.",
        {
            "UTC month": text("partition_month"),
            "rows at the portal": number("portal_rows"),
            "rows here": number("rows"),
            "with a close date there": number("portal_closed"),
            "here": number("closed"),
            "in step": text("in_step"),
        },
        records(release, question.limit(MONTHS_SHOWN)),
        csv="/api/v1/integrity/months?format=csv",
    )


def share_of(column: str) -> Callable[[Row], Cell]:
    """A column of numbers, each with its share of the row's requests."""

    def cell(row: Row) -> Cell:
        share = f" ({words.percent(row[column] / row['volume'])})" if row["volume"] else ""
        return Cell(f"{words.whole(row[column])}{share}")

    return cell


COUNTED = {
    "volume": "requests",
    "n_missing_area": "no area",
    "n_missing_point": "no point",
    "n_negative": "closed before opened",
    "n_closed_without_date": "closed, no date",
    "n_twins": "twins",
    "n_repeats": "possible repeats",
    "n_batch_closed": "closed by the pile",
    "n_obsolete_label": "obsolete label",
    "n_unmapped_reason": "unmapped reason",
    "n_quarantined": "quarantined",
}
WITHOUT_SHARE = ("volume", "n_obsolete_label", "n_unmapped_reason", "n_quarantined")
COVERAGE = {
    heading: number(column) if column in WITHOUT_SHARE else share_of(column) for column, heading in COUNTED.items()
}


def coverage(release: Release) -> Table | None:
    """What is missing or odd, by department, with the city as the last line."""
    rows = _summed(release, "department")
    rows.sort(key=lambda row: -row["volume"])
    total = {column: sum(row[column] for row in rows) for column in COUNTED} | {"department": "all"}
    return table(
        "What is missing or odd, by department",
        "A department whose requests mostly lack an area can’t be compared between areas. Shares are of the department’s requests.",
        {"department": text("department")} | COVERAGE,
        rows,
        [total],
        csv="/api/v1/quality?format=csv",
    )


def trend(release: Release) -> Table | None:
    """What is missing or odd, by month of opening, the newest first."""
    rows = sorted(_summed(release, "open_month"), key=lambda row: str(row["open_month"]), reverse=True)
    return table(
        "What is missing or odd, month by month",
        f"Local months of opening, the newest {MONTHS_SHOWN}; quarantined rows by the UTC month that served them. Shares are of the "
        "month’s requests. A sudden change is more often the record’s than the city’s.",
        {"month": text("open_month")} | COVERAGE,
        rows[:MONTHS_SHOWN],
        csv="/api/v1/quality?format=csv",
    )


def _summed(release: Release, by: str) -> list[dict[str, Any]]:
    ledger = schema.quality_ledger
    sums = [sa.func.sum(ledger.c[column]).label(column) for column in COUNTED]
    return records(release, sa.select(ledger.c[by], *sums).group_by(ledger.c[by]))


def quarantine(release: Release) -> Table | None:
    """Why rows are in quarantine."""
    reason = schema.quarantined_requests.c.reason
    return table(
        "In quarantine",
        "Rows that the portal serves but that can’t be read.",
        {"why": text("reason"), "rows": number("rows")},
        records(release, sa.select(reason, sa.func.count().label("rows")).group_by(reason).order_by(reason)),
    )
