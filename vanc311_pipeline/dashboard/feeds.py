"""Feeds of what moved: which there are, what stands in each, and the documents, Atom (RFC 4287) and JSON Feed 1.1, in pages (RFC 5005).

A feed is what one can subscribe to, and pages before it, the archive, which never change and have addresses that stay: who slept reads
back until the page that he knows. Of single changes, a page is of so many consecutive numbers of the log, whatever the feed is about; of
summaries, each of a day, it is of a week. What can be subscribed to has as much at least, so that it never begins anew between two looks.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from vanc311_pipeline.api.problems import Problem
from vanc311_pipeline.charts import words
from vanc311_pipeline.charts.figure import everywhere
from vanc311_pipeline.dashboard import requests
from vanc311_pipeline.dashboard.dossier import KINDS as SEEN
from vanc311_pipeline.dashboard.dossier import fields_of, moves
from vanc311_pipeline.dashboard.requests import RequestFilters, in_words
from vanc311_pipeline.dashboard.view import day_of
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading import changes
from vanc311_pipeline.reading.labels import plain, slug
from vanc311_pipeline.reading.names import UnknownName
from vanc311_pipeline.reading.pages import NoSuchPage
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import LICENCE, LICENCE_PAGE
from vanc311_pipeline.timezone import begin_of, local_day

TYPES = {".atom": "application/atom+xml", ".json": "application/feed+json"}
NARROWING = ("area", "issue", "department", "street", "address", "near", "radius", "bia")
CHANGES_OF_A_PAGE, CHANGES_OF_A_BUSY_PAGE = 2_500, 500
"""Of the log, of which a feed of a place or a problem has a part; one of everything, or of a department, has most."""
AT_LEAST = 20
"""So many entries has what can be subscribed to, if there are so many: of an address, the newest may be of long ago."""
COUNTED = {
    "opened": "reported", "closed": "closed", "reopened": "reopened", "edited": "edited", "relabelled": "renamed", "vanished": "vanished",
}  # fmt: skip
WEEK = timedelta(days=7)
DIGESTS = {"daily": ("day", timedelta(days=1)), "weekly": ("week", WEEK)}
NOT_FIXED = "Closed does not mean fixed."
TAG = "tag:vanc311.invalid,2026:"  # nobody can own this name, so nobody else gives such ids
_ATOM, _HISTORY = "http://www.w3.org/2005/Atom", "http://purl.org/syndication/history/1.0"


@dataclass(frozen=True)
class Feed:
    """Which changes: of which requests, or of the one of a thread; of which kinds; each, or in summaries; and which page of them."""

    requests: RequestFilters = field(default_factory=RequestFilters)
    thread: str | None = None
    kinds: tuple[str, ...] = ()
    digest: str | None = None
    archive: str | None = None
    name: str | None = None
    """What its request or its point is called."""

    def url(self, kind: str) -> str:
        """The one address of it, as `.atom` or `.json`."""
        asked = {
            "request": self.thread,
            "kind": ",".join(self.kinds),
            "digest": self.digest,
            "archive": self.archive,
        }
        of_requests, own = self.requests.url.partition("?")[2], {name: text for name, text in asked.items() if text}
        query = "&".join(part for part in (of_requests, urlencode(own, quote_via=quote, safe=",")) if part)
        return f"/feed{kind}" + (f"?{query}" if query else "")

    @property
    def id(self) -> str:
        return f"{TAG}feed{replace(self, archive=None).url('')[len('/feed') :]}"

    @property
    def list_url(self) -> str:
        return f"/requests/{self.thread}" if self.thread else self.requests.url

    @property
    def about(self) -> str:
        of = (
            [self.name or "One request"]
            if self.thread
            else [*in_words(self.requests, self.name or self.requests.near).values()]
        )
        kinds = [f"only {words.listed([COUNTED[kind] for kind in self.kinds])}"] if self.kinds else []
        about = ", ".join([*(of or ["All of Vancouver"]), *kinds])
        return about[:1].upper() + about[1:]

    @property
    def title(self) -> str:
        summary = f", a summary a {self.unit}" if self.digest else ""
        return f"{self.about}: what moved{summary} · Vancouver 3-1-1"

    @property
    def told(self) -> str:
        return "What moved in the city’s open data, dated by when we saw it."

    @property
    def is_busy(self) -> bool:
        """Whether it is of all problems in all of the city."""
        of = self.requests
        return not (self.thread or of.area or of.issue or of.street or of.address or of.near or of.bia)

    @property
    def filters(self) -> dict[str, Any]:
        """As `reading.changes` takes them."""
        of = {name: value for name, value in self.requests.narrowing.items() if name in NARROWING}
        return of | {"thread": self.thread, "kinds": self.kinds or None}

    @property
    def unit(self) -> str:
        """What a summary is of: a day, or a week."""
        return DIGESTS[self.digest or "daily"][0]

    @property
    def digests(self) -> "list[Feed]":
        return [replace(self, digest=name) for name in DIGESTS]

    @property
    def links(self) -> list[tuple[str, str, str]]:
        """What of it can be subscribed to, the summaries first if it is busy: title, type, address."""
        feeds = [self.digests[0], self] if self.is_busy else [self]
        return [(feed.title, type_, feed.url(kind)) for feed in feeds for kind, type_ in TYPES.items()]


def of_list(release: Release, filters: RequestFilters) -> Feed:
    """The feed of what a list of requests is of, as far as that stays: not whether they are open, nor when they were opened."""
    return _with_point(release, Feed(RequestFilters(**{name: getattr(filters, name) for name in NARROWING})))


def _with_point(release: Release, feed: Feed) -> Feed:
    """With what its point is called in this release."""
    return replace(feed, name=requests.point_name(release, feed.requests.near)) if feed.requests.near else feed


def unfollowed(filters: RequestFilters) -> list[str]:
    """What of a list's choices its feed does not know."""
    return [text for name, text in in_words(filters, filters.near).items() if name not in NARROWING]


