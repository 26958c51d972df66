"""Lists of requests and single ones, as pages and as files: each is recomputed by other SQL, and what the city writes is harmless."""

import csv
import io
import re
from datetime import date, datetime
from html import unescape

import openpyxl
import pytest
import requests

from vanc311_pipeline.dashboard import requests as lists
from vanc311_pipeline.reading import pages
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.settings import LICENCE
from vanc311_pipeline_tests.integration.api.test_requests import changed
from vanc311_pipeline_tests.integration.dashboard.conftest import Ask, served
from vanc311_pipeline_tests.integration.planting import execute

FORMULA, MARKUP = '=HYPERLINK("http://x")', "<b>1 MAIN ST</b>"
RENAMED, GONE, SHARED, UNKNOWN = ("".join(digit * 64) for digit in "abcd")
PLANTED = [
    f"UPDATE service_requests SET closure_reason = '{FORMULA}' WHERE rowid = 9999",
    f"UPDATE service_requests SET address = '{MARKUP}' WHERE rowid = (SELECT max(rowid) FROM service_requests WHERE address IS NOT NULL)",
    f"INSERT INTO places SELECT max(place) + 1, '{MARKUP}', NULL, NULL, 'MAIN ST', NULL, NULL, NULL, 1, 0 FROM places",
    changed(1, "edited", before="""'{"status":"Close"}'""", after="""'{"status":"Open"}'"""),
    changed(2, "relabelled", previous=f"'{RENAMED}'", after="""'{"issue_type":"x"}'""", seen="2026-01-14T15:00:00Z"),
    changed(3, "vanished", id=f"'{GONE}'", thread=f"'{GONE}'", before="""'{"status":"Open","address":"77 GONE ST"}'"""),
    changed(4, "edited", id=f"'{SHARED}'", thread=f"'{SHARED}'", sharing=2, after="""'{"status":"Open"}'"""),
]
LIMIT = "(SELECT opened_before FROM overdue_limits AS l WHERE l.issue_type = r.issue_type)"
# The address of a list, which of the requests it has, and their order.
AFTER_A_WORD = "substr({0}, instr({0}, ' ') + 1)"
NUMBERLESS = f"iif(address GLOB '[0-9]*', {AFTER_A_WORD.format('address')}, address)"
# 1800 to 1800 VINE ST is a block of Vine St, 2800 BURRARD ST and W 12TH AV a crossing.
OF_BLOCK = f"iif(address GLOB '* to [0-9]*', {AFTER_A_WORD.format(AFTER_A_WORD.format(NUMBERLESS))}, {NUMBERLESS})"
STREET = f"substr({OF_BLOCK}, 1, instr({OF_BLOCK} || ' and ', ' and ') - 1)"
LISTS = [
    ("area=kitsilano&status=open&order=overdue", "local_area = 'Kitsilano' AND status = 'Open'",
     f"coalesce(julianday({LIMIT}) - julianday(opened_on), -1e6) DESC, rowid DESC"),
    ("department=pr&status=open&order=longest", "department LIKE 'PR - %' AND status = 'Open'", "opened_on, rowid"),
    ("street=CAMBIE%20ST", "address LIKE '%CAMBIE ST%'", "opened_on DESC, rowid DESC"),
    ("issue=garbage-bin-request&closed_from=2024-06-01&closed_to=2024-06-10",
     "issue_type = 'Garbage Bin Request Case' AND closed_on BETWEEN '2024-06-01' AND '2024-06-10'",
     "closed_on DESC, rowid DESC"),
    ("department=eng&overdue=yes", f"status = 'Open' AND department LIKE 'ENG - %' AND opened_on < {LIMIT}",
     f"julianday({LIMIT}) - julianday(opened_on) DESC, rowid DESC"),
    ("area=kitsilano&order=problem", "local_area = 'Kitsilano' AND status = 'Open'",
     f"issue_type, coalesce({STREET}, ''), rowid"),
    ("overdue=yes&order=oldest", f"status = 'Open' AND opened_on < {LIMIT}", "opened_on, rowid"),
]  # fmt: skip


@pytest.fixture(scope="module")
def get(site):
    """What is at an address, without following where it leads."""
    return lambda path, status=200: _checked(requests.get(site + path, allow_redirects=False, timeout=60), status)


def _checked(response: requests.Response, status: int) -> requests.Response:
    assert response.status_code == status, response.text[:500]
    return response


