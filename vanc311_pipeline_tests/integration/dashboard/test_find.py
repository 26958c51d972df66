"""Claims about finding: what a resident types leads to what he expects, over HTTP, and everything that the file names is found."""

import html
import re
from itertools import cycle, pairwise
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests

from vanc311_pipeline.reading.find import find
from vanc311_pipeline.reading.labels import plain

ISSUES = {
    "garbage": ["missed-garbage-bin-pickup", "garbage-bin-request"],
    "dumping": ["illegal-dumping"],
    "light street": ["street-light-out"],
    "STREET LIGHTS": ["street-light-out"],
    "lamp": ["street-light-out"],
    "missed bin": ["missed-garbage-bin-pickup", "missed-green-bin-pickup"],
    "Pothole Case": ["pothole"],
    "tree": ["city-and-park-trees-maintenance"],
    "syringes": ["needle-clean-up"],
    "grafitti": ["graffiti-removal-city-property"],
    "potholle street": ["street-repair"],
}


def asked(site: str, text: str) -> requests.Response:
    return requests.get(f"{site}/find?{urlencode({'q': text})}", timeout=60, allow_redirects=False)


def links(answer: requests.Response) -> list[str]:
    """Where the answer leads: what was found, or the one thing at once."""
    if answer.status_code == 303:
        return [answer.headers["Location"]]
    assert answer.status_code == 200
    return [html.unescape(link) for link in re.findall(r'<li><a href="([^"]*)"', answer.text)]


@pytest.mark.parametrize("text", ISSUES)
def test_a_problem_is_found_by_its_name_and_by_everyday_words(site, text):
    assert {f"/issues/{slug}" for slug in ISSUES[text]} <= set(links(asked(site, text)))


@pytest.mark.parametrize("text", ["V6B 1A1", "v6b1a1"])
def test_who_types_a_postal_code_is_told_what_to_enter_instead(site, text):
    told = re.findall("The city publishes no postal codes.*</p>", asked(site, text).text)
    instead = [html.unescape(link) for link in re.findall('href="([^"]*)"', told[0])]
    answers = [requests.get(site + link, timeout=60, allow_redirects=False) for link in instead]
    assert [links(answer)[0].partition("=")[0] for answer in answers] == [
        "/requests?address",
        "/requests?street",
        "/areas/kitsilano",
    ]


def test_what_is_no_postal_code_is_not_taken_for_one(site):
    assert "postal" not in "".join(
        asked(site, text).text for text in ("garbage", "E 5TH AV", "moss V6B", "no such 1A1A1")
    )


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("kits", "/areas/kitsilano"), ("Kitsílanö", "/areas/kitsilano"), ("kitsilno", "/areas/kitsilano"),
        ("commercial drive", "/requests?street=COMMERCIAL%20DRIVE"),
        ("engineering", "/departments/eng"), ("sanitation services", "/departments/eng-sanitation-services"),
        ("1946 york", "/requests?address=1946%20YORK%20AV"), ("york avenue 1946", "/requests?address=1946%20YORK%20AV"),
        ("yorck av", "/requests?street=YORK%20AV"), ("w 12", "/requests?street=W%2012TH%20AV"), ("main st", "/requests?street=MAIN%20ST"),
        ("street light kitsilano", "/areas/kitsilano/street-light-out"), ("rats", "/issues/rats-and-rodents"),
        ("missed garbage in kitsilano", "/areas/kitsilano/missed-garbage-bin-pickup"), ("the streetlights", "/issues/street-light-out"),
        ("pothole near the West End", "/areas/west-end/pothole"), ("westend pot hole", "/areas/west-end/pothole"),
        ("broken streetlight kitsilano", "/areas/kitsilano/street-light-out"), ("Mayor & Council", "/issues/mayor-and-council-feedback"),
        ("my streetlight is broken in kitsilano", "/areas/kitsilano/street-light-out"),
        ("missed garbage truck kitsilano", "/areas/kitsilano/missed-garbage-bin-pickup"),
        ("1946 York Avenue Vancouver", "/requests?address=1946%20YORK%20AV"),
        ("1946 York Ave, Vancouver, BC V6J 1E1, Canada", "/requests?address=1946%20YORK%20AV"),
        ("pothole on Main Street", "/requests?issue=pothole&street=MAIN%20ST"),
        ("street light main", "/requests?issue=street-light-out&street=MAIN%20ST"), ("water main", "/issues/water-leak"),
        ("my garbage, 1946 York Av", "/requests?issue=garbage-bin-request&street=YORK%20AV"), ("park litter can", "/issues/park-litter-can"),
        ("pothole tenth ave", "/requests?issue=pothole&street=W%2010TH%20AV"), ("main", "/requests?street=MAIN%20ST"),
        ("Commercial Dr Vancouver", "/requests?street=COMMERCIAL%20DRIVE"),
        ("Boundary Rd", "/requests?street=BOUNDARY%20ROAD"), ("Pacific Blvd", "/requests?street=PACIFIC%20BOULEVARD"),
    ],
)  # fmt: skip
def test_the_best_comes_first(site, text, first):
    assert links(asked(site, text))[0] == first
    assert requests.get(site + first, timeout=60, allow_redirects=False).status_code == 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("missed garbage in kitsilano", None),
        ("mysterious garbage kitsilano", "Nothing has the word mysterious. These have garbage kitsilano:"),
        ("grafitti property", "Nothing has the word grafitti. These have graffiti property:"),
        ("broken streetlight kitsilano", "Nothing has all of these words. These have streetlight kitsilano:"),
        (
            "mysterious strange tree sidewalk",
            "Nothing has the words mysterious, strange. These have some of tree sidewalk:",
        ),
    ],
)
def test_which_words_were_left_out_is_said(site, text, told):
    leads = [re.sub("<[^>]*>", "", lead) for lead in re.findall('<p class="lead">(.*)</p>', asked(site, text).text)]
    assert leads == ([told] if told else [])


