"""The audit of the briefs: each number of the newest ones, counted again from the requests by SQL of its own."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.schema import briefs, service_requests
from vanc311_pipeline.settings import STATIC_BEFORE
from vanc311_pipeline.warehouse import ledger
from vanc311_pipeline.warehouse.audits.questions import Finding, audit
from vanc311_pipeline.warehouse.briefs import basis_of
from vanc311_pipeline.warehouse.rows import Row, fetch

_LEFT = "CASE WHEN closed_on < opened_on THEN opened_on ELSE closed_on END"
_CLOSED = "status = 'Close' AND (days_to_close IS NOT NULL OR closed_on < opened_on)"
_OF_SUBSTANCE = " OR ".join(
    f"after LIKE '%\"{name}\":%'" for name in ("status", "closed_on", "closure_reason", "local_area")
)
_FOLLOWED = f"""
    open_month = :before AND opened_on >= '{STATIC_BEFORE}' AND julianday(:as_of) - julianday(opened_on) >= 30
    AND NOT coalesce(status = 'Close' AND days_to_close IS NULL, false)
"""
_SUMS = ", ".join(
    f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"
    for condition in (
        "opened_on BETWEEN :days_from AND :days_to",
        "opened_on BETWEEN :year_before_from AND :year_before_to",
        f"{_LEFT} BETWEEN :days_from AND :days_to AND {_CLOSED}",
        f"{_LEFT} BETWEEN :year_before_from AND :year_before_to AND {_CLOSED}",
        "opened_on BETWEEN :year_before_from AND :days_to",
        "open_month = :month",
        _FOLLOWED,
        f"{_FOLLOWED} AND days_to_close <= 30 AND closed_on <= :as_of",
    )
)
_LIMITS = """
    WITH limits AS (
        SELECT issue_type, coalesce(max(CASE WHEN period = 'last_12_months' THEN p90_days END), max(p90_days)) AS days
        FROM time_to_close WHERE level = 'issue' AND scope = 'all' AND period IN ('all', 'last_12_months') GROUP BY issue_type
    )
"""
_COUNTED = {
    "flows": f"""
        SELECT department, local_area, open_month, CASE WHEN {_CLOSED} THEN substr({_LEFT}, 1, 7) WHEN status = 'Open' THEN 'open' END,
               count(*)
        FROM service_requests GROUP BY 1, 2, 3, 4
    """,
    "types": f"""
        SELECT department, local_area, issue_type, {_SUMS} FROM service_requests
        WHERE opened_on >= :year_before_from OR closed_on >= :year_before_from OR open_month IN (:before, :month) GROUP BY 1, 2, 3
    """,
    "waiting": f"""
        {_LIMITS}
        SELECT department, local_area, CASE WHEN days IS NULL THEN 'not judged'
               WHEN julianday(:as_of) - julianday(opened_on) > days THEN coalesce('overdue at ' || address, 'overdue') ELSE 'in time' END,
               count(*)
        FROM service_requests LEFT JOIN limits USING (issue_type) WHERE status = 'Open' GROUP BY 1, 2, 3
    """,
    "record": f"""
        SELECT log.department, coalesce(stored.local_area, areas.local_area),
               CASE WHEN kind <> 'edited' THEN 'n_' || kind WHEN {_OF_SUBSTANCE} THEN 'n_corrected' ELSE 'n_clerical' END, count(*)
        FROM request_changes AS log LEFT JOIN service_requests AS stored USING (request_id)
             LEFT JOIN local_areas AS areas ON kind = 'vanished' AND before LIKE '%"local_area": "' || areas.local_area || '"%'
        WHERE substr(data_processed, 1, 7) = :month AND kind IN ('vanished', 'relabelled', 'reopened', 'edited') GROUP BY 1, 2, 3
    """,
}
"""Of each department and area: what is counted, by what."""
_RECOUNTED = {"soon": {"n_30", "within_30"}, "year": {"requests", "requests_year_before"}}
"""Where not every column is: what is estimated is for the statistics' own audits."""
_WHOLE_SPAN, _IN_MONTH, _NONE = 4, 5, (0,) * 8  # places among the sums of a type
_CORRECTED = ("n_vanished", "n_relabelled", "n_reopened", "n_corrected", "n_clerical")
Cell = tuple[str, str | None]
_STANDING = """
    SELECT local_area, issue_type, q_value, verdict FROM year_on_year
    WHERE measure = 'opened' AND state = 'ok'
          AND ((level = 'issue' AND scope = 'all') OR (level = 'hyper_local' AND scope = 'located'))
"""


@audit("briefs", "facts_recomputed_agree")
def facts_recomputed(connection: sa.Connection) -> Finding:
    """Each number of the newest briefs, counted again another way from the requests, is the same.

    Those of an earlier state of the record can't be: it is gone.
    """
    newest = connection.scalar(sa.select(sa.func.max(briefs.c.month)))
    about = briefs.c.month == newest, briefs.c.basis == basis_of(connection) if newest else sa.false()
    lines = connection.execute(sa.select(briefs).where(*about).order_by(briefs.c.brief_id)).all()
    if not lines:
        return Finding(counts={"briefs": 0})
    again = _Again(connection, lines[0])
    problems = [
        f"{line.month} {line.address}: {name} is {stated}, the requests give {counted}"
        for line in lines
        for name, stated, counted in again.differing(line)
    ]
    return Finding(problems, counts={"briefs": len(lines)})


