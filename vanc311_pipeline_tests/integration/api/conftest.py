"""What the tests of the API share: a server in a thread, and answers over real HTTP beside the tables that they must equal.

Belongs here: means. Does not belong here: claims.
"""

import asyncio
import csv
import io
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from starlette.types import ASGIApp

from vanc311_pipeline.api.app import create_app
from vanc311_pipeline.settings import Settings

Row = dict[str, Any]


@dataclass
class Api:
    """An API over HTTP, and the published file behind it."""

    url: str
    file: Path
    session: requests.Session

    def get(self, path: str, headers: dict[str, str] | None = None, **asked: Any) -> requests.Response:
        address = path if path.startswith("/api") else f"/api/v1{path}"
        return self.session.get(f"{self.url}{address}", params=asked, headers=headers, timeout=60)

    def answer(self, path: str, **asked: Any) -> dict[str, Any]:
        response = self.get(path, **asked)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def rows(self, path: str, **asked: Any) -> list[Row]:
        """The rows of all pages."""
        answer = self.answer(path, **asked)
        rows = answer["data"]
        while following := answer["links"].get("next"):
            answer = self.answer(following)
            rows += answer["data"]
        return list(rows)

    def csv_rows(self, path: str, **asked: Any) -> list[Row]:
        response = self.get(path, format="csv", **asked)
        assert response.status_code == 200, response.text
        return list(csv.DictReader(io.StringIO(response.content.decode(), newline="")))

    def select(self, query: str, *values: Any) -> list[Row]:
        """The rows of the file itself."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def value(self, query: str, *values: Any) -> Any:
        return next(iter(self.select(query, *values)[0].values()))


@contextmanager
def site_of(app: ASGIApp, protocol: type[asyncio.Protocol] | None = None) -> Iterator[str]:
    """Serve an application from a thread, by uvicorn, on a port of its own; its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who comes before the server is ready waits
        server = uvicorn.Server(uvicorn.Config(app, http=protocol or "auto", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving(file: Path, protocol: type[asyncio.Protocol] | None = None) -> Iterator[Api]:
    """Serve a published file."""
    with site_of(create_app(file), protocol) as url, requests.Session() as session:
        yield Api(url, file, session)


@pytest.fixture(scope="session")
def api(synced: Settings) -> Iterator[Api]:
    """The API of the bundled sample's release."""
    with serving(synced.published_path) as served:
        yield served


@pytest.fixture
def own_file(synced: Settings, tmp_path: Path) -> Path:
    """A copy of the published file, which a test may change."""
    folder = shutil.copytree(synced.published_path.parent, tmp_path / "published")
    return Path(folder) / synced.published_path.name


@pytest.fixture
def serve() -> Iterator[Callable[[Path], Api]]:
    """Serves a file of the test's own until the test ends."""
    with ExitStack() as servers:
        yield lambda file: servers.enter_context(serving(file))


def as_csv(rows: list[Row]) -> list[Row]:
    """Rows of JSON as CSV says them."""
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def change(file: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    """Put a changed copy in the place of a published file, as a publication does."""
    fresh = file.with_suffix(".new")
    shutil.copy(file, fresh)
    with closing(sqlite3.connect(fresh)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement, values).rowcount != 0, f"nothing was changed by {statement}"
    fresh.replace(file)