def text_of(page: requests.Response) -> str:
    """The words of a page's content."""
    [content] = re.findall(r"<main.*?</main>", page.text, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", content)).split())


def ids_of(page: requests.Response) -> list[str]:
    return re.findall(r'<tr><t[dh][^>]*><a href="/requests/([0-9a-f]{64})"', page.text)


def walked(get, path: str) -> list[str]:
    """The requests of all pages of a list."""
    page = get(path)
    ids = ids_of(page)
    while following := re.findall(r'href="([^"]+)" rel="next"', page.text):
        assert len(ids) % lists.ROWS == 0
        page = get(unescape(following[0]))
        ids += ids_of(page)
    return ids


@pytest.mark.parametrize(("asked", "where", "order"), LISTS, ids=[asked for asked, *_ in LISTS])
def test_pages_and_files_are_the_whole_list_once_in_its_order(get, ask: Ask, asked, where, order):
    rows = ask(
        f"""SELECT request_id, address, latitude, opened_on, status, closed_on FROM service_requests AS r
            WHERE {where} ORDER BY {order}"""
    )
    ids = [row[0] for row in rows]
    assert walked(get, f"/requests?{asked}") == ids
    located = sum(row[2] is not None for row in rows)
    words = f"{len(ids):,} request{'s' * (len(ids) != 1)}; {located:,} of {len(ids):,} ha{'s' if located == 1 else 've'} a location."
    page = get(f"/requests?{asked}")
    assert words in text_of(page)
    assert page.headers["x-robots-tag"] == "noindex"

    lines = list(csv.DictReader(io.StringIO(get(f"/requests.csv?{asked}").content.decode("utf-8-sig"), newline="")))
    words_of = {"Open": "open", "Close": "closed"}
    assert [(line["request_id"], line["opened_on"], line["status"]) for line in lines] == [
        (row[0], row[3], words_of[row[4]]) for row in rows
    ]
    book = openpyxl.load_workbook(io.BytesIO(get(f"/requests.xlsx?{asked}").content))
    head, *cells = book["Requests"].values
    assert head == lists.FILE_COLUMNS
    assert [row[0] for row in cells] == ids
    assert [row[head.index("opened_on")] for row in cells] == [datetime.fromisoformat(row[3]) for row in rows]
    notes = dict(list(book["Notes"].values))
    assert (notes["Requests"], notes["Licence"], notes["Address"]) == (words, LICENCE, f"/requests?{asked}")
    assert notes["As of"].date() == date.fromisoformat(ask("SELECT as_of FROM release")[0][0])

    points = get(f"/requests.geojson?{asked}").json()
    assert [point["properties"]["id"] for point in points["features"]] == [row[0] for row in rows if row[2] is not None]
    assert [points[name] for name in ("requests", "located", "shown")] == [len(ids), located, located]
    assert len(ids) > 1


def test_how_many_there_are_is_exact_where_the_file_says_so_though_fewer_are_gone_through(get, ask: Ask, monkeypatch):
    monkeypatch.setattr(pages, "COUNTS", ((27, 1_000_000),))
    points = ask(
        "SELECT latitude FROM service_requests WHERE channel = 'Mobile App' ORDER BY opened_on DESC, rowid DESC"
    )
    located = sum(latitude is not None for (latitude,) in points[:27])
    number = f"{len(points):,} requests; {located} of the first 27 (newest first) have a location."
    assert f"× {number}" in text_of(get("/requests?channel=Mobile%20App"))


def test_how_many_there_are_is_else_known_up_to_a_bound(get, monkeypatch):
    monkeypatch.setattr(pages, "COUNTS", ((27, 1_000_000),))
    assert "At least 27 requests" in text_of(get("/requests?area=kitsilano&channel=WEB"))
    monkeypatch.setattr(pages, "COUNTS", ())
    assert "At least 25 requests" in text_of(get("/requests?channel=WEB&overdue=yes"))


def test_what_is_too_much_is_bounded_and_said_so(get, ask: Ask, monkeypatch):
    monkeypatch.setattr(lists, "COUNTED", 100)
    monkeypatch.setattr(pages, "COUNTS", ((100, 1_000_000),))
    monkeypatch.setattr(lists, "POINTS", 10)
    monkeypatch.setattr(lists, "ROWS_OF_A_FILE", 60)
    asked = "status=open&channel=Phone"
    first = ask(
        """SELECT request_id, latitude FROM service_requests WHERE status = 'Open' AND channel = 'Phone'
           ORDER BY opened_on DESC, rowid DESC LIMIT 100"""
    )
    located = sum(latitude is not None for _, latitude in first)
    page = text_of(get(f"/requests?{asked}"))
    assert f"At least 100 requests; {located} of the first 100 (newest first) have a location." in page
    assert "at most the first 60 requests" in page
    lines = get(f"/requests.csv?{asked}").content.decode("utf-8-sig").splitlines()
    assert [line[:64] for line in lines[1:]] == [id_ for id_, _ in first[:60]]
    points = get(f"/requests.geojson?{asked}").json()
    ids = [point["properties"]["id"] for point in points["features"]]
    assert ids == [id_ for id_, latitude in first if latitude is not None][:10]
    assert (points["shown"], points["bounded"]) == (10, True)


def test_days_open_standing_and_overdue_are_those_of_the_tables(get, ask: Ask):
    rows = ask(
        f"""SELECT request_id, CAST(julianday(release.as_of) - julianday(opened_on) AS INTEGER), closed_sooner_share,
                   CASE WHEN {LIMIT} IS NULL THEN '' WHEN opened_on < {LIMIT} THEN 'yes' ELSE 'no' END,
                   CAST(julianday({LIMIT}) - julianday(opened_on) AS INTEGER)
            FROM service_requests AS r JOIN release LEFT JOIN open_request_standing USING (request_id)
            WHERE status = 'Open' AND local_area = 'Kitsilano' ORDER BY opened_on, r.rowid"""
    )
    lines = csv.DictReader(get("/requests.csv?area=kitsilano&status=open&order=longest").text.splitlines())
    assert [tuple(line[name] for name in ("days_open", "longer_than_share", "overdue")) for line in lines] == [
        (str(days), "" if share is None else str(share), overdue) for _, days, share, overdue, _ in rows
    ]
    page = get("/requests?area=kitsilano&status=open&order=longest")
    texts = [unescape(row) for row in re.findall(r"<tr><t[dh] [^>]*><a.*?</tr>", page.text)]
    for text, (id_, days, share, overdue, over) in zip(texts, rows, strict=False):
        assert id_ in text
        assert f"open for {days} day" in text
        assert (f"overdue by {over} day" in text) == (overdue == "yes")
        unknown = "longer than nine in ten of its kind" if overdue == "yes" else "too few of its kind"
        assert (
            f"longer than {100 * share:.1f} % of its kind"
            if share
            else unknown
            if share is None
            else "none of its kind was closed sooner"
        ) in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "none of its kind was"), (0.0004, "longer than fewer than 1 in 1,000"), (0.123, "longer than 12.3 %"),
     (0.9996, "longer than more than 999 in 1,000"), (1, "all of its kind were")],
)  # fmt: skip
def test_a_share_too_near_none_or_all_for_its_digits_is_said_in_words(share, text):
    assert lists.longer_than(share).startswith(text)


