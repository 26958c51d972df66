"""The catalogue is complete, and each entry can be noticed by somebody who only talks HTTP."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import urllib3

from vanc311_pipeline.portal.standin import Fault, StandIn
from vanc311_pipeline.portal.standin.catalogue import CATALOGUE, fault_from_text

# A row that can be edited in every way must be there: open and closed rows, twins, several months.
ROWS = slice(10_000, 11_024)
QUICK = {
    "slow_drip": {"bytes": 2_000, "seconds": 0.001, "after": 1},
    "dripping_headers": {"seconds": 5},
    "endless": {"bytes": 100, "after": 1},
    "gzip_bomb": {"bytes": 100, "after": 1},
}


def described(answer: requests.Response) -> object:
    metas = answer.json()["metas"]["default"]
    return answer.json()["fields"], metas["data_processed"], metas["records_count"]


def everything_seen(portal) -> list[object]:
    """What a client sees in one session; errors are part of it."""
    base = f"{portal.url}/api/explore/v2.1/catalog/datasets/3-1-1-service-requests"
    seen: list[object] = []

    def look(path, read, **options):
        try:
            with requests.get(base + path, timeout=(5, 0.4), **options) as answer:
                rate = "x-ratelimit-limit" in answer.headers
                seen.append((answer.status_code, rate, read(answer)))
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            pa.ArrowInvalid,
            LookupError,
            RecursionError,
        ) as error:
            seen.append(type(error).__name__)

    look("", described)
    look("/exports/csv", lambda answer: answer.content)
    look("/exports/csv", lambda answer: sum(1 for _ in answer.raw.read_chunked()), stream=True)
    look("/exports/csv", lambda answer: answer.content)
    look("/exports/parquet", lambda answer: str(pq.read_schema(io.BytesIO(answer.content))))
    look("/records?limit=0", lambda answer: answer.text)
    look("", described)
    return seen


@pytest.fixture(scope="module")
def healthy(sample):
    with StandIn(requests=sample.iloc[ROWS]) as portal:
        return everything_seen(portal)


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_entry_can_be_noticed_over_http(opened, sample, healthy, name):
    portal, _ = opened(requests=sample.iloc[ROWS])
    entry = CATALOGUE[name]
    if entry.is_edit:
        change = fault_from_text("empty_month:month=2026-01" if name == "empty_month" else name)
        portal.publish(change(portal.frame), released_at=portal.released_at)
    else:
        portal.play(Fault(name, **QUICK.get(name, {})))
    assert everything_seen(portal) != healthy


def test_a_portal_without_faults_looks_the_same_every_time(opened, sample, healthy):
    portal, _ = opened(requests=sample.iloc[ROWS])
    assert everything_seen(portal) == healthy


def test_the_catalogue_covers_every_item_of_the_contract_from_a_to_t():
    assert sorted({entry.item for entry in CATALOGUE.values()}) == list("abcdefghijklmnopqrst")


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_entry_has_a_sentence(name):
    assert CATALOGUE[name].sentence.endswith(".")


def test_a_fault_is_read_from_text():
    fault = fault_from_text("cut_mid_row:dataset=local-area-boundary,times=forever,after=2,rows=10")
    assert (fault.dataset, fault.times, fault.after, fault.details) == ("local-area-boundary", None, 2, {"rows": 10})


@pytest.mark.parametrize("text", ["short:rows", "delete:rows=few", "delete:lines=3", "nothing", "short:times=often"])
def test_an_unreadable_fault_is_a_sentence(text):
    with pytest.raises(ValueError, match=r"\.$"):
        fault_from_text(text)
