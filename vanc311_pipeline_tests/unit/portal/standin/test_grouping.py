"""Claims about group_by and aggregates, checked against pandas."""

from __future__ import annotations

import pandas as pd
import pytest

from vanc311_pipeline.portal.standin import Options

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


def test_a_grouped_export_has_every_group_ascending_with_null_first(ask, sample):
    groups = ask("/exports/json", group_by="local_area", select="count(*) as count").json()
    assert groups[0] == {"local_area": None, "count": int(sample["local_area"].isna().sum())}
    names = [group["local_area"] for group in groups[1:]]
    assert names == sorted(names)
    assert len(names) == 22


def test_the_fingerprint_question_of_all_months(ask, sample):
    groups = ask(
        "/exports/json",
        select=f"count(*) as n,count({CLOSED}) as closed,max({MODIFIED}) as latest",
        group_by=f"date_format({OPENED},'yyyy-MM') as month,department,service_request_type",
        timezone="UTC",
    ).json()
    expected = (
        sample.assign(month=sample[OPENED].dt.strftime("%Y-%m"))
        .groupby(["month", "department", "service_request_type"])
        .agg(n=("status", "size"), closed=(CLOSED, "count"), latest=(MODIFIED, "max"))
        .reset_index()
    )
    expected["latest"] = expected["latest"].dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    pd.testing.assert_frame_equal(pd.DataFrame(groups), expected, check_dtype=False)


def test_group_keys_go_by_the_timezone(ask, sample):
    groups = ask(
        "/exports/json",
        select="count(*) as n",
        group_by=f"date_format({OPENED},'yyyy-MM-dd') as day",
        timezone="America/Vancouver",
    ).json()
    local = sample[OPENED].dt.tz_convert("America/Vancouver").dt.strftime("%Y-%m-%d").value_counts()
    assert {group["day"]: group["n"] for group in groups} == local.to_dict()


def test_date_parts_are_numbers(ask):
    group = ask("/exports/json", select="count(*) as n", group_by=f"year({OPENED}), month({OPENED})").json()[0]
    assert (group[f"year({OPENED})"], group[f"month({OPENED})"]) == (2023, 11)


def test_date_format_knows_iso_weeks_and_quoted_text(ask):
    plain = ask("/exports/json", select="count(*) as n", group_by=f"date_format({OPENED},\"xxxx-'W'ww\") as w").json()
    assert plain[0]["w"] == "2023-W47"


def test_a_null_open_timestamp_makes_a_group_of_its_own(opened, sample):
    frame = sample.head(30).copy()
    frame.loc[4, OPENED] = None
    _, ask = opened(requests=frame)
    groups = ask("/exports/json", select="count(*) as n", group_by=f"date_format({OPENED},'yyyy') as y").json()
    assert groups == [{"y": None, "n": 1}, {"y": "2023", "n": 29}]


def test_aggregates_of_numbers_and_distinct_values(ask, sample):
    row = ask(
        "/records",
        limit=1,
        select="min(latitude) as low, max(latitude) as high, avg(latitude) as mean, sum(longitude) as total, "
        "median(latitude) as middle, percentile(latitude, 10) as tenth, percentile(latitude, 90) as ninth, "
        "count(distinct channel) as channels",
    ).json()["results"][0]
    latitude = sample["latitude"]
    assert (row["low"], row["high"], row["channels"]) == (latitude.min(), latitude.max(), sample["channel"].nunique())
    assert row["mean"] == pytest.approx(latitude.mean())
    assert row["total"] == pytest.approx(sample["longitude"].sum())
    assert row["middle"] == pytest.approx(latitude.median(), abs=1e-3)
    assert row["tenth"] == pytest.approx(latitude.quantile(0.1), abs=1e-3)
    assert row["ninth"] == pytest.approx(latitude.quantile(0.9), abs=1e-3)


def test_max_of_a_date_stays_a_date(ask, sample):
    row = ask("/records", limit=1, select=f"max({CLOSED}) as last").json()["results"][0]
    assert row["last"] == sample[CLOSED].dropna().max().isoformat()


def test_without_alias_the_key_is_the_text(ask):
    assert list(ask("/exports/json", group_by="status", select="count(*)").json()[0]) == ["status", "count(*)"]


def test_groups_can_be_ordered_by_an_aggregate_or_its_alias(ask, sample):
    expected = sample["channel"].value_counts().tolist()
    for order in ("n desc", "count(*) desc"):
        groups = ask("/exports/json", group_by="channel", select="count(*) as n", order_by=order).json()
        assert [group["n"] for group in groups] == expected


def test_an_aggregate_that_is_not_selected_can_order_groups(ask, sample):
    groups = ask("/exports/json", group_by="channel", order_by="count(*) desc").json()
    assert groups[0] == {"channel": sample["channel"].value_counts().index[0]}


def test_the_total_count_of_groups_is_that_of_the_rows_returned(ask):
    assert ask("/records", group_by="local_area", select="count(*)", limit=5).json()["total_count"] == 5


@pytest.mark.parametrize(("setting", "expected"), [("groups", 23), ("absent", None)])
def test_the_total_count_of_groups_is_an_option(opened, setting, expected):
    _, ask = opened(options=Options(grouped_total_count=setting))
    assert ask("/records", group_by="local_area", select="count(*)", limit=5).json().get("total_count") == expected


def test_grouped_records_are_capped_at_20000(ask):
    assert ask("/records", group_by="address", select="count(*)", limit=20_000).status_code == 200
    assert ask("/records", group_by="address", select="count(*)", limit=20_001).status_code == 400


def test_too_many_groups_ordered_by_an_aggregate_are_refused_on_exports(opened, sample):
    frame = pd.concat([sample, sample], ignore_index=True)
    frame["address"] = [f"{number} MAIN ST" for number in range(len(frame))]
    _, ask = opened(requests=frame)
    query = {"group_by": "address", "select": "count(*) as n", "order_by": "n desc"}
    assert ask("/exports/json", **query).json()["message"] == (
        "ODSQL query is malformed: aggregation function in order by is not supported with a limit > 20000. Please "
        "remove the order by or set a limit parameter lower than 20001. Clause(s) containing the error(s): order_by."
    )
    assert len(ask("/exports/json", limit=20_000, **query).json()) == 20_000


def test_sum_of_text_is_refused_in_the_portals_words(ask):
    assert ask("/records", select="sum(status)", limit=1).json()["message"] == (
        "ODSQL query is malformed: StatAggregation only supports numeric or date expression. "
        "Clause(s) containing the error(s): select."
    )


def test_an_alias_declared_twice_is_refused(ask):
    refused = ask("/exports/json", select="count(*) as d", group_by="status as d")
    assert refused.status_code == 400
    assert "Alias 'd' is declared several times" in refused.json()["message"]


def test_a_date_function_in_select_of_a_grouped_question_is_refused(ask):
    refused = ask("/exports/json", select=f"year({OPENED}) as y, count(*)", group_by=f"year({OPENED})")
    assert refused.status_code == 400
