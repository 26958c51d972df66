"""Claims about figures on other sites: in a frame, as a picture, as a link that unfurls, as files; and nothing else can be framed."""

import csv
import html
import io
import json
import re
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZipFile

import pytest
import requests

from vanc311_pipeline.dashboard.site import dashboard
from vanc311_pipeline.dashboard.templating import FRAMED_POLICY
from vanc311_pipeline.settings import LICENCE
from vanc311_pipeline_tests.integration.api.conftest import change
from vanc311_pipeline_tests.integration.dashboard.conftest import served

ROOT = "https://311.example"
SHOWN_ELSEWHERE = ("/figures/", "/embed/", "/oembed", "/feed.", "/briefs.atom")
IN_PATH = {
    "area": "kitsilano", "issue": "street-light-out", "department": "eng",
    "request_id": "0afd4ea663f44394de98803c2729d302030f521b4fc98495e47aee77da5512c6",
}  # fmt: skip
FIGURE = "backlog"
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def get(address: str, **options) -> requests.Response:
    return requests.get(address, timeout=60, **options)


def tag(page: str, name: str) -> str:
    """What a page says of itself, in its head."""
    [content] = re.findall(rf'<meta (?:name|property)="{name}" content="([^"]*)">', page)
    return html.unescape(content)


@pytest.fixture(scope="module")
def known(published) -> Iterator[str]:
    """The site, told that people reach it at ROOT."""
    with served(published, ROOT) as address:
        yield address


@pytest.mark.parametrize(
    ("path", "figure"),
    [("/", "backlog"), ("/areas/kitsilano?period=2024", "opened-and-closed"), ("/issues/street-light-out", "opened-and-closed"),
     ("/speed", "time-to-close"), ("/speed?area=kitsilano", "time-to-close")],
)  # fmt: skip
def test_a_link_to_a_page_unfurls_with_its_first_figure_and_a_site_shows_it_by_oembed(known, path, figure):
    page = get(known + path).text
    assert re.findall(r'<figure class="block" id="([^"]*)"', page)[0] == figure
    assert tag(page, "og:url") == ROOT + path
    assert f'<link rel="canonical" href="{ROOT}{path}">' in page
    assert tag(page, "og:title") in html.unescape(page.split("<title>")[1].split("</title>")[0])
    assert tag(page, "og:description") == tag(page, "description")
    assert tag(page, "twitter:card") == "summary_large_image"
    picture = get(tag(page, "og:image").replace(ROOT, known))
    assert f'inline; filename="{figure}-' in picture.headers["Content-Disposition"]
    assert struct.unpack(">II", picture.content[16:24]) == (1200, 630)
    [discovered] = re.findall(r'<link rel="alternate" type="application/json\+oembed" href="([^"]*)"', page)
    answer = get(html.unescape(discovered).replace(ROOT, known, 1), headers={"Origin": "https://news.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    about = answer.json()
    assert (about["version"], about["type"], about["provider_url"]) == ("1.0", "rich", ROOT)
    [frame] = re.findall(r'^<iframe src="([^"]*)" title="[^"]+" width="720" height="\d+" loading="lazy"', about["html"])
    assert re.search(rf"/embed/{figure}\b", frame)
    assert about["title"] in html.unescape(get(html.unescape(frame).replace(ROOT, known)).text)


def test_every_page_describes_itself_in_one_sentence_of_its_own(site):
    paths = ("/", "/speed", "/speed?area=kitsilano",
             "/areas/kitsilano", "/issues/street-light-out", "/areas", "/issues", "/departments", "/departments/eng", "/requests",
             "/requests?area=kitsilano", f"/requests/{IN_PATH['request_id']}", "/compare?left=kitsilano", "/find", "/quality",
             "/methods", "/methods/simulated", "/data", "/api")  # fmt: skip
    pages = {path: get(site + path).text for path in paths}
    sentences = {path: tag(page, "description") for path, page in pages.items()}
    assert len(set(sentences.values())) == len(paths)
    assert all(re.fullmatch(r"[A-Z].*[^.]\.", sentence) for sentence in sentences.values()), sentences
    assert not [
        path for path, page in pages.items() if "canonical" in page or "og:image" in page
    ]  # it knows no address of its own


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (f"url={ROOT}/areas/kitsilano%23outcomes&maxwidth=400", 200),
        (f"url={ROOT}/embed/outcomes?area=kitsilano%26release=2020-01-01.0123456789ab", 200),
        (f"url={ROOT}", 200),
        ("url=https://evil.example/areas/kitsilano", 404),
        ("url=https://311.example.evil.example/", 404),
        ("url=//311.example/", 404),
        (f"url={ROOT}/methods", 404),
        (f"url={ROOT}/areas/atlantis", 404),
        ("url=http://%5B", 404),
        (f"url={ROOT}/embed/closed-within-30-days", 200),
        ("", 404),
        (f"url={ROOT}/&format=xml", 501),
    ],
)
def test_oembed_tells_of_figures_of_this_site_alone(known, site, asked, status):
    answer = get(f"{known}/oembed?{asked}")
    assert answer.status_code == status
    if "outcomes" in asked:
        about = answer.json()
        pinned = "&release=2020-01-01.0123456789ab" * ("release" in asked)
        assert f'"{ROOT}/embed/outcomes?area=kitsilano{pinned}"' in html.unescape(about["html"])
        assert about["width"] == (400 if "maxwidth" in asked else 720)
        assert f'width="{about["width"]}"' in about["html"]
    assert get(f"{site}/oembed?{asked}").status_code == (501 if status == 501 else 404)  # it was not told its address


