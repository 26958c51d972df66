"""Claims about the briefs: made once and only of a whole record; every number on a sheet is the requests'; one sheet, which fetches nothing
and obeys nothing; and what the command and the site say where there is none.
"""

import html
import re
import sys
import zlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import feedparser
import pandas as pd
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner

from vanc311_pipeline import pipeline
from vanc311_pipeline.cli import vanc311
from vanc311_pipeline.dashboard import briefs
from vanc311_pipeline.dashboard.templating import sheet
from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.pipeline import Run
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.standin import StandIn
from vanc311_pipeline.warehouse import drafts
from vanc311_pipeline.warehouse.audits.briefs import facts_recomputed
from vanc311_pipeline.warehouse.engine import Warehouse
from vanc311_pipeline_tests.end_to_end.city import MODIFIED, OPENED, Pipeline, settings_in
from vanc311_pipeline_tests.integration.dashboard.conftest import planted_in, served
from vanc311_pipeline_tests.integration.planting import answers, stored

MONTH = "2025-12"
HOSTILE = '<script>alert(1)</script>" onload="x"&amp;' + "Department of everything that is long " * 12
LATE = "CASE WHEN status = 'Open' AND opened_on < limits.opened_before THEN 1 ELSE 0 END"


def whose(kind: str, name: str) -> str:
    """Which requests a brief is about."""
    quoted = name.replace("'", "''")
    return {
        "city": "true", "area": f"local_area = '{quoted}'", "department": f"department = '{quoted}'",
        "group": f"department GLOB '{quoted.upper()} - ?*'",
    }[kind]  # fmt: skip