def test_suggestions_begin_with_what_the_page_finds_first(site):
    for text in ("missed garbage in kitsilano", "broken streetlight kitsilano", "1946 York Avenue Vancouver"):
        suggested = requests.get(f"{site}/find.json?{urlencode({'q': text})}", timeout=60).json()
        assert suggested[0]["url"] == links(asked(site, text))[0]


def test_the_title_of_each_area_and_problem_and_of_a_problem_in_an_area_finds_its_page_first(release, ask):
    areas, issues = (ask("SELECT name, key FROM search WHERE kind = ?", kind) for kind in ("area", "issue"))
    pairs = [
        (f"{issue} in {area}", f"{area_key}/{key}")
        for (issue, key), (area, area_key) in zip(issues, cycle(areas), strict=False)
    ]
    assert len(issues) > len(areas) > 20
    for title, key in (*areas, *issues, *pairs):
        assert (title, find(release, title).hits[0].key) == (title, key)


@pytest.mark.parametrize("typed", ["{} main st", "main street {}", "3-{} main st"])
def test_a_house_number_without_requests_leads_to_the_nearest_on_its_street_and_to_what_is_open_around_it(
    site, ask, typed
):
    numbered = ask(
        """SELECT CAST(address AS INTEGER), address, latitude, longitude FROM places
           WHERE street = 'MAIN ST' AND address GLOB '[0-9]*' AND latitude IS NOT NULL ORDER BY 1, 2"""
    )
    before, after = next((one, other) for one, other in pairwise(numbered) if other[0] - one[0] > 10)
    number = before[0] + 3
    answer = asked(site, typed.format(number))
    expected = sorted(numbered, key=lambda row: (abs(row[0] - number), row[1]))
    nearest = list(dict.fromkeys(address for _, address, *_ in expected))[:5]
    assert links(answer)[:5] == [f"/requests?address={quote(address)}" for address in nearest]
    part = 3 / (after[0] - before[0])
    point = ",".join(
        str(round(start + part * (end - start), 5)) for start, end in zip(before[2:], after[2:], strict=True)
    )
    assert f'href="/requests?near={point}&amp;status=open&amp;order=closest"' in answer.text
    near = requests.get(
        f"{site}/requests?{urlencode({'near': typed.format(number)})}", timeout=60, allow_redirects=False
    )
    assert (near.status_code, near.headers["Location"]) == (308, f"/requests?near={point}")


def test_an_address_is_not_a_crossing_whose_number_is_of_the_other_street_and_no_point_is_called_by_a_number(site, ask):
    [(crossing,)] = ask(
        "SELECT address FROM places WHERE address GLOB '[0-9]* and MAIN ST' AND latitude IS NOT NULL LIMIT 1"
    )
    number = crossing.split()[0]
    near = requests.get(f"{site}/requests?near={number}+main+st", timeout=60, allow_redirects=False)
    point = near.headers["Location"].removeprefix("/requests?near=")
    latitude = float(point.split(",")[0])
    on_street = ask("SELECT abs(CAST(address AS INTEGER) - ?), latitude FROM places WHERE street = 'MAIN ST' AND "
                    "address GLOB '[0-9]*' AND address NOT LIKE '% and %' AND latitude IS NOT NULL ORDER BY 1 LIMIT 2", number)  # fmt: skip
    assert min(at for _, at in on_street) - 1e-5 <= latitude <= max(at for _, at in on_street) + 1e-5
    for text in ("49.28", "0", "2026-13"):
        assert requests.get(f"{site}/requests?near={text}", timeout=60).status_code == 422


