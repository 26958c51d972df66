"""The ledger: what of the portal is in the warehouse, month by month and release by release, what a run is to do about it, and what is not
followed, until it recovers or somebody agrees.

Making a plan is `vanc311_pipeline.plan`, judging `warehouse.restraint`. Callers pass the connection; the transaction is theirs.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

from vanc311_pipeline.portal.contract import Release, Window
from vanc311_pipeline.portal.fingerprint import Fingerprint
from vanc311_pipeline.schema import (
    holds,
    month_ledger,
    plans,
    portal_months,
    portal_releases,
    publications,
    service_requests,
    shipments,
)
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.timezone import local_day
from vanc311_pipeline.warehouse import rows
from vanc311_pipeline.warehouse.engine import utc_now

ReleaseState = Literal["loading", "settled", "held"]
_NEWEST_FIRST: sa.UnaryExpression[int] = sa.literal_column("rowid").desc()


MonthRecord: TypeAlias = sa.Row[Any]
"""A line of `month_ledger`."""
KnownRelease: TypeAlias = sa.Row[Any]
"""A line of `portal_releases`."""


def months(connection: sa.Connection) -> dict[Window, MonthRecord]:
    return {Window(line.dataset, line.partition_month): line for line in connection.execute(sa.select(month_ledger))}


def rows_landed(connection: sa.Connection, dataset: str) -> int:
    """How many rows of a dataset we hold, quarantined ones included."""
    total = sa.select(sa.func.sum(month_ledger.c.rows_landed)).where(month_ledger.c.dataset == dataset)
    return connection.scalar(total) or 0


def unpublished_months(connection: sa.Connection) -> set[str]:
    """The months whose present rows were stored by a run that did not go on to publish them."""
    published = sa.select(publications.c.run_id)
    query = sa.select(month_ledger.c.partition_month).where(month_ledger.c.run_id.not_in(published))
    return set(connection.scalars(query))


def note_portal_months(
    connection: sa.Connection, releases: Collection[Release], answers: Mapping[Window, Fingerprint]
) -> None:
    """Write down what the portal says of each month of some datasets, in place of what it said before."""
    at, spoken_of = utc_now(), {release.dataset: release.data_processed for release in releases}
    connection.execute(sa.delete(portal_months).where(portal_months.c.dataset.in_(spoken_of)))
    lines = [(*astuple(window), *astuple(each), spoken_of[window.dataset], at) for window, each in answers.items()]
    rows.insert(connection, portal_months, lines)


def portal_lines(connection: sa.Connection) -> dict[Window, sa.Row[Any]]:
    return {Window(line.dataset, line.partition_month): line for line in connection.execute(sa.select(portal_months))}


def portal_answers(connection: sa.Connection, releases: Collection[Release]) -> dict[Window, Fingerprint]:
    """The portal's own answer about each window, if it spoke of these releases."""
    spoken_of = {(release.dataset, release.data_processed) for release in releases}
    return {
        window: Fingerprint(line.rows, line.closed, line.latest_change, line.fingerprint)
        for window, line in portal_lines(connection).items()
        if (line.dataset, line.data_processed) in spoken_of
    }


def last_release(connection: sa.Connection, dataset: str) -> KnownRelease | None:
    """The release of a dataset that we dealt with last."""
    query = sa.select(portal_releases).where(portal_releases.c.dataset == dataset).order_by(_NEWEST_FIRST).limit(1)
    return connection.execute(query).first()


def once_whole(connection: sa.Connection) -> set[str]:
    """The datasets of which we once held all that the portal had, whatever became of that release later; not if that was nothing."""
    table = portal_releases
    query = sa.select(table.c.dataset).where(table.c.settled_at.is_not(None), table.c.records_count > 0)
    return set(connection.scalars(query))


def note_release(connection: sa.Connection, release: Release | KnownRelease, state: ReleaseState, run_id: str) -> None:
    """Write down what became of a release, as the newest line: `last_release` goes by the order of writing."""
    table = portal_releases
    key = {name: getattr(release, name) for name in ("dataset", "data_processed", "records_count")}
    same = sa.and_(*(table.c[name] == value for name, value in key.items()))
    now = utc_now()
    settled_at = connection.scalar(sa.select(table.c.settled_at).where(same)) or (now if state == "settled" else None)
    connection.execute(sa.delete(table).where(same))
    line = key | {"state": state, "seen_at": now, "run_id": run_id, "settled_at": settled_at}
    connection.execute(sa.insert(table).values(line))


