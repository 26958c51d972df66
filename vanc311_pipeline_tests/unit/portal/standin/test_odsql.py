"""Claims about where, refine and exclude: which rows they leave, checked against pandas."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

OPENED, CLOSED = "service_request_open_timestamp", "service_request_close_date"


def counted(ask, where="", **more):
    answer = ask("/records", limit=0, where=where, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["total_count"]


def day(text):
    return pd.Timestamp(text, tz="UTC")


def test_a_half_open_month_with_utc_bounds(ask, sample):
    where = f'{OPENED} >= "2024-03-01T00:00:00+00:00" and {OPENED} < "2024-04-01T00:00:00+00:00"'
    expected = sample[OPENED].between(day("2024-03-01"), day("2024-04-01"), inclusive="left").sum()
    assert counted(ask, where) == expected > 0


def test_a_bare_date_is_the_whole_day(ask, sample):
    opened = sample[OPENED]
    assert counted(ask, f"{OPENED} > date'2024-03-05'") == (opened >= day("2024-03-06")).sum()
    assert counted(ask, f"{OPENED} <= date'2024-03-05'") == (opened < day("2024-03-06")).sum()
    assert counted(ask, f"{OPENED} >= date'2024-03-05'") == (opened >= day("2024-03-05")).sum()
    assert counted(ask, f"{OPENED} < date'2024-03-05'") == (opened < day("2024-03-05")).sum()
    assert counted(ask, f"{OPENED} = date'2024/03/05'") == (opened.dt.floor("D") == day("2024-03-05")).sum()


def test_a_year_is_the_whole_year(ask, sample):
    assert counted(ask, f"{OPENED} = date'2024'") == (sample[OPENED].dt.year == 2024).sum()


def test_a_literal_without_offset_is_read_in_the_timezone(ask, sample):
    naive = counted(ask, f'{OPENED} >= "2024-03-05T00:00:00"', timezone="America/Vancouver")
    assert naive == (sample[OPENED] >= day("2024-03-05T08:00")).sum()


def test_a_literal_with_offset_ignores_the_timezone(ask, sample):
    for zone in ("UTC", "America/Vancouver"):
        found = counted(ask, f'{OPENED} >= "2024-03-05T00:00:00+00:00"', timezone=zone)
        assert found == (sample[OPENED] >= day("2024-03-05")).sum()


def test_a_date_field_is_never_shifted(ask, sample):
    closed = pd.to_datetime(sample[CLOSED])
    for zone in ("UTC", "America/Vancouver", "Asia/Tokyo"):
        assert counted(ask, f"{CLOSED} = date'2024-03-05'", timezone=zone) == (closed == "2024-03-05").sum()


def test_a_date_function_in_where_goes_by_the_timezone(ask, sample):
    local = sample[OPENED].dt.tz_convert("America/Vancouver")
    assert counted(ask, f"hour({OPENED}) >= 18", timezone="America/Vancouver") == (local.dt.hour >= 18).sum()
    assert counted(ask, f"day({OPENED}) = 31") == (sample[OPENED].dt.day == 31).sum()
    assert (
        counted(ask, f"month({OPENED}) = 2 and minute({OPENED}) != 0")
        == ((sample[OPENED].dt.month == 2) & (sample[OPENED].dt.minute != 0)).sum()
    )


def test_text_equality_is_exact(ask, sample):
    assert counted(ask, 'status = "Open"') == (sample["status"] == "Open").sum()
    assert counted(ask, "status : 'open'") == 0


def test_closure_reason_of_open_rows_is_text_not_null(ask, sample):
    assert counted(ask, 'closure_reason = "N/A"') == (sample["closure_reason"] == "N/A").sum() > 0
    assert counted(ask, "closure_reason is null") == 0


def test_is_null_and_is_not_null_split_the_rows(ask, sample):
    assert counted(ask, "local_area is null") == sample["local_area"].isna().sum()
    assert counted(ask, "geom is not null") == sample["latitude"].notna().sum()


def test_null_open_timestamps_are_found_and_belong_to_no_range(opened, sample):
    frame = sample.head(20).copy()
    frame.loc[[3, 5], OPENED] = None
    _, ask = opened(requests=frame)
    assert counted(ask, f"{OPENED} is null") == 2
    assert counted(ask, f'{OPENED} is null or {OPENED} < "2000-01-01T00:00:00+00:00"') == 2
    assert counted(ask, f'{OPENED} >= "1900-01-01T00:00:00+00:00"') == 18


def test_in_takes_lists_and_ranges(ask, sample):
    assert counted(ask, 'channel in ("WEB", "Phone")') == sample["channel"].isin(["WEB", "Phone"]).sum()
    latitude = sample["latitude"]
    assert counted(ask, "latitude in [49.25..49.26]") == latitude.between(49.25, 49.26).sum()
    low = float(latitude.dropna().iloc[0])
    assert counted(ask, f"latitude in ]{low!r} TO 49.26]") == ((latitude > low) & (latitude <= 49.26)).sum()


def test_and_binds_tighter_than_or_and_not_tightest(ask, sample):
    web, phone, is_open = (sample["channel"] == "WEB", sample["channel"] == "Phone", sample["status"] == "Open")
    assert counted(ask, 'channel="WEB" or channel="Phone" and status="Open"') == (web | (phone & is_open)).sum()
    assert counted(ask, '(channel="WEB" or channel="Phone") and not status="Open"') == ((web | phone) & ~is_open).sum()


def test_keywords_are_case_insensitive_and_names_may_be_back_quoted(ask):
    assert counted(ask, '`status` = "Open" AND NOT `local_area` IS NULL') == counted(
        ask, 'status = "Open" and local_area is not null'
    )


def test_now_shifts_by_plurals_and_sets_by_singulars(opened, sample):
    portal, ask = opened()
    portal.set_clock(datetime(2026, 1, 6, 12, tzinfo=UTC))
    opened_at = sample[OPENED]
    assert counted(ask, f"{OPENED} >= now(days=-1)") == (opened_at >= day("2026-01-05T12:00")).sum()
    assert counted(ask, f"{OPENED} >= now(hour=0, minute=0)") == (opened_at >= day("2026-01-06")).sum()


def test_refine_on_a_date_is_hierarchical(ask, sample):
    month = sample[OPENED].dt.strftime("%Y/%m")
    assert counted(ask, refine=f'{OPENED}:"2024/03"') == (month == "2024/03").sum() > 0
    assert counted(ask, refine=f"{OPENED}:2024") == (sample[OPENED].dt.year == 2024).sum()


def test_refine_widens_within_a_facet_and_narrows_between_facets(ask, sample):
    both = counted(ask, refine=["channel:WEB", "channel:Phone", "status:Open"])
    assert both == (sample["channel"].isin(["WEB", "Phone"]) & (sample["status"] == "Open")).sum()


def test_exclude_takes_rows_away(ask, sample):
    assert counted(ask, exclude="channel:WEB") == (sample["channel"] != "WEB").sum()


@pytest.mark.parametrize(
    "where",
    ["status =", "status = 'Open' and", "(status = 'Open'", "nope is null", f"{OPENED} > 'soon'", "latitude = 'x'"],
)
def test_malformed_conditions_are_400_and_name_the_clause(ask, where):
    refused = ask("/exports/csv", where=where)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "ODSQLError"
    assert refused.json()["message"].endswith("Clause(s) containing the error(s): where.")
