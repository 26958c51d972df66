"""The briefs of months: what their sheets say, read once from the statistics and the requests, and kept for good.

A month has its briefs as soon as late entries no longer move it (`monthly_series.provisional`): of the city, each area, each department
and each group of departments. Only the newest such month is made, and only of a whole record: what was published of an older one at its
time can't be known any more. How a brief reads is not here (`dashboard.briefs`). Callers pass the connection and its transaction.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.metric_definitions import DEFINITIONS_VERSION, State
from vanc311_pipeline.months import months_before
from vanc311_pipeline.reading.labels import group_of, slug
from vanc311_pipeline.reading.places import streets_of
from vanc311_pipeline.schema import (
    accepted_losses,
    briefs,
    corrections,
    flow,
    monthly_series,
    portal_releases,
    request_changes,
    service_requests,
    time_to_close,
    year_on_year,
)
from vanc311_pipeline.settings import LIVE
from vanc311_pipeline.warehouse import drafts, ledger, vintages
from vanc311_pipeline.warehouse.engine import utc_now
from vanc311_pipeline.warehouse.rows import insert

LISTED = 5
MONTHS = 13
Q_AT_MOST = 0.05
"""Of what is listed as changed, so large a share may be chance."""
Fact = dict[str, Any]
"""Numbers, and where they stand: table, condition, columns, rows."""
Cell = tuple[str, str | None]
"""A department and an area, if there is one: what the subjects are made of."""
Key = tuple[str, str | None]
"""A level and a name, if it has one: by which a table of statistics has a subject's rows."""

_LEVELS = {"city": ("citywide", "all"), "area": ("neighbourhood", "located"), "department": ("department", "all")}
_NAMES = {"area": "local_area", "department": "department"}
_MONTH = ("opened", "closed_in", "open_at_end")
_SOON = ("n_30", "within_30", "share_30", "share_30_low", "share_30_high", "share_30_state")
_YEAR = (
    "measure", "days_from", "days_to", "year_before_from", "year_before_to", "requests", "requests_year_before", "change_on_year",
    "noise_band", "q_value", "state", "verdict",
)  # fmt: skip
_CHANGED = ("issue_type", "requests", "requests_year_before", "q_value", "verdict")
_FLOW = (
    "weeks_from", "weeks_to", "opened", "closed_in", "net", "backlog_start", "backlog_end", "backlog_year_before", "years",
    "net_low", "net_high", "flow", "labels_in_backtest", "weeks_in_backtest",
)  # fmt: skip
CORRECTED = ("n_vanished", "n_relabelled", "n_reopened", "n_corrected", "n_clerical")


@dataclass(frozen=True)
class Subject:
    """Whom a brief is about."""

    kind: str
    name: str
    address: str

    def holds(self, department: str, area: str | None) -> bool:
        """Whether requests of a department and an area are its own."""
        match self.kind:
            case "area":
                return area == self.name
            case "department":
                return department == self.name
            case "group":
                return group_of(department) == self.name
        return True


def write_briefs(connection: sa.Connection, run_id: str) -> int:
    """Write the briefs of the newest settled month, unless it has some or the record is not whole; how many were written."""
    month = settled_month(connection)
    if month is None or not _is_whole(connection) or _has(connection, month):
        return 0
    reading = _Reading(connection, month)
    first = (connection.scalar(sa.select(sa.func.max(briefs.c.brief_id))) or 0) + 1
    about = (
        utc_now(), reading.as_of, ledger.released_at(connection), DEFINITIONS_VERSION, basis_of(connection), run_id,
    )  # fmt: skip
    lines = [
        (number, month, each.kind, each.name, each.address, json.dumps(reading.facts(each), ensure_ascii=False), *about)
        for number, each in enumerate(reading.subjects, first)
    ]
    insert(connection, briefs, lines)
    drafts.begin(connection, briefs, first)
    return len(lines)


def settled_month(connection: sa.Connection) -> str | None:
    """The newest month that late entries no longer move."""
    of = monthly_series.c
    city = of.level == "citywide", of.scope == "all", of.provisional == "no"
    newest: str | None = connection.scalar(sa.select(sa.func.max(of.month)).where(*city))
    return newest


def basis_of(connection: sa.Connection) -> str:
    """A digest of all that facts are made from: the record, the rules, the log, and up to which day the statistics count."""
    as_of = ledger.as_of(connection)
    last_change = connection.scalar(sa.select(sa.func.max(request_changes.c.change_id)))
    settled = connection.scalar(sa.select(sa.func.max(year_on_year.c.days_to)))
    about = [as_of, vintages.basis(connection), last_change, settled]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]