def last_publication(connection: sa.Connection) -> sa.Row[Any] | None:
    return connection.execute(sa.select(publications).order_by(_NEWEST_FIRST).limit(1)).first()


def was_published(connection: sa.Connection, sha256: str) -> bool:
    """Whether a file with this digest was ever published, here or by another pipeline that works on this warehouse."""
    return bool(connection.scalar(sa.select(sa.exists().where(publications.c.sha256 == sha256))))


def is_shipped(connection: sa.Connection, target: str) -> bool:
    """Whether what was published last, if anything, was also shipped to a store."""
    published = last_publication(connection)
    shipped = sa.select(shipments.c.sha256).where(shipments.c.target == target).order_by(_NEWEST_FIRST).limit(1)
    return published is None or connection.scalar(shipped) == published.sha256


def note_shipment(connection: sa.Connection, target: str, sha256: str, run_id: str) -> None:
    connection.execute(sa.insert(shipments).values(shipped_at=utc_now(), run_id=run_id, target=target, sha256=sha256))


def as_of(connection: sa.Connection) -> str:
    """The last whole local day in the record (docs/methods.md): the one before the release's, or, as a release that brought nothing new tells
    of no further day, that of the newest change. What bears an instant after the release is left out: it can't be right.
    """
    last = released_on(connection) - timedelta(days=1)
    newest = newest_change(connection)
    return str(min(last, local_day(newest)) if newest else last)


def released_on(connection: sa.Connection) -> date:
    """The local day of the release that rows came with last."""
    released = released_at(connection)
    if released is None:
        raise LookupError("The ledger knows no release yet: nothing was loaded.")
    return local_day(released)


def newest_change(connection: sa.Connection) -> str | None:
    """When a request was last opened or changed, by the release that rows came with last; None if there is none."""
    released = released_at(connection)
    if released is None:
        return None
    instants = [service_requests.c.modified_at, service_requests.c.opened_at]
    query = sa.select(*(sa.func.max(instant).filter(instant <= released) for instant in instants))
    newest = ""
    for latest, month in _latest_by_month(connection):
        if latest <= newest:  # what other months hold is older
            break
        values = connection.execute(query.where(service_requests.c.partition_month == month)).one()
        newest = max(newest, *(value or "" for value in values))
    return newest or None


def _latest_by_month(connection: sa.Connection) -> list[tuple[str, str]]:
    """Of each month what no instant in it is after, latest first: its end, or what the portal last changed of it."""
    changed = sa.func.coalesce(sa.func.max(month_ledger.c.latest_change), "")
    query = sa.select(changed, month_ledger.c.partition_month).group_by(month_ledger.c.partition_month)
    return sorted(((max(latest, f"{month}~"), month) for latest, month in connection.execute(query)), reverse=True)


def released_at(connection: sa.Connection) -> str | None:
    """The release that rows came with last, by the order of writing: one wrong instant among the portal's would outlive it."""
    newest: str | None = connection.scalar(
        sa.select(portal_releases.c.data_processed)
        .where(portal_releases.c.dataset == LIVE, portal_releases.c.state != "held")
        .order_by(_NEWEST_FIRST)
        .limit(1)
    ) or connection.scalar(sa.select(sa.func.max(month_ledger.c.data_processed)))
    return newest


KEPT_DAYS = 7
"""A run that is retried goes by its plan again; what is older is planned anew."""


@dataclass(frozen=True)
class Plan:
    """What to do about the portal's present state."""

    action: Literal["skip", "load"]
    why: str
    """One sentence for the tick, the run and the person."""
    releases: tuple[Release, ...]
    stale: Mapping[Window, str] = field(default_factory=dict)
    """The windows to load, with the portal's fingerprint of each; empty if they are read although they were landed."""
    reread: frozenset[Window] = frozenset()
    """Of these, the windows of the rolling refresh: their fingerprint has not moved."""
    answers: Mapping[Window, Fingerprint] = field(default_factory=dict)
    """What the portal says of each window of the datasets that were asked."""
    held: bool = False
    """Skipped because the release lost too much; not because all is well."""

    @property
    def months(self) -> list[str]:
        """The months to load, oldest first; `undated`, if it is among them, last."""
        return sorted({window.month for window in self.stale})

    @property
    def rows(self) -> int:
        """Rows in the stale windows, by the portal's count."""
        return sum(self.answers[window].rows for window in self.stale)