def test_another_site_may_frame_an_embed_and_nothing_else_and_may_show_figures(site):
    """Of figures one in each form: the others are the same route with another name."""
    paths = {
        re.sub(r"\{(\w+)[^}]*\}", lambda part: IN_PATH.get(part[1], "nowhere"), route.path)
        for route in dashboard().routes
    }
    paths = {path for path in paths if not path.startswith(("/figures/", "/embed/")) or f"/{FIGURE}" in f"{path}."}
    paths -= {f"/embed/{FIGURE}-by-age", *(path for path in paths if path.startswith(f"/figures/{FIGURE}-"))}
    assert len(paths) > 40
    for path in paths:
        answer = get(site + path, headers=BROWSER)
        policies = answer.raw.headers.getlist("Content-Security-Policy")
        is_shown, is_framed = path.startswith(SHOWN_ELSEWHERE), path.startswith("/embed/")
        assert len(policies) == 1, path
        assert ("frame-ancestors *" if is_framed else "frame-ancestors 'none'") in policies[0], path
        assert answer.headers["Cross-Origin-Resource-Policy"] == ("cross-origin" if is_shown else "same-origin"), path
        assert answer.headers.get("Access-Control-Allow-Origin") == ("*" if is_shown else None), path
    assert get(f"{site}/embed/{FIGURE}").headers["Content-Security-Policy"] == FRAMED_POLICY
    assert "script" not in FRAMED_POLICY


def test_an_embed_says_all_that_it_takes_to_quote_it_and_what_is_wrong_is_said_in_the_frame_too(site, release, ask):
    page = get(f"{site}/embed/backlog-by-age?area=kitsilano").text
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    [(n,)] = ask("SELECT count(*) FROM service_requests WHERE local_area = 'Kitsilano' AND status = 'Open'")
    for part in (
        f"Of {n} requests that are open, ",
        f"n = {n} ",
        "Source: City of Vancouver, 3-1-1 · as of",
        LICENCE,
        "Live: ",
    ):
        assert part in text
    assert release.id in text
    assert '<a href="/speed?area=kitsilano#backlog-by-age">' in page
    assert "<script" not in page
    assert "<form" not in page
    assert "Pinned: " in get(f"{site}/embed/backlog-by-age?area=kitsilano&release={release.id}").text
    other = "release=2020-01-01.0123456789ab"
    for address in ("outcomes?area=atlantis", f"outcomes?{other}", "areas-closings?area=kitsilano"):
        wrong = get(f"{site}/embed/{address}", headers=BROWSER)
        assert wrong.status_code in (404, 409)
        assert wrong.headers["Content-Security-Policy"] == FRAMED_POLICY
    for kind in ("svg", "csv", "metadata.json"):
        assert get(f"{site}/figures/outcomes.{kind}?{other}").status_code == 409


