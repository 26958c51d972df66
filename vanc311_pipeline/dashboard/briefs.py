"""The briefs of months as they read: sentences and tables from the facts that were kept with each, and from nothing else; and as a PDF.

What a brief says is what was published then: of its own numbers none is read anew.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from vanc311_pipeline.charts import words
from vanc311_pipeline.dashboard import numbers
from vanc311_pipeline.dashboard.feeds import TAG, Document, Entry, Feed, atom
from vanc311_pipeline.dashboard.requests import OVERDUE, RequestFilters
from vanc311_pipeline.dashboard.tables import Cell, Row, change_on_year, stands_out
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.metric_definitions import State
from vanc311_pipeline.reading.labels import group_name, plain
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import briefs

LONGEST = 70
"""Letters of a label that a sheet has room for."""
PAPERS = ("letter", "a4")
KINDS = {"city": "The city", "area": "Areas", "group": "Groups of departments", "department": "Departments"}
INSTALL = "pip install 'vanc311_pipeline[briefs]', and the system's packages libpango-1.0-0 and libpangoft2-1.0-0"
_POINTS = (10.0, 9.6, 9.2, 8.8, 8.4, 8.0, 7.6, 7.2, 6.8, 6.4)
"""Of the print, from the largest: the first that fills no more than one sheet is taken."""


class NoPdf(SettingsError):
    """What PDFs are made with isn't installed here."""

    def __init__(self) -> None:
        super().__init__(f"Briefs as PDF need WeasyPrint, which isn't installed here. Install it: {INSTALL}.")