def feed_of(release: Release, asked: Mapping[str, str]) -> Feed:
    """What the parameters of an address mean; what is unknown, empty or usual is left out. UnknownName or Problem, if a value means nothing."""
    kinds = set(asked.get("kind", "").lower().replace(",", " ").split())
    if unknown := kinds - set(changes.KINDS):
        raise requests.refused("kind", f"{sorted(unknown)[0]} is none", list(changes.KINDS))
    of_kinds = tuple(kind for kind in changes.KINDS if kind in kinds) if kinds < set(changes.KINDS) else ()
    if request_id := asked.get("request", "").strip().lower():
        thread = changes.thread_of(release, request_id)
        if thread is None:
            raise Problem("no-such-request", "No request has, or ever had since the baseline, this id.")
        return Feed(thread=thread, kinds=of_kinds)
    of = _requests_of(release, {name: asked[name] for name in NARROWING if name in asked})
    digest = asked.get("digest", "").lower() or None
    if digest and digest not in DIGESTS:
        raise requests.refused("digest", "it is unknown", list(DIGESTS))
    return Feed(of, None, of_kinds, digest, asked.get("archive", "").strip() or None)


def _requests_of(release: Release, asked: Mapping[str, str]) -> RequestFilters:
    """As a list has them; a label that no request has any more is known, too, if the log has it: who follows it is told that."""
    try:
        return requests.filters_of(release, asked)
    except UnknownName as error:
        labels = changes.labels(release, error.kind) if error.kind in ("issue", "department") else ()
        for label in labels:
            if asked[error.kind] in (slug(error.kind, label), label):
                others = {name: text for name, text in asked.items() if name != error.kind}
                return _requests_of(release, others).but(**{error.kind: label})
        raise


class Entry(NamedTuple):
    id: str
    title: str
    url: str
    updated: str
    text: str
    kind: str


@dataclass(frozen=True)
class Document:
    """A page of a feed: its entries, newest first, and the page before it, if there is one."""

    feed: Feed
    entries: list[Entry]
    updated: str
    before: str | None = None
    as_of: str | None = None
    """The release's day, which only a page that changes with it can say."""

    @property
    def subtitle(self) -> str:
        day = f" City data to {words.day(self.as_of)}." if self.as_of else ""
        return f"{self.feed.told} {NOT_FIXED}{day} Not a page of the City of Vancouver."

    @property
    def previous(self) -> Feed | None:
        return replace(self.feed, archive=self.before) if self.before else None


def document(release: Release, feed: Feed) -> Document:
    """A page of a feed; NoSuchPage, if there is none yet, or never will be."""
    make = _summed if feed.digest else _single
    made = make(release, feed)
    if feed.archive:
        return made  # which never changes, though what its point is called may
    return replace(made, feed=_with_point(release, made.feed), as_of=release.about["as_of"])


