"""How SQLite answers readers: it looks up what they ask for, and goes through all requests, or the whole log, for nobody."""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from benchmarks.stages import LOG
from vanc311_pipeline.dashboard import tables
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading import changes, pages, requests
from vanc311_pipeline.reading.names import KINDS, names
from vanc311_pipeline.reading.pages import Listing, count, count_first, read_page
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.schema import service_requests

OFTEN = 100  # what one request in so many is, is soon come by from day to day
THROUGH_ALL = re.compile(r"SCAN (service_requests|request_changes)( USING( COVERING)? INDEX \1_by_\w+)?$")
NAMED = ("area", "issue", "department", "status", "channel", "closure_reason", "outcome")


@pytest.fixture(scope="module")
def release(synced, tmp_path_factory):
    """The sample's release, with a request of an odd status and a log of 5,000 changes."""
    file = tmp_path_factory.mktemp("published") / "vanc311.sqlite"
    shutil.copy(synced.published_path, file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE service_requests SET status = 'Waiting' WHERE rowid = 1")
        connection.execute("INSERT INTO request_values VALUES ('status', 'Waiting', 1)")
        connection.execute(LOG, {"rows": 5_000, "run": "a run"})
        connection.execute("ANALYZE")
    with reading(file) as opened:
        yield opened


@contextmanager
def planned() -> Iterator[list[str]]:
    """The steps of the plans for all that is asked within the block."""
    steps: list[str] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        steps.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield steps
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def through_all(steps: list[str]) -> list[str]:
    assert steps
    return [step for step in steps if THROUGH_ALL.match(step)]


def is_walked(release: Release, listing: Listing) -> bool:
    """Whether a page goes through all requests, or the log, until it is full."""
    with planned() as steps:
        read_page(release, listing, None, 100)
    return bool(through_all(steps))


def test_what_few_requests_are_is_looked_up(release):
    asked: list[dict[str, Any]] = [{kind: name} for kind in NAMED for name in names(release, kind)]
    asked += [{"located": "no"}, {"located": "yes"}, {"status": "Open", "area": "Kitsilano"}]
    few = release.about["rows_stored"] // OFTEN
    walked = []
    for filter_ in asked:
        listings = [requests.requests(release, filter_, order) for order in ("newest", "oldest")]
        if any(is_walked(release, listing) for listing in listings) and count(release, listings[0]) < few:
            walked.append(filter_)
    assert walked == []
    assert {"status": "Waiting"} in asked


@pytest.mark.parametrize("bound", ["opened_from", "opened_to", "closed_from", "closed_to"])
def test_a_range_of_days_is_looked_up_and_comes_in_order(release, bound):
    with planned() as steps:
        read_page(release, requests.requests(release, {bound: date(2024, 3, 1)}), None, 100)
    assert through_all(steps) == []
    assert not any("TEMP B-TREE" in step for step in steps)


ABANDONED, KITSILANO = {"issue": "Abandoned Mattress Case"}, {"area": "Kitsilano"}
LATE = """status = 'Open' AND opened_on < (SELECT opened_before FROM overdue_limits
          WHERE overdue_limits.issue_type = service_requests.issue_type)"""


@pytest.mark.parametrize("filter_", [{}, KITSILANO, ABANDONED, {"channel": "WEB"}, {"located": "yes"}], ids=str)
def test_open_requests_are_looked_up(release, filter_):
    assert not is_walked(release, requests.open_requests(release, filter_))


NEAR = {"near": "49.2827,-123.1207"}


@pytest.mark.parametrize("order", [None, "longest", "overdue"])
@pytest.mark.parametrize(
    "filter_",
    [NEAR, {**NEAR, "radius": 100}, {"bia": "Cambie Village BIA"}, {"street": "W 12TH AV"}, {"address": "453 W 12TH AV"},
     {**NEAR, **ABANDONED}, {"overdue": "yes", **KITSILANO}, {"department": "pds"}],
    ids=str,
)  # fmt: skip
def test_places_and_what_is_overdue_are_looked_up(release, filter_, order):
    listing = requests.requests(release, filter_, order or "newest")
    with planned() as steps:
        read_page(release, listing, None, 100)
    assert through_all(steps) == []
    assert not [step for step in steps if step.startswith("SCAN places")]


@pytest.mark.parametrize(
    ("filter_", "order", "index"),
    [({**NEAR, **ABANDONED}, "newest", "by_issue_and_point (issue_type=? AND latitude>? AND latitude<?)"),
     ({**NEAR, **ABANDONED}, "closest", "by_issue_and_point (issue_type=? AND latitude>? AND latitude<?)"),
     ({"bia": "Cambie Village BIA", **ABANDONED}, "newest", "by_place_day_and_issue"),
     ({}, "overdue", "open_by_issue"), ({**NEAR, "radius": 2000}, "overdue", "open_by_place")],
    ids=str,
)  # fmt: skip
def test_what_is_sorted_is_told_by_an_index_alone(release, filter_, order, index):
    with planned() as steps:
        read_page(release, requests.seen(release, filter_, order), None, 25)
    assert any(f"COVERING INDEX service_requests_{index}" in step for step in steps), steps


def test_what_is_counted_long_is_counted_to_a_lower_bound(release, monkeypatch):
    listing, latitude = requests.requests(release, {}), service_requests.c.latitude
    place, few, enough = listing.columns.index("latitude"), 1_000, 10_000_000
    for tried, bound in (((10_000, enough), (500, enough)), 10_000), (((10_000, few), (500, enough)), 500):
        monkeypatch.setattr(pages, "COUNTS", tried)
        first = [row[place] for row in read_page(release, listing, None, bound).rows]
        assert count_first(release, listing, latitude) == (bound, bound - first.count(None), bound)
    monkeypatch.setattr(pages, "COUNTS", ((10_000, few),))
    assert count_first(release, listing, latitude) is None


@pytest.mark.parametrize(
    ("filter_", "order", "which"),
    [({}, "newest", "1"), (KITSILANO, "newest", "local_area = 'Kitsilano'"), (ABANDONED, "oldest", "issue_type = :issue"),
     ({**KITSILANO, **ABANDONED}, "newest", "local_area = 'Kitsilano' AND issue_type = :issue"),
     ({"department": "eng"}, "newest", "department LIKE 'ENG - %'"),
     ({"department": "311 Contact Centre"}, "newest", "department = '311 Contact Centre'"),
     ({"channel": "WEB"}, "newest", "channel = 'WEB'"), ({}, "longest", "status = 'Open'"),
     ({**KITSILANO, "status": "Open"}, "newest", "local_area = 'Kitsilano' AND status = 'Open'"),
     ({**KITSILANO, "department": "eng"}, "overdue", "local_area = 'Kitsilano' AND department LIKE 'ENG - %' AND status = 'Open'"),
     ({"overdue": "yes"}, "overdue", LATE), ({"overdue": "yes", **KITSILANO}, "newest", f"local_area = 'Kitsilano' AND {LATE}"),
     ({"overdue": "yes", "department": "eng", "status": "Open"}, "longest", f"department LIKE 'ENG - %' AND {LATE}"),
     ({"street": "CAMBIE ST"}, "newest", "address LIKE '%CAMBIE ST%'"),
     ({"street": "CAMBIE ST", "status": "Open"}, "newest", "address LIKE '%CAMBIE ST%' AND status = 'Open'")],
    ids=str,
)  # fmt: skip
def test_how_many_there_are_is_known_without_going_through_them(release, filter_, order, which):
    question = sa.text(f"SELECT count(*) FROM service_requests WHERE {which}").columns(sa.column("number", sa.INTEGER))
    [(expected,)] = release.rows(question, values=ABANDONED)
    assert requests.number(release, filter_, order) == expected > 0


@pytest.mark.parametrize(
    "filter_",
    [{"street": "CAMBIE ST", "status": "Close"}, {"street": "CAMBIE ST", **KITSILANO}, {**KITSILANO, "channel": "WEB"},
     {"opened_from": "2025-01-01"}, {"status": "Open", "channel": "WEB"}, {"overdue": "yes", "channel": "WEB"}],
    ids=str,
)  # fmt: skip
def test_how_many_there_are_is_not_told_from_what_says_less(release, filter_):
    assert requests.number(release, filter_) is None


def test_many_at_places_are_come_by_from_day_to_day(release, monkeypatch):
    asked = {**NEAR, "radius": 2000, "channel": "Phone"}
    few = read_page(release, requests.requests(release, asked), None, 100).rows
    monkeypatch.setattr(requests, "_FEW_AT_PLACES", 1)
    with planned() as steps:
        many = read_page(release, requests.requests(release, asked), None, 100).rows
    assert through_all(steps) == ["SCAN service_requests USING INDEX service_requests_by_day"]
    assert few == many != []


@pytest.mark.parametrize("begin", [{}, {"since": "2025-01-01"}, {"since": "2025-01-01T00:00:00Z"}, {"after": 7}])
def test_changes_are_looked_up(release, begin):
    of_kind = ({"kind": "relabelled"}, ABANDONED, {"department": "311 Contact Centre"})
    for filter_ in (*of_kind, *([{}] if begin else [])):
        with planned() as steps:
            read_page(release, changes.changes(release, **begin, **filter_), None, 100)
        assert through_all(steps) == []
        assert not any("TEMP B-TREE" in step for step in steps)


def test_names_and_a_request_with_its_history_are_looked_up(release):
    renamed = sa.text("SELECT request_id, previous_request_id FROM request_changes WHERE kind = 'relabelled'")
    [one, *_] = release.rows(renamed)  # type: ignore[arg-type]
    with planned() as steps:
        for id_ in (*one, "0" * 64):
            requests.remembered(release, id_)
        release.rows(sa.text("SELECT * FROM observed_times WHERE thread_id = :one").bindparams(one=one[0]))  # type: ignore[arg-type]
        for question in KINDS.values():
            release.rows(question)
    assert through_all(steps) == []


@pytest.mark.parametrize("view", [View(**ABANDONED), View(**KITSILANO), View(**KITSILANO, **ABANDONED)])
def test_the_newest_changes_are_the_same_whichever_way_they_are_found(release, view, monkeypatch):
    with planned() as by_request:
        looked_up = tables.newest_changes(release, view)
    monkeypatch.setattr(tables, "FEW_REQUESTS", 1)
    with planned() as by_change:
        gone_through = tables.newest_changes(release, view)
    assert through_all(by_request) == []
    assert set(through_all(by_change)) <= {"SCAN request_changes"}
    assert looked_up == gone_through
    assert looked_up