def test_a_number_beyond_its_street_leads_to_its_nearest_end_and_an_address_is_said_by_its_name(site, ask):
    [(address, latitude, longitude)] = ask(
        """SELECT address, latitude, longitude FROM places WHERE street = 'MAIN ST' AND address GLOB '[0-9]*'
           ORDER BY CAST(address AS INTEGER) DESC, address LIMIT 1"""
    )
    name, point = plain("address", address), f"{round(latitude, 5)},{round(longitude, 5)}"
    assert (
        f'near={point}&amp;status=open&amp;order=closest">Open within 500 m of {name}</a>'
        in asked(site, "99999 main").text
    )
    for typed in (address, f"{latitude},{longitude}"):
        page = requests.get(f"{site}/requests?{urlencode({'near': typed})}", timeout=60)
        assert page.url == f"{site}/requests?near={point}"
        assert f"within 500 m of {name} <" in page.text
    assert (
        f"Open within 500 m of {name}</a>" in requests.get(f"{site}/requests?address={quote(address)}", timeout=60).text
    )


def test_everything_that_the_data_names_is_found_by_its_name(release, ask):
    named = {
        "area": "SELECT DISTINCT local_area FROM service_requests WHERE local_area IS NOT NULL",
        "issue": "SELECT DISTINCT issue_type FROM service_requests",
        "department": "SELECT DISTINCT department FROM service_requests",
        "address": "SELECT DISTINCT address FROM service_requests WHERE address IS NOT NULL",
        "street": "SELECT street FROM places WHERE street IS NOT NULL UNION SELECT cross_street FROM places WHERE cross_street IS NOT NULL",
        "bia": "SELECT DISTINCT business_improvement_area FROM places WHERE business_improvement_area IS NOT NULL",
    }  # fmt: skip
    for kind, query in named.items():
        names = {name for (name,) in ask(query)}
        keys = {key for (key,) in ask("SELECT key FROM search WHERE kind = ?", kind)}
        assert len(keys) == len(names)
        assert kind in ("area", "issue", "department") or keys == names
    for name in (
        "Kensington-Cedar Cottage",
        "Arterial St. Curbside Sign - New Request Case",
        "CMO - City Manager's Office",
    ):
        assert find(release, name).hits[0].key in name.lower().replace(" - ", "-").replace(" ", "-").replace(
            ".", ""
        ).replace("'", "")


def test_of_a_kind_those_with_most_requests_come_first(ask):
    addresses = [key for (key,) in ask("SELECT key FROM search WHERE kind = 'address' ORDER BY rowid")]
    counted = ask("SELECT address FROM service_requests WHERE address IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1")
    assert addresses == [address for (address,) in counted]


@pytest.mark.parametrize(
    "text",
    ['"', "'", "*", "garbage*", "a OR b", "NEAR(garbage, 2)", "^garbage", "name: garbage", "-garbage", "{key} : x", '") OR ("', "();--",
     "\x00", "%", "<script>alert(1)</script>", "é" * 400, "garbage " * 300, "名前", "\ufffe\u202e"],
)  # fmt: skip
def test_nothing_that_is_typed_is_a_question_to_the_database_or_a_mark_of_the_page(site, text):
    answer = requests.get(f"{site}/find?{urlencode({'q': text})}", timeout=60)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert re.search(r"<h1[^>]*>(Search|[A-Z])", answer.text)


def test_a_search_has_one_address_of_bounded_length(site):
    long = requests.get(f"{site}/find?q=++a++{'b' * 500}&page=2", timeout=60, allow_redirects=False)
    assert long.status_code == 308
    assert parse_qs(urlsplit(long.headers["Location"]).query) == {"q": [f"a {'b' * 98}"]}
    assert asked(site, "").headers["Location"] == "/find"


@pytest.mark.parametrize(
    "path", ["/", "/areas", "/areas/kitsilano", "/methods", "/find?q=garbage", "/find", "/nowhere"]
)
def test_every_page_has_the_field(site, path):
    page = requests.get(site + path, headers={"Accept": "text/html"}, timeout=60).text
    assert (
        page.count('action="/find"') == page.count('name="q"') == len(re.findall('<label[^>]* for="find">', page)) == 1
    )