def _single(release: Release, feed: Feed) -> Document:
    last, size = changes.last_id(release), CHANGES_OF_A_BUSY_PAGE if feed.is_busy else CHANGES_OF_A_PAGE
    if feed.thread:
        return _of_changes(release, feed, changes.between(release, feed.filters, 0, last), None)
    full = last // size
    if feed.archive:
        page = int(feed.archive) if re.fullmatch("[1-9][0-9]{0,8}", feed.archive) else 0
        if not 1 <= page <= full:
            raise _no_page(feed)
        rows = changes.between(release, feed.filters, (page - 1) * size, page * size)
    else:
        page = max(full, 1)
        rows = changes.between(release, feed.filters, (page - 1) * size, last)
        if len(rows) < AT_LEAST and page > 1:
            known = {row["change_id"] for row in rows}
            older = changes.newest(release, feed.filters, AT_LEAST)
            rows += [row for row in older if row["change_id"] not in known]
    return _of_changes(release, feed, rows, str(page - 1) if page > 1 else None)


def _of_changes(release: Release, feed: Feed, rows: list[changes.Row], before: str | None) -> Document:
    updated = rows[0]["seen_at"] if rows else changes.first_seen(release) or release.about["published_at"]
    entries = [_entry(row) for row in rows]
    name = entries[0].title.rpartition(" · ")[0] if entries and feed.thread else None
    return Document(replace(feed, name=name), entries, updated, before)


def _no_page(feed: Feed) -> NoSuchPage:
    return NoSuchPage(f"This feed has no page {feed.archive} yet. Begin at {replace(feed, archive=None).url('.atom')}.")


def _entry(row: changes.Row) -> Entry:
    place = row["before"] if row["kind"] == "vanished" else row
    at = (place.get("address") and plain("address", place["address"])) or place.get("local_area") or "no address"
    return Entry(
        id=f"{TAG}{row['thread_id']}/{row['change_id']}",
        title=f"{plain('issue', row['issue_type'])} · {at} · {_happened(row)}",
        url=f"/requests/{row['request_id']}",
        updated=row["seen_at"],
        text=" ".join(f"{sentence}." for sentence in _sentences(row, place)),
        kind=row["kind"],
    )


def _happened(row: changes.Row) -> str:
    """What happened, in a few words: closed after 6 days."""
    opened = local_day(row["opened_at"])
    if row["kind"] == "opened":
        return f"reported {words.day(str(opened))}"
    if row["kind"] == "closed":
        closed_on = (row["after"] or {}).get("closed_on")
        days = (date.fromisoformat(closed_on) - opened).days if closed_on else -1
        return "closed" if days < 0 else f"closed after {words.days(days)}" if days else "closed the same day"
    return SEEN[row["kind"]]


def _sentences(row: changes.Row, place: Mapping[str, Any]) -> Iterator[str]:
    if row["kind"] in ("opened", "vanished"):
        whole = row["after"] or row["before"] or {}
        yield from (f"{name}: {value}" for name, value in fields_of(whole) if name not in ("Latitude", "Longitude"))
    else:
        yield from moves(row["before"] or {}, row["after"] or {})
    if row["kind"] not in ("opened", "vanished"):
        yield from [place["local_area"]] if place["local_area"] else []
        yield f"Reported {words.instant(row['opened_at'])}"
    if row["sharing"] > 1:
        yield f"{row['sharing']} requests share type and minute: which of them moved can’t be told"
    if row["kind"] == "closed":
        yield NOT_FIXED.rstrip(".")
    yield f"Seen {words.instant(row['seen_at'])}, in the city’s release of {words.instant(row['data_processed'])} (Vancouver)"


# -- a summary a day, or a week ----------------------------------------------------------------------------------------