@dataclass(frozen=True)
class Brief:
    """What was said of a month, and of the month before."""

    about: Row
    facts: Mapping[str, Mapping[str, Any]]
    earlier: Mapping[str, Mapping[str, Any]] | None

    @property
    def url(self) -> str:
        return f"/briefs/{self.about['month']}/{self.about['address']}"

    @property
    def month(self) -> str:
        return words.month(self.about["month"])

    @property
    def place(self) -> str:
        return short(name_of(self.about["kind"], self.about["name"]))

    @property
    def title(self) -> str:
        return f"{self.place} in {self.month}"

    @cached_property
    def months(self) -> list[Row]:
        """The months shown, the brief's own last."""
        return self._rows("months")

    def _rows(self, name: str) -> list[Row]:
        of = self.facts.get(name, {"columns": (), "rows": ()})
        return [dict(zip(of["columns"], row, strict=True)) for row in of["rows"]]

    def _row(self, name: str) -> Row | None:
        return next(iter(self._rows(name)), None)

    @property
    def own(self) -> Row:
        return self.months[-1]

    def before(self, months: int) -> Row | None:
        """The month so many before; None if the record did not reach back so far."""
        return self.months[-1 - months] if len(self.months) > months else None

    # -- the numbers at the head

    @property
    def boxes(self) -> list[tuple[str, str, str]]:
        """Label, number, and what it may be compared with."""
        waiting, own = self.waiting, self.own
        return [
            ("came in", words.whole(own["opened"]), self._then("opened", 12)),
            ("closed", words.whole(own["closed_in"]), self._then("closed_in", 12)),
            ("open at its end", words.whole(own["open_at_end"]), self._then("open_at_end", 1, 12)),
            ("overdue", words.whole(waiting["overdue"]), f"of {words.whole(waiting['open'])} open on {words.day(self.about['as_of'])}"),
        ]  # fmt: skip

    def _then(self, name: str, *months: int) -> str:
        earlier = [row for number in months if (row := self.before(number))]
        told = [f"{words.whole(row[name])} in {words.month(row['month'])}" for row in earlier]
        return ", ".join(told) or "the record does not reach back a year"

    # -- the sentences

    @property
    def sentences(self) -> list[str]:
        return [*self._came_and_went(), *self._on_year(), *self._within_30_days()]

    def _came_and_went(self) -> Iterator[str]:
        own = self.own
        came, went, waiting = (own[name] for name in ("opened", "closed_in", "open_at_end"))
        yield (
            f"{words.requests(came)} came in and {words.whole(went)} {words.be(went, 'was', 'were')} closed in {self.month}; "
            f"at its end {words.whole(waiting)} {words.be(waiting, 'was', 'were')} open."
        )
        if row := self._row("flow"):
            yield numbers.in_13_weeks(row, "open requests")

    def _on_year(self) -> Iterator[str]:
        """Against a year before, and where more or fewer may be chance, so many groups looked at, that it may."""
        for row in reversed(self._rows("year")):
            against = numbers.against_a_year_before(row)
            if row["verdict"] in ("more", "fewer") and not stands_out(row):
                against = f"{against.lstrip('▲▼ ')}; so many groups are compared that this may be chance"
            number, one, more = row["requests"], *_MEASURES[row["measure"]]
            yield (
                f"From {words.days_between(row['days_from'], row['days_to'])}, {words.requests(number)} {words.be(number, one, more)}: "
                f"{against}."
            )

    def _within_30_days(self) -> Iterator[str]:
        row = self._row("soon")
        if row and row["share_30_state"] == State.OK:
            share, low, high = (words.percent(row[f"share_30{end}"]) for end in ("", "_low", "_high"))
            month = words.month(self.facts["soon"]["where"]["month"])
            yield (
                f"Of {words.requests(row['n_30'])} opened in {month}, {share} were closed within 30 days "
                f"(95 % interval {low} to {high})."
            )

    # -- the tables, and what is said of each

    @property
    def types(self) -> list[Row]:
        came = self.own["opened"]
        return [
            self._linked(row) | {"share": Cell(words.percent(row["requests"] / came))} for row in self._rows("types")
        ]

    @property
    def changed(self) -> list[Row]:
        return [
            self._linked(row) | {"change": change_on_year(row | {"state": State.OK})} for row in self._rows("changed")
        ]

    @property
    def judged(self) -> str:
        [row] = self._rows("judged")
        of = {"area": "of the area", "city": "of the city"}.get(
            self.about["kind"], "of the city that are mostly theirs"
        )
        since, until = (self.facts["judged"]["where"][name] for name in ("days_from", "days_to"))
        compared = (
            f"{words.whole(row['types'])} {words.be(row['types'], 'type', 'types')} {of} with enough requests to compare from "
            f"{words.days_between(since, until)} and in the same four weeks a year before"
        )
        if not row["types"]:
            return "Nothing can be said: no type has enough requests to compare them with those of a year before."
        if not row["changed"]:
            return f"Nothing stands out. Of {compared}, none changed by more than years commonly differ (q ≤ 0.05)."
        first = "" if row["changed"] <= len(self.facts["changed"]["rows"]) else " The largest differences:"
        return f"Of {compared}, {words.whole(row['changed'])} changed by more than years commonly differ (q ≤ 0.05).{first}"

    @property
    def waiting(self) -> Row:
        [row] = self._rows("open")
        return row

    @property
    def streets(self) -> list[Row]:
        of = self.about
        asked = {"area": {"area": of["name"]}, "city": {}}.get(of["kind"], {"department": of["name"]})

        def linked(street: str) -> Cell:
            filters = RequestFilters(street=street, status="open", order="overdue", **asked)
            return Cell(short(plain("street", street)), filters.url, number=False)

        return [row | {"street": linked(row["street"])} for row in self._rows("streets")]

    @property
    def overdue(self) -> str:
        row = self.waiting
        judged, overdue, located = (
            f"{words.whole(row[name])} {words.be(row[name])}" for name in ("judged", "overdue", "located")
        )
        return (
            f"Of {words.requests(row['open'])} open on {words.day(self.about['as_of'])}, {judged} of a type that is judged and {overdue} "
            f"overdue: {OVERDUE}. It is no target of the city. "
            f"Of the overdue, {located} on a street by their address; a crossing counts for both."
        )

    @property
    def record(self) -> str:
        """What the city changed in its record, as the month's releases brought it."""
        [releases], [row] = self._rows("releases"), self._rows("record")
        if not releases["seen"]:
            return f"We saw none of the city’s releases of {self.month}: what changed in the record then is not known."
        told = [f"{words.whole(row[name])} {text}" for name, text in _CORRECTED.items() if row[name]]
        seen = f"The {words.whole(releases['seen'])} {words.be(releases['seen'], 'release', 'releases')} of {self.month} that we saw"
        held = (
            f" {words.whole(releases['held'])} of them {words.be(releases['held'], 'was', 'were')} held and not followed."
            if releases["held"]
            else ""
        )
        consent = (
            f" Losses were followed with consent: {words.whole(releases['accepted'])}." if releases["accepted"] else ""
        )
        return (
            f"{seen} changed earlier requests: {words.listed(told)}.{held}{consent}"
            if told
            else f"{seen} changed no earlier request.{held}{consent}"
        )

    @property
    def revised(self) -> str:
        """What has become of what the brief before said of its month."""
        last = self.before(1)
        if self.earlier is None or last is None:
            return "There is no brief of the month before to compare with."
        stated = dict(zip(self.earlier["months"]["columns"], self.earlier["months"]["rows"][-1], strict=True))
        moved = [
            f"{words.whole(stated[name])} {text}, now {words.whole(last[name])} ({words.change(last[name] - stated[name])})"
            for name, text in _SAID.items()
            if stated[name] != last[name]
        ]
        month = words.month(last["month"])
        return (
            f"The brief of {month} said: {words.listed(moved)}."
            if moved
            else f"What the brief of {month} said of its month still stands."
        )

    def _linked(self, row: Row) -> Row:
        view = View(area=self.about["name"] if self.about["kind"] == "area" else None, issue=row["issue_type"])
        return row | {"issue": Cell(short(plain("issue", row["issue_type"])), view.url, number=False)}

    @property
    def chart(self) -> Mapping[str, Any]:
        """The months as bars and a line, in a drawing of 1,300 by 220."""
        top = max(max(row[name] or 0 for name in _SAID) for row in self.months) or 1

        def y(number: int | None) -> int:
            return round(214 - 206 * (number or 0) / top)

        bars = [(100 * place, y(row["opened"]), y(row["closed_in"])) for place, row in enumerate(self.months)]
        line = " ".join(f"{100 * place + 50},{y(row['open_at_end'])}" for place, row in enumerate(self.months))
        return {"bars": bars, "line": line, "width": 100 * len(self.months)}