def test_a_group_of_departments_that_nobody_spelled_out_has_a_list_by_its_letters(own_file):
    for table in ("service_requests", "time_to_close"):
        execute(own_file, f"UPDATE {table} SET department = 'HR - Bylaw Fines' WHERE department = 'FSC - Bylaw Fines'")
    with served(own_file) as address:
        answer = requests.get(f"{address}/requests?department=HR", timeout=60)
    assert answer.url == f"{address}/requests?department=hr"
    assert answer.status_code == 200
    assert "HR (all branches)" in answer.text
    assert "10 requests; " in answer.text


ADDRESSES = [
    ("/requests/", "/requests"),
    ("/Requests?area=Kitsilano", "/requests?area=kitsilano"),
    ("/requests?order=newest&status=&who=me&area=Kitsilano", "/requests?area=kitsilano"),
    ("/requests?status=Close&issue=Garbage+Bin+Request+Case", "/requests?issue=garbage-bin-request&status=closed"),
    ("/requests?department=ENG&channel=web", "/requests?department=eng&channel=WEB"),
    ("/requests?near=49.282701,-123.1207&radius=9999", "/requests?near=49.2827,-123.1207&radius=2000"),
    ("/requests?radius=100&order=closest", "/requests"),
    ("/requests?street=cambie+st&after=nothing", "/requests?street=CAMBIE%20ST"),
    ("/requests?address=453+w+12th+av", "/requests?address=453%20W%2012TH%20AV"),
    ("/requests.csv?order=newest&after=x", "/requests.csv"),
    ("/requests?order=overdue&overdue=yes", "/requests?overdue=yes"),
    ("/requests?order=newest&overdue=on", "/requests?overdue=yes&order=newest"),
    ("/requests?status=closed&overdue=yes&order=longest", "/requests?status=closed"),
]


