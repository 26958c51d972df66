"""How answers leave: conditional requests, compression, HEAD, methods, the headers that all carry, and problems."""

import asyncio
import gzip
import hashlib
import io
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests
from fastapi import APIRouter, FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive

from vanc311_pipeline.api.app import create_app
from vanc311_pipeline_tests.integration.api.conftest import Api, site_of

PATHS = [
    "/metrics/citywide", "/time-to-close?area=Kitsilano", "/requests?limit=5", "/requests?format=csv", "/areas.geojson",
    "/openapi.json", "/downloads/vanc311.sqlite", "/downloads/requests.parquet", "/trends?format=csv",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_what_the_client_has_is_not_sent_again(api: Api, path: str, coding: str) -> None:
    first = api.get(path, {"Accept-Encoding": coding})
    etag = first.headers["etag"]
    assert first.status_code == 200
    assert not etag.startswith("W/")
    for validators in (etag, f'"another", {etag}', "*"):
        again = api.get(path, {"Accept-Encoding": coding, "If-None-Match": validators})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert api.get(path, {"If-None-Match": '"another"'}).status_code == 200
    if path != "/openapi.json":
        changed = first.headers["last-modified"]
        assert parsedate_to_datetime(changed) == datetime.fromisoformat(api.value("SELECT published_at FROM release"))
        assert api.get(path, {"If-Modified-Since": changed}).status_code == 304
        assert api.get(path, {"If-Modified-Since": changed, "If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_head_says_what_get_would_and_sends_nothing(api: Api, path: str) -> None:
    got = api.get(path, {"Accept-Encoding": "identity"})
    head = api.session.head(f"{api.url}/api/v1{path}", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length", "last-modified", "content-disposition"):
        if not (name == "content-length" and path == "/requests?format=csv"):  # made while it is sent
            assert head.headers.get(name) == got.headers.get(name)


def test_compressed_answers_are_the_same_and_have_an_etag_of_their_own(api: Api) -> None:
    for path in ("/metrics/issues", "/requests?format=csv"):
        plain = api.get(path, {"Accept-Encoding": "identity"})
        raw = api.session.get(f"{api.url}/api/v1{path}", headers={"Accept-Encoding": "gzip"}, stream=True).raw
        compressed = raw.read(decode_content=False)
        assert raw.headers["content-encoding"] == "gzip"
        assert gzip.decompress(compressed) == plain.content
        assert len(compressed) < len(plain.content) / 2
        assert raw.headers["etag"] != plain.headers["etag"]
        assert "Accept-Encoding" in plain.headers["vary"]


def test_the_header_accept_chooses_csv_and_the_parameter_overrules_it(api: Api) -> None:
    as_csv = "text/csv; charset=utf-8; header=present"
    assert api.get("/backlog", {"Accept": "text/csv"}).headers["content-type"] == as_csv
    assert api.get("/backlog", {"Accept": "text/csv"}, format="json").headers["content-type"] == "application/json"
    assert api.get("/backlog", format="csv").headers["content-disposition"] == (
        f'attachment; filename="vanc311-backlog-by-age-{api.value("SELECT as_of FROM release")}.csv"'
    )


@pytest.mark.parametrize(
    "path", ["/status", "/metrics/citywide", "/nowhere", "/requests?format=csv", "/trends?limit=0"]
)
def test_every_answer_may_be_read_from_anywhere_and_does_nothing(api: Api, path: str) -> None:
    headers = api.get(path, {"Origin": "https://example.org"}).headers
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["vanc311-as-of"] == api.value("SELECT as_of FROM release")
    assert 'rel="license"' in headers["link"]


def test_a_preflight_allows_reading_only(api: Api) -> None:
    response = api.session.options(f"{api.url}/api/v1/requests", headers={"Access-Control-Request-Method": "DELETE"})
    assert response.status_code == 204
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_nothing_can_be_written(api: Api, method: str) -> None:
    response = api.session.request(method, f"{api.url}/api/v1/requests", data=b"{}")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert response.headers["content-type"] == "application/problem+json"


def problem(api: Api, path: str, expected: int, **asked: Any) -> dict[str, Any]:
    response = api.get(path, **asked)
    assert (response.status_code, response.headers["content-type"]) == (expected, "application/problem+json")
    details = dict(response.json())
    assert details["status"] == expected
    return details


def test_a_misspelled_name_is_answered_with_those_that_exist(api: Api) -> None:
    details = problem(api, "/time-to-close", 404, area="kitsilano ")
    assert details["errors"][0]["suggestions"] == ["Kitsilano"]
    assert len(details["errors"][0]["allowed"]) == 22
    assert problem(api, "/metrics/areas/Downtwn", 404)["errors"][0]["suggestions"] == ["Downtown"]
    assert "Abandoned Mattress Case" in problem(api, "/requests", 404, issue="Abandoned Matress")["detail"]
    assert problem(api, "/requests", 404, status="Closed")["errors"][0]["allowed"] == ["Close", "Open"]
    assert problem(api, "/trends", 404, department="Sanitation")["errors"][0]["parameter"] == "department"
    assert problem(api, "/time-to-close", 404, period="1999")["errors"][0]["allowed"]
    assert problem(api, "/definitions/avg_tt", 404)["errors"][0]["suggestions"][:2] == ["avg_ttu", "avg_ttr"]


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/metrics/areas/KITSILANO", "/metrics/areas/Kitsilano"),
        ("/metrics/areas/kitsilano/issues/street%20light%20out%20case", "/metrics/areas/Kitsilano/issues/Street%20Light%20Out%20Case"),
        ("/time-to-close?issue=street+light+out+case&period=ALL", "/time-to-close?issue=Street+Light+Out+Case&period=all"),
        ("/comparison?area=kitsilano", "/comparison?area=Kitsilano"),
        ("/comparison/mix?area=kitsilano", "/comparison/mix?area=Kitsilano"),
        ("/requests?area=kitsilano&status=open&channel=phone", "/requests?area=Kitsilano&status=Open&channel=Phone"),
        ("/outcomes/reasons?closure_reason=service+provided", "/outcomes/reasons?closure_reason=Service+provided"),
        ("/trends?department=311%20contact%20centre", "/trends?department=311%20Contact%20Centre"),
        ("/definitions/AVG_TTR", "/definitions/avg_ttr"),
    ],
)  # fmt: skip
def test_a_name_in_another_case_is_the_one_that_the_release_has(api: Api, path: str, canonical: str) -> None:
    answer, expected = api.answer(path), api.answer(canonical)
    assert answer["data"]
    for part in ("data", "meta"):
        assert answer[part] == expected[part]


def test_a_misspelled_or_repeated_parameter_never_widens_an_answer(api: Api) -> None:
    details = problem(api, "/requests", 422, departement="311 Contact Centre")
    assert details["errors"][0]["parameter"] == "departement"
    assert details["errors"][0]["suggestions"] == ["department"]
    assert "closure_reason" in details["errors"][0]["allowed"]
    assert problem(api, "/requests?area=Kitsilano&area=Downtown", 422)["errors"][0]["parameter"] == "area"
    assert problem(api, "/status", 422, format="csv")["errors"][0]["parameter"] == "format"


@pytest.mark.parametrize(
    ("asked", "phrase"),
    [
        ({"limit": "0"}, "greater than or equal to 1"),
        ({"limit": "1001"}, "less than or equal to 1000"),
        ({"limit": "1e3"}, "whole number"),
        ({"opened_from": "2025-02-30"}, "no such day"),
        ({"opened_to": "2025"}, "a day such as"),
        ({"located": "maybe"}, "one of those allowed"),
        ({"area": ""}, "at least 1 character"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(api: Api, asked: dict[str, str], phrase: str) -> None:
    details = problem(api, "/requests", 422, **asked)
    assert details["errors"][0]["parameter"] == next(iter(asked))
    assert phrase in details["errors"][0]["message"]


def test_a_group_that_has_no_statistics_is_an_error_that_says_which_have(api: Api) -> None:
    assert (
        "hyper_local (area and issue)"
        in problem(api, "/time-to-close", 404, area="Kitsilano", department="311 Contact Centre")["detail"]
    )
    assert "it has" in problem(api, "/outcomes", 404, level="hyper_local")["detail"]
    problem(api, "/time-to-close", 404, level="issue", area="Kitsilano")


@pytest.mark.parametrize("cursor", ["abc", "W10", "WyJ4IiwgMV0", "bnVsbA", "WyIiLCAiXHVkODAwIiwgMV0"])
def test_a_cursor_that_no_page_gave_leads_nowhere(api: Api, cursor: str) -> None:
    problem(api, "/requests", 404, cursor=cursor)


def test_a_cursor_leads_on_in_its_own_listing_only(api: Api) -> None:
    listings = [
        "/requests?", "/requests?order=oldest", "/requests?area=Kitsilano", "/requests?area=Downtown",
        "/requests/open?", "/requests/open?channel=WEB", "/metrics/areas?", "/metrics/areas/Kitsilano/issues?",
        "/metrics/areas/Downtown/issues?", "/time-to-close?level=neighbourhood", "/time-to-close?level=issue",
    ]  # fmt: skip
    following = {each: api.answer(f"{each}&limit=1")["links"]["next"] for each in listings}
    for each, address in following.items():
        cursor = address.rpartition("cursor=")[2]
        assert api.answer(f"{each}&cursor={cursor}&limit=2&format=json")["data"]
        for other in listings:
            if other != each:
                assert "No page of this listing" in problem(api, f"{other}&cursor={cursor}", 404)["detail"]


def test_another_release_than_the_one_pinned_is_a_conflict(api: Api) -> None:
    as_of = api.value("SELECT as_of FROM release")
    assert api.answer("/metrics/citywide", as_of=as_of)["meta"]["as_of"] == as_of
    assert as_of in problem(api, "/metrics/citywide", 409, as_of="2020-01-01")["detail"]


def test_downloads_are_whole_and_equal_their_checksums(api: Api) -> None:
    files = {row["name"]: row for row in api.answer("/downloads")["data"]}
    contents = {name: api.get(row["url"]).content for name, row in files.items()}
    assert contents["vanc311.sqlite"] == api.file.read_bytes()
    sums = dict(line.split("  ")[::-1] for line in contents["checksums.txt"].decode().splitlines())
    for name, content in contents.items():
        digest = hashlib.sha256(content).hexdigest() if name != "checksums.txt" else None
        assert (digest, len(content)) == (files[name]["sha256"], files[name]["bytes"])
        assert sums.get(name) == digest


def test_the_parquet_file_holds_every_request_with_dates_as_dates_and_instants_as_instants(api: Api) -> None:
    table = pq.read_table(io.BytesIO(api.get("/downloads/requests.parquet").content))
    types = {column: str(kind) for column, kind in zip(table.schema.names, table.schema.types, strict=True)}
    expected = {"TEXT": "string", "INTEGER": "int64", "REAL": "double"}
    stored = {
        row["name"]: expected[row["type"]] for row in api.select("SELECT * FROM pragma_table_info('service_requests')")
    }
    dates, instants = ("opened_on", "closed_on"), ("opened_at", "modified_at")
    assert types == stored | dict.fromkeys(dates, "date32[day]") | dict.fromkeys(instants, "timestamp[us, tz=UTC]")
    rows = api.select("SELECT * FROM service_requests ORDER BY rowid")
    for row in rows:
        row |= {name: row[name] and date.fromisoformat(row[name]) for name in dates}
        row |= {name: row[name] and datetime.fromisoformat(row[name]) for name in instants}
    assert table.to_pylist() == rows
    assert b"release" in table.schema.metadata[b"vanc311"]


def test_the_data_package_describes_every_table_of_the_file(api: Api) -> None:
    package = api.get("/downloads/datapackage.json").json()
    tables = {
        each["dialect"]["table"]: [field["name"] for field in each["schema"]["fields"]]
        for each in package["resources"]
        if "dialect" in each
    }
    assert tables == {
        row["name"]: [column["name"] for column in api.select(f"SELECT name FROM pragma_table_info('{row['name']}')")]
        for row in api.select(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'search_*'"
        )
    }
    names = [each["name"] for each in package["resources"]]
    assert len(names) == len(set(names))
    sums = {row["name"]: (row["bytes"], f"sha256:{row['sha256']}") for row in api.answer("/downloads")["data"]}
    assert all((each["bytes"], each["hash"]) == sums[each["path"]] for each in package["resources"])
    fields = {field["name"]: field["type"] for field in package["resources"][0]["schema"]["fields"]}
    assert (fields["opened_at"], fields["opened_on"], fields["latitude"]) == ("datetime", "date", "number")


@pytest.mark.parametrize(
    ("asked", "part"),
    [("0-99", slice(0, 100)), ("1000-", slice(1000, None)), ("-50", slice(-50, None)), ("5-5", slice(5, 6))],
)
def test_a_download_that_broke_off_can_go_on(api: Api, asked: str, part: slice) -> None:
    whole = api.file.read_bytes()
    response = api.get("/downloads/vanc311.sqlite", {"Range": f"bytes={asked}"})
    assert (response.status_code, response.content) == (206, whole[part])
    assert response.headers["content-range"].endswith(f"/{len(whole)}")


@pytest.mark.parametrize(("headers", "times"), [({}, 1), ({"cache-control": "no-store"}, 2)])
def test_an_answer_is_kept_unless_it_says_that_it_is_of_this_moment(
    own_file: Path, headers: dict[str, str], times: int
) -> None:
    router, asked = APIRouter(), []

    @router.get("/moment")
    def moment() -> Response:
        asked.append("moment")
        return Response(f"{len(asked)}", headers=headers)

    with site_of(create_app(own_file, routers=[router])) as url:
        answers = [requests.get(f"{url}/moment", timeout=30) for _ in range(2)]
    assert [answer.text for answer in answers] == ["1", f"{times}"]
    assert ("last-modified" in answers[0].headers) == (times == 1)


async def gone() -> Message:
    return {"type": "http.disconnect"}


async def still_there() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nothing ends this wait but the answer's end")


async def ask(app: FastAPI, path: str, receive: Receive = still_there) -> bytes:
    """The body of an answer, without a server between."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET", "path": path,
             "raw_path": path.encode(), "query_string": b"", "headers": [], "scheme": "http", "server": ("localhost", 80)}  # fmt: skip
    await app(scope, receive, send)
    return b"".join(message.get("body", b"") for message in sent)


def test_who_goes_before_the_first_byte_leaves_no_empty_answer_to_others(own_file: Path) -> None:
    app, path = create_app(own_file), "/api/v1/downloads/vanc311.sqlite"

    async def one_after_the_other() -> tuple[bytes, bytes]:
        return await ask(app, path, gone), await ask(app, path)

    left, whole = asyncio.run(one_after_the_other())
    assert left == b""
    assert whole == own_file.read_bytes()


def test_what_is_kept_overtakes_what_must_be_made(own_file: Path) -> None:
    router, numbers = APIRouter(), []

    @router.get("/made/{number}")
    async def answer(number: int) -> Response:
        numbers.append(number)
        return Response(str(number))

    app = create_app(own_file, routers=[router])

    async def overtake() -> tuple[int, int]:
        await ask(app, "/made/0")
        others = [asyncio.create_task(ask(app, f"/made/{number}")) for number in range(1, 50)]
        await asyncio.sleep(0)
        assert await ask(app, "/made/0") == b"0"
        before = len(numbers)
        await asyncio.gather(*others)
        return before, len(numbers)

    before, after = asyncio.run(overtake())
    assert before <= 2
    assert after == 50


def test_nothing_is_asked_for_who_went_while_waiting(own_file: Path) -> None:
    router, asked = APIRouter(), []

    @router.get("/waiting")
    async def waiting(request: Request) -> Response:
        def answer() -> Response:
            asked.append(request)
            return Response("made")

        response: Response = await request.app.state.asking.run(request, answer)
        return response

    app = create_app(own_file, routers=[router])
    assert asyncio.run(ask(app, "/waiting", gone)) == b""
    assert asked == []
    assert asyncio.run(ask(app, "/waiting")) == b"made"


def test_a_part_of_another_file_is_not_joined_to_this_one(api: Api) -> None:
    path, size = "/downloads/vanc311.sqlite", api.file.stat().st_size
    etag = api.session.head(f"{api.url}/api/v1{path}").headers["etag"]
    assert api.get(path, {"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert len(api.get(path, {"Range": "bytes=0-9", "If-Range": '"another"'}).content) == size
    beyond = api.get(path, {"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


VALUES = (
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f\x85\xa0"))
    | st.from_regex(r"(bytes=)?[0-9]{0,20}-[0-9]{0,20}", fullmatch=True)
    | st.from_regex(
        r"Mon, [0-9]{1,3} (Jan|Feb) [0-9]{1,12} [0-9]{1,3}:[0-9]{1,12}:0 (GMT|[+-][0-9]{1,9})", fullmatch=True
    )
)
HEADERS = ["Accept", "Accept-Encoding", "Cookie", "Host", "If-Modified-Since", "If-None-Match", "If-Range", "Range"]


@given(st.dictionaries(st.sampled_from(HEADERS), VALUES))
def test_whatever_a_client_says_of_itself_is_no_fault_of_ours(api: Api, headers: dict[str, str]) -> None:
    for path in ("/status", "/backlog", "/downloads/vanc311.sqlite"):
        with api.session.get(f"{api.url}/api/v1{path}", headers=headers, stream=True, timeout=60) as answer:
            assert answer.status_code in (200, 206, 304, 400, 416)
