"""Claims about the pages in a real Chromium: wide and narrow, light and dark, with and without scripts, on paper, for everybody."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe

from vanc311_pipeline_tests.integration.dashboard.conftest import served
from vanc311_pipeline_tests.integration.planting import execute

ISSUE = "Street Light Out Case"
RARE = "/areas/kitsilano/missed-green-bin-pickup"  # none in the last 12 months
REQUESTS = [
    "/requests?area=kitsilano&status=open&order=overdue",
    "/requests/0afd4ea663f44394de98803c2729d302030f521b4fc98495e47aee77da5512c6",  # open, with neighbours
]
MORE = [
    "/departments/eng",
    "/compare?left=kitsilano&right=sunset",
    "/issues/building-and-development-inquiry?reported=2025-12-29",
]
PAGES = [
    "/",
    "/speed",
    "/areas/kitsilano",
    "/issues/street-light-out",
    RARE,
    *REQUESTS,
    *MORE,
    "/quality",
    "/methods",
    "/data",
    "/api",
]
# Every page is seen as most see it, each kind of page on a phone in the dark; the rehearsal sees all of them in every way.
LOOKS = [
    pytest.param(
        path, width, dark, marks=[] if (width, dark) == (1280, False) or often else [pytest.mark.rehearsal],
        id=f"{path}-{width}-{'dark' if dark else 'light'}",
    )
    for path in PAGES
    for width in (1280, 360)
    for dark in (False, True)
    for often in [(width, dark) == (360, True) and path in PAGES[:4]]
]  # fmt: skip


@pytest.mark.parametrize(("path", "width", "dark"), LOOKS)
def test_a_page_is_whole_quiet_and_for_everybody(site, visit, path, width, dark):
    """It fits its window, complains of nothing, asks nobody else, and axe finds nothing."""
    seen = visit(width, dark=dark).open(site + path)
    assert seen.complaints == []
    assert {urlsplit(address).netloc for address in seen.requests} == {urlsplit(site).netloc}
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    violations = Axe().run(seen.page).response["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in violations] == []


BLUE, SKY = "rgb(0, 114, 178)", "rgb(86, 180, 233)"
DRAWN_IN = "getComputedStyle(document.querySelector('#outcomes svg .mark-rect path')).fill"


def test_every_chart_is_drawn_once_in_the_readers_colours_and_on_paper_in_those_of_paper(site, visit):
    """B6: printed from the dark it was white on white."""
    seen = visit().open(f"{site}/speed?period=all")
    page = seen.page
    assert page.locator(".chart > svg").count() == page.locator(".chart").count() == 7
    asked = len(seen.requests)
    for media, scheme, colour in [("screen", "light", BLUE), ("screen", "dark", SKY), ("print", "dark", BLUE)]:
        page.emulate_media(media=media, color_scheme=scheme)
        assert page.evaluate(DRAWN_IN) == colour
    assert len(seen.requests) == asked


def test_a_chart_says_what_is_pointed_at_and_escape_silences_it(site, visit):
    page = visit().open(f"{site}/speed").page
    page.locator("#backlog-by-age svg .mark-rect path").first.hover()
    assert re.fullmatch(r"0-7 days: \d+ open \(\d+\.\d%\)", page.locator("#tip").inner_text())
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_a_chart_has_the_width_of_a_phone_on_a_phone(site, visit):
    widths = [
        visit(width).open(f"{site}/areas/kitsilano").page.locator(".chart > svg").first.get_attribute("width")
        for width in (1280, 360)
    ]
    assert widths == ["560", "320"]


def chosen(page, **names):
    """Another view, by the form below the heading."""
    page.locator(".choose summary").click()
    for name, value in names.items():
        page.locator(f".choose [name={name}]").select_option(value)
    page.get_by_role("button", name="Apply").click()


def test_a_choice_lives_in_the_address_and_the_back_button_undoes_it(site, visit):
    """B1, B2: no key in a select leaves the page, and what the selects say is what the page shows."""
    page = visit().open(f"{site}/").page
    page.locator(".choose summary").click()
    page.locator(".choose [name=area]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.locator(".choose summary").click()
    chosen(page, area="Kitsilano")
    page.wait_for_url("**/areas/kitsilano")
    chosen(page, issue="Street light out")
    page.wait_for_url("**/areas/kitsilano/street-light-out")
    assert page.locator("h1").inner_text() == "Street light out in Kitsilano"
    page.get_by_role("link", name="in 2024", exact=True).click()
    page.wait_for_url("**/areas/kitsilano/street-light-out?period=2024")
    assert page.locator(".chips [aria-current]").inner_text() == "in 2024"
    chosen(page, area="")
    page.wait_for_url("**/issues/street-light-out?period=2024")
    page.go_back()
    page.wait_for_url("**/areas/kitsilano/street-light-out?period=2024")
    page.locator(".choose summary").click()
    assert page.locator(".choose [name=area]").input_value() == "Kitsilano"


def test_a_resident_asks_how_long_and_has_an_answer_that_can_be_linked(site, visit):
    page = visit(360, scripts=False).page
    page.goto(f"{site}/issues/street-light-out")
    page.locator("#mine [name=reported]").fill("2026-01-05")
    page.locator("#mine [name=area]").select_option("Kitsilano")
    page.get_by_role("button", name="Check").click()
    page.wait_for_url("**/areas/kitsilano/street-light-out?reported=2026-01-05#mine")
    assert "7 days" in page.locator("#mine strong").inner_text()


def test_an_area_on_the_map_is_reached_by_the_keyboard_and_leads_to_its_page_and_a_list_stands_for_it_on_a_phone(
    site, visit
):
    page = visit().open(f"{site}/").page
    page.locator("#map svg a").nth(9).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/areas/kitsilano")
    phone = visit(360).open(f"{site}/").page
    assert phone.evaluate("document.documentElement.scrollHeight") < 7_000
    narrow = phone.locator("#map")
    assert not narrow.locator("svg").is_visible()
    assert narrow.get_by_role("link", name="Kitsilano").is_visible()


def test_a_table_sorts_by_its_headings_numbers_by_their_size_and_what_has_none_last(site, visit):
    page = visit().open(f"{site}/areas/kitsilano").page
    page.locator("#opened-and-closed summary").first.click()
    table = page.locator("#opened-and-closed table")
    for heading, kind, first, second in (
        ("opened", int, "descending", "ascending"),
        ("month", str, "ascending", "descending"),
    ):
        for direction in (first, second):
            table.get_by_role("button", name=heading, exact=True).click()
            column = table.locator("thead th").all_inner_texts().index(heading) + 1
            cells = [
                kind(cell.replace(",", ""))
                for cell in table.locator(f"tbody tr > :nth-child({column})").all_inner_texts()
            ]
            assert table.locator(f"thead th:nth-child({column})").get_attribute("aria-sort") == direction
            assert cells == sorted(cells, reverse=direction == "descending")
            assert len(cells) > 10
    page.goto(f"{site}/")
    table = page.get_by_role("table").last
    table.get_by_role("button", name="half within").click()
    cells = table.locator("tbody tr > :nth-child(3)").all_inner_texts()
    days = [int(cell.split()[0].replace(",", "")) for cell in cells if cell[0].isdigit()]
    assert days == sorted(days, reverse=True)
    assert not any(cell[0].isdigit() for cell in cells[len(days) :])


def test_what_is_copied_is_the_address_of_the_figure_its_sentence_with_its_source_its_words_and_its_frame(site, visit):
    page = visit().open(f"{site}/areas/kitsilano").page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    share = page.locator("#backlog details").last
    share.locator("summary").click()
    copied = []
    for button in share.get_by_role("button").all():
        button.click()
        share.get_by_text("Copied").nth(len(copied)).wait_for()
        copied.append(page.evaluate("navigator.clipboard.readText()"))
    assert copied[0] == f"{site}/areas/kitsilano#backlog"
    assert copied[1].startswith(page.locator("#backlog h2").inner_text())
    assert re.search(r"Source: City of Vancouver, 3-1-1 · as of .*\. Release \S+\.$", copied[1])
    assert (
        copied[2]
        == f"Chart: {page.locator('#backlog h2').inner_text()} {share.get_by_text('Chart: ').inner_text().partition('. ')[2]}"
    )
    card = page.locator(".card").first
    card.locator("summary").click()
    card.get_by_role("button", name="Copy the number with its source").click()
    card.get_by_text("Copied").wait_for()
    number, note = (card.locator(f".{part}").inner_text() for part in ("value", "note"))
    quoted = page.evaluate("navigator.clipboard.readText()")
    assert quoted.startswith(
        f"Kitsilano, open now: {number}; {note}. Meant: requests with status Open in the city's data"
    )
    assert quoted.endswith(f"Definition: {site}/methods#open_requests Page: {site}/areas/kitsilano")
    assert copied[3].startswith(f'<iframe src="{site}/embed/backlog?area=kitsilano" title="Backlog, Kitsilano')


def test_a_screen_reader_hears_no_nested_landmarks_no_two_links_alike_and_headed_rows(site, visit):
    """B15."""
    page = visit().open(f"{site}/speed").page
    assert (
        page.locator("main :is([role=region], section[aria-label]) :is([role=region], section[aria-label])").count()
        == 0
    )
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    links = page.locator("main .files a, main .tools dd a, main .meaning a").evaluate_all(
        "links => links.map((a) => [a.textContent, a.href])"
    )
    places = {}
    for name, address in links:
        places.setdefault(name, set()).add(address)
    assert len(links) > 40
    assert {name: addresses for name, addresses in places.items() if len(addresses) > 1} == {}
    assert page.locator("tbody tr").count() == page.locator("tbody th[scope=row]").count()


def test_the_keyboard_reaches_the_content_and_the_choices(site, visit):
    page = visit().open(f"{site}/areas/kitsilano").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('nav').ariaLabel") == "Period of opening"


def test_the_field_on_every_page_finds_an_address(site, visit):
    page = visit(scripts=False).page
    page.goto(f"{site}/methods")
    page.get_by_role("searchbox").fill("1946 York / Ave")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests?address=1946%20YORK%20AV")


def test_what_may_be_meant_is_suggested_while_it_is_typed_and_chosen_by_the_keyboard(site, visit):
    seen = visit(360).open(f"{site}/methods")
    field = seen.page.get_by_role("combobox")
    field.press_sequentially("kits")
    options = seen.page.get_by_role("option")
    options.first.wait_for()
    assert options.first.inner_text() == "Kitsilano area"
    assert field.get_attribute("aria-expanded") == "true"
    assert Axe().run(seen.page).response["violations"] == []
    field.press("Escape")
    assert options.count() == 0
    field.press_sequentially("i")
    options.first.wait_for()
    field.press("ArrowDown")
    assert seen.page.locator("[aria-selected=true]").get_attribute("id") == field.get_attribute("aria-activedescendant")
    field.press("Enter")
    seen.page.wait_for_url("**/areas/kitsilano")
    assert seen.complaints == []


# What a table shows without being moved, and what stands before each cell; both only matter where there is little room.
FITTING = """() => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    return [...document.querySelectorAll(".scroll")].filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.ariaLabel);
}"""
HEADED = """(tables) => tables.flatMap((table) => [...table.querySelectorAll("tr > td:not(:empty)")].map((cell) => [
    getComputedStyle(cell, "::before").content, table.tHead.rows[0].cells[cell.cellIndex].textContent,
]))"""


@pytest.mark.parametrize(
    "path", ["/", "/areas/kitsilano", "/departments/eng", "/quality", "/methods/simulated", REQUESTS[0]]
)
def test_on_a_phone_no_table_goes_on_beside_the_window_and_where_rows_are_blocks_each_cell_has_its_heading(
    site, visit, path
):
    page = visit(360, scripts=False).page
    page.goto(site + path)
    assert page.evaluate(FITTING) == []
    cells = page.locator(".wide").evaluate_all(HEADED)
    assert cells
    assert [shown for shown, heading in cells if shown.removesuffix(' / ""') != f'"{heading} "'] == []


def test_on_a_phone_a_list_shows_its_last_column_and_the_menu_opens_by_the_keyboard_without_scripts(site, visit):
    page = visit(360, scripts=False).page
    page.goto(site + REQUESTS[0])
    assert page.locator("header").bounding_box()["height"] < 140
    row = page.locator("table tbody tr").nth(1)
    for cell in row.locator("th, td").all():
        box = cell.bounding_box()
        assert 0 < box["x"] < box["x"] + box["width"] <= 360
    assert "overdue by " in row.inner_text()
    page.goto(f"{site}/issues")
    cells = page.locator(".index tbody tr").first.locator("th, td").all()
    assert all(0 < box["x"] < box["x"] + box["width"] <= 360 for box in (cell.bounding_box() for cell in cells))
    assert not page.get_by_role("link", name="Compare").is_visible()
    page.get_by_role("button", name="Menu").press("Enter")
    page.get_by_role("link", name="Compare").press("Enter")
    page.wait_for_url("**/compare")


def test_without_scripts_the_numbers_and_the_pictures_are_there(site, visit):
    seen = visit(scripts=False)
    seen.page.goto(f"{site}/?period=all")
    assert seen.page.locator(".card .value").count() == 4
    assert seen.page.locator("figure").count() == 1
    seen.page.get_by_role("link", name="Methods of speed").click()
    assert seen.page.locator("figure").count() == 9
    pictures = seen.page.locator(".chart img")
    assert pictures.count() == seen.page.locator(".chart").count() == 7
    pictures.first.scroll_into_view_if_needed()
    seen.page.wait_for_function("document.querySelector('.chart img').naturalWidth === 560")
    holes = "charts => charts.map((chart) => chart.clientHeight - chart.querySelector('img').clientHeight)"
    assert seen.page.locator(".chart").evaluate_all(holes) == [0] * 7
    seen.page.locator("figure summary").first.click()
    assert seen.page.locator("details[open] table").first.is_visible()
    chosen(seen.page, area="Kitsilano")
    seen.page.wait_for_url("**/speed?area=kitsilano&period=all")
    assert seen.page.locator("h1").inner_text() == "Methods of speed: Kitsilano"


def test_on_paper_the_choices_and_links_are_gone_and_the_numbers_stay(site, visit):
    page = visit().open(f"{site}/areas/kitsilano").page
    page.emulate_media(media="print")
    assert not page.locator(".chips").is_visible()
    assert not page.locator(".tools").first.is_visible()
    assert page.locator(".card .value").first.is_visible()
    assert page.locator(".chart svg").first.is_visible()


@pytest.mark.parametrize("paper", ["Letter", "A4"])
@pytest.mark.parametrize("path", ["/areas/kitsilano", "/issues/street-light-out?period=all"])
def test_an_area_and_an_issue_fit_on_one_sheet_of_paper(site, visit, path, paper):
    printed = visit().open(site + path).page.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2, "more than the two sides of a sheet"


def test_a_sample_says_so_on_every_page_and_in_every_figure_that_stands_alone(own_file):
    execute(own_file, "UPDATE release SET source = 'sample'")
    with served(own_file) as address:
        alone = ("/embed/outcomes", *(f"/figures/outcomes.{kind}" for kind in ("svg", "metadata.json")))
        for path in (*PAGES, *alone):
            assert "not a picture of the city" in requests.get(address + path, timeout=60).text, path


@pytest.mark.parametrize(("hours", "stale"), [(1, "no"), (40, "yes")])
def test_what_the_city_published_long_ago_is_late_on_the_pages_and_in_the_status(own_file, visit, hours, stale):
    processed = datetime.now(UTC) - timedelta(hours=hours)
    execute(own_file, f"UPDATE release SET data_processed = '{processed:%Y-%m-%dT%H:%M:%SZ}'")
    with served(own_file) as address:
        for path in ("/methods", "/areas/kitsilano"):
            banner = visit().open(address + path).page.locator("#stale")
            assert banner.is_visible() == (stale == "yes")
        assert requests.get(f"{address}/api/v1/status", timeout=60).json()["data"]["stale"] == stale
