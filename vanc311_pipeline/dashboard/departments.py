"""What a department, or a group of them, has to do: what came in of each of its types, what is open, what is overdue."""

from collections.abc import Sequence

import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard.tables import Row, told
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.groups import Group, records_of_group
from vanc311_pipeline.reading.release import Question, Release
from vanc311_pipeline.schema import service_requests


def types(release: Release, labels: Sequence[str], period: str) -> list[Row]:
    """Each type whose newest request is one of theirs, those reported most first."""
    newest = dict(release.remembered("departments of types", _newest))
    group = Group("issue")
    rows = records_of_group(release, schema.time_to_close, group, scope="all", period=period)
    own = [row for row in rows if newest.get(row["issue_type"]) in labels]
    own.sort(key=lambda row: (-row["volume"], row["issue_type"]))
    return told(release, View(period=period), group, "all", own, [service_requests.c.department.in_(labels)])


def _newest() -> Question:
    """The department of each type's newest request: found by index, without a look at all requests."""
    request, issue = service_requests.c, schema.metrics_by_issue.c.issue_type
    last = (
        sa.select(request.department)
        .where(request.issue_type == issue)
        .order_by(request.opened_on.desc())
        .limit(1)
        .correlate(schema.metrics_by_issue)
        .scalar_subquery()
    )
    return sa.select(issue, last)


def summary(rows: Sequence[Row], period: str) -> str:
    """What the types come to, in one sentence."""
    volume, waiting = (sum(row[name] for row in rows) for name in ("volume", "open"))
    overdue = sum(row["overdue"] for row in rows if isinstance(row["overdue"], int))
    late = f"{words.whole(overdue)} of them {words.be(overdue)}" if overdue else "none of them is"
    return (
        f"{words.requests(volume)} {words.be(volume, 'was', 'were')} opened {words.period(period)}. "
        f"{words.requests(waiting)} {words.be(waiting)} open, and {late} overdue: open for longer than nine in ten of their type took."
    )
