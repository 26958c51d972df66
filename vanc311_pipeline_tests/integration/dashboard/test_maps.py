"""Claims about the maps: the areas' is recomputed from the file by other SQL and the portal's own outlines."""

import json
import math
import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pytest
import requests
import shapely
from shapely.geometry import shape

from vanc311_pipeline.dashboard.maps import MEASURES, area_map
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline_tests.integration.dashboard.conftest import Ask, Visit

VERDICTS = ["clearly more", "somewhat more", "about the same", "somewhat fewer", "clearly fewer", "unclear"]
PLANTED = [
    f"""UPDATE area_comparison SET verdict = CASE rowid % 6 {" ".join(f"WHEN {n} THEN '{v}'" for n, v in enumerate(VERDICTS))} END,
           state = 'ok', tau = 0.1, among_areas = 'within', n = 1000 + rowid, ratio = 0.8 + rowid * 0.02,
           ratio_low = 0.7 + rowid * 0.02, ratio_high = 0.9 + rowid * 0.02""",
    """UPDATE area_comparison SET verdict = NULL, state = 'too_few', ratio = NULL, ratio_low = NULL, ratio_high = NULL,
           among_areas = NULL WHERE local_area = 'Strathcona'""",
    """UPDATE area_rates SET requests = residents * 14 / 1000, per_1000_residents = 10 + rowid % 9, per_1000_residents_low = 9 + rowid % 9,
           per_1000_residents_high = 11 + rowid % 9, state = 'ok' WHERE level = 'neighbourhood'""",
    """UPDATE area_rates SET state = 'too_few', per_1000_residents = NULL, per_1000_residents_low = NULL, per_1000_residents_high = NULL
           WHERE level = 'neighbourhood' AND local_area = 'Strathcona'""",
    "UPDATE service_requests SET latitude = 49.27, longitude = -123.16 WHERE local_area = 'Kitsilano' AND latitude IS NOT NULL",
]


@pytest.fixture(scope="module")
def page(site: str) -> str:
    return requests.get(f"{site}/?period=2024", timeout=60).text


@pytest.fixture(scope="module")
def drawing(page: str) -> ElementTree.Element:
    return drawing_of(section(page, "map"))


def section(page: str, name: str) -> str:
    """The part of a page that is a map of the areas."""
    after = page[page.index(f'id="{name}"') :]
    return after[: after.index("</section>")]


def drawing_of(part: str) -> ElementTree.Element:
    [svg] = re.findall(r"<svg.*?</svg>", part, re.DOTALL)
    assert len(svg) <= 15_000
    return ElementTree.fromstring(svg)


def expected(ask: Ask) -> dict[str, tuple[str, str | None]]:
    """What is to be said of each area, and its verdict."""
    rows = ask(
        """SELECT local_area, verdict, n, CAST(round(100 * ratio - 100) AS INTEGER), CAST(round(100 * ratio_low - 100) AS INTEGER),
               CAST(round(100 * ratio_high - 100) AS INTEGER) FROM area_comparison WHERE measure = 'open_after_30_days'
           ORDER BY local_area"""
    )

    def signed(percent: int) -> str:
        return f"+{percent}" if percent >= 0 else f"−{-percent}"

    return {
        area: (
            f"{verdict}: {signed(ratio)} % ({signed(low)} to {signed(high)}), n = {n:,}"
            if verdict
            else f"too few, n = {n:,}",
            verdict,
        )
        for area, verdict, n, ratio, low, high in rows
    }


