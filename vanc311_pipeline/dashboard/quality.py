"""The rows of the quality page's tables: whether the copy equals the portal, what every check found, what is missing or odd."""

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Cell, Row
from vanc311_pipeline.metric_definitions import METRICS, State
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import convergence

NEWEST = 24
"""So many months, or days, are shown."""
RESULTS = {"failed": "✗ failed", "warned": "! noted", "passed": "✓ passed"}
"""What a check may find, the worst first."""

COUNTED = [column.name for column in schema.quality_ledger.columns if column.info["unit"] in ("requests", "rows")]
FIGURE_WORDS = {"opened": "opened in a week", "closed_in": "closed in a week", "pile": "open at the week's end"}
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
    return release.records(question.limit(NEWEST))


def by_department(release: Release) -> tuple[list[Row], list[Row]]:
    """What is missing or odd, by department, and of the city."""
    rows = sorted(_summed(release, "department"), key=lambda row: -row["volume"])
    total = {column: sum(row[column] for row in rows) for column in COUNTED} | {"department": "all"}
    return list(map(_with_shares, rows)), [_with_shares(total)]


def by_month(release: Release) -> list[Row]:
    """What is missing or odd, by month of opening, the newest first."""
    rows = sorted(_summed(release, "open_month"), key=lambda row: str(row["open_month"]), reverse=True)
    return list(map(_with_shares, rows[:NEWEST]))


def _summed(release: Release, by: str) -> list[Row]:
    ledger = schema.quality_ledger
    sums = [sa.func.sum(ledger.c[column]).label(column) for column in COUNTED]
    return release.records(sa.select(ledger.c[by], *sums).group_by(ledger.c[by]))


def _with_shares(row: Row) -> Row:
    whole, shared = row["volume"], [column for column in COUNTED if column not in WITHOUT_SHARE]
    return row | {
        name: Cell(f"{words.whole(row[name])} ({words.percent(row[name] / whole)})") for name in shared if whole
    }


def batch_days(release: Release) -> list[Row]:
    """The newest days on which many were closed at once."""
    days = schema.batch_days.c
    question = sa.select(schema.batch_days).order_by(days.day.desc(), days.closings.desc(), days.level)
    return [
        row
        | {
            "of": row["issue_type"] or row["department"] or "all of Vancouver",
            "usual": Cell(words.mean(row["usual_closings"])),
            "share": Cell(words.percent(row["share_of_closings"])),
        }
        for row in release.records(question.limit(NEWEST))
    ]


def corrections(release: Release) -> list[Row]:
    """What the city changed in its record, by month of the release that brought it, the newest first."""
    table = schema.corrections
    sums = [sa.func.sum(column).label(column.name) for column in table.columns if column.info["unit"] == "changes"]
    months = sa.select(table.c.release_month, *sums).group_by(table.c.release_month)
    return release.records(months.order_by(table.c.release_month.desc()).limit(NEWEST))


def series_breaks(release: Release) -> list[Row]:
    """The newest months across which figures can't be compared."""
    breaks = schema.series_breaks
    return release.records(sa.select(breaks).order_by(breaks.c.data_processed.desc()).limit(NEWEST))


def provisional_days(release: Release) -> int:
    """So many days up to as_of may still move."""
    return int(release.scalars(sa.select(sa.func.max(schema.settling.c.settles_after_days)))[0])


def revised(release: Release) -> list[Row]:
    """How far the city's weekly figures move after they are first published, as far as that is known."""
    rule, revision = schema.settling.c, schema.revisions.c
    city = revision.figure == rule.figure, revision.level == "citywide", revision.lag_days == 0
    columns = revision.mean_revision, revision.p95_absolute, revision.state
    query = (
        sa.select(schema.settling, *columns).outerjoin(schema.revisions, sa.and_(*city)).order_by(rule.figure.desc())
    )
    return [
        {
            "figure": Cell(FIGURE_WORDS[row["figure"]], number=False),
            "weeks": row["n"],
            "mean": _revision(row, "mean_revision", "{:+.1f} %"),
            "most": _revision(row, "p95_absolute", "{:.1f} %"),
            "settles": Cell(f"{words.days(row['settles_after_days'])} ({row['rule']})"),
        }
        for row in release.records(query)
    ]


def _revision(row: Row, name: str, form: str) -> Cell:
    known = row["state"] == State.OK
    return Cell(
        form.format(100 * row[name])
        if known
        else f"known after {METRICS[name].minimum_n} weeks, each followed for 90 days",
        quiet=not known,
    )


def quarantine(release: Release) -> list[Row]:
    reason = schema.quarantined_requests.c.reason
    return release.records(sa.select(reason, sa.func.count().label("rows")).group_by(reason).order_by(reason))
