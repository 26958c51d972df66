"""Claims about the index pages and the departments' pages: every line is the file's, in the order that is asked for."""

import html
import re

import pytest
import requests

from vanc311_pipeline.reading.labels import plain, slug

COUNTED = {
    "areas": ("area", "local_area", "SELECT local_area, 1 FROM local_areas"),
    "issues": ("issue", "issue_type", "SELECT DISTINCT issue_type, 1 FROM service_requests"),
    "departments": ("department", "department", "SELECT DISTINCT department, 1 FROM service_requests"),
}
OPENED = "opened_on BETWEEN (SELECT opened_from FROM periods WHERE period = ?1) AND (SELECT opened_to FROM periods WHERE period = ?1)"


def table(page: str) -> list[list[str]]:
    """The cells of a page's first table, its links as they are."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
    ]
    return [[html.unescape(cell) for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("path", "by", "descending"),
    [("/areas", 0, False), ("/areas?sort=requests", 1, True), ("/areas?sort=open", 4, True), ("/issues", 1, True),
     ("/issues?sort=name", 0, False), ("/issues?sort=open", 4, True), ("/departments", 1, True), ("/departments?sort=open", 4, True),
     ("/departments?period=last_90_days", 1, True), ("/issues?period=2024&sort=name", 0, False), ("/areas?period=all&sort=open", 4, True)],
)  # fmt: skip
def test_an_index_lists_all_with_their_numbers_of_the_period_in_the_order_asked_for(site, ask, path, by, descending):
    kind, column, query = COUNTED[path.lstrip("/").partition("?")[0]]
    period = "".join(re.findall(r"period=\w+", path))
    asked = period.removeprefix("period=") or "last_12_months"
    recent = dict(ask(f"SELECT {column}, count(*) FROM service_requests WHERE {OPENED} GROUP BY 1", asked))
    waiting = dict(ask(f"SELECT {column}, count(*) FROM service_requests WHERE status = 'Open' GROUP BY 1"))
    lines = table(requests.get(site + path, timeout=60).text)
    assert sorted(
        (name, int(volume.replace(",", "")), int(still.replace(",", ""))) for name, volume, _, _, still in lines
    ) == sorted(
        (
            f'<a href="/{kind}s/{slug(kind, label)}{period and "?" + period}" title="{label}">{plain(kind, label)}</a>',
            recent.get(label, 0),
            waiting.get(label, 0),
        )
        for label, _ in ask(query)
    )
    shown = [
        re.sub("<[^>]*>", "", line[by]).casefold() if by == 0 else int(line[by].replace(",", "")) for line in lines
    ]
    assert shown == sorted(shown, reverse=descending)


def test_an_order_keeps_the_period_and_a_period_the_order(site):
    page = requests.get(f"{site}/departments?period=2024&sort=open", timeout=60).text
    assert re.findall(r'<th scope="col"[^>]*><a href="([^"]*)">', page) == [
        "/departments?period=2024&amp;sort=name",
        "/departments?period=2024",
    ]
    chips = page[page.index('aria-label="Period of opening"') :].split("</nav>")[0]
    assert '<a href="/departments?sort=open">in the last 12 months</a>' in chips
    assert '<a href="/departments?period=2024&amp;sort=open" aria-current="true">in 2024</a>' in chips
    assert '<a href="/departments/eng?period=2024">Engineering</a>' in page


def test_how_fast_half_are_closed_ranks_problems_alone_and_only_those_of_which_it_can_be_told(site, ask):
    of_issues = "level = 'issue' AND scope = 'all' AND period = 'last_12_months'"
    times = ask(f"SELECT issue_type, n, median_days, median_state FROM time_to_close WHERE {of_issues}")
    known = sorted((days for _, _, days, state in times if state == "ok"), reverse=True)
    lines = table(requests.get(f"{site}/issues?sort=half", timeout=60).text)
    ranked = [line[3] for line in lines[: len(known)]]
    assert [0 if cell.startswith("the same day") else int(cell.split()[0]) for cell in ranked] == known
    assert {line[3] for line in lines[len(known) :]} <= {"too few", "no requests", "not yet reached", "no usable dates"}
    timed = dict(ask("SELECT DISTINCT issue_type, 0 FROM service_requests")) | {label: n for label, n, *_ in times}
    assert {line[0]: line[2] for line in lines} == {
        f'<a href="/issues/{slug("issue", label)}" title="{label}">{plain("issue", label)}</a>': str(n)
        for label, n in timed.items()
    }
    for kind in ("areas", "departments"):
        led = requests.get(f"{site}/{kind}?sort=half", timeout=60, allow_redirects=False)
        assert (led.status_code, led.headers["Location"]) == (308, f"/{kind}")


def test_a_group_of_departments_is_all_that_have_its_prefix(site, ask):
    branches = {
        label for (label,) in ask("SELECT DISTINCT department FROM service_requests WHERE department LIKE 'ENG - %'")
    }
    page = requests.get(f"{site}/departments/eng", timeout=60).text
    assert "<h1>Engineering</h1>" in page
    listed = page[page.index("<h2>Its branches") :].split("</section>")[0]
    assert set(re.findall(r"<li>.*?>([^<]*)</a>", listed)) == {plain("department", label) for label in branches}
    [(waiting,)] = ask("SELECT count(*) FROM service_requests WHERE status = 'Open' AND department LIKE 'ENG - %'")
    assert f"{waiting:,} requests are open" in page
    assert '<a href="/departments/eng">Engineering</a>' in requests.get(f"{site}/departments", timeout=60).text


@pytest.mark.parametrize(
    ("address", "canonical"),
    [("/departments/ENG", "/departments/eng"), ("/departments/ENG%20-%20Sanitation%20Services", "/departments/eng-sanitation-services"),
     ("/departments/eng/?x=1", "/departments/eng?x=1"), ("/departments/eng?x=1", "/departments/eng"),
     ("/issues?sort=requests", "/issues"), ("/issues?sort=colour", "/issues"), ("/Areas/", "/areas"),
     ("/issues?sort=open&period=2024&x=1", "/issues?period=2024&sort=open"), ("/areas?period=last_12_months&sort=name", "/areas"),
     ("/figures/closed-within-30-days.svg?area=Kitsilano", "/figures/closed-within.svg?area=kitsilano")],
)  # fmt: skip
def test_an_index_a_department_and_a_figure_have_one_address(site, address, canonical):
    led = requests.get(site + address, timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (308, canonical)


def test_an_unknown_department_leads_to_those_that_may_be_meant(site):
    answer = requests.get(f"{site}/departments/sanitation-servces", headers={"Accept": "text/html"}, timeout=60)
    assert answer.status_code == 404
    assert 'href="/departments/eng-sanitation-services"' in answer.text
