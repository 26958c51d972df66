"""Claims about the fault harness's proofs: each finds what it is there to find, so that no failure is a failure seen."""

import sqlite3
from contextlib import closing
from itertools import accumulate
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.compare import COLUMNS
from benchmarks.rig import (
    City,
    Ended,
    Home,
    damage,
    edited,
    keyed_rows,
    phase,
    published_problems,
    released,
    strangeness,
    unclear,
    warehouse_problems,
)
from vanc311_pipeline.standin import EDITS, StandIn


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Two months of the real sample."""
    with StandIn() as portal:
        frame = portal.frame
    months = frame["service_request_open_timestamp"].dt.strftime("%Y-%m").isin(["2024-05", "2024-06"])
    return frame[months].reset_index(drop=True)


@pytest.fixture(scope="module")
def later(frame: pd.DataFrame) -> pd.DataFrame:
    return edited(frame, 1)


def rows_of(frame: pd.DataFrame, month: str = "") -> list[tuple]:
    return [row for row in keyed_rows(frame) if row[4].startswith(month)]


def written(file: Path, rows: list[tuple]) -> Path:
    """A file with the tables that are compared."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE service_requests ({', '.join(COLUMNS)})")
        connection.execute("CREATE INDEX by_day ON service_requests (opened_at)")
        connection.execute("CREATE TABLE quarantined_requests (reason)")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO service_requests VALUES ({marks})", rows)
    return file


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        pytest.param(lambda first, _: rows_of(first)[::-1], None, id="one release, in another order: nothing strange"),
        pytest.param(lambda first, later: rows_of(first, "2024-05") + rows_of(later, "2024-06"), "a mix of releases",
                     id="a month of each release: a mix"),
        pytest.param(lambda first, _: rows_of(first)[:-1], "never released", id="a row too few"),
        pytest.param(lambda first, _: [*rows_of(first), rows_of(first)[0]], "never released", id="a row too many"),
    ],
)  # fmt: skip
def test_a_file_holds_one_of_the_releases(frame, later, tmp_path, rows, complaint):
    problems = strangeness(written(tmp_path / "file.sqlite", rows(frame, later)), [released(later), released(frame)])
    assert (complaint in problems[0]) if complaint else problems == []


def test_rows_that_cannot_be_keyed_are_expected_in_quarantine(frame):
    spoilt = EDITS["impossible_opened"].function(EDITS["null_key"].function(frame, rows=2), rows=3, seed=5)
    problems = released(spoilt)
    assert (problems.rows, problems.unkeyed) == (len(frame) - 5, 5)


def test_a_warehouse_may_stand_between_two_releases_but_only_month_by_month(frame, later, tmp_path):
    home = Home(tmp_path, "http://portal")
    releases = [released(frame), released(later)]
    written(home.warehouse, rows_of(frame, "2024-05") + rows_of(later, "2024-06"))
    assert warehouse_problems(home, releases) == []
    home.warehouse.unlink()
    half = rows_of(later, "2024-06")
    written(home.warehouse, rows_of(frame, "2024-05") + half[: len(half) // 2])
    assert warehouse_problems(home, releases) == ["a month of the warehouse is of no release"]


def test_a_damaged_file_and_one_that_is_gone_are_found(frame, tmp_path):
    home = Home(tmp_path, "http://portal")
    assert published_problems(home, "the digest of what was there", []) == ["the published file is gone"]
    written(home.published, rows_of(frame))
    assert damage(home.published) == []
    content = home.published.read_bytes()
    home.published.write_bytes(content[: len(content) // 2])
    assert published_problems(home, None, [released(frame)]) != []


def test_the_portal_remembers_each_release_until_it_is_told_to_forget(frame, later):
    with City(frame) as city:
        city.publish(later)
        assert city.releases == [released(frame), released(later)]
        city.forget()
        assert city.releases == [city.newest]


@pytest.mark.parametrize(
    ("code", "err", "complaint"),
    [
        (2, "Error: No space left on device\n", None),
        (0, "Error: No space left on device\n", "ended with 0"),
        (2, "Traceback\nError: No space left on device\n", "traceback"),
        (2, "a warning\nError: No space left on device\n", "one message"),
        (2, "Error: something\n", "has none of"),
    ],
)
def test_a_failure_must_be_one_message_with_the_right_words(code, err, complaint):
    problems = unclear(Ended(code, "", err, 1.0), (1, 2), "space")
    assert (complaint in problems[0]) if complaint else problems == []


def test_the_phase_is_read_from_what_was_printed():
    lines = {
        "": "starting",
        "Portal: http://portal\n": "planning",
        "… 2 stale months of 9 rows.\n  2024-05 landed: 4 rows\n": "landing",
        "  2024-06 landed: 5 rows\n": "storing",
        "  statistics\n": "statistics",
        "  publishing\n": "publishing",
        "Done in 3 s.\n": "done",
    }
    assert [phase(printed) for printed in accumulate(lines)] == list(lines.values())