def test_each_area_is_a_named_shape_that_leads_to_its_page_in_the_colour_of_its_verdict(
    drawing: ElementTree.Element, ask: Ask
) -> None:
    said = expected(ask)
    assert len(drawing) == len(said) == 22
    for link, (area, (sentence, verdict)) in zip(drawing, said.items(), strict=True):
        title, _, label = link
        assert title.text == f"{area}: {sentence}"
        assert link.get("href") == f"/areas/{area.lower().replace(' ', '-')}?period=2024"
        assert link.get("class") == (verdict or "too few").replace(" ", "-")
        lines = [line.text or "" for line in label]
        mark = sentence.split(": ")[1].split(" (")[0] if (verdict or "").startswith(("clearly", "somewhat")) else None
        assert lines[-1] == mark or mark is None
        assert "".join(lines[: -1 if mark else None]).replace(" ", "") == area.replace(" ", "")


def test_the_list_beside_it_says_the_same_by_name_and_the_legend_counts(page: str, ask: Ask) -> None:
    said = expected(ask)
    part = section(page, "map")
    assert re.findall(r"<li><a href=\"[^\"]*\">(.*?)</a> (.*?)</li>", part) == [
        (area, sentence) for area, (sentence, _) in said.items()
    ]
    verdicts = [verdict or "too few" for _, verdict in said.values()]
    assert '<a href="/areas?period=2024#rates">' in part
    legend = dict(re.findall(r'<li class="[a-z-]+">(.*?): (\d+)</li>', part))
    assert legend == {verdict: str(verdicts.count(verdict)) for verdict in verdicts}


def test_a_shape_is_its_area_to_within_60_metres_and_holds_its_name(drawing: ElementTree.Element, ask: Ask) -> None:
    rows = ask("SELECT boundary FROM local_areas ORDER BY local_area")
    outlines = [shapely.transform(shape(json.loads(boundary)), metres) for (boundary,) in rows]
    west, _, east, north = shapely.total_bounds(outlines)
    metres_per_unit = (east - west) / (float((drawing.get("viewBox") or "").split()[2]) - 2)
    for (_, path, label), outline in zip(drawing, outlines, strict=True):
        x, y, *steps = map(int, re.findall(r"-?\d+", path.get("d") or ""))
        points = np.cumsum([(x, y), *zip(steps[::2], steps[1::2], strict=True)], axis=0)
        area = shapely.Polygon(points * [metres_per_unit, -metres_per_unit] + [west, north])
        assert shapely.hausdorff_distance(area.exterior, outline.exterior) < 60
        middle = np.array([float(label[0].get("x") or 0), np.mean([float(line.get("y") or 0) for line in label])])
        assert area.contains(shapely.Point(middle * [metres_per_unit, -metres_per_unit] + [west, north]))


def metres(degrees: np.ndarray) -> np.ndarray:
    """East and north of the equator's Greenwich, where a degree of longitude is as long as in Vancouver."""
    return degrees * 111_200 * [math.cos(math.radians(49.2474)), 1]


def test_what_no_area_has_is_said(release: Release, ask: Ask) -> None:
    drawn = area_map(release, View())
    [(located, everything)] = ask("SELECT sum(local_area IS NOT NULL), count(*) FROM service_requests")
    assert drawn
    assert (
        f"{100 * (everything - located) / everything:.1f} % of all requests in the record have no local area"
        in drawn.note
    )


def test_requests_on_a_thousand_residents_are_said_with_their_year_and_coloured_where_they_differ_from_the_citys(
    site: str, ask: Ask
) -> None:
    rows = ask(
        """WITH rates AS (SELECT * FROM area_rates WHERE level = 'neighbourhood' AND period = 'last_12_months'),
               city AS (SELECT 1000.0 * sum(requests) / sum(residents) AS rate FROM rates)
           SELECT local_area, CASE WHEN state != 'ok' THEN 'too-few' WHEN per_1000_residents_low > rate THEN 'more'
                      WHEN per_1000_residents_high < rate THEN 'fewer' ELSE 'unclear' END,
                  iif(state = 'ok', printf('%d (%d to %d), n = %,d', per_1000_residents, per_1000_residents_low, per_1000_residents_high,
                      requests), printf('too few, n = %,d', requests)), printf('%.0f', rate)
           FROM rates, city ORDER BY local_area"""
    )
    page = requests.get(f"{site}/areas", timeout=60).text
    assert [name for name, (path, _) in MEASURES.items() if path == "/areas"] == re.findall(
        r'<section class="block" id="([^"]*)"', page
    )[::-1]
    part = section(page, "rates")
    shown = [(link[0].text, link.get("class")) for link in drawing_of(part)]
    assert shown == [(f"{area}: {sentence}", verdict) for area, verdict, sentence, _ in rows]
    assert {verdict for _, verdict, *_ in rows} == {"too-few", "more", "fewer", "unclear"}
    more, fewer = (
        " and ".join([", ".join(names[:-1]), names[-1]])
        for names in ([area for area, verdict, *_ in rows if verdict == wanted] for wanted in ("more", "fewer"))
    )
    assert (
        f">{rows[0][-1]} requests per 1,000 residents of 2016 in all areas together; more in {more}; fewer in {fewer}.<"
        in part
    )