def _summed(release: Release, feed: Feed) -> Document:
    """A week's days by calendar, or the week; of what can be subscribed to, the last seven days that are over, or the last four weeks."""
    first = _monday(local_day(changes.first_seen(release) or release.about["published_at"]))
    today, is_daily = local_day(release.about["published_at"]), feed.digest == "daily"
    until, before = today if is_daily else _monday(today), _monday(today) - WEEK
    begin = min(max(first, until - WEEK if is_daily else until - 4 * WEEK), until)
    if feed.archive:
        begin = _day(feed.archive) or today
        if begin != _monday(begin) or not first <= begin <= before:
            raise _no_page(feed)
        until, before = begin + WEEK, begin - WEEK
    counts = Counter[tuple[date, str]]()
    for (at, kind), number in changes.seen(release, feed.filters, begin_of(begin), begin_of(until)).items():
        day = local_day(at)
        counts[day if is_daily else _monday(day), kind] += number
    days = sorted({day for day, _ in counts}, reverse=True)
    entries = [_summary(feed, day, {kind: counts[day, kind] for kind in changes.KINDS}) for day in days]
    updated = entries[0].updated if entries else begin_of(begin)
    return Document(feed, entries, updated, str(before) if before >= first else None)


def _summary(feed: Feed, day: date, counts: Mapping[str, int]) -> Entry:
    """Of the day, or of the week that begins with it."""
    unit, length = DIGESTS[feed.digest or "daily"]
    number = words.listed([f"{count:,} {COUNTED[kind]}" for kind, count in counts.items() if count])
    name = replace(feed, archive=None).url("")[len("/feed") :]
    return Entry(
        id=f"{TAG}{unit}/{day}{name}",
        title=f"{'Week of ' if unit == 'week' else ''}{words.day(str(day))}: {number}",
        url=feed.list_url,
        updated=begin_of(day + length),
        text=f"{feed.about}: {number}, by when we saw it. {NOT_FIXED}",
        kind=unit,
    )


def _monday(day: date) -> date:
    return day - timedelta(day.weekday())


def _day(text: str) -> date | None:
    day = day_of(text)
    return day if str(day) == text else None


# -- documents ---------------------------------------------------------------------------------------------------------


def atom(page: Document, site: str) -> bytes:
    """As Atom; `site` is where people reach the addresses, or empty: then they are relative to the feed's."""
    # The prefixes are written here: those that ElementTree registers are of the whole process, and other libraries take them over.
    feed, root = page.feed, ElementTree.Element("feed", {"xmlns": _ATOM, "xmlns:fh": _HISTORY, "xml:lang": "en-CA"})

    def add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, name, attributes)
        child.text = text and printable(text)
        return child

    def link(parent: ElementTree.Element, rel: str, address: str, type_: str = TYPES[".atom"]) -> None:
        add(parent, "link", rel=rel, type=type_, href=site + address)

    for name, text in (("id", feed.id), ("title", feed.title), ("subtitle", page.subtitle), ("updated", page.updated)):
        add(root, name, text)
    add(root, "rights", LICENCE)
    add(root, "link", rel="license", href=LICENCE_PAGE)
    add(add(root, "author"), "name", "vanc311_pipeline, from the City of Vancouver’s open data")
    link(root, "self", feed.url(".atom"))
    link(root, "alternate", feed.list_url, "text/html")
    if feed.archive:
        link(root, "current", replace(feed, archive=None).url(".atom"))
    if page.previous:
        link(root, "prev-archive", page.previous.url(".atom"))
    if feed.archive or feed.thread:
        add(root, f"fh:{'archive' if feed.archive else 'complete'}")
    for entry in page.entries:
        element = add(root, "entry")
        for name, text in (
            ("id", entry.id),
            ("title", entry.title),
            ("updated", entry.updated),
            ("summary", entry.text),
        ):
            add(element, name, text)
        add(element, "category", term=entry.kind)
        link(element, "alternate", entry.url, "text/html")
    return bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))


def json_feed(page: Document, site: str) -> bytes:
    """As JSON Feed 1.1, whose `next_url` leads to the page before."""
    feed = page.feed
    about = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "description": f"{page.subtitle} {LICENCE}",
        "home_page_url": site + feed.list_url,
        "feed_url": site + feed.url(".json"),
        **({"next_url": site + page.previous.url(".json")} if page.previous else {}),
        "authors": [{"name": "vanc311_pipeline, from the City of Vancouver’s open data"}],
        "language": "en-CA",
    }
    items = [
        {"id": each.id, "url": site + each.url, "title": each.title, "content_text": each.text, "date_modified": each.updated,
         "date_published": each.updated, "tags": [each.kind]}
        for each in page.entries
    ]  # fmt: skip
    return json.dumps(everywhere(about | {"items": items}, printable), ensure_ascii=False).encode()


WRITTEN = {".atom": atom, ".json": json_feed}
