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
PAGES = ["/", "/areas/kitsilano", "/issues/street-light-out", RARE, "/quality", "/methods", "/data", "/api"]
# Every page is seen as most see it, each kind of page on a phone in the dark; the rehearsal sees all of them in every way.
LOOKS = [
    pytest.param(
        path, width, dark, marks=[] if (width, dark) == (1280, False) or often else [pytest.mark.rehearsal],
        id=f"{path}-{width}-{'dark' if dark else 'light'}",
    )
    for path in PAGES
    for width in (1280, 360)
    for dark in (False, True)
    for often in [(width, dark) == (360, True) and path in PAGES[:3]]
]  # fmt: skip


@pytest.mark.parametrize(("path", "width", "dark"), LOOKS)
def test_a_page_is_whole_quiet_and_for_everybody(site, visit, path, width, dark):
    """It fits its window, complains of nothing, asks nobody else, and axe finds nothing serious."""
    seen = visit(width, dark=dark).open(site + path)
    assert seen.complaints == []
    assert {urlsplit(address).netloc for address in seen.requests} == {urlsplit(site).netloc}
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    violations = Axe().run(seen.page).response["violations"]
    assert [
        f"{each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ] == []


def test_every_chart_is_drawn_in_the_readers_colours(site, visit):
    light, dark = (visit(dark=mode).open(f"{site}/?period=all").page for mode in (False, True))
    assert light.locator(".chart svg").count() == light.locator(".chart").count() == 6
    fills = [page.locator("#backlog-by-age svg path[fill^='#']").first.get_attribute("fill") for page in (light, dark)]
    assert fills[0] != fills[1]


def test_a_choice_lives_in_the_address_and_the_back_button_undoes_it(site, visit):
    page = visit().open(f"{site}/").page
    page.locator("[name=area]").select_option("Kitsilano")
    page.wait_for_url("**/areas/kitsilano")
    page.locator("[name=issue]").select_option(ISSUE)
    page.wait_for_url("**/areas/kitsilano/street-light-out")
    assert page.locator("h1").inner_text() == "Street light out in Kitsilano"
    page.locator("[name=period]").select_option("2024")
    page.wait_for_url("**period=2024")
    page.go_back()
    page.go_back()
    page.wait_for_url("**/areas/kitsilano")
    assert page.locator("[name=area]").input_value() == "Kitsilano"


def test_an_area_on_the_map_is_reached_by_the_keyboard_and_leads_to_its_page_and_a_list_stands_for_it_on_a_phone(
    site, visit
):
    page = visit().open(f"{site}/").page
    page.locator("#map svg a").nth(9).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/areas/kitsilano")
    narrow = visit(360).open(f"{site}/").page.locator("#map")
    assert not narrow.locator("svg").is_visible()
    assert narrow.get_by_role("link", name="Kitsilano").is_visible()


def test_the_keyboard_reaches_the_content_and_the_choices(site, visit):
    page = visit().open(f"{site}/").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "area"


def test_without_scripts_the_numbers_and_the_pictures_are_there(site, visit):
    seen = visit(scripts=False)
    seen.page.goto(f"{site}/?period=all")
    assert seen.page.locator(".card .value").count() == 5
    assert seen.page.locator("figure").count() == 8
    assert seen.page.locator("noscript img").count() == seen.page.locator(".chart").count() == 6
    seen.page.get_by_text("The numbers as a table").first.click()
    assert seen.page.locator("details[open] table").first.is_visible()
    seen.page.locator("[name=area]").select_option("Kitsilano")
    seen.page.get_by_role("button", name="Show").click()
    seen.page.wait_for_url("**/areas/kitsilano**")
    assert seen.page.locator("h1").inner_text() == "Kitsilano"


def test_on_paper_the_choices_and_links_are_gone_and_the_numbers_stay(site, visit):
    page = visit().open(f"{site}/areas/kitsilano").page
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert not page.locator(".files").first.is_visible()
    assert page.locator(".card .value").first.is_visible()
    assert page.locator(".chart svg").first.is_visible()


@pytest.mark.parametrize("paper", ["Letter", "A4"])
@pytest.mark.parametrize("path", ["/areas/kitsilano", "/issues/street-light-out?period=all"])
def test_an_area_and_an_issue_fit_on_one_sheet_of_paper(site, visit, path, paper):
    printed = visit().open(site + path).page.pdf(format=paper)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2, "more than the two sides of a sheet"


def test_a_sample_says_so_on_every_page(own_file):
    execute(own_file, "UPDATE release SET source = 'sample'")
    with served(own_file) as address:
        for path in PAGES:
            assert "not a picture of the city" in requests.get(address + path, timeout=60).text, path


@pytest.mark.parametrize(("hours", "stale"), [(1, "no"), (40, "yes")])
def test_what_the_city_published_long_ago_is_late_on_the_pages_and_in_the_status(own_file, visit, hours, stale):
    processed = datetime.now(UTC) - timedelta(hours=hours)
    execute(own_file, f"UPDATE release SET data_processed = '{processed:%Y-%m-%dT%H:%M:%SZ}'")
    with served(own_file) as address:
        banner = visit().open(f"{address}/areas/kitsilano").page.locator("#stale")
        assert banner.is_visible() == (stale == "yes")
        assert requests.get(f"{address}/api/v1/status", timeout=60).json()["data"]["stale"] == stale
