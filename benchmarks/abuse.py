"""The site under load and abuse: `vanc311 serve` as a process, and readers that mean ill, each kind against a fresh server.

Each scenario is a function whose docstring is what is printed of it. Nothing leaves this machine. Beside it stand the server
(`site`), and a question, its answer and what others wait meanwhile (`clients`).
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product, takewhile
from pathlib import Path
from urllib.parse import urlencode

from benchmarks import load, topology
from benchmarks.clients import Sent, Waits, get, hold, links, probing, read_slowly, stream, together
from benchmarks.places import comes, command_line, in_background, workplace
from benchmarks.site import API, REPLICA_SECONDS, WORKERS, Site, another_release, city_file, served
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.disk import file_digest
from vanc311_pipeline.shipping import LATEST, ObjectStore
from vanc311_pipeline.warehouse.publishing import release_row

CALL, PAGE = f"{API}/metrics/citywide", "/methods"
CALL_P99_MS, PAGE_P99_MS, REQUESTS_P99_MS = 100, 500, 100
LOG_BYTES = 100_000  # a line for each error is not worth more, however many are asked for
SMALL_ROWS, SWAPS = 30_000, 20
SLOW_SECONDS = 90


# -- load --------------------------------------------------------------------------------------------------------------


def start(site: Site) -> None:
    """64 ask for / at once, right after the start"""
    began = time.perf_counter()
    replies = site.flood([get("/")] * 64)
    first, last = min(reply.at for reply in replies) - began, max(reply.at for reply in replies) - began
    site.notes.append(f"first answer after {first:.1f} s, last after {last:.1f} s")


def combinations(site: Site) -> None:
    """pages of an area and a type"""
    pairs = list(product(site.names["area"], site.names["issue"]))
    site.random.shuffle(pairs)
    asked = (get(View(*pair).url) for pair in pairs)
    site.flood(asked, connections=16, good=[200])


def pictures(site: Site) -> None:
    """pictures of types whose names hold control characters"""
    addresses = [link for issue in site.names["odd"] for link in links(site.page(View(issue=issue).url))]
    site.random.shuffle(addresses)
    site.flood(map(get, addresses), connections=4)


def figures(site: Site) -> None:
    """figures of many views at once, far more than can be drawn"""
    drawn = [link.partition("?")[0] for link in links(site.page("/"))]

    def ask() -> Sent:
        view = {name: site.any(name) for name in ("area", "issue") if site.random.random() < 0.7}
        return get(f"{site.random.choice(drawn)}?{urlencode(view)}", follow=True)

    site.flood(iter(ask, None), good=[200, 404, 503])


def unknown_parameters(site: Site) -> None:
    """parameters that mean nothing, each time others"""
    area, issue = View(site.names["area"][0]).url, View(issue=site.names["issue"][0]).url
    paths = ["/?n={}", "/?fbclid={}", f"{area}?utm_source={{}}", f"{issue}?mode={{}}"]
    paths += [f"{links(site.page('/'))[0].partition('?')[0]}?mode=anything{{}}", f"{API}/requests?n={{}}"]
    asked = (get(path.format(number)) for number, path in enumerate(cycle(paths)))
    site.flood(asked, good=[301, 302, 307, 308, 400, 404, 422])


def request_pages(site: Site) -> None:
    """different pages of requests, one after the other on 64 connections"""
    *_, (asked, _) = load.questions(site.published).values()
    site.flood(map(get, asked[:100]), good=[200, 503])
    served = load.load(site.server.url, asked[100:], 64, max(2, round(site.seconds)))
    waited = f"p50 {served.p50:.0f} ms, p99 {served.p99:.0f} ms, {served.rate:,.0f} answers/s, {served.failed} refused"
    site.notes.append(waited)
    if served.p99 > REQUESTS_P99_MS or served.failed:
        site.late.append(f"pages of requests: {waited}; the p99 may be {REQUESTS_P99_MS} ms, and none refused")


def filters(site: Site) -> None:
    """requests by filters that no index serves alone"""

    def ask() -> Sent:
        dice = site.random
        name = dice.choice(["channel", "closure_reason", "outcome", "closed_from", "closed_to"])
        narrowed = {name: site.any(name) if name in site.names else site.day()}
        narrowed |= {"order": dice.choice(["newest", "oldest"])} | ({"count": "yes"} if dice.random() < 0.2 else {})
        return get(f"{API}/requests?{urlencode(narrowed)}")

    site.flood(iter(ask, None), connections=16, good=[200, 503])


def changes(site: Site) -> None:
    """the log of changes, requests by id, and pages that show what moved"""

    def asked() -> Iterator[Sent]:
        while True:
            issue = site.any("issue")
            yield get(f"{API}/changes?{urlencode({'since': site.day()})}")
            yield get(f"{API}/changes?{urlencode({'issue': issue, 'kind': 'vanished', 'since': site.day()})}")
            yield get(f"{API}/requests/{site.any('id')}")
            yield get(f"{API}/requests/{site.random.randbytes(32).hex()}")
            yield get(View(issue=issue).url)

    site.flood(asked(), connections=16, good=[200, 404, 503])


def downloads(site: Site) -> None:
    """whole files at once, by some who read fast and some who hardly read"""
    listed = [f"{API}/downloads", *(f"{API}/downloads/{name}" for name in ("requests.parquet", "vanc311.sqlite"))]
    paths = [*listed, f"{API}/requests?format=csv", f"{API}/changes?format=csv"]

    slow = [read_slowly(site.server.url, get(path), site.seconds) for path in paths for _ in range(12)]
    site.flood(map(get, paths * 3), 15, [200, 503], beside=slow)


def swaps(site: Site) -> None:
    """20 releases, one after the other, each with a reader who hardly reads it"""
    download, bound = get(f"{API}/downloads/vanc311.sqlite"), 2 * site.small.stat().st_size

    async def swap() -> float:
        readers, began = [], time.monotonic()
        for number in range(SWAPS):
            site.publish(number)
            readers.append(asyncio.create_task(read_slowly(site.server.url, download, SLOW_SECONDS)))
            await asyncio.sleep(site.seconds / SWAPS)
        while site.deleted_bytes() > bound and time.monotonic() < began + SLOW_SECONDS:
            await asyncio.sleep(0.5)
        for reader in readers:
            reader.cancel()
        return time.monotonic() - began

    [seconds] = together(swap())
    site.notes.append(f"old releases were let go after {seconds:.0f} s")
    if seconds > SLOW_SECONDS:
        site.fail("old releases are held for readers who hardly read")


def in_place(site: Site) -> None:
    """a file that is written over in its place, not replaced, while it is read"""
    site.unavailable = True
    site.publish(0)
    before, other = site.release, another_release(site.small, site.published.with_name(".other"), 1)

    def write_over() -> None:
        with other.open("rb") as source, site.published.open("r+b") as target:
            while piece := source.read(4_000_000):
                target.write(piece)
                time.sleep(site.seconds / 20)

    read = [f"{API}/status", "/", f"{API}/requests?limit=1000", CALL]
    asked = map(get, cycle(read))
    with ThreadPoolExecutor(1) as writing:
        written = writing.submit(write_over)
        site.flood(takewhile(lambda _: not written.done(), asked), connections=4, good=[200, 503])
    if any(site.page(path).header("vanc311-release") == before for path in read):
        site.fail("what was written over is answered under the old release's name")


# -- abuse -------------------------------------------------------------------------------------------------------------


def headers(site: Site) -> None:
    """headers that make no sense"""
    odd = {
        "If-Modified-Since": ["Fri, 01 Jan 99999999999 00:00:00 GMT", "Mon, 32 Foo 2020 99:99:99 +9999", "0", "\xff"],
        "If-None-Match": ["W/" * 5_000, ",".join(f'"{n}"' for n in range(3_000)), '"', "*,*"],
        "Range": ["bytes=9-1", "bytes=-0", "bytes=" + "0-0," * 1_000, "bytes=" + "9" * 5_000 + "-", "lines=1", "bytes=²-"],
        "If-Range": ["Fri, 01 Jan 99999999999 00:00:00 GMT", '"'],
        "Accept": ["text/csv;q=nan", "*/*;q=" + "9" * 400, "text/csv;q=1e999", ";;;,,,", "\xff\xfe"],
        "Accept-Encoding": ["gzip;q=inf", "gzip;q=-1", "identity;q=0,*;q=0", "gzip" * 999],
        "Host": ["", "a b", "[::1", "x" * 5_000, "evil\tx", "localhost:99999999"],
        "Content-Length": ["-1", "9" * 30, "0x10", "1, 2"],
        "Transfer-Encoding": ["chunked", "chunked, chunked", "nothing", "chunked;q=0"],
        "Connection": ["upgrade", "close, keep-alive", "Host"],
        "Upgrade": ["websocket", "h2c"],
        "Expect": ["100-continue", "200-nothing"],
        "X-Forwarded-For": ["x" * 5_000],
        "X-Forwarded-Proto": ["javascript"],
        "Origin": ["null", "\x85"],
        "Cookie": ["=" * 5_000],
    }  # fmt: skip
    paths = ["/", "/methods", f"{API}/requests?limit=1", f"{API}/downloads/vanc311.sqlite", "/static/style.css"]
    fields = [{name: value} for name, values in odd.items() for value in values]
    site.flood((get(path, headers=each) for path, each in product(paths, fields)), connections=8, may_be_cut=True)
    noise = (Sent(site.random.randbytes(200) + b"\r\n\r\n") for _ in range(200))
    lengths = b"Content-Length: 4\r\nTransfer-Encoding: chunked"
    smuggled = Sent(b"POST / HTTP/1.1\r\nHost: x\r\n" + lengths + b"\r\n\r\n0\r\n\r\nGET /")
    site.flood([*noise, smuggled, Sent(b"\x16\x03\x01\x02\x00\r\n\r\n"), Sent(b"\r\n" * 500)], 8, may_be_cut=True)


def paths(site: Site) -> None:
    """paths that lead elsewhere, or nowhere"""
    odd = ["/metrics", "/%6detrics", "/%6Detrics", "//metrics", "/./metrics", "/x/../metrics", "/metrics/", "/metrics?",
           "//", "///", "/..", "/../../etc/passwd", "/static/../../etc/passwd", "/static/..%2f..%2f..%2fetc/passwd",
           "/static/%2e%2e/%2e%2e/etc/passwd", "/static/style.css%00.png", "/%00", "/areas/%00", "/areas/%ff%fe",
           "/issues/%1a", "/areas/%2F", "/areas/", "/figures/.svg", "/figures/%2e%2e.svg", "/" + "a" * 60_000, "/?" + "a=" * 20_000,
           "/areas/" + "%41" * 9_000, f"{API}/..", f"{API}//status", f"{API}/requests/%00", f"{API}/downloads/../app.py",
           "http://elsewhere.invalid/", "*", "/%", "/%zz", "/\x7f", "/é", "/ /", "/#x", "/\\..\\..", "/;x", "/.git/config"]  # fmt: skip
    for reply in site.flood(map(get, odd), connections=8, may_be_cut=True):
        if reply.status == 200 and (b"vanc311_answer_seconds" in reply.body or b"root:" in reply.body):
            site.fail(f"{reply.sent.line} is answered")


def methods(site: Site) -> None:
    """HEAD, OPTIONS, and methods that nobody knows"""
    verbs = ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get", "PROPFIND"]
    to = ["/", PAGE, CALL, f"{API}/downloads/vanc311.sqlite", f"{API}/requests?format=csv", "/static/style.css", "*"]
    for reply in site.flood((get(path, method) for method, path in product(verbs, to)), connections=8, may_be_cut=True):
        if reply.status == 200 and reply.sent.line.startswith("HEAD") and reply.body:
            site.fail("HEAD is answered with a body")


def http10(site: Site) -> None:
    """clients of HTTP/1.0"""
    to = ["/", CALL, f"{API}/requests?format=csv&limit=1000", f"{API}/requests?format=csv&status=Open",
          f"{API}/changes?format=csv", f"{API}/downloads/vanc311.sqlite"]  # fmt: skip
    for reply in site.flood((get(path, version="1.0") for path in to * 2), connections=4, good=[200, 503, 505]):
        if "chunked" in reply.header("transfer-encoding"):
            site.fail(f"{reply.sent.line} is answered in chunks")


def cursors(site: Site) -> None:
    """cursors of other listings"""
    area, other = (urlencode({"area": name}) for name in site.names["area"][:2])
    listings = [f"requests?{area}", f"requests?{other}", f"requests?{area}&order=oldest", f"requests/open?{area}", "changes?",
                "changes?kind=closed", f"requests?{area}&status=Open"]  # fmt: skip
    following = {
        listing: json.loads(site.page(f"{API}/{listing}&limit=1").body)["links"].get("next", "") for listing in listings
    }
    cursors = {listing: link.partition("cursor=")[2].partition("&")[0] for listing, link in following.items() if link}
    mixed = (get(f"{API}/{one}&limit=2&cursor={cursors[two]}") for one in listings for two in cursors if one != two)
    unknown = (get(f"{API}/changes?cursor={site.random.randbytes(30).hex()}") for _ in range(500))
    for asked in (mixed, unknown):
        site.flood(asked, good=[400, 404, 409, 422])


def header_trickle(site: Site) -> None:
    """256 clients whose headers come one byte at a time"""
    opened = hold(site.server.url, 256, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x", 40)
    site.notes.append(f"{opened} of 256 still open after 40 s")
    if opened:
        site.fail("whoever never ends the headers keeps the connection")


def idle(site: Site) -> None:
    """2,000 connections on which nothing is asked"""
    opened = hold(site.server.url, 2_000, b"", b"", site.seconds)
    site.notes.append(f"{opened} of 2,000 still open after {site.seconds:g} s")


def header_flood(site: Site) -> None:
    """headers and bodies without an end, from 64 clients"""
    endless = [
        (b"GET / HTTP/1.1\r\nX-Long: ", b"x" * 60_000),
        (b"GET / HTTP/1.1\r\n", b"X-Many: x\r\n" * 6_000),
        (b"GET /", b"x" * 60_000),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 60_000),
    ]

    taken = together(*(stream(site.server.url, *each, 50_000_000) for each in endless * 16))
    site.notes.append(f"{max(taken) / 1e6:.1f} MB taken of one at most")


def half_read(site: Site) -> None:
    """500 clients that go in the middle of the answer"""
    to = [f"{API}/requests?format=csv", f"{API}/downloads/vanc311.sqlite", "/", f"{API}/requests?limit=1000"]

    for _ in range(0, 500, 32):
        together(*(read_slowly(site.server.url, get(to[each % len(to)]), 0.05) for each in range(32)))


def replica(site: Site) -> None:
    """a replica whose store holds garbage, older releases and files without an end"""
    store, before = ObjectStore(site.store.as_uri()), site.release
    good = store.latest()
    assert good is not None
    older = another_release(site.small, site.store / "older", -9_999)
    garbage, endless = site.store / "garbage", site.store / "endless"
    garbage.write_bytes(site.random.randbytes(1_000_000))
    endless.touch()
    os.truncate(endless, 1 << 40)
    pointers = [b"\xff{", b"null", b"[" * 100_000, b'{"sha256": {}, "size": "x"}', b"x" * 50_000_000]
    for file, digest, size, about in (
        (older, file_digest(older), older.stat().st_size, release_row(older)),
        (garbage, file_digest(garbage), garbage.stat().st_size, good.about),
        (endless, "0" * 64, good.size, good.about),
    ):
        shipment = good.model_copy(update={"sha256": digest, "size": size, "about": about})
        file.replace(site.store / shipment.name)
        pointers.append(shipment.write())
    for pointer in pointers:
        (site.store / LATEST).write_bytes(pointer)
        time.sleep(3 * REPLICA_SECONDS)  # it looks in the meantime
        if site.release != before:
            site.fail(f"it serves another release after {pointer[:20]!r}")
            break
    (site.store / LATEST).write_bytes(good.write())
    newer = another_release(site.small, site.store / "newer", 1)
    store.ship(newer, file_digest(newer), release_row(newer))
    if not comes(lambda: site.release != before, 60, 0.2):
        site.fail("it follows no more: a newer release did not come within a minute")


SCENARIOS: dict[str, Callable[[Site], None]] = {
    scenario.__name__: scenario
    for scenario in (
        start, combinations, pictures, figures, unknown_parameters, request_pages, filters, changes, downloads, swaps,
        in_place, headers, paths, methods, http10, cursors, header_trickle, idle, header_flood, half_read, replica,
    )
}  # fmt: skip


def play(name: str, big: Path, small: Path, options: argparse.Namespace, limit: int) -> list[str]:
    """Play one scenario, print its line and its notes, and say which limits it broke."""
    with (
        tempfile.TemporaryDirectory(prefix="vanc311-abuse-") as folder,
        served(Path(folder), name, big, small, options.seconds, options.seed) as site,
    ):
        server = site.server
        asked = {"call": server.url + CALL, "page": server.url + PAGE}
        with in_background(0.1, site.look), probing(asked) as waits:
            workers, before = site.workers(), site.processor_seconds()
            try:
                SCENARIOS[name](site)
                time.sleep(1)  # others ask on
            except Exception as error:
                site.fail(f"the scenario ended with {type(error).__name__}: {error}")
            seconds = site.processor_seconds() - before
            if site.workers() != workers:
                site.fail("a process that answers died")
        if (size := server.log.stat().st_size) > LOG_BYTES:
            site.fail(f"it printed {size / 1e6:.1f} MB")
        if site.peak > limit:
            site.fail(f"memory of {site.peak / 1e6:,.0f} MB is over the {limit / 1e6:,.0f} MB of docker-compose.yml")
        report(name, site, waits, seconds)
        if options.keep and site.wrong:
            shutil.copy(server.log, options.keep / f"{name}.log")
        return [f"{name}: {line}" for line in broken(site, waits, options.untimed)]


def report(name: str, site: Site, waits: dict[str, Waits], seconds: float) -> None:
    """The scenario's line of the table, and what else is to be said of it."""
    cells = [f"{waits[each].quantile(share):7.1f}" for each in ("call", "page", "floor") for share in (0.5, 0.99)]
    answers = ", ".join(f"{number:,}×{kind}" for kind, number in sorted(site.answers.items()))
    print(f"{name:19} {' '.join(cells)} {seconds:7.1f} {site.peak / 1e6:7,.0f}  {answers}", flush=True)
    for note in (f"{SCENARIOS[name].__doc__}", *site.notes):
        print(f"{'':19} {note}", flush=True)
    for fault, examples in site.wrong.items():
        print(f"{'':19} WRONG {len(examples)}×: {fault}; {examples[0]!r}", flush=True)