@pytest.mark.parametrize(("spelling", "address"), ADDRESSES)
def test_a_list_has_one_address(get, site, spelling, address):
    while spelling != address:
        following = get(spelling, 308).headers["location"].removeprefix(site)
        assert following != spelling
        spelling = following
    get(address)


@pytest.mark.parametrize(
    ("asked", "status"),
    [("area=kitsilan", 404), ("street=NOWHERE", 404), ("address=1", 404), ("opened_from=2024-02-30", 422), ("near=x", 422),
     ("near=kitsilano", 422), ("status=lost", 422), ("order=best", 422), ("near=49,-123&radius=far", 422), ("near=89,1", 422)],
)  # fmt: skip
def test_what_means_nothing_is_refused_on_a_page(site, asked, status):
    refusal = requests.get(f"{site}/requests?{asked}", headers={"accept": "text/html"}, timeout=60)
    assert refusal.status_code == status
    assert "<h1>" in refusal.text
    assert re.split("[&=]", asked)[-2] in refusal.text


def test_each_chip_takes_one_thing_away(get):
    asked = "area=kitsilano&issue=garbage-bin-request&status=open&opened_from=2024-01-01&order=longest"
    page = get(f"/requests?{asked}")
    taken = [unescape(link) for link in re.findall(r'<li><a href="([^"]+)" aria-label="[^"]+: remove"', page.text)]
    parts = asked.split("&")
    assert taken == [f"/requests?{'&'.join(part for part in parts if part != gone)}" for gone in parts[:-1]]
    near = get("/requests?near=49.2827,-123.1207&radius=250&order=closest").text
    assert '<a href="/requests" aria-label="within 250 m of a point by ' in near


@pytest.mark.parametrize(
    ("kind", "labels"),
    [("address", "SELECT DISTINCT address FROM places WHERE address NOT LIKE '<%'"), ("street", "SELECT DISTINCT street FROM places"),
     ("street", "SELECT DISTINCT cross_street FROM places"), ("channel", "SELECT DISTINCT channel FROM service_requests")],
)  # fmt: skip
def test_what_the_city_writes_in_capitals_is_read_in_small_letters(ask: Ask, kind, labels):
    capitals, directions = re.compile(r"[A-Z]{3,}|\d(ST|ND|RD|TH)\b"), re.compile(r"(?<![\w'])(?:[NS]?[EW]|N|S)(?!\w)")
    for label in (label for (label,) in ask(labels) if label):
        name = plain(kind, label)
        assert name.casefold() == label.casefold()
        assert not capitals.search(name)
        assert directions.findall(name) == directions.findall(label)
        assert "  " not in name


def test_the_form_holds_what_is_chosen(get):
    page = get("/requests?area=kitsilano&street=CAMBIE%20ST&status=closed").text
    assert '<option value="Kitsilano" selected>' in page
    assert 'value="Cambie St"' in page
    assert '<option value="closed" selected>' in page
    assert '<option value="" selected>newest first</option>' in page
    late = get("/requests?overdue=yes").text
    assert '<option value="" selected>most overdue first</option>' in late
    assert '<option value="newest">newest first</option>' in late


def test_that_a_type_has_no_addresses_is_from_the_data(get, ask: Ask):
    types = dict(ask("SELECT issue_type, count(address) FROM service_requests GROUP BY issue_type"))
    for issue, slug in {
        "Garbage Bin Request Case": "garbage-bin-request",
        "Abandoned Mattress Case": "abandoned-mattress",
    }.items():
        for more in ("", "&street=CAMBIE%20ST"):
            said = "requests are published without an address: none of all" in text_of(
                get(f"/requests?issue={slug}{more}")
            )
            assert said == (types[issue] == 0)


def test_what_the_city_writes_is_harmless(get, ask: Ask):
    [(id_,)] = ask("SELECT request_id FROM service_requests WHERE rowid = 9999")
    [(marked,)] = ask("SELECT request_id FROM service_requests WHERE address = ?", MARKUP)
    [day, other] = [
        ask("SELECT opened_on FROM service_requests WHERE request_id = ?", each)[0][0] for each in (id_, marked)
    ]
    for asked, cell, column in ((day, FORMULA, "closure_reason"), (other, MARKUP, "address")):
        path = f"?opened_from={asked}&opened_to={asked}"
        book = openpyxl.load_workbook(io.BytesIO(get(f"/requests.xlsx{path}").content))
        found = [each for row in book["Requests"].rows for each in row if each.value == cell]
        assert [each.data_type for each in found] == ["s"]
        lines = csv.DictReader(io.StringIO(get(f"/requests.csv{path}").content.decode("utf-8-sig"), newline=""))
        assert (f"'{cell}" if cell == FORMULA else cell) in [line[column] for line in lines]
    page = get(f"/requests/{marked}").text
    shown = plain("address", MARKUP)
    assert shown not in page
    assert shown in unescape(page)