_MEASURES = {"opened": ("came in", "came in"), "closed_in": ("was closed", "were closed")}
_SAID = {"opened": "came in", "closed_in": "closed", "open_at_end": "open at its end"}
_CORRECTED = {
    "n_vanished": "vanished", "n_relabelled": "called otherwise", "n_reopened": "opened again",
    "n_corrected": "corrected in status, closing date, reason or area", "n_clerical": "edited otherwise",
}  # fmt: skip


def short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def name_of(kind: str, name: str) -> str:
    """Whom a brief is about, as people say it."""
    return {"city": "Vancouver", "area": name, "group": group_name(name)}.get(kind) or plain("department", name)


def brief_of(release: Release, month: str, address: str) -> Brief | None:
    row = _first(release, briefs.c.month == month, briefs.c.address == address)
    if row is None:
        return None
    facts = json.loads(row["facts"])
    same = briefs.c.kind == row["kind"], briefs.c.name == row["name"]
    earlier = _first(release, briefs.c.month == facts["months"]["where"]["month"][-2], *same)
    return Brief(row, facts, json.loads(earlier["facts"]) if earlier else None)


def _first(release: Release, *where: sa.ColumnElement[bool]) -> Row | None:
    """Of two of one month and address the first counts."""
    return release.row(sa.select(briefs).where(*where).order_by(briefs.c.brief_id))


def newest(release: Release, kind: str = "city", name: str = "", month: str | None = None) -> str | None:
    """The address of somebody's brief of that month, or of the newest that there is."""
    of = briefs.c
    where = of.kind == kind, of.name == name, of.month == month if month else sa.true()
    row = release.row(sa.select(of.month, of.address).where(*where).order_by(of.month.desc(), of.brief_id))
    return f"/briefs/{row['month']}/{row['address']}" if row else None


def listed(release: Release) -> list[tuple[str, dict[str, list[Row]]]]:
    """Every brief by month and kind, the newest month first."""
    of = briefs.c
    rows = release.records(sa.select(of.month, of.kind, of.name, of.address).order_by(of.month.desc(), of.brief_id))
    once = {(row["month"], row["address"]): row for row in reversed(rows)}
    by_month = groupby(reversed(once.values()), itemgetter("month"))
    return [
        (month, {kind: [*of_kind] for kind, of_kind in groupby(of_month, itemgetter("kind"))})
        for month, of_month in by_month
    ]


class BriefFeed(Feed):
    """The feed of new briefs."""

    id, title, list_url = f"{TAG}briefs", "Briefs of months · Vancouver 3-1-1", "/briefs"
    told = "Each month on one sheet: the city, its areas and its departments."

    def url(self, kind: str) -> str:
        return f"/briefs{kind}"


def feed(release: Release, site: str) -> bytes:
    """As Atom, with an entry for each month that has briefs: what the city's says, and where it is."""
    cities = [brief for month, _ in listed(release) if (brief := brief_of(release, month, "city"))]
    entries = [
        Entry(
            f"{TAG}{each.url[1:]}",
            f"Briefs of {each.month}",
            each.url,
            each.about["made_at"],
            " ".join(each.sentences),
            "brief",
        )
        for each in cities
    ]
    return atom(Document(BriefFeed(), entries, entries[0].updated if entries else release.about["published_at"]), site)


def pdf(sheet: str, paper: str) -> bytes:
    """A sheet as a tagged PDF of one page. It fetches nothing, neither from the network nor from the disk.

    Raises:
        NoPdf: what it is made with isn't installed.
    """
    try:
        from weasyprint import CSS, HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:  # the system's library is missing
        raise NoPdf from error

    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)  # else it tells of each rule that is for screens only

    class Nothing(URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: Any = None) -> Any:
            raise ValueError(f"A brief fetches nothing: {url}")

    for points in _POINTS:
        size = CSS(string=f"@page {{ size: {paper} }} html {{ font-size: {points}pt }}", url_fetcher=Nothing())
        document = HTML(string=sheet, url_fetcher=Nothing()).render(stylesheets=[size], pdf_variant="pdf/ua-1")
        if len(document.pages) == 1:
            break
    else:
        raise AssertionError("A brief does not fit one sheet: its tables or labels are longer than they may be.")
    return bytes(document.write_pdf(pdf_variant="pdf/ua-1"))