def broken(site: Site, waits: dict[str, Waits], untimed: bool) -> Iterator[str]:
    """The limits that a scenario broke. The machine's own part of a wait is not ours: the limits are beyond the floor's."""
    yield from (*site.wrong, *([] if untimed else site.late))
    for name, limit in (("call", CALL_P99_MS), ("page", PAGE_P99_MS)):
        failed = {kind: number for kind, number in waits[name].failed.items() if kind != "503" or not site.unavailable}
        if failed:
            yield f"the cheap {name} failed meanwhile: {failed}"
        late, floor = waits[name].quantile(0.99), waits["floor"].quantile(0.99)
        if late > limit + floor and not untimed:
            yield f"p99 of the cheap {name} is {late:,.0f} ms, over {limit} ms beyond the floor's {floor:,.0f} ms"


def main() -> None:
    """Play the scenarios, print a line for each, and end with 1 and every limit that was broken."""
    parser = command_line("abuse", "Mistreat the site.", rows=1_300_000, seed=311)
    parser.add_argument("--seconds", type=float, default=8, help="how long a scenario asks")
    parser.add_argument("--untimed", action="store_true", help="print how long others wait, but set no limit to it")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="this scenario alone; may be repeated")
    options = parser.parse_args()
    site = topology.read({"VANC311_POSTGRES_PASSWORD": "x"})["services"]["site"]
    limit = int(site["mem_limit"].removesuffix("g")) << 30
    problems: list[str] = []
    with workplace("abuse", options.keep) as folder:
        small, big = (city_file(folder / str(rows), rows) for rows in (SMALL_ROWS, options.rows))
        size = f"{options.rows:,} requests, {big.stat().st_size / 1e6:,.0f} MB"
        print(f"{size}, {WORKERS} workers, {os.cpu_count()} processors; waits in ms; cpu: the server's seconds")
        print(f"{'':19}    call     p99    page     p99   floor     p99     cpu      MB  answers")
        for name in options.only or SCENARIOS:
            problems += play(name, big, small, options, limit)
    print("", *(f"Broken: {problem}" for problem in problems), sep="\n")
    if problems:
        sys.exit(1)
    print("Every limit holds.")


if __name__ == "__main__":
    main()