def text_of(document: str) -> str:
    return " ".join(html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", document, flags=re.DOTALL)).split())


def numbers_in(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d[\d,.]*\d|\d", text))


@pytest.fixture(scope="module")
def all_briefs(release):
    of = [
        (kind, row["name"], row["address"])
        for _, kinds in briefs.listed(release)
        for kind, rows in kinds.items()
        for row in rows
    ]
    return [(kind, name, briefs.brief_of(release, MONTH, address)) for kind, name, address in of]


def test_there_is_one_of_the_city_each_area_each_department_at_work_and_each_group(all_briefs, ask):
    made = Counter((kind, name) for kind, name, _ in all_briefs)
    at_work = "open_month BETWEEN '2024-12' AND '2025-12' OR closed_on >= '2024-12-01' OR status = 'Open'"
    departments = {name for (name,) in ask(f"SELECT DISTINCT department FROM service_requests WHERE {at_work}")}
    groups = {name.split(" - ")[0].lower() for name in departments if re.match("[A-Z]{2,5} - ", name)}
    areas = {name for (name,) in ask("SELECT local_area FROM local_areas")}
    expected = {("city", "")} | {("area", name) for name in areas} | {("group", name) for name in groups}
    departments_made = {name for kind, name in made if kind == "department"}
    assert set(made) == expected | {("department", name) for name in departments_made}
    assert departments_made <= departments
    assert set(made.values()) == {1}


def test_every_number_on_each_sheet_is_that_of_the_requests(release, all_briefs, ask):
    """Each number in the boxes, the months, the types, the streets and what is said of the overdue ones, in their order."""
    [(as_of,)] = ask("SELECT as_of FROM release")
    months = ", ".join(f"('{number // 12}-{number % 12 + 1:02}')" for number in range(2024 * 12 + 11, 2025 * 12 + 12))
    ask(f"CREATE TEMP VIEW month (m) AS VALUES {months}")
    for kind, name, brief in all_briefs:
        own = f"({whose(kind, name)})"
        rows = ask(
            f"""
            SELECT m, coalesce(sum(opened_on LIKE m || '%'), 0), coalesce(sum(gone LIKE m || '%'), 0),
                   coalesce(sum(opened_on <= m || '-31' AND (status = 'Open' OR gone > m || '-31')), 0)
            FROM month LEFT JOIN (
                SELECT opened_on, status, CASE WHEN status = 'Close' AND (days_to_close IS NOT NULL OR closed_on < opened_on)
                                               THEN max(closed_on, opened_on) END AS gone
                FROM service_requests WHERE {own}
            ) ON true GROUP BY m
            """
        )
        late = f"FROM service_requests LEFT JOIN overdue_limits AS limits USING (issue_type) WHERE {own} AND status = 'Open'"
        [(waiting, judged, overdue)] = ask(f"SELECT count(*), count(limits.n), coalesce(sum({LATE}), 0) {late}")
        types = ask(
            f"SELECT count(*), issue_type FROM service_requests WHERE {own} AND opened_on LIKE '{MONTH}%' "
            "GROUP BY issue_type ORDER BY 1 DESC, 2 LIMIT 5"
        )
        streets = ask(
            f"""
            WITH late AS (SELECT address {late} AND {LATE} AND address IS NOT NULL),
                 street AS (SELECT DISTINCT address, street FROM places UNION SELECT DISTINCT address, cross_street FROM places)
            SELECT count(*), street FROM late JOIN street USING (address) WHERE street IS NOT NULL GROUP BY street ORDER BY 1 DESC, 2 LIMIT 5
            """
        )
        document = sheet(release, brief, None)
        text = text_of(document)
        _, came, went, left_open = rows[-1]
        boxes = f"came in {came:,} {rows[0][1]:,} in December 2024 closed {went:,} {rows[0][2]:,} in December 2024 open at its end {left_open:,}"
        assert boxes in text, name
        assert f"overdue {overdue:,} of {waiting:,} open on " in text, name
        assert f"{judged:,} {'is' if judged == 1 else 'are'} of a type that is judged" in text, name
        cells = re.findall(r'<td class="number">([^<]*)</td>', document)
        assert cells == [
            *(f"{number:,}" for column in (1, 2, 3) for number in (row[column] for row in rows)),
            *(cell for number, _ in types for cell in (f"{number:,}", f"{number / came:.1%}".replace("%", " %"))),
            *(f"{number:,}" for number, _ in streets),
        ], name
        assert brief.about["as_of"] == as_of


def test_against_a_year_before_it_says_what_the_table_says_and_no_more(all_briefs, ask):
    for kind, name, brief in all_briefs:
        levels = {"city": "citywide", "area": "neighbourhood", "department": "department"}
        rows = ask(
            "SELECT measure, requests, requests_year_before, state, verdict, q_value FROM year_on_year WHERE level = ? AND scope = ? "
            "AND coalesce(local_area, department, '') = ?",
            levels.get(kind), "located" if kind == "area" else "all", name,
        )  # fmt: skip
        assert len(rows) == (0 if kind == "group" else 2)
        for measure, now, before, state, verdict, q_value in rows:
            were = "came in" if measure == "opened" else "was closed" if now == 1 else "were closed"
            [told] = [text for text in brief.sentences if f"{now:,} request{'s' * (now != 1)} {were}: " in text]
            assert before is None or now + before == 0 or f"{before:,} in the same four weeks a year before" in told
            assert bool(re.search(r"[▲▼]", told)) == (state == "ok" and verdict != "about as many" and q_value <= 0.05)


@pytest.mark.parametrize(
    ("q_value", "sentence"),
    [(0.05, "73 requests came in: ▲ 62.2 % more than the 45 in the same four weeks a year before, which is more than usual "
            "(ordinary: 31 % fewer to 46 % more)."),
     (0.06, "73 requests came in: 62.2 % more than the 45 in the same four weeks a year before, which is more than usual "
            "(ordinary: 31 % fewer to 46 % more); so many groups are compared that this may be chance.")],
)  # fmt: skip
def test_what_is_beyond_the_ordinary_may_yet_be_chance_among_many_groups(all_briefs, q_value, sentence):
    row = {
        "measure": "opened", "days_from": "2025-12-01", "days_to": "2025-12-28", "requests": 73, "requests_year_before": 45,
        "change_on_year": 0.6222, "noise_band": 0.4583, "state": "ok", "verdict": "more", "q_value": q_value,
    }  # fmt: skip
    *_, brief = all_briefs[0]
    told = replace(brief, facts={**brief.facts, "year": {"columns": [*row], "rows": [[*row.values()]]}}).sentences
    assert f"From 1 December to 28 December 2025, {sentence}" in told


def test_a_month_is_told_once_of_a_whole_record_and_again_only_if_nobody_published_it(copied):
    warehouse, file = Warehouse(copied), copied.data_dir / "warehouse.sqlite"
    told = answers(file, "SELECT * FROM briefs ORDER BY brief_id")
    assert pipeline.make_briefs(warehouse, Run("another run")) == 0
    stored(copied, "DELETE FROM briefs", "UPDATE portal_releases SET records_count = records_count + 1")
    assert pipeline.make_briefs(warehouse, Run("another run")) == 0
    stored(copied, "UPDATE portal_releases SET records_count = records_count - 1")
    assert pipeline.make_briefs(warehouse, Run("another run")) == len(told)
    assert [row[:6] for row in answers(file, "SELECT * FROM briefs ORDER BY brief_id")] == [row[:6] for row in told]
    with warehouse.write() as connection:
        drafts.withdraw(connection, copied.published_path)
    assert answers(file, "SELECT count(*) FROM briefs") == [(0,)]


def test_a_month_is_told_with_the_first_release_after_it_settled_and_the_next_tells_what_became_of_it(tmp_path):
    with StandIn() as sample:
        some = sample.frame[::8]

    def known(day: str) -> pd.DataFrame:
        return some[(some[[OPENED, MODIFIED]] < pd.Timestamp(day, tz="UTC")).all(axis=1)].reset_index(drop=True)

    told = []
    with StandIn(requests=known("2024-02-12"), released_at=datetime(2024, 2, 12, 14, tzinfo=UTC)) as portal:
        mirror = Pipeline(settings_in(tmp_path, portal.url))
        for release in (None, datetime(2024, 3, 12, 14, tzinfo=UTC)):
            if release:
                portal.publish(known(f"{release:%Y-%m-%d}"), release)
            mirror.sync_with_all_numbers()
            told.append(mirror.query("SELECT month, as_of, facts FROM briefs WHERE kind = 'city' ORDER BY brief_id"))
        [(came,)] = mirror.query("SELECT count(*) FROM service_requests WHERE opened_on LIKE '2024-01%'")
    january, february = ("2024-01", "2024-02-09"), ("2024-02", "2024-03-11")
    assert [[each[:2] for each in lines] for lines in told] == [[january], [january, february]]
    assert told[0] == told[1][:1]
    with reading(mirror.settings.published_path) as release:
        first, second = (briefs.brief_of(release, month, "city") for month in ("2024-01", "2024-02"))
    said = first.own["opened"]
    assert said < came
    assert f"{said:,} came in, now {came:,} (+{came - said})" in second.revised
    assert second.record.startswith("The 1 release of February 2024")


def test_what_was_said_of_another_state_of_the_record_stays_and_is_not_counted_again(copied):
    stored(copied, "UPDATE briefs SET basis = 'another', facts = replace(facts, '311', '312')")
    with Warehouse(copied).read() as connection:
        assert facts_recomputed.question(connection).counts == {"briefs": 0}


def test_what_became_of_what_the_last_one_said_is_told(synced, tmp_path_factory):
    columns = "brief_id, month, kind, name, address, facts, made_at, as_of, data_processed, definitions_version, basis, run_id"
    earlier = "json_set(facts, '$.months.rows', json('[[\"2025-11\", 5, 0, 100]]'))"
    values = columns.replace("brief_id", "brief_id + 1000").replace("month", "'2025-11'").replace("facts", earlier)
    with reading(
        planted_in(synced, tmp_path_factory, f"INSERT INTO briefs SELECT {values} FROM briefs WHERE kind = 'city'")
    ) as release:
        brief = briefs.brief_of(release, MONTH, "city")
    assert brief.revised == "The brief of November 2025 said: 5 came in, now 3 (−2)."


def test_what_moved_in_the_record_is_told_by_kind(synced, tmp_path_factory):
    counts = "'$.record.rows[0]', json('[12, 0, 1, 40, 1300]'), '$.releases.rows[0]', json('[29, 2, 1]')"
    with reading(
        planted_in(synced, tmp_path_factory, f"UPDATE briefs SET facts = json_set(facts, {counts})")
    ) as release:
        assert briefs.brief_of(release, MONTH, "city").record == (
            "The 29 releases of December 2025 that we saw changed earlier requests: 12 vanished, 1 opened again, 40 corrected in "
            "status, closing date, reason or area and 1,300 edited otherwise. 2 of them were held and not followed. Losses were "
            "followed with consent: 1."
        )


# -- one sheet


@pytest.fixture(scope="module")
def hostile(synced, tmp_path_factory):
    """A published file with a department, a type and a street that no city would name so."""
    name = HOSTILE.replace("'", "''")
    return planted_in(
        synced, tmp_path_factory,
        f"UPDATE briefs SET name = '{name}', address = 'odd', facts = json_set(facts, '$.types.rows[0][0]', '{name}', "
        f"'$.streets.rows', json_array(json_array('{name}', 9)), "
        f"'$.changed.rows', json_array(json_array('{name}', 90, 30, 0.01, 'more'), json_array('{name}', 30, 90, 0.01, 'fewer')), "
        "'$.judged.rows[0]', json('[80, 2]')) WHERE kind = 'department' AND name LIKE 'ENG - San%'",
    )  # fmt: skip


def objects(printed: bytes) -> bytes:
    """What a PDF consists of, unpacked."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", printed, re.DOTALL)
    return b"".join([printed, *(zlib.decompress(stream) for stream in streams if stream.startswith(b"x\xda"))])


def pages_of(printed: bytes) -> int:
    return len(re.findall(rb"/Type */Page\b", objects(printed)))


@pytest.mark.parametrize("paper", briefs.PAPERS)
def test_it_is_one_tagged_sheet_whatever_it_is_called(hostile, paper):
    with reading(hostile) as release:
        for address in ("city", "odd"):
            printed = briefs.pdf(
                sheet(release, briefs.brief_of(release, MONTH, address), "https://311.example.org"), paper
            )
            assert pages_of(printed) == 1
            assert re.search(rb"/MarkInfo *<< */Marked true", objects(printed))
            assert all(part in objects(printed) for part in (b"/StructTreeRoot", b"en-CA"))


@pytest.mark.rehearsal
def test_of_every_subject_it_is_one_sheet(release, all_briefs):
    for _, name, brief in all_briefs:
        assert [pages_of(briefs.pdf(sheet(release, brief, None), paper)) for paper in briefs.PAPERS] == [1, 1], name


def test_a_hostile_name_is_shown_and_not_obeyed(hostile):
    with served(hostile) as site:
        for path in ("/briefs", f"/briefs/{MONTH}/odd"):
            page = requests.get(site + path, timeout=60).text
            assert "&lt;script&gt;alert(1)" in page
            assert "<script>alert" not in page
            assert not re.findall(r"\son\w+=\"", page)


def test_a_pdf_fetches_nothing(answering, tmp_path):
    server, file = answering([b"HTTP/1.0 200 OK\r\n\r\n"]), tmp_path / "secret.png"
    bait = f'<html lang="en"><title>x</title><link rel="stylesheet" href="{server.url}/a.css"><img alt="" src="{server.url}/b.png"><img alt="" src="file://{file}">'
    assert pages_of(briefs.pdf(bait, "letter")) == 1
    assert server.asked == []


# -- where it is found


def test_the_pages_lead_to_it_and_it_leads_to_its_files(site):
    for page, link in (
        ("/", "/briefs"), ("/areas/kitsilano", f"/briefs/{MONTH}/kitsilano"), ("/departments/eng", f"/briefs/{MONTH}/eng"),
        ("/briefs", f"/briefs/{MONTH}/city"), (f"/briefs/{MONTH}/city", f"/briefs/{MONTH}/city.pdf?paper=a4"), ("/briefs", "/briefs.atom"),
    ):  # fmt: skip
        assert f'href="{link}"' in requests.get(site + page, timeout=60).text, page
    newest = requests.get(f"{site}/areas/kitsilano/brief", timeout=60, allow_redirects=False)
    assert (newest.status_code, newest.headers["Location"]) == (303, f"/briefs/{MONTH}/kitsilano")
    printed = requests.get(f"{site}/briefs/{MONTH}/311-contact-centre.pdf", timeout=60)
    assert printed.headers["Content-Type"] == "application/pdf"
    assert f"vanc311-brief-{MONTH}-311-contact-centre.pdf" in printed.headers["Content-Disposition"]
    for nowhere in (f"/briefs/{MONTH}/atlantis", "/briefs/1999-01/city", f"/briefs/{MONTH}/atlantis.pdf"):
        assert requests.get(site + nowhere, timeout=60).status_code == 404


def test_a_feed_reader_is_told_of_each_month(site):
    feed = feedparser.parse(requests.get(f"{site}/briefs.atom", timeout=60).content)
    assert not feed.bozo
    [entry] = feed.entries
    assert (entry.title, urlsplit(entry.link).path) == ("Briefs of December 2025", f"/briefs/{MONTH}/city")
    assert "came in and" in entry.summary


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_as_a_page_it_is_whole_quiet_and_for_everybody(site, visit, width, dark):
    for path in ("/briefs", f"/briefs/{MONTH}/kitsilano"):
        seen = visit(width, dark=dark).open(site + path)
        assert seen.complaints == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert Axe().run(seen.page).response["violations"] == []


def test_on_a_phone_its_months_stand_below_each_other_the_newest_first(site, visit):
    page = visit(360).open(f"{site}/briefs/{MONTH}/city").page
    table = page.locator(".trend .scroll")
    assert table.evaluate("part => part.scrollWidth <= part.clientWidth")
    assert not page.locator(".trend .key").is_visible()
    heading, *months = [cell.bounding_box()["y"] for cell in table.locator("thead th").all()]
    assert len(months) > 2
    assert [heading, *reversed(months)] == sorted([heading, *months])
    for row in table.locator("tbody tr").all():
        assert [cell.bounding_box()["y"] for cell in row.locator("th, td").all()] == [heading, *months]


# -- the command


@pytest.fixture
def command(synced, monkeypatch):
    monkeypatch.setenv("VANC311_DATA_DIR", str(synced.data_dir))

    def run(*words):
        ended = CliRunner().invoke(vanc311, ["brief", *words])
        return ended.exception.exit_code if isinstance(
            ended.exception, SettingsError
        ) else ended.exit_code, ended.output or str(ended.exception)

    return run


def test_the_command_gives_text_a_page_or_a_sheet_or_says_why_not(command, tmp_path, monkeypatch):
    assert command()[0] == 0
    assert "Vancouver in December 2025\n311 requests came in" in command()[1]
    page, printed = tmp_path / "a.html", tmp_path / "new" / "a.pdf"
    assert (
        command("--area", "kitsilano", "--month", MONTH, "--html", str(page), "--pdf", str(printed), "--paper", "a4")[0]
        == 0
    )
    assert "<h1>Kitsilano" in page.read_text()
    assert pages_of(printed.read_bytes()) == 1
    assert command("--department", "ENG")[0] == 0
    for words in (
        ("--month", "1999-01"),
        ("--area", "Atlantis"),
        ("--department", "nobody"),
        ("--area", "Kitsilano", "--department", "ENG"),
        ("--area", ""),
        ("--month", " "),
        ("--html", str(page), "--pdf", str(page)),
    ):
        assert command(*words)[0] == 2, words
    (tmp_path / "no folder").touch()
    assert command("--pdf", str(tmp_path / "no folder" / "a.pdf"))[0] == 2
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    assert command("--pdf", str(printed))[0] == 2


def test_where_nothing_makes_pdfs_the_site_says_what_to_install(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    answer = requests.get(f"{site}/briefs/{MONTH}/sunset.pdf", timeout=60)
    assert (answer.status_code, "vanc311_pipeline[briefs]" in answer.json()["detail"]) == (501, True)