def test_a_figure_says_what_its_numbers_are_and_all_of_it_comes_in_one_folder(site, published, release, ask):
    about = get(f"{site}/figures/outcomes.metadata.json?area=kitsilano&period=2024").json()
    [(closed,)] = ask(
        "SELECT count(*) FROM service_requests WHERE local_area = 'Kitsilano' AND opened_on LIKE '2024%' AND status = 'Close'"
    )
    assert (about["n"], about["n_counts"], about["as_of"]) == (closed, "closed requests", release.about["as_of"])
    assert about["release"]["id"] == release.id
    assert release.id in about["citation"]
    assert LICENCE in about["citation"]
    assert about["definition"]["unit"] == "share"
    assert about["coverage"]["of"] == "the city"
    assert about["links"]["page"] == "/speed?area=kitsilano&period=2024#outcomes"
    file = f"outcomes-kitsilano-2024-{about['as_of']}"
    archive = get(f"{site}/figures/outcomes.zip?area=kitsilano&period=2024")
    with ZipFile(io.BytesIO(archive.content)) as folder:
        parts = {name.removeprefix(f"{file}/"): folder.read(name) for name in folder.namelist()}
    kinds = ("csv", "svg", "png", "html", "metadata.json")
    alone = {kind: get(f"{site}/figures/outcomes.{kind}?area=kitsilano&period=2024").content for kind in kinds}
    assert {f"{file}.{kind}": content for kind, content in alone.items()} == {
        name: content for name, content in parts.items() if name != "README.txt"
    }
    read_me = parts["README.txt"].decode()
    for part in (about["finding"], f"n = {closed} closed requests.", about["citation"], "Closed does not mean fixed"):
        assert part in read_me
    columns = next(csv.reader(io.StringIO(alone["csv"].decode("utf-8-sig"))))
    assert [column["name"] for column in about["columns"]] == columns
    assert all(column["meaning"] and column["unit"] for column in about["columns"])
    with served(published) as another:  # the same release gives the same bytes, whoever makes them
        assert (
            get(f"{another}/figures/outcomes.zip?area=kitsilano&period=2024").headers["ETag"] == archive.headers["ETag"]
        )


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another site: its address, and what its one page holds."""
    holds: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!doctype html><title>News</title>{''.join(holds)}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None: ...

    with ThreadingHTTPServer(("127.0.0.2", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.2:{server.server_port}", holds
        server.shutdown()
        thread.join()


def test_the_frame_that_is_offered_is_as_high_as_a_phone_needs(site, visit):
    offered = re.findall(
        r'<iframe src="[^"]*(/embed/[^"]*)" .* height="(\d+)"', html.unescape(get(f"{site}/speed").text)
    )
    assert len(offered) > 5
    page = visit(320).page
    for address, height in offered:
        page.goto(site + html.unescape(address))
        for width in (320, 440):
            page.set_viewport_size({"width": width, "height": 200})
            assert page.evaluate("document.body.scrollHeight") <= int(height), address


def test_another_site_shows_a_live_figure_and_a_pinned_one_whose_numbers_stay_when_a_release_comes(
    own_file, elsewhere, visit
):
    address, holds = elsewhere
    with served(own_file) as site:
        release = get(site).headers["Vanc311-Release"]
        query = "area=kitsilano"
        frames = {"live": f"?{query}", "pinned": f"?{query}&release={release}"}
        holds += [
            *(f'<iframe id="{name}" src="{site}/embed/backlog-by-age{asked}" width=320 height=600></iframe>' for name, asked in frames.items()),
            f'<iframe id="page" src="{site}/areas/kitsilano"></iframe>',
            f'<img id="picture" src="{site}/figures/backlog-by-age.png?{query}&mode=square">',
            f'<div id="kept">{get(f"{site}/figures/backlog-by-age.html?{query}").text}</div>',
        ]  # fmt: skip
        seen = visit(360, dark=True, scripts=True)
        kept = seen.page.goto(address) and seen.page.locator("#kept img").get_attribute("alt")
        texts = {name: seen.page.frame_locator(f"#{name}").locator("h1") for name in frames}
        first = {name: text.inner_text() for name, text in texts.items()}
        assert kept.removeprefix("Chart: ").startswith(first["live"])
        assert first["live"] == first["pinned"]
        frame = seen.page.frame_locator("#live")
        assert frame.locator(".narrow svg").is_visible()
        assert not frame.locator(".wide svg").is_visible()
        assert frame.locator("html").evaluate("root => root.scrollWidth") <= 320
        assert (
            frame.locator(".narrow .mark-rect path").first.evaluate("bar => getComputedStyle(bar).fill")
            == "rgb(86, 180, 233)"
        )
        for picture, width in (("#picture", 1080), ("#kept img", 720)):
            assert (
                seen.page.locator(picture).evaluate("image => image.decode().then(() => image.naturalWidth)") == width
            )
        assert any("frame-ancestors 'none'" in complaint for complaint in seen.complaints)
        change(own_file, "UPDATE backlog_by_age SET open_requests = open_requests + 1000")
        seen.page.goto(address)
        assert texts["pinned"].inner_text() == "The current release is another"
        assert texts["live"].inner_text() not in ("", first["live"])
        assert seen.page.locator("#kept img").get_attribute("alt") == kept
        assert seen.page.locator("#kept img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 720
        assert json.dumps(release)[1:-1] in seen.page.frame_locator("#pinned").locator(".lead").inner_text()