# -- one request -------------------------------------------------------------------------------------------------------


def test_an_open_request_says_how_long_and_where_it_stands(get, ask: Ask):
    [one, *_] = ask(
        f"""SELECT r.request_id, s.days_open, s.closed_sooner_share, s.n, s.followed, s.further_median, {LIMIT} > opened_on, r.address
            FROM service_requests AS r JOIN open_request_standing AS s USING (request_id)
            WHERE s.state = 'ok' AND r.address IS NOT NULL ORDER BY s.days_open DESC"""
    )
    id_, days, share, n, followed, further, overdue, address = one
    page = get(f"/requests/{id_}")
    words = text_of(page)
    assert f"Open for {days} day" in words
    assert f"longer than {100 * share:.1f} % of its kind took (n = {n:,}, opened" in words
    assert f"of {followed} still open as long, half were closed within {further} day" in words
    assert ("it is overdue" in words) == bool(overdue)
    assert plain("address", address) in words
    assert page.headers["x-robots-tag"] == "noindex"


def test_a_closed_request_is_set_beside_its_kind(get, ask: Ask):
    [(id_, days, median, p90, n)] = ask(
        """SELECT request_id, days_to_close, median_days, p90_days, n FROM service_requests AS r JOIN time_to_close AS t
           ON t.issue_type = r.issue_type AND t.level = 'issue' AND t.scope = 'all' AND t.period = 'all' AND p90_days > 1
           WHERE r.status = 'Close' AND days_to_close > 1 AND NOT EXISTS (
               SELECT 1 FROM time_to_close AS u WHERE u.issue_type = r.issue_type AND u.level = 'issue' AND u.scope = 'all'
               AND u.period = 'last_12_months' AND u.median_state = 'ok') ORDER BY r.rowid DESC LIMIT 1"""
    )
    words = text_of(get(f"/requests/{id_}"))
    assert f"Closed after {days} days" in words
    half = "the same day" if median == 0 else f"{median} day"
    assert re.search(
        f"Half of its kind are closed within {half}s?, nine in ten within {p90} days \\(n = {n:,}, opened at any time\\)",
        words,
    )


def test_repeats_and_open_neighbours_are_those_of_the_file(get, ask: Ask):
    [(id_, address, day)] = ask(
        """SELECT request_id, address, opened_on FROM service_requests AS r WHERE status = 'Open' AND address IN (
               SELECT address FROM places GROUP BY address HAVING sum(requests) BETWEEN 3 AND 9) ORDER BY rowid DESC LIMIT 1"""
    )
    page = get(f"/requests/{id_}")
    others = ask(
        """SELECT request_id FROM service_requests WHERE address = ? AND request_id <> ?
           AND abs(julianday(opened_on) - julianday(?)) <= 365""",
        address, id_, day,
    )  # fmt: skip
    listed = ids_of(page)
    assert {each for (each,) in others} == set(listed[: len(others)])
    assert id_ not in listed
    statuses = dict(ask("SELECT request_id, status FROM service_requests"))
    assert {statuses[each] for each in listed[len(others) :]} == {"Open"}


def test_every_change_is_shown_with_its_time_in_vancouver(get, ask: Ask):
    [(id_,)] = ask("SELECT request_id FROM service_requests ORDER BY rowid LIMIT 1")
    words = text_of(get(f"/requests/{id_}"))
    assert "15 January 2026" not in words
    assert "13 January 2026, 07:00 record edited Status: Close → Open" in words
    assert "14 January 2026, 07:00 called otherwise by the city Type: – → x" in words
    assert get(f"/requests/{RENAMED}", 308).headers["location"] == f"/requests/{id_}"
    assert get(f"/requests/{id_.upper()}", 308).headers["location"] == f"/requests/{id_}"


def test_what_is_gone_is_remembered_and_what_never_was_is_not(get):
    words = text_of(get(f"/requests/{GONE}"))
    assert "Gone from the city’s data since its release of 13 January 2026, 06:06" in words
    assert "77 Gone St" in words
    shared = text_of(get(f"/requests/{SHARED}"))
    assert "2 requests share department, type and minute of opening" in shared
    assert "Which request this became can’t be told" in shared
    get(f"/requests/{UNKNOWN}", 404)
    get("/requests/unheard-of", 404)
