"""Feeds: a reader that sleeps gets each change once, whatever comes between; a page of the archive never changes; nothing in it does harm.

A month of releases is simulated: rows change at random, the pipeline's own functions log what moved, and each day a file is published.
What a feed must hold is told from the rows as they were on that day, which the file doesn't have any more.
"""

import json
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import feedparser
import pytest
import requests
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vanc311_pipeline.api.app import create_app
from vanc311_pipeline.dashboard import feeds
from vanc311_pipeline.dashboard.site import dashboard
from vanc311_pipeline.errors import printable
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.requests.changes import compare
from vanc311_pipeline.requests.identity import request_id
from vanc311_pipeline.schema import request_changes, service_requests
from vanc311_pipeline.settings import Settings
from vanc311_pipeline.warehouse import changelog
from vanc311_pipeline.warehouse.backup import restore_backup, write_backup
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.integration.api.conftest import site_of
from vanc311_pipeline_tests.integration.api.test_requests import distance, streets
from vanc311_pipeline_tests.integration.dashboard.conftest import served

COLUMNS = [column.name for column in service_requests.columns]
MATTRESS, BIN, GARBAGE = (
    ("ENG - Sanitation Services", f"{name} Case") for name in ("Abandoned Mattress", "Missed Green Bin Pickup", "Garbage Bin Request")
)  # fmt: skip
PERMIT = ("DBL - Services Centre", "Building & Development Inquiry Case")
MARKUP, CONTROLS = '<b>1</b> & "X" ST', "1 ]]> \x1b[31m\x00\u202e\ufffe ST"
PLACES = [
    ("453 W 12TH AV", "Mount Pleasant", 49.2606, -123.1139), ("1946 YORK AV", "Kitsilano", 49.2722, -123.1495),
    ("1900 MAIN ST and E 2ND AV", "Mount Pleasant", 49.2680, -123.1007), ("728 GRANVILLE ST", "Downtown", 49.2816, -123.1185),
    (None, "Kitsilano", None, None), (None, None, None, None), (MARKUP, "Sunset", 49.22, -123.09),
    ("12 OLD MAIN ST", "Downtown", 49.2815, -123.1311),
]  # fmt: skip
"""The last one's street has the name of another in its own, and the point lies beside an improvement area, within its bounds."""
DAYS, FIRST = 28, date(2026, 1, 12)
RENAMED_ON, GONE_ON, BACK_ON = 11, 14, 17

Row = dict[str, Any]
FEEDS: dict[str, Any] = {
    "": lambda row: True,
    "area=kitsilano": lambda row: row["local_area"] == "Kitsilano",
    "area=mount-pleasant&issue=abandoned-mattress": lambda row: (
        (row["local_area"], row["issue_type"]) == ("Mount Pleasant", MATTRESS[1])
    ),
    "issue=garbage-bin-request": lambda row: row["issue_type"] == GARBAGE[1],
    "department=eng": lambda row: row["department"].startswith("ENG - "),
    "street=MAIN%20ST": lambda row: "MAIN ST" in streets(row["address"]),
    "address=1946%20YORK%20AV": lambda row: row["address"] == "1946 YORK AV",
    "near=49.2606,-123.1139&radius=1500": lambda row: distance(row, "49.2606,-123.1139") <= 1_500,
    "bia=Downtown%20Vancouver%20BIA": lambda row: row["address"] == "728 GRANVILLE ST",
}
"""The address of a feed, and which requests it is of."""
ASLEEP = {"area=kitsilano": {*range(5, 11), *range(13, 23)}, "issue=garbage-bin-request": {*range(9, 21)}}
"""Who sleeps, and when: the city's renaming and its loss of rows come meanwhile. Others look at the end only."""


@dataclass
class Logged:
    """A change, and its request before and after it, as the city had it on that day."""

    change_id: int
    kind: str
    seen_on: date
    sides: list[Row]


