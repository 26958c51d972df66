"""Claims about the pages as HTML: their numbers are the file's, their addresses hold, hostile names are shown as names."""

import csv
import html
import io
import re
import sqlite3
from contextlib import closing
from urllib.parse import quote
from xml.etree import ElementTree
from zipfile import ZipFile

import dagster as dg
import pandas as pd
import pytest
import requests

from vanc311_pipeline import calibration
from vanc311_pipeline.dashboard.figure_files import KINDS
from vanc311_pipeline.dashboard.figures import FIGURES, placed
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.definitions import build_definitions
from vanc311_pipeline.metric_definitions import FAMILIES, METRICS
from vanc311_pipeline.reading.labels import plain
from vanc311_pipeline.settings import LICENCE, Settings
from vanc311_pipeline_tests.integration.dashboard.conftest import served
from vanc311_pipeline_tests.integration.planting import execute

ISSUE = "Street Light Out Case"
PAGES = [
    "/", "/speed", "/quality", "/methods", "/data", "/api", "/areas/kitsilano", "/issues/street-light-out",
    "/areas/kitsilano/street-light-out",
]  # fmt: skip


def get(address: str, **options) -> requests.Response:
    return requests.get(address, timeout=60, **options)


def text_of(page: str) -> str:
    """What a reader reads: without scripts and marks."""
    return html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<script.*?</script>", " ", page, flags=re.DOTALL)))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_as_of_when_and_whose_data_it_shows(site, path, ask):
    answer = get(site + path)
    [(release_as_of,)] = ask("SELECT as_of FROM release")
    assert answer.status_code == 200
    assert f'<time datetime="{release_as_of}">' in answer.text
    assert LICENCE in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_for_nothing_from_elsewhere_and_runs_nothing_inline(site, path):
    answer = get(site + path)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(answer.raw.headers.getlist("Content-Security-Policy")) == 1
    assert not re.findall(r"""=["'](?:https?:)?//""", answer.text)
    assert not re.findall(r"<style|\sstyle=|\son\w+=", answer.text)
    assert all('type="application/json"' in tag or "src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))


WAITS = "/issues/building-and-development-inquiry"
"""Of which enough is known in some areas."""


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_there_as_picture_and_as_table_with_the_same_numbers(site, name):
    page, query = (
        (WAITS, f"issue={WAITS[8:]}&period=all")
        if name == "areas-by-wait"
        else (placed(View(), name).url, "period=all")
    )
    answers = {kind: get(f"{site}/figures/{name}.{kind}?{query}") for kind in ("svg", "png", "csv", "json")}
    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert LICENCE in "".join(ElementTree.fromstring(answers["svg"].text).itertext())
    assert set(re.findall(r"https?://[^/\"]*", answers["svg"].text)) == {"http://www.w3.org"}
    assert "default-src 'none'" in answers["svg"].headers["Content-Security-Policy"]
    assert answers["png"].content.startswith(b"\x89PNG")
    rows = list(csv.reader(io.StringIO(answers["csv"].content.decode("utf-8-sig"), newline="")))
    read = pd.read_csv(io.BytesIO(answers["csv"].content))
    assert (list(read.columns), len(read)) == (rows[0], len(rows) - 1)
    section = get(f"{site}{page}?period=all").text.partition(f'id="{name}"')[2]
    shown, end, _ = section.partition("</figure>")
    assert end
    assert f'<a data-copy="link" href="{page}?period=all#{name}">' in shown
    assert 0 < len(re.findall(r"<tr>", shown)) <= min(len(rows), 25)
    assert "Source: City of Vancouver, 3-1-1 · as of" in "".join(ElementTree.fromstring(answers["svg"].text).itertext())


def test_a_dark_picture_is_another_one_and_so_are_those_of_a_page(site):
    modes = ("light", "dark", "full", "wide", "narrow")
    pictures = {get(f"{site}/figures/outcomes.svg?period=all&mode={mode}").text for mode in modes}
    assert len(pictures) == len(modes)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("opened-and-closed.svg?area=Kitsilano", "opened-and-closed-kitsilano-{}.svg"),
        ("backlog.csv", "backlog-all-of-vancouver-{}.csv"),
        (f"outcomes.png?issue={quote(ISSUE)}&period=2024", "outcomes-street-light-out-2024-{}.png"),
    ],
)
def test_a_file_is_named_for_its_figure_its_view_and_its_day(site, address, file, ask):
    [(as_of,)] = ask("SELECT as_of FROM release")
    answer = get(f"{site}/figures/{address}")
    assert f'filename="{file.format(as_of)}"' in answer.headers["Content-Disposition"]


def test_every_card_leads_to_its_definition(site):
    methods = get(f"{site}/methods").text
    links = re.findall(r'Definition: <a href="/methods#(\w+)"', get(f"{site}/").text)
    assert len(links) == 4
    assert all(f'id="{metric}"' in methods for metric in links)
    assert all(f'id="{metric}"' in methods for metric in METRICS)