@pytest.fixture
def mapped(site: str, visit: Callable[..., Visit]) -> Callable[[str], Visit]:
    """A list of requests of which the map was asked for."""

    def opened(query: str) -> Visit:
        seen = visit().open(f"{site}/requests?{query}")
        assert not [address for address in seen.requests if re.search("vendor|layers|geojson", address)]
        seen.page.get_by_role("button", name="Show on a map").click()
        seen.page.wait_for_selector(".map[data-drawn]")
        return seen

    return opened


@pytest.mark.rehearsal
def test_a_point_leads_to_its_request_and_nobody_else_is_asked_for_the_map(
    mapped: Callable[[str], Visit], ask: Ask, site: str
) -> None:
    [(address, request)] = ask(
        "SELECT address, max(request_id) FROM service_requests WHERE latitude IS NOT NULL GROUP BY 1 HAVING count(*) = 1 LIMIT 1"
    )
    seen = mapped(f"address={quote(address)}")
    assert seen.page.get_by_role("status").inner_text() == "1 of 1 have a location."
    seen.page.locator(".map canvas").click()  # the only point is in the middle
    seen.page.locator(".maplibregl-popup a").click()
    seen.page.wait_for_url(f"**/requests/{request}")
    asked = [urlsplit(address) for address in seen.requests]
    assert {address.netloc for address in asked} == {urlsplit(site).netloc}
    assert {address.path for address in asked} >= {
        f"/static/layers/{layer}.geojson" for layer in ("streets", "shoreline", "parks")
    }
    # That software draws slowly is not of the map.
    assert [each for each in seen.complaints if "GL Driver Message" not in each] == []


@pytest.mark.rehearsal
def test_a_point_with_many_requests_names_ten_and_counts_the_rest(mapped: Callable[[str], Visit], ask: Ask) -> None:
    [(number, located)] = ask("SELECT count(*), count(latitude) FROM service_requests WHERE local_area = 'Kitsilano'")
    page = mapped("area=kitsilano").page
    assert page.get_by_role("status").inner_text() == f"{located:,} of {number:,} have a location."
    page.locator(".map canvas").click()
    page.get_by_text(f"and {located - 10} more here").wait_for()
    assert page.locator(".maplibregl-popup a").count() == 10


CORNER = """([colour]) => {
    const copy = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
    copy.drawImage(document.querySelector('.map canvas'), 0, 0);
    return String(copy.getImageData(0, 0, 1, 1).data.slice(0, 3)) === colour;
}"""


@pytest.mark.rehearsal
def test_a_map_is_dark_in_the_dark_and_light_on_paper_in_the_dark_too(mapped: Callable[[str], Visit]) -> None:
    page = mapped("").page
    looks = (("screen", "light", "255,255,255"), ("screen", "dark", "18,22,27"), ("print", "dark", "255,255,255"))
    for media, scheme, colour in looks:
        page.emulate_media(media=media, color_scheme=scheme)
        page.wait_for_function(CORNER, arg=[colour])
