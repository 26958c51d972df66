"""Claims about the options that settle what is not known about the portal."""

from __future__ import annotations

import pytest

from vanc311_pipeline.portal.standin import Fault, Options
from vanc311_pipeline.portal.standin.options import options_from_text


def test_limit_0_can_be_refused(opened):
    _, ask = opened(options=Options(limit_zero="refused"))
    assert ask("/records", limit=0).status_code == 400
    assert ask("/records", limit=1).status_code == 200


def test_the_group_cap_can_be_30000(opened):
    _, ask = opened(options=Options(group_cap=30_000))
    assert ask("/records", group_by="status", limit=30_000).status_code == 200
    assert ask("/records", group_by="status", limit=30_001).status_code == 400


def test_group_keys_can_come_last(opened):
    _, ask = opened(options=Options(group_keys="last"))
    assert list(ask("/exports/json", group_by="status", select="count(*) as n").json()[0]) == ["n", "status"]


def test_a_429_can_say_when_to_come_back(opened):
    portal, ask = opened(options=Options(retry_after="present"))
    portal.play(Fault("quota_429"))
    assert int(ask().headers["retry-after"]) <= 86_400


def test_a_shared_quota_counts_all_clients_together(opened):
    portal, _ = opened(options=Options(quota=2, quota_scope="shared"))
    assert [portal.count_call(client) for client in ("10.0.0.1", "10.0.0.2", "10.0.0.3")] == [1, 0, -1]
    portal, _ = opened(options=Options(quota=2))
    assert [portal.count_call(client) for client in ("10.0.0.1", "10.0.0.2", "10.0.0.3")] == [1, 1, 1]


def test_the_type_of_geom_in_the_metadata_is_an_option(opened):
    _, ask = opened(options=Options(geom_type="geo_shape"))
    assert ask().json()["fields"][-1]["type"] == "geo_shape"


def test_the_last_newline_of_jsonl_can_be_absent(opened, sample):
    _, ask = opened(requests=sample.head(2), options=Options(jsonl_last_newline="absent"))
    assert ask("/exports/jsonl").text.count("\n") == 1


def test_uncertain_content_types_are_options(opened):
    _, ask = opened(options=Options(content_type_parquet="application/octet-stream"))
    assert ask("/exports/parquet", limit=1).headers["content-type"] == "application/octet-stream"


def test_options_are_read_from_text():
    options = options_from_text(["group_cap=30000", "nulls=omitted"])
    assert (options.group_cap, options.nulls) == (30_000, "omitted")


@pytest.mark.parametrize("text", ["nulls", "nulls=maybe", "colour=red", "quota=many"])
def test_an_unreadable_option_is_a_sentence(text):
    with pytest.raises(ValueError, match=r"\.$"):
        options_from_text([text])