def _is_whole(connection: sa.Connection) -> bool:
    """Whether all that the portal has is here, and nothing of it is held."""
    release = ledger.last_release(connection, LIVE)
    landed = ledger.rows_landed(connection, LIVE)
    return release is not None and landed == release.records_count and not ledger.held(connection)


def _has(connection: sa.Connection, month: str) -> bool:
    return bool(connection.scalar(sa.select(sa.exists().where(briefs.c.month == month))))


def fact(table: sa.Table, columns: Sequence[str], rows: Iterable[Iterable[Any]], **where: Any) -> Fact:
    """Numbers, and the table, the condition, the columns and the rows that they were read from."""
    return {"table": table.name, "where": where, "columns": [*columns], "rows": [list(row) for row in rows]}


class _Reading:
    """All that the briefs of a month are made of, read table by table, once for all of them."""

    def __init__(self, connection: sa.Connection, month: str) -> None:
        self.connection, self.month = connection, month
        self.as_of = ledger.as_of(connection)
        self.shown = [months_before(month, number) for number in range(MONTHS - 1, -1, -1)]

    def facts(self, subject: Subject) -> dict[str, Fact]:
        facts = {
            "months": self._months_of(subject),
            "types": self._types_of(subject),
            "judged": self._judged_of(subject),
            "changed": self._changed_of(subject),
            "open": self._open_of(subject),
            "streets": self._streets_of(subject),
            "record": self._record_of(subject),
            "releases": self._releases,
        }
        if subject.kind != "group":
            key, condition, before = self._key(subject), self._condition(subject), self.shown[-2]
            soon = [values[len(_MONTH) :] for month, values in self._series[key].items() if month == before]
            facts["soon"] = fact(monthly_series, _SOON, soon, **condition, month=before)
            facts["year"] = fact(year_on_year, _YEAR, self._years[key], **condition)
            facts["flow"] = fact(flow, _FLOW, self._flows[key], **condition)
        return facts

    # -- whom

    @cached_property
    def subjects(self) -> list[Subject]:
        """The city, then all areas, and the departments that had anything to do in the months shown, and their groups."""
        areas = sorted(name for level, name in self._series if level == "neighbourhood" and name)
        departments = sorted(
            name
            for (level, name), months in self._series.items()
            if level == "department" and name and any(any(values[: len(_MONTH)]) for values in months.values())
        )
        groups = sorted({letters for each in departments if (letters := group_of(each))})
        named = [
            ("city", "", "city"),
            *(("area", name, slug("area", name)) for name in areas),
            *(("group", letters, letters) for letters in groups),
            *(("department", name, slug("department", name)) for name in departments),
        ]
        subjects: dict[str, Subject] = {}
        for kind, name, address in named:
            only = f"{kind}-{address}" if address in subjects else address
            subjects[only] = Subject(kind, name, only)
        return [*subjects.values()]

    @staticmethod
    def _key(subject: Subject) -> Key:
        return _LEVELS[subject.kind][0], subject.name or None

    @staticmethod
    def _condition(subject: Subject) -> dict[str, Any]:
        """The condition by which a table of statistics has a subject's rows."""
        if subject.kind == "group":
            return {"level": "department", "scope": "all", "group": subject.name}
        level, scope = _LEVELS[subject.kind]
        return {"level": level, "scope": scope} | ({_NAMES[subject.kind]: subject.name} if subject.name else {})

    def _by_subject(
        self, table: sa.Table, columns: Sequence[str], *where: sa.ColumnElement[bool]
    ) -> Iterator[tuple[Key, list[Any]]]:
        """The rows of a table of statistics that are about a subject, by its level and name."""
        name = sa.func.coalesce(table.c.local_area, table.c.department)
        about = sa.tuple_(table.c.level, table.c.scope).in_([*_LEVELS.values()])
        query = sa.select(table.c.level, name, *(table.c[each] for each in columns)).where(about, *where)
        for level, named, *values in self.connection.execute(query.order_by(*(table.c[each] for each in columns[:2]))):
            yield (level, named), values

    # -- what came, what went, what is open

    @cached_property
    def _series(self) -> Mapping[Key, dict[str, list[Any]]]:
        series = defaultdict[Key, dict[str, list[Any]]](dict)
        columns = ("month", *_MONTH, *_SOON)
        for subject, (month, *values) in self._by_subject(
            monthly_series, columns, monthly_series.c.month.in_(self.shown)
        ):
            series[subject][month] = values
        return series

    def _months_of(self, subject: Subject) -> Fact:
        """The 13 months up to the brief's: of a group the sums of its departments; months before the record lack."""
        keys: list[Key] = (
            [self._key(subject)]
            if subject.kind != "group"
            else [key for key in self._series if key[0] == "department" and subject.holds(str(key[1]), None)]
        )
        own = [self._series[key] for key in keys]
        rows = [
            (month, *map(sum, zip(*(months[month][: len(_MONTH)] for months in own), strict=True)))
            for month in self.shown
            if month in own[0]
        ]
        return fact(monthly_series, ("month", *_MONTH), rows, **self._condition(subject), month=self.shown)

    @cached_property
    def _types(self) -> dict[Cell, Counter[str]]:
        of = service_requests.c
        columns = of.department, of.local_area, of.issue_type
        types = defaultdict[Cell, Counter[str]](Counter)
        query = sa.select(*columns, sa.func.count()).where(of.open_month == self.month).group_by(*columns)
        for department, area, issue, number in self.connection.execute(query):
            types[department, area][issue] += number
        return types

    def _types_of(self, subject: Subject) -> Fact:
        types = _merged(self._types, subject)
        most = sorted(types.items(), key=lambda each: (-each[1], each[0]))[:LISTED]
        return fact(service_requests, ("issue_type", "requests"), most, **_own(subject), open_month=self.month)

    # -- what changed beyond chance

    @cached_property
    def _years(self) -> Mapping[Key, list[list[Any]]]:
        return _grouped(self._by_subject(year_on_year, _YEAR))

    @cached_property
    def _flows(self) -> Mapping[Key, list[list[Any]]]:
        return _grouped(self._by_subject(flow, _FLOW))

    @cached_property
    def _compared(self) -> list[sa.Row[Any]]:
        """Each issue type, of the city and of each area, that can be compared with a year before."""
        of = year_on_year.c
        about = sa.tuple_(of.level, of.scope).in_([("issue", "all"), ("hyper_local", "located")])
        columns = of.local_area, *(of[name] for name in _CHANGED)
        query = sa.select(*columns).where(about, of.measure == "opened", of.state == State.OK)
        return list(self.connection.execute(query.order_by(of.local_area, of.issue_type)))

    @cached_property
    def _responsible(self) -> dict[str, str]:
        """The department that got most of each type's requests of the two spans that are compared and of what lies between."""
        of = service_requests.c
        [row, *_] = self._years["citywide", None]
        since, until = row[_YEAR.index("year_before_from")], row[_YEAR.index("days_to")]
        number = sa.func.count()
        query = sa.select(of.issue_type, of.department, number).where(of.opened_on >= since, of.opened_on <= until)
        rows = self.connection.execute(
            query.group_by(of.issue_type, of.department).order_by(number, of.department.desc())
        )
        return {issue: department for issue, department, _ in rows}

    def _compared_of(self, subject: Subject) -> list[list[Any]]:
        if subject.kind == "area":
            return [[*row[1:]] for row in self._compared if row[0] == subject.name]
        types: list[list[Any]] = [[*row[1:]] for row in self._compared if row[0] is None]
        if subject.kind == "city":
            return types
        return [each for each in types if subject.holds(self._responsible.get(each[0], ""), None)]

    def _changed_of(self, subject: Subject) -> Fact:
        """Of those that changed beyond chance the largest differences."""
        changed = sorted(
            filter(_stands_out, self._compared_of(subject)), key=lambda row: (-abs(row[1] - row[2]), row[0])
        )
        level, scope = ("hyper_local", "located") if subject.kind == "area" else ("issue", "all")
        own = {"local_area": subject.name} if subject.kind == "area" else {}
        return fact(year_on_year, _CHANGED, changed[:LISTED], level=level, scope=scope, measure="opened", **own)

    def _judged_of(self, subject: Subject) -> Fact:
        """How many types could be compared, and how many of them changed beyond chance."""
        compared = self._compared_of(subject)
        days = dict(zip(_YEAR, self._years["citywide", None][0], strict=True))
        condition = _own(subject) | {"measure": "opened", "state": "ok", "q_at_most": Q_AT_MOST}
        condition |= {name: days[name] for name in ("days_from", "days_to")}
        return fact(year_on_year, ("types", "changed"), [(len(compared), sum(map(_stands_out, compared)))], **condition)

    # -- what is overdue

    @cached_property
    def _waiting(self) -> dict[Cell, Counter[tuple[str, str]]]:
        """The open requests: all, those whose type is judged, those overdue, and of these those with a street, and their streets."""
        of, limits, waiting = service_requests.c, self._limits, defaultdict[Cell, Counter[tuple[str, str]]](Counter)
        query = sa.select(of.department, of.local_area, of.issue_type, of.opened_on, of.address).where(
            of.status == "Open"
        )
        for department, area, issue, opened_on, address in self.connection.execute(query):
            counts, overdue = waiting[department, area], opened_on < limits.get(issue, "")
            counts["all", "open"] += 1
            counts["all", "judged"] += issue in limits
            counts["all", "overdue"] += overdue
            streets = dict.fromkeys(street for street in streets_of(address) if street) if overdue else {}
            counts["all", "located"] += bool(streets)
            for street in streets:
                counts["street", street] += 1
        return waiting

    @cached_property
    def _limits(self) -> dict[str, str]:
        """By type the day before which what is open was opened if it is overdue: nine in ten took no longer (as in `overdue_limits`)."""
        of = time_to_close.c
        about = (
            of.level == "issue",
            of.scope == "all",
            of.period.in_(["all", "last_12_months"]),
            of.p90_days.is_not(None),
        )
        rows = self.connection.execute(sa.select(of.issue_type, of.p90_days).where(*about).order_by(of.period))
        return {issue: str(date.fromisoformat(self.as_of) - timedelta(days=days)) for issue, days in rows}

    def _open_of(self, subject: Subject) -> Fact:
        counts = _merged(self._waiting, subject)
        columns = ("open", "judged", "overdue", "located")
        return fact(
            service_requests, columns, [[counts["all", name] for name in columns]], **_own(subject), status="Open"
        )

    def _streets_of(self, subject: Subject) -> Fact:
        counts = _merged(self._waiting, subject)
        streets = sorted((-number, name) for (what, name), number in counts.items() if what == "street")
        rows = [(name, -number) for number, name in streets[:LISTED]]
        return fact(service_requests, ("street", "overdue"), rows, **_own(subject), status="Open")

    # -- what the city changed in the record

    @cached_property
    def _corrections(self) -> dict[Cell, Counter[str]]:
        """The changes that the month's releases brought, by their kind as in `corrections`."""
        log, stored, counts = request_changes.c, service_requests.c, defaultdict[Cell, Counter[str]](Counter)
        month = log.data_processed >= self.month, log.data_processed < f"{self.month}~", log.kind.in_(_KINDS)
        table = request_changes.outerjoin(service_requests, stored.request_id == log.request_id)
        query = sa.select(log.kind, log.department, stored.local_area, log.before, log.after).select_from(table)
        for kind, department, area, before, after in self.connection.execute(query.where(*month)):
            changed = json.loads(after or before or "{}")
            if kind == "vanished":
                area = changed.get("local_area")
            of_substance = not _OF_SUBSTANCE.isdisjoint(changed)
            counts[department, area][_KINDS[kind][not of_substance]] += 1
        return counts

    def _record_of(self, subject: Subject) -> Fact:
        counts = _merged(self._corrections, subject)
        table = request_changes if subject.kind == "area" else corrections
        return fact(table, CORRECTED, [[counts[name] for name in CORRECTED]], **_own(subject), release_month=self.month)

    @cached_property
    def _releases(self) -> Fact:
        """How many releases of the month we saw, how many of them were not followed, and how often a loss was followed by consent."""
        of, log = portal_releases.c, accepted_losses.c
        within = of.data_processed >= self.month, of.data_processed < f"{self.month}~", of.dataset == LIVE
        number = sa.func.count(of.data_processed.distinct())
        seen = self.connection.scalar(sa.select(number).where(*within))
        held = self.connection.scalar(sa.select(number).where(*within, of.state == "held"))
        accepted = sa.select(sa.func.count()).where(log.accepted_at >= self.month, log.accepted_at < f"{self.month}~")
        counts = (seen, held, self.connection.scalar(accepted))
        return fact(portal_releases, ("seen", "held", "accepted"), [counts], dataset=LIVE, month=self.month)