def test_each_rule_leads_to_how_often_it_is_wrong_in_simulated_worlds(site):
    methods, simulated = (get(site + path).text for path in ("/methods", "/methods/simulated"))
    sections = dict(re.findall(r'<section class="block" id="(\w+)">(.*?)</section>', simulated, re.DOTALL))
    for family in FAMILIES:
        if lines := calibration.read().about(family):
            name = family.metrics[0].name
            assert f'href="/methods/simulated#{name}"' in methods
            assert f"<h2>{family.title}</h2>" in sections[name]
            rows = re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", sections[name])
            cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
            assert [[line.table, *line.cells] for line in lines] == cells


def test_every_link_on_a_page_leads_somewhere(site):
    pages = [get(site + path).text for path in ("/", "/speed", "/data", "/api", "/quality", "/methods")]
    addresses = {html.unescape(link) for page in pages for link in re.findall(r'href="(/[^"]*)"', page)}
    links = [link for link in addresses if not link.startswith(("/issues/", "/figures/"))]
    assert len(links) > 50
    examples = re.findall(r'"http://127\.0\.0\.1:8311(/api/v1/[^"$]*)"', html.unescape(pages[3]))
    assert len(examples) > 20
    links += examples
    assert {link: code for link in links if (code := get(site + link).status_code) != 200} == {}


def test_a_static_file_never_changes_under_its_address(site):
    styled = re.findall(r'href="(/static/style.css[^"]*)"', get(f"{site}/methods").text)[0]
    assert get(site + styled).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    led = get(f"{site}/static/style.css", allow_redirects=False)
    assert (led.headers["Location"], led.headers["Cache-Control"]) == (styled, "no-cache")


def test_whoever_asks_without_reading_is_answered(site, own_file, tmp_path):
    health, robots, icon = (get(site + path) for path in ("/healthz", "/robots.txt", "/favicon.ico"))
    assert (health.text, health.headers["Cache-Control"]) == ("ok\n", "no-store")
    assert robots.text.startswith("User-agent: *\nDisallow: /api/v1/\n")
    assert ElementTree.fromstring(icon.text).tag.endswith("svg")
    with served(tmp_path / "none.sqlite") as address:
        assert [get(address + path).status_code for path in ("/healthz", "/robots.txt", "/favicon.ico")] == [
            503,
            200,
            200,
        ]


@pytest.mark.parametrize("path", PAGES)
def test_the_first_view_is_small(site, path):
    """A page with all its pictures, and what it is made of."""
    page = get(site + path).text
    addresses = [
        path,
        *(html.unescape(link) for link in re.findall(r'(?:src|href)="(/(?:static|figures/[^"]*wide)[^"]*)"', page)),
    ]
    assert len(addresses) >= 3
    sizes = []
    for address in set(addresses):
        with get(site + address, stream=True) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            sizes.append(len(answer.raw.read(decode_content=False)))
    assert sum(sizes) < 80_000
    assert len(page.encode()) < 100_000


def test_home_begins_with_one_field_and_the_five_problems_that_areas_report_most(site, ask):
    page = get(f"{site}/?period=2024").text
    assert page.count('type="search"') == 1
    main = page[page.index("<main") :].split('<p class="lead">')[0]
    assert "Is something broken near you? Enter an address, a street or a problem</label>" in main
    counted = ask(
        """SELECT issue_type, count(*) FROM service_requests, periods WHERE local_area IS NOT NULL AND period = 'last_12_months'
           AND opened_on BETWEEN opened_from AND opened_to GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"""
    )
    links = re.findall(r'<a href="([^"]*)">([^<]*)</a> \((\d+)\)', main)
    assert [(html.unescape(name), int(number)) for _, name, number in links] == [
        (plain("issue", issue), number) for issue, number in counted
    ]
    assert [link for link, *_ in links] == [View(None, issue).url for issue, _ in counted]


def test_homes_links_to_the_lists_keep_the_period_and_the_pages_choices_are_named_once(site):
    page = get(f"{site}/?period=2024&scope=located").text
    assert all(f'<a href="/{kind}?period=2024">' in page for kind in ("issues", "areas", "departments"))
    assert "<option>Street light out</option>" in get(f"{site}/compare").text


def test_from_home_one_link_leads_to_what_is_reported_by_month_weekday_hour_and_channel(site):
    [link] = re.findall('<a href="([^"]*)">By month, weekday, hour and channel</a>', get(f"{site}/?scope=located").text)
    address, _, place = link.partition("#")
    assert address == View(scope="located", speed=True).url
    section = get(site + address).text.partition(f'<h2 id="{place}">')[2]
    assert re.findall('<figure class="block" id="([^"]*)"', section) == [
        "opened-and-closed",
        "reported-when",
        "channels",
    ]


