"""Every combination of what the form offers has a page, and every file that the page links is there, also where there is nothing to show.

There are tens of thousands. But a page is made of the rows of a few tables, so it is asked for if one of its tables is in a state
that none had on the pages before: which columns are null, and why.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from vanc311_pipeline import schema
from vanc311_pipeline.dashboard.view import SCOPES, View
from vanc311_pipeline.reading.names import names
from vanc311_pipeline.reading.published import reading
from vanc311_pipeline.reading.release import Release
from vanc311_pipeline.settings import Settings
from vanc311_pipeline_tests.integration.dashboard.conftest import served

TABLES = (
    schema.time_to_close, schema.time_to_close_curves, schema.waiting_times, schema.monthly_series, schema.backlog_daily,
    schema.backlog_by_age, schema.outcomes, schema.flow, schema.area_comparison, schema.year_on_year,
)  # fmt: skip
KEYS = ("level", "scope", "local_area", "issue_type", "period")

_IN_WORDS = ("state", "flow", "verdict")

Key = tuple[str | None, ...]


@pytest.fixture
def holed(own_file: Path) -> Path:
    """A city with an area without requests, an issue type of which none has an area, an empty year, and no comparison of areas."""
    with closing(sqlite3.connect(own_file)) as connection, connection:
        for table in (*TABLES, schema.service_requests, schema.metrics_by_neighbourhood, schema.metrics_hyper_local):
            columns = set(table.columns.keys())
            connection.execute(f"DELETE FROM {table.name} WHERE local_area = 'Kitsilano'")
            if "issue_type" in columns:
                located = "scope = 'located'" if "scope" in columns else "local_area IS NOT NULL"
                connection.execute(f"DELETE FROM {table.name} WHERE issue_type = 'Street Light Out Case' AND {located}")
            if "period" in columns:
                connection.execute(f"DELETE FROM {table.name} WHERE period = '2024'")
        connection.execute("DELETE FROM area_comparison")
    return own_file


def views(release: Release) -> list[View]:
    """Every choice that the form offers."""
    areas, issues, periods = (names(release, kind) for kind in ("area", "issue", "period"))
    return [View(*chosen) for chosen in product((None, *areas), (None, *issues), periods, SCOPES)]


SOME = pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.rehearsal)])
"""One page of so many: all of them in the rehearsal."""


def states(release: Release, table: sa.Table) -> dict[Key, frozenset[Any]]:
    """What the rows of a table are like, by the view that they are about."""
    patterns_of = defaultdict(set)
    for row in release.rows(sa.select(table), within=60):
        values = dict(row._mapping)
        key = tuple(values.pop(name, None) for name in KEYS)
        patterns_of[key].add(
            tuple(value if name.endswith(_IN_WORDS) else value is None for name, value in values.items())
        )
    return {key: frozenset(patterns) for key, patterns in patterns_of.items()}


def unlike(release: Release, met: set[Any]) -> Iterator[View]:
    """Those views of which one table is in a state that was not met before."""
    of = {table: states(release, table) for table in TABLES}
    for view in views(release):
        key = (view.level, view.counted, view.area, view.issue)
        shown = {
            (view.level, table.name, of[table].get((*key, view.period if "period" in table.columns else None)))
            for table in TABLES
        }
        if not shown <= met:
            met |= shown
            yield view


@SOME
def test_every_view_has_a_page_and_every_file_that_it_links(synced: Settings, holed: Path, step: int) -> None:
    met: set[Any] = set()
    linked: set[tuple[str, str, bool]] = set()
    for file in (synced.published_path, holed):
        with reading(file) as release, served(file) as address, requests.Session() as session:
            of = islice(unlike(release, met), 0, None, step)
            for view in (view.but(speed=speed) for view in of for speed in (False, True)):
                page = session.get(address + view.url, timeout=60)
                assert page.status_code == 200, view.url
                for figure in re.findall(r"<figure.*?</figure>", page.text, flags=re.DOTALL):
                    files = re.findall(r'href="(/figures/([^"?]*)[^"]*)"', figure)
                    like = (view.level, files[0][1], 'class="chart"' in figure)
                    for link, name in [] if like in linked else files:
                        if step > 1 and name.endswith((".png", ".zip")):
                            continue  # dear, and drawn from what the SVG is
                        assert session.get(address + unescape(link), timeout=60).status_code == 200, link
                    linked.add(like)


ODD = re.compile(
    r"(?<![\d.,])(?:0 (?:days|hours)\b|1 (?:requests|days|hours|weeks|months|years|types|rows|are|were|have)\b|(\d[\d,.]*) to \1(?![\d.,]*\d))"
)
"""Numbers that disagree with their word, a time of nothing, and an interval from a number to itself."""


@SOME
def test_no_page_of_an_area_or_an_issue_type_says_0_days_1_requests_or_3_to_3(synced: Settings, step: int) -> None:
    with reading(synced.published_path) as release:
        areas, issues = names(release, "area"), names(release, "issue")
    choices = [View(), *map(View, areas), *(View(issue=issue) for issue in issues)]
    addresses = ["/quality", *(view.but(speed=speed).url for speed in (False, True) for view in choices)]
    found = []
    with served(synced.published_path) as address, requests.Session() as session:
        for path in addresses[::step]:
            page = session.get(address + path, timeout=60).text
            text = unescape(re.sub(r"<[^>]+>", " | ", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)))
            text = re.sub(r"\b(\d+) to \1 (?=[A-Z])", "", text)  # a block, in the city's words
            found += [(path, odd.group()) for odd in ODD.finditer(text)]
    assert found == []
