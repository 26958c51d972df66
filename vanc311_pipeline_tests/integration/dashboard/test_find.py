"""Claims about finding: what a resident types leads to what he expects, over HTTP, and everything that the file names is found."""

import html
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from vanc311_pipeline.reading.find import find

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


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("kits", "/areas/kitsilano"), ("Kitsílanö", "/areas/kitsilano"), ("kitsilno", "/areas/kitsilano"),
        ("commercial drive", "/requests?street=COMMERCIAL%20DRIVE"),
        ("engineering", "/departments/eng"), ("sanitation services", "/departments/eng-sanitation-services"),
        ("1946 york", "/requests?address=1946%20YORK%20AV"), ("york avenue 1946", "/requests?address=1946%20YORK%20AV"),
        ("9999 york av", "/requests?street=YORK%20AV"), ("main st", "/requests?street=MAIN%20ST"),
        ("street light kitsilano", "/areas/kitsilano/street-light-out"), ("rats", "/issues/rats-and-rodents"),
    ],
)  # fmt: skip
def test_the_best_comes_first(site, text, first):
    assert links(asked(site, text))[0] == first
    assert requests.get(site + first, timeout=60, allow_redirects=False).status_code == 200


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