def test_what_is_open_in_an_area_can_be_shown_on_a_map(site, own_file, ask):
    page = get(f"{site}/areas/kitsilano").text
    [points] = re.findall(r'data-points="([^"]*)"', page)
    assert html.unescape(points) == "/requests.geojson?area=kitsilano&status=open"
    collection = get(site + html.unescape(points)).json()
    of_area = "FROM service_requests WHERE local_area = 'Kitsilano' AND status = 'Open'"
    assert [(collection["requests"], collection["shown"])] == ask(f"SELECT count(*), count(latitude) {of_area}")
    execute(own_file, "UPDATE service_requests SET status = 'Close' WHERE local_area = 'Kitsilano'")
    with served(own_file) as address:
        assert "data-points" not in get(f"{address}/areas/kitsilano").text


HOSTILE_AREA = "=Kitsilano<script>alert(1)</script>\x1a\ufffe"
HOSTILE_ISSUE = (
    "Pot/hole \"Case\" <img src=x onerror=alert(1)> {{ 7*7 }} & 'more' ; DROP TABLE release -- \x1a\x9b\u202e"
)


CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\ufffe]")


@pytest.fixture
def hostile(own_file):
    """A city in which an area and an issue type are called something that no name should be."""
    with closing(sqlite3.connect(own_file)) as connection, connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column, old, new in (("local_area", "Kitsilano", HOSTILE_AREA), ("issue_type", ISSUE, HOSTILE_ISSUE)):
                if column in columns:
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))
    with served(own_file, "https://311.example") as address:
        yield address


def test_hostile_names_are_shown_as_names(hostile):
    area, issue = quote(HOSTILE_AREA, safe=""), quote(HOSTILE_ISSUE, safe="")
    for path in ("/", f"/areas/{area}", f"/issues/{issue}", f"/?area={area}&issue={issue}"):
        answer = get(hostile + path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "49" not in re.findall(r"<h1[^>]*>(.*?)</h1>", answer.text)[0]
        assert not CONTROL.search(answer.text)
    shown = plain("issue", HOSTILE_ISSUE).replace("\x1a\x9b\u202e", r"\x1a\x9b\u202e")
    assert shown in text_of(get(f"{hostile}/issues/{issue}").text.replace("&lt;", "‹")).replace("‹", "<")
    for figure in ("areas-closings", f"opened-and-closed?issue={issue}&period=all"):
        name, _, query = figure.partition("?")
        for kind in KINDS:
            answer = get(f"{hostile}/figures/{name}.{kind}?{query}")
            assert answer.status_code == 200, answer.text
            assert kind in ("png", "zip") or not CONTROL.search(answer.text)
            if kind == "zip":
                with ZipFile(io.BytesIO(answer.content)) as folder:
                    assert all(
                        re.fullmatch(r"([a-z0-9-]+)/(README\.txt|\1\.[a-z.]+)", part) for part in folder.namelist()
                    )
                    assert not CONTROL.search(folder.read(folder.namelist()[0]).decode())
            if kind == "metadata.json":
                assert not CONTROL.search("".join(map(str, answer.json().values())))
            if kind == "html":
                assert re.findall(r"<(/?\w+)", answer.text) == ["figure", "a", "img", "/a", "/figure"]
        frame = get(f"{hostile}/embed/{name}?{query}")
        asked = quote(f"https://311.example/embed/{name}?{query}", safe="")
        code = get(f"{hostile}/oembed?url={asked}").json()["html"]
        assert frame.status_code == 200
        assert not re.search("<script|<img", frame.text)
        assert not CONTROL.search(frame.text + code)
        assert re.findall(r"<(/?\w+)|\s(\w+)=\"", code) == [
            ("iframe", ""), *(("", word) for word in ("src", "title", "width", "height", "loading", "frameborder")), ("/iframe", ""),
        ]  # fmt: skip
    areas = pd.read_csv(io.BytesIO(get(f"{hostile}/figures/areas-closings.csv").content))["local_area"]
    assert sum(area.startswith("'=Kitsilano<script>") for area in areas) == 1
    assert not any(area.startswith("=") for area in areas)
    svg = get(f"{hostile}/figures/opened-and-closed.svg?issue={issue}&period=all")
    assert plain("issue", HOSTILE_ISSUE)[:20] in "".join(ElementTree.fromstring(svg.text).itertext())


def test_every_link_of_dagsters_ui_leads_to_a_page_and_its_place_there(site):
    specs = build_definitions(Settings(site_url=site)).resolve_all_asset_specs()
    links = {value.url for spec in specs for value in spec.metadata.values() if isinstance(value, dg.UrlMetadataValue)}
    assert len(links) > 5
    for link in links:
        answer = get(link)
        assert answer.status_code == 200, link
        _, _, place = link.partition("#")
        assert not place or f'id="{place}"' in answer.text, link