_OF_SUBSTANCE = {"status", "closed_on", "closure_reason", "local_area"}
_KINDS = {
    "vanished": ("n_vanished", "n_vanished"), "relabelled": ("n_relabelled", "n_relabelled"), "reopened": ("n_reopened", "n_reopened"),
    "edited": ("n_corrected", "n_clerical"),
}  # fmt: skip
"""How a kind of change is counted: if it is of substance, and if not."""


def _own(subject: Subject) -> dict[str, str]:
    """Which requests are a subject's."""
    return {_NAMES.get(subject.kind, "group"): subject.name} if subject.name else {}


def _stands_out(row: Sequence[Any]) -> bool:
    """Whether a row of `_CHANGED` tells of a change beyond chance, so many groups looked at."""
    return row[4] in ("more", "fewer") and row[3] <= Q_AT_MOST


def _merged(counts: Mapping[Cell, Counter[Any]], subject: Subject) -> Counter[Any]:
    together = Counter[Any]()
    for cell, some in counts.items():
        if subject.holds(*cell):
            together.update(some)
    return together


def _grouped(rows: Iterable[tuple[Key, list[Any]]]) -> Mapping[Key, list[list[Any]]]:
    by_subject = defaultdict[Key, list[list[Any]]](list)
    for subject, values in rows:
        by_subject[subject].append(values)
    return by_subject