class _Again:
    """All that the briefs say, counted again, by department and area."""

    def __init__(self, connection: sa.Connection, line: sa.Row[Any]) -> None:
        facts = json.loads(line.facts)
        self.months = list[str](facts["months"]["where"]["month"])
        opened = dict(zip(facts["year"]["columns"], facts["year"]["rows"][-1], strict=True))
        values = {name: day for name, day in opened.items() if name.endswith(("_from", "_to"))}
        values |= {"as_of": ledger.as_of(connection), "month": line.month, "before": self.months[-2]}
        self.counts: dict[str, dict[Cell, list[Row]]] = {}
        for name, query in _COUNTED.items():
            used = {key: value for key, value in values.items() if f":{key}" in query}
            self.counts[name] = defaultdict(list)
            for department, area, *counted in fetch(connection, query, **used):
                self.counts[name][department, area].append(tuple(counted))
        self.cells = {cell for cells in self.counts.values() for cell in cells}
        self.first_month = min((month for rows in self.counts["flows"].values() for month, *_ in rows), default="")
        self.since = connection.scalar(sa.select(sa.func.min(service_requests.c.opened_on))) or ""
        self.year_before_from = opened["year_before_from"]
        self.standing = list(fetch(connection, _STANDING))
        shares = defaultdict[str, Counter[str]](Counter)
        for (department, _), rows in self.counts["types"].items():
            for issue, *sums in rows:
                shares[issue][department] += sums[_WHOLE_SPAN]
        self.responsible = {issue: min(of, key=lambda each: (-of[each], each)) for issue, of in shares.items()}

    def differing(self, line: sa.Row[Any]) -> Iterator[tuple[str, Any, Any]]:
        """The facts of a brief that are not what the requests give."""
        facts = json.loads(line.facts)
        for name, counted in self._counted(line):
            columns, stated = facts[name]["columns"], facts[name]["rows"]
            kept = [place for place, column in enumerate(columns) if column in _RECOUNTED.get(name, columns)]
            rows = [tuple(row[place] for place in kept) for row in stated]
            if rows != counted:
                yield name, rows, counted

    def _months(self, flows: Iterable[Row]) -> Iterator[Row]:
        """Of each month what came, what went, and what was open at its end: had come, and had not gone."""
        came, went, pile = Counter[str](), Counter[str](), Counter[str]()
        for opened, left, number in flows:
            came[opened] += number
            if left is not None:
                pile[opened] += number
            if left not in (None, "open"):
                went[left] += number
        pile.subtract(went)
        for month in self.months:
            if month >= self.first_month:
                yield month, came[month], went[month], sum(number for each, number in pile.items() if each <= month)

    def _counted(self, line: sa.Row[Any]) -> Iterator[tuple[str, list[Row]]]:
        own = [cell for cell in self.cells if _belongs(line.kind, line.name, *cell)]
        rows = {name: [row for cell in own for row in of.get(cell, ())] for name, of in self.counts.items()}
        yield "months", list(self._months(rows["flows"]))
        types = _added(rows["types"])
        yield "types", _most({issue: sums[_IN_MONTH] for issue, sums in types.items() if sums[_IN_MONTH]})
        waiting, streets, late = _counts(rows["waiting"]), Counter[str](), "overdue at "
        for what, number in waiting.items():
            if what.startswith(late):
                streets.update(dict.fromkeys(_streets(what.removeprefix(late)), number))
        located = sum(number for what, number in waiting.items() if what.startswith(late))
        yield (
            "open",
            [(waiting.total(), waiting.total() - waiting["not judged"], waiting["overdue"] + located, located)],
        )
        yield "streets", _most(streets)
        record = _counts(rows["record"])
        yield "record", [tuple(record[name] for name in _CORRECTED)]
        if line.kind != "group":
            now, before, gone, gone_before, _, _, followed, within = (
                sum(each) for each in zip(_NONE, *types.values(), strict=True)
            )
            known = self.since <= self.year_before_from
            yield "year", [(gone, gone_before if known else None), (now, before if known else None)]
            if self.months[-2] >= self.first_month:
                yield "soon", [(followed, within)]
        standing = [
            (issue, *types.get(issue, _NONE)[:2], *judged)
            for area, issue, *judged in self.standing
            if area == (line.name if line.kind == "area" else None)
            and (line.kind in ("city", "area") or _belongs(line.kind, line.name, self.responsible[issue], None))
        ]
        changed = [row for row in standing if row[4] in ("more", "fewer") and row[3] <= 0.05]
        yield "judged", [(len(standing), len(changed))]
        yield "changed", sorted(changed, key=lambda row: (-abs(row[1] - row[2]), row[0]))[:5]


def _belongs(kind: str, name: str, department: str, area: str | None) -> bool:
    """Whether a brief is about the requests of a department and area."""
    of = {"city": True, "area": area == name, "department": department == name}
    return of.get(kind, department.startswith(f"{name.upper()} - "))


def _counts(rows: Iterable[Row]) -> Counter[str]:
    return Counter({what: numbers[0] for what, numbers in _added(rows).items()})


def _added(rows: Iterable[Row]) -> dict[str, list[int]]:
    """Rows that begin alike as one, their numbers added up."""
    sums: dict[str, list[int]] = {}
    for what, *numbers in rows:
        sums[what] = [one + other for one, other in zip(sums.get(what, [0] * len(numbers)), numbers, strict=True)]
    return sums


def _most(counts: Mapping[str, int]) -> list[Row]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:5]


def _streets(address: str) -> list[str]:
    """The streets of 1946 YORK AV, 1800 to 1800 TRIUMPH ST and 1900 MAIN ST and E 2ND AV, word by word."""
    first, *others = address.split(" and ", 1)
    words = first.split(" ")
    while len(words) > 1 and (words[0] == "to" or words[0].rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ").isdigit()):
        words = words[1:]
    return [" ".join(words), *others]
