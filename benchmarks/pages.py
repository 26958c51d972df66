"""The pages in a browser: what a first view weighs, how long its server takes cold, and how soon its charts are drawn.

The file is of any sync. Cold is a page that nobody has asked for yet, of a server that has answered others; drawn is counted from the
start of the navigation until the last chart is in its place, of a page whose answers the server has kept. On a busy machine only the
server's processor time says anything.
"""

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from gzip import compress
from pathlib import Path
from urllib.request import urlopen

import psutil
from playwright.sync_api import Browser, Response, sync_playwright

from benchmarks.load import Server, serving
from benchmarks.markdown import table
from vanc311_pipeline.settings import Settings

COLD_AIM_MS, DRAWN_AIM_MS, WEIGHT_AIM_KB, HTML_AIM_KB = 150, 300, 250, 100
PAGES = {
    "city": ("/?period=all", "/"),
    "area": ("/areas/marpole", "/areas/kitsilano"),
    "problem": ("/issues/street-light-out?period=all", "/issues/street-light-out"),
    "pair": ("/areas/marpole/street-light-out", "/areas/kitsilano/street-light-out"),
    "speed": ("/speed?period=all", "/speed"),
}
"""Of each kind one that is asked for before, and the one that is measured."""
HEAD = ("page", f"cold, ms (aim {COLD_AIM_MS})", "of these on a processor", f"HTML, KB (aim {HTML_AIM_KB})",
        f"first view gzipped, KB (aim {WEIGHT_AIM_KB})", "charts", f"drawn warm, ms (aim {DRAWN_AIM_MS})")  # fmt: skip


def measured(server: Server, kind: str, browser: Browser) -> Sequence[object]:
    """One line of the table."""
    (before, path), url, process = PAGES[kind], server.url, psutil.Process(server.pid)
    urlopen(url + before).read()
    began, worked = time.perf_counter(), sum(process.cpu_times()[:2])
    html = urlopen(url + path).read()
    cold, worked = (time.perf_counter() - began) * 1e3, (sum(process.cpu_times()[:2]) - worked) * 1e3
    weight = 0
    page, answers, drawn = browser.new_page(viewport={"width": 1280, "height": 900}), list[Response](), list[float]()
    page.on("response", lambda answer: answers.append(answer))
    for turn in range(6):
        page.goto(url + path)
        page.wait_for_selector("html[data-drawn]", state="attached", timeout=120_000)
        drawn.append(page.evaluate("performance.getEntriesByName('drawn')[0].startTime"))
        weight = weight if turn else sum(len(compress(answer.body())) for answer in answers)
    charts = page.locator(".chart").count()
    page.close()
    return (
        kind,
        f"{cold:.0f}",
        f"{worked:.0f}",
        f"{len(html) / 1e3:.0f}",
        f"{weight / 1e3:.0f}",
        charts,
        f"{sorted(drawn[1:])[2]:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Settings().data_dir, help="a data directory with a published file")
    data: Path = parser.parse_args().data
    with serving(data) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        print(table(HEAD, [measured(server, kind, browser) for kind in PAGES]))
        browser.close()
    print(f"The machine was at a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors.")


if __name__ == "__main__":
    main()
