"""The quality page: whether the copy equals the portal, what every check found, what is missing."""

from functools import partial
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Columns, Row, Table, table
from vanc311_pipeline.reading.integrity import convergence
from vanc311_pipeline.reading.release import Release

MONTHS_SHOWN = 24

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
            "result": lambda row: RESULTS[row["result"]],
            "claim": "claim",
            "what was found": lambda row: row["found"] or "",
            "guards": "asset",
            "if it fails": lambda row: "blocks publishing" if row["blocking"] == "yes" else "notes",
            "run (Vancouver)": lambda row: words.instant(row["evaluated_at"]),
        },
        release.records(sa.select(results).order_by(worst, results.c.asset, results.c.check_name)),
    )


def months(release: Release) -> Table | None:
    """Month by month, the portal's counts and ours; those out of step first."""
    question = sa.select(convergence).order_by(convergence.c.in_step, convergence.c.partition_month.desc())
    return table(
        "Month by month against the portal",
        "UTC months of opening, the unit in which rows are exchanged; months out of step first, then the newest.",
        {
            "UTC month": "partition_month",
            "rows at the portal": "portal_rows",
            "rows here": "rows",
            "with a close date there": "portal_closed",
            "here": "closed",
            "in step": "in_step",
        },
        release.records(question.limit(MONTHS_SHOWN)),
        csv="/api/v1/integrity/months?format=csv",
    )


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


def _with_share(column: str, row: Row) -> Cell:
    """A number with its share of the row's requests."""
    share = f" ({words.percent(row[column] / row['volume'])})" if row["volume"] else ""
    return Cell(f"{words.whole(row[column])}{share}")


COVERAGE: Columns = {
    heading: column if column in WITHOUT_SHARE else partial(_with_share, column) for column, heading in COUNTED.items()
}


def coverage(release: Release) -> Table | None:
    """What is missing or odd, by department, with the city as the last line."""
    rows = _summed(release, "department")
    rows.sort(key=lambda row: -row["volume"])
    total = {column: sum(row[column] for row in rows) for column in COUNTED} | {"department": "all"}
    return table(
        "What is missing or odd, by department",
        "A department whose requests mostly lack an area can’t be compared between areas. Shares are of the department’s requests.",
        {"department": "department", **COVERAGE},
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
        {"month": "open_month", **COVERAGE},
        rows[:MONTHS_SHOWN],
        csv="/api/v1/quality?format=csv",
    )


def _summed(release: Release, by: str) -> list[dict[str, Any]]:
    ledger = schema.quality_ledger
    sums = [sa.func.sum(ledger.c[column]).label(column) for column in COUNTED]
    return release.records(sa.select(ledger.c[by], *sums).group_by(ledger.c[by]))


def quarantine(release: Release) -> Table | None:
    """Why rows are in quarantine."""
    reason = schema.quarantined_requests.c.reason
    return table(
        "In quarantine",
        "Rows that the portal serves but that can’t be read.",
        {"why": "reason", "rows": "rows"},
        release.records(sa.select(reason, sa.func.count().label("rows")).group_by(reason).order_by(reason)),
    )


TABLES = (checks, coverage, trend, months, quarantine)