def write_plan(connection: sa.Connection, plan: Plan) -> str:
    """Write a plan down, and forget the old ones; its name, which is the same for the same plan. Dagster's tags can't hold one."""
    # Of the portal's clock the month only: a second later it is the same plan.
    releases = [(each.dataset, each.data_processed, each.records_count, each.last_month) for each in plan.releases]
    windows = [
        (window.dataset, window.month, digest, window in plan.reread) for window, digest in sorted(plan.stale.items())
    ]
    values = {"why": plan.why, "releases": json.dumps(releases), "windows": json.dumps(windows)}
    name = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]
    old = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).strftime("%Y-%m-%dT%H:%M:%SZ")
    connection.execute(sa.delete(plans).where(sa.or_(plans.c.name == name, plans.c.planned_at < old)))
    connection.execute(sa.insert(plans).values(name=name, planned_at=utc_now(), **values))
    return name


def find_plan(connection: sa.Connection, name: str) -> Plan | None:
    """The plan of that name; None if it was forgotten."""
    line = connection.execute(sa.select(plans).where(plans.c.name == name)).first()
    if line is None:
        return None
    windows = json.loads(line.windows)
    return Plan(
        "load",
        line.why,
        tuple(
            Release(dataset, at, rows, fields=(), answered_at=month)
            for dataset, at, rows, month in json.loads(line.releases)
        ),
        {Window(dataset, month): digest for dataset, month, digest, _ in windows},
        frozenset(Window(dataset, month) for dataset, month, _, reread in windows if reread),
    )


NAMED = 12
"""Months named in one sentence; all are counted."""
WHOLE = "all"
"""Stands where a month stands, for a dataset as a whole."""


@dataclass(frozen=True)
class Hold:
    """One line of `holds`, in the order of its columns: what of the portal is not followed, and why."""

    dataset: str
    month: str
    """Or `WHOLE`."""
    rows_before: int
    rows_now: int
    why: str
    data_processed: str
    held_since: str = ""
    """When it began; `hold` keeps what was written first."""

    @property
    def window(self) -> Window:
        return Window(self.dataset, self.month)

    def __str__(self) -> str:
        return f"{self.dataset if self.month == WHOLE else self.month}: {self.why}"


def accepts(consent: Collection[str], month: str) -> bool:
    """Whether somebody agreed to follow a month, or everything, wherever it leads."""
    return month in consent or WHOLE in consent


def advice(held: Sequence[Hold]) -> str:
    """What ends a hold."""
    months = dict.fromkeys(line.month for line in held)
    names = [WHOLE] if WHOLE in months or len(months) > NAMED else list(months) or [WHOLE]
    return (
        "Wait for the portal to recover, or accept it: vanc311 sync "
        f"{' '.join(f'--accept-shrink {name}' for name in names)}"
    )


def held(connection: sa.Connection) -> list[Hold]:
    query = sa.select(holds).order_by(holds.c.partition_month, holds.c.dataset)
    return [Hold(*row) for row in connection.execute(query)]


def hold(connection: sa.Connection, lines: Sequence[Hold], judged: Collection[str] = ()) -> None:
    """Note what is not followed. A hold that goes on keeps its beginning; the others of datasets judged as a whole are over."""
    since = {line.window: line.held_since for line in held(connection)}
    last = {line.window: replace(line, held_since=since.get(line.window, utc_now())) for line in lines}
    for window in [*since]:
        if window in last or window.dataset in judged:
            lift(connection, window)
    rows.insert(connection, holds, [astuple(line) for line in last.values()])


def lift(connection: sa.Connection, window: Window) -> None:
    where = holds.c.dataset == window.dataset, holds.c.partition_month == window.month
    connection.execute(sa.delete(holds).where(*where))
