"""What the tests of the dashboard share: the site over HTTP, in front of a published file that a test may replace, and a real Chromium."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from vanc311_pipeline.api.app import create_app
from vanc311_pipeline.dashboard.site import dashboard
from vanc311_pipeline.dashboard.templating import problem_page
from vanc311_pipeline.dashboard.view import View
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.api.conftest import site_of
from vanc311_pipeline_tests.integration.planting import execute

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

Ask = Callable[..., list[tuple[Any, ...]]]
"""What other SQL gives of the same file."""


def requests_of(view: View) -> str:
    """Which requests are of a view."""
    located = "local_area IS NOT NULL" if view.counted == "located" else "TRUE"
    return " AND ".join([located, *_named(view)])


def group_of(view: View) -> str:
    """Which rows of the statistics are of it."""
    return " AND ".join([f"level = '{view.level}'", f"scope = '{view.counted}'", *_named(view)])


def _named(view: View) -> list[str]:
    return [f"{column} = '{name}'" for column, name in (("local_area", view.area), ("issue_type", view.issue)) if name]


def planted_in(synced: Settings, factory: pytest.TempPathFactory, *statements: str) -> Path:
    """A copy of the sample's published file, changed by statements."""
    file = Path(shutil.copy(synced.published_path, factory.mktemp("planted") / "vanc311.sqlite"))
    execute(file, *statements)
    return file


def served(published: Path, site_url: str | None = None) -> AbstractContextManager[str]:
    """The whole site, in front of a published file, and where it believes that people reach it; its address."""
    return site_of(create_app(published, routers=[dashboard(site_url)], problem_page=problem_page))


@pytest.fixture(scope="session")
def sample_site(synced) -> Iterator[str]:
    """The site in front of the bundled sample."""
    with served(synced.published_path) as address:
        yield address


@pytest.fixture(scope="module")
def published(request, synced, tmp_path_factory) -> Path:
    """The file that a module's tests are about: the sample's, changed by the statements that the module has as `PLANTED`, if it has any."""
    planted = getattr(request.module, "PLANTED", ())
    return planted_in(synced, tmp_path_factory, *planted) if planted else synced.published_path


@pytest.fixture(scope="module")
def site(request, synced, published) -> Iterator[str]:
    """The site in front of that file."""
    if published == synced.published_path:
        yield request.getfixturevalue("sample_site")
        return
    with served(published) as address:
        yield address


@pytest.fixture(scope="module")
def release(published) -> Iterator[Release]:
    with reading(published) as opened:
        yield opened


@pytest.fixture(scope="module")
def ask(published) -> Iterator[Ask]:
    with closing(sqlite3.connect(published)) as connection:
        yield lambda query, *values: connection.execute(query, values).fetchall()


@pytest.fixture
def own_file(synced, tmp_path) -> Path:
    """A published file that the test may change or replace."""
    return Path(shutil.copy(synced.published_path, tmp_path / "vanc311.sqlite"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, closed before another file's tests: while one is open, its thread can run no event loop of Dagster's."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "The tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A page in a browser, and everything that it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)

    def open(self, address: str) -> "Visit":
        """Open a page of the site and wait until its charts are drawn."""
        self.page.goto(address)
        self.page.wait_for_selector("html[data-drawn]", state="attached")
        return self


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Visit]]:
    """Opens pages: `visit(width=360, dark=True, scripts=False)`."""
    contexts = []

    def opened(width: int = 1280, *, dark: bool = False, scripts: bool = True) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        contexts.append(context)
        return Visit(context.new_page())

    yield opened
    for context in contexts:
        context.close()
