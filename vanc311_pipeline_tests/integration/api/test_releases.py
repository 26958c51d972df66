"""The file is replaced, missing, broken or hostile: readers get one release, whole, or are told why not; and nothing is written."""

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import sqlalchemy as sa

from vanc311_pipeline.errors import SettingsError
from vanc311_pipeline.reading.published import PublishedFile, reading
from vanc311_pipeline.reading.release import Overwritten, Release, TookTooLong, statement_budget
from vanc311_pipeline.schema import release as release_table
from vanc311_pipeline.schema import service_requests
from vanc311_pipeline_tests.integration.api.conftest import Api, as_csv, change
from vanc311_pipeline_tests.integration.planting import execute

Serve = Callable[[Path], Api]
A_DAY_LATER = "UPDATE release SET as_of = '2099-01-01'"


@pytest.fixture
def release(own_file: Path) -> Iterator[Release]:
    with reading(own_file) as current:
        yield current


def test_a_new_release_is_served_without_a_restart(own_file: Path, serve: Serve) -> None:
    api = serve(own_file)
    before = api.get("/metrics/citywide")
    cursor = api.answer("/requests", limit=1)["links"]["next"]
    change(own_file, A_DAY_LATER, "UPDATE metrics_citywide SET volume = volume + 1")
    after = api.get("/metrics/citywide", {"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["meta"]["as_of"] == after.headers["vanc311-as-of"] == "2099-01-01"
    assert after.json()["data"][0]["volume"] == before.json()["data"][0]["volume"] + 1
    assert after.headers["vanc311-release"] != before.headers["vanc311-release"]
    refused = api.get(cursor)
    assert (refused.status_code, refused.json()["type"]) == (409, "/api/v1/problems#other-release")


STREAMED = ("/requests?format=csv", "/downloads/vanc311.sqlite", "/downloads/requests.parquet")


def test_equal_files_have_equal_etags_and_others_have_others(own_file: Path, serve: Serve, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / own_file.name
    shutil.copytree(own_file.parent, copy.parent)
    os.utime(copy, (0, 0))
    one, other = serve(own_file), serve(copy)
    etags = [one.session.head(f"{one.url}/api/v1{path}").headers["etag"] for path in STREAMED]
    assert etags == [one.session.head(f"{other.url}/api/v1{path}").headers["etag"] for path in STREAMED]
    change(copy, "UPDATE service_requests SET address = 'elsewhere'")  # its size and its table `release` stay
    assert other.session.head(f"{other.url}/api/v1{STREAMED[0]}").headers["etag"] != etags[0]


def test_an_answer_under_way_ends_with_the_release_that_it_began_with(own_file: Path, serve: Serve) -> None:
    api = serve(own_file)
    whole, file = api.get("/requests?format=csv").content, own_file.read_bytes()
    address = f"{api.url}/api/v1"
    asked = {"Accept-Encoding": "identity"}
    with (
        api.session.get(f"{address}/requests?format=csv", headers=asked, stream=True) as rows,
        api.session.get(f"{address}/downloads/vanc311.sqlite", headers=asked, stream=True) as copy,
    ):
        pieces = [rows.iter_content(1000), copy.iter_content(1000)]
        begun = [next(each) for each in pieces]
        change(own_file, A_DAY_LATER, "DELETE FROM service_requests")
        assert api.answer("/requests", count="yes")["meta"]["total"] == 0
        assert [first + b"".join(rest) for first, rest in zip(begun, pieces, strict=True)] == [whole, file]


def test_readers_never_see_two_releases_in_one(own_file: Path) -> None:
    stop = threading.Event()
    question = sa.select(release_table.c.as_of, sa.func.count()).select_from(
        release_table.outerjoin(service_requests, sa.true())
    )

    def read() -> set[tuple[Any, ...]]:
        seen = set()
        while not stop.is_set():
            with published.reading() as release:
                seen.update((release.about["as_of"], *row) for row in release.rows(question))
        return seen

    with closing(PublishedFile(own_file)) as published, ThreadPoolExecutor() as threads:
        readers = [threads.submit(read) for _ in range(4)]
        try:
            for day in range(1, 6):
                dated = f"UPDATE release SET as_of = '2099-01-0{day}'"
                change(own_file, dated, f"DELETE FROM service_requests WHERE rowid % 50 = {day}")
        finally:
            stop.set()
        seen = set().union(*(reader.result() for reader in readers))
    assert all(about == asked for about, asked, _ in seen)
    assert len({about for about, _, _ in seen}) == len(seen) > 1


def test_a_release_that_nobody_reads_any_more_is_closed(own_file: Path) -> None:
    published = PublishedFile(own_file)
    with published.reading() as old:
        change(own_file, A_DAY_LATER)
        with published.reading() as new:
            assert new is not old
        assert old.scalars(sa.select(sa.func.count()).select_from(service_requests))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(old.descriptor)
    published.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(new.descriptor)


def overwrite(file: Path, *statements: str, written: int | None) -> None:
    """Put a changed copy's bytes into the same file, as `cp` does; `written` is when, or now."""
    other = file.with_name("other.sqlite")
    shutil.copy(file, other)
    change(other, *statements)
    with file.open("r+b") as opened:
        opened.write(other.read_bytes())
    if written is not None:
        os.utime(file, ns=(written, written))


@pytest.mark.parametrize("kept", ["size", "size and time"])
def test_a_file_that_was_overwritten_in_place_is_another_release(own_file: Path, serve: Serve, kept: str) -> None:
    api, written = serve(own_file), own_file.stat().st_mtime_ns - 10**12
    os.utime(own_file, ns=(written, written))
    before, size = api.get("/metrics/citywide"), own_file.stat().st_size
    earlier = written if kept == "size and time" else written + 1
    overwrite(own_file, "UPDATE metrics_citywide SET volume = volume + 1", written=earlier)
    assert own_file.stat().st_size == size
    after = api.get("/metrics/citywide", {"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["data"][0]["volume"] == before.json()["data"][0]["volume"] + 1
    assert after.headers["vanc311-release"] != before.headers["vanc311-release"]
    assert after.headers["etag"] != before.headers["etag"]


@pytest.mark.parametrize("path", ["/metrics/citywide", "/requests?format=csv", "/downloads/vanc311.sqlite"])
def test_while_a_file_is_being_overwritten_nothing_is_answered_from_it(own_file: Path, serve: Serve, path: str) -> None:
    api = serve(own_file)
    assert api.get(path).status_code == 200
    an_hour, now = 3_600 * 10**9, time.time_ns()
    overwrite(own_file, A_DAY_LATER, written=now + an_hour)  # whether that was all, nobody knows yet
    refused = api.get(path)
    assert (refused.status_code, "in place" in refused.json()["detail"]) == (503, True)
    os.utime(own_file, ns=(now - an_hour, now - an_hour))
    assert api.get(path).headers["vanc311-as-of"] == "2099-01-01"


def test_a_download_of_a_file_that_is_overwritten_breaks_off(own_file: Path, serve: Serve) -> None:
    api = serve(own_file)
    with api.session.get(
        f"{api.url}/api/v1/downloads/vanc311.sqlite", headers={"Accept-Encoding": "identity"}, stream=True
    ) as copy:
        pieces = copy.iter_content(1000)
        next(pieces)
        overwrite(own_file, A_DAY_LATER, written=None)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(pieces)


def test_what_is_read_of_an_overwritten_file_is_never_a_mixture(own_file: Path, release: Release) -> None:
    assert release.scalars(sa.select(release_table.c.as_of))
    overwrite(own_file, A_DAY_LATER, "DELETE FROM service_requests", written=None)
    with pytest.raises(Overwritten, match="renamed"):
        release.scalars(sa.select(sa.func.count()).select_from(service_requests))
    with pytest.raises(Overwritten, match="renamed"):
        release.bytes_at(0, 100)


def test_before_the_first_publication_every_answer_says_so(own_file: Path, serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere.sqlite"
    api = serve(place)
    for path in ("/status", "/requests?format=csv", "/downloads/vanc311.sqlite"):
        response = api.get(path)
        assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
        assert "vanc311 sync" in response.json()["detail"]
        assert response.headers["retry-after"]
    assert api.get("/openapi.json").status_code == 200
    own_file.rename(place)
    assert api.get("/status").status_code == 200
    place.unlink()
    assert api.get("/status").status_code == 503


@pytest.mark.parametrize("broken", [b"", b"no database at all", b"SQLite format 3\0" + b"\0" * 4096])
def test_a_broken_file_leaves_the_release_before_it_in_place(own_file: Path, serve: Serve, broken: bytes) -> None:
    api = serve(own_file)
    before = api.get("/metrics/citywide")
    fresh = own_file.with_suffix(".new")
    fresh.write_bytes(broken)
    fresh.replace(own_file)
    assert api.get("/metrics/citywide").content == before.content
    assert api.get("/metrics/areas").status_code == 200
    assert serve(own_file).get("/metrics/citywide").status_code == 503


def test_a_file_of_an_older_version_is_served_as_far_as_it_goes(own_file: Path, serve: Serve) -> None:
    execute(own_file, "DROP TABLE flow")
    api = serve(own_file)
    assert api.get("/metrics/citywide").status_code == 200
    refused = api.get("/backlog/flow")
    assert (refused.status_code, "vanc311 sync" in refused.json()["detail"]) == (503, True)


def test_a_file_that_was_copied_alone_is_served_and_says_what_is_not_beside_it(own_file: Path, serve: Serve) -> None:
    shutil.rmtree(own_file.parent / "downloads")
    api = serve(own_file)
    assert api.get("/downloads/vanc311.sqlite").content == own_file.read_bytes()
    for path in ("", "/requests.parquet", "/datapackage.json", "/checksums.txt"):
        refused = api.get(f"/downloads{path}")
        assert (refused.status_code, "vanc311 sync" in refused.json()["detail"]) == (503, True)


def test_the_sample_is_marked_wherever_it_goes(own_file: Path, serve: Serve) -> None:
    change(own_file, "UPDATE release SET source = 'sample'")
    api = serve(own_file)
    answer = api.get("/metrics/citywide")
    assert answer.headers["vanc311-source"] == answer.json()["meta"]["source"] == "sample"
    assert "not a picture of the city" in answer.json()["meta"]["note"]
    assert "vanc311-sample-metrics" in api.get("/metrics/citywide?format=csv").headers["content-disposition"]
    assert "note" in api.get("/areas.geojson").json()


def test_a_question_that_takes_too_long_is_broken_off(release: Release) -> None:
    one, other = service_requests.alias(), service_requests.alias()
    with pytest.raises(TookTooLong, match="Ask for less"):
        release.rows(sa.select(sa.func.count()).select_from(one.join(other, sa.true())), within=0.1)
    assert release.scalars(sa.select(release_table.c.source))  # and the connection is as good as new


def test_a_statement_budget_breaks_off_what_is_long_and_never_what_is_asked_often(release: Release) -> None:
    page, table = sa.select(service_requests).limit(100), sa.select(service_requests).limit(1_000)
    with statement_budget():
        for _ in range(100):
            assert release.rows(page)
        for question in (table, sa.select(service_requests).order_by(service_requests.c.days_to_update)):
            with pytest.raises(TookTooLong):
                release.rows(question)


def test_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can't be read"), PublishedFile(tmp_path).reading():
        pass


HOSTILE = [
    "<script>alert(1)</script>", "A/B", "a%2Fb", "100%", "?x=1#y", "'; DROP TABLE release; --", '"quoted", twice""',
    "=HYPERLINK(\"http://example.org\")", "+1-1", "\u202egnirts", "日本語 ☃ 🦆", "a\\b", " leading", "null", "{{7*7}}", "../..",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_data_and_nothing_else(own_file: Path, serve: Serve, name: str) -> None:
    old = {"local_area": "Kitsilano", "issue_type": "Abandoned Mattress Case"}
    with closing(sqlite3.connect(own_file)) as connection, connection:
        for table in ("local_areas", "metrics_by_neighbourhood", "metrics_hyper_local", "metrics_by_issue", "time_to_close",
                      "service_requests"):  # fmt: skip
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for column in old.keys() & set(columns):
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (name, old[column]))
    digest = hashlib.sha256(own_file.read_bytes()).hexdigest()
    api = serve(own_file)
    encoded = quote(name, safe="")
    if name != "../..":  # a client takes these dots for steps; they go as a parameter
        assert api.answer(f"/metrics/areas/{encoded}")["data"][0]["local_area"] == name
        assert api.answer(f"/metrics/issues/{encoded}")["data"][0]["issue_type"] == name
        [cell] = api.answer(f"/metrics/areas/{encoded}/issues/{encoded}")["data"]
        assert (cell["local_area"], cell["issue_type"]) == (name, name)
    for asked in ({"area": "local_area"}, {"issue": "issue_type"}, {"area": "local_area", "issue": "issue_type"}):
        names = dict.fromkeys(asked, name)
        assert api.rows("/time-to-close", **names)
        rows = api.rows("/requests", limit=1000, **names)
        assert {row[column] for row in rows for column in asked.values()} == {name}
        assert api.csv_rows("/requests", **names) == as_csv(rows)
    page = api.get("/requests", area=name, limit=1)
    assert page.headers["x-content-type-options"] == "nosniff"
    assert api.get(page.json()["links"]["self"]).json()["data"] == page.json()["data"]
    refused = api.get("/requests", area=f"no {name}")
    assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    assert hashlib.sha256(own_file.read_bytes()).hexdigest() == digest


def test_reading_leaves_no_trace_beside_the_file(own_file: Path, serve: Serve) -> None:
    before = sorted(own_file.parent.rglob("*"))
    digest = hashlib.sha256(own_file.read_bytes()).hexdigest()
    api = serve(own_file)
    for path in api.get("/openapi.json").json()["paths"]:
        if "{" not in path:
            assert api.get(path).status_code == 200
    assert sorted(own_file.parent.rglob("*")) == before
    assert hashlib.sha256(own_file.read_bytes()).hexdigest() == digest
