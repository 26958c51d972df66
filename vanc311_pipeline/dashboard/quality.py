"""The rows of the quality page's tables: whether the copy equals the portal, what every check found, what is missing."""

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Row
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import convergence

MONTHS_SHOWN = 24
RESULTS = {"failed": "✗ failed", "warned": "! noted", "passed": "✓ passed"}
"""What a check may find, the worst first."""

COUNTED = [column.name for column in schema.quality_ledger.columns if column.info["unit"] in ("requests", "rows")]
WITHOUT_SHARE = ("volume", "n_obsolete_label", "n_unmapped_reason", "n_quarantined")


def checks(release: Release) -> list[Row]:
    """Every check of the data with its last result."""
    results = schema.check_results
    worst = sa.case({result: place for place, result in enumerate(RESULTS)}, value=results.c.result)
    return [
        row
        | {
            "result": RESULTS[row["result"]],
            "found": row["found"] or "",
            "blocking": "blocks publishing" if row["blocking"] == "yes" else "notes",
            "evaluated_at": words.instant(row["evaluated_at"]),
        }
        for row in release.records(sa.select(results).order_by(worst, results.c.asset, results.c.check_name))
    ]


def newest_change(release: Release) -> str | None:
    """When a request was last changed, by the release; what bears a later instant can't be right."""
    question = sa.select(sa.func.max(convergence.c.latest_change))
    [newest] = release.scalars(question.where(convergence.c.latest_change <= release.about["data_processed"]))
    return newest and str(newest)


def months(release: Release) -> list[Row]:
    """Month by month, the portal's counts and ours; those out of step first."""
    question = sa.select(convergence).order_by(convergence.c.in_step, convergence.c.partition_month.desc())
    return release.records(question.limit(MONTHS_SHOWN))


def by_department(release: Release) -> tuple[list[Row], list[Row]]:
    """What is missing or odd, by department, and of the city."""
    rows = sorted(_summed(release, "department"), key=lambda row: -row["volume"])
    total = {column: sum(row[column] for row in rows) for column in COUNTED} | {"department": "all"}
    return list(map(_with_shares, rows)), [_with_shares(total)]


def by_month(release: Release) -> list[Row]:
    """What is missing or odd, by month of opening, the newest first."""
    rows = sorted(_summed(release, "open_month"), key=lambda row: str(row["open_month"]), reverse=True)
    return list(map(_with_shares, rows[:MONTHS_SHOWN]))


def _summed(release: Release, by: str) -> list[Row]:
    ledger = schema.quality_ledger
    sums = [sa.func.sum(ledger.c[column]).label(column) for column in COUNTED]
    return release.records(sa.select(ledger.c[by], *sums).group_by(ledger.c[by]))


def _with_shares(row: Row) -> Row:
    """Each number with its share of the row's requests."""
    if not row["volume"]:
        return row
    shared = [column for column in COUNTED if column not in WITHOUT_SHARE]
    cells = {
        column: Cell(f"{words.whole(row[column])} ({words.percent(row[column] / row['volume'])})") for column in shared
    }
    return row | cells


def quarantine(release: Release) -> list[Row]:
    """Why rows are in quarantine."""
    reason = schema.quarantined_requests.c.reason
    return release.records(sa.select(reason, sa.func.count().label("rows")).group_by(reason).order_by(reason))