def numbered(held: list[Row]) -> list[Row]:
    """With the ids that identity gives; twins by their place in the list, which is as good as any other order."""
    counts = Counter[tuple[str, ...]]()
    rows = []
    for each in held:
        key = each["department"], each["issue_type"], each["opened_at"]
        rows.append(each | {"request_id": request_id(*key, counts[key]), "occurrence": counts[key]})
        counts[key] += 1
    return rows


class City:
    """A record that the city works on."""

    def __init__(self, seed: int) -> None:
        self.chance, self.held, self.gone, self.opened = random.Random(seed), list[Row](), list[Row](), 0

    def open(self, day: date) -> None:
        self.opened += 1
        place = dict(zip(("address", "local_area", "latitude", "longitude"), self.chance.choice(PLACES), strict=True))
        label = self.chance.choice([MATTRESS, BIN, GARBAGE, PERMIT])
        at = f"2026-01-{1 + self.opened % 28:02}T{self.opened % 24:02}:{self.opened // 24 % 60:02}:00Z"
        row = {
            **dict.fromkeys(COLUMNS), **place, "department": label[0], "issue_type": label[1], "opened_at": at, "status": "Open",
            "opened_on": at[:10], "open_month": at[:7], "partition_month": at[:7], "modified_at": f"{day}T01:00:00Z", "channel": "WEB",
        }  # fmt: skip
        self.held += [row, dict(row)] if self.opened % 9 == 0 else [row]

    def work(self, number: int, day: date) -> None:
        for _ in range(6):
            self.open(day)
        for row in self.chance.sample(self.held, len(self.held) // 6):
            if row["status"] == "Open":
                row |= {"status": "Close", "closed_on": str(day), "closure_reason": "Service provided"}
            elif self.chance.random() < 0.3:
                row |= {"status": "Open", "closed_on": None, "closure_reason": None}
            row["modified_at"] = f"{day}T02:00:00Z"
        twins = Counter((row["department"], row["issue_type"], row["opened_at"]) for row in self.held)
        alone = [row for row in self.held if twins[row["department"], row["issue_type"], row["opened_at"]] == 1]
        for row in self.chance.sample(alone, 2):
            row |= dict(
                zip(("address", "local_area", "latitude", "longitude"), self.chance.choice(PLACES), strict=True)
            )
        if number == RENAMED_ON:
            for row in self.held:
                if row["issue_type"] == GARBAGE[1]:
                    row |= dict(zip(("department", "issue_type"), BIN, strict=True))
        if number == GONE_ON:
            self.gone = [row for row in self.held if row["local_area"] in ("Kitsilano", "Downtown")]
            self.held = [row for row in self.held if row not in self.gone]
        if number == BACK_ON:
            back = self.gone[: len(self.gone) // 2]
            self.held += [row | {"address": row["address"] or "1946 YORK AV"} for row in back]


def logged(before: list[Row], after: list[Row], lines: list[sa.Row[Any]], day: date) -> Iterator[Logged]:
    """What each line of the log is about."""
    old, new = ({row["request_id"]: row for row in rows} for rows in (before, after))
    for line in lines:
        row = new.get(line.request_id)
        was = old.get(line.previous_request_id or line.request_id)
        if line.kind == "relabelled":
            sides = [was, was | {name: row[name] for name in ("department", "issue_type")}]
        elif line.kind in ("opened", "vanished"):
            sides = [row if line.kind == "opened" else was]
        else:
            # That it was relabelled, too, is another line.
            sides = [row | json.loads(line.before), row]
        yield Logged(line.change_id, line.kind, day, sides)


class Simulation:
    """A city, the warehouse that follows it, and the file that is published."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.base, self.file, self.city = base, folder / "vanc311.sqlite", City(20)
        self.warehouse = Warehouse(Settings(database_url=f"sqlite:///{folder / 'warehouse.sqlite'}"))
        self.warehouse.create()
        self.log, self.rows, self.day = list[Logged](), list[Row](), FIRST

    def pass_day(self, number: int) -> None:
        self.day = FIRST + timedelta(number)
        self.city.work(number, self.day)
        before, self.rows = self.rows, numbered(self.city.held)
        old, new = ([tuple(row[name] for name in COLUMNS) for row in rows] for rows in (before, self.rows))
        with patch.object(changelog, "utc_now", lambda: f"{self.day}T15:00:00Z"), self.warehouse.write() as connection:
            known = len(self.log)
            if number:  # the first load is the baseline
                changelog.log_changes(connection, "2026-01", compare(old, new), f"{self.day}T14:06:58Z", "a run")
            later = sa.select(request_changes).where(request_changes.c.change_id > known)
            lines = connection.execute(later.order_by(request_changes.c.change_id)).all()
        self.log += logged(before, self.rows, lines, self.day)
        self.publish()

    def publish(self, log: Warehouse | None = None, hour: int = 16) -> None:
        with (log or self.warehouse).read() as connection:
            lines = [tuple(row) for row in connection.execute(sa.select(request_changes))]
        fresh = Path(shutil.copy(self.base, self.file.with_suffix(".new")))
        with closing(sqlite3.connect(fresh)) as connection, connection:
            for table, rows in (
                ("request_changes", lines),
                ("service_requests", [tuple(row[name] for name in COLUMNS) for row in self.rows]),
            ):
                if rows:
                    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
            if self.day > FIRST + timedelta(RENAMED_ON):
                connection.execute("DELETE FROM metrics_by_issue WHERE issue_type = ?", (GARBAGE[1],))
            connection.execute(
                "UPDATE release SET as_of = ?, published_at = ?", (str(self.day), f"{self.day}T{hour}:00:00Z")
            )
        fresh.replace(self.file)

    def of(self, passes: Any) -> list[Logged]:
        return [change for change in self.log if any(passes(side) for side in change.sides)]


def number_of(entry_id: str) -> int:
    return int(entry_id.rpartition("/")[2])


@dataclass(repr=False)
class Reader:
    """Follows a feed by feedparser, over HTTP: what is new, then pages of the archive until one that it knows."""

    site: str
    path: str
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    archive: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = None

    def look(self) -> int:
        """Read what there is; the status of the first answer."""
        feed = feedparser.parse(self.site + self.path, etag=self.etag)
        status, self.etag = feed.status, feed.get("etag", self.etag)
        while status == 200:
            assert not feed.bozo, feed.bozo_exception
            self.take(feed)
            before = [link.href for link in feed.feed.links if link.rel == "prev-archive"]
            if not before or before[0] in self.archive:
                break
            self.archive[before[0]] = requests.get(before[0], timeout=60).content
            about = {"content-location": before[0], "content-type": feeds.TYPES[".atom"]}
            feed = feedparser.parse(self.archive[before[0]], response_headers=about)
        return status

    def take(self, feed: Any) -> None:
        for entry in feed.entries:
            told = (entry.title, entry.summary, entry.link, entry.updated)
            assert self.entries.setdefault(entry.id, told) == told, "an entry has changed"


@pytest.fixture(scope="module")
def base(synced, tmp_path_factory) -> Path:
    """A published file whose requests are taken out."""
    file = Path(shutil.copy(synced.published_path, tmp_path_factory.mktemp("base") / "vanc311.sqlite"))
    with closing(sqlite3.connect(file)) as connection:
        for table in ("service_requests", "open_request_standing", "time_to_close_curves", "monthly_series"):
            connection.execute(f"DELETE FROM {table}")
        connection.commit()
        connection.execute("VACUUM")
    return file


@pytest.fixture(scope="module", autouse=True)
def _short_pages() -> Iterator[None]:
    with patch.multiple(feeds, CHANGES_OF_A_PAGE=60, CHANGES_OF_A_BUSY_PAGE=40):
        yield


@pytest.fixture(scope="module")
def followed(base, tmp_path_factory) -> Iterator[tuple[Simulation, str, dict[str, Reader]]]:
    """The month is over; who followed it, and the site at its end."""
    simulation = Simulation(base, tmp_path_factory.mktemp("month"))
    simulation.pass_day(0)
    with served(simulation.file) as site:
        readers = {query: Reader(site, f"/feed.atom?{query}".rstrip("?")) for query in FEEDS}
        for number in range(1, DAYS):
            simulation.pass_day(number)
            for query in ASLEEP:
                if number not in ASLEEP[query]:
                    readers[query].look()
        for reader in readers.values():
            reader.look()
        yield simulation, site, readers


@pytest.mark.parametrize("query", FEEDS)
def test_who_followed_has_each_change_once_and_no_other(followed, query):
    simulation, _, readers = followed
    expected = [change.change_id for change in simulation.of(FEEDS[query])]
    assert sorted(map(number_of, readers[query].entries)) == expected
    assert len(expected) > 20
    assert {change.kind for change in simulation.of(FEEDS[query])} >= {"opened", "closed"}
    assert readers[query].look() == 304


def test_an_entry_says_what_moved_and_where_its_request_was_on_that_day(followed):
    simulation, site, readers = followed
    told = {number_of(id_): entry for id_, entry in readers[""].entries.items()}
    for change in simulation.log:
        title, summary, link, updated = told[change.change_id]
        place = change.sides[-1]
        at = (place["address"] or place["local_area"] or "no address").casefold()
        assert f" · {at} · " in title.casefold()
        assert updated == f"{change.seen_on}T15:00:00Z"
        assert link.startswith(f"{site}/requests/")
        if change.kind == "closed":
            days = (date.fromisoformat(place["closed_on"]) - local_day(place["opened_at"])).days
            after = (
                "closed the same day"
                if days == 0
                else f"closed after {days} day{'s' * (days != 1)}"
                if days > 0
                else "closed"
            )
            assert title.endswith(f" · {after}")
            assert "Status: Open → Close. Closed because: – → Service provided." in summary
            assert "Closed does not mean fixed." in summary


def local_day(instant: str) -> date:
    return datetime.fromisoformat(instant).astimezone(ZoneInfo("America/Vancouver")).date()


def documents(site: str, path: str) -> dict[str, bytes]:
    """The pages of a feed, newest first, by address."""
    pages = dict[str, bytes]()
    while path:
        answer = requests.get(site + path, timeout=60)
        assert answer.status_code == 200, answer.text
        pages[path] = answer.content
        path = "".join(
            unescape(each) for each in re.findall(rb'rel="prev-archive"[^>]*href="([^"]+)"'.decode(), answer.text)
        )
    return pages


def test_pages_are_the_same_after_a_restart_another_publication_and_a_restored_backup(followed, tmp_path):
    simulation, site, readers = followed
    before = documents(site, "/feed.atom?area=kitsilano")
    assert len(before) > 3
    for address, page in readers["area=kitsilano"].archive.items():
        assert before[address.removeprefix(site)] == page
    write_backup(simulation.warehouse, tmp_path / "log.gz")
    restored = Warehouse(Settings(database_url=f"sqlite:///{tmp_path / 'warehouse.sqlite'}"))
    restore_backup(restored, tmp_path / "log.gz")
    for log in (simulation.warehouse, restored):
        simulation.publish(log, hour=17)
        with served(simulation.file) as other:
            assert documents(other, "/feed.atom?area=kitsilano") == before
    numbers = [number_of(id_) for page in before.values() for id_ in re.findall(r"<entry><id>([^<]+)", page.decode())]
    assert numbers == sorted(set(numbers), reverse=True)


def test_a_summary_of_each_day_that_is_over_counts_what_was_seen_on_it(followed):
    simulation, site, _ = followed
    for query in ("", "area=kitsilano", "street=MAIN%20ST&kind=opened,closed"):
        kinds = {"opened", "closed"} if "kind" in query else set(feeds.COUNTED)
        passes = FEEDS[query.partition("&kind")[0]]
        counts = Counter((change.seen_on, change.kind) for change in simulation.of(passes) if change.kind in kinds)
        expected = {}
        for day in {day for day, _ in counts if day < simulation.day}:
            parts = [f"{counts[day, kind]} {word}" for kind, word in feeds.COUNTED.items() if counts[day, kind]]
            expected[f"{day.day} {day:%B %Y}: {', '.join(parts)}"] = f"{day + timedelta(1)}T08:00:00Z"
        reader = Reader(site, f"/feed.atom?{query}{'&' * bool(query)}digest=daily")
        reader.look()
        told = {title.replace(" and ", ", "): updated for title, _, _, updated in reader.entries.values()}
        assert told == expected
        assert len(reader.archive) == 3
        assert all(len(feedparser.parse(page).entries) <= 7 for page in reader.archive.values())
        weeks = Counter[tuple[date, str]]()
        for (day, kind), number in counts.items():
            weeks[day - timedelta(day.weekday()), kind] += number
        reader = Reader(site, f"/feed.atom?{query}{'&' * bool(query)}digest=weekly")
        reader.look()
        expected_weeks = set()
        for week in {week for week, _ in weeks if week + timedelta(7) <= simulation.day}:
            parts = [f"{weeks[week, kind]} {word}" for kind, word in feeds.COUNTED.items() if weeks[week, kind]]
            expected_weeks.add(f"Week of {week.day} {week:%B %Y}: {', '.join(parts)}")
        assert {title.replace(" and ", ", ") for title, *_ in reader.entries.values()} == expected_weeks


@settings(max_examples=settings().max_examples // 5)
@given(
    query=st.sampled_from(list(FEEDS)),
    kinds=st.sets(st.sampled_from(list(feeds.COUNTED)), max_size=3),
    size=st.integers(20, 150),
)
def test_all_pages_together_are_the_log_whatever_their_size(followed, query, kinds, size):
    simulation, *_ = followed
    asked = dict(part.split("=") for part in query.replace("%20", " ").split("&") if part) | {"kind": ",".join(kinds)}
    expected = [change.change_id for change in simulation.of(FEEDS[query]) if not kinds or change.kind in kinds]
    numbers = list[int]()
    sizes = {"CHANGES_OF_A_PAGE": size, "CHANGES_OF_A_BUSY_PAGE": size, "AT_LEAST": 0}
    with reading(simulation.file) as release, patch.multiple(feeds, **sizes):
        feed = feeds.feed_of(release, asked)
        while feed:
            page = feeds.document(release, feed)
            numbers += [number_of(entry.id) for entry in page.entries]
            feed = page.previous
    assert numbers == expected[::-1]


def test_what_moved_long_ago_stands_in_a_feed_that_has_little_else(followed):
    _, site, _ = followed
    path = "/feed.json?address=1946%20YORK%20AV"
    items = requests.get(site + path, timeout=60).json()["items"]
    assert [number_of(item["id"]) for item in items] == sorted((number_of(item["id"]) for item in items), reverse=True)
    assert len(items) >= feeds.AT_LEAST


def test_the_feed_of_a_request_is_whole_and_found_by_each_of_its_ids(followed):
    simulation, site, _ = followed
    with simulation.warehouse.read() as connection:
        [(thread, old, new)] = connection.execute(
            sa.text(
                "SELECT thread_id, previous_request_id, request_id FROM request_changes WHERE kind = 'relabelled' AND sharing = 1 LIMIT 1"
            )
        ).all()
        ids = connection.scalars(
            sa.select(request_changes.c.change_id).where(request_changes.c.thread_id == thread)
        ).all()
    answers = [requests.get(f"{site}/feed.atom?request={id_}", timeout=60) for id_ in (old, new, thread)]
    assert {answer.url for answer in answers} == {f"{site}/feed.atom?request={thread}"}
    root = ElementTree.fromstring(answers[0].content)
    assert root.find("{http://purl.org/syndication/history/1.0}complete") is not None
    assert [number_of(entry.id) for entry in feedparser.parse(answers[0].content).entries] == sorted(ids, reverse=True)
    page = requests.get(f"{site}/requests/{new}", timeout=60)
    assert f'href="/feed.atom?request={thread}"' in page.text
    assert requests.get(f"{site}/feed.atom?request={'c' * 64}", timeout=60).status_code == 404


def test_both_kinds_of_document_say_the_same_and_the_licence_and_the_day_once(followed):
    simulation, site, _ = followed
    query = "?area=kitsilano&kind=closed"
    answers = {kind: requests.get(f"{site}/feed{kind}{query}", timeout=60) for kind in feeds.TYPES}
    feed, other = feedparser.parse(answers[".atom"].content), answers[".json"].json()
    assert [(each.id, each.title, each.summary, each.updated) for each in feed.entries] == [
        (item["id"], item["title"], item["content_text"], item["date_modified"]) for item in other["items"]
    ]
    assert other["version"] == "https://jsonfeed.org/version/1.1"
    assert other["next_url"] == next(link.href for link in feed.feed.links if link.rel == "prev-archive").replace(
        ".atom", ".json"
    )
    for kind, answer in answers.items():
        assert answer.headers["content-type"] == f"{feeds.TYPES[kind]}; charset=utf-8"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert [
            answer.text.count(words)
            for words in ("Open Government Licence", f"{simulation.day.day} {simulation.day:%B %Y}. Not")
        ] == [1, 1]
    archived = requests.get(f"{site}/feed.atom?area=kitsilano&archive=1", timeout=60).text
    assert "City data to" not in archived
    assert "<fh:archive" in archived
    assert "Closed does not mean fixed." in archived


def test_what_the_city_writes_is_harmless(base, tmp_path):
    file, told = Path(shutil.copy(base, tmp_path / "vanc311.sqlite")), printable(CONTROLS)
    line = dict.fromkeys(request_changes.columns.keys(), "2026-01-13T15:00:00Z") | {
        "change_id": 1, "kind": "vanished", "request_id": "a" * 64, "thread_id": "a" * 64, "sharing": 1, "issue_type": CONTROLS,
        "before": json.dumps({"address": MARKUP, "closure_reason": CONTROLS, "local_area": "Kitsilano"}), "after": None,
    }  # fmt: skip
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"INSERT INTO request_changes VALUES ({', '.join('?' * len(line))})", [*line.values()])
    with served(file) as site:
        answers = [requests.get(f"{site}/feed{kind}?area=kitsilano", timeout=60) for kind in feeds.TYPES]
        labelled = requests.get(f"{site}/feed.atom", params={"issue": CONTROLS}, timeout=60)
    feed = feedparser.parse(answers[0].content, sanitize_html=False)
    assert not feed.bozo
    [entry], [item] = feed.entries, answers[1].json()["items"]
    for title, text in ((entry.title, entry.summary), (item["title"], item["content_text"])):
        assert "<B>1</b>".casefold() in title.casefold()
        assert told.casefold()[:4] in title.casefold()
        assert f"Closed because: {told}." in text
    assert entry.title_detail.type == entry.summary_detail.type == "text/plain"
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ufffe]", "".join(answer.text for answer in (*answers, labelled)))
    assert len(feedparser.parse(labelled.content).entries) == 1


ADDRESSES = [
    ("/Feed.atom/", "/feed.atom"),
    ("/feed.atom?area=Kitsilano&status=open&order=oldest&who=me", "/feed.atom?area=kitsilano"),
    ("/feed.json?kind=closed&kind=OPENED&area=kitsilano", "/feed.json?area=kitsilano&kind=opened,closed"),
    ("/feed.atom?kind=vanished,relabelled,edited,reopened,closed,opened", "/feed.atom"),
    ("/feed.atom?department=ENG&digest=Daily&archive=", "/feed.atom?department=eng&digest=daily"),
    ("/feed.atom?near=49.282701,-123.1207&radius=9999", "/feed.atom?near=49.2827,-123.1207&radius=2000"),
]


def test_the_feed_around_a_point_is_called_as_its_list_is_and_what_stays_by_the_point(followed):
    _, site, _ = followed
    answer = requests.get(f"{site}/requests?near=1946+york+av", timeout=60)
    page, query = answer.text, answer.url.partition("?")[2]
    assert re.findall('type="application/atom.xml" title="([^"]+)" href="/feed', page)[0].startswith(
        "Within 500 m of 1946 York Av: what moved"
    )
    titles = [
        requests.get(f"{site}/feed.json?{query}{more}", timeout=60).json()["title"].partition(":")[0]
        for more in ("", "&digest=weekly", "&archive=1")
    ]
    assert titles == ["Within 500 m of 1946 York Av"] * 2 + [f"Within 500 m of {query.removeprefix('near=')}"]


def test_atom_is_without_prefixes_whatever_other_libraries_register(site):
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    ElementTree.register_namespace("feed", "http://www.w3.org/2005/Atom")
    for path in ("/feed.atom", "/feed.atom?area=kitsilano", "/briefs.atom"):
        text = requests.get(site + path, timeout=60).text
        assert set(re.findall(r"</?([a-z0-9]+):", text)) <= {"fh"}
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2005/Atom}feed"


@pytest.mark.parametrize(("spelling", "address"), ADDRESSES)
def test_a_feed_has_one_address(site, spelling, address):
    answer = requests.get(site + spelling, timeout=60)
    assert (answer.url, answer.status_code) == (site + address, 200)
    assert {each.status_code for each in answer.history} == {308}


@pytest.mark.parametrize(
    ("asked", "status"),
    [("kind=lost", 422), ("digest=hourly", 422), ("area=nowhere", 404), ("issue=nothing", 404), ("request=x", 404), ("near=x", 422),
     ("archive=1", 404), ("archive=0", 404), ("archive=x", 404), ("digest=daily&archive=2026-01-13", 404), ("digest=daily&archive=x", 404),
     ("digest=daily&archive=2026-W01-1", 404), (f"archive={'9' * 5000}", 404)],
)  # fmt: skip
def test_what_means_nothing_is_refused(site, asked, status):
    assert requests.get(f"{site}/feed.atom?{asked}", timeout=60).status_code == status


@pytest.mark.parametrize(
    ("page", "feed"),
    [("/", "digest=daily"), ("/quality", "digest=daily"), ("/areas/kitsilano", "area=kitsilano"),
     ("/issues/garbage-bin-request", "issue=garbage-bin-request"),
     ("/areas/kitsilano/garbage-bin-request", "area=kitsilano&issue=garbage-bin-request"),
     ("/departments/eng", "department=eng&digest=daily"), ("/requests?street=CAMBIE%20ST&status=open", "street=CAMBIE%20ST")],
)  # fmt: skip
def test_every_page_leads_to_the_feed_of_what_it_is_about(site, page, feed):
    text = requests.get(site + page, timeout=60).text
    links = re.findall(r'<link rel="alternate" type="([^"]+)" title="([^"]+)" href="(/feed[^"]+)">', text)
    assert [(type_, unescape(address)) for type_, _, address in links][:2] == [
        (type_, f"/feed{kind}?{feed}") for kind, type_ in feeds.TYPES.items()
    ]
    told = feedparser.parse(requests.get(site + unescape(links[0][2]), timeout=60).content)
    assert told.feed.title == unescape(links[0][1])
    assert (">Follow: <a" in text) == (page != "/quality")


def test_what_a_feed_takes_no_notice_of_is_said_beside_it(site):
    choices = "status=open&channel=WEB&opened_from=2024-01-01&closed_to=2025-01-02&overdue=yes"
    texts = [
        unescape(requests.get(f"{site}/requests?area=kitsilano&{asked}", timeout=60).text)
        for asked in (choices, "issue=pothole")
    ]
    told = [re.findall("Feeds take no notice of these choices: (.*)[.]</p>", text) for text in texts]
    assert told == [
        ["open, by Web, opened 1 January 2024 or later, closed 2 January 2025 or earlier, overdue for its kind"],
        [],
    ]


def test_addresses_are_whole_where_people_reach_the_site(base):
    app = create_app(base, routers=[dashboard("https://tracker.example")])
    with site_of(app) as site:
        feed = feedparser.parse(requests.get(f"{site}/feed.atom?area=kitsilano", timeout=60).content)
    assert [link.href for link in feed.feed.links if link.rel == "self"] == [
        "https://tracker.example/feed.atom?area=kitsilano"
    ]
